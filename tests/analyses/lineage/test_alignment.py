"""Neurons are mapped to their counterparts, exactly and without guessing."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from lineage_factory import (
    Model,
    each_layer,
    make_model,
    noised,
    order,
    partial_order,
    permuted,
    pruned,
    reordered,
    survivors,
    widened,
    with_layers,
)

from provenance.analyses.drift.weight_drift import measure_drift
from provenance.analyses.lineage import alignment as module
from provenance.analyses.lineage.alignment import align, assign_layer, best_assignment, candidates
from provenance.analyses.lineage.relation import lineage
from provenance.analyses.results.lineage import Alignment
from provenance.analyses.weights import joined_cosines


def aligned(base: Model, instruct: Model) -> Alignment:
    ours, theirs = base.source(), instruct.source()
    return align(ours, theirs, lineage(ours, theirs, (None, None), ({}, {})))


def planted(indices: Callable[[int], np.ndarray], layers: int, d_m: int) -> list[int]:
    return [int(layer * d_m + j) for layer in range(layers) for j in indices(layer)]


@pytest.mark.parametrize("share", [0.0, 0.3, 3.0])
def test_descendants_keep_their_indices_however_far_they_moved(share: float) -> None:
    """Lineage decides by all neurons of a layer, so a single one needs no evidence of its own."""
    found = aligned(make_model(), noised(make_model(), share))
    assert (found.method, found.reason) == ("index", "")
    assert found.base_ids.tolist() == list(range(3 * 48))


@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("at_once", [7, 1024])
def test_a_permuted_tuned_and_noised_checkpoint_is_mapped_exactly(
    monkeypatch: pytest.MonkeyPatch, share: float, at_once: int
) -> None:
    monkeypatch.setattr(joined_cosines, "NEURONS_AT_ONCE", at_once)
    found = aligned(make_model(), noised(permuted(make_model()), share))
    assert (found.method, found.reason) == ("assignment", "")
    assert found.base_ids.tolist() == planted(lambda layer: order(48, layer), 3, 48)


def recovered(base: Model, tuned: Model, orders: dict[int, np.ndarray]) -> Alignment:
    """The alignment of a tuned checkpoint some of whose layers are in another order, checked with its drift."""
    layers, (_, d_m, _) = len(base.layers), base.layers[0].shape
    moved = reordered(tuned, orders)
    found = aligned(base, moved)
    truth = np.array(planted(lambda layer: orders.get(layer, np.arange(d_m)), layers, d_m))
    assert (found.base_ids == truth).all()
    plain = measure_drift(base.source(), tuned.source()).stability_rank[truth]
    np.testing.assert_array_equal(measure_drift(base.source(), moved.source(), found.base_ids).stability_rank, plain)
    assert (measure_drift(base.source(), moved.source()).stability_rank != plain).mean() > 0.1  # by index it is wrong
    return found


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
def test_partly_permuted_layers_are_mapped_and_measured_exactly(share: float) -> None:
    """Far more neurons than are sampled."""
    base = make_model(d_m=400)
    orders = {layer: partial_order(400, layer, share) for layer in range(3)}
    assert recovered(base, noised(base, 0.05), orders).method == "assignment"


def test_three_permuted_layers_of_eight_are_mapped_and_measured_exactly() -> None:
    base = make_model(layers=8)
    orders = {layer: order(48, layer) for layer in (1, 4, 5)}
    assert recovered(base, noised(base, 0.05), orders).method == "assignment"


def test_only_layers_with_neurons_that_moved_are_assigned(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a layer that goes by index neurons drowned in noise keep theirs."""
    base = make_model(layers=3)
    tuned = noised(base, 0.05)
    tuned.layers[2][:, 5] = make_model(seed=8).layers[0][:, 5]
    assigned: list[int] = []

    def watched(*args: Any) -> np.ndarray:
        assigned.append(args[1])
        return assign_layer(*args)

    monkeypatch.setattr(module, "assign_layer", watched)
    found = aligned(base, reordered(tuned, {1: partial_order(48, 1, 0.2)}))
    assert assigned == [1]
    assert found.base_ids.tolist()[2 * 48 + 5] == 2 * 48 + 5
    assert (found.base_ids >= 0).all()


