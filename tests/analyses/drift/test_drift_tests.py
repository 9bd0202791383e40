"""Drift tests find planted stability, and are fooled by nothing that neurons are matched on."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest
from scipy.stats import t as student

from provenance.analyses.claims.claim_conditions import judged_drift
from provenance.analyses.drift.drift_nulls import drift_strata
from provenance.analyses.drift.drift_tests import changes, compared, drift_tests, norm_change
from provenance.analyses.drift.relative_change import relative_change
from provenance.analyses.drift.stability_ranks import stability_rank, z_scores
from provenance.analyses.drift.weight_drift import DETECTABLE_SDS, mean_with_interval, summarise_drift, welch_p
from provenance.analyses.results.drift import DriftResult, DriftTest, NeuronDrift, ProbeSide
from provenance.errors import PairError

LAYERS, D_M = 4, 320
D = LAYERS * D_M
DRAWS = 500


def drift_of(
    delta: np.ndarray, *, gate: np.ndarray | None = None, up: np.ndarray | None = None, grown: float = 1.0
) -> NeuronDrift:
    """A drift of given Delta; weights grow by a factor in both projections."""
    ones = np.ones(delta.size)
    norm_up = ones if up is None else up
    rank = np.full(delta.size, np.nan)
    rank[~np.isnan(delta)] = stability_rank(delta[~np.isnan(delta)])
    return NeuronDrift(
        gate, delta, delta, delta, rank, norm_up, norm_up * grown, ones, ones * grown, np.zeros(delta.size, bool), 1e-16
    )


def measured(
    drift: NeuronDrift, h: np.ndarray, activity: np.ndarray | None = None, seed: int = 0
) -> tuple[DriftTest, ...]:
    return drift_tests(drift, {"hallucinated": h}, activity, None, LAYERS, D_M, draws=DRAWS, seed=seed)


def judged(result: DriftResult, tests: tuple[DriftTest, ...]) -> DriftResult:
    """With its verdict, all H-Neurons being the same neurons in both models."""
    return judged_drift(result, tests, "", 1.0)[0]


def of_delta(tests: tuple[DriftTest, ...]) -> tuple[DriftTest, DriftTest]:
    layer, finest = (test for test in tests if test.measure == "delta")
    return layer, finest


def of_two(
    drift: NeuronDrift, first: np.ndarray, second: np.ndarray, activity: np.ndarray, seed: int
) -> list[tuple[DriftTest, DriftTest]]:
    """The tests of Delta of two sets; ranks, and trends in them, are worked out once for both."""
    sides: dict[ProbeSide, np.ndarray] = {"hallucinated": first, "faithful": second}
    tests = drift_tests(drift, sides, activity, None, LAYERS, D_M, draws=199, seed=seed)
    return [
        of_delta(tuple(replace(test, side="hallucinated") for test in tests if test.side == side)) for side in sides
    ]


def test_there_is_a_test_for_every_side_measure_and_matching() -> None:
    rng = np.random.default_rng(0)
    drift = drift_of(rng.random(D), gate=rng.random(D))
    sides: dict[ProbeSide, np.ndarray] = {"hallucinated": np.arange(0, 90, 9), "faithful": np.arange(1, 50, 7)}
    found = drift_tests(drift, sides, rng.random(D), rng.random(D), LAYERS, D_M, draws=20)
    assert [(t.side, t.measure, t.matching) for t in found] == [
        (side, measure, matching)
        for side in ("hallucinated", "faithful")
        for measure in ("delta", "gate", "norm", "functional")
        for matching in ("layer", "layer_norm_activity")
    ]
    bare = drift_tests(drift_of(rng.random(D)), {"faithful": np.arange(4)}, None, None, LAYERS, D_M, draws=20)
    assert [(t.measure, t.matching) for t in bare] == [
        (measure, matching) for measure in ("delta", "norm") for matching in ("layer", "layer_norm")
    ]
    none = np.empty(0, dtype=np.int64)
    assert drift_tests(drift, {"hallucinated": none}, None, None, LAYERS, D_M, draws=20) == ()


def test_the_numbers_are_those_of_the_definition() -> None:
    """Neuron by neuron, without those that are not known; T by `relative_change`, which has tests of its own."""
    rng = np.random.default_rng(1)
    delta, activity = rng.exponential(size=D), rng.random(D)
    delta[[5, 700]], activity[[9, 701]] = np.nan, np.nan
    drift, h = drift_of(delta, up=rng.random(D)), np.array([5, 9, 30, 31, 650, 900, 1200])
    by_layer, finest_cells = drift_strata(drift, activity, D_M)
    assert len(finest_cells.covariates) == 3
    layer, finest = of_delta(measured(drift, h, activity))
    for test, strata, left in (
        (layer, by_layer, [9, 30, 31, 650, 900, 1200]),
        (finest, finest_cells, [30, 31, 650, 900, 1200]),
    ):
        found = relative_change(np.log(delta), strata, h, D_M, draws=DRAWS, seed=0)
        assert found is not None
        effect = np.mean(found.effects)
        spread = np.hypot(np.std(found.effects, ddof=1) / np.sqrt(len(left)), found.fit_sd)
        half = student.ppf(0.975, len(left) - 1) * spread
        assert (test.ratio.estimate, test.ratio.low, test.ratio.high) == pytest.approx(
            tuple(np.exp([effect, effect - half, effect + half])), rel=1e-9
        )
        assert test.smallest_detectable == pytest.approx(np.exp(-DETECTABLE_SDS * found.sd), rel=1e-9)
        assert test.p_more_stable == (1 + (found.drawn <= found.observed).sum()) / (1 + DRAWS)
        assert test.p_less_stable == (1 + (found.drawn >= found.observed).sum()) / (1 + DRAWS)
        known = delta[~np.isnan(delta)]
        z_all = [(delta[j] - known.mean()) / known.std() for j in left]
        inside = [delta[j // D_M * D_M :][:D_M] for j in left]
        z_layer = [(delta[j] - np.nanmean(part)) / np.nanstd(part) for j, part in zip(left, inside, strict=True)]
        assert test.k == test.ratio.n == len(left)
        assert test.mean_rank == pytest.approx(drift.stability_rank[left].mean(), rel=1e-12)
        assert test.z_all == pytest.approx(np.mean(z_all), rel=1e-9)
        assert test.z_layer == pytest.approx(np.mean(z_layer), rel=1e-9)
    assert layer.ratio.estimate != pytest.approx(finest.ratio.estimate, rel=1e-3)
    assert layer.z_layer != pytest.approx(layer.z_all, rel=1e-3)


@pytest.mark.costly
def test_p_values_are_uniform_when_the_set_is_like_the_others() -> None:
    rng = np.random.default_rng(3)
    drift, activity = drift_of(rng.random(D) + np.repeat(np.arange(LAYERS), D_M)), rng.random(D)
    pairs = []
    for repeat in range(100):
        first, second = (rng.choice(D, size=12, replace=False) for _ in range(2))
        both = of_two(drift, first, second, activity, seed=repeat)
        pairs += [[test.p_more_stable for test in tests] for tests in both]
    for p_values in np.array(pairs).T:
        assert kstest(p_values, "uniform").pvalue > 0.01
        assert 0.01 < np.mean(p_values < 0.05) < 0.1


def test_planted_stability_is_found_by_every_matching_and_decides() -> None:
    rng = np.random.default_rng(4)
    h, supported = np.arange(7, D, 60), 0
    for repeat in range(20):
        delta = rng.exponential(size=D)
        delta[h] *= 0.3
        drift = drift_of(delta, up=rng.random(D))
        summary = summarise_drift(drift, h, LAYERS, D_M)
        result = judged(summary, measured(drift, h, rng.random(D), seed=repeat))
        supported += result.verdict == "supported"
        assert "times as much as neurons of the same layers, weight norms and activities, p = " in result.reason
        assert replace(result, verdict=summary.verdict, reason=summary.reason) == summary  # numbers stay
    assert supported >= 18


def test_a_layer_trend_alone_fools_an_unmatched_test_and_no_matched_one() -> None:
    rng = np.random.default_rng(5)
    delta = np.exp(rng.random(D) + np.repeat([3.0, 2.0, 1.0, 0.0], D_M))
    h = 3 * D_M + rng.choice(D_M, size=15, replace=False)  # all in the layer that changed least
    drift = drift_of(delta)
    unmatched = welch_p(drift.stability_rank, h)
    assert unmatched is not None
    assert unmatched < 1e-6
    for test in of_delta(measured(drift, h, rng.random(D))):
        assert test.p_more_stable > 0.05
        assert 0.7 < test.ratio.estimate < 1.4
        assert test.mean_rank > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("by", ["norm", "activity"])
@pytest.mark.parametrize("steepness", [1.0, 2.0])
def test_a_trend_within_layers_fools_the_layer_matched_test_and_not_the_finest(by: str, steepness: float) -> None:
    """Neurons with large weights, or busy ones, change less; sets lean towards such neurons, and change as they do."""
    rng = np.random.default_rng(6)
    norm, activity = rng.lognormal(size=(2, D))
    trend = np.log(norm if by == "norm" else activity)
    drift = drift_of(np.exp(-trend + 0.5 * rng.normal(size=D)), up=norm)
    odds = np.exp(steepness * trend)
    fooled = passed = 0
    sets = [rng.choice(D, size=12, replace=False, p=odds / odds.sum()) for _ in range(60)]
    pairs = zip(sets[::2], sets[1::2], strict=True)
    found = [tests for seed, pair in enumerate(pairs) for tests in of_two(drift, *pair, activity, seed)]
    for h, (layer, finest) in zip(sets, found, strict=True):
        fooled += layer.p_more_stable < 0.05
        passed += finest.p_more_stable < 0.05
        summary = summarise_drift(drift, h, LAYERS, D_M, draws=9)
        decided = judged(summary, (layer, finest)).verdict
        assert (decided == "supported") == (max(layer.p_more_stable, finest.p_more_stable) < 0.05)
    assert fooled >= 45
    assert passed <= 7  # 3 expected of 60 at 5 %, SD 1.7


def test_neurons_that_changed_more_are_said_to() -> None:
    delta = np.random.default_rng(7).exponential(size=D)
    h = np.argsort(delta)[-12:]
    drift = drift_of(delta)
    result = judged(summarise_drift(drift, h, LAYERS, D_M), measured(drift, h))
    assert result.verdict == "not distinguishable"
    assert "they changed more than others: p = 0.002 against neurons of the same layers" in result.reason
    calm = judged(summarise_drift(drift, h - 1, LAYERS, D_M), measured(drift, np.argsort(delta)[:5]))
    assert "changed more than others" not in calm.reason


def test_neurons_that_differ_in_nothing_but_what_they_are_matched_on_leave_no_power() -> None:
    """The layer-matched test is passed, and among like neurons there is nothing to find."""
    activity = np.tile(np.arange(D_M), LAYERS).astype(float)
    delta = np.where(activity >= D_M * 0.75, 1e-16, 1.0)  # the busiest quarter did not change
    h = np.array([300, 310, 630, 950, 1270])
    drift = drift_of(delta)
    summary = summarise_drift(drift, h, LAYERS, D_M)
    tests = measured(drift, h, activity)
    layer, finest = of_delta(tests)
    assert layer.p_more_stable < 0.05
    assert layer.smallest_detectable is not None
    assert finest.p_more_stable > 0.2
    assert judged(summary, tests).verdict == "not distinguishable"
    still = drift_of(np.where(np.arange(D) < D_M, 1.0, 1e-16))  # of layers that did not change at all
    tests = measured(still, h[1:], activity)
    assert [test.smallest_detectable for test in of_delta(tests)] == [None, None]
    result = judged(summarise_drift(still, h[1:], LAYERS, D_M), tests)
    assert result.verdict == "no power"
    assert "no difference from those would be detected" in result.reason


def test_without_tests_there_is_no_power() -> None:
    drift = drift_of(np.random.default_rng(8).random(D))
    none, some = np.empty(0, dtype=np.int64), np.arange(0, D, 99)
    empty = judged(summarise_drift(drift, none, LAYERS, D_M), measured(drift, none))
    assert (empty.verdict, empty.k) == ("no power", 0)
    assert judged(summarise_drift(drift, some, LAYERS, D_M), ()).verdict == "no power"


def test_neurons_compared_by_position_have_no_power_and_keep_their_numbers() -> None:
    drift = drift_of(np.random.default_rng(8).random(D))
    some = np.arange(0, D, 99)
    summary, tests = summarise_drift(drift, some, LAYERS, D_M), measured(drift, some)
    stopped, claim = judged_drift(summary, tests, "not related", 1.0)
    assert stopped.verdict == claim.verdict == "no power"
    assert stopped.reason == f"not related; by position alone: {judged(summary, tests).reason}"
    assert replace(stopped, verdict=summary.verdict, reason=summary.reason) == summary


def test_change_of_norms_is_the_same_for_growth_and_shrinking_and_blind_to_direction() -> None:
    grown = norm_change(drift_of(np.arange(4.0), grown=2.0))
    np.testing.assert_allclose(grown, 2 * np.log(2), rtol=1e-12)
    np.testing.assert_allclose(norm_change(drift_of(np.arange(4.0), grown=0.5)), grown, rtol=1e-12)
    drift = drift_of(np.arange(4.0))
    odd = replace(
        drift, norm_up_base=np.array([0.0, 0.0, 1.0, np.nan]), norm_up_instruct=np.array([0.0, 1.0, 0.0, 1.0])
    )
    np.testing.assert_array_equal(norm_change(odd), [0.0, np.inf, np.inf, np.nan])


def test_a_neuron_that_vanished_has_the_lowest_rank_by_norm_and_no_z_score() -> None:
    rng = np.random.default_rng(9)
    drift = replace(drift_of(rng.random(D)), norm_up_instruct=np.where(np.arange(D) == 8, 0.0, rng.random(D)))
    layer = next(test for test in measured(drift, np.array([8])) if test.measure == "norm")
    assert (layer.mean_rank, layer.z_all, layer.z_layer) == (0.0, None, None)


def test_functional_change_is_one_minus_the_correlation_where_there_is_one() -> None:
    correlation = np.array([1.0, np.nan, -0.5, 0.2])
    found = changes(drift_of(np.arange(4.0)), correlation)["functional"]
    np.testing.assert_allclose(found[0], [0.0, np.nan, 1.5, 0.8])
    np.testing.assert_allclose(found[1], np.log([0.8, np.nan, 1.5, 0.8]))  # nothing is closer than the closest
    assert "gate" not in changes(drift_of(np.arange(4.0)), None)


def test_a_set_of_neurons_without_a_value_has_no_test_by_it() -> None:
    correlation = np.random.default_rng(10).random(D)
    correlation[:10] = np.nan
    found = drift_tests(
        drift_of(np.arange(float(D))), {"faithful": np.arange(10)}, None, correlation, LAYERS, D_M, draws=20
    )
    assert {test.measure for test in found} == {"delta", "norm"}


def test_results_do_not_depend_on_the_order_of_neurons_and_follow_the_seed() -> None:
    drift, h = drift_of(np.random.default_rng(11).random(D)), np.array([900, 4, 333, 5])
    here, there = measured(drift, h), measured(drift, h[[2, 0, 3, 1]])
    assert [t.p_more_stable for t in here] == [t.p_more_stable for t in there]
    assert [t.ratio.estimate for t in here] == pytest.approx([t.ratio.estimate for t in there], rel=1e-12)
    assert measured(drift, h) == here
    assert measured(drift, h, seed=1) != here


def test_neurons_outside_the_model_are_refused() -> None:
    with pytest.raises(PairError):
        measured(drift_of(np.arange(float(D))), np.array([D]))


@pytest.mark.parametrize("k", [3, 5, 30])
def test_the_interval_covers_the_mean_of_the_population(k: int) -> None:
    """At about its nominal rate also for a handful of neurons; an interval of half the width does not."""
    rng = np.random.default_rng(12)
    inside = narrow = 0
    for _ in range(1000):
        found = mean_with_interval(rng.random(k))
        inside += found.low <= 0.5 <= found.high
        narrow += abs(found.estimate - 0.5) <= (found.high - found.low) / 4
    assert 0.90 <= inside / 1000 <= 0.98  # ranks are spread evenly, not normally: 92 % for three of them
    assert narrow / 1000 < 0.85


def test_one_neuron_has_no_interval() -> None:
    found = mean_with_interval(np.array([0.4]))
    assert (found.estimate, found.n) == (0.4, 1)
    assert np.isnan([found.low, found.high]).all()


def test_layers_too_narrow_for_like_neurons_have_no_power_to_support() -> None:
    """The busiest three of each layer hardly change; in layers of 24 nobody can tell whether busy neurons do."""
    layers, d_m = 4, 24
    activity = np.tile(np.arange(float(d_m)), layers)
    drift = drift_of(100.0 - activity)
    ids = np.concatenate([layer * d_m + np.arange(d_m - 3, d_m) for layer in range(layers)])
    tests = drift_tests(drift, {"hallucinated": ids}, activity, None, layers, d_m, draws=500)
    assert {test.matching for test in tests} == {"layer"}
    assert tests[0].p_more_stable < 0.05
    decided = judged(summarise_drift(drift, ids, layers, d_m), tests)
    assert decided.verdict == "no power"
    assert compared(tests, ids.size) == 0
    assert "(which takes layers of 100 neurons and known activities" in decided.reason


@pytest.mark.parametrize(("known", "verdict"), [(0, "no power"), (5, "no power"), (6, "supported"), (10, "supported")])
def test_half_of_the_h_neurons_are_too_few_to_speak_for_all(known: int, verdict: str) -> None:
    """Ten of the most stable neurons, some of whose activity is not known: the others tell nothing about these."""
    rng = np.random.default_rng(14)
    delta, activity = rng.random(D), rng.random(D)
    h = np.argsort(delta)[:10]
    activity[h[known:]] = np.nan
    drift = drift_of(delta)
    tests = measured(drift, h, activity)
    decided = judged(summarise_drift(drift, h, LAYERS, D_M), tests)
    assert compared(tests, 10) == known / 10
    assert decided.verdict == verdict
    assert (f"{known} of 10 H-Neurons" in decided.reason) == (0 < known < 10)


def test_z_scores_within_one_layer_are_the_plain_ones() -> None:
    delta = np.random.default_rng(13).random(40)
    found = drift_tests(drift_of(delta), {"faithful": np.array([2, 30])}, None, None, 1, 40, draws=20)[0]
    assert found.z_all == found.z_layer == pytest.approx(z_scores(delta)[[2, 30]].mean(), rel=1e-12)


def test_a_set_of_which_most_is_a_whole_layer_is_not_judged_by_the_rest() -> None:
    """No neuron of the layer has another beside it; three stable neurons elsewhere do not speak for 323."""
    rng = np.random.default_rng(15)
    delta, activity = rng.exponential(size=D), rng.random(D)
    h = np.concatenate([np.arange(D_M), [400, 500, 600]])
    delta[h[-3:]] *= 0.01
    drift = drift_of(delta)
    decided = judged(summarise_drift(drift, h, LAYERS, D_M, draws=9), measured(drift, h, activity))
    assert decided.verdict == "no power"
    assert "only 3 of 323 H-Neurons" in decided.reason
    alone = judged(summarise_drift(drift, h[:D_M], LAYERS, D_M, draws=9), measured(drift, h[:D_M], activity))
    assert "no H-Neuron has others of its layer beside it" in alone.reason


def test_changes_that_differ_by_many_decades_have_an_interval_within_numbers() -> None:
    delta = np.where(np.arange(D) % 2 == 0, 1e-300, 1.0)
    found = measured(drift_of(delta), np.array([0, 1]))[0]
    assert np.isfinite([found.ratio.estimate, found.ratio.low, found.ratio.high]).all()
