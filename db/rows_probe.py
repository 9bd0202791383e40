"""Probes as rows: what was tried, what was found, how far it can be trusted, and what it has to beat.

The one idea: one function a table, for the probe of either checkpoint; an array over all neurons becomes
rows of the few that are used, given, or were selected at least once.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from analyses.probe_results import Baseline, HeldOut, IdentificationResult, StabilityResult
from db import schema
from db.values import Row, number, numbers
from provenance.intervals import Estimate
from provenance.probe_words import GIVEN


def probe_rows(probes: Sequence[IdentificationResult], neurons_per_layer: int) -> dict[type[schema.Base], list[Row]]:
    """The rows of every table about probes."""
    return {
        schema.Probe: [probe_row(probe) for probe in probes],
        schema.ProbePath: [row for probe in probes for row in path_rows(probe)],
        schema.ProbeCurve: [row for probe in probes for row in curve_rows(probe)],
        schema.ProbeBaseline: [row for probe in probes for held in probe.test for row in baseline_rows(probe, held)],
        schema.ProbeStability: [row for probe in probes for row in stability_rows(probe)],
        schema.ProbeNeuron: [row for probe in probes for row in probe_neuron_rows(probe, neurons_per_layer)],
        schema.HeldOutRow: [
            held_out_row(probe.stage, position, held) for probe in probes for position, held in enumerate(probe.test)
        ],
        schema.NeuronList: [row for probe in probes if probe.stage == "instruct" for row in given_list_rows(probe)],
    }


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


def path_rows(probe: IdentificationResult) -> list[Row]:
    """Every C that was tried."""
    names = ("validation_accuracy", "validation_auroc", "suppressed_accuracy", "gap", "violation")
    return [
        {
            "stage": probe.stage,
            "step": step,
            "c": float(point.C),
            "n_positive": int(point.positive),
            "n_nonzero": int(point.nonzero),
            **numbers(point, *names),
        }
        for step, point in enumerate(probe.path)
    ]


def curve_rows(probe: IdentificationResult) -> list[Row]:
    """Every C on every held-out question set; sets in the order of the held-out ones."""
    steps = {C: step for step, C in enumerate(sorted({point.C for point in probe.curve}))}
    named = dict.fromkeys([*(held.dataset for held in probe.test), *(point.dataset for point in probe.curve)])
    positions = {name: position for position, name in enumerate(named)}
    return [
        {
            "stage": probe.stage,
            "step": steps[point.C],
            "dataset": point.dataset,
            "position": positions[point.dataset],
            "c": float(point.C),
            "n_positive": int(point.positive),
            "n_nonzero": int(point.nonzero),
            "is_chosen": bool(point.C == probe.C),
            **interval("accuracy", point.accuracy),
            **interval("auroc", point.auroc),
            **interval("transfer", point.transfer),
        }
        for point in probe.curve
    ]


def baseline_rows(probe: IdentificationResult, held: HeldOut) -> list[Row]:
    """Everything that the probe has to beat on one question set."""
    return [_baseline_row(baseline, position) | {"stage": probe.stage, "dataset": held.dataset}
            for position, baseline in enumerate(held.baselines)]  # fmt: skip


def _baseline_row(baseline: Baseline, position: int) -> dict[str, float | str | None]:
    return {
        "kind": baseline.kind,
        "position": position,
        "n_draws": len(baseline.draws),
        **interval("accuracy", baseline.accuracy),
        **interval("auroc", baseline.auroc),
        **interval("gain", baseline.gain),
    }


def baseline_draws(probe: IdentificationResult) -> list[tuple[str, str, str, str, tuple[float, ...]]]:
    """AUROC of each neuron set of the baselines: claim, stage, dataset, kind, draws."""
    return [
        ("baseline", probe.stage, held.dataset, baseline.kind, baseline.draws)
        for held in probe.test
        for baseline in held.baselines
    ]


def stability_rows(probe: IdentificationResult) -> list[Row]:
    """How far the probe's neurons depend on the questions; nothing where that was not looked at."""
    found = probe.stability
    if found is None:
        return []
    names = ("threshold", "mean_selected", "false_bound", "split_half_shared", "split_half_jaccard",
             "split_half_clusters", "cluster_correlation")  # fmt: skip
    counts = {"n_half_samples": int(found.half_samples), "n_stable": int(found.stable.size)}
    clusters = {"n_clusters": int(np.unique(found.cluster).size)}
    return [{"stage": probe.stage, "c": float(found.C), **counts, **clusters, **numbers(found, *names)}]


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
    """The list that stands in place of a search; nothing where the neurons were searched for."""
    if probe.rule != GIVEN:
        return []
    weighted = set() if probe.weights is None else set(_nonzero(probe.weights))
    listed = weighted | set(probe.h_neurons.tolist())
    return [{"source": probe.source, "n_neurons": len(listed), "n_weighted": len(weighted)}]


def held_out_row(stage: str, position: int, held: HeldOut) -> Row:
    """A probe on held-out responses."""
    return {
        "stage": stage,
        "dataset": held.dataset,
        "position": position,
        **interval("accuracy", held.accuracy),
        **interval("auroc", held.auroc),
        **interval("random_accuracy", held.random_accuracy),
        "n_faithful": held.n_faithful,
        "n_hallucinated": held.n_hallucinated,
    }


def interval(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    """An estimate as three columns."""
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {
        name: number(estimate.estimate),
        f"{name}_low": number(estimate.low),
        f"{name}_high": number(estimate.high),
    }
