"""The report's table of single H-Neurons."""

from provenance.analyses.results.cards import NeuronAnswer, NeuronVocabulary
from provenance.cells import Record, compact, fixed
from provenance.figures.tables.result_tables import ReportTable, Results
from provenance.figures.wording.run_words import concept_of
from provenance.table_declaration import declared

CARDS_SHOWN = 50
_SHARED = ("promotes", "suppresses", "null space (rank in layer)")
"""Columns of the declared table that this one has too."""


def cards(results: Results) -> ReportTable | None:
    """Activity, tokens and strongest answers of the H-Neurons in both models; None if no tokens were kept."""
    records = [row for row in results["neuron-card"].records() if row["promotes"] is not None]
    if not records:
        return None
    said = _answers(results)
    neurons = list(dict.fromkeys(_place(row) for row in records))
    shown = set(neurons[:CARDS_SHOWN])
    rows = [(*_cells(row), said.get((row["stage"], _place(row)), "")) for row in records if _place(row) in shown]
    header = ("neuron", "model", "mean CETT f, h", "AUROC", *_SHARED, "most active on (label, mean CETT)")
    return ReportTable("H-Neurons, one by one", _note(records, len(neurons)), header, rows, (1, 4, 5, 7), (4, 5, 7))


def _place(row: Record) -> str:
    return f"{row['layer']}:{row['neuron_index']}"


def _cells(row: Record) -> tuple[str, ...]:
    said = {column.name: column.cell(row) for column in declared(NeuronVocabulary).columns if column.label in _SHARED}
    tokens = (row["reason"], "") if row["reason"] else (said["promotes"], said["suppresses"])
    means = f"{compact(row['mean_faithful'])}, {compact(row['mean_hallucinated'])}"
    return _place(row), row["stage"], means, fixed(row["auroc"]), *tokens, said["null_share"]


def _answers(results: Results) -> dict[tuple[str, str], str]:
    """Answers of each model and neuron, a line each."""
    column = next(each for each in declared(NeuronAnswer).columns if each.name == "answer")
    lines: dict[tuple[str, str], list[str]] = {}
    concept = concept_of(results)
    for row in results["neuron-answers"].records():
        said = column.cell(row | {"label": concept.worded(row["label"])})
        lines.setdefault((row["stage"], _place(row)), []).append(said)
    return {key: "\n".join(cells) for key, cells in lines.items()}


def _note(records: list[Record], neurons: int) -> str:
    about = (
        "Neurons as LAYER:INDEX, largest weight first; all about one: provenance neurons show LAYER:INDEX. "
        f"Mean CETT on faithful and hallucinated held-out answers to {records[0]['dataset']}, and AUROC by it."
    )
    of_answers = declared(NeuronAnswer).note
    words = [about, declared(NeuronVocabulary).note, f"Most active: {of_answers[:1].lower()}{of_answers[1:]}"]
    if neurons > CARDS_SHOWN:
        words.append(f"The first {CARDS_SHOWN} of {neurons}; all: provenance query neuron-card.")
    return " ".join(words)
