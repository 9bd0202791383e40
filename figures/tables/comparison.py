"""The report's tables of a comparison: rows of named queries as cells of text.

The page template knows nothing about results; contents and words of tables are decided here, as plain values for
tests.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from provenance.analyses.results.answers import Funnel
from provenance.analyses.results.drift import DriftResult
from provenance.analyses.results.overlap import OverlapResult
from provenance.analyses.results.transfer import TransferResult
from provenance.cells import NOTHING, Record, compact, fixed, yes_or_no
from provenance.figures.tables.result_tables import ReportTable, Results, facts, report_table
from provenance.figures.wording.evidence_words import drift_power_rows, power_rows, power_sentence
from provenance.figures.wording.run_words import first, list_words, run_kind
from provenance.records import Stage
from provenance.table_declaration import LABELS

H_NEURONS_SHOWN = 100
_H_NEURON_COLUMNS: Mapping[str, str] = {
    "stability rank": "Stability rank: 0 = changed most of all neurons, 1 = changed least.",
    "Δ up": "Δ: 1 − cosine of the neuron’s up row (what it reads) or down column (what it writes) with the base’s.",
    "CETT base": "CETT: mean share of its layer’s output, over answers of both labels to the first question set.",
    "r base–instruct": "r base–instruct: correlation of its activations in both models on the same answers.",
    "frequency": "Frequency: share of half-samples that select the neuron.",
    "own AUROC": "Own AUROC: of its values alone, on training and validation answers.",
}
"""What columns mean, in the note below the table."""


def transfer(results: Results) -> ReportTable | None:
    """The probe on the base model."""
    return report_table(TransferResult, results["transfer"].records())


def drift(results: Results) -> ReportTable:
    """The H-Neurons' mean stability rank."""
    row = first(results["drift"])
    header = ("quantity", "value")
    if run_kind(results) == "drift":
        cells = facts(DriftResult, row, only=("share_identical", "rounding_floor"))
        return ReportTable("Parameter evolution", list_words(results), header, cells)
    note = f"{_sentence(row['reason'])} {power_sentence(drift_power_rows(results['power']))}".strip()
    return ReportTable("Parameter evolution", note, header, facts(DriftResult, row))


def overlap(results: Results) -> ReportTable:
    """The two independently found sets."""
    row = first(results["overlap"])
    note = f"{_sentence(row['reason'])} {power_sentence(power_rows(results['power'], 'overlap'))}".strip()
    return ReportTable("Overlap", note, ("quantity", "value"), facts(OverlapResult, row))


def funnel(results: Results) -> ReportTable | None:
    """Questions kept at each stage, and reasons for dropping."""
    records = results["funnel"].records()
    table = report_table(Funnel, records)
    if table is None:
        return None
    reasons: dict[tuple[Any, ...], list[str]] = {}
    for row in results["drops"].records():
        words = f"{row['reason']} {row['n_questions']}"
        reasons.setdefault((row["stage"], row["dataset"], row["split"]), []).append(words)
    dropped = (", ".join(reasons.get((row["stage"], row["dataset"], row["split"]), [])) or NOTHING for row in records)
    rows = [(*cells, words) for cells, words in zip(table.rows, dropped, strict=True)]
    return replace(table, header=(*table.header, "dropped"), rows=rows, text=(*table.text, len(table.header)))


def h_neurons(results: Results) -> ReportTable:
    """The H-Neurons, largest weight first; only columns with numbers."""
    records = results["h-neurons"].records()
    columns: dict[str, Callable[[Record], str]] = {
        "layer": lambda row: str(row["layer"]),
        "index": lambda row: str(row["neuron_index"]),
        "weight": lambda row: compact(row["probe_weight"]),
        "stability rank": lambda row: fixed(row["stability_rank"], 3),
        "Δ up": lambda row: compact(row["cosine_distance_up"]),
        "Δ down": lambda row: compact(row["cosine_distance_down"]),
        "CETT base": lambda row: compact(mean_activity(row, "base")),
        "CETT instruct": lambda row: compact(mean_activity(row, "instruct")),
        "r base–instruct": lambda row: fixed(row["activation_correlation"], 3),
        "also in base": lambda row: yes_or_no(row["is_base_h_neuron"]),
        "frequency": lambda row: fixed(row["selection_frequency"]),
        "own AUROC": lambda row: fixed(row["training_auroc"]),
    }
    cells = {title: [cell(row) for row in records[:H_NEURONS_SHOWN]] for title, cell in columns.items()}
    cells = {title: column for title, column in cells.items() if not records or set(column) != {NOTHING}}
    order = "largest probe weight first" if "weight" in cells else "by layer and index"
    note = f"All {len(records)} of them, {order}."
    if len(records) > H_NEURONS_SHOWN:
        what = "with the largest weights" if "weight" in cells else "first ones by layer and index"
        note = f"The {H_NEURONS_SHOWN} {what} of {len(records)}; all: provenance query h-neurons."
    note = " ".join([note, *(words for title, words in _H_NEURON_COLUMNS.items() if title in cells)])
    return ReportTable("H-Neurons", note, tuple(cells), list(zip(*cells.values(), strict=True)), ())


def mean_activity(row: Record, stage: Stage) -> float | None:
    """Mean CETT of a row of `h-neurons` in a model over both labels; of one where the other has no answers."""
    values = [row[f"{stage}_cett_{label}"] for label in LABELS]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def datasets(results: Results) -> ReportTable:
    """The run's question sets."""
    rows = [
        (row["name"], row["source"], row["digest"][:16], str(row["n_questions"]))
        for row in results["datasets"].records()
    ]
    return ReportTable("Question sets", "", ("name", "source", "digest", "questions"), rows, (0, 1, 2), (0, 1))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "." if words else ""
