"""Results about the overlap of two searches."""

from dataclasses import dataclass
from typing import Literal

from provenance.analyses.results.claims import NOT_JUDGED
from provenance.records import Verdict
from provenance.table_declaration import column, table
from provenance.words import OVERLAP_NULLS, drawn_words


@table(
    "overlap",
    "Overlap",
    query="overlap",
    row="H-Neurons of the base against those of the instruct checkpoint",
    single=True,
)
@dataclass(frozen=True)
class OverlapResult:
    """H-Neurons found independently in the base model and in the instruct model."""

    k_base: int = column("H-Neurons of the base model", "count", "H-Neurons of the base.")
    k_instruct: int = column("H-Neurons of the instruct checkpoint", "count", "H-Neurons of the instruct checkpoint.")
    shared: int = column("neurons in both", "count", "Neurons in both sets.")
    jaccard: float | None = column(
        "Jaccard index", "fixed3", "Shared neurons over the union; None if both sets are empty."
    )
    expected: float = column(
        "expected by chance", "fixed3", "k_base * k_instruct / D: mean under the hypergeometric null.", unit="neurons"
    )
    p_hypergeometric: float | None = column(
        "p of this overlap or more (hypergeometric)",
        "compact",
        "P(overlap >= shared) under the null; None if a set is empty.",
    )
    p_zero: float | None = column(
        "probability of no overlap by chance",
        "fixed3",
        "P(overlap = 0) under the null; above 0.5, an overlap of zero has no verdict.",
    )
    verdict: Verdict = column("", "text", "Verdict of the claim `overlap`.", default=NOT_JUDGED)
    reason: str = column("", "text", "The numbers that decided, in words.", default="")
    ceiling_base: float | None = column(
        "Jaccard index of two halves of the questions, base model",
        "fixed3",
        "Mean Jaccard index of two halves of the base's own questions: a reference with half the data, no bound.",
        default=None,
    )
    ceiling_instruct: float | None = column(
        "Jaccard index of two halves of the questions, instruct model",
        "fixed3",
        "The same for the instruct checkpoint.",
        default=None,
    )
    ratio_base: float | None = column(
        "Jaccard index over that of two halves, base model",
        "fixed3",
        "jaccard / ceiling_base; None if that is 0 or unknown.",
        default=None,
    )
    ratio_instruct: float | None = column(
        "Jaccard index over that of two halves, instruct model",
        "fixed3",
        "jaccard / ceiling_instruct; None if that is 0 or unknown.",
        default=None,
    )
    cluster_jaccard: float | None = column(
        "Jaccard index over clusters of correlated neurons",
        "fixed3",
        "Jaccard index over clusters of correlated neurons; None if both sets are empty.",
        default=None,
    )
    rank_biased: float | None = column(
        "rank-biased overlap, heaviest weight first (0 to 1)",
        "fixed3",
        "Rank-biased overlap, heaviest probe weight first, in [0, 1]; None if a list is empty.",
        default=None,
    )


OverlapNullKind = Literal["hypergeometric", "layer", "layer_norm", "layer_norm_activity", "shuffled_labels"]


@table(
    "overlap_null",
    "Overlap against its nulls",
    row="how many neurons two sets share under one null",
    query="overlap-nulls",
    note="p: of sharing at least as many. Least detectable: neurons two searches must be expected to share so that "
    "80 % of such pairs reach p < 0.05.",
)
@dataclass(frozen=True)
class OverlapNull:
    """Neurons shared by two sets of these sizes under one null."""

    kind: OverlapNullKind = column(
        "drawn from",
        "text",
        "`hypergeometric`: any neurons; `layer...`: neurons matched as for drift; `shuffled_labels`: searches "
        "in both models with shuffled training labels.",
        key=True,
        words=OVERLAP_NULLS,
    )
    expected: float = column("expected", "fixed3", "Mean number shared.", unit="neurons")
    sd: float = column("SD", "fixed3", "SD of the number shared.", unit="neurons")
    p_value: float = column("p", "p", "P(at least as many shared).")
    p_zero: float = column("P(none shared)", "fixed3", "P(none shared).")
    smallest_detectable: float | None = column(
        "least detectable",
        "fixed1",
        "Mean number shared for which 80 % of pairs reach p < 0.05; None if no number is enough.",
        unit="neurons",
    )
    draws: int = column("pairs drawn", drawn_words, "Pairs of shuffled searches; 0 if the null is exact.")
