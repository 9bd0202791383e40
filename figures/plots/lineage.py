"""The lineage figure: 1 - cosine of each kind of weights, layer by layer.

Each row is compared with the row of the same tensor and index, so every matrix has a panel, without any knowledge of
neurons. Dozens of tensors are summarised by kind, with the range over layers, so that a frozen or a replaced kind
stands out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from provenance.cells import Record, compact, fixed
from provenance.db.reading.run_query import QueryResult
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.drawing.layer_panels import MAX_COLUMNS, LayerChange, layer_panels
from provenance.figures.tables.latex import Table
from provenance.figures.tables.lineage import BY_KIND, PERMUTED, RESIZED, _range, by_kind, kind_cells
from provenance.figures.wording.run_words import captioned, first, source

MAX_PANELS = 12
MLP = ("gate", "up", "down")


def figure_lineage(rows: Sequence[Record], floor: float | None) -> Figure:
    """Draw one panel per kind of weights, on common axes.

    Args:
        rows: Rows of the query `lineage-tensors`.
        floor: The 1 - cosine that storage rounding alone can cause; None if unknown.
    """
    changes = {
        kind: [_change(row) for row in rows if row["kind"] == kind and row["layer"] is not None]
        for kind in drawn_kinds(rows)
    }
    return layer_panels(changes, floor, per_row=MAX_COLUMNS)


def drawn_kinds(rows: Sequence[Record]) -> list[str]:
    """Kinds that have a panel: matrices in layers, the MLP's first."""
    found = dict.fromkeys(
        row["kind"]
        for row in rows
        if row["layer"] is not None and row["n_rows"] > 1 and row["cosine_median"] is not None
    )
    ordered = [kind for kind in MLP if kind in found] + [kind for kind in found if kind not in MLP]
    return ordered[:MAX_PANELS]


def _change(row: Record) -> LayerChange:
    least, median, most = (
        np.nan if row[name] is None else float(np.clip(1 - row[name], 0, 2))
        for name in ("cosine_high", "cosine_median", "cosine_low")
    )
    return LayerChange(row["layer"], least, median, most)


def caption_lineage(parts: Mapping[str, QueryResult]) -> list[str]:
    """Caption of the lineage figure: a description, then the numbers."""
    run, rows = first(parts["run"]), parts["tensors"].records()
    kinds = drawn_kinds(rows)
    lede = captioned(
        f"Weights of {run['instruct']} against those of {run['base']} by layer: 1 − cosine of each row (or MLP "
        "neuron) with its namesake.",
        *_place_words(parts),
        "Line: median row; band: 5th to 95th percentile; open points at 0: half the rows are the same.",
        floor_words(first(parts["drift"])),
        "Two unrelated models lie at about 1." if not _place_words(parts) else "",
    )
    left_out = [row["kind"] for row in by_kind(rows) if row["kind"] not in kinds]
    words = lede + [_kind_words(row) for row in by_kind(rows) if row["kind"] in kinds]
    if left_out:
        words.append(f"In the table only: {', '.join(left_out)}.")
    return [*words, _verdict_words(first(parts["lineage"])), f"Drawn from {source(parts)}."]


def _place_words(parts: Mapping[str, QueryResult]) -> Sequence[str]:
    """Meaning of rows of the same index where they are not the same neuron, and the reason for missing panels."""
    verdict, kinds = first(parts["lineage"])["verdict"], drawn_kinds(parts["tensors"].records())
    if verdict == PERMUTED:
        return (
            (
                "Rows are compared with the row of the same index, but the neurons of this pair were permuted: gate, "
                "up and down show the order; the drift, mapped by assignment, shows how far neurons moved."
            ),
        )
    if verdict == RESIZED and not set(MLP) & set(kinds):
        return (
            (
                "gate, up and down have no panels, since the two checkpoints have different numbers of neurons and "
                "rows of the same index are not the same neuron."
            ),
            "The drift of neurons, mapped by assignment, shows how far they moved.",
            "Other matrices whose shapes differ are compared in their common rows, or left out.",
        )
    if verdict == RESIZED:
        return ("Each layer is compared with the layer of the base that holds its neurons; others have no point.",)
    return ()


def floor_words(drift: Record) -> str:
    """Effect of storage rounding alone; empty if unknown."""
    if not drift or not drift["rounding_floor"]:
        return ""
    floor = compact(drift["rounding_floor"])
    return f"Rounding to the storage dtype alone can cause {floor} (dashed, where the axis reaches it)."


def _kind_words(row: Record) -> str:
    return (
        f"{row['kind']}: n = {row['n_rows']} rows in {row['tensors']} layers, median 1 − cosine "
        f"{compact(row['change'])}, over layers {_range(row)}; {fixed(row['share_identical'], 3)} of rows identical."
    )


def _verdict_words(lineage: Record) -> str:
    reason = f": {lineage['reason']}" if lineage["reason"] else ""
    return f"Lineage: {lineage['verdict']}{reason}."


def table_lineage(parts: Mapping[str, QueryResult]) -> Table:
    """The lineage figure as a table, including kinds without a panel."""
    run = first(parts["run"])
    caption = (
        f"Weights of {run['instruct']} against those of {run['base']} by kind: rows (neurons for gate, up and down), "
        "share of identical rows, and 1 − cosine of a layer’s median row: median and range over layers."
    )
    if first(parts["lineage"])["verdict"] in (PERMUTED, RESIZED):
        caption = f"{caption} {_place_words(parts)}"
    return Table(caption, BY_KIND, kind_cells(parts["tensors"].records()))


FIGURE = GalleryFigure(
    order=8,
    name="figure_lineage",
    title="How far did each kind of weights move?",
    data={"tensors": ("lineage-tensors", {}), "drift": ("drift", {})},
    ready=lambda parts: bool(drawn_kinds(parts["lineage-tensors"].records())),
    context=("run", "lineage", "lineage-tensors"),
    draw=lambda parts: figure_lineage(parts["tensors"].records(), first(parts["drift"]).get("rounding_floor") or None),
    caption=caption_lineage,
    table=table_lineage,
)
