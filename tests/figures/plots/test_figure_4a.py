"""Figure 4a: what is drawn is what the rows say, and what has no power is not drawn as a number."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import SETS

from provenance.db.reading.run_query import run_query
from provenance.figures.drawing import style
from provenance.figures.plots.figure_4a import figure_4a
from provenance.words import TRANSFER_NULLS


def row_of(dataset: str = "set", **changes: Any) -> dict[str, Any]:
    nulls = {
        f"{kind}_{part}": value
        for kind in TRANSFER_NULLS
        for part, value in (("mean", 0.55), ("low", 0.5), ("high", 0.6), ("p95", 0.59), ("p", 0.01), ("draws", 40))
    }
    estimate = {"auroc": 0.8, "auroc_low": 0.75, "auroc_high": 0.85, "n_faithful": 200, "n_hallucinated": 180}
    estimate |= {"given_probe_low": 0.76, "given_probe_high": 0.84}
    return {"dataset": dataset, **estimate, **nulls, "verdict": "supported", "reason": "", **changes}


def no_power(dataset: str = "set") -> dict[str, Any]:
    missing = {name: None for name in row_of() if name.startswith(("auroc", "given", *TRANSFER_NULLS))}
    return row_of(dataset, **missing, n_faithful=0, n_hallucinated=37, verdict="no power")


def artists(figure: Figure) -> dict[str, Any]:
    axes = figure.axes[0]
    return {artist.get_gid(): artist for artist in [*axes.lines, *axes.patches, *axes.texts] if artist.get_gid()}


def extents_inside(figure: Figure) -> None:
    with style.paper():
        figure.draw_without_rendering()
    whole = figure.bbox
    for artist in [*figure.axes[0].texts, *figure.legends[0].get_texts()]:
        box = artist.get_window_extent()
        assert box.x0 >= whole.x0 - 1, artist.get_text()
        assert box.x1 <= whole.x1 + 1, artist.get_text()
        assert box.y0 >= whole.y0 - 1, artist.get_text()
        assert box.y1 <= whole.y1 + 1, artist.get_text()


def test_points_intervals_and_bands_are_those_of_the_query(finished: str) -> None:
    rows = run_query(finished, "transfer").records()
    drawn = artists(figure_4a(rows))
    for row in rows:
        name = row["dataset"]
        assert drawn[f"auroc:{name}"].get_xdata()[0] == row["auroc"]
        assert list(drawn[f"interval:{name}"].get_xdata()) == [row["auroc_low"], row["auroc_high"]]
        ticks = drawn[f"given probe:{name}"].get_xdata()
        assert row["auroc_low"] < ticks[0] == row["given_probe_low"]
        assert row["auroc_high"] > ticks[1] == row["given_probe_high"]
        for kind in TRANSFER_NULLS:
            band = drawn[f"{kind}:{name}"]
            assert band.get_x() == row[f"{kind}_low"]
            assert band.get_x() + band.get_width() == pytest.approx(row[f"{kind}_high"])
            assert list(drawn[f"{kind} mean:{name}"].get_xdata()) == [row[f"{kind}_mean"]] * 2
    assert list(drawn["chance"].get_xdata()) == [0.5, 0.5]
    assert [row["dataset"] for row in rows] == list(SETS)


def test_question_sets_come_in_the_order_of_the_rows_first_at_the_top() -> None:
    figure = figure_4a([row_of("first"), row_of("second")])
    drawn = artists(figure)
    heights = [drawn[f"auroc:{name}"].get_ydata()[0] for name in ("first", "second")]
    assert heights[0] < heights[1]
    assert figure.axes[0].yaxis_inverted()


def test_each_set_shows_its_numbers_of_responses() -> None:
    drawn = artists(figure_4a([row_of(), no_power("empty")]))
    assert drawn["n:set"].get_text() == "200 faithful, 180 hallucinated"
    assert drawn["n:empty"].get_text() == "0 faithful, 37 hallucinated"


def test_a_set_without_power_is_words_and_no_mark() -> None:
    drawn = artists(figure_4a([no_power("empty")]))
    assert drawn["no power:empty"].get_text() == "no power: 0 faithful, 37 hallucinated"
    assert not [name for name in drawn if name.startswith(("auroc", "interval", "random", "matched"))]


def test_a_number_without_power_is_not_shown_either() -> None:
    drawn = artists(figure_4a([row_of(verdict="no power", n_faithful=2)]))
    assert "auroc:set" not in drawn
    assert "no power:set" in drawn


def test_the_verdict_shows_in_the_marks_shape_and_the_legend_in_words() -> None:
    figure = figure_4a([row_of("yes"), row_of("no", verdict="not distinguishable")])
    drawn = artists(figure)
    assert drawn["auroc:yes"].get_markerfacecolor() != "white"
    assert drawn["auroc:no"].get_markerfacecolor() == "white"
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("readable in the base model" in text for text in words)
    assert any("not distinguishable" in text for text in words)


def test_the_legend_names_only_what_is_there() -> None:
    words = [text.get_text() for text in figure_4a([no_power()]).legends[0].get_texts()]
    assert words == ["chance (0.5)"]


def test_the_axis_holds_intervals_below_chance() -> None:
    figure = figure_4a([row_of(auroc=0.2, auroc_low=0.11, auroc_high=0.3, verdict="not distinguishable")])
    assert figure.axes[0].get_xlim()[0] < 0.11


@pytest.mark.parametrize("n_sets", [1, 2, 6])
def test_nothing_is_cut_off_with_any_number_of_sets_or_long_names(n_sets: int) -> None:
    long = "BioASQ factoid questions, Task 13b, golden enriched, and whatever else a file may be called"
    rows = [row_of(f"{long} {i}" if i % 2 == 0 else "W" * 60) for i in range(n_sets)]
    rows[-1] = no_power(rows[-1]["dataset"])
    extents_inside(figure_4a(rows))


def test_names_are_shown_literally() -> None:
    figure = figure_4a([row_of("cities_$x^{2$_&_é")])
    with style.paper():
        figure.draw_without_rendering()  # mathematics would fail here
    assert artists(figure)["name:cities_$x^{2$_&_é"].get_text().replace("\n", "") == "cities_$x^{2$_&_é"


def test_sets_of_the_same_height_each_whatever_their_number() -> None:
    heights = [figure_4a([row_of(str(i)) for i in range(n)]).get_figheight() for n in (1, 2, 3)]
    assert np.diff(heights) == pytest.approx([0.5, 0.5])


def test_a_set_without_power_does_not_stretch_the_axis() -> None:
    """Its interval is not drawn, so it has no say in where the axis begins."""
    silent = row_of("silent", auroc=0.12, auroc_low=0.0, auroc_high=0.4, n_faithful=5, verdict="no power")
    assert figure_4a([row_of(), silent]).axes[0].get_xlim() == figure_4a([row_of(), no_power("x")]).axes[0].get_xlim()
