"""Choosing C, fitting, and held-out numbers, on features with planted neurons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import D_M, LAYERS, PLANTED, answers_of, material_of, planted, whole_rows
from reference import alpha_max, fit_probe
from scipy.optimize import minimize

from provenance.activations.features import Features
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.controls.control_probes import control_scores
from provenance.analyses.controls.control_sets import SHUFFLED_LABELS
from provenance.analyses.results.probes import IdentificationResult
from provenance.analyses.search.identification import Material, ProbeSettings, identify, take_given
from provenance.analyses.search.shuffled_labels import found_in
from provenance.errors import ConvergenceError, InputError, SplitError
from provenance.neuron_lists.read_lists import NeuronSet
from provenance.probe.l1_path import Fit, L1Path

SETTINGS = ProbeSettings(steps=(1.5, 4.0, 12.0), pairs=4, draws=20)
STRONG = 5.0  # a planted neuron this much higher than all others separates the labels
WEAK = 0.02  # one and a half standard deviations: no probe is perfect


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """Planted neurons, of which the base's answers have one less."""
    return material_of(
        tmp_path, planted(300, 0, WEAK), planted(100, 1, WEAK), {"in-domain": planted(200, 2, WEAK)},
        transfers={"in-domain": planted(60, 3, neurons=PLANTED[:2])},
    )  # fmt: skip


def small(folder: Path, strength: float = 0.04, **changes: Features) -> Material:
    """The same in few rows."""
    parts = {"train": planted(100, 0, strength), "validation": planted(60, 1, strength)} | changes
    return material_of(folder, parts["train"], parts["validation"], {"in-domain": planted(40, 2, strength)})


def test_planted_neurons_are_found_and_beat_random_ones(material: Material) -> None:
    found = identify(material, SETTINGS)
    result = found.result
    assert found.probe is not None
    assert found.baselines is not None
    assert set(PLANTED) <= set(result.h_neurons.tolist())
    assert result.n_train == {"faithful": 200, "hallucinated": 200}
    held = result.test[0]
    assert held.auroc is not None
    assert held.accuracy is not None
    assert held.random_accuracy is not None
    assert held.auroc.low > 0.8
    assert held.random_accuracy.high < held.accuracy.low
    assert len(held.baselines[0].draws) == len(found.baselines.controls["random"]) == SETTINGS.draws
    assert result.stability is not None
    assert result.stability.half_samples == 2 * SETTINGS.pairs


def test_a_set_of_one_class_has_a_rate_of_detection_and_no_accuracy(tmp_path: Path) -> None:
    """As invented entities have, of which every answer is hallucinated: the share that the probe calls so."""
    both = planted(80, 5, WEAK)
    rows = np.flatnonzero(both.hallucinated)
    parts = planted(100, 0, WEAK), planted(60, 1, WEAK)
    tests = {"both": both, "fabricated": both.take(rows)}
    found = identify(material_of(tmp_path, *parts, tests), SETTINGS)
    assert found.probe is not None
    assert found.baselines is not None
    whole, part = found.result.test
    expected = float((found.probe.scores(both.answer)[rows] > 0).mean())
    assert 0.6 < expected < 1.0
    for held in (whole, part):
        assert held.detection is not None
        assert held.random_detection is not None
        assert held.detection.estimate == pytest.approx(expected, rel=1e-12)
        assert held.detection.low < expected < held.detection.high
        assert held.detection.n == rows.size
        sets = control_scores(found.baselines.controls["random"], both.answer)[rows] > 0
        assert held.random_detection.estimate == pytest.approx(sets.mean(), rel=1e-12)
    assert (part.accuracy, part.auroc, part.random_accuracy, part.baselines) == (None, None, None, ())
    assert whole.accuracy is not None


