"""What the weights alone say about a pair: lineage, which neuron is which, and how far each one moved.

The one idea: these three need no model and no question, so every command starts with them, in this
order, since a drift between neurons that are not each other's counterpart means nothing.
"""

import os
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.models import OpenCheckpoint, relate, unlike, watched
from provenance.analyses.drift.weight_drift import measure_drift
from provenance.analyses.lineage.alignment import align
from provenance.analyses.results.drift import NeuronDrift
from provenance.analyses.results.lineage import Alignment, LineageResult
from provenance.analyses.weights.joined_cosines import related_cosine
from provenance.analyses.weights.weight_source import mlp_shape
from provenance.architectures import Layout
from provenance.weights.shards import Shards

STRANGERS = 0.002
"""Share of neurons that may have lost every likeness to themselves before somebody asks where they went."""


@dataclass(frozen=True)
class MeasuredPair:
    """The neurons of two checkpoints, compared by their weights."""

    alignment: Alignment
    """Which neuron is which."""
    drift: NeuronDrift
    """How far each neuron of the instruct checkpoint moved."""


def measure_pair(
    base: OpenCheckpoint, instruct: OpenCheckpoint, seed: int, clock: Clock
) -> tuple[LineageResult, MeasuredPair]:
    """Lineage, alignment and drift of a pair, streamed.

    Raises:
        PairError: The MLPs have different shapes and neither lineage nor position says which neuron is which.
        NonFiniteError: A weight is NaN or infinite.
    """
    related = measure_lineage(base, instruct, seed, clock)
    if related.verdict == "unrelated" and mlp_shape(base.weights) != mlp_shape(instruct.weights):
        raise unlike(base, instruct, related.reason)
    alignment = clock.timed("alignment", lambda: align(base.weights, instruct.weights, related))
    return related, measured_with(base, instruct, alignment, clock)


def measured_with(base: OpenCheckpoint, instruct: OpenCheckpoint, alignment: Alignment, clock: Clock) -> MeasuredPair:
    """Drift of a pair whose neurons somebody has put side by side, streamed.

    Raises:
        PairError: The alignment is of other shapes.
        NonFiniteError: A weight is NaN or infinite.
    """
    ids = None if alignment.is_identity else alignment.base_ids
    return MeasuredPair(alignment, _measure_drift(base, instruct, ids, clock))


def measure_lineage(base: OpenCheckpoint, instruct: OpenCheckpoint, seed: int, clock: Clock) -> LineageResult:
    """How the pair is related, by every tensor of both."""
    seen = watched(base, base.weights.all_bytes, clock.progress)
    return clock.timed("lineage", lambda: relate(seen, instruct, seed))


def _measure_drift(
    base: OpenCheckpoint, instruct: OpenCheckpoint, base_ids: Int[np.ndarray, " neurons"] | None, clock: Clock
) -> NeuronDrift:
    seen, streams = watched(base, base.weights.mlp_bytes, clock.progress), _streams(base, instruct)
    return clock.timed("drift", lambda: measure_drift(seen.weights, instruct.weights, base_ids, streams=streams))


def measure_drift_only(
    base: OpenCheckpoint, instruct: OpenCheckpoint, seed: int, clock: Clock
) -> tuple[LineageResult | None, MeasuredPair]:
    """Drift by position, reading the MLP weights once and nothing else.

    Where shapes differ, or where neurons at the same position turn out not to be each other's counterparts, lineage
    and alignment are asked after all.

    Raises:
        PairError: The MLPs have different shapes and lineage does not say which neuron is which.
        NonFiniteError: A weight is NaN or infinite.
    """
    if mlp_shape(base.weights) != mlp_shape(instruct.weights):
        return measure_pair(base, instruct, seed, clock)
    drift = _measure_drift(base, instruct, None, clock)
    similarity = position_similarity(drift)
    strangers = similarity < related_cosine(len(base.layout.kinds), base.layout.d, base.layout.d_m)
    if strangers.mean() > STRANGERS:
        return measure_pair(base, instruct, seed, clock)
    return None, MeasuredPair(Alignment("index", np.arange(drift.delta.size), ""), drift)


def position_similarity(drift: NeuronDrift) -> Float[np.ndarray, " neurons"]:
    """Cosine of each neuron with its counterpart, by its unit gate, up and down weights joined: 1 - mean(1 - cos)."""
    deltas = [delta for delta in (drift.delta_gate, drift.delta_up, drift.delta_down) if delta is not None]
    return np.asarray(1 - np.mean(deltas, axis=0))


def _streams(base: OpenCheckpoint, instruct: OpenCheckpoint) -> int:
    """As many as there are cores where both lie on a disk; a reader of the hub has connections of its own."""
    local = all(isinstance(side.weights.reader, Shards) for side in (base, instruct))
    return (os.cpu_count() or 1) if local else 1


def recognised(drift: NeuronDrift, layout: Layout, ids: Int[np.ndarray, " k"]) -> float | None:
    """Share of some neurons that are as alike their counterpart as one neuron is itself, and not as strangers are.

    Args:
        drift: Of every neuron of the instruct checkpoint.
        layout: Of that checkpoint.
        ids: Flat ids in it; one without a counterpart is not recognised.

    Returns:
        In [0, 1]; None without neurons.
    """
    if not ids.size:
        return None
    return float((position_similarity(drift)[ids] >= related_cosine(len(layout.kinds), layout.d, layout.d_m)).mean())
