"""Results about replicates: the same comparison with other seeds, so with answers, splits and samples of its own."""

from dataclasses import dataclass
from typing import Any

from provenance.analyses.results.behaviour import ComplianceArm, ComplianceSlope, PatchEffect, SideEffect, TextEffect
from provenance.analyses.results.drift import DriftResult, DriftTest
from provenance.analyses.results.probes import HeldOut
from provenance.analyses.results.timeline import TimelinePoint
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.records import Estimate, Verdict
from provenance.table_declaration import column, table

_SET = "Question set."
_NUMBER = "Number of the replicate, from 1."
_SEED = "Seed of the replicate's answers, splits, nulls and bootstraps."
OF_EVERY_REPLICATE = (
    TransferResult, Rung, HeldOut, DriftResult, DriftTest, ComplianceArm, ComplianceSlope, SideEffect, TextEffect,
    PatchEffect, TimelinePoint,
)  # fmt: skip
"""Declared results that are kept of every replicate, and of all of them together; a probe's are of the instruct one."""


@table(
    "replicate",
    "Replicates: transfer",
    row="transfer to one question set in one replicate",
    query="replicates",
    note="The whole comparison with other seeds: its own answers, splits and probe.",
)
@dataclass(frozen=True)
class Replicate:
    """Transfer to one question set in one replicate."""

    replicate: int = column("replicate", "count", _NUMBER)
    seed: int = column("seed", "count", _SEED, key=True)
    dataset: str = column("question set", "text", _SET, key=True)
    C: float | None = column("C", "compact", "Chosen inverse regularisation strength.", sql="c")
    k: int = column("k", "count", "H-Neurons of the instruct checkpoint.")
    auroc: Estimate | None = column("AUROC", "ci2", "Of transfer, with its interval over questions and training sets.")
    p_holm: float | None = column("p (Holm)", "p", "Largest p after Holm's correction over the question sets.")
    verdict: Verdict = column("verdict", "verdict", "Verdict of transfer to this question set.")


@table(
    "replicate_claim",
    "Replicates: claims",
    row="one claim in one replicate",
    query="replicate-claims",
    note="One verdict of each claim from all replicates stands under Claims: every p-value is twice the median over "
    "replicates, every other number its median.",
)
@dataclass(frozen=True)
class ReplicateClaim:
    """One claim in one replicate."""

    replicate: int = column("replicate", "count", _NUMBER)
    seed: int = column("seed", "count", _SEED, key=True)
    claim: str = column("claim", "text", "Name of the claim.", key=True)
    p_value: float | None = column("largest p", "p", "Largest p-value among the conditions; None without any.")
    verdict: Verdict = column("verdict", "verdict", "Verdict of this replicate alone.")


@table(
    "variance",
    "Where the variance of transfer comes from",
    row="one source of variance of transfer to one question set",
    query="variance",
    note="Test questions: bootstrap. Training questions: half-samples. C: the values that the replicates chose. "
    "Between replicates: the SD of their AUROCs, which have answers and samples of their own, but share questions.",
)
@dataclass(frozen=True)
class VarianceComponent:
    """One source of variance of a transfer AUROC."""

    dataset: str = column("question set", "text", _SET, key=True)
    source: str = column("source", "text", "Source of the variance.", key=True)
    sd: float | None = column("SD", "fixed3", "Square root of the variance; None if it could not be estimated.")


@table(
    "replicate_neuron", "H-Neurons of every replicate", row="one H-Neuron of the instruct checkpoint in one replicate"
)
@dataclass(frozen=True)
class ReplicateNeuron:
    """One H-Neuron of one replicate."""

    replicate: int = column("replicate", "count", _NUMBER, key=True)
    layer: int = column("layer", "count", "Layer of the instruct checkpoint, from 0.", key=True)
    neuron_index: int = column("index", "count", "Index of the neuron in its layer, from 0.", key=True)


@dataclass(frozen=True)
class ReplicateResults:
    """What is kept of one replicate, or of all of them together, and shown beside each other."""

    number: int
    """Of the replicate, from 1; `table_declaration.OVER_ALL` for all of them together."""
    results: tuple[Any, ...]
    """Of the classes `OF_EVERY_REPLICATE`."""
