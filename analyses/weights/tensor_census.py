"""Compares every tensor of a pair in one pass over blocks: identical bits, finite values, cosine per row or neuron."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Shaped

from provenance.analyses.results.lineage import TensorSimilarity
from provenance.analyses.weights.row_sums import RowSums, Widener, too_large
from provenance.analyses.weights.tensor_pairs import Pair, Part, Step
from provenance.analyses.weights.weight_source import WeightSource
from provenance.errors import NonFiniteError
from provenance.weights.tensors import Rows

PERCENTILES = (5, 50, 95)
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class PairComparison:
    """A pair of parts, compared."""

    pair: Pair
    identical: bool
    """Same dtype and bits."""
    equal: Bool[np.ndarray, " units"]
    """Whether each row (or neuron column) holds the same numbers in both."""
    cosine: Float64[np.ndarray, " units"]
    """Of each row or neuron column; NaN for whole numbers and for single numbers."""

    def similarity(self) -> TensorSimilarity:
        """Summary; NaN percentiles for tensors of whole numbers and for empty ones."""
        known = self.cosine.size > 0 and not np.isnan(self.cosine).any()
        low, median, high = np.percentile(self.cosine, PERCENTILES) if known else (np.nan,) * 3
        return TensorSimilarity(
            kind=self.pair.kind,
            layer=self.pair.layer,
            rows=int(self.equal.size),
            identical_rows=int(self.equal.sum()),
            cosine_low=float(low),
            cosine_median=float(median),
            cosine_high=float(high),
        )


class PairSums:
    """Running sums of a pair over its blocks."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self._identical = pair.whole
        self._numeric = True
        self._equal = np.ones(pair.base.units, dtype=bool)
        self._widen = {"base": Widener(), "instruct": Widener()}
        if pair.comparable:
            self._sums = RowSums.zeros(pair.base.units)
            self._squares = {"base": self._sums.aa, "instruct": self._sums.bb}
        else:
            alone = {"base": RowSums.zeros(pair.base.units), "instruct": RowSums.zeros(pair.instruct.units)}
            self._alone = alone
            self._squares = {side: sums.aa for side, sums in alone.items()}

    def add(self, step: Step, base: torch.Tensor | None, instruct: torch.Tensor | None) -> None:
        """Add a block of one or both sides; raises NonFiniteError on NaN, infinity, or numbers from 1e154 on."""
        if self.pair.comparable and base is not None and instruct is not None:
            self._compare(step, base, instruct)
            return
        for side, rows, block in (("base", step.base, base), ("instruct", step.instruct, instruct)):
            if rows is not None and block is not None:
                array = self._widen[side](_units(self._part(side), block))
                _add(self._alone[side], self._part(side), rows, array, array)
                self._check_finite(side, rows, block)

    def norms(self, side: str, rows: Rows | None = None) -> Float64[np.ndarray, " units"]:
        """L2 norms of one side's rows or neuron columns: all, or those of a block already added."""
        squares = self._squares[side]
        return np.asarray(np.sqrt(squares if rows is None else squares[_place(self._part(side), rows)]))

    def comparison(self) -> PairComparison:
        """The comparison after all blocks."""
        if not self._numeric:
            return PairComparison(self.pair, self._identical, self._equal, np.full(self._equal.size, np.nan))
        found = self._sums.compared()
        return PairComparison(self.pair, self._identical, found.equal, np.clip(1 - found.delta, -1, 1))

    def _compare(self, step: Step, base: torch.Tensor, instruct: torch.Tensor) -> None:
        self._identical = self._identical and same_bits(base, instruct)
        rows = step.base
        if rows is None or step.instruct is None:
            raise ValueError("a step that reads both sides names the rows of both")
        if not (base.dtype.is_floating_point and instruct.dtype.is_floating_point):
            self._numeric = False
            place = _place(self.pair.base, rows)
            alike = base == instruct if base.dtype == instruct.dtype else base.double() == instruct.double()
            same = alike.reshape(self._equal[place].size, -1).all(dim=1)
            self._equal[place] &= same.numpy()
            return
        ours, theirs = _units(self.pair.base, base), _units(self.pair.instruct, instruct)
        _add(self._sums, self.pair.base, rows, self._widen["base"](ours), self._widen["instruct"](theirs))
        self._check_finite("base", rows, base)
        self._check_finite("instruct", step.instruct, instruct)

    def _check_finite(self, side: str, rows: Rows, block: torch.Tensor) -> None:
        part = self._part(side)
        if not np.isfinite(self._squares[side][_place(part, rows)]).all():
            name = f"{part.name} of the {side} checkpoint"
            check_finite(block, name)
            # Whole numbers and one-byte floats are summed as float32; their squares fit.
            raise too_large(name, block.double().abs().amax().item())

    def _part(self, side: str) -> Part:
        return self.pair.base if side == "base" else self.pair.instruct


def _place(part: Part, rows: Rows) -> slice:
    if part.columns or len(part.shape) < 2:
        return slice(None)
    return slice(rows.start - part.start, rows.stop - part.start)


def _units(part: Part, block: torch.Tensor) -> torch.Tensor:
    """A block as a matrix; a vector is one unit, a column."""
    return block.reshape(-1, 1) if len(part.shape) < 2 else block.flatten(1)


def _add(
    sums: RowSums,
    part: Part,
    rows: Rows,
    a: Shaped[np.ndarray, "block columns"],
    b: Shaped[np.ndarray, "block columns"],
) -> None:
    if part.columns or len(part.shape) < 2:
        sums.add_columns(a, b)
    else:
        sums.add_rows(rows.start - part.start, a, b)


def compare_bare(pair: Pair, base: WeightSource, instruct: WeightSource) -> PairComparison:
    """Compare single numbers or empty tensors, which have no rows."""
    a, b = base.tensor(pair.base.name), instruct.tensor(pair.instruct.name)
    for tensor, name in ((a, f"{pair.base.name} of the base"), (b, f"{pair.instruct.name} of the instruct")):
        if tensor.numel() and tensor.dtype.is_floating_point:
            check_finite(tensor, f"{name} checkpoint")
    equal = a.reshape(-1) == b.reshape(-1)
    return PairComparison(pair, same_bits(a, b), equal.numpy(), np.full(equal.numel(), np.nan))


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Same dtype, shape and bits: -0.0 differs from 0.0, and a value from itself in another dtype."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    bits = _BITS[a.dtype.itemsize]
    return torch.equal(a.view(bits), b.view(bits))


def check_finite(block: torch.Tensor, name: str) -> None:
    """Raise NonFiniteError on NaN and infinity; diverged training or a damaged file is the usual cause."""
    # One-byte floats have no reductions. aminmax passes NaN on, and infinity is an extreme.
    low, high = torch.aminmax(block.float() if block.dtype.itemsize == 1 else block)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise NonFiniteError(
            f"finite weights in {name}",
            found=f"values from {low.item()} to {high.item()}",
            remedy="fetch the file again and check its digest; weights that are like this cannot be compared",
        )
