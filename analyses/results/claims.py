"""Claims with their conditions, and the power of each test."""

from dataclasses import dataclass
from typing import Literal

from provenance.declared import column, part, table
from provenance.records import Verdict
from provenance.words import against_words, detectable_words

NOT_JUDGED: Verdict = "no power"
"""Of numbers whose claim is not made yet."""


Relation = Literal["<", "<=", ">", ">="]


Role = Literal["power", "shown", "part"]
"""Whether an effect could have been found; whether it was found; or one of several numbers that a shown condition sums
up, which decides nothing by itself."""


@table(
    "power",
    "Power",
    row="what one test could have found",
    query="power",
    note="The smallest value of the statistic that the test finds with 80 % power at one-sided 5 %; none: no value "
    "would be found. A verdict of “not distinguishable” says nothing about smaller effects.",
)
@dataclass(frozen=True)
class Power:
    """What one test could have found."""

    claim: str = column("claim", "text", "`transfer`, `drift` or `overlap`.", key=True)
    test: str = column("against", against_words, "The null or baseline.", key=True)
    dataset: str = column("question set", "text", "Question set; empty where the test has none.", key=True)
    k: int = column("k", "count", "Neurons in the set that is tested.")
    n: int = column("n", "some", "Answers; 0 where the test has none.")
    sd: float = column(
        "SD under the null", "compact", "Standard deviation of the statistic under the null, in its own unit."
    )
    smallest_detectable: float | None = column(
        "smallest detectable",
        detectable_words,
        "Value of the statistic found with 80 % power at one-sided 5 %; None where none would be, or it is not known.",
    )
    unit: str = column("unit", "text", "`AUROC`, `mean stability rank` or `shared neurons`.")


@table("claim_reason", "Conditions", row="one condition of a claim: value, bar, and whether it holds", scope=("claim",))
@dataclass(frozen=True)
class Reason:
    """One condition of a claim."""

    code: str = column("condition", "text", "Stable name, such as `transfer.p.question_text`.")
    dataset: str = column("question set", "text", "Question set; empty where it has none.")
    value: float | None = column("value", "compact", "The measured value; None where it could not be measured.")
    relation: Relation = column("", "text", "How the value has to stand to the bar.")
    bar: float = column("bar", "compact", "The bar.")
    holds: bool | None = column("holds", "yes", "Whether it does; None where it could not be measured.")
    role: Role = column("role", "text", "Its part in the verdict (`provenance.analyses.claims.conditions.verdict_of`).")


@table("claim", "Claims", row="one thing that may be said of the pair, and how well it stands")
@dataclass(frozen=True)
class Claim:
    """One thing that may be said of the pair, how well it stands, and why."""

    name: str = column(
        "claim",
        "text",
        "`transfer`, `beyond_confidence`, `own_labels`, `drift`, `overlap`, `function_base` or `function_instruct`.",
        key=True,
    )
    verdict: Verdict = column("verdict", "text", "How well it stands.")
    dataset: str = column("question set", "text", "Question set it rests on; empty where it has none.")
    words: str = column("", "text", "The claim, or why it is not made.")
    reasons: tuple[Reason, ...] = part("Conditions, in order.")
