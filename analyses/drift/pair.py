"""Lineage, alignment and drift of a pair, from the weights alone.

They run in this order, since drift between neurons that are not counterparts means nothing.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from joblib import cpu_count

from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.models import OpenCheckpoint, relate, unlike, watched
from provenance.analyses.drift.weight_drift import measure_drift
from provenance.analyses.lineage.alignment import align
from provenance.analyses.results.drift import NeuronDrift
from provenance.analyses.results.lineage import Alignment, LineageResult
from provenance.analyses.weights.by_layers import ByLayers, Here
from provenance.analyses.weights.joined_cosines import related_cosine
from provenance.analyses.weights.weight_source import mlp_shape
from provenance.architectures import Layout
from provenance.weights.shards import Shards

STRANGERS = 0.002
"""Share of neurons unlike their counterpart by position above which lineage is computed after all."""


@dataclass(frozen=True)
class MeasuredPair:
    """The neurons of two checkpoints, compared by their weights."""

    alignment: Alignment
    drift: NeuronDrift
    """Weight change of each neuron of the instruct checkpoint."""


def measure_pair(
    base: OpenCheckpoint, instruct: OpenCheckpoint, seed: int, clock: Clock, who: ByLayers | None = None
) -> tuple[LineageResult, MeasuredPair]:
    """Lineage, alignment and drift of a pair, streamed; `who` reads the layers, by default this process.

    Raises:
        PairError: The MLPs have different shapes and lineage finds no relation.
        NonFiniteError: A weight is NaN or infinite.
    """
    related = measure_lineage(base, instruct, seed, clock, who)
    if related.verdict == "unrelated" and mlp_shape(base.weights) != mlp_shape(instruct.weights):
        raise unlike(base, instruct, related.reason)
    alignment = clock.timed("alignment", lambda: align(base.weights, instruct.weights, related, who))
    return related, measured_with(base, instruct, alignment, clock, who)


def measured_with(
    base: OpenCheckpoint, instruct: OpenCheckpoint, alignment: Alignment, clock: Clock, who: ByLayers | None = None
) -> MeasuredPair:
    """Drift of a pair with a given alignment, streamed; raises PairError if the alignment is of other shapes."""
    ids = None if alignment.is_identity else alignment.base_ids
    return MeasuredPair(alignment, _measure_drift(base, instruct, ids, clock, who))


def measure_lineage(
    base: OpenCheckpoint, instruct: OpenCheckpoint, seed: int, clock: Clock, who: ByLayers | None = None
) -> LineageResult:
    """Lineage of the pair, from every tensor of both."""
    seen = watched(base, base.weights.all_bytes, clock.progress)
    return clock.timed("lineage", lambda: relate(seen, instruct, seed, who))


def _measure_drift(
    base: OpenCheckpoint,
    instruct: OpenCheckpoint,
    base_ids: Int[np.ndarray, " neurons"] | None,
    clock: Clock,
    who: ByLayers | None = None,
) -> NeuronDrift:
    seen = watched(base, base.weights.mlp_bytes, clock.progress)
    reads = who or Here(seen.weights, instruct.weights, _streams(base, instruct))
    return clock.timed("drift", lambda: measure_drift(seen.weights, instruct.weights, base_ids, reads))


def measure_drift_only(
    base: OpenCheckpoint, instruct: OpenCheckpoint, seed: int, clock: Clock
) -> tuple[LineageResult | None, MeasuredPair]:
    """Drift by position, reading the MLP weights once and nothing else.

    If shapes or neurons of a position differ, lineage and alignment are computed too, with `measure_pair`'s errors.
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
    """One stream per processor for local files, one for the hub, whose reader has several connections."""
    local = all(isinstance(side.weights.reader, Shards) for side in (base, instruct))
    return int(cpu_count()) if local else 1


def recognised(drift: NeuronDrift, layout: Layout, ids: Int[np.ndarray, " k"]) -> float | None:
    """Share of neurons closer to their counterpart than unrelated neurons are, in [0, 1]; None without neurons."""
    if not ids.size:
        return None
    return float((position_similarity(drift)[ids] >= related_cosine(len(layout.kinds), layout.d, layout.d_m)).mean())
