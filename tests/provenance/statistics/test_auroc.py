"""Areas under the ROC curve, by pairs counted one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.statistics.auroc import auroc, aurocs


def by_pairs(scores: np.ndarray, positive: np.ndarray) -> float:
    """Share of pairs of a positive and a negative row in which the positive one scores higher, ties as halves."""
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    return float(np.mean(pairs)) if pairs else float("nan")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 40]), st.booleans())
def test_areas_of_columns_are_those_of_pairs(seed: int, values: int, signed: bool) -> None:
    """With many ties and few, scores of both signs and zeros of both signs, and with one class absent."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-values if signed else 0, values + 1, size=(12, 5)).astype(np.float32) / 7
    scores[rng.random(scores.shape) < 0.1] = -0.0
    positive = rng.random(12) < 0.4
    expected = [by_pairs(column, positive) for column in scores.T]
    for precision in (np.float32, np.float64):
        np.testing.assert_allclose(aurocs(scores.astype(precision), positive), expected, rtol=1e-12)
    np.testing.assert_allclose([auroc(column, positive) for column in scores.T], expected, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-40, 1.0, 1e38])
def test_scores_of_any_size_are_told_apart(scale: float) -> None:
    """Down to the smallest numbers of float32, which have no full precision, and up to the largest."""
    scores = np.arange(-3, 4, dtype=np.float32)[:, None] * np.float32(scale)
    positive = np.arange(7) > 4
    assert aurocs(scores, positive)[0] == 1.0
    assert aurocs(scores, ~positive)[0] == 0.0
    assert aurocs(np.abs(scores), positive)[0] == by_pairs(np.abs(scores[:, 0]), positive)
