"""The drift figure: how far the neurons of each layer moved, by gate, up and down weights.

The one idea: each neuron is compared with its counterpart in the base, wherever that is, so the
figure also holds where neurons were permuted or pruned and rows of the same index mean nothing.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from figures.layer_panels import LayerChange, layer_panels
from provenance.cells import Record

PER_ROW = 3


def figure_drift(rows: Sequence[Record], floor: float | None) -> Figure:
    """Draws one panel a kind of weights, on common axes.

    Args:
        rows: Of the query `drift-by-layer`.
        floor: The 1 - cosine that storage rounding alone can cause; None where it is not known.
    """
    kinds = dict.fromkeys(row["kind"] for row in rows)
    changes = {kind: [_change(row) for row in rows if row["kind"] == kind] for kind in kinds}
    return layer_panels(changes, floor, per_row=PER_ROW)


def _change(row: Record) -> LayerChange:
    # Two almost equal rows can have a cosine a rounding error above 1.
    least, median, most = (float(np.clip(row[f"delta_{name}"], 0, 2)) for name in ("low", "median", "high"))
    return LayerChange(row["layer"], least, median, most)
