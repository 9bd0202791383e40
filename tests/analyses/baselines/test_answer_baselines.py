"""Baselines on answers with planted words, lengths and confidences: each finds its own, and only that."""

import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
from reference import accuracy, bootstrap_by_unit
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from telling import D_M, LAYERS, make_answers, make_probe, shuffled_searches, take

from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.baselines.answer_baselines import BASELINE_KINDS, fit_baselines, score_baselines
from provenance.analyses.baselines.plain_classifiers import NGRAMS, SPARSE, TEXT_C, WORD, fit_columns, fit_text
from provenance.analyses.controls.control_probes import control_scores, fit_controls
from provenance.analyses.controls.control_sets import SHUFFLED_LABELS, excluded_from_controls, neuron_sets
from provenance.analyses.results.probes import Baseline
from provenance.errors import FitError
from provenance.statistics.auroc import auroc
from provenance.words import DIRECTIONS

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

DRAWS = 20


def found(train: Answers, test: Answers, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Baseline]:
    shuffled = shuffled_searches(train, draws)
    fitted = fit_baselines(make_probe(train), train, LAYERS, D_M, shuffled, draws=draws, seed=seed)
    return {baseline.kind: baseline for baseline in score_baselines(fitted, test, seed=seed)}


def area(baseline: Baseline) -> float:
    assert baseline.auroc is not None
    return baseline.auroc.estimate


@pytest.mark.costly
@pytest.mark.parametrize(
    "planted", ["answer_length", "question_text", "answer_text", "answer_log_probability", "residual"]
)
def test_what_is_planted_is_found_by_its_own_baseline_and_no_other(planted: str) -> None:
    baselines = found(make_answers(of=planted), make_answers(seed=1, of=planted))
    assert tuple(baselines) == BASELINE_KINDS
    assert (
        area(baselines.pop(SHUFFLED_LABELS)) > 0.8
    )  # it reads the neurons as well, since no other neuron rises on answers
    for kind, baseline in baselines.items():
        assert baseline.accuracy is not None
        if kind == planted or (planted == "residual" and kind in DIRECTIONS):
            assert baseline.accuracy.low > 0.6
            assert area(baseline) > 0.75
        else:
            assert 0.35 < area(baseline) < 0.65


def test_the_gain_is_paired_by_question() -> None:
    """Estimate and both ends are those of the difference, computed draw by draw on the same questions."""
    train, test = make_answers(of="question_text"), make_answers(seed=1, of="question_text")
    positive, units = test.features.hallucinated, list(test.features.units)
    probe = make_probe(train)
    own = probe.scores(test.features.answer)
    baseline = found(train, test)["answer_log_probability"]
    rival = -np.asarray(test.log_probability)
    slow = bootstrap_by_unit(lambda r: auroc(own[r], positive[r]) - auroc(rival[r], positive[r]), units)
    assert baseline.gain == slow
    assert baseline.auroc == bootstrap_by_unit(lambda r: auroc(rival[r], positive[r]), units)
    assert slow.low > 0
    assert baseline.draws == ()


@pytest.mark.costly
@pytest.mark.parametrize("kind", ["random", "layer_matched"])
def test_neuron_sets_are_refitted_on_the_training_rows_and_averaged(kind: str) -> None:
    train, test = make_answers(), make_answers(seed=1)
    probe, positive, units = make_probe(train), test.features.hallucinated, list(test.features.units)
    excluded = excluded_from_controls(probe.nonzero, np.empty(0, dtype=np.int64), LAYERS, D_M)
    rng = np.random.default_rng(5)
    for each in ("random", "layer_matched"):  # one generator for both, in this order
        sets = neuron_sets(each, probe.nonzero, LAYERS, D_M, K=DRAWS, rng=rng, excluded=excluded)
        if each == kind:
            break
    controls = fit_controls(train.features, sets, "3-vs-1")
    scores = list(control_scores(controls, test.features.answer).T)
    baseline = found(train, test, seed=5)[kind]
    assert baseline.draws == tuple(auroc(s, positive) for s in scores)

    def mean_over_sets(rows: np.ndarray) -> float:
        return float(np.mean([auroc(s[rows], positive[rows]) for s in scores]))

    def share_right(rows: np.ndarray) -> float:
        return float(np.mean([accuracy(s[rows], positive[rows]) for s in scores]))

    for estimate, statistic in ((baseline.auroc, mean_over_sets), (baseline.accuracy, share_right)):
        slow = bootstrap_by_unit(statistic, units, seed=5)
        assert estimate is not None
        np.testing.assert_allclose(
            [estimate.estimate, estimate.low, estimate.high], [slow.estimate, slow.low, slow.high], rtol=1e-12
        )


