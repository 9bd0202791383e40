"""Ranks have one direction, ties share ranks, and tiny changes keep their order."""

import numpy as np
import pytest

from analyses.ranks import combined_delta, stability_rank, z_scores


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
