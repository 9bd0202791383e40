"""What a figure draws, by name, and whether all of it lies inside."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

from provenance.figures.drawing import style


def named(figure: Figure) -> dict[str, Any]:
    """Every artist that has a name."""
    found = [a for axes in figure.axes for a in [*axes.lines, *axes.patches, *axes.collections, *axes.texts]]
    return {artist.get_gid(): artist for artist in found if artist.get_gid()}


def legend_of(figure: Figure) -> list[str]:
    """What the legend says."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def tick_labels(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels() if label.get_text()]


def assert_inside(figure: Figure) -> None:
    """Nothing is cut off, and no text is smaller than print allows."""
    with style.paper():
        figure.draw_without_rendering()
    whole = figure.bbox
    shown = [axes for axes in figure.axes if axes.get_visible()]
    for part in [*shown, *figure.legends]:
        box = part.get_tightbbox()
        assert box.x0 >= whole.x0 - 1, part
        assert box.x1 <= whole.x1 + 1, part
        assert box.y0 >= whole.y0 - 1, part
        assert box.y1 <= whole.y1 + 1, part
    assert (
        min(text.get_fontsize() for part in [*shown, *figure.legends] for text in part.findobj(Text)) >= style.TINY_PT
    )
