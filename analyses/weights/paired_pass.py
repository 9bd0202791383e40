"""Compares every neuron of a pair of checkpoints in one pass over both.

Both are streamed side by side in planned blocks, so memory holds one block of each and a few numbers per neuron. Only
neurons that were scaled and hardly turned, which sums cannot resolve, are read a second time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int

from provenance.analyses.weights.by_layers import ByLayers, Here
from provenance.analyses.weights.row_sums import RowComparison, RowSums, Widener, check_finite, compare_rows, unit_gaps
from provenance.analyses.weights.weight_source import WeightSource
from provenance.architectures import NeuronSlice
from provenance.checkpoints.headers import TORCH_DTYPES
from provenance.weights.tensors import Rows

BLOCK_BYTES = 2**21  # large enough to outweigh the overhead of a block, small enough for the cache
ROW_GROUP = 8  # blocks of columns are summed in groups of so many rows
GATHERED = 1024  # mapped neurons whose weights are copied side by side at a time


@dataclass(frozen=True)
class _Projection:
    """One kind of weight of one layer, on both sides."""

    kind: str
    """`gate`, `up` or `down`."""
    layer: int
    base: NeuronSlice
    """Place in the base."""
    instruct: NeuronSlice
    """Place in the instruct checkpoint."""
    step: int
    """Rows of a block."""

    @property
    def columns(self) -> bool:
        """Whether neurons are columns."""
        return self.base.neurons == "columns"

    @property
    def alike(self) -> bool:
        """Whether both sides store neurons the same way."""
        return self.base.neurons == self.instruct.neurons

    @property
    def rows(self) -> int:
        """Rows on either side."""
        return self.base.stop - self.base.start

    @property
    def names(self) -> tuple[str, str]:
        """Names of the two sides in errors."""
        return _names(self.kind, self.layer)

    def blocks(self) -> list["_Block"]:
        """All of its rows, in order."""
        return [_Block(self, start, min(start + self.step, self.rows)) for start in range(0, self.rows, self.step)]


@dataclass(frozen=True, slots=True)  # there are hundreds of thousands in a large model
class _Block:
    """Some rows of a projection."""

    projection: _Projection
    start: int
    """First row within the projection."""
    stop: int
    """End row (exclusive)."""

    def of(self, place: NeuronSlice) -> Rows:
        """The rows as one side stores them."""
        return Rows(place.name, place.start + self.start, place.start + self.stop)


def compare_neurons(
    base: WeightSource, instruct: WeightSource, who: ByLayers | None = None
) -> dict[str, RowComparison]:
    """Compare neuron j of each layer with neuron j of the same layer, streamed; by kind, all D neurons layer by layer.

    Shapes must agree; dtype, order and number of files may differ. `who` reads the layers, without effect on the
    numbers; by default one stream here.

    Raises:
        NonFiniteError: A weight is NaN or infinite; the message names projection and checkpoint.
    """
    return _joined((who or Here(base, instruct)).each(_compared, range(base.layers), at_once=True))


def _compared(base: WeightSource, instruct: WeightSource, layers: Sequence[int]) -> dict[str, RowComparison]:
    """Some layers, by kind."""
    run = _Pass(base, instruct, layers)
    run.follow([_projection(base, instruct, kind, layer) for layer in layers for kind in base.kinds])
    return run.found


def _joined(parts: Iterable[dict[str, RowComparison]]) -> dict[str, RowComparison]:
    found: dict[str, list[RowComparison]] = {}
    for part in parts:
        for kind, rows in part.items():
            found.setdefault(kind, []).append(rows)
    return {kind: RowComparison.joined(rows) for kind, rows in found.items()}


def _projection(base: WeightSource, instruct: WeightSource, kind: str, layer: int) -> _Projection:
    places = (base.slice(kind, layer), instruct.slice(kind, layer))
    row_bytes = max(
        source.shape(place.name)[1] * TORCH_DTYPES[source.dtype_of(place.name)].itemsize
        for source, place in zip((base, instruct), places, strict=True)
    )
    step = max(1, BLOCK_BYTES // row_bytes)
    return _Projection(kind, layer, *places, step - step % ROW_GROUP if step > ROW_GROUP else step)


def _names(kind: str, layer: int) -> tuple[str, str]:
    place = f"the {kind} weights of layer {layer}"
    return f"{place} (base checkpoint)", f"{place} (instruct checkpoint)"


class _Pass:
    """Both checkpoints, and the results so far of some layers."""

    def __init__(self, base: WeightSource, instruct: WeightSource, layers: Sequence[int]) -> None:
        self.base = base
        self.instruct = instruct
        self.found = {kind: RowComparison.unknown(len(layers) * base.d_m) for kind in base.kinds}
        self._at = {layer: at * base.d_m for at, layer in enumerate(layers)}

    def follow(self, plan: Sequence[_Projection]) -> None:
        """Compare some projections: one by one if the sides store them differently, else in one stream."""
        cancelled = {}
        for part, sums in self._summed([part for part in plan if part.alike]):
            self._table(part).put(slice(None), sums.compared())
            ids = np.flatnonzero(sums.cancelled())
            if ids.size:
                cancelled[part] = ids
        self._compare_again(cancelled)
        for part in plan:
            if not part.alike:
                sides = (source.neurons(part.kind, part.layer) for source in (self.base, self.instruct))
                self._table(part).put(slice(None), compare_rows(*sides, names=part.names))

    def _table(self, part: _Projection) -> RowComparison:
        start = self._at[part.layer]
        return self.found[part.kind].rows(start, start + self.base.d_m)

    def _summed(self, plan: Sequence[_Projection]) -> Iterator[tuple[_Projection, RowSums]]:
        sums, wide_a, wide_b = RowSums.zeros(0), Widener(), Widener()
        for block, a, b in self._side_by_side([block for part in plan for block in part.blocks()]):
            part = block.projection
            if block.start == 0:
                sums = RowSums.zeros(self.base.d_m)
            if part.columns:
                sums.add_columns(wide_a(a), wide_b(b))
            else:
                sums.add_rows(block.start, wide_a(a), wide_b(b))
            if block.stop == part.rows:
                sides = ((self.base, sums.aa), (self.instruct, sums.bb))
                for (source, squares), name in zip(sides, part.names, strict=True):
                    check_finite(squares, name, partial(source.neurons, part.kind, part.layer))
                yield part, sums

    def _compare_again(self, cancelled: Mapping[_Projection, Int[np.ndarray, " ids"]]) -> None:
        """Compare by definition the neurons that the sums could not resolve; columns need every block."""
        holding = [
            block
            for part, ids in cancelled.items()
            for block in part.blocks()
            if part.columns or ((ids >= block.start) & (ids < block.stop)).any()
        ]
        for block, a, b in self._side_by_side(holding):
            part, table, ids = block.projection, self._table(block.projection), cancelled[block.projection]
            if part.columns:
                piece = unit_gaps(a[:, ids], b[:, ids], table.norm_a[ids], table.norm_b[ids])
                table.delta[ids] = piece + (table.delta[ids] if block.start else 0.0)
            else:
                here = ids[(ids >= block.start) & (ids < block.stop)]
                inside = here - block.start
                table.delta[here] = compare_rows(a[inside], b[inside], names=part.names).delta

    def _side_by_side(self, blocks: Sequence[_Block]) -> Iterator[tuple[_Block, torch.Tensor, torch.Tensor]]:
        """Both checkpoints in the order of the blocks; tensors are valid until the next block is requested."""
        ours = self.base.stream([block.of(block.projection.base) for block in blocks])
        theirs = self.instruct.stream([block.of(block.projection.instruct) for block in blocks])
        return zip(blocks, ours, theirs, strict=True)


def compare_mapped(
    base: WeightSource, instruct: WeightSource, base_ids: Int[np.ndarray, " neurons"], who: ByLayers | None = None
) -> dict[str, RowComparison]:
    """Compare each neuron of the instruct checkpoint with its counterpart, by kind; NaN and not equal without one.

    Reads whole tensors; width and kinds must agree, layers and neurons may differ. `base_ids`: flat base ids, -1: none.
    `who` reads the layers of the instruct checkpoint, by default this process.

    Raises:
        NonFiniteError: A compared weight is NaN or infinite.
    """
    layers = [(layer, base_ids[layer * instruct.d_m : (layer + 1) * instruct.d_m]) for layer in range(instruct.layers)]
    return _joined((who or Here(base, instruct)).each(_compared_mapped, layers, at_once=False))


def _compared_mapped(
    base: WeightSource, instruct: WeightSource, layers: Sequence[tuple[int, Int[np.ndarray, " d_m"]]]
) -> dict[str, RowComparison]:
    """Some layers, each with the flat base ids of its neurons, by kind."""
    d_m = instruct.d_m
    found = {kind: RowComparison.unknown(len(layers) * d_m) for kind in instruct.kinds}
    for at, (layer, ids) in enumerate(layers):
        for kind in instruct.kinds if (ids >= 0).any() else ():
            table = found[kind].rows(at * d_m, (at + 1) * d_m)
            _compare_gathered(base, instruct.neurons(kind, layer), ids, table, (kind, layer))
    return found


def _compare_gathered(
    base: WeightSource,
    weights: Float[torch.Tensor, "d_m d"],
    ids: Int[np.ndarray, " d_m"],
    table: RowComparison,
    place: tuple[str, int],
) -> None:
    kind, _ = place
    mapped = np.flatnonzero(ids >= 0)
    layer_of = ids[mapped] // base.d_m
    for base_layer in np.unique(layer_of).tolist():
        source = base.neurons(kind, base_layer)
        here = mapped[layer_of == base_layer]
        for some in np.array_split(here, -(-here.size // GATHERED)):
            rows_a, rows_b = source[ids[some] % base.d_m], weights[some]
            table.put(some, compare_rows(rows_a, rows_b, names=(_names(kind, base_layer)[0], _names(*place)[1])))
