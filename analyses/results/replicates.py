"""Results about replicates: the same comparison with other seeds, so with answers, splits and samples of its own."""

from dataclasses import dataclass

from provenance.records import Estimate, Verdict
from provenance.table_declaration import column, table

_SET = "Question set."
_SEED = "Seed of the replicate's answers, splits, nulls and bootstraps."


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