def test_the_search_is_repeated_under_shuffled_labels_and_their_failure_is_not_the_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its own labels a shuffled search finds the probe's neurons; without the null there still is a probe."""
    material = small(tmp_path)
    true = material.train.features.hallucinated
    instruct = identify(replace(material, shuffles=[true, np.roll(true, 7)]), SETTINGS)
    own, other = (sorted(found_in(fit).tolist()) for fit in instruct.shuffled)
    assert own == instruct.result.h_neurons.tolist() != other
    assert instruct.baselines is not None
    said = instruct.baselines.scorers[SHUFFLED_LABELS](material.train)
    assert said is not None
    assert instruct.probe is not None
    np.testing.assert_allclose(said.ranking[:, 0], instruct.probe.scores(material.train.features.answer), rtol=1e-3)
    assert identify(material, SETTINGS).shuffled == ()

    def stuck(*_args: object, **_options: object) -> None:
        raise ConvergenceError("a fit", found="rounding", remedy="none")

    monkeypatch.setattr("provenance.analyses.search.identification.shuffled_fits", stuck)
    found = identify(material, SETTINGS)
    assert found.shuffled == ()
    assert found.baselines is not None
    assert SHUFFLED_LABELS not in found.baselines.scorers
    assert found.result.h_neurons.tolist() == instruct.result.h_neurons.tolist()


def test_the_probe_is_the_optimum_on_training_and_validation_rows_at_the_chosen_c(material: Material) -> None:
    """It is what one fit by itself gives."""
    result = identify(material, SETTINGS).result
    rows, labels = whole_rows(material.train.features, "3-vs-1")
    assert result.alpha_max == pytest.approx(alpha_max(rows, labels), rel=1e-6)
    assert result.C is not None
    assert result.C / result.alpha_max in [pytest.approx(step) for step in SETTINGS.steps]
    by_itself = fit_probe(rows, labels, C=result.C, design="3-vs-1")
    np.testing.assert_array_equal(result.h_neurons, by_itself.h_neurons)
    np.testing.assert_allclose(result.weights, by_itself.weights, atol=1e-4 * np.abs(by_itself.weights).max())


def test_the_objective_of_the_probe_is_not_beaten_by_a_general_optimiser(material: Material) -> None:
    """On the neurons that it uses, no other weights of the same signs have a lower value."""
    found = identify(material, SETTINGS)
    assert found.probe is not None
    assert found.result.gap is not None
    probe = found.probe
    rows, labels = whole_rows(material.train.features, "3-vs-1")
    x, sign = rows[:, probe.nonzero].astype(np.float64), np.where(labels, 1.0, -1.0)

    def objective(v: np.ndarray) -> float:
        fit = np.logaddexp(0, -sign * (x @ v[:-1] + v[-1])).sum()
        return float(probe.C * fit + np.abs(v).sum())

    here = np.append(probe.weights[probe.nonzero], probe.intercept)
    best = minimize(objective, here, method="L-BFGS-B", bounds=[(0, None) if w > 0 else (None, 0) for w in here])
    assert objective(here) <= best.fun * (1 + 1e-6)
    assert objective(here * 1.05) > objective(here) * (1 + 1e-6)  # the check would notice
    assert found.result.gap < 1e-5


def test_test_answers_take_no_part_in_the_fit(material: Material) -> None:
    """Whatever the test set and the base's answers hold, C, the probe and its stability are the same."""
    other = replace(
        material, tests={"in-domain": answers_of(planted(60, 9, -0.02))}, transfers={"in-domain": planted(60, 8, 0.0)}
    )
    a, b = (identify(each, SETTINGS).result for each in (material, other))
    assert a.C == b.C
    assert a.path == b.path
    np.testing.assert_array_equal(a.weights, b.weights)
    assert a.stability is not None
    assert b.stability is not None
    np.testing.assert_array_equal(a.stability.frequency, b.stability.frequency)
    assert a.curve != b.curve  # and what is scored on them does differ


def shuffled(answers: Answers, order: np.ndarray) -> Answers:
    return Answers(
        answers.features.take(order),
        tuple(answers.questions[i] for i in order),
        tuple(answers.answers[i] for i in order),
        answers.tokens[order],
        None if answers.log_probability is None else answers.log_probability[order],
    )


