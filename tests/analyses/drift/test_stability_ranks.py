"""Ranks have one direction, ties share ranks, and tiny changes keep their order."""

import numpy as np
import pytest
from scipy.stats import rankdata

from provenance.analyses.drift.stability_ranks import (
    combined_delta,
    grouped_midranks,
    grouped_z_scores,
    stability_rank,
    unknown_unranked,
    z_scores,
)


def test_zero_is_the_neuron_that_changed_most_and_one_the_one_that_changed_least() -> None:
    assert stability_rank(np.array([0.3, 0.9, 0.1])).tolist() == [0.5, 0.0, 1.0]


def test_ranks_equal_counting_the_neurons_that_changed_more() -> None:
    rng = np.random.default_rng(1)
    delta = rng.integers(0, 12, size=60).astype(float)  # many ties
    slow = [((delta > x).sum() + ((delta == x).sum() - 1) / 2) / (delta.size - 1) for x in delta]
    # The same small integers and halves, divided by the same number: only the last bit may differ.
    np.testing.assert_allclose(stability_rank(delta), slow, atol=1e-15)


def test_ties_share_the_middle_of_their_ranks() -> None:
    assert stability_rank(np.array([0.0, 5.0, 0.0, 0.0])).tolist() == [2 / 3, 0.0, 2 / 3, 2 / 3]


@pytest.mark.parametrize("n", [1, 2, 7])
def test_neurons_that_all_changed_alike_get_one_half(n: int) -> None:
    assert stability_rank(np.full(n, 0.25)).tolist() == [0.5] * n


def test_ranks_of_no_neurons_are_empty() -> None:
    assert stability_rank(np.empty(0)).size == 0


def test_ranks_average_one_half_whatever_the_values() -> None:
    assert stability_rank(np.random.default_rng(2).exponential(size=101)).mean() == pytest.approx(0.5, abs=1e-12)


def test_z_scores_have_mean_zero_and_population_deviation_one() -> None:
    z = z_scores(np.array([1.0, 2.0, 6.0]))
    np.testing.assert_allclose(z, (np.array([1, 2, 6]) - 3) / np.sqrt(14 / 3), rtol=1e-15)


def test_z_scores_of_equal_values_are_zero() -> None:
    assert z_scores(np.full(4, 0.1)).tolist() == [0.0] * 4


def test_z_scores_keep_changes_of_the_size_that_float32_storage_rounds_to() -> None:
    z = z_scores(np.array([1e-15, 2e-15, 4e-15]))
    assert np.all(np.diff(z) > 0.5)


def test_both_directions_count_equally_after_z_scoring() -> None:
    up, down = np.array([0.0, 1.0, 2.0]), np.array([2000.0, 1000.0, 0.0])
    # The large raw numbers of one direction must not drown the other: opposite orders cancel.
    np.testing.assert_allclose(combined_delta(up, down), 0, atol=1e-15)


def test_grouped_midranks_equal_ranking_each_group_by_itself() -> None:
    rng = np.random.default_rng(3)
    values, groups = rng.integers(0, 6, 90).astype(float), rng.integers(0, 5, 90) * 3
    values[0] = np.inf
    slow = np.empty(90)
    for group in np.unique(groups):
        slow[groups == group] = rankdata(values[groups == group])
    np.testing.assert_array_equal(grouped_midranks(values, groups), slow)
    assert not np.array_equal(slow, rankdata(values))  # the check can fail
    assert grouped_midranks(np.empty(0), np.empty(0, dtype=np.int64)).size == 0


def test_grouped_z_scores_equal_those_of_each_group_by_itself() -> None:
    rng = np.random.default_rng(4)
    values, groups = rng.exponential(size=60), np.repeat([0, 1, 3], 20)
    values[:20] = 0.1  # a group that does not vary; its rounded deviation is not zero
    values[[25, 41]] = np.nan, np.inf
    found = grouped_z_scores(values, groups)
    assert (found[:20] == 0).all()
    for start in (20, 40):
        part = values[start : start + 20]
        finite = np.isfinite(part)
        np.testing.assert_allclose(found[start : start + 20][finite], z_scores(part[finite]), rtol=1e-12)
        assert np.isnan(found[start : start + 20][~finite]).all()
    assert np.isnan(grouped_z_scores(np.full(3, np.nan), np.zeros(3, dtype=np.int64))).all()


def test_changes_that_are_not_known_have_no_rank_and_no_part_in_the_others() -> None:
    ranks = unknown_unranked(np.array([0.3, np.nan, 0.9, 0.1, np.inf]))
    np.testing.assert_allclose(ranks, [2 / 3, np.nan, 1 / 3, 1.0, 0.0])
    assert np.isnan(unknown_unranked(np.full(2, np.nan))).all()
