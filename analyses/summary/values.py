"""Shared parts of every JSON object: schema number, the H-Neurons, and null for NaN."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from provenance.analyses.results.probes import IdentificationResult

SCHEMA = 1


def counted_neurons(
    layers: int, per_layer: int, h_neurons: Int[np.ndarray, " k"], weights: Float[np.ndarray, " k"] | None
) -> dict[str, Any]:
    """Number of all neurons and of H-Neurons, their share, and each H-Neuron with its probe weight, largest first."""
    total, k = layers * per_layer, int(h_neurons.size)
    order = range(k) if weights is None else np.argsort(-weights, kind="stable").tolist()
    listed = [
        {
            "layer": int(h_neurons[place]) // per_layer,
            "index": int(h_neurons[place]) % per_layer,
            "weight": None if weights is None else float(weights[place]),
        }
        for place in order
    ]
    return {"total": total, "h": k, "per_mille": 1000 * k / total, "list": listed}


def probe_neurons(layers: int, per_layer: int, found: IdentificationResult) -> dict[str, Any]:
    """The H-Neurons of a search, as `counted_neurons`."""
    weights = None if found.weights is None else found.weights[found.h_neurons]
    return counted_neurons(layers, per_layer, found.h_neurons, weights)


def as_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same with NaN and infinity as None and tuples as lists, as JSON requires."""
    finite: dict[str, Any] = _finite(content)
    return finite


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
