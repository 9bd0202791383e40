"""Reports: all results of one comparison, one weights-only run, or one timeline."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from provenance.analyses.results.answers import ActivityTable, Funnel, JudgeAgreement, RefusalContrast
from provenance.analyses.results.behaviour import (
    CausalEffect,
    ComplianceArm,
    ComplianceSlope,
    ItemReading,
    PatchEffect,
    ReplyAgreement,
    ReplyExample,
    SideEffect,
    TextEffect,
)
from provenance.analyses.results.cards import NeuronAnswer, NeuronVocabulary
from provenance.analyses.results.claims import NOT_JUDGED, Claim, Power
from provenance.analyses.results.drift import DriftResult, DriftTest, NeuronDrift
from provenance.analyses.results.lineage import Alignment, LineageResult, MappedNeurons
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.probes import IdentificationResult
from provenance.analyses.results.replicates import (
    Replicate,
    ReplicateClaim,
    ReplicateNeuron,
    ReplicateResults,
    VarianceComponent,
)
from provenance.analyses.results.timeline import TimelinePoint
from provenance.analyses.results.transfer import (
    DirectionLayer,
    DirectionTransfer,
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
    """Controls, conditions and power behind the main numbers of one comparison."""

    ladder: tuple[Rung, ...] = ()
    """By question set and kind."""
    directions: tuple[DirectionTransfer, ...] = ()
    """By question set, model of the fit and kind; empty without a probe, or where the residual stream was not read."""
    direction_layers: tuple[DirectionLayer, ...] = ()
    """By question set, model of the fit, model of the answers, kind and layer."""
    cells: tuple[TransferCell, ...] = ()
    """In-domain question set, by activations, answers and prompt."""
    agreement: tuple[LabelAgreement, ...] = ()
    """By question set."""
    judges: tuple[JudgeAgreement, ...] = ()
    """By model, question set and pool; empty if the rule was the judge."""
    refusals: tuple[RefusalContrast, ...] = ()
    """By model, question set and pool."""
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
    """By model, factor, kind and outcome; empty if no neurons were scaled."""
    compliance_arms: tuple[ComplianceArm, ...] = ()
    """By model, benchmark, kind of set and factor; empty without benchmarks."""
    compliance_slopes: tuple[ComplianceSlope, ...] = ()
    """By model, benchmark and kind of set."""
    side_effects: tuple[SideEffect, ...] = ()
    """By model, question set and factor; empty without benchmarks."""
    text_effects: tuple[TextEffect, ...] = ()
    """By model, text and factor; empty without texts."""
    reply_examples: tuple[ReplyExample, ...] = ()
    item_readings: tuple[ItemReading, ...] = ()
    """By model, benchmark, item and factor; empty without benchmarks."""
    patching: tuple[PatchEffect, ...] = ()
    """By model, benchmark, outcome and kind of set; empty without benchmarks."""
    reply_judges: tuple[ReplyAgreement, ...] = ()
    """By model and benchmark of free text; empty without a judging model."""
    claims: tuple[Claim, ...] = field(default=())
    """The main claims first."""


@dataclass(frozen=True)
class OriginReport:
    """All results of one comparison."""

    layers: int
    neurons_per_layer: int
    """d_m."""
    lineage: LineageResult
    """Whether the instruct checkpoint descends from the base."""
    alignment: Alignment
    """Counterparts in the base; all flat ids of this report are of the instruct checkpoint."""
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
    """Per neuron, Pearson r of z between the models on the same tokens; None if the tokenizers differ."""
    overall: str = ""
    """One sentence."""
    evidence: Evidence = field(default_factory=Evidence)
    """Controls, conditions and power behind each verdict."""
    control: str = ""
    """Kind of negative control; empty for a real comparison."""
    replicates: tuple[Replicate, ...] = ()
    """By seed and question set; empty for one draw. Everything else, but for claims, is of the first one."""
    replicate_claims: tuple[ReplicateClaim, ...] = ()
    """By seed and claim."""
    replicate_neurons: tuple[ReplicateNeuron, ...] = ()
    """By replicate and neuron."""
    replicate_results: tuple[ReplicateResults, ...] = ()
    """Of all replicates together first, then of each; empty for one draw."""
    variance: tuple[VarianceComponent, ...] = ()
    """By question set and source."""
    vocabulary: tuple[NeuronVocabulary, ...] = ()
    """By model and H-Neuron, the largest weight first; empty without H-Neurons."""
    top_answers: tuple[NeuronAnswer, ...] = ()
    """By model, H-Neuron and place."""

    def verdict(self, claim: str) -> Verdict:
        """Verdict of a claim; no power for one that was not made."""
        return next((each.verdict for each in self.evidence.claims if each.name == claim), NOT_JUDGED)


@dataclass(frozen=True)
class WeightsReport:
    """Results from a pair's weights alone, for a list of neurons or for all; no forward pass was run."""

    layers: int
    """Of the instruct checkpoint."""
    neurons_per_layer: int
    """d_m of the instruct checkpoint."""
    lineage: LineageResult | None
    """Whether the instruct checkpoint descends from the base; None if only the MLP weights were read."""
    alignment: Alignment
    """Counterparts in the base."""
    mapped: MappedNeurons
    """The listed neurons, looked up in the base."""
    neuron_drift: NeuronDrift
    """Every neuron's weight change."""
    drift: DriftResult
    """Drift of the listed neurons; k is 0 without a list."""
    h_neurons: Int[np.ndarray, " k"]
    """Flat ids of the listed neurons in the instruct checkpoint, ascending; empty without a list."""
    weights: Float[np.ndarray, " k"] | None
    """Their probe weights, in the same order; None if the list has none."""
    source: str
    """Source of the list; empty without one."""
    verdict_drift: Verdict
    overall: str
    """One sentence."""
    drift_tests: tuple[DriftTest, ...] = ()
    """The listed neurons' drift by side, measure and matching."""
    claims: tuple[Claim, ...] = ()
    """Drift of the listed neurons; empty without a list."""


