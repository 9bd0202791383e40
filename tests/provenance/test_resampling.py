"""Resampling all scores at once gives what resampling rows one draw at a time gives."""

from collections.abc import Callable

import numpy as np
import pytest

from provenance import resampling
from provenance.intervals import accuracy, auroc, aurocs, bootstrap_by_unit
from provenance.resampling import estimate_of, resampled_aurocs, resampled_means, resampled_weights

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


@pytest.mark.parametrize("pairs", [1, 100, 2**22])
def test_of_several_columns_the_mean_is_taken_whatever_the_block(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "PAIRS_PER_BLOCK", pairs)
    scores = np.concatenate(list(SCORES.values()), axis=1)
    weights = resampled_weights(UNITS, draws=20)
    columns = [resampled_aurocs(scores[:, [c]], POSITIVE, weights) for c in range(scores.shape[1])]
    np.testing.assert_allclose(resampled_aurocs(scores, POSITIVE, weights), np.mean(columns, axis=0), rtol=1e-14)
    assert columns[0][0] == aurocs(scores, POSITIVE)[0]


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
