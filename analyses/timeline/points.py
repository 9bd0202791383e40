"""Numbers of a point of a timeline, by the last checkpoint's probe and H-Neurons; None comes with a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from provenance.activations.features import Features
from provenance.analyses.controls.control_probes import ControlProbe
from provenance.analyses.controls.control_sets import ControlSetKind
from provenance.analyses.drift.drift_tests import LEAST_RECOGNISED, finite_mean
from provenance.analyses.drift.pair import STRANGERS, position_similarity, recognised
from provenance.analyses.drift.weight_drift import rank_test
from provenance.analyses.results.drift import NeuronDrift
from provenance.analyses.transfer.two_by_two import control_bars, score_of_enough
from provenance.analyses.weights.joined_cosines import related_cosine
from provenance.architectures import Layout
from provenance.probe.sparse_probe import Probe
from provenance.records import Estimate


@dataclass(frozen=True)
class Scored:
    """The last checkpoint's probe on one set of answers."""

    auroc: Estimate | None
    """Interval by question; None if `reason` says why."""
    random_p95: float | None
    """95th percentile of refitted random neuron sets on the same answers."""
    layer_matched_p95: float | None
    """The same for layer-matched sets."""
    n_faithful: int
    n_hallucinated: int
    reason: str
    """Why there is no number, or fewer answers than possible; empty otherwise."""


@dataclass(frozen=True)
class Moved:
    """Distance of the weights from those of the last checkpoint."""

    mean_stability_rank: float | None
    """Over the H-Neurons, 0 = changed most, 1 = changed least; None without any."""
    null_mean: float | None
    """Mean over sets of neurons of the same layers."""
    p_value: float | None
    """One-sided permutation p that H-Neurons are more stable. None if most H-Neurons do not match their counterparts:
    ranks among unrelated neurons say nothing about stability.
    """
    change_h: float | None
    """1 - cos of weights, mean of up and down, mean over the H-Neurons."""
    change_all: float | None
    """The same over all neurons."""
    reason: str
    """Why ranks may not describe single neurons; empty otherwise."""


@dataclass(frozen=True)
class Alike:
    """Similarity of activations to those of the last checkpoint, token for token."""

    correlation_h: float | None
    """Mean Pearson r over the H-Neurons that have one, in [-1, 1]."""
    correlation_all: float | None
    """The same over all neurons."""
    reason: str
    """Why there is no number; empty otherwise."""


def unscored(reason: str, features: Features | None = None) -> Scored:
    """The result without a probe or without answers."""
    hallucinated = 0 if features is None else int(features.hallucinated.sum())
    faithful = 0 if features is None else len(features) - hallucinated
    return Scored(None, None, None, faithful, hallucinated, reason)


def score(
    probe: Probe,
    controls: Mapping[ControlSetKind, Sequence[ControlProbe]],
    features: Features,
    *,
    seed: int,
    note: str = "",
) -> Scored:
    """AUROC of the last checkpoint's probe, weights unchanged, and of its refitted control sets.

    No number (the reason includes `note`) with fewer than 10 questions of a class, or if all answers get the same
    score. Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.1 (AUROC, since magnitudes shift).
    """
    estimate, obstacle = score_of_enough(probe, features, seed)
    if estimate is None:
        return unscored(f"{obstacle}; {note}" if note else obstacle, features)
    bars = control_bars(controls, features)
    hallucinated = int(features.hallucinated.sum())
    return Scored(estimate, bars["random"], bars["layer_matched"], len(features) - hallucinated, hallucinated, note)


def moved(drift: NeuronDrift, h_neurons: Int[np.ndarray, " h"], layout: Layout, *, draws: int, seed: int) -> Moved:
    """Weight change from one checkpoint to the last, by position; `h_neurons` are flat ids in the last one.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2, with the layer-matched null of `rank_test`.
    """
    test = rank_test(drift.stability_rank, h_neurons, layout.d_m, draws=draws, seed=seed)
    change = (drift.delta_up + drift.delta_down) / 2
    kept = recognised(drift, layout, h_neurons)
    return Moved(
        mean_stability_rank=test.mean_rank if test else None,
        null_mean=test.null_mean if test else None,
        p_value=test.p_more_stable if test and kept is not None and kept > LEAST_RECOGNISED else None,
        change_h=finite_mean(change[h_neurons]),
        change_all=finite_mean(change),
        reason=_strangers(drift, layout),
    )


def _strangers(drift: NeuronDrift, layout: Layout) -> str:
    bar = related_cosine(len(layout.kinds), layout.d, layout.d_m)
    share = float((position_similarity(drift) < bar).mean())
    if share <= STRANGERS:
        return ""
    return (
        f"{share:.1%} of neurons are no more alike than chance to the last checkpoint's at the same position, and "
        "they are compared by position alone"
    )


def alike(correlation: Float[np.ndarray, " neurons"], h_neurons: Int[np.ndarray, " h"]) -> Alike:
    """Mean correlation of the H-Neurons and of all neurons; constant neurons have none."""
    every = finite_mean(correlation)
    return Alike(finite_mean(correlation[h_neurons]), every, "" if every is not None else "every neuron is constant")


def joined_reason(reasons: Mapping[str, str]) -> str:
    """The non-empty reasons, each after its subject."""
    return "; ".join(f"{what}: {reason}" for what, reason in reasons.items() if reason)