def flat_numbers(result: IdentificationResult) -> list[float]:
    """Every number of the held-out tables, the path and the curve."""
    estimates = [e for held in result.test for e in (held.accuracy, held.auroc, held.random_accuracy)]
    estimates += [e for held in result.test for b in held.baselines for e in (b.accuracy, b.auroc, b.gain)]
    estimates += [e for point in result.curve for e in (point.accuracy, point.auroc, point.transfer)]
    numbers = [value for e in estimates if e is not None for value in (e.estimate, e.low, e.high, float(e.n))]
    numbers += [
        value for point in result.path for value in (point.C, point.validation_accuracy, point.validation_auroc)
    ]
    return numbers


@pytest.mark.costly
def test_the_order_of_rows_does_not_matter(material: Material) -> None:
    """Training, validation, test and base rows in another order give the same report, up to rounding of sums."""
    rng = np.random.default_rng(5)
    order = rng.permutation(len(material.train.features))
    other = replace(
        material,
        train=shuffled(material.train, order),
        splits=tuple(material.splits[i] for i in order),
        tests={name: shuffled(t, rng.permutation(len(t.features))) for name, t in material.tests.items()},
        transfers={name: f.take(rng.permutation(len(f))) for name, f in material.transfers.items()},
    )
    a, b = (identify(each, SETTINGS).result for each in (material, other))
    np.testing.assert_array_equal(a.h_neurons, b.h_neurons)
    assert b.C is not None
    assert a.C is not None
    np.testing.assert_allclose(a.C, b.C, rtol=1e-6)  # alpha_max is a sum in float32
    assert a.weights is not None
    # both solutions are within the solver's tolerance of the optimum
    np.testing.assert_allclose(a.weights, b.weights, atol=1e-4 * np.abs(a.weights).max())
    # scores within that tolerance can swap two nearly tied answers: one pair of 50 x 50 is 4e-4
    np.testing.assert_allclose(flat_numbers(a), flat_numbers(b), atol=1e-3)
    assert a.stability is not None
    assert b.stability is not None
    np.testing.assert_array_equal(a.stability.frequency, b.stability.frequency)
    np.testing.assert_array_equal(a.stability.stable, b.stability.stable)
    assert a.stability.split_half_jaccard == b.stability.split_half_jaccard
    assert a.stability.split_half_clusters == b.stability.split_half_clusters
    np.testing.assert_array_equal(a.stability.cluster, b.stability.cluster)
    np.testing.assert_allclose(a.neuron_auroc, b.neuron_auroc, rtol=1e-12)
    elsewhere = identify(material, replace(SETTINGS, seed=1)).result
    assert not np.allclose(flat_numbers(a), flat_numbers(elsewhere), atol=1e-3)  # the check would notice other draws


def test_a_missing_class_gives_a_reason_and_no_probe(tmp_path: Path) -> None:
    parts = (planted(60, seed, one_class=True) for seed in range(2))
    found = identify(material_of(tmp_path, *parts, {}), SETTINGS)
    assert (found.probe, found.baselines) == (None, None)
    assert "both classes are needed" in found.result.reason
    assert found.result.h_neurons.size == 0
    assert (found.result.path, found.result.curve, found.result.stability) == ((), (), None)


@pytest.mark.costly
def test_too_few_questions_to_choose_c_by_give_a_reason(tmp_path: Path) -> None:
    """Nine questions of a class cannot be dealt to five folds by two; ten can."""
    few, enough = (identify(material_of(tmp_path, planted(n, 0), planted(2, 1), {}), SETTINGS) for n in (16, 18))
    assert few.probe is None
    assert "9 independent groups with faithful and 9 independent groups with hallucinated" in few.result.reason
    assert enough.result.path != ()
    given = identify(material_of(tmp_path, planted(16, 0), planted(2, 1), {}), replace(SETTINGS, rule="fixed", C=9.0))
    assert given.result.path == ()  # a given C needs no folds
    assert given.probe is not None


