"""Overlap against the hypergeometric null, and no verdict where chance alone gives zero."""

from itertools import combinations

import numpy as np
import pytest

from analyses.overlap import overlap


@pytest.mark.parametrize(("shared", "total"), [(0, 9), (1, 9), (2, 9), (3, 9)])
def test_p_values_equal_counting_every_possible_set(shared: int, total: int) -> None:
    base = np.array([0, 1, 2])
    instruct = np.arange(3 - shared, 3 - shared + 4)
    overlaps = [len({0, 1, 2} & set(subset)) for subset in combinations(range(total), 4)]
    result = overlap(base, instruct, total)
    assert result.shared == shared
    assert result.p_hypergeometric == pytest.approx(np.mean(np.array(overlaps) >= shared), rel=1e-12)
    assert result.p_zero == pytest.approx(np.mean(np.array(overlaps) == 0), rel=1e-12)
    assert result.expected == pytest.approx(np.mean(overlaps), rel=1e-12)
    assert result.jaccard == shared / (7 - shared)


def test_more_shared_neurons_than_chance_are_supported() -> None:
    result = overlap(np.arange(100), np.arange(50, 150), 1000)
    assert result.verdict == "supported"
    assert "50 of 100 (base) and 100 (instruct)" in result.reason


def test_as_many_as_chance_gives_are_not() -> None:
    assert overlap(np.arange(100), np.arange(90, 190), 1000).verdict == "not distinguishable"


def test_zero_overlap_of_small_sets_proves_nothing() -> None:
    result = overlap(np.arange(20), np.arange(20, 40), 10_000)
    assert result.p_zero is not None
    assert result.p_zero > 0.95
    assert result.verdict == "no power"
    assert "chance alone shares none" in result.reason


@pytest.mark.parametrize(
    ("base", "instruct", "named"), [(0, 5, "the base"), (5, 0, "the instruct"), (0, 0, "the base")]
)
def test_an_empty_set_has_no_power_and_is_named(base: int, instruct: int, named: str) -> None:
    result = overlap(np.arange(base), np.arange(instruct), 100)
    assert result.verdict == "no power"
    assert named in result.reason
    assert result.p_hypergeometric is None
    assert (result.jaccard is None) == (base == instruct == 0)


def test_sets_so_large_that_full_agreement_is_ordinary_have_no_power() -> None:
    assert overlap(np.arange(100), np.arange(100), 100).verdict == "no power"
