"""Transfer finds planted neurons, does not find absent ones, and says when it could not know."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from planted import answers_of, whole_rows
from reference import fit_probe
from statsmodels.stats.multitest import multipletests

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.baselines.answer_baselines import FittedBaselines, neuron_scorer
from provenance.analyses.baselines.ladder import ladder
from provenance.analyses.claims.claim_conditions import decided, decisive, transfer_claim
from provenance.analyses.controls.control_probes import ControlProbe, control_scores, fit_given
from provenance.analyses.controls.control_sets import CONTROL_KINDS, ControlSetKind
from provenance.analyses.jobs.run_comparison import SETS_PER_TEST
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.analyses.search.curves import curve
from provenance.analyses.search.shuffled_labels import SHUFFLED_SEARCHES
from provenance.analyses.transfer.probe_transfer import (
    DECIDING_KINDS,
    highest_other,
    jointly,
    refit_controls,
    transfer,
    untested,
)
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import Probe, training_rows
from provenance.records import Estimate, Verdict
from provenance.statistics.auroc import auroc
from provenance.statistics.bootstrap import BOOTSTRAP_DRAWS, resampled_weights
from provenance.words import DIRECTIONS

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

Make = Callable[..., Features]
LAYERS, D_M = 4, 50
PLANTED = [12, 60, 61, 130, 170]
DRAWS = 30


@pytest.fixture(scope="module")
def probe() -> Probe:
    """A probe that reads the planted neurons, as identification on planted rows gives it."""
    weights = np.zeros(LAYERS * D_M)
    weights[PLANTED] = 300.0
    return Probe(weights, -15.0, 1.0, "3-vs-1", True)


@pytest.fixture(scope="module")
def train(features: Make) -> Features:
    return features(LAYERS * D_M, PLANTED, strength=1.5, seed=1)


Controls = Mapping[ControlSetKind, tuple[ControlProbe, ...]]


def sets_of(
    probe: Probe, controls: Controls, base: Features, *, resamples: int = BOOTSTRAP_DRAWS, seed: int = 0
) -> list[Rung]:
    """Rungs of the neuron sets alone."""
    scorers = {str(kind): neuron_scorer(partial(control_scores, probes)) for kind, probes in controls.items() if probes}
    answers = answers_of(base)
    untold = replace(answers, features=answers.features.take(np.arange(0)))  # nothing to fit texts on
    fitted = FittedBaselines(probe, controls, scorers)
    found = ladder(fitted, {"trivia": answers}, untold, {"trivia": ()}, resamples=resamples, seed=seed)
    return [rung for rung in found if rung.kind in CONTROL_KINDS]


def run(probe: Probe, train: Features, base: Features, seed: int = 0) -> tuple[TransferResult, dict[str, Rung]]:
    """Transfer against chance and neuron sets, and the rungs of these."""
    controls = refit_controls(probe, train, LAYERS, D_M, draws=DRAWS, seed=seed)
    rungs = sets_of(probe, controls, base, seed=seed)
    [result] = decided([transfer(probe, base, "trivia", seed=seed)], rungs)
    return result, {rung.kind: rung for rung in rungs}


def test_neurons_planted_in_both_models_are_supported(probe: Probe, train: Features, features: Make) -> None:
    base = features(LAYERS * D_M, PLANTED, strength=0.8, seed=2)
    result, sets = run(probe, train, base)
    assert result.verdict == "supported"
    assert result.auroc is not None
    assert result.auroc.estimate == auroc(probe.scores(base.answer), base.hallucinated)
    assert result.auroc.low < result.auroc.estimate < result.auroc.high
    assert (result.dataset, result.n_faithful, result.n_hallucinated) == ("trivia", 150, 150)
    for kind in ("random", "layer_matched"):
        rung = sets[kind]
        assert len(rung.set_aurocs) == rung.draws == DRAWS
        assert rung.p_value == pytest.approx(1 / (1 + DRAWS))
        assert f"{rung.sets_p95:.3f} ({kind.replace('_', '-')})" in result.reason


def test_the_interval_is_that_of_the_curve_in_whatever_order_rows_stand(
    probe: Probe, train: Features, features: Make
) -> None:
    """One number has one interval in a report: by question, on the samples that all held-out scores share."""
    base = features(LAYERS * D_M, PLANTED, strength=0.8, seed=2)
    order = np.random.default_rng(0).permutation(len(base))
    here, there = (transfer(probe, rows, "trivia", seed=3).auroc for rows in (base, base.take(order)))
    fit = Fit(probe.C, probe.nonzero, probe.weights[probe.nonzero], probe.intercept, 1.0, 0.0, 0.0, False)
    [point] = curve([(fit, probe)], {"trivia": base}, {"trivia": base}, seed=3)
    assert here == there == point.transfer
    assert transfer(probe, base, "trivia", seed=4).auroc != here  # the check can fail


def test_a_fitted_probe_transfers_like_the_planted_one(train: Features, features: Make) -> None:
    X, y = whole_rows(train, "3-vs-1")
    fitted = fit_probe(X, y, C=30.0, design="3-vs-1")
    assert set(PLANTED) <= set(fitted.h_neurons)  # the probe found them, so the test is about transfer
    assert run(fitted, train, features(LAYERS * D_M, PLANTED, strength=1.0, seed=2))[0].verdict == "supported"


@pytest.mark.parametrize("seed", range(5))
def test_a_base_whose_neurons_carry_nothing_is_not_distinguishable(
    probe: Probe, train: Features, features: Make, seed: int
) -> None:
    result, _ = run(probe, train, features(LAYERS * D_M, [], strength=0.0, seed=100 + seed))
    assert result.verdict == "not distinguishable"


def test_a_signal_in_the_wrong_direction_is_not_supported(probe: Probe, train: Features, features: Make) -> None:
    base = features(LAYERS * D_M, PLANTED, strength=0.8, seed=2)
    result, _ = run(probe, train, replace(base, hallucinated=~base.hallucinated))
    assert result.auroc is not None
    assert result.auroc.high < 0.5
    assert result.verdict == "not distinguishable"


def test_a_signal_that_every_neuron_carries_is_not_credited_to_the_probe(probe: Probe, features: Make) -> None:
    everywhere = list(range(LAYERS * D_M))
    train = features(LAYERS * D_M, everywhere, strength=0.8, seed=1)
    result, sets = run(probe, train, features(LAYERS * D_M, everywhere, strength=0.8, seed=2))
    assert result.auroc is not None
    assert result.auroc.low > 0.7  # against 0.5 alone it would have been
    assert result.verdict == "not distinguishable"
    p95 = sets["random"].sets_p95
    assert p95 is not None
    assert p95 > 0.7


def test_a_signal_of_the_layer_is_caught_by_the_matched_sets_only(features: Make) -> None:
    weights = np.zeros(LAYERS * D_M)
    weights[[100, 110, 120]] = 300.0
    probe = Probe(weights, 0.0, 1.0, "3-vs-1", True)
    layer = list(range(100, 150))
    train = features(LAYERS * D_M, layer, strength=1.0, seed=1)
    result, sets = run(probe, train, features(LAYERS * D_M, layer, strength=1.0, seed=2))
    assert result.verdict == "not distinguishable"
    assert np.mean(sets["layer_matched"].set_aurocs) > np.mean(sets["random"].set_aurocs) + 0.1


def test_an_estimate_above_the_bar_with_an_interval_across_it_is_not_supported(
    probe: Probe, train: Features, features: Make
) -> None:
    base = features(LAYERS * D_M, PLANTED, strength=0.15, faithful=20, hallucinated=20, seed=3)
    result, sets = run(probe, train, base)
    assert result.auroc is not None
    bar = max(rung.sets_p95 or 0.0 for rung in sets.values())
    assert result.auroc.low < bar < result.auroc.estimate  # the very case that is asked about
    assert result.verdict == "not distinguishable"


@pytest.mark.parametrize(("faithful", "hallucinated"), [(150, 0), (0, 150)])
def test_one_class_has_no_power_and_no_auroc(
    probe: Probe, train: Features, features: Make, faithful: int, hallucinated: int
) -> None:
    base = features(LAYERS * D_M, PLANTED, strength=1.0, faithful=faithful, hallucinated=hallucinated)
    result, sets = run(probe, train, base)
    assert (result.verdict, result.auroc, result.p_value) == ("no power", None, None)
    assert {(rung.auroc, rung.p_value, rung.draws) for rung in sets.values()} == {(None, None, 0)}
    assert (result.n_faithful, result.n_hallucinated) == (faithful, hallucinated)
    assert "0 with" in result.reason


def test_nine_answers_of_a_class_are_too_few_and_ten_are_enough(probe: Probe, train: Features, features: Make) -> None:
    few, enough = (run(probe, train, features(LAYERS * D_M, PLANTED, strength=2.0, hallucinated=n))[0] for n in (9, 10))
    assert few.verdict == "no power"
    assert few.auroc is not None
    assert "9 with hallucinated" in few.reason
    assert enough.verdict == "supported"


def test_many_rows_of_few_questions_have_no_power(probe: Probe, train: Features, features: Make) -> None:
    base = features(LAYERS * D_M, PLANTED, strength=2.0)
    grouped = replace(base, units=tuple(f"group {i % 5}" for i in range(len(base.units))))
    assert run(probe, train, grouped)[0].verdict == "no power"


def test_a_probe_without_weights_has_no_power(probe: Probe, train: Features, features: Make) -> None:
    empty = replace(probe, weights=np.zeros(LAYERS * D_M))
    result, _ = run(empty, train, features(LAYERS * D_M, PLANTED, strength=1.0))
    assert result.verdict == "no power"
    assert "so all get the same score" in result.reason


def test_controls_are_refitted_on_the_instruct_rows_of_other_neurons(probe: Probe, train: Features) -> None:
    controls = refit_controls(probe, train, LAYERS, D_M, draws=4, seed=3)
    assert set(controls) == {"random", "layer_matched"}
    for control in (c for probes in controls.values() for c in probes):
        assert control.columns.size == len(PLANTED)
        assert not np.isin(control.columns, PLANTED).any()
        X, y = training_rows(train, "3-vs-1", control.columns)
        again = fit_given(X, y, design="3-vs-1")
        np.testing.assert_array_equal(control.probe.weights, again.weights)
    matched = controls["layer_matched"][0].columns // D_M
    assert np.bincount(matched, minlength=LAYERS).tolist() == [1, 2, 1, 1]


def test_a_probe_that_fills_a_layer_still_has_controls(train: Features) -> None:
    weights = np.zeros(LAYERS * D_M)
    weights[:45] = 1.0
    crowded = Probe(weights, 0.0, 1.0, "3-vs-1", True)
    controls = refit_controls(crowded, train, LAYERS, D_M, draws=2)
    assert (controls["layer_matched"][0].columns < D_M).all()


def test_neurons_without_a_counterpart_are_neither_read_nor_drawn(
    probe: Probe, train: Features, features: Make
) -> None:
    unmapped = np.array([12, 13, 60, 150])
    controls = refit_controls(probe, train, LAYERS, D_M, unmapped=unmapped, draws=60)
    for control in (c for probes in controls.values() for c in probes):
        assert control.columns.size == len(PLANTED) - 2
        assert not np.isin(control.columns, unmapped).any()
    ids = np.arange(LAYERS * D_M)
    ids[unmapped] = -1
    base = features(LAYERS * D_M, PLANTED, strength=0.8, seed=2).mapped(ids)
    left = replace(probe, weights=np.where(ids < 0, 0.0, probe.weights))
    result = transfer(probe, base, "trivia")
    assert result.auroc is not None
    assert result.auroc.estimate == auroc(left.scores(base.answer), base.hallucinated)


def test_a_probe_whose_neurons_are_all_unmapped_has_no_power(probe: Probe, train: Features, features: Make) -> None:
    ids = np.arange(LAYERS * D_M)
    ids[PLANTED] = -1
    base = features(LAYERS * D_M, PLANTED, strength=1.0).mapped(ids)
    controls = refit_controls(probe, train, LAYERS, D_M, unmapped=np.array(PLANTED))
    assert controls == {"random": (), "layer_matched": ()}
    [result] = decided([transfer(probe, base, "trivia")], sets_of(probe, controls, base))
    assert result.verdict == "no power"
    assert "no weight on a neuron that varies in these answers" in result.reason


def test_the_largest_p_decides_and_is_that_of_the_definition(probe: Probe, train: Features, features: Make) -> None:
    base = features(LAYERS * D_M, PLANTED, strength=0.15, faithful=40, hallucinated=40, seed=3)
    controls = refit_controls(probe, train, LAYERS, D_M, draws=DRAWS)
    alone = transfer(probe, base, "trivia", resamples=100)
    [result] = jointly([alone], sets_of(probe, controls, base, resamples=100))
    positive, own = base.hallucinated, probe.scores(base.answer)
    samples = [np.repeat(np.arange(80), w.astype(int)) for w in resampled_weights(base.units, draws=100)]
    areas = [auroc(own[rows], positive[rows]) for rows in samples]
    slow = {"chance": (1 + sum(area <= 0.5 for area in areas[1:])) / 101}
    for kind, probes in controls.items():
        scores = [control.probe.scores(base.answer.all()[:, control.columns]) for control in probes]
        reached = [
            sum(auroc(s[rows], positive[rows]) >= area for s in scores)
            for rows, area in zip(samples, areas, strict=True)
        ]
        slow[kind] = float(np.mean([(1 + n) / (1 + DRAWS) for n in reached]))
    assert result.p_chance == slow["chance"]
    assert result.p_value == pytest.approx(max(slow.values()))
    assert result.p_holm == result.p_value  # one question set needs no correction
    assert result.decided_by == max(slow, key=lambda kind: slow[kind])
    assert len({round(p, 6) for p in slow.values()}) == 3  # another of them would be seen


def rung(dataset: str, kind: str, p_value: float | None) -> Rung:
    area = None if p_value is None else Estimate(0.6, 0.5, 0.7, 40)
    return Rung(dataset, kind, auroc=area, gain=None, p_value=p_value, p_holm=None, draws=0)


def rungs(dataset: str, **p_values: float | None) -> list[Rung]:
    given = dict.fromkeys(DECIDING_KINDS, 0.001) | p_values
    return [rung(dataset, kind, p) for kind, p in given.items()]


@pytest.fixture(scope="module")
def beaten(probe: Probe, train: Features, features: Make) -> tuple[TransferResult, dict[str, Rung]]:
    """A question set on which chance and neuron sets are beaten, and these sets."""
    return run(probe, train, features(LAYERS * D_M, PLANTED, strength=0.8, seed=2))


@pytest.fixture
def tested(beaten: tuple[TransferResult, dict[str, Rung]]) -> TransferResult:
    """The result."""
    return beaten[0]


@pytest.fixture
def sets(beaten: tuple[TransferResult, dict[str, Rung]]) -> list[Rung]:
    """The sets."""
    return list(beaten[1].values())


def test_one_baseline_that_is_not_beaten_is_enough_to_refuse(tested: TransferResult) -> None:
    [supported] = decided([tested], rungs("trivia"))
    assert supported.verdict == "supported"
    for kind in DECIDING_KINDS:
        [result] = decided([tested], rungs("trivia", **{kind: 0.06}))
        assert (result.verdict, result.p_value, result.decided_by) == ("not distinguishable", 0.06, kind)
        assert f"0.06 ({kind.replace('_', '-' if kind in ('random', 'layer_matched') else ' ')})" in result.reason
        assert (result.auroc, result.p_chance) == (tested.auroc, tested.p_chance)


def test_confidence_and_directions_do_not_decide(tested: TransferResult) -> None:
    kinds = ("answer_log_probability", "all_together", *DIRECTIONS, "directions_together")
    extra = [rung("trivia", kind, 0.9) for kind in kinds]
    [result] = decided([tested], [*rungs("trivia"), *extra])
    assert result.verdict == "supported"
    assert (result,) == decided([tested], rungs("trivia"))


def test_verdicts_are_corrected_over_the_question_sets_with_power(tested: TransferResult, features: Make) -> None:
    names = ["a", "b", "c", "d"]
    blind = untested("blind", features(2, [], strength=0.0), "why")
    sets = [replace(tested, dataset=name) for name in names] + [blind]
    p_values = [0.04, 0.012, 0.03, 0.013]
    given = [r for name, p in zip(names, p_values, strict=True) for r in rungs(name, answer_text=p)]
    least = 1 / (1 + DRAWS)  # 30 sets of neurons cannot show more than 1 / 31
    given = [replace(r, p_value=least) if r.kind in CONTROL_KINDS else r for r in given]
    raw = [max(p, least) for p in p_values]
    results = decided(sets, given)
    np.testing.assert_allclose([r.p_value for r in results[:4]], raw)
    np.testing.assert_allclose([r.p_holm for r in results[:4]], multipletests(raw, method="holm")[1])
    assert {r.verdict for r in results[:4]} == {"not distinguishable"}
    assert results[4] == blind
    [alone] = decided(sets[:1], given)
    assert (alone.verdict, alone.p_holm) == ("supported", 0.04)  # the correction is what refused it
    assert "for 4 question sets" in results[0].reason
    assert [r.p_holm for r in jointly(results, given)] == [r.p_holm for r in results]  # nothing is corrected twice


def test_a_rung_without_a_number_does_not_decide_but_is_named(tested: TransferResult, sets: list[Rung]) -> None:
    [result] = decided([tested], rungs("trivia", question_text=None))
    assert result.verdict == "supported"
    assert "not compared with question text" in result.reason
    assert "not compared" not in decided([tested], rungs("trivia"))[0].reason
    assert "not compared with shuffled labels, answer length, question text, answer text" in tested.reason
    [elsewhere] = decided([tested], [*sets, *rungs("elsewhere", question_text=0.9)])
    assert (elsewhere.verdict, elsewhere.p_value, elsewhere.p_holm) == ("supported", tested.p_value, tested.p_holm)
    assert decided([], []) == ()


def test_a_search_that_no_shuffled_one_stands_beside_has_no_verdict(tested: TransferResult) -> None:
    """Listed neurons were not searched for, so nothing is missing there."""
    given = rungs("trivia", shuffled_labels=None)
    assert decided([tested], given)[0].verdict == "supported"
    assert decided([tested], given, searched=True)[0].verdict == "no power"
    assert transfer_claim([tested], given, "", searched=True).verdict == "no power"
    assert decided([tested], rungs("trivia"), searched=True)[0].verdict == "supported"


@pytest.mark.parametrize("sets", [1, 2, 3, 6])
def test_three_replicates_that_no_null_reaches_are_supported_with_any_number_of_sets(sets: int) -> None:
    """The least p of so many sets, corrected and doubled, stays below 0.05."""
    least = 1 / (1 + max(SHUFFLED_SEARCHES, SETS_PER_TEST * sets))
    assert 2 * sets * least < 0.05


def with_area(kind: str, area: float, dataset: str = "trivia") -> list[Rung]:
    """Rungs of which one has this AUROC."""
    found = Estimate(area, area, area, 40)
    return [replace(rung, auroc=found) if rung.kind == kind else rung for rung in rungs(dataset)]


def test_what_is_right_on_every_pair_of_answers_leaves_no_power(tested: TransferResult) -> None:
    """Whatever came out: nothing could have been shown to be better, so that it is not says nothing."""
    for kind in DECIDING_KINDS[2:]:
        [result] = decided([tested], with_area(kind, 1.0))
        assert (result.verdict, result.p_value, result.p_holm, result.decided_by) == ("no power", None, None, None)
        assert f"{kind.replace('_', ' ')} is right on every pair" in result.reason
        assert highest_other(tested, with_area(kind, 1.0)) == (kind, 1.0)
    [result] = decided([tested], with_area("question_text", 0.99))
    assert result.verdict == "supported"
    [result] = decided([tested], [*with_area("answer_text", 1.0, "elsewhere"), *rungs("trivia")])
    assert result.verdict == "supported"
    kinds = ("answer_log_probability", *DIRECTIONS)
    unbeaten = [Rung("trivia", kind, Estimate(1.0, 1.0, 1.0, 40), None, None, None, 0) for kind in kinds]
    [result] = decided([tested], [*rungs("trivia"), *unbeaten])
    assert result.verdict == "supported"  # they are not among what has to be beaten


def test_neuron_sets_of_which_one_in_twenty_is_perfect_leave_no_power(tested: TransferResult) -> None:
    """The mean over sets is below 1, but p stays at 0.05 and more, whatever the probe does."""
    area = Estimate(0.6, 0.5, 0.7, 40)
    perfect = [replace(rung, auroc=area, sets_p95=1.0) if rung.kind == "random" else rung for rung in rungs("trivia")]
    [result] = decided([tested], perfect)
    assert result.verdict == "no power"
    assert "random is right on every pair" in result.reason
    other = replace(tested, dataset="other")
    first, second = decided([tested, other], [*perfect, *rungs("other")])
    assert (first.verdict, second.verdict) == ("no power", "supported")
    assert decisive([first, second]) is second
    assert "1 question set" in second.reason  # no correction for a set that cannot be tested


def test_fewer_than_twenty_sets_can_never_support(probe: Probe, train: Features, features: Make) -> None:
    """1 / 20 is not below 0.05: the verdict says which sets were too few."""
    controls = refit_controls(probe, train, LAYERS, D_M, draws=19)
    base = features(LAYERS * D_M, PLANTED, strength=2.0, seed=2)
    [result] = decided([transfer(probe, base, "trivia")], sets_of(probe, controls, base))
    assert (result.verdict, result.decided_by) == ("not distinguishable", "random")
    assert result.p_value == pytest.approx(0.05)


def test_the_rule_is_at_its_level_where_the_base_carries_nothing(probe: Probe, train: Features, features: Make) -> None:
    controls = refit_controls(probe, train, LAYERS, D_M, draws=DRAWS)
    wrong = {"chance": 0, "all": 0}
    for seed in range(100):
        base = features(LAYERS * D_M, [], strength=0.0, faithful=30, hallucinated=30, seed=200 + seed)
        found = transfer(probe, base, "trivia", resamples=200, seed=seed)
        [result] = decided([found], sets_of(probe, controls, base, resamples=200, seed=seed))
        assert result.p_chance is not None
        wrong["chance"] += result.p_chance < 0.05
        wrong["all"] += result.verdict == "supported"
    assert wrong["all"] <= wrong["chance"] <= 11  # 5 expected, SD 2.2


def test_scores_that_are_no_numbers_have_no_power(probe: Probe, train: Features, features: Make) -> None:
    base = features(LAYERS * D_M, PLANTED, strength=1.0)
    values = base.answer.all()
    values[0, PLANTED[0]] = np.nan
    result, _ = run(probe, train, replace(base, answer=NeuronRows.of(values)))
    assert (result.verdict, result.p_value, result.reason) == ("no power", None, "its AUROC is not a number")


def outcome(verdict: Verdict, tested: TransferResult) -> TransferResult:
    p_holm = {"supported": 0.01, "not distinguishable": 0.2, "no power": None}[verdict]
    return replace(tested, p_value=p_holm, p_holm=p_holm, verdict=verdict)


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        (["supported", "not distinguishable", "not distinguishable"], "supported"),
        (["not distinguishable", "supported", "supported"], "not distinguishable"),
        (["no power", "supported", "not distinguishable"], "supported"),
        (["no power", "not distinguishable", "supported"], "not distinguishable"),
        (["no power", "no power"], "no power"),
        ([], "no power"),
    ],
)
def test_the_first_question_set_with_power_decides(
    verdicts: list[Verdict], overall: Verdict, tested: TransferResult
) -> None:
    assert transfer_claim([outcome(v, tested) for v in verdicts], rungs("trivia"), "").verdict == overall


def test_neurons_compared_by_position_have_no_power_and_keep_their_numbers(
    tested: TransferResult, sets: list[Rung]
) -> None:
    [stopped] = decided([tested], sets, "not related")
    assert stopped == replace(tested, verdict="no power", reason=f"not related; by position alone: {tested.reason}")
    assert transfer_claim([stopped], [], "not related").verdict == "no power"
