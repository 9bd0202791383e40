"""Mapped neurons carry the evidence for their mapping; neurons without a counterpart are listed."""

import numpy as np
import pytest
import torch
from lineage_factory import Model, make_model, noised, order, permuted, widened, with_layers

from provenance.analyses.lineage.alignment import align
from provenance.analyses.lineage.mapping import map_neurons
from provenance.analyses.lineage.relation import lineage
from provenance.analyses.results.lineage import Alignment, MappedNeurons
from provenance.analyses.weights import joined_cosines


def mapped(base: Model, instruct: Model, ids: list[int]) -> MappedNeurons:
    ours, theirs = base.source(), instruct.source()
    alignment = align(ours, theirs, lineage(ours, theirs, (None, None), ({}, {})))
    return map_neurons(np.array(ids, dtype=np.int64), alignment, ours, theirs)


def by_definition(base: Model, instruct: Model, layer: int, j: int, base_layer: int, i: int) -> tuple[float, float]:
    """Cosine of two neurons by all weights, and what it is ahead of the best other neuron of the base's layer."""

    def joined(weights: torch.Tensor) -> torch.Tensor:
        units = torch.nn.functional.normalize(weights.double(), dim=2) / np.sqrt(3)
        return units.permute(1, 0, 2).flatten(1)

    cosines = (joined(base.layers[base_layer]) @ joined(instruct.layers[layer])[j]).numpy()
    return float(cosines[i]), float(cosines[i] - np.delete(cosines, i).max())


@pytest.mark.parametrize("at_once", [16, 1024])
def test_similarity_and_margin_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(joined_cosines, "NEURONS_AT_ONCE", at_once)
    base = make_model()
    instruct = noised(permuted(base), 0.5)
    ids = [100, 3, 4, 143, 50]  # of all layers, in no order
    found = mapped(base, instruct, ids)
    assert found.ids.tolist() == ids
    for at, flat in enumerate(ids):
        layer, j = divmod(flat, 48)
        i = int(order(48, layer)[j])
        assert found.base_ids[at] == layer * 48 + i
        expected = by_definition(base, instruct, layer, j, layer, i)
        assert (found.similarity[at], found.margin[at]) == pytest.approx(expected, abs=1e-6)  # float32 unit vectors
    assert (found.margin > 0.3).all()


def test_a_duplicated_neuron_has_no_margin() -> None:
    base = make_model(layers=1)
    base.layers[0][:, 9] = base.layers[0][:, 3]
    found = mapped(base, noised(base, 0.1), [3, 9, 4])
    assert found.similarity.min() > 0.98
    assert found.margin[:2].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert found.margin[2] > 0.5


def test_an_index_whose_neuron_is_another_one_is_not_believed() -> None:
    """By index alone; lineage sees that the two were swapped, and then they are assigned."""
    base = make_model(layers=1)
    swapped = Model((base.layers[0].clone(),), base.rest, base.attention)
    swapped.layers[0][:, [0, 1]] = base.layers[0][:, [1, 0]]
    alignment = Alignment("index", np.arange(48), "")
    found = map_neurons(np.array([2, 0, 1]), alignment, base.source(), swapped.source())
    assert found.base_ids.tolist() == [2, -1, -1]
    assert np.isnan(found.similarity).tolist() == np.isnan(found.margin).tolist() == [False, True, True]
    assert alignment.base_ids.tolist() == list(range(48))
    assert mapped(base, swapped, [0, 1, 2]).base_ids.tolist() == [1, 0, 2]


def test_a_neuron_that_another_fits_better_has_a_negative_margin() -> None:
    """Where both pass for the same neuron, the evidence is shown and not acted upon."""
    base, instruct = make_model(layers=1), make_model(layers=1)
    instruct.layers[0][:, 0] += 1.2 * base.layers[0][:, 1]
    alignment = Alignment("index", np.arange(48), "")
    found = map_neurons(np.array([0, 2]), alignment, base.source(), instruct.source())
    assert found.base_ids.tolist() == [0, 2]
    assert found.similarity[0] > 0.5
    assert found.margin[0] < 0 < found.margin[1]


def test_a_neuron_drowned_in_noise_keeps_its_index() -> None:
    """Nothing else is found for it."""
    base = make_model(layers=1)
    found = mapped(base, noised(base, 3.0), list(range(48)))
    assert found.base_ids.tolist() == list(range(48))
    assert found.similarity.max() < 0.5


def test_neurons_without_a_counterpart_are_listed_and_not_guessed() -> None:
    base = make_model()
    found = mapped(base, widened(base, 20), [47, 48, 67, 68])
    assert found.base_ids.tolist() == [47, -1, -1, 48]
    assert np.isnan(found.similarity).tolist() == [False, True, True, False]
    assert np.isnan(found.margin).tolist() == [False, True, True, False]


def test_ids_of_the_base_are_counted_in_the_base() -> None:
    """Where both the width of layers and their number differ."""
    base = make_model(layers=4)
    found = mapped(base, widened(with_layers(base, [1, 3]), 10), [0, 58 + 5])
    assert found.base_ids.tolist() == [48, 3 * 48 + 5]
    assert found.similarity.tolist() == pytest.approx([1, 1])


def test_positions_of_an_unrelated_pair_are_looked_at_and_look_unrelated() -> None:
    found = mapped(make_model(), make_model(seed=1), [0, 50])
    assert found.base_ids.tolist() == [0, 50]
    assert (np.abs(found.similarity) < 0.3).all()


def test_no_neurons_and_layers_of_one_neuron_are_no_special_cases() -> None:
    base = make_model(layers=2, d_m=1)
    assert mapped(make_model(), make_model(), []).base_ids.size == 0
    alignment = Alignment("index", np.array([0, 1]), "")
    found = map_neurons(np.array([1]), alignment, base.source(), base.source())
    assert found.similarity.tolist() == pytest.approx([1])
    assert np.isnan(found.margin).all()  # there is no other neuron


def test_a_counterpart_of_zeros_has_cosine_zero() -> None:
    base, instruct = make_model(layers=1), make_model(layers=1)
    base.layers[0][:, 7] = 0
    found = mapped(base, instruct, [7, 8])
    assert found.base_ids.tolist() == [7, 8]
    assert found.similarity.tolist() == pytest.approx([0, 1])
