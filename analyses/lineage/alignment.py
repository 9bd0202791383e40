"""Maps each neuron of the instruct checkpoint to its counterpart in the base.

Tuning keeps indices, so index j is neuron j unless lineage found neurons elsewhere. In such layers neurons are paired
so that the sum of cosines is highest, and pairs below the chance threshold stay unmapped.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from provenance.analyses.results.lineage import Alignment, LineageResult
from provenance.analyses.weights.by_layers import ByLayers, Here
from provenance.analyses.weights.joined_cosines import layer_cosines, related_cosine
from provenance.analyses.weights.weight_source import WeightSource

# More neurons than this with the same direction cannot be told apart, and need not be.
CANDIDATES = 64


def align(base: WeightSource, instruct: WeightSource, lineage: LineageResult, who: ByLayers | None = None) -> Alignment:
    """Map every neuron of the instruct checkpoint to its neuron in the base, one-to-one.

    By index for the same model, and for descendants except in layers with neurons at other indices; by assignment there
    and for pruned and widened checkpoints. Layers whose neurons lineage did not find are unmapped. For unrelated
    checkpoints: the same layer and index where the base has it, with the reason why that means nothing. If a widened
    checkpoint holds exact copies of a neuron, one arbitrary copy is mapped. `who` assigns the layers, by default this
    process.
    """
    reason = misalignment(lineage)
    if lineage.verdict == "same model" or reason:
        return Alignment("index", _by_index(base, instruct), reason)
    resized = lineage.verdict not in {"descendant", "descendant, neurons permuted"}
    ids = _by_index(base, instruct).reshape(instruct.layers, instruct.d_m)
    ids[[layer for layer, at in enumerate(lineage.layer_of) if at is None]] = -1
    elsewhere = [
        layer
        for layer, (at, moved) in enumerate(zip(lineage.layer_of, lineage.moved, strict=True))
        if at is not None and (resized or moved)
    ]
    if elsewhere:
        work = partial(_assigned, {layer: at for layer, at in enumerate(lineage.layer_of) if at is not None})
        ids[elsewhere] = np.concatenate(list((who or Here(base, instruct)).each(work, elsewhere, at_once=False)))
    return Alignment("assignment" if resized or elsewhere else "index", ids.ravel(), "")


def _assigned(
    layer_of: Mapping[int, int], base: WeightSource, instruct: WeightSource, layers: Sequence[int]
) -> Int[np.ndarray, "layers d_m"]:
    """Flat ids in the base of the neurons of some layers; -1 without a counterpart."""
    assigned = np.stack([assign_layer(base, layer_of[layer], instruct, layer) for layer in layers])
    starts = np.array([[layer_of[layer] * base.d_m] for layer in layers])
    return np.where(assigned < 0, -1, starts + assigned)


def misalignment(lineage: LineageResult) -> str:
    """Why the neurons of unrelated checkpoints have no counterparts; empty if lineage supports a mapping."""
    if lineage.verdict != "unrelated":
        return ""
    return f"the two checkpoints are not related by their weights ({lineage.reason})"


def _by_index(base: WeightSource, instruct: WeightSource) -> Int[np.ndarray, " neurons"]:
    """The same layer and index in the base; -1 if absent or if neurons cannot be compared."""
    layers, index = np.divmod(np.arange(instruct.layers * instruct.d_m), instruct.d_m)
    there = (layers < base.layers) & (index < base.d_m) & ((base.d, base.kinds) == (instruct.d, instruct.kinds))
    return np.where(there, layers * base.d_m + index, -1)


def assign_layer(base: WeightSource, base_layer: int, instruct: WeightSource, layer: int) -> Int[np.ndarray, " d_m"]:
    """Index in the base's layer of each neuron of the instruct checkpoint's layer; -1 without a counterpart."""
    threshold = related_cosine(len(base.kinds), base.d, base.d_m)
    ids = np.arange(instruct.d_m)
    found: list[tuple[np.ndarray, ...]] = []
    for part, table in layer_cosines(base, base_layer, instruct, layer, ids):
        rows, columns = candidates(table, threshold)
        found.append((rows + part.start, columns, table[rows, columns].astype(np.float64) - threshold))
    rows, columns, gains = (np.concatenate(column) for column in zip(*found, strict=True))
    return best_assignment(rows, columns, gains, instruct.d_m, base.d_m)


def candidates(
    table: Float[np.ndarray, "rows columns"], threshold: float
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Pairs above the threshold, for each row at most the best 64."""
    above = table > threshold
    for row in np.flatnonzero(above.sum(axis=1) > CANDIDATES):
        best = np.argpartition(-table[row], CANDIDATES)[:CANDIDATES]
        above[row] = False
        above[row, best] = True
    rows, columns = np.nonzero(above)
    return rows, columns


def best_assignment(
    rows: Int[np.ndarray, " pairs"],
    columns: Int[np.ndarray, " pairs"],
    gains: Float[np.ndarray, " pairs"],
    n_rows: int,
    n_columns: int,
) -> Int[np.ndarray, " rows"]:
    """Column of each row (-1 for none), one-to-one, so that the sum of the positive gains is highest.

    Candidates fall into groups that share no row and no column; each is solved exactly. Choice: the gain of a pair is
    its cosine minus the threshold; with the cosine itself, two weak pairs would outweigh one certain pair and a neuron
    without a counterpart.
    """
    edges = coo_array((np.ones(rows.size), (rows, n_rows + columns)), shape=(n_rows + n_columns,) * 2)
    _, group_of = connected_components(edges, directed=False)
    by_group = np.argsort(group_of[rows], kind="stable")
    ends = np.flatnonzero(np.diff(group_of[rows][by_group])) + 1
    assigned = np.full(n_rows, -1, dtype=np.int64)
    for group in np.split(by_group, ends):
        chosen = group if group.size == 1 else group[_solve(rows[group], columns[group], gains[group])]
        assigned[rows[chosen]] = columns[chosen]
    return assigned


def _solve(
    rows: Int[np.ndarray, " pairs"], columns: Int[np.ndarray, " pairs"], gains: Float[np.ndarray, " pairs"]
) -> Int[np.ndarray, " chosen"]:
    row_ids, row_at = np.unique(rows, return_inverse=True)
    column_ids, column_at = np.unique(columns, return_inverse=True)
    gain = np.zeros((row_ids.size, column_ids.size))
    pair_at = np.full(gain.shape, -1)
    gain[row_at, column_at] = gains
    pair_at[row_at, column_at] = np.arange(rows.size)
    # Pairs that are no candidates gain nothing and are dropped, so a row may stay without a column.
    chosen = pair_at[linear_sum_assignment(gain, maximize=True)]
    return chosen[chosen >= 0]
