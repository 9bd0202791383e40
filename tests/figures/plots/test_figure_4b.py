"""Figure 4b: curve, ticks, mean and null are those of the rows, at any k and any number of neurons."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import no_probe_report, report_of

from provenance.db.reading.run_query import run_query
from provenance.figures.drawing import style
from provenance.figures.plots.figure_4b import figure_4b


def rows_of(ranks: list[float], *, neurons: int = 1000, **drift: Any) -> tuple[list[Any], list[Any], dict[str, Any]]:
    bins = [{"bin": i, "low": i / 10, "high": (i + 1) / 10, "neurons": neurons // 10} for i in range(10)]
    mean = float(np.mean(ranks)) if ranks else None
    null = {
        "null_mean": 0.52,
        "null_sd": 0.06,
        "ratio": 0.61,
        "decided_by": "layer_norm",
        "p_decides": 0.012,
        "k_compared": len(ranks),
    }
    values = {"k": len(ranks), "mean_rank": mean, **null, **drift}
    return [{"stability_rank": rank} for rank in ranks], bins, values


def artists(figure: Figure) -> dict[str, Any]:
    found = [a for axes in figure.axes for a in [*axes.lines, *axes.collections, *axes.texts]]
    return {artist.get_gid(): artist for artist in found if artist.get_gid()}


def test_the_curve_steps_at_each_h_neuron_by_one_over_k() -> None:
    drawn = artists(figure_4b(*rows_of([0.9, 0.2, 0.6, 0.7])))
    line = drawn["H-Neurons"]
    assert line.get_drawstyle() == "steps-post"
    assert list(line.get_xdata()) == [0, 0.2, 0.6, 0.7, 0.9, 1]
    assert list(line.get_ydata()) == [0, 0.25, 0.5, 0.75, 1, 1]


def test_all_neurons_come_as_cumulated_bins() -> None:
    ranks, bins, drift = rows_of([0.5])
    bins[0]["neurons"], bins[9]["neurons"] = 200, 0
    line = artists(figure_4b(ranks, bins, drift))["all neurons"]
    assert list(line.get_xdata()) == pytest.approx([i / 10 for i in range(11)])
    assert list(line.get_ydata()) == pytest.approx([0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1])


@pytest.mark.parametrize("k", [1, 12, 300])
def test_there_is_one_tick_an_h_neuron(k: int) -> None:
    ranks = np.linspace(0.01, 0.99, k).tolist()
    ticks = artists(figure_4b(*rows_of(ranks)))["ticks"]
    assert [segment[0][0] for segment in ticks.get_segments()] == pytest.approx(ranks)


def test_mean_and_null_are_drawn_where_the_rows_put_them() -> None:
    drawn = artists(figure_4b(*rows_of([0.6, 0.8])))
    assert drawn["mean"].get_xdata()[0] == pytest.approx(0.7)
    assert list(drawn["null mean"].get_xdata()) == [0.52, 0.52]
    box = drawn["null band"].get_paths()[0].get_extents()
    assert (box.x0, box.x1) == pytest.approx((0.52 - style.NORMAL_95 * 0.06, 0.52 + style.NORMAL_95 * 0.06))


def test_the_panel_says_first_what_decides_and_then_the_mean_rank() -> None:
    figure = figure_4b(*rows_of([0.6, 0.8]))
    said = figure.axes[0].get_legend().get_title().get_text()
    assert said == (
        "k = 2: 0.61 × the change of neurons\nof the same layers and norms, p = 0.012\n"
        "mean rank 0.70, of their layers 0.52"
    )
    tiny = figure_4b(*rows_of([0.6, 0.8], p_decides=0.0001))
    assert "p < 0.001" in tiny.axes[0].get_legend().get_title().get_text()


@pytest.mark.parametrize(("ranks", "upper"), [([0.9, 0.95, 0.97], True), ([0.05, 0.1, 0.2], False)])
def test_the_key_stands_on_the_side_that_the_curve_leaves_free(ranks: list[float], upper: bool) -> None:
    figure = figure_4b(*rows_of(ranks))
    with style.paper():
        figure.draw_without_rendering()
    axes = figure.axes[0]
    box = axes.get_legend().get_window_extent().transformed(axes.transData.inverted())
    x, y = (np.asarray(v) for v in artists(figure)["H-Neurons"].get_data())
    grid = np.linspace(max(box.x0, 0), min(box.x1, 1), 200)
    curve = y[np.searchsorted(x, grid, side="right") - 1]
    assert ((box.y0 + box.y1) / 2 > 0.5) == upper
    assert not ((curve > box.y0) & (curve < box.y1)).any()


def test_without_h_neurons_the_figure_says_no_power(stored: Any) -> None:
    url = stored(no_probe_report())
    ranks = run_query(url, "h-neuron-ranks").records()
    bins = run_query(url, "rank-bins").records()
    figure = figure_4b(ranks, bins, run_query(url, "drift").records()[0])
    drawn = artists(figure)
    assert "no power" in figure.axes[0].get_legend().get_title().get_text()
    assert "H-Neurons" not in drawn
    assert "mean" not in drawn


def test_the_figure_agrees_with_the_stored_report(stored: Any) -> None:
    report = report_of(k=12)
    url = stored(report)
    rows = run_query(url, "h-neuron-ranks").records()
    drift = run_query(url, "drift").records()[0]
    drawn = artists(figure_4b(rows, run_query(url, "rank-bins").records(), drift))
    assert drawn["mean"].get_xdata()[0] == report.drift.mean_rank
    expected = sorted(report.neuron_drift.stability_rank[report.identification.h_neurons])
    assert list(drawn["H-Neurons"].get_xdata()[1:-1]) == expected


def test_millions_of_neurons_add_no_artist() -> None:
    few, many = (figure_4b(*rows_of([0.5], neurons=n)) for n in (1000, 2_300_000))
    assert len(artists(few)) == len(artists(many))
    assert len(artists(many)["all neurons"].get_xdata()) == 11
