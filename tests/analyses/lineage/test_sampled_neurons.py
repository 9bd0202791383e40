"""Samples are fair and reproducible; layers are found where they went."""

from collections import Counter

import numpy as np
import pytest
import torch
from lineage_factory import MemoryReader, Model, make_model, noised, permuted, pruned, widened, with_layers

from provenance.analyses.lineage.sampled_neurons import LayerMatch, find_layers, ids_of, sample_runs
from provenance.analyses.weights import tensor_pairs


@pytest.mark.parametrize(("d_m", "sample"), [(40, 10), (40, 64), (64, 64), (3, 2), (1, 64), (8192, 64), (50, 49)])
def test_samples_are_distinct_neurons_in_few_runs(d_m: int, sample: int) -> None:
    runs = sample_runs(d_m, sample, np.random.default_rng(0))
    ids = ids_of(runs)
    assert ids.size == np.unique(ids).size == min(sample, d_m)
    assert ids.min() >= 0
    assert ids.max() < d_m
    assert (np.diff(ids) > 0).all()
    assert len(runs) <= sample // 8 + 2


def test_every_neuron_is_sampled_as_often_as_any_other() -> None:
    """64 of 512 neurons in 4,000 draws: 500 times each, with an SD of 21."""
    rng = np.random.default_rng(1)
    drawn = Counter(int(j) for _ in range(4000) for j in ids_of(sample_runs(512, 64, rng)))
    assert len(drawn) == 512
    assert max(abs(count - 500) for count in drawn.values()) < 5 * 21


def lost(base: Model, instruct: Model, layers: list[int] | None = None) -> dict[int, int | None]:
    wanted = list(range(len(instruct.layers))) if layers is None else layers
    return find_layers(base.source(), instruct.source(), wanted, np.random.default_rng(0))


@pytest.mark.parametrize("kept", [[0, 1, 4, 5], [5, 3, 0], [0, 0, 1, 1, 2]])
def test_layers_are_found_where_they_went_even_when_neurons_were_permuted_and_noised(
    monkeypatch: pytest.MonkeyPatch, kept: list[int]
) -> None:
    monkeypatch.setattr(tensor_pairs, "BLOCK_ELEMENTS", 700)
    base = make_model(layers=6)
    assert lost(base, noised(permuted(with_layers(base, kept)), 0.5)) == dict(enumerate(kept))


def test_layers_of_another_width_are_found() -> None:
    base = make_model(layers=4)
    assert lost(base, pruned(with_layers(base, [3, 1]), 0.5)) == {0: 3, 1: 1}
    assert lost(base, widened(with_layers(base, [2, 0]), 3 * 48)) == {0: 2, 1: 0}


def test_layers_that_came_from_nowhere_are_not_found() -> None:
    """Only the layers asked for are looked for."""
    base = make_model(layers=4)
    mixed = Model((*base.layers[:2], *make_model(layers=2, seed=8).layers), base.rest, base.attention)
    assert lost(base, mixed, [1, 2, 3]) == {1: 1, 2: None, 3: None}


def test_rows_that_are_looked_up_are_read_apart_and_the_base_once() -> None:
    """Of the instruct checkpoint not more than the sample is read."""
    base, instruct = make_model(layers=3, d_m=200).source(), make_model(layers=2, d_m=200).source()
    find_layers(base, instruct, [0, 1], np.random.default_rng(0))
    readers = [source.reader for source in (base, instruct)]
    assert all(isinstance(reader, MemoryReader) for reader in readers)
    ours, theirs = (reader.rows_read for reader in readers)  # type: ignore[attr-defined]
    assert set(ours.values()) == {200}
    assert len(ours) == 6
    assert set(theirs.values()) == {32}
    assert len(theirs) == 4


def match(own: list[float], nearest: list[float], of_base: list[float]) -> LayerMatch:
    arrays = (np.array(values, dtype=np.float32) for values in (own, nearest, of_base))
    return LayerMatch(0, *arrays, thresholds=(0.5, 0.6))


def test_a_layer_is_held_when_half_of_either_side_is_found() -> None:
    assert match([0.1, 0.9], [0.1, 0.9], []).held  # at their own index, however far they moved
    assert match([0.1, 0.1], [0.9, 0.2], [0.0]).held  # a widened layer
    assert match([0.0] * 3, [0.4] * 3, [0.7, 0.1]).held  # a pruned one, seen from the base
    assert not match([0.0] * 3, [0.4] * 3, [0.55, 0.55]).held
    assert not match([0.4], [0.45], [0.4]).held
    assert match([], [], []).held  # zeros in both
    assert match([], [], [0.1]).held  # zeros say nothing against it


def test_a_neuron_is_elsewhere_when_another_is_it_and_its_own_index_is_not() -> None:
    """Not when nothing is found, nor when near copies are about as near."""
    assert match([0.1, 0.9, 0.1], [0.9, 0.9, 0.4], []).elsewhere == 1
    assert match([0.8, 0.97, 0.9999], [1.0, 0.98, 1.0], []).elsewhere == 2  # 0.03 against 0.02 is about as near


def test_a_tie_within_rounding_counts_for_the_own_index() -> None:
    assert match([0.9, 0.8], [0.900001, 0.9], []).at_own_index == 1


def test_torch_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    lost(make_model(), make_model(seed=1))
    assert torch.get_num_threads() == before