@dataclass(frozen=True)
class TimelineReport:
    """A timeline of checkpoints, read with the probe of the last one."""

    points: tuple[TimelinePoint, ...]
    """In the order of the checkpoints, after the randomly initialised model if there is one."""
    identification: IdentificationResult
    """H-Neurons of the last checkpoint, with the probe used at every point."""
    dataset: str
    """Question set of search and test."""
    layers: int
    """MLP layers of every checkpoint."""
    neurons_per_layer: int
    """d_m of every checkpoint."""
    target: str
    """The last checkpoint, as the user wrote it."""
    replicate_results: tuple[ReplicateResults, ...] = ()
    """Points of all replicates together first, then of each; empty for one draw. All else is of the first one."""


@dataclass(frozen=True)
class ComplianceReport:
    """All results of scaling a checkpoint's neurons on benchmarks."""

    layers: int
    neurons_per_layer: int
    source: str
    """Origin of the neurons: their file."""
    h_neurons: Int[np.ndarray, " h"]
    """Flat ids of the scaled H-Neurons, ascending."""
    weights: Float[np.ndarray, " h"] | None
    """Probe weights in the same order; None if the list has none."""
    arms: tuple[ComplianceArm, ...]
    """By benchmark, kind of set and factor."""
    slopes: tuple[ComplianceSlope, ...]
    """By benchmark and kind of set."""
    side_effects: tuple[SideEffect, ...]
    """By set of plain questions and factor."""
    judges: tuple[ReplyAgreement, ...]
    """By benchmark of free text; empty without a judging model."""
    examples: tuple[ReplyExample, ...]
    """By benchmark, item and factor."""
    claims: tuple[Claim, ...]
    """One a benchmark."""
    overall: str
    """In one sentence."""
    texts: tuple[TextEffect, ...] = ()
    """By text and factor."""
    readings: tuple[ItemReading, ...] = ()
    """By benchmark, item and factor."""
    negative: Mapping[int, float] = field(default_factory=dict)
    """Probe weights of the neurons of negative weight, which are scaled beside them, by flat id."""
