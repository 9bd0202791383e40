"""Each rung is its baseline beside the probe on the same questions; together they catch what chance alone lets by."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from telling import (
    D_M,
    LAYERS,
    WIDTH,
    make_answers,
    make_probe,
    read_length,
    read_word,
    shuffled_searches,
    take,
    with_answer_neurons,
    with_stream,
)

from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.baselines import ladder as module
from provenance.analyses.baselines.answer_baselines import (
    BASELINE_KINDS,
    FittedBaselines,
    Scorer,
    fit_baselines,
    fit_texts,
    score_baselines,
)
from provenance.analyses.baselines.cross_fit import Folding, dealings, without_and_with
from provenance.analyses.baselines.ladder import (
    ALL_TOGETHER,
    DIRECTIONS_TOGETHER,
    RUNG_KINDS,
    corrected,
    ladder,
    words_dealt,
)
from provenance.analyses.baselines.plain_classifiers import fit_text
from provenance.analyses.claims.claim_conditions import decided
from provenance.analyses.controls.control_sets import CONTROL_KINDS, SET_KINDS, SHUFFLED_LABELS
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.analyses.transfer.probe_transfer import LENGTHS_AND_TEXTS, transfer
from provenance.errors import FitError
from provenance.probe.l1_path import Fit
from provenance.statistics.auroc import auroc
from provenance.statistics.bootstrap import BOOTSTRAP_DRAWS, resampled_weights
from provenance.words import DIRECTIONS

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

DRAWS, RESAMPLES = 20, 300
JOINT = (LENGTHS_AND_TEXTS, ALL_TOGETHER, DIRECTIONS_TOGETHER)
TRAINED = make_answers(200, seed=77)
"""Training answers of the model that is scored; neither words nor lengths tell anything."""


@pytest.fixture(scope="module", autouse=True)
def _words_fitted_once() -> Iterator[None]:
    """Word classifiers of the same texts and labels, which take most of a ladder's time, are fitted once."""
    kept: dict[object, list[Folding]] = {}
    own = fit_texts(TRAINED, sparse=True)

    def dealt(
        texts: Any, positive: np.ndarray, units: Sequence[str], *, count: int, seed: int
    ) -> list[Callable[[], Folding]]:
        key = (tuple(map(tuple, texts)), positive.tobytes(), tuple(units), count, seed)
        if key not in kept:
            kept[key] = [piece() for piece in dealings(texts, positive, units, count=count, seed=seed)]
        return [partial(kept[key].__getitem__, number) for number in range(len(kept[key]))]

    def fitted_texts(train: Answers, *, sparse: bool) -> dict[str, Scorer]:
        return own if train is TRAINED and sparse else fit_texts(train, sparse=sparse)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "dealings", dealt)
        patch.setattr(module, "fit_texts", fitted_texts)
        yield


@pytest.fixture(scope="module")
def fitted() -> FittedBaselines:
    """A probe that reads planted neurons; lengths tell the labels of its training answers as well."""
    train = make_answers(400, of="answer_length")
    return fit_baselines(make_probe(train), train, LAYERS, D_M, shuffled_searches(train, DRAWS), draws=DRAWS)


def climbed(
    fitted: FittedBaselines,
    tests: dict[str, Answers],
    own: Answers,
    halves: Sequence[Fit] = (),
    *,
    foldings: int = 2,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Rung, ...]:
    """The ladder on partitions of the same answers."""
    dealt = words_dealt(tests, foldings=foldings, seed=seed)
    return ladder(fitted, tests, own, dealt, halves, resamples=resamples, seed=seed)


def rungs_of(fitted: FittedBaselines, answers: Answers, seed: int = 0) -> dict[str, Rung]:
    rungs = climbed(fitted, {"trivia": answers}, TRAINED, seed=seed)
    assert {rung.dataset for rung in rungs} == {"trivia"}
    return {rung.kind: rung for rung in rungs}


def repeated_rows(answers: Answers, seed: int = 0) -> list[np.ndarray]:
    """Row numbers of the rows as they are and of every resample, the slow way."""
    weights = resampled_weights(answers.features.units, draws=RESAMPLES, seed=seed)
    return [np.repeat(np.arange(sample.size), sample.astype(int)) for sample in weights]


def number(rung: Rung, field: str) -> float:
    estimate = getattr(rung, field)
    assert estimate is not None
    return float(estimate.estimate)


