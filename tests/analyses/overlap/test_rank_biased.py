"""Rank-biased overlap against the infinite sum that it is a closed form of."""

import numpy as np
import pytest

from provenance.analyses.overlap.rank_biased import rank_biased_overlap


def lists(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    sizes = rng.integers(1, 12, 2)
    return rng.permutation(15)[: sizes[0]], rng.permutation(15)[: sizes[1]]


def slowly(a: np.ndarray, b: np.ndarray, p: float) -> float:
    """(1 - p) sum_d p^(d - 1) A_d, each agreement counted out, and carried on where a list has ended."""
    short, long = sorted((a.tolist(), b.tolist()), key=len)
    at_short = len(set(short) & set(long[: len(short)])) / len(short)
    total = 0.0
    for d in range(1, 400):
        depth = min(d, len(long))
        shared = len(set(short[:depth]) & set(long[:depth]))
        shared += at_short * max(0, depth - len(short))  # what the shorter list would still have brought
        total += (1 - p) * p ** (d - 1) * shared / depth  # beyond the longer list the agreement stays as it is
    return total


def test_the_closed_form_is_the_infinite_sum() -> None:
    rng = np.random.default_rng(0)
    for p in (0.5, 0.9):
        for _ in range(100):
            a, b = lists(rng)
            # 0.9^400 of the weight is left out: 5e-19
            assert rank_biased_overlap(a, b, p) == pytest.approx(slowly(a, b, p), abs=1e-12)


def test_a_case_by_hand() -> None:
    """Lists of 1 and 2, p = 0.5: A_1 = 1 and A_2 = (1 + 1) / 2, all agreement; the other way round A_2 is 1 / 2."""
    assert rank_biased_overlap(np.array([7]), np.array([7, 8]), 0.5) == pytest.approx(1.0)
    # A_1 = 0 with weight 1/2, A_2 = 1/2 with the rest
    assert rank_biased_overlap(np.array([7]), np.array([8, 7]), 0.5) == pytest.approx(0.25)
    # A_1 = 0, A_2 = 2/2, A_3 = 3/3 onwards
    assert rank_biased_overlap(np.array([1, 2, 3]), np.array([2, 1, 3]), 0.9) == pytest.approx(0.9)


def test_it_is_one_for_the_same_list_zero_for_disjoint_ones_and_symmetric() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        a, b = lists(rng)
        value = rank_biased_overlap(a, b)
        assert value == rank_biased_overlap(b, a)
        assert value is not None
        assert 0 <= value <= 1 + 1e-12
        assert rank_biased_overlap(a, a) == pytest.approx(1.0)
        assert rank_biased_overlap(a, b + 100) == 0.0


def test_the_top_counts_more_than_the_bottom() -> None:
    """And a set index would see no difference."""
    a = np.arange(10)
    top, bottom = np.array([0, 1, *range(20, 28)]), np.array([*range(20, 28), 8, 9])
    first, last = rank_biased_overlap(a, top), rank_biased_overlap(a, bottom)
    assert first is not None
    assert last is not None
    assert first > 3 * last > 0


def test_an_empty_list_has_no_agreement_to_carry_on() -> None:
    none = np.empty(0, dtype=np.int64)
    assert rank_biased_overlap(none, np.arange(3)) is None
    assert rank_biased_overlap(np.arange(3), none) is None
    assert rank_biased_overlap(none, none) is None
