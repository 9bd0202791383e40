"""Resampling all scores at once gives what resampling rows one draw at a time gives."""

from collections.abc import Callable

import numpy as np
import pytest
from reference import accuracy, bootstrap_by_unit
from scipy.stats import norm

from provenance.statistics import bootstrap
from provenance.statistics.auroc import auroc, aurocs
from provenance.statistics.bootstrap import (
    estimate_of,
    p_not_above,
    resampled_aurocs,
    resampled_column_aurocs,
    resampled_means,
    resampled_weights,
)

RNG = np.random.default_rng(7)
UNITS = sorted(f"q{i // 2:02d}" if i < 30 else f"q{i}" for i in range(60))  # fifteen of two rows, thirty of one
POSITIVE = RNG.random(60) < 0.4
SCORES = {
    "distinct": RNG.normal(size=(60, 1)) + POSITIVE[:, None],
    "tied": RNG.integers(3, size=(60, 1)).astype(float) + POSITIVE[:, None],
    "constant": np.zeros((60, 1)),
    "infinite": np.where(RNG.random((60, 1)) < 0.5, np.inf, -np.inf),
}


@pytest.mark.parametrize("kind", SCORES)
def test_weighted_areas_are_exactly_those_of_repeated_rows(kind: str) -> None:
    scores = SCORES[kind]
    weights = RNG.integers(4, size=(50, 60)).astype(float)
    fast = resampled_aurocs(scores, POSITIVE, weights)
    rows = [np.repeat(np.arange(60), sample.astype(int)) for sample in weights]
    assert fast.tolist() == [auroc(scores[r, 0], POSITIVE[r]) for r in rows]
    assert kind == "constant" or fast.tolist() != [auroc(scores[:, 0], POSITIVE)] * 50  # the weights are used


@pytest.mark.parametrize("exact", [1, 2**24])
def test_columns_are_scored_each_by_itself_in_either_precision(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "EXACT_IN_FLOAT32", exact)
    scores = np.concatenate(list(SCORES.values()), axis=1)
    weights = resampled_weights(UNITS, draws=20)
    columns = [resampled_aurocs(scores[:, [c]], POSITIVE, weights) for c in range(scores.shape[1])]
    together = resampled_column_aurocs(scores, POSITIVE, weights)
    assert together.T.tolist() == [column.tolist() for column in columns]
    np.testing.assert_allclose(resampled_aurocs(scores, POSITIVE, weights), np.mean(columns, axis=0), rtol=1e-14)
    assert together[0].tolist() == aurocs(scores, POSITIVE).tolist()


def test_a_nan_spoils_its_own_column_only() -> None:
    scores = np.concatenate(list(SCORES.values()), axis=1)
    scores[3, 1] = np.nan
    areas = resampled_column_aurocs(scores, POSITIVE, resampled_weights(UNITS, draws=5))
    assert np.isnan(areas).any(axis=0).tolist() == [False, True, False, False]


def test_intervals_by_question_hold_the_truth_where_rows_are_clustered_and_those_by_row_do_not() -> None:
    """Four answers a question share its label and most of their score; 300 draws of 100 questions."""
    rng, shift = np.random.default_rng(0), 1.0
    truth = norm.cdf(shift / np.sqrt(2 * (1 + 0.5**2)))
    questions = np.repeat(np.arange(100), 4)
    positive = questions % 2 == 0
    held = {"question": 0, "row": 0}
    for draw in range(300):
        scores = shift * positive + rng.normal(size=100)[questions] + 0.5 * rng.normal(size=400)
        for kind, units in (("question", questions), ("row", np.arange(400))):
            weights = resampled_weights([f"{unit:03d}" for unit in units], draws=200, seed=draw)
            area = estimate_of(resampled_aurocs(scores[:, None], positive, weights), 400)
            held[kind] += area.low <= truth <= area.high
    assert 0.91 < held["question"] / 300 < 0.99  # 95 %, give or take three standard errors
    assert held["row"] / 300 < 0.80


def delong_sd(first: np.ndarray, second: np.ndarray, positive: np.ndarray) -> float:
    """SD of the difference of two AUROCs on the same rows, pair by pair (DeLong, DeLong, Clarke-Pearson 1988)."""
    parts = []
    for scores in (first, second):
        upper, lower = scores[positive], scores[~positive]
        wins = np.array([[1.0 if u > v else 0.5 if u == v else 0.0 for v in lower] for u in upper])
        parts.append((wins.mean(axis=1), wins.mean(axis=0)))
    of_positives, of_negatives = (parts[0][side] - parts[1][side] for side in (0, 1))
    variances = (each.var(ddof=1) / each.size for each in (of_positives, of_negatives))
    return float(np.sqrt(sum(variances)))


def test_the_spread_of_a_paired_difference_is_that_of_delong() -> None:
    rng = np.random.default_rng(3)
    positive = np.arange(300) < 140
    common = rng.normal(size=300) + 0.8 * positive
    first, second = (common + 0.7 * rng.normal(size=300) for _ in range(2))
    weights = resampled_weights([f"{row:03d}" for row in range(300)], draws=4000)
    areas = resampled_column_aurocs(np.stack([first, second], axis=1), positive, weights)[1:]
    expected = delong_sd(first, second, positive)
    assert (areas[:, 0] - areas[:, 1]).std() == pytest.approx(expected, rel=0.06)  # 4,000 draws: 1.1 % by themselves
    unpaired = np.sqrt(areas.var(axis=0).sum())
    assert unpaired > 1.5 * expected  # what pairing saves