def test_of_exact_copies_in_a_widened_checkpoint_one_is_mapped() -> None:
    base = make_model()
    twice = each_layer(base, lambda _, weights: torch.cat([weights, weights[:, :5]], dim=1))
    found = aligned(base, twice).base_ids.reshape(3, 53)
    assert ((found[:, :5] < 0) != (found[:, 48:] < 0)).all()
    assert found[1][found[1] >= 0].size == np.unique(found[1][found[1] >= 0]).size == 48


def test_a_checkpoint_far_from_its_base_is_mapped_in_part_and_nowhere_wrongly() -> None:
    """At one and a half times the weights' size some cosines fall below one half."""
    base = make_model(d_m=200, d=96)
    found = aligned(base, noised(permuted(base), 1.5)).base_ids
    truth = np.array(planted(lambda layer: order(200, layer), 3, 200))
    assert 0.8 < (found >= 0).mean() < 1
    assert (found[found >= 0] == truth[found >= 0]).all()


@pytest.mark.parametrize("share", [0.75, 0.25])
def test_all_survivors_of_pruning_are_mapped(share: float) -> None:
    base = make_model()
    found = aligned(base, noised(pruned(base, share), 0.1))
    assert found.base_ids.tolist() == planted(lambda layer: survivors(48, share, layer), 3, 48)
    shuffled = aligned(base, permuted(noised(pruned(base, share), 0.1)))
    kept = round(48 * share)
    expected = planted(lambda layer: survivors(48, share, layer)[order(kept, layer)], 3, 48)
    assert shuffled.base_ids.tolist() == expected


def test_neurons_that_were_added_stay_unmapped() -> None:
    base = make_model()
    found = aligned(base, noised(widened(base, 20), 0.1)).base_ids.reshape(3, 68)
    assert found[:, :48].ravel().tolist() == list(range(3 * 48))
    assert (found[:, 48:] == -1).all()


def test_layers_taken_out_or_doubled_are_mapped_to_where_they_came_from() -> None:
    base = make_model(layers=5)
    kept = [0, 3, 3, 4]
    found = aligned(base, noised(permuted(with_layers(base, kept)), 0.1)).base_ids.reshape(4, 48)
    for layer, origin in enumerate(kept):
        assert (found[layer] == origin * 48 + order(48, layer)).all()


def test_a_layer_initialised_again_stays_unmapped_in_descendants_and_in_permuted_ones() -> None:
    base, fresh = make_model(layers=4), make_model(layers=4, seed=8).layers[2]
    for change in (lambda model: model, permuted):
        tuned = each_layer(change(base), lambda layer, weights: fresh if layer == 2 else weights)
        found = aligned(base, tuned).base_ids.reshape(4, 48)
        assert (found[2] == -1).all()
        assert (found[[0, 1, 3]] >= 0).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_unrelated_checkpoints_are_put_side_by_side_by_position_with_the_reason_why_that_means_nothing(
    seed: int,
) -> None:
    found = aligned(make_model(seed=7), make_model(seed=seed))
    assert found.method == "index"
    assert found.reason.startswith("the two checkpoints are not related by their weights (")
    assert "0.0% are found in the base" in found.reason
    assert found.base_ids.tolist() == list(range(3 * 48))


@pytest.mark.parametrize("size", [{"d": 32}, {"d_m": 30}, {"layers": 2}, {"d_m": 60, "layers": 4}])
def test_unrelated_checkpoints_of_other_sizes_are_mapped_as_far_as_the_base_goes(size: dict[str, int]) -> None:
    """And where neurons cannot be compared, not at all."""
    other = make_model(seed=1, **size)
    found = aligned(make_model(), other)
    assert found.reason
    layers, d_m = len(other.layers), other.layers[0].shape[1]
    ids = found.base_ids.reshape(layers, d_m)
    there = np.zeros((layers, d_m), dtype=bool)
    if "d" not in size:
        there[: min(layers, 3), : min(d_m, 48)] = True
    assert ((ids >= 0) == there).all()
    assert all(ids[layer, j] == layer * 48 + j for layer, j in np.argwhere(there))


