"""Means and spread of weight changes in each layer are those of the definition, over neurons with a counterpart."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import drift_of

from provenance.analyses.results.drift import DRIFT_PLACES, drift_places, layer_drifts, layer_spreads

LAYERS = 3


@pytest.mark.parametrize("per_layer", [1, 7, 20, 101])
def test_percentiles_are_those_of_the_empirical_distribution(per_layer: int) -> None:
    rng = np.random.default_rng(per_layer)
    drift = drift_of(LAYERS * per_layer, rng)
    drift.delta_up[rng.random(drift.delta_up.size) < 0.2] = np.nan
    drift.delta_up[per_layer : 2 * per_layer] = np.nan  # no neuron of layer 1 has a counterpart
    expected = []
    for kind in ("gate", "up", "down"):
        for layer, part in enumerate(getattr(drift, f"delta_{kind}").reshape(LAYERS, per_layer)):
            compared = part[~np.isnan(part)]
            if compared.size:
                values = np.quantile(compared, (0.05, 0.5, 0.95), method="inverted_cdf").tolist()
                expected.append((kind, layer, compared.size, *values))
    found = layer_spreads(drift, per_layer)
    fields = ("kind", "layer", "neurons", "cosine_distance_low", "cosine_distance_median", "cosine_distance_high")
    assert [tuple(getattr(spread, name) for name in fields) for spread in found] == expected
    assert ("up", 1) not in {(spread.kind, spread.layer) for spread in found}


def test_a_model_without_gates_has_no_spread_of_them() -> None:
    drift = replace(drift_of(8, np.random.default_rng(0)), delta_gate=None)
    assert {spread.kind for spread in layer_spreads(drift, 4)} == {"up", "down"}


def test_means_are_over_the_neurons_with_a_counterpart_and_none_without_any() -> None:
    drift = drift_of(12, np.random.default_rng(1))
    for name in ("delta_up", "delta_gate", "delta_down", "stability_rank"):
        getattr(drift, name)[[0, 5, 8, 9, 10, 11]] = np.nan
    first, second, last = layer_drifts(drift, np.array([1, 2, 5, 7]), 4)
    assert (first.layer, first.neurons, first.compared, first.h_neurons) == (0, 4, 3, 2)
    assert first.mean_cosine_distance_up == np.mean(drift.delta_up[1:4])
    assert first.mean_stability_rank == np.mean(drift.stability_rank[1:4])
    assert second.mean_cosine_distance_gate == np.mean(drift.delta_gate[[4, 6, 7]])
    assert second.identical == drift.identical[4:8].sum()
    means = (last.mean_cosine_distance_down, last.mean_stability_rank)
    assert (last.compared, means) == (0, (None, None))


def test_places_are_those_of_the_lowest_ranks_and_of_no_neuron_without_a_counterpart() -> None:
    ranks = np.random.default_rng(2).permutation(3 * DRIFT_PLACES) / 1500  # pairs of neurons have one rank
    ranks = np.floor(ranks * 750) / 1500
    ranks[::3] = np.nan
    ordered = sorted((rank, flat) for flat, rank in enumerate(ranks.tolist()) if rank == rank)  # noqa: PLR0124
    expected = {flat: place for place, (_, flat) in enumerate(ordered[:DRIFT_PLACES])}
    found = drift_places(ranks)
    assert {flat: place for flat, place in enumerate(found.tolist()) if place >= 0} == expected
    assert drift_places(np.array([0.5, np.nan, 0.0])).tolist() == [1, -1, 0]
