"""The report's tables: rows of named queries as cells of text.

The one idea: the page template knows nothing about results; what a table says, and in
which words, is decided here and can be tested as plain values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.queries import QueryResult
from figures.evidence_words import drift_power_rows, p_cell, power_rows, power_sentence
from figures.words import (
    CLAIMS,
    MARKS,
    NOTHING,
    Record,
    compact,
    first,
    fixed,
    interval,
    list_words,
    null_words,
    run_kind,
    verdict_words,
)
from provenance.probe_words import baseline_words

Results = Mapping[str, QueryResult]
H_NEURONS_SHOWN = 100
_OVERLAP_MORE = {
    "ratio_base": "Jaccard index over that of two halves, base model",
    "ratio_instruct": "Jaccard index over that of two halves, instruct model",
    "cluster_jaccard": "Jaccard index over clusters of correlated neurons",
    "rank_biased": "rank-biased overlap, heaviest weight first (0 to 1)",
}


@dataclass(frozen=True)
class ReportTable:
    """A table of the report."""

    title: str
    """Heading."""
    note: str
    """A sentence below it."""
    header: Sequence[str]
    """Column titles."""
    rows: Sequence[Sequence[str]]
    """Cells."""
    text: tuple[int, ...] = (0,)
    """Columns that hold words and are set to the left."""


def claim_rows(results: Results) -> list[Record]:
    """The claims with verdict, sign and deciding numbers; none where no neurons were asked about."""
    if run_kind(results) == "drift":
        return []
    return [
        {
            "question": CLAIMS.get(row["claim"], row["claim"]),
            "mark": MARKS.get(row["verdict"], NOTHING),
            "verdict": row["verdict"],
            "words": verdict_words(row["claim"], row["verdict"]),
            "numbers": row["words"],
        }
        for row in results["verdicts"].records()
        if row["claim"] != "overall"
    ]


def transfer(results: Results) -> ReportTable:
    """The probe on the base model, with both nulls."""
    rows = [
        (
            row["dataset"],
            f"{MARKS[row['verdict']]} {verdict_words('transfer', row['verdict'])}",
            interval(row, "auroc"),
            null_words(row, "random"),
            null_words(row, "matched"),
            _pair(row, "n_faithful", "n_hallucinated"),
        )
        for row in results["transfer"].records()
    ]
    note = (
        "AUROC of the instruct checkpoint’s probe, weights unchanged, on the base model’s own responses, with its "
        "interval by question. Nulls: probes refitted on random and on layer-matched neurons and transferred the same "
        "way; mean and middle 95 % of draws. n: faithful + hallucinated responses."
    )
    header = ["question set", "verdict", "AUROC", "random neurons", "layer-matched", "n (f + h)"]
    decided = [row["p_value"] for row in results["transfer"].records()]
    if any(value is not None for value in decided):
        header += ["p", "p (Holm)", "beaten least clearly"]
        rows = [(*cells, *_decided(row)) for cells, row in zip(rows, results["transfer"].records(), strict=True)]
        note += " p: the largest against chance, neuron sets, answer length and texts; Holm: over question sets."
    return ReportTable("Backward transfer", note, header, rows, (0, 1))


def _decided(row: Record) -> tuple[str, ...]:
    return p_cell(row["p_value"]), p_cell(row["p_holm"]), baseline_words(row["decided_by"] or "") or NOTHING


def drift(results: Results) -> ReportTable:
    """The H-Neurons' mean stability rank."""
    row = first(results["drift"])
    cells = [
        ("H-Neurons, k", str(row["k"])),
        ("mean stability rank (0 = changed most, 1 = changed least)", fixed(row["mean_stability_rank"], 3)),
        ("the same under the layer-matched null", null_words(row, "null", 3)),
        ("effect (mean rank minus null mean)", fixed(row["effect"], 3)),
        ("one-sided p, layer-matched permutation", compact(row["p_permutation"])),
        ("one-sided p, Welch t-test against all others (the paper’s)", compact(row["p_t"])),
        ("SD of a mean rank under a uniform null", fixed(row["uniform_sd"], 3)),
        ("smallest mean rank detectable with 80 % power", fixed(row["smallest_detectable"], 3)),
        ("share of all neurons that are bit-identical", fixed(row["share_identical"], 3)),
        ("1 − cos that storage rounding alone can cause", compact(row["rounding_floor"])),
    ]
    if run_kind(results) == "drift":
        return ReportTable("Parameter evolution", list_words(results), ("quantity", "value"), cells[-2:])
    note = f"{_sentence(row['reason'])} {power_sentence(drift_power_rows(results['power']))}".strip()
    return ReportTable("Parameter evolution", note, ("quantity", "value"), cells)


