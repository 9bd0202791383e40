"""The nulls figure: each effect stands at its row's number, beside what chance alone gives."""

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
        assert found[f"effect:{name}"].get_xdata()[0] == row["effect"]
        assert list(found[f"interval:{name}"].get_xdata()) == [row["effect_low"], row["effect_high"]]
        band = found[f"band:{name}"]
        assert band.get_x() == pytest.approx(-style.NORMAL_95 * row["null_sd"])
        assert band.get_width() == pytest.approx(2 * style.NORMAL_95 * row["null_sd"])
        if row["smallest_detectable"] is None:
            assert f"detectable:{name}" not in found
        else:
            least = row["smallest_detectable"] - row["null_mean"]
            assert found[f"detectable:{name}"].get_xdata()[0] == pytest.approx(least)


@pytest.mark.parametrize(
    ("more", "less", "said"), [(0.04, 0.96, "more"), (0.96, 0.04, "less"), (0.05, 0.95, "neither")]
)
def test_the_mark_says_whether_a_set_is_more_or_less_stable_than_matched_ones(
    more: float, less: float, said: str
) -> None:
    row = drift_test(p_more_stable=more, p_less_stable=less)
    assert outcome(row) == said
    words = {"more": "more stable", "less": "less stable", "neither": "not distinguishable"}
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
    found = named(figure_nulls([drift_test(effect_low=None, effect_high=None)]))
    assert "effect:hallucinated:delta:layer" in found
    assert "interval:hallucinated:delta:layer" not in found


def test_nothing_is_cut_off(finished: str) -> None:
    assert_inside(figure_nulls(run_query(finished, "drift-tests").records()))
    assert_inside(figure_nulls([drift_test(effect=-0.45, effect_low=-0.5, effect_high=-0.4)]))


def test_the_caption_names_what_was_matched_on_and_only_measures_that_there_are(finished: str) -> None:
    figure = next(figure for figure in drawn(finished) if figure.spec.name == "figure_nulls")
    words = figure.caption
    assert "norm and mean CETT: 10 quantiles within the layer, in the base" in words[0]
    assert "correlation of activations" in words[0]
    assert words[1] == (
        "H-Neurons, Δ up and down, matched on layer: mean rank 0.700, null 0.520 (SD 0.122), effect 0.180 [0.060, "
        "0.300], k = 6, one-sided p 0.020 for more stable, 0.980 for less; smallest detectable mean rank 0.740."
    )
    assert any(line.endswith("smallest detectable mean rank none.") for line in words)


def test_the_caption_of_weights_alone_mentions_no_activations(stored: object) -> None:
    from dataclasses import replace

    from synthetic import weights_report_of

    report = weights_report_of()
    weighed = tuple(test for test in report.drift_tests if (test.measure, test.matching) == ("delta", "layer"))
    figure = drawn(stored(replace(report, drift_tests=weighed)))[1]
    assert figure.spec.name == "figure_nulls"
    assert "activations" not in figure.caption[0]
    assert "quantiles" not in figure.caption[0]
    assert "No forward pass was run" in figure.caption[0]
