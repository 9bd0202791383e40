"""The nulls figure: each effect stands at its row's number, beside what chance alone gives."""

import numpy as np
import pytest
from artists import assert_inside, legend_of, named, tick_labels
from evidence_rows import drift_test

from provenance.db.reading.run_query import run_query
from provenance.figures.drawing import style
from provenance.figures.gallery import drawn
from provenance.figures.plots.nulls import figure_nulls, line_heights, outcome


def test_effects_intervals_bands_and_detectable_effects_are_those_of_the_query(finished: str) -> None:
    rows = run_query(finished, "drift-tests").records()
    found = named(figure_nulls(rows))
    assert len(rows) == 24
    for row in rows:
        name = f"{row['side']}:{row['measure']}:{row['matching']}"
        assert found[f"effect:{name}"].get_xdata()[0] == row["ratio"]
        assert list(found[f"interval:{name}"].get_xdata()) == [row["ratio_low"], row["ratio_high"]]
        band = found[f"band:{name}"]
        ends = np.exp([-style.NORMAL_95 * row["sd"], style.NORMAL_95 * row["sd"]])
        assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(tuple(ends))
        if row["smallest_detectable"] is None:
            assert f"detectable:{name}" not in found
        else:
            assert found[f"detectable:{name}"].get_xdata()[0] == row["smallest_detectable"]


@pytest.mark.parametrize(
    ("stable", "unstable", "said"), [(0.04, 0.96, "less"), (0.96, 0.04, "more"), (0.05, 0.95, "neither")]
)
def test_the_mark_says_whether_a_set_changed_less_or_more_than_like_neurons(
    stable: float, unstable: float, said: str
) -> None:
    row = drift_test(p_more_stable=stable, p_less_stable=unstable)
    assert outcome(row) == said
    words = {"more": "changed more", "less": "changed less", "neither": "not distinguishable"}
    shown = legend_of(figure_nulls([row]))
    assert [name for name, part in words.items() if any(part in line for line in shown)] == [said]


def test_measures_stand_above_their_matchings_and_alone_where_there_is_one() -> None:
    several = [drift_test(measure=m, matching=g) for m in ("delta", "gate") for g in ("layer", "layer_norm")]
    assert sorted(tick_labels(figure_nulls(several).axes[0])) == sorted(
        ["Δ up and down", "layer", "layer, norm", "Δ gate", "layer", "layer, norm"]
    )
    heights = line_heights([("delta", "layer"), ("delta", "layer_norm"), ("gate", "layer")])
    assert heights["delta", "layer"] == 1.0
    assert heights["gate", "layer"] > heights["delta", "layer_norm"] + 1
    one = [drift_test(), drift_test(measure="gate")]
    assert tick_labels(figure_nulls(one).axes[0]) == ["Δ up and down", "Δ gate"]
    assert line_heights([("delta", "layer"), ("gate", "layer")]) == {("delta", "layer"): 0.0, ("gate", "layer"): 1.0}


def test_each_side_has_a_panel_that_names_it_and_its_size() -> None:
    figure = figure_nulls([drift_test(k=31), drift_test("faithful", k=12)])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["H-Neurons, k = 31", "negative weights, k = 12"]
    assert len(figure_nulls([drift_test()]).axes) == 1


def test_a_measure_that_one_side_lacks_leaves_its_place_free() -> None:
    figure = figure_nulls([drift_test(), drift_test(measure="gate"), drift_test("faithful")])
    assert "effect:faithful:gate:layer" not in named(figure)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_an_effect_without_interval_has_a_point_alone() -> None:
    found = named(figure_nulls([drift_test(ratio_low=None, ratio_high=None)]))
    assert "effect:hallucinated:delta:layer" in found
    assert "interval:hallucinated:delta:layer" not in found


def test_nothing_is_cut_off(finished: str) -> None:
    assert_inside(figure_nulls(run_query(finished, "drift-tests").records()))
    assert_inside(figure_nulls([drift_test(ratio=0.02, ratio_low=0.01, ratio_high=3.0)]))


def test_the_caption_names_what_was_matched_on_and_only_measures_that_there_are(finished: str) -> None:
    figure = next(figure for figure in drawn(finished) if figure.spec.name == "figure_nulls")
    words = figure.caption
    assert "correlation of activations" in words[1]
    assert words[2] == (
        "H-Neurons, Δ up and down, matched on layer: 0.70 [0.50, 0.90] times the change of like neurons (SD of the "
        "logarithm 0.204), k = 6, one-sided p 0.020 for less, 0.980 for more; largest detectable factor 0.54."
    )
    assert any(line.endswith("largest detectable factor none.") for line in words)


def test_the_caption_of_weights_alone_mentions_no_activations(stored: object) -> None:
    from dataclasses import replace

    from synthetic import weights_report_of

    report = weights_report_of()
    weighed = tuple(test for test in report.drift_tests if (test.measure, test.matching) == ("delta", "layer"))
    figure = drawn(stored(replace(report, drift_tests=weighed)))[1]
    assert figure.spec.name == "figure_nulls"
    assert "activations" not in figure.caption[0]
    assert "No forward pass was run" in figure.caption[0]
