"""A comparison as one JSON object: the contract of `provenance compare --json`.

The one idea: numbers only, with NaN as null, keys that do not change within a schema
version. E = {"estimate", "low", "high", "n"} is a 95 % interval by question.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from analyses.results import DriftResult, HeldOut, IdentificationResult, NullDistribution, OriginReport, TransferResult
from provenance.intervals import Estimate

SCHEMA = 1


def summarise(report: OriginReport) -> dict[str, Any]:
    """Everything of the contract but the checkpoints, the database and the files."""
    total = report.layers * report.neurons_per_layer
    h = int(report.identification.h_neurons.size)
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "neurons": {"total": total, "h": h, "per_mille": 1000 * h / total},
        "lineage": asdict(report.lineage),
        "funnel": {f"{row.stage} {row.dataset} {row.split}": asdict(row) for row in report.funnel},
        "identification": _identification(report.identification),
        "base_identification": _identification(report.base_identification),
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
    finite: dict[str, Any] = _finite(content)
    return finite


def _identification(found: IdentificationResult) -> dict[str, Any]:
    first = found.test[0] if found.test else None
    return {
        "C": found.C,
        "alpha_max": found.alpha_max,
        "design": found.design,
        "intercept_penalised": found.intercept_penalised,
        "h": int(found.h_neurons.size),
        "nonzero": 0 if found.weights is None else int((found.weights != 0).sum()),
        "n_train": dict(found.n_train),
        "accuracy": _estimate(first.accuracy) if first else None,
        "auroc": _estimate(first.auroc) if first else None,
        "random_accuracy": _estimate(first.random_accuracy) if first else None,
        "held_out": [_held_out(row) for row in found.test],
        "path": [
            {"C": c, "positive": positive, "nonzero": nonzero, "validation_accuracy": score}
            for c, positive, nonzero, score in found.path
        ],
        "reason": found.reason,
    }


def _held_out(row: HeldOut) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "accuracy": _estimate(row.accuracy),
        "auroc": _estimate(row.auroc),
        "random_accuracy": _estimate(row.random_accuracy),
        "n_faithful": row.n_faithful,
        "n_hallucinated": row.n_hallucinated,
    }


def _transfer(row: TransferResult) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "auroc": _estimate(row.auroc),
        "n_faithful": row.n_faithful,
        "n_hallucinated": row.n_hallucinated,
        "baselines": {name: _null(null) for name, null in row.baselines.items()},
        "verdict": row.verdict,
        "reason": row.reason,
    }


def _drift(drift: DriftResult) -> dict[str, Any]:
    return asdict(drift) | {"matched_null": _null(drift.matched_null)}


def _null(null: NullDistribution | None) -> dict[str, Any] | None:
    """A null without its single draws, which the database keeps."""
    if null is None:
        return None
    return {key: value for key, value in asdict(null).items() if key != "draws"} | {"n_draws": len(null.draws)}


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)


def _finite(value: Any) -> Any:
    """The same with every NaN and infinity as None, which is what JSON can say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
