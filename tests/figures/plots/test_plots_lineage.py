"""The lineage figure: every line and band is 1 - cosine of the rows, and what did not change is seen as zero."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import lineage_of

from provenance.db.reading.run_query import run_query
from provenance.figures.drawing import style
from provenance.figures.plots.lineage import drawn_kinds, figure_lineage
from provenance.figures.tables.lineage import by_kind


def row_of(kind: str = "up", layer: int | None = 0, change: float | None = 1e-5, **other: Any) -> dict[str, Any]:
    cosines = {"cosine_low": None, "cosine_median": None, "cosine_high": None}
    if change is not None:
        cosines = {"cosine_low": 1 - 4 * change, "cosine_median": 1 - change, "cosine_high": 1 - change / 4}
    return {"kind": kind, "layer": layer, "n_rows": 100, "n_identical_rows": 0, **cosines, **other}


def rows_of(changes: list[float | None], kind: str = "up") -> list[dict[str, Any]]:
    return [row_of(kind, layer, change) for layer, change in enumerate(changes)]


def artists(figure: Figure) -> dict[str, Any]:
    found = [a for axes in figure.axes for a in [*axes.lines, *axes.collections, *axes.patches]]
    return {artist.get_gid(): artist for artist in found if artist.get_gid()}


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]


def tick_words(figure: Figure) -> list[str]:
    with style.paper():
        figure.draw_without_rendering()
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_the_line_is_one_minus_the_median_cosine_by_layer() -> None:
    drawn = artists(figure_lineage(rows_of([1e-5, 3e-5, 2e-4]), None))
    assert list(drawn["median:up"].get_xdata()) == [0, 1, 2]
    assert drawn["median:up"].get_ydata() == pytest.approx([1e-5, 3e-5, 2e-4], rel=1e-9)


def test_the_band_reaches_from_the_least_to_the_most_changed_rows() -> None:
    vertices = artists(figure_lineage(rows_of([1e-5, 3e-5]), None))["band:up"].get_paths()[0].vertices
    at_first = vertices[vertices[:, 0] == 0][:, 1]
    assert (at_first.min(), at_first.max()) == pytest.approx((2.5e-6, 4e-5), rel=1e-6)


def test_layers_are_drawn_in_their_order_whatever_the_order_of_rows() -> None:
    rows = rows_of([1e-5, 3e-5, 2e-4])[::-1]
    assert list(artists(figure_lineage(rows, None))["median:up"].get_xdata()) == [0, 1, 2]


def test_the_figure_agrees_with_the_stored_lineage(stored: Any) -> None:
    lineage = lineage_of()
    figure = figure_lineage(run_query(stored(lineage), "lineage-tensors").records(), None)
    drawn = artists(figure)
    for kind in ("gate", "up", "down", "self_attn.q_proj", "self_attn.o_proj"):
        expected = [1 - tensor.cosine_median for tensor in lineage.tensors if tensor.kind == kind]
        assert drawn[f"median:{kind}"].get_ydata().tolist() == expected
    assert titles(figure) == ["gate", "up", "down", "self_attn.q_proj", "self_attn.o_proj"]


def test_layers_that_did_not_change_are_open_points_at_a_tick_named_zero_and_break_the_line() -> None:
    figure = figure_lineage(rows_of([1e-5, 0.0, 0.0, 2e-5]), None)
    drawn = artists(figure)
    assert np.isnan(drawn["median:up"].get_ydata()).tolist() == [False, True, True, False]
    assert list(drawn["same:up"].get_xdata()) == [1, 2]
    height = drawn["same:up"].get_ydata()[0]
    bottom, top = figure.axes[0].get_ylim()
    assert bottom < height < 2.5e-6 < top
    assert tick_words(figure)[0] == "0"
    assert figure.axes[0].get_yticks()[0] == height
    assert "strip:up" in drawn


def test_without_an_unchanged_layer_there_is_no_zero() -> None:
    figure = figure_lineage(rows_of([1e-5, 2e-5]), None)
    assert "0" not in tick_words(figure)
    assert "strip:up" not in artists(figure)


def test_the_same_model_twice_is_all_zeros() -> None:
    figure = figure_lineage(rows_of([0.0, 0.0, 0.0]), 2.5e-6)
    drawn = artists(figure)
    assert list(drawn["same:up"].get_xdata()) == [0, 1, 2]
    assert np.isnan(drawn["median:up"].get_ydata()).all()
    assert tick_words(figure)[0] == "0"


def test_rows_that_changed_in_a_layer_whose_median_did_not_are_still_seen() -> None:
    some = {**row_of("up", 1, 0.0), "cosine_low": 1 - 3e-4}
    drawn = artists(figure_lineage([row_of("up", 0, 1e-5), some, row_of("up", 2, 1e-5)], None))
    bars = {segment[0][0]: segment[1][1] for segment in drawn["bars:up"].get_segments()}
    assert bars[1] == pytest.approx(3e-4)


def test_a_layer_without_a_cosine_is_a_gap() -> None:
    drawn = artists(figure_lineage(rows_of([1e-5, None, 3e-5]), None))
    assert np.isnan(drawn["median:up"].get_ydata()).tolist() == [False, True, False]
    assert list(drawn["same:up"].get_xdata()) == []


def test_one_layer_is_a_point_with_its_range() -> None:
    figure = figure_lineage(rows_of([1e-5]), None)
    drawn = artists(figure)
    assert drawn["median:up"].get_marker() == "o"
    assert len(drawn["bars:up"].get_segments()) == 1
    assert set(figure.axes[0].get_xticks()) <= {-1, 0, 1}


def test_what_rounding_alone_can_cause_is_drawn_where_the_axis_is_near_it() -> None:
    near = figure_lineage(rows_of([1e-5, 2e-5]), 4e-7)
    assert list(artists(near)["rounding:up"].get_ydata()) == [4e-7, 4e-7]
    assert near.axes[0].get_ylim()[0] < 4e-7
    far = figure_lineage(rows_of([1e-5, 2e-5]), 6e-16)
    assert "rounding:up" not in artists(far)
    assert far.axes[0].get_ylim()[0] > 1e-7


def test_strangers_lie_at_one_and_the_axis_holds_them() -> None:
    figure = figure_lineage(rows_of([0.99, 1.02]), None)
    assert figure.axes[0].get_ylim()[1] > 1.02
    assert figure.axes[0].get_yscale() == "log"


def test_the_mlp_comes_first_and_vectors_and_tensors_outside_layers_have_no_panel() -> None:
    rows = [
        *rows_of([1e-5], "self_attn.q_proj"),
        *rows_of([1e-5], "down"),
        *rows_of([1e-5], "gate"),
        row_of("input_layernorm", 0, 1e-5, n_rows=1),
        row_of("embed_tokens", None),
        row_of("rotary", 0, None),
    ]
    assert drawn_kinds(rows) == ["gate", "down", "self_attn.q_proj"]


@pytest.mark.parametrize("n_kinds", [1, 2, 5, 7, 30])
def test_any_number_of_kinds_fits_and_nothing_is_cut_off(n_kinds: int) -> None:
    rows = [row for i in range(n_kinds) for row in rows_of([1e-5, 2e-5], f"vision_tower.k_{i}_$x^{{2$_proj")]
    figure = figure_lineage(rows, None)
    assert len(titles(figure)) == min(n_kinds, 12)
    assert figure.get_figheight() < 4
    with style.paper():
        figure.draw_without_rendering()  # mathematics in a name would fail here
    for axes in figure.axes:
        box = axes.get_tightbbox() if axes.get_visible() else figure.bbox
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1


def test_many_layers_add_no_artist() -> None:
    few, many = (figure_lineage(rows_of([1e-5] * n), None) for n in (2, 126))
    assert len(artists(few)) == len(artists(many))


def test_kinds_are_summed_up_by_their_definition() -> None:
    rows = [row_of("up", 0, 1e-5, n_identical_rows=10), row_of("up", 1, 4e-5), row_of("up", 2, 3e-5), row_of("x", None)]
    up, other = by_kind(rows)
    assert (up["tensors"], up["n_rows"], up["share_identical"]) == (3, 300, 10 / 300)
    assert [up[name] for name in ("change_low", "change", "change_high")] == pytest.approx([1e-5, 3e-5, 4e-5], rel=1e-9)
    assert (other["kind"], other["tensors"]) == ("x", 1)


def test_a_kind_without_any_cosine_has_no_numbers() -> None:
    (found,) = by_kind([row_of("counts", None, None, n_rows=0)])
    assert (found["change"], found["share_identical"]) == (None, None)