def test_the_papers_rule_without_a_class_of_training_answers_gives_a_reason(tmp_path: Path) -> None:
    material = material_of(tmp_path, planted(40, 0, one_class=True), planted(80, 1), {})
    found = identify(material, replace(SETTINGS, rule="paper"), lambda sets: np.ones(len(sets)))
    assert found.probe is None
    assert "40 faithful and 0 hallucinated training responses" in found.result.reason


def test_no_responses_at_all_give_a_reason(tmp_path: Path) -> None:
    empty = planted(60, 0).take([])
    found = identify(material_of(tmp_path, empty, empty, {}), SETTINGS)
    assert "0 faithful and 0 hallucinated" in found.result.reason


def test_a_one_class_test_set_has_no_numbers(tmp_path: Path) -> None:
    fabricated = {"in-domain": planted(40, 3), "fabricated": planted(20, 2, one_class=True)}
    result = identify(material_of(tmp_path, planted(100, 0), planted(60, 1), fabricated), SETTINGS).result
    held = result.test[1]
    assert (held.accuracy, held.auroc, held.random_accuracy, held.baselines) == (None, None, None, ())
    assert (held.n_faithful, held.n_hallucinated) == (20, 0)
    assert {point.auroc for point in result.curve if point.dataset == "fabricated"} == {None}
    assert None not in {point.auroc for point in result.curve if point.dataset == "in-domain"}


def test_neurons_that_never_vary_give_a_reason_and_no_numbers_that_are_not(tmp_path: Path) -> None:
    """Silent neurons everywhere: there is no path, and nothing infinite is reported."""
    parts = [
        Features.of(
            np.zeros_like(f.answer.all()), np.zeros_like(f.other.all()), f.hallucinated, f.units, f.question_ids
        )
        for f in (planted(40, 0), planted(20, 1))
    ]
    for settings in (SETTINGS, replace(SETTINGS, rule="fixed", C=3.0)):
        result = identify(material_of(tmp_path, parts[0], parts[1], {}), settings).result
        assert result.weights is None
        assert result.path == ()
        assert result.reason == "no neuron varies with the label of the training answers"
        assert result.alpha_max is None  # JSON has no infinity


def test_a_fixed_c_out_of_all_proportion_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="alpha_max"):
        identify(small(tmp_path, STRONG), replace(SETTINGS, rule="fixed", C=1e12))


def stuck_above(monkeypatch: pytest.MonkeyPatch, last: float, *, alone: bool) -> None:
    """Let rounding defeat the solver from some C on, with folds, whose C differ, and perhaps for single problems."""
    original = L1Path.fit

    def fit(self: L1Path, Cs: list[float], likely: np.ndarray | None = None) -> list[Fit]:
        if Cs[0] > last and (len(set(Cs)) > 1 or (alone and len(Cs) == 1)):
            raise ConvergenceError("a probe", found="rounding", remedy="a smaller C")
        return original(self, Cs, likely)

    monkeypatch.setattr(L1Path, "fit", fit)