def test_every_kind_has_a_rung_with_the_numbers_of_the_identification(fitted: FittedBaselines) -> None:
    answers = make_answers(seed=1, of="answer_length")
    found = climbed(fitted, {"trivia": answers}, TRAINED, foldings=1, resamples=BOOTSTRAP_DRAWS, seed=3)
    rungs = {rung.kind: rung for rung in found}
    assert tuple(rungs) == RUNG_KINDS
    for baseline in score_baselines(fitted, answers, seed=3):
        rung = rungs[baseline.kind]
        assert (rung.auroc, rung.gain) == (baseline.auroc, baseline.gain)
        assert rung.draws == len(baseline.draws)


def test_p_and_spread_against_a_classifier_are_those_of_the_definition(fitted: FittedBaselines) -> None:
    answers = make_answers(seed=1, of="answer_length", strength=0.004)
    positive, own = answers.features.hallucinated, fitted.probe.scores(answers.features.answer)
    said = fitted.scorers["answer_length"](answers)
    assert said is not None
    rival = said.ranking[:, 0]
    gains = [auroc(own[r], positive[r]) - auroc(rival[r], positive[r]) for r in repeated_rows(answers)]
    rung = rungs_of(fitted, answers)["answer_length"]
    slow = (1 + sum(gain <= 0 for gain in gains[1:])) / (1 + RESAMPLES)
    assert rung.p_value == slow
    assert 1 / (1 + RESAMPLES) < slow < 1  # neither end of what can come out
    assert rung.gain_sd == pytest.approx(np.std(gains[1:]))


@pytest.mark.costly
@pytest.mark.parametrize("kind", SET_KINDS)
def test_p_against_neuron_sets_counts_questions_and_sets(fitted: FittedBaselines, kind: str) -> None:
    answers = make_answers(seed=1, strength=0.002)
    positive, own = answers.features.hallucinated, fitted.probe.scores(answers.features.answer)
    said = fitted.scorers[kind](answers)
    assert said is not None
    shares, gains = [], []
    for rows in repeated_rows(answers):
        mine = auroc(own[rows], positive[rows])
        theirs = [auroc(column[rows], positive[rows]) for column in said.ranking.T]
        shares.append((1 + sum(area >= mine for area in theirs)) / (1 + DRAWS))
        gains.append([mine - area for area in theirs])
    rung = rungs_of(fitted, answers)[kind]
    assert rung.p_value == pytest.approx(np.mean(shares))
    assert rung.p_value != pytest.approx(shares[0])  # the questions count, and not only which set was drawn
    assert rung.gain_sd == pytest.approx(np.std(gains[1:]))


def test_twenty_sets_cannot_give_a_smaller_p_than_one_in_twenty_one(fitted: FittedBaselines) -> None:
    rung = rungs_of(fitted, make_answers(seed=1, strength=0.05))["random"]
    assert rung.p_value == pytest.approx(1 / (1 + DRAWS))


def test_what_length_explains_passes_chance_and_neuron_sets_but_not_the_ladder(fitted: FittedBaselines) -> None:
    """The base's neurons follow the length of an answer and nothing else; 0.5 and other neurons are beaten by that."""
    answers = read_length(seed=5)
    result = transfer(fitted.probe, answers.features, "trivia")
    rungs = climbed(fitted, {"trivia": answers}, TRAINED)
    sets = [rung for rung in rungs if rung.kind in CONTROL_KINDS]
    assert result.auroc is not None
    assert len(sets) == 2
    assert result.auroc.low > max(0.5, *(rung.sets_p95 or 1.0 for rung in sets))
    assert decided([result], sets)[0].verdict == "supported"  # the rule that knew only chance and neuron sets
    assert result.p_chance is not None
    assert result.p_chance < 0.05
    p_values = {rung.kind: rung.p_value or 0.0 for rung in rungs}
    assert p_values["answer_length"] > 0.05
    assert p_values[LENGTHS_AND_TEXTS] > 0.05
    [after] = decided([result], rungs)
    assert after.verdict == "not distinguishable"


def only_the_joint_rung_refuses(unaware: FittedBaselines, answers: Answers, trained: Answers) -> None:
    """Transfer is supported against all the others, and not distinguishable because of it."""
    result = transfer(unaware.probe, answers.features, "trivia")
    rungs = climbed(unaware, {"trivia": answers}, trained)
    [fooled] = decided([result], [rung for rung in rungs if rung.kind != LENGTHS_AND_TEXTS])
    assert fooled.verdict == "supported"
    [after] = decided([result], rungs)
    assert (after.verdict, after.decided_by) == ("not distinguishable", LENGTHS_AND_TEXTS)


