"""The drift figure: 1 - cosine of the neurons of each layer, by gate, up and down weights.

Each neuron is compared with its counterpart in the base, so the figure also holds where neurons were permuted or
pruned. It is drawn where rows of the same index do not match, or where only neurons were read; beside the lineage
figure of a plain pair it would repeat three panels.
"""

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
from matplotlib.figure import Figure

from provenance.cells import Record, compact
from provenance.db.reading.run_query import QueryResult
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.drawing.layer_panels import LayerChange, layer_panels
from provenance.figures.plots.lineage import MLP, drawn_kinds, floor_words
from provenance.figures.tables.latex import Table
from provenance.figures.wording.run_words import captioned, first, position_warning, problem_words, source

PER_ROW = 3


def figure_drift(rows: Sequence[Record], floor: float | None) -> Figure:
    """Draw one panel per kind of weights, on common axes.

    Args:
        rows: Rows of the query `drift-by-layer`.
        floor: The 1 - cosine that storage rounding alone can cause; None if unknown.
    """
    kinds = dict.fromkeys(row["kind"] for row in rows)
    changes = {kind: [_change(row) for row in rows if row["kind"] == kind] for kind in kinds}
    return layer_panels(changes, floor, per_row=PER_ROW)


def _change(row: Record) -> LayerChange:
    # Two almost equal rows can have a cosine a rounding error above 1.
    least, median, most = (float(np.clip(row[f"cosine_distance_{name}"], 0, 2)) for name in ("low", "median", "high"))
    return LayerChange(row["layer"], least, median, most)


Parts = Mapping[str, QueryResult]
_MAPPED = {
    "index": "the neuron of the same layer and index of the base",
    "assignment": "its counterpart in the base, found by its weights and matched one to one",
}


def moves_neurons(parts: Parts) -> bool:
    """Whether neurons were measured and the lineage figure has no panel for them."""
    shown = bool(set(MLP) & set(drawn_kinds(parts["lineage-tensors"].records())))
    mapped = first(parts["alignment"]).get("method") == "assignment"
    return bool(parts["drift"].rows) and (mapped or not shown)


def caption_drift(parts: Parts) -> list[str]:
    """Caption of the drift figure: a description, then the numbers."""
    run, alignment = first(parts["run"]), first(parts["alignment"])
    mapped = _MAPPED.get(alignment.get("method", "index"), "its counterpart in the base")
    lede = captioned(
        f"Drift of the neurons of {run['instruct']} from {run['base']} by layer: 1 − cosine of each neuron’s weights "
        f"with those of {mapped}.",
        position_warning(parts),
        _unmapped_words(alignment),
        "Line: median neuron; band: 5th to 95th percentile; open points at 0: no change.",
        floor_words(first(parts["drift"])),
    )
    words = [_kind_words(kind, rows) for kind, rows in _by_kind(parts).items()]
    return [*lede, *words, f"Drawn from {source(parts)}."]


def _unmapped_words(alignment: Record) -> str:
    missing = alignment.get("n_unmapped", 0)
    return f"{missing} neurons have no counterpart and are left out." if missing else ""


def _by_kind(parts: Parts) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for row in parts["layers"].records():
        found.setdefault(row["kind"], []).append(row)
    return found


def _summed(rows: list[Record]) -> tuple[int, str, str]:
    """Neurons, 1 - cosine of the middle layer's median neuron, and its range over layers."""
    medians = [max(0.0, row["cosine_distance_median"]) for row in rows]
    over = f"[{compact(min(medians))}, {compact(max(medians))}]"
    return sum(row["neurons"] for row in rows), compact(median(medians)), over


def _kind_words(kind: str, rows: list[Record]) -> str:
    neurons, middle, over = _summed(rows)
    return f"{kind}: n = {neurons} neurons in {len(rows)} layers, median 1 − cosine {middle}, over layers {over}."


def table_drift(parts: Parts) -> Table:
    """The drift figure as a table."""
    run = first(parts["run"])
    caption = (
        f"Drift of the neurons of {run['instruct']} from {run['base']}: 1 − cosine of a layer’s median neuron, median "
        "and range over layers."
    )
    rows = [
        (kind, str(neurons), str(len(part)), middle, over)
        for kind, part in _by_kind(parts).items()
        for neurons, middle, over in [_summed(part)]
    ]
    header = ("kind", "neurons", "layers", "1 − cos, median layer", "over layers")
    return Table(" ".join(part for part in (caption, problem_words(parts)) if part), header, rows)


FIGURE = GalleryFigure(
    order=9,
    name="figure_drift",
    title="How far did neurons move?",
    data={"layers": ("drift-by-layer", {}), "drift": ("drift", {})},
    ready=moves_neurons,
    context=("run", "neuron-list", "alignment", "lineage-tensors", "drift"),
    draw=lambda parts: figure_drift(parts["layers"].records(), first(parts["drift"]).get("rounding_floor") or None),
    caption=caption_drift,
    table=table_drift,
)
