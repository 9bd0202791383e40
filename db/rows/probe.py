"""Probes as rows: search, result, stability, and baselines, of either checkpoint.

Each table has one function; an array over all neurons becomes rows of the few that are used, given, or selected.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from provenance.analyses.results.probes import IdentificationResult, StabilityResult
from provenance.db.rows.result_rows import Rows, add, declared_rows
from provenance.db.rows.values import Row, number, numbers
from provenance.db.schema import tables
from provenance.words import GIVEN


def probe_rows(probes: Sequence[IdentificationResult], neurons_per_layer: int) -> Rows:
    """Rows of all tables about probes."""
    found: Rows = {
        tables.Probe: [probe_row(probe) for probe in probes],
        tables.ProbeNeuron: [row for probe in probes for row in probe_neuron_rows(probe, neurons_per_layer)],
        tables.NeuronList: [row for probe in probes if probe.stage == "instruct" for row in given_list_rows(probe)],
    }
    for probe in probes:
        held = {result.dataset: place for place, result in enumerate(probe.test)}
        curve = sorted(probe.curve, key=lambda point: held.get(point.dataset, len(held)))
        stability = [] if probe.stability is None else [probe.stability]
        add(found, declared_rows([*probe.path, *curve, *stability, *probe.test], stage=probe.stage))
        for result in probe.test:
            add(found, declared_rows(result.baselines, stage=probe.stage, dataset=result.dataset))
    return found


def probe_row(probe: IdentificationResult) -> Row:
    """The probe itself."""
    return {
        "stage": probe.stage,
        "c": number(probe.C),
        **numbers(probe, "alpha_max", "intercept", "gap", "violation"),
        "intercept_penalised": probe.intercept_penalised,
        "design": probe.design,
        "n_train_faithful": probe.n_train.get("faithful", 0),
        "n_train_hallucinated": probe.n_train.get("hallucinated", 0),
        "n_neurons": 0 if probe.weights is None else int(np.count_nonzero(probe.weights)),
        "n_h_neurons": int(probe.h_neurons.size),
        "reason": probe.reason,
        "rule": probe.rule,
    }


def baseline_draws(probe: IdentificationResult) -> list[tuple[str, str, str, str, tuple[float, ...]]]:
    """AUROC of each neuron set of the baselines: claim, stage, dataset, kind, draws."""
    return [
        ("baseline", probe.stage, held.dataset, baseline.kind, baseline.draws)
        for held in probe.test
        for baseline in held.baselines
    ]


def probe_neuron_rows(probe: IdentificationResult, neurons_per_layer: int) -> list[Row]:
    """Neurons with a weight, H-Neurons that were given without one, and those that a half-sample selected."""
    h_neurons = set(probe.h_neurons.tolist())
    weights = {} if probe.weights is None else _nonzero(probe.weights)
    frequencies = {} if probe.stability is None else _nonzero(probe.stability.frequency)
    clusters = {} if probe.stability is None else _clusters(probe.stability)
    return [
        {
            "stage": probe.stage,
            "layer": neuron // neurons_per_layer,
            "neuron_index": neuron % neurons_per_layer,
            "weight": weights.get(neuron, None if neuron in h_neurons else 0.0),
            "is_h_neuron": neuron in h_neurons,
            "selection_frequency": None if probe.stability is None else frequencies.get(neuron, 0.0),
            "auroc": None if probe.neuron_auroc is None else number(probe.neuron_auroc[neuron]),
            "cluster": clusters.get(neuron),
        }
        for neuron in sorted(h_neurons | set(weights) | set(frequencies))
    ]


def _nonzero(values: Float[np.ndarray, " neurons"]) -> dict[int, float]:
    flat = np.flatnonzero(values)
    return dict(zip(flat.tolist(), values[flat].astype(np.float64).tolist(), strict=True))


def _clusters(stability: StabilityResult) -> Mapping[int, int]:
    return dict(zip(stability.clustered.tolist(), stability.cluster.tolist(), strict=True))


def given_list_rows(probe: IdentificationResult) -> list[Row]:
    """The given list of neurons; empty if they were searched for."""
    if probe.rule != GIVEN:
        return []
    weighted = set() if probe.weights is None else set(_nonzero(probe.weights))
    listed = weighted | set(probe.h_neurons.tolist())
    return [{"source": probe.source, "n_neurons": len(listed), "n_weighted": len(weighted)}]