def test_length_that_tells_labels_in_the_base_alone_is_caught_by_the_joint_rung() -> None:
    """Classifiers of the instruct answers cannot know it; what is fitted on the base's own answers does."""
    train = make_answers(400)  # lengths tell nothing here
    unaware = fit_baselines(make_probe(train), train, LAYERS, D_M, draws=DRAWS)
    answers = read_length(seed=5)
    only_the_joint_rung_refuses(unaware, answers, TRAINED)


def test_a_planted_signal_beats_every_rung() -> None:
    train, answers = (with_answer_neurons(make_answers(400, seed=seed, of="answer_length")) for seed in (0, 1))
    probe = make_probe(train)
    fitted = fit_baselines(probe, train, LAYERS, D_M, shuffled_searches(train, DRAWS), draws=DRAWS)
    result = transfer(probe, answers.features, "trivia")
    rungs = climbed(fitted, {"trivia": answers}, TRAINED)
    assert all(rung.p_value is not None and rung.p_value < 0.05 for rung in rungs)
    [after] = decided([result], rungs)
    assert after.verdict == "supported"


def test_a_search_with_meaningless_labels_that_ends_at_a_telling_neuron_is_caught_by_the_others_like_it() -> None:
    """The neuron that rises most on answers tells: it is found whatever the labels, and all other rungs are beaten."""
    train, answers = (with_answer_neurons(make_answers(400, seed=seed, strength=0.0), 0.01) for seed in (0, 1))
    labels = train.features.hallucinated
    blind = replace(train, features=replace(train.features, hallucinated=np.roll(labels, 101)))
    shuffled = shuffled_searches(blind, DRAWS)
    fitted = fit_baselines(make_probe(blind), blind, LAYERS, D_M, shuffled, draws=DRAWS)
    result = transfer(fitted.probe, answers.features, "trivia", shuffled)
    rungs = climbed(fitted, {"trivia": answers}, TRAINED, shuffled)
    [before] = decided([result], [rung for rung in rungs if rung.kind != SHUFFLED_LABELS])
    [after] = decided([result], rungs)
    assert (before.verdict, after.verdict) == ("supported", "not distinguishable")
    assert after.decided_by == SHUFFLED_LABELS
    alone = climbed(fitted, {"trivia": answers}, TRAINED)
    gains = {kind: {rung.gain for each in (rungs, alone) for rung in each if rung.kind == kind} for kind in SET_KINDS}
    assert len(gains["random"]) == 2  # the training set's spread is part of it
    assert len(gains[SHUFFLED_LABELS]) == 1  # and not of a test on the same training answers


def test_all_together_is_cross_fitted_on_everything_from_outside(fitted: FittedBaselines) -> None:
    answers = make_answers(seed=1, of="answer_log_probability", strength=0.004)
    texts = [fitted.scorers[kind](answers) for kind in ("question_text", "answer_text")]
    again = [
        fit_text(getattr(TRAINED, of), TRAINED.features.hallucinated, sparse=True) for of in ("questions", "answers")
    ]
    mean = answers.log_probability
    assert mean is not None
    others = np.column_stack(
        [
            answers.tokens,
            [len(text) for text in answers.answers],
            answers.tokens**2,
            [len(text) ** 2 for text in answers.answers],
            [len(text.split()) for text in answers.questions],
            [len(text) for text in answers.questions],
            *(said.decisions for said in texts if said is not None),
            again[0](answers.questions),
            again[1](answers.answers),
            mean,
            mean**2,
            mean * answers.tokens,
        ]
    )
    own, positive, units = (
        fitted.probe.scores(answers.features.answer),
        answers.features.hallucinated,
        answers.features.units,
    )
    dealt = [piece() for piece in dealings((answers.questions, answers.answers), positive, units, count=2, seed=6)]
    plain, joined = (auroc(each, positive) for each in without_and_with(others, own, positive, units, dealt))
    rung = rungs_of(fitted, answers, seed=6)[ALL_TOGETHER]
    assert number(rung, "auroc") == pytest.approx(plain)
    assert number(rung, "gain") == pytest.approx(joined - plain)
    assert plain > 0.75  # it found the log-probability, which no training answer tells
    assert rung.draws == 0