def test_p_values_are_those_of_the_definition() -> None:
    gains = np.array([0.1, -0.1, 0.0, 0.2, np.nan, 0.3])
    assert p_not_above(gains) == 3 / 5  # two of four defined resamples, and one
    sets = np.array([[0.1, 0.2], [-0.1, 0.2], [-0.1, 0.0], [0.1, np.nan]])
    assert p_not_above(sets) == pytest.approx((1 / 3 + 2 / 3 + 3 / 3) / 3)
    assert p_not_above(gains, bar=-1.0) == 1 / 5
    assert p_not_above(sets, bar=-1.0) == pytest.approx(1 / 3)  # as few sets as two can show no more


@pytest.mark.parametrize(
    "samples", [np.array([np.nan, 0.1]), np.array([0.1, np.nan]), np.array([0.1]), np.empty((3, 0)), np.empty(0)]
)
def test_what_is_not_defined_has_no_p_value(samples: np.ndarray) -> None:
    assert p_not_above(samples) is None


@pytest.mark.costly
@pytest.mark.parametrize("against", ["a score", "sets"])
def test_p_values_stay_at_their_level_without_an_effect_and_find_a_planted_one(against: str) -> None:
    """Under the null a score is against others as good as itself: at most 5 % of p-values are below 0.05."""
    rng = np.random.default_rng(1)
    positive = np.arange(120) < 60
    units = [f"{row // 2:02d}" for row in range(120)]

    def p_value(advantage: float, seed: int) -> float:
        strength = np.full(1 if against == "a score" else 30, 0.5)
        if against == "sets":
            strength = rng.normal(0.5, 0.3, 30)  # sets differ, and the one in question is one of them
        own = (strength[0] if against == "a score" else rng.normal(0.5, 0.3)) + advantage
        noise = np.repeat(rng.normal(size=(60, len(strength) + 1)), 2, axis=0) + rng.normal(size=(120, 1))
        scores = noise + positive[:, None] * np.append(own, strength)
        areas = resampled_column_aurocs(scores, positive, resampled_weights(units, draws=150, seed=seed))
        gains = areas[:, :1] - areas[:, 1:]
        found = p_not_above(gains[:, 0] if against == "a score" else gains)
        assert found is not None
        return found

    null, planted = (np.array([p_value(advantage, seed) for seed in range(200)]) for advantage in (0.0, 2.0))
    for level in (0.05, 0.1, 0.2):
        assert (null < level).mean() <= level + 2.5 * np.sqrt(level * (1 - level) / 200)
    assert null.min() < 0.3  # it is not conservative to the point of never saying anything
    assert (planted < 0.05).mean() > 0.8


def test_intervals_are_exactly_those_of_the_slow_bootstrap() -> None:
    """Same seed, same units, same draws: estimate and both ends agree."""
    scores = SCORES["tied"][:, 0] - 1
    weights = resampled_weights(UNITS, seed=3)
    area = estimate_of(resampled_aurocs(scores[:, None], POSITIVE, weights), 60)
    right = ((scores > 0) == POSITIVE).astype(float)
    share = estimate_of(resampled_means(right, weights), 60)

    def slow(statistic: Callable[[np.ndarray, np.ndarray], float]) -> object:
        return bootstrap_by_unit(lambda rows: statistic(scores[rows], POSITIVE[rows]), UNITS, seed=3)

    assert area == slow(auroc)
    assert share == slow(accuracy)
    by_row = estimate_of(resampled_aurocs(scores[:, None], POSITIVE, resampled_weights(list(map(str, range(60))))), 60)
    assert (by_row.low, by_row.high) != (area.low, area.high)


def test_rows_of_a_unit_are_drawn_together_and_their_order_does_not_matter() -> None:
    weights = resampled_weights(UNITS, draws=40, seed=1)
    assert weights[0].tolist() == [1.0] * 60
    assert (weights[:, 0:30:2] == weights[:, 1:30:2]).all()
    per_unit = np.concatenate([weights[:, 0:30:2], weights[:, 30:]], axis=1)
    assert (per_unit.sum(axis=1) == 45).all()  # as many units as there are
    order = RNG.permutation(60)
    again = resampled_weights([UNITS[i] for i in order], draws=40, seed=1)
    assert (again == weights[:, order]).all()
    assert (resampled_weights(UNITS, draws=40, seed=2) != weights).any()


def test_samples_of_one_class_are_left_out_of_the_interval() -> None:
    positive = np.arange(4) < 1
    weights = resampled_weights(list("abcd"), draws=200)
    areas = resampled_aurocs(np.arange(4.0)[:, None], positive, weights)
    assert np.isnan(areas).sum() == (weights[:, 0] == 0).sum() + (weights[:, 1:].sum(axis=1) == 0).sum() > 0
    estimate = estimate_of(areas, 4)
    assert (estimate.estimate, estimate.low, estimate.high, estimate.n) == (0.0, 0.0, 0.0, 4)


def test_one_class_no_rows_or_a_nan_score_have_no_area_and_no_interval() -> None:
    weights = resampled_weights(list("abc"), draws=5)
    one_class = resampled_aurocs(np.ones((3, 1)), np.ones(3, dtype=bool), weights)
    spoilt = resampled_aurocs(np.array([[1.0], [np.nan], [2.0]]), np.array([True, False, False]), weights)
    nothing = resampled_aurocs(np.ones((0, 1)), np.ones(0, dtype=bool), resampled_weights([], draws=5))
    for areas in (one_class, spoilt, nothing):
        assert np.isnan(areas).all()
        assert np.isnan(estimate_of(areas, 3).low)
