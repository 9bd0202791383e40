"""A score that adds something adds it on answers that the weights have not seen; one that does not adds nothing."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from provenance.analyses.baselines.cross_fit import FOLDINGS, Folding, dealings, without_and_with
from provenance.analyses.baselines.plain_classifiers import DENSE, NGRAMS, SPARSE, WORD, fit_columns
from provenance.analyses.controls.control_probes import WEAK_C
from provenance.analyses.controls.question_folds import FOLDS, folds
from provenance.errors import FitError
from provenance.statistics.auroc import auroc

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

ROWS = 240
UNITS = tuple(f"q{row // 2:03d}" for row in range(ROWS))
POSITIVE = np.arange(ROWS) % 6 < 2  # a third of the questions
WORDS = np.random.default_rng(9).choice(["one", "two", "three", "four", "five"], (ROWS, 3))
TEXTS = tuple(
    " ".join([*words, "Zyx" if positive and row % 5 else "ten"])
    for row, (words, positive) in enumerate(zip(WORDS, POSITIVE, strict=True))
)
"""One word goes with the label, in four of five rows."""
VOCABULARY = [f"w{number:02d}" for number in range(60)]


def columns(seed: int, width: int = 4, tell: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ROWS, width)) + tell * POSITIVE[:, None]


def dealt_out(
    texts: Sequence[Sequence[str]], positive: np.ndarray, units: Sequence[str], *, count: int = 1, seed: int = 0
) -> list[Folding]:
    return [piece() for piece in dealings(texts, positive, units, count=count, seed=seed)]


def areas(others: np.ndarray, score: np.ndarray, seed: int = 0) -> tuple[float, float]:
    values = without_and_with(others, score, POSITIVE, UNITS, dealt_out((), POSITIVE, UNITS, count=2, seed=seed))
    return auroc(values[0], POSITIVE), auroc(values[1], POSITIVE)


def test_units_stay_together_and_both_classes_are_dealt_out_evenly() -> None:
    part = folds(UNITS, POSITIVE, 0)
    assert part is not None
    assert (part[::2] == part[1::2]).all()
    for label in (True, False):
        counts = np.bincount(part[label == POSITIVE], minlength=FOLDS)
        assert np.ptp(counts) <= 2  # one question, two rows
    assert (part != folds(UNITS, POSITIVE, 1)).any()


def test_a_unit_keeps_its_part_whatever_the_order_of_rows() -> None:
    part, order = folds(UNITS, POSITIVE, 3), np.random.default_rng(0).permutation(ROWS)
    turned = folds([UNITS[row] for row in order], POSITIVE[order], 3)
    assert part is not None
    assert turned is not None
    assert (turned == part[order]).all()


def test_nine_questions_of_a_class_are_too_few_and_ten_are_enough() -> None:
    units = [f"q{row:02d}" for row in range(40)]
    assert folds(units, np.arange(40) < 9, 0) is None
    assert folds(units, np.arange(40) < 31, 0) is None
    assert folds(units, np.arange(40) < 10, 0) is not None
    assert folds(["one"] * 40, np.arange(40) < 20, 0) is None
    assert folds([], np.zeros(0, dtype=bool), 0) is None


def test_every_row_is_scored_by_a_fit_on_the_other_folds() -> None:
    others, score = columns(0, tell=0.3), columns(1, 1, tell=0.5)[:, 0]
    [dealt] = dealt_out((), POSITIVE, UNITS, count=1, seed=7)
    part, values = dealt.part, without_and_with(others, score, POSITIVE, UNITS, [dealt])
    for rows, found in zip((others, np.column_stack([others, score])), values, strict=True):
        slow = np.empty(ROWS)
        for row in range(ROWS):
            train = rows[part != part[row]]
            centre, spread = train.mean(axis=0), train.std(axis=0)
            model = LogisticRegression(C=WEAK_C, class_weight="balanced", tol=1e-10)
            model.fit((train - centre) / spread, POSITIVE[part != part[row]])
            slow[row] = model.decision_function(((rows[row] - centre) / spread)[None])[0]
        np.testing.assert_allclose(found, slow, rtol=1e-3, atol=1e-4)  # both solvers stop near the optimum


def test_what_tells_more_adds_and_a_noisy_copy_of_the_others_does_not() -> None:
    others = columns(0, tell=0.4)
    new = columns(1, 1, tell=1.0)[:, 0]
    copy = others.sum(axis=1) + np.random.default_rng(2).normal(size=ROWS)
    assert auroc(copy, POSITIVE) > 0.6  # it tells something by itself
    plain, with_new = areas(others, new)
    assert with_new > plain + 0.05
    assert abs(areas(others, copy)[1] - plain) < 0.02


def test_noise_is_worth_nothing_out_of_fold_though_in_sample_it_looks_like_something() -> None:
    found = np.array([areas(columns(seed, 8), columns(1000 + seed, 1)[:, 0], seed) for seed in range(30)])
    fitted = [fit_columns(columns(seed, 8), POSITIVE)(columns(seed, 8)) for seed in range(30)]
    assert np.mean([auroc(values, POSITIVE) for values in fitted]) > 0.56
    assert found.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.03)
    assert (found[:, 1] - found[:, 0]).mean() < 0.01


def test_a_score_that_points_the_wrong_way_adds_nothing() -> None:
    others, score = columns(0, tell=0.2), columns(1, 1, tell=1.5)[:, 0]
    plain, right = areas(others, score)
    assert right > plain + 0.1
    assert areas(others, -score) == (plain, plain)


def test_the_order_of_rows_does_not_matter_and_the_seed_decides() -> None:
    others, score = columns(0, tell=0.3), columns(1, 1, tell=0.5)[:, 0]
    order = np.random.default_rng(4).permutation(ROWS)
    dealt = dealt_out([TEXTS], POSITIVE, UNITS, count=2, seed=2)
    plain = without_and_with(others, score, POSITIVE, UNITS, dealt)
    moved = [TEXTS[row] for row in order], POSITIVE[order], [UNITS[row] for row in order]
    again = dealt_out(moved[:1], *moved[1:], count=2, seed=2)
    turned = without_and_with(others[order], score[order], *moved[1:], again)
    for here, there in zip(plain, turned, strict=True):
        assert there.tolist() == here[order].tolist()
    assert areas(others, score, 2) != areas(others, score, 3)


def test_a_constant_score_adds_nothing_and_a_nan_is_refused() -> None:
    others = columns(0, tell=0.3)
    plain, constant = areas(others, np.ones(ROWS))
    assert plain == constant
    with pytest.raises(FitError):
        areas(others, np.where(np.arange(ROWS) == 5, np.nan, 0.0))


def test_texts_are_judged_by_rows_of_neither_their_own_part_nor_the_one_to_be_scored() -> None:
    """Slow: for each part to be scored and each part of rows, a classifier fitted on all the rest."""
    [dealt, other] = dealt_out([TEXTS, ["same"] * ROWS], POSITIVE, UNITS, count=2, seed=3)
    assert (dealt.part != other.part).any()
    for scored, judged in product(range(FOLDS), repeat=2):
        train = np.flatnonzero((dealt.part != scored) & (dealt.part != judged))
        rows = np.flatnonzero(dealt.part == judged)
        vectorizer = TfidfVectorizer(token_pattern=WORD, ngram_range=NGRAMS, sublinear_tf=True)
        seen, unseen = vectorizer.fit_transform(TEXTS[row] for row in train), [TEXTS[row] for row in rows]
        for column, how in enumerate((DENSE, SPARSE)):
            model = LogisticRegression(C=ROWS / train.size, class_weight="balanced", **how).fit(seen, POSITIVE[train])
            slow = model.decision_function(vectorizer.transform(unseen))
            np.testing.assert_allclose(dealt.words[scored, rows, column], slow, atol=1e-3)
    own = dealt.words[dealt.part, np.arange(ROWS)]
    assert auroc(own[:, 0], POSITIVE) > 0.85
    assert np.ptp(own[:, 2:], axis=0).max() < 0.01
    noise = columns(0)
    plain, _ = without_and_with(noise, columns(1, 1)[:, 0], POSITIVE, UNITS, [dealt, other])
    assert auroc(plain, POSITIVE) > 0.8 > areas(noise, columns(1, 1)[:, 0])[0]  # the words are among the others


def test_word_scores_beyond_those_of_the_fitted_rows_are_taken_as_the_most_extreme_of_these() -> None:
    """A word that only the larger part knows would be multiplied by the little that the smaller ones differ."""
    [dealt] = dealt_out((), POSITIVE, UNITS, count=1, seed=3)
    rng = np.random.default_rng(5)
    words = 1e-6 * rng.normal(size=(FOLDS, ROWS, 1))
    own = dealt.part, np.arange(ROWS)
    words[own] = rng.normal(size=(ROWS, 1))
    others, score = columns(0, tell=1.0), columns(1, 1)[:, 0]
    plain, _ = without_and_with(others, score, POSITIVE, UNITS, [replace(dealt, words=words[:, :, :0])])
    known, _ = without_and_with(others, score, POSITIVE, UNITS, [replace(dealt, words=words)])
    assert auroc(known, POSITIVE) > auroc(plain, POSITIVE) - 0.02
    low, high = words.copy(), words.copy()
    low[own], high[own] = 2.0, 1e9  # both beyond
    here, there = (without_and_with(others, score, POSITIVE, UNITS, [replace(dealt, words=w)])[0] for w in (low, high))
    assert here.tolist() == there.tolist()


def test_a_parts_labels_reach_nothing_that_it_is_scored_by() -> None:
    """Turned round in one part, labels change none of that part's values, with all else as it is."""
    [dealt] = dealt_out([TEXTS], POSITIVE, UNITS, count=1, seed=3)
    others, score = columns(0, tell=0.3), columns(1, 1, tell=0.5)[:, 0]
    before = without_and_with(others, score, POSITIVE, UNITS, [dealt])
    for fold in range(FOLDS):
        mine = dealt.part == fold
        turned = POSITIVE ^ mine
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("provenance.analyses.baselines.cross_fit.folds", lambda *_: dealt.part)
            [again] = dealt_out([TEXTS], turned, UNITS, count=1, seed=3)
        after = without_and_with(others, score, turned, UNITS, [again])
        for old, new in zip(before, after, strict=True):
            np.testing.assert_allclose(new[mine], old[mine], rtol=1e-6)
            assert np.abs(new[~mine] - old[~mine]).max() > 0.1