def test_test_answers_take_no_part_in_the_fit() -> None:
    """A row gets the same score whatever stands beside it, and words of test texts alone say nothing."""
    train, test = make_answers(of="answer_text"), make_answers(seed=1, of="answer_text")
    fitted = fit_baselines(make_probe(train), train, LAYERS, D_M, shuffled_searches(train, 2), draws=2)
    half = take(test, range(50))
    new_words = replace(half, answers=tuple("qqq " * (i + 1) for i in range(50)))
    for kind, scorer in fitted.scorers.items():
        whole, part, changed = scorer(test), scorer(half), scorer(new_words)
        assert whole is not None
        assert part is not None
        assert changed is not None
        np.testing.assert_allclose(part.ranking, whole.ranking[:50], rtol=1e-12)
        assert kind != "answer_text" or np.ptp(changed.ranking) == 0 < np.ptp(part.ranking)


@pytest.mark.costly
def test_the_order_of_rows_does_not_matter_and_the_seed_decides() -> None:
    train, test = make_answers(of="question_text"), make_answers(seed=1, of="question_text")
    rng = np.random.default_rng(0)
    plain = found(train, test)
    assert found(train, test) == plain
    turned = found(take(train, rng.permutation(200)), take(test, rng.permutation(200)))
    for kind, baseline in plain.items():
        np.testing.assert_allclose(numbers(turned[kind]), numbers(baseline), rtol=1e-9)
    assert numbers(found(train, test, seed=1)["random"]) != numbers(plain["random"])


def numbers(baseline: Baseline) -> list[float]:
    estimates = (baseline.accuracy, baseline.auroc, baseline.gain)
    assert None not in estimates
    return [x for e in estimates if e is not None for x in (e.estimate, e.low, e.high)] + list(baseline.draws)


@pytest.mark.parametrize("word", ["the", "", "?!"])
def test_answers_without_a_telling_word_all_get_the_same_score(word: str) -> None:
    train, test = (replace(a, answers=(word,) * 200) for a in (make_answers(), make_answers(seed=1)))
    baseline = found(train, test)["answer_text"]
    assert baseline.auroc is not None
    assert baseline.accuracy is not None
    assert (baseline.auroc.estimate, baseline.auroc.low, baseline.auroc.high) == (0.5, 0.5, 0.5)
    assert baseline.accuracy.estimate == 0.5


def test_answers_of_one_length_all_get_the_same_score() -> None:
    train, test = (
        replace(a, answers=("ab",) * 200, tokens=np.ones(200, dtype=np.int64))
        for a in (make_answers(), make_answers(seed=1))
    )
    assert area(found(train, test)["answer_length"]) == 0.5


def test_rows_with_the_same_numbers_tie_wherever_they_stand() -> None:
    """The last digits of a matrix product can depend on a row's place; an AUROC would then count ties by chance."""
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(400, 5))
    scorer = fit_columns(columns, rng.random(400) < 0.5)
    repeated = np.tile(columns[:7], (31, 1))
    assert len(set(scorer(repeated).tolist())) == 7


def test_digits_and_single_letters_are_words() -> None:
    vectorizer = TfidfVectorizer(token_pattern=WORD, ngram_range=NGRAMS)
    assert sorted(vectorizer.build_analyzer()("In 7 Ä")) == ["7", "7 ä", "in", "in 7", "ä"]


def test_a_sparse_classifier_knows_a_word_that_tells_better_than_one_with_a_little_of_everything() -> None:
    """One of two first words goes with the label in four of five texts; 25 other words mean nothing."""
    rng = np.random.default_rng(0)
    label = np.arange(320) % 2 == 0
    first = np.where(rng.random(320) < 0.8, label, ~label)
    others = rng.choice([f"w{number}" for number in range(25)], (320, 2))
    texts = [" ".join(["when" if told else "where", *words]) for told, words in zip(first, others, strict=True)]
    known = {}
    for sparse in (True, False):
        said = fit_text(texts[:160], label[:160], sparse=sparse)(texts[160:])
        known[sparse] = np.corrcoef(said, first[160:])[0, 1]
    assert known[True] > 0.95
    assert known[True] > known[False] + 0.05
    again = fit_text(texts[:160], label[:160], sparse=True)(texts[160:])
    np.testing.assert_array_equal(again, fit_text(texts[:160], label[:160], sparse=True)(texts[160:]))


