"""The drift figure: every line and band is 1 - cosine of a layer's neurons, as the database holds it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import PER_LAYER, pruned_weights_report, weights_report_of

from provenance.db.reading.run_query import run_query
from provenance.figures.plots.drift import figure_drift

PARTS = {"low": 0.25, "median": 1, "high": 4}


def rows_of(medians: list[float], kind: str = "up") -> list[dict[str, Any]]:
    return [
        {"kind": kind, "layer": layer, **{f"cosine_distance_{part}": m * factor for part, factor in PARTS.items()}}
        for layer, m in enumerate(medians)
    ]


def artists(figure: Figure) -> dict[str, Any]:
    found = [a for axes in figure.axes for a in [*axes.lines, *axes.collections, *axes.patches]]
    return {artist.get_gid(): artist for artist in found if artist.get_gid()}


def test_line_and_band_are_the_layers_percentiles() -> None:
    drawn = artists(figure_drift(rows_of([1e-5, 3e-5]), None))
    assert drawn["median:up"].get_ydata().tolist() == [1e-5, 3e-5]
    vertices = drawn["band:up"].get_paths()[0].vertices
    at_first = vertices[vertices[:, 0] == 0][:, 1]
    assert (at_first.min(), at_first.max()) == pytest.approx((2.5e-6, 4e-5))


def test_the_figure_agrees_with_the_stored_drift(stored: Any) -> None:
    report = replace(weights_report_of(k=0), lineage=None)
    figure = figure_drift(run_query(stored(report), "drift-by-layer").records(), None)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["gate", "up", "down"]
    for kind in ("gate", "up", "down"):
        deltas = getattr(report.neuron_drift, f"delta_{kind}").reshape(-1, PER_LAYER)
        expected = np.quantile(deltas, 0.5, axis=1, method="inverted_cdf").tolist()
        assert artists(figure)[f"median:{kind}"].get_ydata().tolist() == expected


def test_a_layer_without_counterparts_has_no_point(stored: Any) -> None:
    figure = figure_drift(run_query(stored(pruned_weights_report()), "drift-by-layer").records(), None)
    assert list(artists(figure)["median:up"].get_xdata()) == [0, 2, 3]


def test_a_cosine_a_rounding_error_above_one_is_no_change() -> None:
    drawn = artists(figure_drift(rows_of([1e-5, -1e-16, 2e-5]), None))
    assert list(drawn["same:up"].get_xdata()) == [1]


def test_what_rounding_alone_can_cause_is_drawn() -> None:
    assert list(artists(figure_drift(rows_of([1e-5]), 4e-7))["rounding:up"].get_ydata()) == [4e-7, 4e-7]
