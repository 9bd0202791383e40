"""Figure of layers: how many H-Neurons each layer holds, how active they are in both models, and what directions read.

A neuron is one circle for the base and one for the instruct checkpoint, joined by a line, so that a neuron that is
silent in the base is seen at once. Within a layer the neurons stand side by side, the heaviest first. Below them,
where the residual stream was read, stands what one direction behind each layer says of the same answers.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from provenance.cells import Record, compact, interval
from provenance.figures.drawing import style
from provenance.figures.drawing.direction_panels import (
    PANEL_IN,
    Panel,
    draw_directions,
    legend_of_directions,
    panels_of,
)
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.comparison import mean_activity
from provenance.figures.tables.latex import Table
from provenance.figures.wording.run_words import Parts, captioned, first, source
from provenance.records import Stage
from provenance.words import baseline_words

HEIGHT_IN = 2.9
WIDE_LAYERS = 24  # more layers need the page's width
_BAR = 0.72
_SPREAD = 0.6  # of a layer's width, for its neurons
_RATIOS = (1.0, 2.2)
_TITLE_IN = 0.2
_LEGEND_IN = 0.25
_COLOURS: dict[Stage, str] = {"base": "white", "instruct": style.BLUE}


def figure_layers(neurons: Sequence[Record], layers: int, directions: Sequence[Panel] = ()) -> Figure:
    """Draw the rows of the query `h-neurons`, and directions by layer.

    Args:
        neurons: The H-Neurons, the heaviest first.
        layers: Layers of the instruct checkpoint.
        directions: From `panels_of`; empty where the residual stream was not read.
    """
    with style.paper():
        width = style.page_in() if layers > WIDE_LAYERS else style.column_in()
        below = len(directions) * (PANEL_IN + _TITLE_IN) + (_LEGEND_IN if directions else 0.0)
        figure = Figure(figsize=(width, HEIGHT_IN + below), layout="constrained")
        ratios = (*_RATIOS, *[1.5] * len(directions))
        counts, activity, *rest = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
        _draw_counts(counts, neurons)
        _draw_activity(activity, neurons)
        for axes, panel in zip(rest, directions, strict=True):
            draw_directions(axes, panel)
        activity.set_xlim(-0.7, layers - 0.3)
        activity.xaxis.set_major_locator(MaxNLocator(integer=True))
        [activity, *rest][-1].set_xlabel("layer")
        handles = [*_legend(neurons), *(legend_of_directions(directions) if directions else [])]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _draw_counts(axes: Axes, neurons: Sequence[Record]) -> None:
    every, shared = (
        Counter(row["layer"] for row in neurons),
        Counter(row["layer"] for row in neurons if row["is_base_h_neuron"]),
    )
    for layer, count in every.items():
        axes.bar(layer, count, _BAR, color=style.LIGHT_GREY, edgecolor="none", gid=f"H-Neurons:{layer}")
    for layer, count in shared.items():
        axes.bar(layer, count, _BAR, color=style.GREY, edgecolor="none", gid=f"found again:{layer}")
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set_ylabel("neurons")
    axes.tick_params(axis="x", bottom=False)
    axes.tick_params(axis="y", labelsize=style.SMALL_PT)


def _draw_activity(axes: Axes, neurons: Sequence[Record]) -> None:
    """One artist a model and one for all lines, so that files of hundreds of neurons stay small."""
    places = list(_placed(neurons))
    values = {stage: [_positive(mean_activity(row, stage)) for row in neurons] for stage in _COLOURS}
    axes.vlines(places, values["base"], values["instruct"], color=style.GREY, linewidth=0.5, zorder=2, gid="lines")
    for stage, colour in _COLOURS.items():
        axes.plot(
            places, values[stage], "o", markersize=3.2, markerfacecolor=colour, markeredgecolor=style.BLUE,
            markeredgewidth=0.7, zorder=3, gid=stage,
        )  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("mean CETT")
    axes.tick_params(axis="y", labelsize=style.SMALL_PT)


def _placed(neurons: Sequence[Record]) -> Iterator[float]:
    """Place of each neuron on the axis of layers."""
    totals: Counter[int] = Counter(row["layer"] for row in neurons)
    seen: Counter[int] = Counter()
    for layer in (row["layer"] for row in neurons):
        step = _SPREAD / max(1, totals[layer] - 1)
        yield layer + (0.0 if totals[layer] == 1 else seen[layer] * step - _SPREAD / 2)
        seen[layer] += 1


def _positive(value: float | None) -> float:
    """NaN, which is not drawn, for what is not known, and for 0, which has no place on a logarithmic axis."""
    return value if value else math.nan


def _legend(neurons: Sequence[Record]) -> list[Line2D | Patch]:
    circles = [
        Line2D(
            [], [], linestyle="none", marker="o", markersize=3.2, markerfacecolor=colour, markeredgecolor=style.BLUE,
            markeredgewidth=0.7, label=f"activity, {stage}",
        )
        for stage, colour in _COLOURS.items()
    ]  # fmt: skip
    bars = [Patch(facecolor=style.LIGHT_GREY, label="H-Neurons")]
    if any(row["is_base_h_neuron"] for row in neurons):
        bars.append(Patch(facecolor=style.GREY, label="found again in the base"))
    return [*circles, *bars]


def caption_layers(parts: Parts) -> list[str]:
    """Caption of the figure of layers: a description, then the numbers."""
    run, neurons = first(parts["run"]), parts["h-neurons"].records()
    both = [tuple(mean_activity(row, stage) for stage in _COLOURS) for row in neurons]
    ratios = sorted(base / instruct for base, instruct in both if base is not None and instruct)
    panels = _panels(parts)
    lowest = (
        " Lowest: AUROC of directions in the residual stream on the other model’s answers (filled) and on their own "
        "(hollow)."
    )
    lede = captioned(
        f"The {len(neurons)} H-Neurons of {run['instruct']} by layer (top; dark: also found by a search in the base).",
        "Below: mean CETT of each on in-domain answers in the base (hollow) and the instruct checkpoint (filled), the "
        f"heaviest first.{lowest if panels else ''}",
    )
    counts = Counter(row["layer"] for row in neurons)
    held = ", ".join(f"{layer}: {count}" for layer, count in sorted(counts.items()))
    middle = "Activity in the base over that in the instruct checkpoint: median {}."
    return [
        *lede,
        f"H-Neurons by layer: {held}.",
        *([middle.format(compact(ratios[len(ratios) // 2]))] if ratios else []),
        *_direction_words(panels),
        f"Drawn from {source(parts)}.",
    ]


def _panels(parts: Parts) -> list[Panel]:
    return panels_of(parts["directions"].records(), parts["scales"].records())


def _direction_words(panels: Sequence[Panel]) -> list[str]:
    """What the lowest panels show, and the numbers of the chosen layers."""
    if not panels:
        return []
    words = (
        "Lowest: AUROC of a direction in the residual stream behind each layer, fitted on one model’s training answers "
        f"to {panels[0].rows[0]['dataset']}, on the other model’s own held-out answers (filled, 95 % intervals by "
        "question) and on its own (hollow); larger: the layer that cross-validation on the training answers chose; "
        "dashed: chance."
    )
    numbers = [
        f"{baseline_words(row['kind'])}, {row['fitted_on']} → {row['answers']}: layer {row['layer']}, "
        f"AUROC {interval(row, 'auroc')}, n = {row['auroc_n']}"
        for panel in panels
        for row in panel.carried()
    ]
    return [words, f"{'; '.join(numbers)}."]


def table_layers(parts: Parts) -> Table:
    """The layers that hold H-Neurons, as a table for a paper."""
    rows = [
        (str(row["layer"]), str(row["h_neurons"]), *(_cell(row, stage) for stage in _COLOURS))
        for row in parts["layers"].records()
        if row["h_neurons"]
    ]
    caption = f"Layers of {first(parts['run'])['instruct']} that hold H-Neurons, and their mean CETT in both models."
    return Table(caption, ("layer", "H-Neurons", *(f"mean CETT, {stage}" for stage in _COLOURS)), rows)


def _cell(row: Record, stage: Stage) -> str:
    return compact(mean_activity({name.removeprefix("h_"): value for name, value in row.items()}, stage))


FIGURE = GalleryFigure(
    order=2,
    name="figure_layers",
    title="Which layers hold the H-Neurons, and are they active in both models?",
    data={
        "neurons": ("h-neurons", {}),
        "layers": ("layers", {}),
        "directions": ("directions-by-layer", {}),
        "scales": ("scales", {}),
    },
    ready=lambda parts: any(mean_activity(row, "instruct") is not None for row in parts["h-neurons"].records()),
    context=("run", "h-neurons"),
    draw=lambda parts: figure_layers(parts["h-neurons"].records(), len(parts["layers"].records()), _panels(parts)),
    caption=caption_layers,
    table=table_layers,
)