@pytest.mark.costly
@pytest.mark.parametrize("seeds", [8, pytest.param(24, marks=pytest.mark.slow)])
def test_words_that_tell_nothing_are_worth_nothing_unless_they_saw_the_part_that_is_scored(seeds: int) -> None:
    """With each row's one score, from all parts but its own, the part that is scored has a say in its own weights."""
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        texts = [[" ".join(rng.choice(VOCABULARY, 6)) for _ in range(160)] for _ in range(2)]
        positive, units = rng.permutation(160) < 80, [f"q{row:03d}" for row in range(160)]
        others, score = rng.normal(size=(160, 3)), rng.normal(size=160)
        [dealt] = dealt_out(texts, positive, units, count=1, seed=seed)
        without = replace(dealt, words=dealt.words[:, :, :0])
        leaky = replace(dealt, words=np.stack([dealt.words[dealt.part, np.arange(160)]] * FOLDS))
        values = [without_and_with(others, score, positive, units, [each])[0] for each in (without, dealt, leaky)]
        found.append([auroc(each, positive) for each in values])
    plain, nested, seen = np.mean(found, axis=0)
    assert abs(nested - plain) < 0.02
    assert abs(nested - 0.5) < 0.147 / np.sqrt(seeds)  # three standard errors of a mean of such AUROCs
    assert seen > nested + 0.03


@pytest.mark.costly
def test_values_are_means_over_foldings_which_makes_them_depend_less_on_the_seed() -> None:
    others, score = columns(0, tell=0.3), columns(1, 1, tell=0.2)[:, 0]

    def gains(count: int) -> list[float]:
        found = []
        for seed in range(12):
            dealt = dealt_out((), POSITIVE, UNITS, count=count, seed=seed)
            plain, joined = without_and_with(others, score, POSITIVE, UNITS, dealt)
            found.append(auroc(joined, POSITIVE) - auroc(plain, POSITIVE))
        return found

    assert np.std(gains(10)) < 0.6 * np.std(gains(1))  # a third, if foldings were independent
    three = dealt_out((), POSITIVE, UNITS, count=3, seed=1)
    each = [without_and_with(others, score, POSITIVE, UNITS, [dealt]) for dealt in three]
    np.testing.assert_allclose(without_and_with(others, score, POSITIVE, UNITS, three), np.mean(each, axis=0))


def test_too_few_questions_are_not_dealt() -> None:
    assert dealings((), POSITIVE[:24], UNITS[:24]) == []
    assert len(dealings((), POSITIVE, UNITS)) == FOLDINGS
