"""Whole reports: everything that one comparison, one question about weights, or one timeline found."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from provenance.analyses.results.answers import ActivityTable, Funnel
from provenance.analyses.results.behaviour import CausalEffect
from provenance.analyses.results.claims import Claim, Power
from provenance.analyses.results.drift import DriftResult, DriftTest, NeuronDrift
from provenance.analyses.results.lineage import Alignment, LineageResult, MappedNeurons
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.probes import IdentificationResult
from provenance.analyses.results.timeline import TracePoint
from provenance.analyses.results.transfer import (
    LabelAgreement,
    Rung,
    ScaleControl,
    SignAgreement,
    TransferCell,
    TransferResult,
)
from provenance.records import Verdict


@dataclass(frozen=True)
class Evidence:
    """Everything that stands beside the main numbers of one comparison."""

    ladder: tuple[Rung, ...] = ()
    """By question set and kind."""
    cells: tuple[TransferCell, ...] = ()
    """Of the in-domain question set: whose activations, whose answers, whose prompt."""
    agreement: tuple[LabelAgreement, ...] = ()
    """By question set."""
    scales: tuple[ScaleControl, ...] = ()
    """By question set and kind."""
    signs: SignAgreement | None = None
    """Of the neurons with a probe weight; None without a probe."""
    drift: tuple[DriftTest, ...] = ()
    """By side, measure and matching."""
    overlap: tuple[OverlapNull, ...] = ()
    """By kind."""
    power: tuple[Power, ...] = ()
    """By claim, test and question set."""
    causal: tuple[CausalEffect, ...] = ()
    """By model, factor, kind and outcome; empty where no model was intervened on."""
    claims: tuple[Claim, ...] = field(default=())
    """What may be said, the main claims first."""


@dataclass(frozen=True)
class OriginReport:
    """Everything one comparison found."""

    layers: int
    """MLP layers."""
    neurons_per_layer: int
    """d_m."""
    lineage: LineageResult
    """Is the instruct checkpoint a descendant of the base?"""
    alignment: Alignment
    """Which neuron of the base is which; every flat id of this report is one of the instruct checkpoint."""
    mapped: MappedNeurons
    """The instruct checkpoint's H-Neurons, looked up in the base."""
    funnel: tuple[Funnel, ...]
    """One per task."""
    identification: IdentificationResult
    """The instruct checkpoint's probe."""
    base_identification: IdentificationResult
    """The base checkpoint's own probe."""
    transfer: tuple[TransferResult, ...]
    """One per question set."""
    neuron_drift: NeuronDrift
    """Every neuron's weight change."""
    drift: DriftResult
    """The H-Neurons' drift against matched nulls."""
    overlap: OverlapResult
    """Independent identification in both models."""
    activity: tuple[ActivityTable, ...]
    """Per checkpoint and question set."""
    activation_correlation: Float[np.ndarray, " neurons"] | None
    """Per neuron, Pearson r of z between the models on the same tokens; None where the tokenizers differ."""
    verdict_transfer: Verdict
    """Over the question sets that were given."""
    verdict_drift: Verdict
    """From DriftResult."""
    verdict_overlap: Verdict
    """From OverlapResult."""
    overall: str
    """One sentence."""
    evidence: Evidence = field(default_factory=Evidence)
    """What each verdict was held against, and what it could have found."""
    control: str = ""
    """Which negative control this comparison is; empty for a real one."""


@dataclass(frozen=True)
class WeightsReport:
    """What a pair's weights alone say, about a list of neurons or about all of them; no forward pass was run."""

    layers: int
    """MLP layers of the instruct checkpoint."""
    neurons_per_layer: int
    """Its d_m."""
    lineage: LineageResult | None
    """Is the instruct checkpoint a descendant of the base? None where only the MLP weights were read."""
    alignment: Alignment
    """Which neuron of the base is which."""
    mapped: MappedNeurons
    """The listed neurons, looked up in the base."""
    neuron_drift: NeuronDrift
    """Every neuron's weight change."""
    drift: DriftResult
    """The listed neurons' drift against matched nulls; k is 0 without a list."""
    h_neurons: Int[np.ndarray, " k"]
    """Flat ids of the listed neurons in the instruct checkpoint, ascending; empty without a list."""
    weights: Float[np.ndarray, " k"] | None
    """Their probe weights, in the same order; None where the list has none."""
    source: str
    """Where the list comes from, in words; empty without one."""
    verdict_drift: Verdict
    """From DriftResult."""
    overall: str
    """One sentence."""
    drift_tests: tuple[DriftTest, ...] = ()
    """The listed neurons' drift by side, measure and matching."""
    claims: tuple[Claim, ...] = ()
    """What may be said of the listed neurons: their drift; empty without a list."""


@dataclass(frozen=True)
class TraceReport:
    """Ordered checkpoints, each seen with the probe of the last one."""

    points: tuple[TracePoint, ...]
    """In the order of the checkpoints; the randomly initialised model, where there is one, comes first."""
    identification: IdentificationResult
    """H-Neurons of the last checkpoint; their probe has scored every point."""
    dataset: str
    """Question set that they were found and tested on."""
    layers: int
    """MLP layers of every checkpoint."""
    neurons_per_layer: int
    """Neurons in a layer of every checkpoint."""
    target: str
    """The last checkpoint, as the user wrote it."""