def test_duplicated_neurons_are_shared_out_one_to_one() -> None:
    """Neurons 3 and 9 are the same; each gets one of the two."""
    base = make_model(layers=1)
    base.layers[0][:, 9] = base.layers[0][:, 3]
    found = aligned(base, permuted(base)).base_ids
    assert sorted(found.tolist()) == list(range(48))
    truth = order(48, 0)
    alone = ~np.isin(truth, [3, 9])
    assert (found[alone] == truth[alone]).all()


def test_more_equal_neurons_than_are_told_apart_are_still_mapped_one_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES", 4)
    base = make_model(layers=1)
    base.layers[0][:, :12] = base.layers[0][:, :1]
    found = aligned(base, permuted(base)).base_ids
    mapped = found[found >= 0]
    assert mapped.size == np.unique(mapped).size >= 36 + 4
    alone = order(48, 0) >= 12
    assert (found[alone] == order(48, 0)[alone]).all()


def test_neurons_of_zeros_stay_unmapped_by_assignment() -> None:
    """They have no direction; by index they keep their place."""
    base = make_model(layers=1)
    base.layers[0][:, [2, 5]] = 0
    found = aligned(base, permuted(base)).base_ids
    truth = order(48, 0)
    empty = np.isin(truth, [2, 5])
    assert (found[empty] == -1).all()
    assert (found[~empty] == truth[~empty]).all()
    assert aligned(base, noised(base, 0.1)).base_ids.tolist() == list(range(48))


def best_by_brute_force(gain: np.ndarray) -> float:
    """The most that any way of pairing rows with columns gains, pairs without gain left out."""
    rows, columns = gain.shape
    wide = np.hstack([gain, np.zeros((rows, rows))])
    return max(sum(wide[i, j] for i, j in enumerate(chosen)) for chosen in permutations(range(rows + columns), rows))


@pytest.mark.parametrize("seed", range(30))
def test_the_assignment_gains_as_much_as_the_best_of_all_possible_ones(seed: int) -> None:
    """Sparse candidates that fall into groups, more rows than columns and the other way round."""
    rng = np.random.default_rng(seed)
    gain = rng.random((int(rng.integers(1, 5)), int(rng.integers(1, 5))))
    gain[rng.random(gain.shape) < 0.5] = 0
    rows, columns = np.nonzero(gain)
    assigned = best_assignment(rows, columns, gain[rows, columns], *gain.shape)
    chosen = assigned >= 0
    assert np.unique(assigned[chosen]).size == chosen.sum()
    assert (gain[chosen, assigned[chosen]] > 0).all()
    assert gain[chosen, assigned[chosen]].sum() == pytest.approx(best_by_brute_force(gain))


def test_taking_the_nearest_in_turn_would_gain_less() -> None:
    """Row 0 likes column 0 a bit better, but row 1 has no other."""
    rows, columns, gains = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.5, 0.4, 0.4])
    assert best_assignment(rows, columns, gains, 3, 2).tolist() == [1, 0, -1]
    none = np.array([], dtype=int)
    assert best_assignment(none, none, np.array([]), 2, 3).tolist() == [-1, -1]


def test_two_weak_pairs_do_not_outweigh_one_beyond_doubt() -> None:
    """Neuron 0 is itself; neuron 1 is new and a bit like 0, and what is left of the base is a bit like 0 as well."""
    rng = torch.Generator().manual_seed(0)
    a, new, gone = torch.nn.functional.normalize(torch.randn(3, 3, 512, generator=rng), dim=2)
    base = make_model(layers=1, d_m=2, d=512)
    instruct = make_model(layers=1, d_m=2, d=512)
    base.layers[0][:, 0], base.layers[0][:, 1] = a, a + 1.6 * gone
    instruct.layers[0][:, 0], instruct.layers[0][:, 1] = a, a + 1.6 * new
    assert assign_layer(base.source(), 0, instruct.source(), 0).tolist() == [0, -1]


def test_candidates_are_the_best_above_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES", 2)
    table = np.array([[0.9, 0.7, 0.8, 0.1], [0.2, 0.5, 0.6, 0.1], [0.1, 0.1, 0.1, 0.1]], dtype=np.float32)
    rows, columns = candidates(table, 0.5)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (0, 2), (1, 2)]
