"""Results as one JSON object: the contract of `--json` of `compare`, `drift` and `lineage`.

The one idea: numbers only, with NaN as null, keys that do not change within a schema
version, and null under the keys of what a command did not look at.
E = {"estimate", "low", "high", "n"} is a 95 % interval by question. What is said about
probes is in `analyses.summary_probe`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float

from analyses.results import (
    Alignment,
    DriftResult,
    LineageResult,
    MappedNeurons,
    NeuronDrift,
    NullDistribution,
    OriginReport,
    TransferResult,
    WeightsReport,
)
from analyses.summary_probe import estimate, identification

SCHEMA = 1
SPREAD = (0.05, 0.5, 0.95)


def summarise(report: OriginReport) -> dict[str, Any]:
    """Everything of the contract but the checkpoints, the database and the files."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "neurons": _neurons(report.layers * report.neurons_per_layer, report.identification.h_neurons.size),
        "lineage": _lineage(report.lineage),
        "mapping": _mapping(report.alignment, report.mapped, report.neurons_per_layer),
        "funnel": {f"{row.stage} {row.dataset} {row.split}": asdict(row) for row in report.funnel},
        "identification": identification(report.identification, report.neurons_per_layer),
        "base_identification": identification(report.base_identification, report.neurons_per_layer),
        "transfer": [_transfer(row) for row in report.transfer],
        "drift": _drift(report.drift),
        "overlap": asdict(report.overlap),
        "verdict": {
            "transfer": report.verdict_transfer,
            "drift": report.verdict_drift,
            "overlap": report.verdict_overlap,
            "overall": report.overall,
        },
    }
    return _as_json(content)


def summarise_weights(report: WeightsReport) -> dict[str, Any]:
    """The same for a run without a forward pass: what needs a model's answers is null."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "neurons": _neurons(report.layers * report.neurons_per_layer, report.h_neurons.size),
        "source": report.source or None,
        "lineage": _lineage(report.lineage) if report.lineage else None,
        "mapping": _mapping(report.alignment, report.mapped, report.neurons_per_layer),
        "funnel": None,
        "identification": None,
        "base_identification": None,
        "transfer": None,
        "drift": _drift(report.drift),
        "spread": _spread(report.neuron_drift),
        "overlap": None,
        "verdict": {
            "transfer": None,
            "drift": report.verdict_drift,
            "overlap": None,
            "overall": report.overall,
        },
    }
    return _as_json(content)


def summarise_lineage(result: LineageResult) -> dict[str, Any]:
    """How two checkpoints are related, with the evidence."""
    return _as_json({"schema": SCHEMA, "lineage": _lineage(result)})


def _neurons(total: int, h: int) -> dict[str, Any]:
    return {"total": total, "h": h, "per_mille": 1000 * h / total}


def _lineage(result: LineageResult) -> dict[str, Any]:
    """All of it, with the two sizes under their names."""
    base, instruct = result.vocabulary_sizes
    return asdict(result) | {"vocabulary_sizes": {"base": base, "instruct": instruct}}


def _mapping(alignment: Alignment, mapped: MappedNeurons, per_layer: int) -> dict[str, Any]:
    """How many H-Neurons have a counterpart, and which have none, as [layer, index]."""
    missing = mapped.ids[mapped.base_ids < 0]
    found = mapped.base_ids >= 0
    return {
        "method": alignment.method,
        "mapped": int(found.sum()),
        "unmapped": [list(divmod(flat, per_layer)) for flat in missing.tolist()],
        "lowest_similarity": _lowest(mapped.similarity[found]),
        "lowest_margin": _lowest(mapped.margin[found]),
        "neurons_unmapped": int(alignment.unmapped.size),
        "reason": alignment.reason,
    }


def _lowest(values: Float[np.ndarray, " mapped"]) -> float | None:
    """The lowest of those that are known; None without any."""
    known = values[np.isfinite(values)]
    return float(known.min()) if known.size else None


def _transfer(row: TransferResult) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "auroc": estimate(row.auroc),
        "n_faithful": row.n_faithful,
        "n_hallucinated": row.n_hallucinated,
        "baselines": {name: _null(null) for name, null in row.baselines.items()},
        "verdict": row.verdict,
        "reason": row.reason,
    }


def _drift(drift: DriftResult) -> dict[str, Any]:
    return asdict(drift) | {"matched_null": _null(drift.matched_null)}


def _spread(drift: NeuronDrift) -> dict[str, dict[str, float]]:
    """By kind, the 5th, 50th and 95th percentile over neurons of 1 - cos."""
    kinds = {"gate": drift.delta_gate, "up": drift.delta_up, "down": drift.delta_down}
    found = {kind: delta[np.isfinite(delta)] for kind, delta in kinds.items() if delta is not None}
    return {
        kind: dict(zip(("low", "median", "high"), np.quantile(delta, SPREAD).tolist(), strict=True))
        for kind, delta in found.items()
        if delta.size
    }


def _null(null: NullDistribution | None) -> dict[str, Any] | None:
    """A null without its single draws, which the database keeps."""
    if null is None:
        return None
    return {key: value for key, value in asdict(null).items() if key != "draws"} | {"n_draws": len(null.draws)}


def _as_json(content: dict[str, Any]) -> dict[str, Any]:
    finite: dict[str, Any] = _finite(content)
    return finite


def _finite(value: Any) -> Any:
    """The same with every NaN and infinity as None, which is what JSON can say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
