"""Control sets are what they claim: distinct, uniform, matched; and p-values count the observed set."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chisquare

from provenance.analyses.controls import control_sets
from provenance.analyses.controls.control_sets import (
    distinct_draws,
    excluded_from_controls,
    layer_counts,
    neuron_sets,
    permutation_p,
)
from provenance.errors import InputError, PairError

NONE = np.empty(0, dtype=np.int64)


@pytest.mark.parametrize("floyd_limit", [0, 64])
def test_every_subset_is_equally_likely_by_either_method(floyd_limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_sets, "FLOYD_LIMIT", floyd_limit)
    drawn = distinct_draws(5, 3, 10_000, np.random.default_rng(0))
    subsets = dict.fromkeys(combinations(range(5), 3), 0)
    for row in np.sort(drawn, axis=1).tolist():
        subsets[tuple(row)] += 1
    assert chisquare(list(subsets.values())).pvalue > 0.001


@pytest.mark.parametrize(("n", "k"), [(7, 7), (100, 1), (300, 299), (300, 300), (90, 65)])
def test_draws_are_distinct_and_in_range(n: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_sets, "KEYS_PER_BLOCK", 1000)  # several blocks
    drawn = distinct_draws(n, k, 50, np.random.default_rng(0))
    assert drawn.shape == (50, k)
    assert all(np.unique(row).size == k for row in drawn)
    assert drawn.min() >= 0
    assert drawn.max() < n


def test_layer_matched_sets_have_the_reference_s_number_in_every_layer() -> None:
    reference = np.array([0, 3, 9, 21, 22, 23])
    sets = neuron_sets("layer_matched", reference, 3, 10, K=40, rng=np.random.default_rng(1), excluded=NONE)
    assert sets.shape == (40, 6)
    for row in sets:
        assert layer_counts(row, 3, 10).tolist() == [3, 0, 3]


def test_random_sets_are_not_layer_matched_and_cover_all_layers() -> None:
    sets = neuron_sets("random", np.arange(5), 4, 10, K=60, rng=np.random.default_rng(1), excluded=NONE)
    assert set((sets // 10).ravel().tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("kind", ["random", "layer_matched"])
def test_an_excluded_reference_never_comes_back_and_an_allowed_one_does(kind: control_sets.ControlSetKind) -> None:
    reference = np.array([0, 1, 2, 3])
    kept_out, allowed = (
        neuron_sets(kind, reference, 2, 10, K=200, rng=np.random.default_rng(2), excluded=excluded)
        for excluded in (reference, NONE)
    )
    assert not np.isin(kept_out, reference).any()
    assert np.isin(allowed, reference).any()


def test_too_few_neurons_beside_the_reference_are_refused_and_foreseen() -> None:
    reference = np.arange(6)
    assert excluded_from_controls(reference, NONE, 2, 10).size == 0
    assert excluded_from_controls(np.arange(5), NONE, 2, 10).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="4 left to draw from"):
        neuron_sets("layer_matched", reference, 2, 10, K=2, rng=np.random.default_rng(0), excluded=reference)


def test_a_neuron_without_a_counterpart_is_in_no_control_set() -> None:
    unmapped = np.array([0, 1, 2, 11])
    excluded = excluded_from_controls(np.array([5, 12]), unmapped, 2, 10)
    assert excluded.tolist() == [0, 1, 2, 5, 11, 12]
    crowded = excluded_from_controls(np.arange(4, 8), unmapped, 2, 10)  # 4 of the 7 mapped ones of a layer
    assert crowded.tolist() == unmapped.tolist()


def test_an_empty_reference_has_empty_control_sets() -> None:
    sets = neuron_sets("layer_matched", NONE, 2, 10, K=3, rng=np.random.default_rng(0), excluded=NONE)
    assert sets.shape == (3, 0)


@pytest.mark.parametrize("ids", [[-1, 2], [3, 20], [4, 4]])
def test_neurons_of_another_model_or_repeated_ones_are_refused(ids: list[int]) -> None:
    with pytest.raises(PairError):
        layer_counts(np.array(ids), 2, 10)


def test_the_p_value_counts_the_observed_set_itself() -> None:
    draws = np.array([0.1, 0.2, 0.3, 0.4])
    assert permutation_p(draws, 0.9) == 1 / 5
    assert permutation_p(draws, 0.3) == 3 / 5
    assert permutation_p(draws, 0.0) == 1.0


def test_a_draw_that_equals_the_observed_value_up_to_rounding_counts_as_equal() -> None:
    ranks = [0.1, 0.2, 0.3]
    forward, backward = (ranks[0] + ranks[1]) + ranks[2], ranks[0] + (ranks[1] + ranks[2])
    assert forward != backward  # the very case: one sum, two orders
    assert permutation_p(np.array([min(forward, backward)]), max(forward, backward)) == 1.0
