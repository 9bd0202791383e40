"""The request for an analysis of a pair's weights alone, as a value: two commands with the same job are the same run.

The key is a digest of both checkpoints' contents, the neuron list and the settings. It leaves out whether tensors came
from a folder or over the network, which changes no number.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import identity_digest
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.asking.opening import OpenPair, open_pair
from provenance.analyses.claims.claim_conditions import pair_drift
from provenance.analyses.claims.sentences import drift_sentence
from provenance.analyses.drift.drift_tests import finest_matching
from provenance.analyses.drift.pair import (
    MeasuredPair,
    measure_drift_only,
    measure_lineage,
    measure_pair,
    position_similarity,
)
from provenance.analyses.jobs.opened_job import OpenedJob
from provenance.analyses.lineage.mapping import map_neurons
from provenance.analyses.results.lineage import LineageResult, MappedNeurons
from provenance.analyses.results.reports import WeightsReport
from provenance.neuron_lists.read_lists import NeuronSet, read_neurons

WeightsCommand = Literal["lineage", "drift", "compare --weights-only"]
FORMAT = 2  # version of the results; raised whenever the same job would give other numbers


@dataclass(frozen=True)
class WeightsJob:
    """One question about two checkpoints' weights."""

    command: WeightsCommand
    base: str
    instruct: str
    """Reference of the tuned checkpoint, or of a LoRA adapter on the base."""
    neurons: Path | None = None
    """Neuron list; None for all neurons."""
    stream: bool = False
    """Reads checkpoints of the hub by range requests."""
    seed: int = 0
    """Seed of samples and permutations."""

    @contextmanager
    def opened(self, clock: Clock, folder: Path) -> Iterator[OpenedJob]:  # noqa: ARG002 - same signature as other jobs
        """Checks headers and the neuron list; see `AnyJob`.

        Raises:
            CheckpointError, ArchitectureError: A checkpoint is missing, incomplete, or of an unknown layout.
            InputError: See `listed`.
        """
        pair = clock.timed("headers", self.open)
        listed = self.listed(pair)
        yield OpenedJob(
            command=self.command,
            key=self.key(pair, listed),
            settings=self.settings(pair, listed),
            seed=self.seed,
            sides=(pair.base, pair.instruct),
            run=lambda _workspace, clock: self.run(pair, listed, clock),
            about=lambda: {"bytes_received": pair.bytes_received, "notes": self.notes(pair, listed)},
        )

    def open(self) -> OpenPair:
        """Opens both checkpoints and reads their headers."""
        return open_pair(self.base, self.instruct, stream=self.stream)

    def listed(self, pair: OpenPair) -> NeuronSet | None:
        """The neuron list, checked against the instruct checkpoint.

        Raises:
            InputError: It is unreadable or names neurons that the checkpoint does not have.
        """
        layout = pair.instruct.layout
        return read_neurons(self.neurons, layout.layers, layout.d_m) if self.neurons else None

    def notes(self, pair: OpenPair, listed: NeuronSet | None) -> list[str]:
        """Warnings about the pair and the list."""
        instruct = pair.instruct.checkpoint
        mismatch = listed.mismatch(instruct.pinned, instruct.digest) if listed else ""
        return [*pair.notes, *([mismatch] if mismatch else []), *(listed.notes if listed else ())]

    def recorded(self, listed: NeuronSet | None) -> dict[str, Any]:
        """Every setting that changes a number."""
        return {"format": FORMAT, "neurons_sha256": listed.digest if listed else None, "seed": self.seed}

    def settings(self, pair: OpenPair, listed: NeuronSet | None) -> dict[str, Any]:
        """The same for the record, with the names of streamed files, whose content was not hashed."""
        return {**self.recorded(listed), "streamed": list(pair.streamed)}

    def key(self, pair: OpenPair, listed: NeuronSet | None) -> str:
        """Digest of contents and settings: the identity of the run."""
        digests = [side.checkpoint.digest for side in (pair.base, pair.instruct)]
        identity = [self.command, digests, self.recorded(listed)]
        return identity_digest(identity)

    def run(self, pair: OpenPair, listed: NeuronSet | None, clock: Clock) -> WeightsReport | LineageResult:
        """Lineage alone, or drift with lineage and mapping as requested or needed.

        Raises:
            PairError: The neurons of the pair cannot be matched.
            NonFiniteError: A weight is NaN or infinite.
        """
        if self.command == "lineage":
            return measure_lineage(pair.base, pair.instruct, self.seed, clock)
        measure = measure_drift_only if self.command == "drift" else measure_pair
        related, measured = measure(pair.base, pair.instruct, self.seed, clock)
        source, ids, weights, faithful = "", NO_NEURONS, None, NO_NEURONS
        if listed is not None:
            source, ids = listed.source, listed.h_ids
            if listed.weights is not None:
                faithful = np.sort(listed.ids[listed.weights < 0])
                weights = listed.weights[listed.weights > 0]
                source = f"{source} ({weights.size} of {listed.ids.size} neurons, those of positive weight)"
        return weights_report(
            related, measured, pair.base, pair.instruct, ids, weights, source, self.seed, faithful=faithful
        )


def weights_report(
    related: LineageResult | None,
    measured: MeasuredPair,
    base: OpenCheckpoint,
    instruct: OpenCheckpoint,
    h_neurons: Int[np.ndarray, " h"],
    weights: Float[np.ndarray, " h"] | None,
    source: str,
    seed: int,
    *,
    faithful: Int[np.ndarray, " f"] = NO_NEURONS,
) -> WeightsReport:
    """All results for a neuron list that need no forward pass.

    Args:
        related: Relation of the pair; None if not requested.
        h_neurons: Flat ids in the instruct checkpoint, ascending; may be empty.
        weights: Probe weights in the same order; None if the list has none.
        faithful: Flat ids of listed neurons with a negative weight.
    """
    drift, tests, claim = pair_drift(measured, instruct, {"hallucinated": h_neurons, "faithful": faithful}, seed)
    mapped = (
        map_neurons(h_neurons, measured.alignment, base.weights, instruct.weights)
        if related
        else _mapped_by_drift(h_neurons, measured)
    )
    return WeightsReport(
        layers=instruct.layout.layers,
        neurons_per_layer=instruct.layout.d_m,
        lineage=related,
        alignment=measured.alignment,
        mapped=mapped,
        neuron_drift=measured.drift,
        drift=drift,
        h_neurons=h_neurons,
        weights=weights,
        source=source,
        verdict_drift=claim.verdict,
        overall=drift_sentence(
            related.verdict if related else None,
            measured.alignment.reason,
            int(h_neurons.size),
            claim.verdict,
            finest_matching(tests),
        ),
        drift_tests=tests,
        claims=(claim,) if h_neurons.size else (),
    )


def _mapped_by_drift(h_neurons: Int[np.ndarray, " h"], measured: MeasuredPair) -> MappedNeurons:
    """Counterparts by position with their similarity, without reading weights again, so without margins."""
    similarity = position_similarity(measured.drift)[h_neurons]
    return MappedNeurons(h_neurons, measured.alignment.base_ids[h_neurons], similarity, np.full(h_neurons.size, np.nan))