def test_the_probe_adds_to_directions_only_what_they_do_not_know() -> None:
    """Directions that hold the probe's score leave it nothing to add; directions about something else do not."""
    train, answers = make_answers(400, strength=0.004), make_answers(400, seed=5, strength=0.004)
    probe = make_probe(train)
    rng = np.random.default_rng(3)

    def copying(given: Answers) -> Answers:
        stream = rng.normal(size=(len(given.features), LAYERS, WIDTH))
        scores = probe.scores(given.features.answer)
        stream[:, 1, 0] = 10 * scores + 0.01 * rng.normal(size=scores.size)
        return with_stream(given, stream)

    found: dict[str, Rung] = {}
    for name, (trained, tested) in {
        "copied": (copying(train), copying(answers)),
        "other": (train, answers),
    }.items():
        known = fit_baselines(probe, trained, LAYERS, D_M, draws=2)
        found[name] = rungs_of(known, tested)[DIRECTIONS_TOGETHER]
        assert number(found[name], "auroc") > (0.65 if name == "copied" else 0.0)
    assert found["copied"].p_value is not None
    assert found["other"].p_value is not None
    assert found["copied"].p_value > 0.05 > found["other"].p_value
    assert number(found["other"], "gain") > 0.1 > number(found["copied"], "gain")


def test_directions_together_are_cross_fitted_on_both_alone(fitted: FittedBaselines) -> None:
    answers = make_answers(seed=1, of="residual", strength=0.004)
    said = [fitted.scorers[kind](answers) for kind in DIRECTIONS]
    others = np.column_stack([each.decisions for each in said if each is not None])
    assert others.shape == (200, 2)
    own, positive = fitted.probe.scores(answers.features.answer), answers.features.hallucinated
    dealt = [piece() for piece in dealings((), positive, answers.features.units, count=2, seed=6)]
    plain, joined = (
        auroc(each, positive) for each in without_and_with(others, own, positive, answers.features.units, dealt)
    )
    rung = rungs_of(fitted, answers, seed=6)[DIRECTIONS_TOGETHER]
    assert number(rung, "auroc") == pytest.approx(plain)
    assert number(rung, "gain") == pytest.approx(joined - plain)


def test_a_word_that_tells_labels_in_the_base_alone_is_caught_by_the_joint_rung() -> None:
    """The base's neurons read one word of its questions; classifiers of the instruct answers never saw it tell."""
    train = make_answers(400)
    unaware = fit_baselines(make_probe(train), train, LAYERS, D_M, draws=DRAWS)
    trained, answers = (read_word(seed=seed) for seed in (4, 5))
    only_the_joint_rung_refuses(unaware, answers, trained)
    alone = climbed(unaware, {"trivia": answers}, take(trained, range(2)))  # one class: only the other parts' words
    adds = {rung.kind: rung.p_value for rung in alone}[LENGTHS_AND_TEXTS]
    assert adds is not None
    assert adds > 0.05


def test_log_probabilities_that_only_their_sum_or_their_square_tells_are_caught(fitted: FittedBaselines) -> None:
    """Answers that are very probable or very improbable are hallucinated: no line through the mean can say so."""
    answers = make_answers(400, seed=1)
    rng = np.random.default_rng(0)
    extreme = np.where(rng.random(400) < 0.5, 1.0, 3.0) + 0.2 * rng.normal(size=400)
    middle = 2.0 + 0.2 * rng.normal(size=400)
    told = -np.where(answers.features.hallucinated, extreme, middle)
    rung = rungs_of(fitted, replace(answers, log_probability=told))[ALL_TOGETHER]
    assert number(rung, "auroc") > 0.9


def test_the_probe_adds_to_all_together_only_what_they_do_not_know(fitted: FittedBaselines) -> None:
    copied = rungs_of(fitted, read_length(seed=5))[ALL_TOGETHER]
    new = rungs_of(fitted, make_answers(400, seed=5, of="answer_length"))[ALL_TOGETHER]
    assert copied.p_value is not None
    assert new.p_value is not None
    assert copied.p_value > 0.05 > new.p_value
    assert number(new, "gain") > 0.05 > number(copied, "gain")


def test_a_reversed_probe_gains_nothing(fitted: FittedBaselines) -> None:
    turned = replace(fitted, probe=replace(fitted.probe, weights=-fitted.probe.weights))
    rungs = rungs_of(turned, make_answers(seed=1))
    assert (number(rungs[ALL_TOGETHER], "gain"), rungs[ALL_TOGETHER].p_value) == (0.0, 1.0)
    assert number(rungs["answer_text"], "gain") < 0