@pytest.mark.costly
def test_rounding_behind_the_chosen_c_shortens_the_path_and_stops_nothing(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a fold defeats the solver the path ends; a fixed C behind it has its probe all the same."""
    settings = replace(SETTINGS, rule="fixed", C=2.0)
    whole = identify(material, settings).result
    assert whole.C == 2.0 < whole.path[-1].C
    for last in (2.0, 1.0):
        with monkeypatch.context() as patched:
            stuck_above(patched, last, alone=False)
            shorter = identify(material, settings).result
        np.testing.assert_allclose(shorter.weights, whole.weights, rtol=1e-3, atol=1e-9)
        assert shorter.path == tuple(point for point in whole.path if last >= point.C)
        assert {point.C for point in shorter.curve} == {*(point.C for point in shorter.path), 2.0}
    stuck_above(monkeypatch, 1.0, alone=True)
    with pytest.raises(ConvergenceError):
        identify(material, settings)


@pytest.mark.costly
def test_a_fixed_c_is_used_as_it_is_and_one_below_the_path_gives_a_reason(material: Material) -> None:
    lowest = identify(material, SETTINGS).result.alpha_max
    assert lowest is not None
    fixed = identify(material, replace(SETTINGS, rule="fixed", C=5 * lowest)).result
    assert (fixed.C, fixed.rule) == (5 * lowest, "fixed")
    assert [point.C for point in fixed.path] == sorted({*(step * lowest for step in SETTINGS.steps), 5 * lowest})
    assert 5 * lowest in {point.C for point in fixed.curve}
    rows, labels = whole_rows(material.train.features, "3-vs-1")
    np.testing.assert_array_equal(fixed.h_neurons, fit_probe(rows, labels, C=5 * lowest, design="3-vs-1").h_neurons)
    below = identify(material, replace(SETTINGS, rule="fixed", C=lowest / 2)).result
    assert below.weights is None
    assert "leaves no neuron" in below.reason


def test_the_papers_rule_asks_the_model_about_every_point_of_the_path(material: Material) -> None:
    """The argmax of both accuracies decides."""
    asked: list[list[np.ndarray]] = []

    def suppressed(sets: list[np.ndarray]) -> np.ndarray:
        asked.append(sets)
        return np.array([0.95, 0.1, 0.1])

    result = identify(material, replace(SETTINGS, rule="paper"), suppressed).result
    [sets] = asked
    assert len(sets) == len(result.path)
    assert [point.suppressed_accuracy for point in result.path] == [0.95, 0.1, 0.1]
    assert result.C == result.path[0].C
    asked.clear()
    assert identify(material, SETTINGS, suppressed).result.C != result.C
    assert asked == []  # the default asks nothing


@pytest.mark.parametrize("how", ["split", "unit"])
@pytest.mark.parametrize("given", [False, True])
def test_test_answers_are_refused(material: Material, how: str, given: bool) -> None:
    """By the name of their split, or by a question that stands on both sides, whether C is searched or not."""
    if how == "split":
        spoilt = replace(material, splits=("test", *material.splits[1:]))
    else:
        test = material.tests["in-domain"].features
        shared = replace(test, units=(material.train.features.units[3], *test.units[1:]))
        spoilt = replace(material, tests={"in-domain": answers_of(shared)})
    with pytest.raises(SplitError):
        take_given(spoilt, listed(PLANTED), SETTINGS) if given else identify(spoilt, SETTINGS)


def listed(ids: tuple[int, ...], weights: list[float] | None = None, intercept: float | None = None) -> NeuronSet:
    flat = np.array(ids, dtype=np.int64)
    return NeuronSet(
        flat // D_M, flat % D_M, None if weights is None else np.array(weights), flat, "theirs.json", "d", {},
        intercept=intercept,
    )  # fmt: skip


def test_given_neurons_are_scored_and_not_looked_for(material: Material) -> None:
    """H-Neurons are those of positive weight in the file, and have baselines but neither path nor halves."""
    found = take_given(material, listed((*PLANTED, 399), [30.0, 20.0, 20.0, -1.0], -3.0), SETTINGS)
    result = found.result
    assert result.h_neurons.tolist() == sorted(PLANTED)
    assert (result.rule, result.source, result.C, result.alpha_max) == ("given", "theirs.json", None, None)
    assert (result.path, result.curve, result.stability, result.reason) == ((), (), None, "")
    assert result.intercept == -3.0
    assert result.neuron_auroc is not None
    assert result.neuron_auroc.size == LAYERS * D_M
    assert found.baselines is not None
    assert {control.columns.size for control in found.baselines.controls["random"]} == {4}
    held = result.test[0]
    assert held.auroc is not None
    assert held.random_accuracy is not None
    assert held.auroc.low > 0.8 > held.random_accuracy.high


def test_given_neurons_without_both_classes_are_kept_beside_the_reason(tmp_path: Path) -> None:
    train, validation = planted(40, 0, one_class=True), planted(20, 1, one_class=True)
    result = take_given(material_of(tmp_path, train, validation, {}), listed(PLANTED), SETTINGS).result
    assert result.h_neurons.tolist() == sorted(PLANTED)
    assert (result.weights, result.rule, result.source) == (None, "given", "theirs.json")
    assert "both classes are needed" in result.reason
