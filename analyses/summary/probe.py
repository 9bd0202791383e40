"""JSON of a probe: choice of C, accuracy and stability. Arrays over all neurons stay in the database."""

from dataclasses import asdict
from typing import Any

import numpy as np

from provenance.analyses.results.probes import Baseline, CurvePoint, HeldOut, IdentificationResult, StabilityResult
from provenance.records import Estimate


def identification(found: IdentificationResult, neurons_per_layer: int) -> dict[str, Any]:
    """JSON of the probe of one checkpoint; `neurons_per_layer` converts flat ids to [layer, index]."""
    first = found.test[0] if found.test else None
    stability = None if found.stability is None else _stability(found, found.stability, neurons_per_layer)
    return {
        "C": found.C,
        "rule": found.rule,
        "source": found.source or None,
        "alpha_max": found.alpha_max,
        "gap": found.gap,
        "violation": found.violation,
        "design": found.design,
        "intercept_penalised": found.intercept_penalised,
        "h": int(found.h_neurons.size),
        "nonzero": 0 if found.weights is None else int((found.weights != 0).sum()),
        "n_train": dict(found.n_train),
        "accuracy": estimate(first.accuracy) if first else None,
        "auroc": estimate(first.auroc) if first else None,
        "random_accuracy": estimate(first.random_accuracy) if first else None,
        "held_out": [_held_out(row) for row in found.test],
        "path": [asdict(point) for point in found.path],
        "curve": [_curve_point(point) for point in found.curve],
        "stability": stability,
        "reason": found.reason,
    }


def estimate(value: Estimate | None) -> dict[str, Any] | None:
    """E of the contract."""
    return None if value is None else asdict(value)


def _held_out(row: HeldOut) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "accuracy": estimate(row.accuracy),
        "auroc": estimate(row.auroc),
        "random_accuracy": estimate(row.random_accuracy),
        "detection": estimate(row.detection),
        "random_detection": estimate(row.random_detection),
        "n_faithful": row.n_faithful,
        "n_hallucinated": row.n_hallucinated,
        "baselines": {baseline.kind: _baseline(baseline) for baseline in row.baselines},
    }


def _baseline(baseline: Baseline) -> dict[str, Any]:
    """A baseline without its single draws."""
    return {
        "accuracy": estimate(baseline.accuracy),
        "auroc": estimate(baseline.auroc),
        "gain": estimate(baseline.gain),
        "n_draws": len(baseline.draws),
    }


def _curve_point(point: CurvePoint) -> dict[str, Any]:
    return {
        "C": point.C,
        "positive": point.positive,
        "nonzero": point.nonzero,
        "dataset": point.dataset,
        "accuracy": estimate(point.accuracy),
        "auroc": estimate(point.auroc),
        "transfer": estimate(point.transfer),
    }


def _stability(found: IdentificationResult, stability: StabilityResult, neurons_per_layer: int) -> dict[str, Any]:
    """Stability, with stable neurons as [layer, index, frequency], most frequent first."""
    often = sorted(stability.stable.tolist(), key=lambda flat: (-stability.frequency[flat], flat))
    return {
        "C": stability.C,
        "half_samples": stability.half_samples,
        "threshold": stability.threshold,
        "selected": int(np.count_nonzero(stability.frequency)),
        "stable": [[*divmod(flat, neurons_per_layer), float(stability.frequency[flat])] for flat in often],
        "stable_h": int(np.isin(stability.stable, found.h_neurons).sum()),
        "mean_selected": stability.mean_selected,
        "k_low": stability.k_low,
        "k_high": stability.k_high,
        "false_bound": stability.false_bound,
        "split_half_shared": stability.split_half_shared,
        "split_half_jaccard": stability.split_half_jaccard,
        "split_half_clusters": stability.split_half_clusters,
        "cluster_correlation": stability.cluster_correlation,
        "clusters": int(np.unique(stability.cluster).size),
    }
