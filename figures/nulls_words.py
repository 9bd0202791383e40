"""The nulls figure in words: when it is drawn, its caption, and its table.

The one idea: each number names what the other neurons were matched on, since that decides what it means.
"""

from analyses.results.drift import DriftTest
from figures.captions import Parts
from figures.declared import latex_table
from figures.evidence_words import pair_words
from figures.latex import Table
from figures.words import list_words, problem_words, source
from provenance.cells import Record, fixed, interval, p_cell
from provenance.words import MATCHINGS, MEASURES, SIDES

_MEASURED = {
    "delta": "the paper’s Δ of up and down weights",
    "gate": "1 − cosine of the gate row",
    "norm": "change of norms",
    "functional": "1 − correlation of activations over the same tokens",
}


def has_nulls(parts: Parts) -> bool:
    """Whether a set was held against matched ones."""
    return bool(parts["drift-tests"].rows)


def caption_nulls(parts: Parts) -> list[str]:
    """Caption of the nulls figure: what is drawn, then the numbers."""
    base, instruct = pair_words(parts)
    rows = parts["drift-tests"].records()
    quantiles = f" ({quantile_words(rows)})" if quantile_words(rows) else ""
    measures = [words for name, words in _MEASURED.items() if any(row["measure"] == name for row in rows)]
    lede = [
        f"Drift from {base} to {instruct} against matched nulls. Mean stability rank (0 = changed most, 1 = changed",
        "least) of a set of neurons by each measure, minus its exact mean over sets of as many neurons that have in",
        f"common with it what is named on the left{quantiles}; among like neurons of ranks as they are or without the",
        "trend that norms and activity explain, whichever is harder to pass; 95 % interval over the neurons. Grey:",
        "1.96 SD",
        f"of matched sets around their mean. Measures: {'; '.join(measures)}.",
        "Tick: the smallest effect found with 80 % power at one-sided 5 %."
        if any(row["smallest_detectable"] is not None for row in rows)
        else "",
        list_words(parts),
        problem_words(parts),
    ]
    return [
        " ".join(part for part in lede if part),
        *(_one_test(row) for row in rows),
        f"Drawn from {source(parts)}.",
    ]


def quantile_words(rows: list[Record]) -> str:
    """How finely neurons were matched within a layer; empty where they were not."""
    bins = max(row["bins"] for row in rows)
    if bins < 2:
        return ""
    what = "norm and mean CETT" if any("activity" in row["matching"] for row in rows) else "norm"
    return f"{what}: {bins} quantiles within the layer, in the base"


def _one_test(row: Record) -> str:
    least = fixed(row["smallest_detectable"], 3) if row["smallest_detectable"] is not None else "none"
    return (
        f"{drift_name(row)}: mean rank {fixed(row['mean_rank'], 3)}, null {fixed(row['null_mean'], 3)} (SD "
        f"{fixed(row['null_sd'], 3)}), effect {interval(row, 'effect', 3)}, k = {row['k']}, one-sided p "
        f"{p_cell(row['p_more_stable'])} for more stable, {p_cell(row['p_less_stable'])} for less; smallest detectable "
        f"mean rank {least}."
    )


def drift_name(row: Record) -> str:
    """Side, measure and matching of a test."""
    side, measure = SIDES.get(row["side"], row["side"]), MEASURES.get(row["measure"], row["measure"])
    return f"{side}, {measure}, matched on {MATCHINGS.get(row['matching'], row['matching'])}"


def table_nulls(parts: Parts) -> Table:
    """The tests as a table."""
    base, instruct = pair_words(parts)
    caption = (
        f"Drift from {base} to {instruct} against matched nulls: mean stability rank of each set by each measure, "
        "exact mean and SD over matched sets, effect with its 95 % interval over neurons, and one-sided p of being "
        "more and of being less stable."
    )
    caption = " ".join(part for part in (caption, list_words(parts), problem_words(parts)) if part)
    return latex_table(DriftTest, parts["drift-tests"].records(), caption)
