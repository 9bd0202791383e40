"""The path figure: every point and band is a row of the query, and what was not measured is not drawn."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import SETS, no_power_of, report_of, transfer_of
from synthetic_probe import CURVE

from provenance.db.reading.run_query import run_query
from provenance.figures.drawing import style
from provenance.figures.drawing.path_panels import MAX_PANELS, drawn_sets, figure_path, left_out
from provenance.figures.gallery import drawn

CS = (0.01, 0.1, 1.0, 10.0, 100.0)
KS = (0, 2, 9, 9, 40)


def curve_rows(name: str = "set", n: int = 5, *, chosen: int = 2, **missing: None) -> list[dict[str, Any]]:
    """A curve of which any column may be missing everywhere."""
    rows = []
    for at, (C, k) in enumerate(list(zip(CS, KS, strict=True))[:n]):
        row = {"stage": "instruct", "dataset": name, "c": C, "n_positive": k, "n_nonzero": k, "is_chosen": at == chosen}
        for column, value in (("accuracy", 0.6 + at / 20), ("auroc", 0.7 + at / 20), ("transfer", 0.55 + at / 20)):
            low, high = value - 0.05, value + 0.04
            row |= {column: value, f"{column}_low": low, f"{column}_high": high}
        rows.append(row | {f"{column}{part}": None for column in missing for part in ("", "_low", "_high")})
    return rows


def no_class(name: str) -> list[dict[str, Any]]:
    return curve_rows(name, accuracy=None, auroc=None, transfer=None)


def random_of(name: str = "set", auroc: float | None = 0.6) -> dict[str, Any]:
    return {"stage": "instruct", "dataset": name, "kind": "random", "auroc": auroc, "n_draws": 100}


def artists(figure: Figure) -> dict[str, Any]:
    found = [a for axes in figure.axes for a in [*axes.lines, *axes.collections, *axes.texts]]
    return {artist.get_gid(): artist for artist in found if artist.get_gid()}


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def rendered(figure: Figure) -> Figure:
    with style.paper():
        figure.draw_without_rendering()
    return figure


def test_points_and_bands_are_those_of_the_query(finished: str) -> None:
    rows = [row for row in run_query(finished, "probe-curve").records() if row["stage"] == "instruct"]
    levels = run_query(finished, "baselines").records()
    found = artists(figure_path(rows, levels, run_query(finished, "transfer").records()))
    for name in SETS:
        part = [row for row in rows if row["dataset"] == name]
        for column in ("accuracy", "auroc", "transfer"):
            line = found[f"{column}:{name}"]
            assert line.get_xdata().tolist() == [row["c"] for row in part] == [C for C, _ in CURVE]
            assert line.get_ydata().tolist() == [row[column] for row in part]
            vertices = found[f"{column} band:{name}"].get_paths()[0].vertices
            for row in part:
                at = vertices[np.isclose(vertices[:, 0], row["c"]), 1]
                assert (at.min(), at.max()) == pytest.approx((row[f"{column}_low"], row[f"{column}_high"]))
        assert found[f"chosen:{name}"].get_xdata()[0] == 1.0
        assert set(found[f"random:{name}"].get_ydata()) == {0.6}


def test_the_base_probe_is_not_mixed_in(finished: str) -> None:
    rows = run_query(finished, "probe-curve").records()
    assert {row["stage"] for row in rows} == {"instruct", "base"}
    line = artists(figure_path(rows, [], []))[f"auroc:{SETS[0]}"]
    assert len(line.get_xdata()) == len(CURVE)


def test_labels_below_are_numbers_of_h_neurons_and_the_chosen_one_is_bold() -> None:
    figure = rendered(figure_path(curve_rows(), [], []))
    labels = figure.axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == [str(k) for k in KS]
    assert [label.get_fontweight() for label in labels] == ["normal", "normal", "bold", "normal", "normal"]
    assert figure.axes[0].get_xticks().tolist() == list(CS)


def test_a_long_path_shows_some_labels_the_chosen_one_among_them() -> None:
    rows = [row | {"c": row["c"] * 2.0**at} for at in range(4) for row in curve_rows(chosen=2 if at == 1 else -1)]
    rows = [row | {"n_positive": at} for at, row in enumerate(sorted(rows, key=lambda row: row["c"]))]
    chosen = next(row["n_positive"] for row in rows if row["is_chosen"])
    labels = [label.get_text() for label in rendered(figure_path(rows, [], [])).axes[0].get_xticklabels()]
    assert str(chosen) in labels
    assert len(labels) <= 5


def test_sets_without_both_classes_have_no_panel_and_at_most_three_have_one() -> None:
    rows = [*no_class("empty"), *(row for i in range(5) for row in curve_rows(f"set {i}"))]
    assert drawn_sets(rows) == ["set 0", "set 1", "set 2"]
    assert left_out(rows) == (2, ["empty"])
    found = artists(figure_path(rows, [], []))
    assert not [gid for gid in found if "empty" in gid]
    assert len([gid for gid in found if gid.startswith("auroc:")]) == MAX_PANELS


def test_missing_transfer_is_no_line_and_not_in_the_legend() -> None:
    figure = figure_path(curve_rows(transfer=None), [], [])
    assert not [gid for gid in artists(figure) if gid.startswith("transfer")]
    assert not [words for words in legend_of(figure) if "base model" in words]
    assert [words for words in legend_of(figure_path(curve_rows(), [], [])) if "base model" in words]


def test_a_transfer_without_power_is_words_and_no_line() -> None:
    silent = {"dataset": "set", "auroc": 0.9, "verdict": "no power", "n_faithful": 2, "n_hallucinated": 37}
    found = artists(figure_path(curve_rows(), [], [silent]))
    assert not [gid for gid in found if gid.startswith("transfer")]
    assert found["no power:set"].get_text() == "base model’s answers:\nno power: 2 faithful, 37 hallucinated"
    assert "transfer:set" in artists(figure_path(curve_rows(), [], [silent | {"verdict": "supported"}]))


def test_a_single_point_has_a_bar_since_a_band_needs_two() -> None:
    figure = rendered(figure_path(curve_rows(n=1, chosen=0), [], []))
    bars = artists(figure)["auroc bars:set"].get_segments()
    assert bars[0].tolist() == [[0.01, pytest.approx(0.65)], [0.01, pytest.approx(0.74)]]
    assert len(artists(rendered(figure_path(curve_rows(), [], [])))["auroc bars:set"].get_segments()) == 0


def test_a_gap_in_a_curve_is_a_gap_and_no_straight_line_across() -> None:
    rows = curve_rows()
    rows[1] |= {"auroc": None, "auroc_low": None, "auroc_high": None}
    found = artists(rendered(figure_path(rows, [], [])))
    assert np.isnan(found["auroc:set"].get_ydata()).tolist() == [False, True, False, False, False]
    assert [segment[0][0] for segment in found["auroc bars:set"].get_segments()] == [0.01]


def test_points_without_any_h_neuron_are_drawn_where_their_c_is() -> None:
    line = artists(figure_path(curve_rows(), [], []))["auroc:set"]
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (0.01, 0.7)


def test_without_a_chosen_c_or_a_random_level_neither_is_drawn_nor_named() -> None:
    figure = figure_path(curve_rows(chosen=-1), [random_of(auroc=None), random_of("elsewhere")], [])
    assert not [gid for gid in artists(figure) if gid.startswith(("chosen", "random"))]
    assert legend_of(figure) == [
        "AUROC, own held-out answers", "accuracy, own held-out answers", "AUROC, base model’s answers", "chance (0.5)"
    ]  # fmt: skip
    full = legend_of(figure_path(curve_rows(), [random_of()], []))
    assert {"chosen C (k in bold)", "AUROC, random neurons, mean"} <= set(full)


def test_the_axis_holds_intervals_and_levels_below_chance() -> None:
    low = [row | {"transfer": 0.2, "transfer_low": 0.1} for row in curve_rows()]
    assert figure_path(low, [], []).axes[0].get_ylim()[0] < 0.1
    assert figure_path(curve_rows(), [random_of(auroc=0.3)], []).axes[0].get_ylim()[0] < 0.3


@pytest.mark.parametrize("n_sets", [1, 2, 3])
def test_nothing_is_cut_off_with_any_number_of_sets_or_long_names(n_sets: int) -> None:
    names = ["W" * 60, "cities_$x^{2$_&_é", "BioASQ factoid questions, Task 13b, golden enriched, and more"][:n_sets]
    figure = rendered(figure_path([row for name in names for row in curve_rows(name)], [], []))
    whole = figure.bbox
    titles = [axes.title if axes.title.get_text() else axes._left_title for axes in figure.axes[:n_sets]]
    for artist in [*titles, *figure.legends[0].get_texts(), *figure.axes[0].get_xticklabels()]:
        box = artist.get_window_extent()
        assert whole.x0 - 1 <= box.x0 <= box.x1 <= whole.x1 + 1, artist.get_text()
        assert whole.y0 - 1 <= box.y0 <= box.y1 <= whole.y1 + 1, artist.get_text()
    assert figure.get_figwidth() == (style.column_in() if n_sets == 1 else style.page_in())


def test_labels_of_h_neurons_do_not_touch_in_three_panels() -> None:
    rows = [
        row | {"n_positive": 100_000 + at} for at, row in enumerate(r for i in range(3) for r in curve_rows(f"{i}"))
    ]
    figure = rendered(figure_path(rows, [], []))
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_the_caption_gives_n_k_interval_null_rule_and_the_range_over_the_path(stored: Any) -> None:
    figure = next(each for each in drawn(stored(report_of())) if each.spec.name == "figure_path")
    lede, more, first, second, last = figure.caption
    assert "the sparsest probe within one standard error of the best cross-validated accuracy" in lede
    assert "Dotted: mean AUROC of 3 probes on as many random neurons as the chosen probe has weights (7)" in more
    assert "95 % interval by question" in lede
    assert more.endswith("The path ends where a probe separates all its training rows.")
    assert first.startswith(
        "in-domain: n = 200 faithful + 200 hallucinated; at the chosen C = 1, k = 6: AUROC 0.88 [0.85, 0.91]; "
        "accuracy 0.81 [0.78, 0.84]; over 4 C, k from 0 to 20: AUROC 0.50 to 0.88; on the base model’s answers "
        "n = 200 faithful + 180 hallucinated, AUROC 0.76 [0.71, 0.81], over all C 0.50 to 0.76"
    )
    assert second.startswith("other-domain: ")
    assert last.startswith("Drawn from run 1")


def test_the_caption_counts_what_has_no_panel(stored: Any) -> None:
    rng = np.random.default_rng(0)
    sets = tuple(transfer_of(name, 0.8, rng) for name in "abcd")
    figure = next(
        each for each in drawn(stored(report_of((*sets, no_power_of("e"))))) if each.spec.name == "figure_path"
    )
    words = " ".join(figure.caption)
    assert "2 more question sets have no panel (at most 3); see the table." in words
    table = figure.spec.table(figure.parts)
    assert [row[0] for row in table.rows] == [name for name in "abcde" for _ in CURVE]
    assert [row[5] for row in table.rows[-4:]] == ["–"] * 4
    assert [row[1] for row in table.rows[:4]] == ["0.01", "0.1", "1*", "10"]