@pytest.mark.costly
def test_correction_is_by_kind_and_over_question_sets_with_power(fitted: FittedBaselines) -> None:
    weak = {f"set {seed}": make_answers(120, seed=seed, strength=0.001 * seed) for seed in range(1, 5)}
    few = take(make_answers(seed=9), range(20))
    found = climbed(fitted, {**weak, "few": few}, TRAINED, foldings=1)
    assert {rung.p_holm for rung in found} == {None}
    results = [TransferResult(name, None, 60, 60, p_holm=None if name == "few" else 0.2) for name in (*weak, "few")]
    rungs = corrected(found, results)
    assert [replace(rung, p_holm=None) for rung in rungs] == list(found)
    for kind in RUNG_KINDS:
        mine = [rung for rung in rungs if rung.kind == kind and rung.dataset in weak]
        expected = multipletests([rung.p_value for rung in mine], method="holm")[1]
        np.testing.assert_allclose([rung.p_holm for rung in mine], expected)
        [left_out] = [rung for rung in rungs if (rung.kind, rung.dataset) == (kind, "few")]
        assert left_out.p_holm is None
        assert (left_out.auroc is None) == (kind in JOINT)  # ten questions are too few for folds


@pytest.mark.parametrize("side", ["train", "test"])
def test_without_log_probabilities_what_needs_them_has_no_number(fitted: FittedBaselines, side: str) -> None:
    answers = make_answers(seed=1)
    if side == "train":
        scorers = {kind: scorer for kind, scorer in fitted.scorers.items() if kind != "answer_log_probability"}
        rungs = rungs_of(replace(fitted, scorers=scorers), answers)
    else:
        rungs = rungs_of(fitted, replace(answers, log_probability=None))
    assert tuple(rungs) == RUNG_KINDS
    needed = ["answer_log_probability"] if side == "train" else ["answer_log_probability", "all_together"]
    assert [kind for kind, rung in rungs.items() if rung.auroc is None] == needed
    assert rungs["answer_log_probability"].p_value is None


@pytest.mark.parametrize("case", ["one class", "no rows", "nothing fitted"])
def test_where_nothing_can_be_scored_every_rung_is_empty(fitted: FittedBaselines, case: str) -> None:
    answers = make_answers(seed=1)
    faithful = np.flatnonzero(~answers.features.hallucinated)
    given = {"one class": take(answers, faithful), "no rows": take(answers, range(0)), "nothing fitted": answers}
    bare = replace(fitted, scorers={}) if case == "nothing fitted" else fitted
    rungs = rungs_of(bare, given[case])
    assert tuple(rungs) == RUNG_KINDS
    for rung in rungs.values():
        assert (rung.auroc, rung.gain, rung.p_value, rung.p_holm, rung.gain_sd) == (None,) * 5
    assert climbed(fitted, {}, TRAINED) == ()


def test_a_probe_without_weights_adds_nothing(fitted: FittedBaselines) -> None:
    empty = replace(fitted, probe=replace(fitted.probe, weights=np.zeros(LAYERS * D_M)))
    assert rungs_of(empty, make_answers(seed=1))[ALL_TOGETHER].p_value == 1.0


def test_a_log_probability_that_is_no_number_is_refused(fitted: FittedBaselines) -> None:
    answers = make_answers(seed=1)
    assert answers.log_probability is not None
    spoilt = np.where(np.arange(200) == 3, np.nan, answers.log_probability)
    with pytest.raises(FitError):
        climbed(fitted, {"trivia": replace(answers, log_probability=spoilt)}, TRAINED, foldings=1)


@pytest.mark.costly
def test_the_order_of_rows_does_not_matter_and_the_seed_decides(fitted: FittedBaselines) -> None:
    answers = make_answers(seed=1, of="answer_length", strength=0.004)
    order = np.random.default_rng(0).permutation(200)
    plain = rungs_of(fitted, answers)
    assert rungs_of(fitted, answers) == plain
    turned = rungs_of(fitted, take(answers, order))
    for kind in RUNG_KINDS:
        assert turned[kind].p_value == pytest.approx(plain[kind].p_value, abs=2 / RESAMPLES)
        assert number(turned[kind], "gain") == pytest.approx(number(plain[kind], "gain"), abs=1e-9)
    other = rungs_of(fitted, answers, seed=1)
    assert other[ALL_TOGETHER].gain != plain[ALL_TOGETHER].gain
    assert other["random"].p_value != plain["random"].p_value


def test_plain_arrays_of_another_model_can_be_scored(fitted: FittedBaselines) -> None:
    """Half-precision rows in memory are read as those of a file are."""
    answers = make_answers(seed=1)
    half = NeuronRows.of(answers.features.answer.all().astype(np.float16))
    rungs = rungs_of(fitted, replace(answers, features=replace(answers.features, answer=half)))
    exact = rungs_of(fitted, answers)
    assert number(rungs["random"], "auroc") == pytest.approx(number(exact["random"], "auroc"), abs=0.01)
    assert set(BASELINE_KINDS) < set(rungs)
