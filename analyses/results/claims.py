"""Results about claims: their conditions, and the power of each test."""

from dataclasses import dataclass
from typing import Literal

from provenance.records import Verdict
from provenance.table_declaration import column, part, table
from provenance.words import CLAIMS, against_words, detectable_words

NOT_JUDGED: Verdict = "no power"
"""Verdict of numbers before their claim is made."""


Relation = Literal["<", "<=", ">", ">="]


Role = Literal["power", "shown", "part"]
"""Whether an effect could have been found (`power`), whether it was (`shown`), or a component of a shown condition that
decides nothing by itself (`part`).
"""


@table(
    "power",
    "Power",
    row="the smallest effect one test could have found",
    query="power",
    note="The smallest value of the statistic (of a factor of change: the largest) that the test finds with 80 % power "
    "at one-sided 5 %; none: no value would be found. A verdict of “not distinguishable” says nothing about smaller "
    "effects.",
)
@dataclass(frozen=True)
class Power:
    """The smallest effect one test could have found."""

    claim: str = column("claim", "text", "`transfer`, `drift` or `overlap`.", key=True)
    test: str = column("against", against_words, "Null or baseline.", key=True)
    dataset: str = column("question set", "text", "Question set; empty if the test has none.", key=True)
    k: int = column("k", "count", "Neurons of the tested set.")
    n: int = column("n", "some", "Answers; 0 if the test has none.")
    sd: float = column(
        "SD under the null", "compact", "Standard deviation of the statistic under the null, in the statistic's unit."
    )
    smallest_detectable: float | None = column(
        "smallest detectable",
        detectable_words,
        "Smallest value found with 80 % power at one-sided 5 %; None if no value is, or it is unknown.",
    )
    unit: str = column("unit", "text", "`AUROC`, `mean stability rank`, `factor of change` or `shared neurons`.")


@table("claim_reason", "Conditions", row="one condition of a claim: value, bar, and whether it holds", scope=("claim",))
@dataclass(frozen=True)
class Reason:
    """One condition of a claim."""

    code: str = column("condition", "text", "Stable name, such as `transfer.p.question_text`.")
    dataset: str = column("question set", "text", "Question set; empty if it has none.")
    value: float | None = column("value", "compact", "Measured value; None if not measured.")
    relation: Relation = column("", "text", "Required relation of the value to the bar.")
    bar: float = column("bar", "compact", "Threshold.")
    holds: bool | None = column("holds", "yes", "Whether the condition holds; None if not measured.")
    role: Role = column(
        "role",
        "text",
        "`power`: without it, `no power`; `shown`: all of them together, `supported`; `part`: decides nothing alone.",
    )
    against: str = column(
        "against",
        "text",
        "Null, baseline or kind of control sets that the value stands against, such as `question_text`; of a largest p "
        "the one that it is the p of; empty if there is none.",
        default="",
    )


@table("claim", "Claims", row="one claim about the pair, with its verdict")
@dataclass(frozen=True)
class Claim:
    """One claim about the pair, with its verdict and conditions."""

    name: str = column(
        "claim",
        "text",
        "; ".join(f"`{name}`: {words}" for name, words in CLAIMS.items())
        + ". After a colon: the benchmark it is about.",
        key=True,
    )
    verdict: Verdict = column("verdict", "text", "How well the claim stands.")
    dataset: str = column("question set", "text", "Question set that decides; empty if there is none.")
    words: str = column("", "text", "The claim, or why it is not made.")
    reasons: tuple[Reason, ...] = part("Conditions, in order.")
    decided_by: str = column(
        "decided by",
        "text",
        "Code of the condition that decided: the first that does not hold or was not measured (for `no power`, the "
        "first of those that take the power away); where all hold, the claim's own with the largest p. Empty without "
        "conditions.",
        default="",
    )
    not_met: int = column("not met", "count", "Conditions that do not hold or were not measured.", default=0)