@pytest.mark.costly
def test_a_sparse_fit_that_never_stops_by_its_own_rule_is_there_all_the_same() -> None:
    """Texts on which Liblinear steps in the last digits for ever: 20 times as many rounds decide the same."""
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(45), 8)[rng.random(360) < 0.97]
    guilty = rng.permutation(45) < 22
    verbs = rng.choice(["eat", "play", "drink", "wear", "own", "carry", "keep", "tend"], people.size)
    texts = [f"what does first{who % 30} last{who} {verb}" for who, verb in zip(people, verbs, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = fit_text(texts, guilty[people], sparse=True)(texts)
    rows = TfidfVectorizer(token_pattern=WORD, ngram_range=NGRAMS, sublinear_tf=True).fit_transform(texts)
    longer = LogisticRegression(C=TEXT_C, class_weight="balanced", **{**SPARSE, "max_iter": 20_000})
    with pytest.warns(ConvergenceWarning):
        longer.fit(rows, guilty[people])
    np.testing.assert_allclose(said, longer.decision_function(rows), atol=1e-6)


def test_a_label_imbalance_of_the_training_answers_does_not_decide() -> None:
    """With three faithful answers to each hallucinated one, uninformative texts are still called by halves."""
    label = np.arange(2000) % 4 == 0
    answers = make_answers(2000)
    lengths = answers.tokens[:, None].astype(np.float64)
    plain = LogisticRegression().fit(lengths, label).predict(lengths)
    assert plain.mean() < 0.05  # what would come of it without weights
    by_words = fit_text(answers.questions, label)(make_answers(2000, seed=1).questions)
    by_length = fit_columns(lengths, label)(make_answers(2000, seed=1).tokens[:, None].astype(np.float64))
    for scores in (by_words, by_length):
        assert 0.2 < (scores > 0).mean() < 0.8


@pytest.mark.parametrize("spoil", ["one class", "nan"])
def test_training_answers_that_cannot_be_fitted_are_refused(spoil: str) -> None:
    label = np.arange(4) < (4 if spoil == "one class" else 2)
    columns = np.array([[1.0], [2.0], [3.0], [np.nan if spoil == "nan" else 4.0]])
    with pytest.raises(FitError):
        fit_columns(columns, label)
    if spoil == "one class":
        with pytest.raises(FitError):
            fit_text(("a", "b", "c", "d"), label)


@pytest.mark.parametrize("side", ["train", "test"])
def test_without_log_probabilities_that_baseline_alone_is_missing(side: str) -> None:
    train, test = make_answers(), make_answers(seed=1)
    if side == "train":
        train = replace(train, log_probability=None)
    else:
        test = replace(test, log_probability=None)
    assert tuple(found(train, test)) == tuple(kind for kind in BASELINE_KINDS if kind != "answer_log_probability")


@pytest.mark.parametrize("side", ["train", "test"])
def test_without_a_residual_stream_directions_alone_are_missing(side: str) -> None:
    train, test = make_answers(), make_answers(seed=1)
    if side == "train":
        train = replace(train, features=replace(train.features, residual=None))
    else:
        test = replace(test, features=replace(test.features, residual=None))
    assert tuple(found(train, test)) == tuple(kind for kind in BASELINE_KINDS if kind not in DIRECTIONS)


@pytest.mark.parametrize("side", ["train", "test", "no test rows"])
def test_one_class_or_nothing_has_no_baselines(side: str) -> None:
    train, test = make_answers(), make_answers(seed=1)
    probe = make_probe(train)
    faithful = np.flatnonzero(~train.features.hallucinated)
    if side == "train":
        train = take(train, faithful)
    else:
        test = take(test, faithful if side == "test" else range(0))
    assert score_baselines(fit_baselines(probe, train, LAYERS, D_M, draws=2), test) == ()


def test_neurons_without_a_counterpart_are_in_no_set() -> None:
    train, test = make_answers(), make_answers(seed=1)
    probe = make_probe(train)
    unmapped = np.array([0, 1, 2, *probe.nonzero])
    fitted = fit_baselines(probe, train, LAYERS, D_M, draws=2, unmapped=unmapped)
    assert tuple(fitted.scorers) == BASELINE_KINDS[3:]  # nothing is left of the probe to be matched, none was shuffled
    spoilt = test.features.answer.all()
    spoilt[:, :3] = np.nan
    nearly = fit_baselines(probe, train, LAYERS, D_M, draws=DRAWS, unmapped=np.arange(3))
    said = nearly.scorers["random"](replace(test, features=replace(test.features, answer=NeuronRows.of(spoilt))))
    assert said is not None
    assert np.isfinite(said.ranking).all()


def test_four_hundred_sets_and_a_thousand_draws_take_seconds() -> None:
    train, test = make_answers(600), make_answers(600, seed=1)
    fitted = fit_baselines(make_probe(train), train, LAYERS, D_M)
    start = time.perf_counter()
    baselines = score_baselines(fitted, test)
    assert time.perf_counter() - start < 30  # a loop over draws and columns takes minutes
    assert [len(baseline.draws) for baseline in baselines] == [200, 200, 0, 0, 0, 0, 0, 0]
