"""The lineage figure: how far each kind of weights moved, layer by layer.

The one idea: each row is compared with its namesake, so that every matrix of the model has a
panel, whether or not anything is known about neurons.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from figures.layer_panels import MAX_COLUMNS, LayerChange, layer_panels
from provenance.cells import Record

MAX_PANELS = 12
MLP = ("gate", "up", "down")


def figure_lineage(rows: Sequence[Record], floor: float | None) -> Figure:
    """Draws one panel a kind of weights, on common axes.

    Args:
        rows: Of the query `lineage-tensors`.
        floor: The 1 - cosine that storage rounding alone can cause; None where it is not known.
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
