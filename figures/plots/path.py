"""The path figure in words: condition for drawing, caption, and table; the chosen point beside the range over all C."""

from provenance.analyses.results.probes import CurvePoint
from provenance.cells import NOTHING, Record, compact, fixed, interval
from provenance.db.reading.run_query import QueryResult
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.drawing.path_panels import (
    MAX_PANELS,
    STAGE,
    drawn_sets,
    figure_path,
    left_out,
    of_probe,
    random_levels,
)
from provenance.figures.tables.latex import Table
from provenance.figures.tables.result_tables import latex_table
from provenance.figures.wording.run_words import Parts, captioned, first, has_power, power_words, source
from provenance.words import rule_words


def has_path(parts: Parts) -> bool:
    """Whether the run has a curve on a question set with both classes."""
    return bool(drawn_sets(parts["probe-curve"].records()))


def caption_path(parts: Parts) -> list[str]:
    """Caption of the path figure: a description, then the numbers."""
    run, rows = first(parts["run"]), parts["curve"].records()
    probe = _probe(parts["probes"])
    drawn = [row for row in of_probe(rows) if row["dataset"] in drawn_sets(rows)]
    triangles = f"Triangles: AUROC on the answers of {run['base']}."
    return [
        *captioned(
            f"The probe of {run['instruct']} at every C of its path (above), with k H-Neurons (below).",
            "Circles: AUROC, squares: accuracy on its own held-out answers, with 95 % interval by question.",
            triangles if any(row["transfer"] is not None for row in drawn) else "",
            _chosen_words(drawn, probe),
            _level_words(parts, probe),
            "The path ends where a probe separates all its training rows.",
        ),
        *(_set_words(name, parts) for name in drawn_sets(rows)),
        *_left_out_words(rows),
        f"Drawn from {source(parts)}.",
    ]


def _probe(probes: QueryResult) -> Record:
    return next((row for row in probes.records() if row["stage"] == STAGE), {})


def _chosen_words(drawn: list[Record], probe: Record) -> str:
    if not any(row["is_chosen"] for row in drawn):
        return ""
    words = rule_words(probe.get("rule"), probe.get("source"))
    return f"Vertical line: the C that was chosen: {words}." if words else "Vertical line: the C that was chosen."


def _level_words(parts: Parts, probe: Record) -> str:
    rows = parts["baselines"].records()
    if not set(random_levels(rows)) & set(drawn_sets(parts["curve"].records())):
        return ""
    draws = max(row["n_draws"] for row in of_probe(rows) if row["kind"] == "random")
    return (
        f"Dotted: mean AUROC of {draws} probes on as many random neurons as the chosen probe has weights "
        f"({probe.get('n_neurons', 0)})."
    )


def _set_words(name: str, parts: Parts) -> str:
    """One question set: n, the chosen point, and the range over the path."""
    rows = [row for row in of_probe(parts["curve"].records()) if row["dataset"] == name]
    held = next((row for row in of_probe(parts["identification"].records()) if row["dataset"] == name), None)
    words = [name + (f": n = {_counts(held)}" if held else "")]
    for row in rows:
        if row["is_chosen"]:
            words.append(
                f"at the chosen C = {compact(row['c'])}, k = {row['n_positive']}: AUROC {interval(row, 'auroc')}"
            )
            words.append(f"accuracy {interval(row, 'accuracy')}")
    words.append(f"over {len(rows)} C, k from {_range([row['n_positive'] for row in rows], 0)}: AUROC "
                 f"{_range([row['auroc'] for row in rows])}")  # fmt: skip
    return "; ".join([*words, _transfer_words(name, rows, parts)]) + "."


def _counts(row: Record) -> str:
    return f"{row['n_faithful']} faithful + {row['n_hallucinated']} hallucinated"


def _transfer_words(name: str, rows: list[Record], parts: Parts) -> str:
    """The same on the base model's answers, or the reason why it is missing."""
    about = next((row for row in parts["transfer"].records() if row["dataset"] == name), None)
    if about is not None and not has_power(about):
        return f"on the base model’s answers {power_words(about)}"
    if all(row["transfer"] is None for row in rows):
        return "on the base model’s answers nothing was computed"
    chosen = next((f"{interval(row, 'transfer')}, " for row in rows if row["is_chosen"]), "")
    n = f"n = {_counts(about)}, " if about else ""
    return f"on the base model’s answers {n}AUROC {chosen}over all C {_range([row['transfer'] for row in rows])}"


def _range(values: list[float | None], digits: int = 2) -> str:
    known = [value for value in values if value is not None]
    return f"{fixed(float(min(known)), digits)} to {fixed(float(max(known)), digits)}" if known else NOTHING


def _left_out_words(rows: list[Record]) -> list[str]:
    more, missing = left_out(rows)
    words = []
    if more:
        sets = "set has" if more == 1 else "sets have"
        words.append(f"{more} more question {sets} no panel (at most {MAX_PANELS}); see the table.")
    if missing:
        words.append(f"Left out, since a class is missing: {', '.join(missing)}.")
    return words


def table_path(parts: Parts) -> Table:
    """The path figure as a table, including question sets without a panel."""
    run, probe = first(parts["run"]), _probe(parts["probes"])
    words = rule_words(probe.get("rule"), probe.get("source"))
    caption = (
        f"The probe of {run['instruct']} at every C of its path, fitted on all training rows: H-Neurons (k), accuracy "
        f"and AUROC on its own held-out answers, and AUROC of the same weights on the answers of {run['base']}, each "
        f"with its 95 % interval by question.{f' An asterisk marks the chosen C: {words}.' if words else ''}"
    )
    silent = {row["dataset"] for row in parts["transfer"].records() if not has_power(row)}
    rows = [
        row | ({"transfer": None} if row["dataset"] in silent else {}) for row in of_probe(parts["curve"].records())
    ]
    return latex_table(CurvePoint, rows, caption, ("dataset", "C", "positive", "accuracy", "auroc", "transfer"))


FIGURE = GalleryFigure(
    order=7,
    name="figure_path",
    title="Does anything hang on one C?",
    data={"curve": ("probe-curve", {}), "baselines": ("baselines", {})},
    ready=has_path,
    context=("run", "probes", "identification", "transfer", "probe-curve"),
    draw=lambda parts: figure_path(parts["curve"].records(), parts["baselines"].records(), parts["transfer"].records()),
    caption=caption_path,
    table=table_path,
)