def overlap(results: Results) -> ReportTable:
    """The two independently found sets."""
    row = first(results["overlap"])
    cells = [
        ("H-Neurons of the base model", str(row["k_base"])),
        ("H-Neurons of the instruct checkpoint", str(row["k_instruct"])),
        ("neurons in both", str(row["shared"])),
        ("expected by chance", fixed(row["expected"], 3)),
        ("Jaccard index", fixed(row["jaccard"], 3)),
        *(
            (f"the same between two halves of the questions, {side} model", fixed(row[f"ceiling_{side}"], 3))
            for side in ("base", "instruct")
            if row[f"ceiling_{side}"] is not None
        ),
        *((name, fixed(row[column], 3)) for column, name in _OVERLAP_MORE.items() if row[column] is not None),
        ("p of this overlap or more (hypergeometric)", compact(row["p_hypergeometric"])),
        ("probability of no overlap by chance", fixed(row["p_zero"], 3)),
    ]
    note = f"{_sentence(row['reason'])} {power_sentence(power_rows(results['power'], 'overlap'))}".strip()
    return ReportTable("Overlap", note, ("quantity", "value"), cells)


def funnel(results: Results) -> ReportTable:
    """What each stage kept, and why questions were dropped."""
    reasons: dict[tuple[Any, ...], list[str]] = {}
    for row in results["drops"].records():
        words = f"{row['reason']} {row['n_questions']}"
        reasons.setdefault((row["stage"], row["dataset"], row["split"]), []).append(words)
    stages = ("consistent", "span_found", "captured", "fitted")
    rows = [
        (
            row["stage"],
            row["dataset"],
            row["split"],
            str(row["asked"]),
            str(row["answered"]),
            *(_pair(row, f"{stage}_faithful", f"{stage}_hallucinated") for stage in stages),
            ", ".join(reasons.get((row["stage"], row["dataset"], row["split"]), [])) or NOTHING,
        )
        for row in results["funnel"].records()
    ]
    note = "Questions asked and answered; then responses kept by each stage, faithful + hallucinated."
    header = ("model", "question set", "split", "asked", "answered", "consistent", "span found", "captured", "fitted",
              "dropped")  # fmt: skip
    return ReportTable("Funnel", note, header, rows, (0, 1, 2, 9))


def h_neurons(results: Results) -> ReportTable:
    """The H-Neurons, largest weight first; only the columns that the run has numbers for."""
    records = results["h-neurons"].records()
    columns: dict[str, Callable[[Record], str]] = {
        "layer": lambda row: str(row["layer"]),
        "index": lambda row: str(row["neuron_index"]),
        "weight": lambda row: compact(row["probe_weight"]),
        "stability rank": lambda row: fixed(row["stability_rank"], 3),
        "Δ up": lambda row: compact(row["delta_up"]),
        "Δ gate": lambda row: compact(row["delta_gate"]),
        "Δ down": lambda row: compact(row["delta_down"]),
        "r base–instruct": lambda row: fixed(row["activation_correlation"], 3),
        "also in base": lambda row: _yes_or_no(row["is_base_h_neuron"]),
        "frequency": lambda row: fixed(row["selection_frequency"]),
        "own AUROC": lambda row: fixed(row["auroc"]),
        "cluster": lambda row: NOTHING if row["cluster"] is None else str(row["cluster"]),
    }
    cells = {title: [cell(row) for row in records[:H_NEURONS_SHOWN]] for title, cell in columns.items()}
    cells = {title: column for title, column in cells.items() if not records or set(column) != {NOTHING}}
    order = "largest probe weight first" if "weight" in cells else "by layer and index"
    note = f"All {len(records)} of them, {order}."
    if len(records) > H_NEURONS_SHOWN:
        what = "with the largest weights" if "weight" in cells else "first ones by layer and index"
        note = f"The {H_NEURONS_SHOWN} {what} of {len(records)}; all: provenance query h-neurons."
    note += " Frequency: share of half-samples that select the neuron." if "frequency" in cells else ""
    note += " Own AUROC: of its values alone, on training and validation answers." if "own AUROC" in cells else ""
    return ReportTable("H-Neurons", note, tuple(cells), list(zip(*cells.values(), strict=True)), ())


def _yes_or_no(value: bool | None) -> str:
    return NOTHING if value is None else "yes" if value else "no"


def datasets(results: Results) -> ReportTable:
    """The question sets behind the run."""
    rows = [
        (row["name"], row["source"], row["digest"][:16], str(row["n_questions"]))
        for row in results["datasets"].records()
    ]
    return ReportTable("Question sets", "", ("name", "source", "digest", "questions"), rows, (0, 1, 2))


def _pair(row: Record, faithful: str, hallucinated: str) -> str:
    return f"{row[faithful]} + {row[hallucinated]}"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "." if words else ""
