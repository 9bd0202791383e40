"""Distances of corresponding neurons of two weight matrices: in one pass, and by definition.

Sums of differences go block by block, exact where rows differ in direction; elsewhere `compare_rows`, slow, decides.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Shaped

from provenance.errors import NonFiniteError

BLOCK_ELEMENTS = 2**18  # 2 MB in float64: stays in cache, whatever the size of the tensor
_FIELDS = ("delta", "norm_a", "norm_b", "equal")
CANCELLED = 1e-4  # share of |a - b|^2 below which too few digits of the rotation are left


@dataclass(frozen=True)
class RowComparison:
    """Two matrices compared row by row."""

    delta: Float64[np.ndarray, " rows"]
    """1 - cos of the angle between the rows."""
    norm_a: Float64[np.ndarray, " rows"]
    """L2 norm of the first matrix's rows."""
    norm_b: Float64[np.ndarray, " rows"]
    """L2 norm of the second matrix's rows."""
    equal: Bool[np.ndarray, " rows"]
    """Whether every weight of the row is the same number in both."""

    @classmethod
    def unknown(cls, rows: int) -> "RowComparison":
        """Rows that were not compared: NaN, and not equal."""
        delta, norm_a, norm_b = np.full((3, rows), np.nan)
        return cls(delta, norm_a, norm_b, np.zeros(rows, dtype=bool))

    @classmethod
    def joined(cls, parts: Sequence["RowComparison"]) -> "RowComparison":
        """The rows of some comparisons, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS))

    def rows(self, start: int, stop: int) -> "RowComparison":
        """A view of some of the rows."""
        part = slice(start, stop)
        return RowComparison(self.delta[part], self.norm_a[part], self.norm_b[part], self.equal[part])

    def put(self, place: slice | Int[np.ndarray, " places"], part: "RowComparison") -> None:
        """Fill in some rows, in place."""
        self.delta[place], self.norm_a[place] = part.delta, part.norm_a
        self.norm_b[place], self.equal[place] = part.norm_b, part.equal


@dataclass(frozen=True)
class RowSums:
    """Sums over the weights a and b of corresponding neurons, float64, added up in place."""

    aa: Float64[np.ndarray, " neurons"]
    """Sum of a^2."""
    bb: Float64[np.ndarray, " neurons"]
    """Sum of b^2."""
    dd: Float64[np.ndarray, " neurons"]
    """Sum of (a - b)^2."""
    ds: Float64[np.ndarray, " neurons"]
    """Sum of (a - b) (a + b)."""

    @classmethod
    def zeros(cls, neurons: int) -> "RowSums":
        """Before the first block."""
        return cls(*np.zeros((4, neurons)))

    def add_rows(self, first: int, a: Shaped[np.ndarray, "block d"], b: Shaped[np.ndarray, "block d"]) -> None:
        """Add whole weights, one neuron a row, starting with neuron `first`; in the form of `Widener`."""
        from provenance.analyses.weights.row_kernels import sum_rows

        sum_rows(a, b, first, self.aa, self.bb, self.dd, self.ds)

    def add_columns(self, a: Shaped[np.ndarray, "block neurons"], b: Shaped[np.ndarray, "block neurons"]) -> None:
        """Add one or more weights of each neuron, one neuron a column."""
        from provenance.analyses.weights.row_kernels import sum_columns

        sum_columns(a, b, self.aa, self.bb, self.dd, self.ds)

    def compared(self) -> RowComparison:
        """The comparison from the sums.

            |b| - |a| = -ds / (|a| + |b|),   1 - cos = (dd - (|a| - |b|)^2) / (2 |a| |b|)

        Weights are subtracted before squaring, so a small angle costs no digits, except beside a far larger change of
        length: see `cancelled`. Zero rows as in `compare_rows`. Equal where dd = 0, so differences below 1e-162, whose
        squares are zero in float64, do not count.
        """
        norm_a, norm_b = np.sqrt(self.aa), np.sqrt(self.bb)
        gap, product = self._turned(norm_a, norm_b), norm_a * norm_b
        delta = np.where((norm_a == 0) != (norm_b == 0), 1.0, 0.0)
        np.divide(gap, 2 * product, out=delta, where=product > 0)
        return RowComparison(delta, norm_a, norm_b, self.dd == 0)

    def cancelled(self) -> Bool[np.ndarray, " neurons"]:
        """Neurons that were scaled and hardly turned: their delta needs unit vectors."""
        norm_a, norm_b = np.sqrt(self.aa), np.sqrt(self.bb)
        hardly = self._turned(norm_a, norm_b) < CANCELLED * self.dd
        return np.asarray(hardly & (norm_a > 0) & (norm_b > 0))

    def _turned(
        self, norm_a: Float64[np.ndarray, " neurons"], norm_b: Float64[np.ndarray, " neurons"]
    ) -> Float64[np.ndarray, " neurons"]:
        """|a - b|^2 minus the part from the change of length."""
        length = np.divide(self.ds, norm_a + norm_b, out=np.zeros_like(self.ds), where=norm_a + norm_b > 0)
        return np.asarray(np.maximum(self.dd - length**2, 0.0))


def check_finite(
    norms: Shaped[np.ndarray, " rows"], name: str, weights: Callable[[], Float[torch.Tensor, "..."]]
) -> None:
    """Refuse a matrix with a non-finite row norm or square; `weights` gives the matrix, to find the cause.

    Raises:
        NonFiniteError: NaN or infinity (diverged training, a damaged shard); or float64 squares too large to add up.
    """
    wrong = int(norms.size - np.isfinite(norms).sum())
    if wrong:
        largest = weights().double().abs().amax().item()
        if math.isfinite(largest):
            raise too_large(name, largest)
        raise NonFiniteError(
            f"finite weights in {name}",
            found=f"{wrong} or more rows with NaN or infinity",
            remedy="fetch the file again and check its digest; weights that are like this cannot be compared",
        )


def too_large(name: str, largest: float) -> NonFiniteError:
    """The error for finite weights with infinite squares, which only float64 files can hold."""
    return NonFiniteError(
        f"weights in {name} whose squares fit float64 (up to about 1e154)",
        found=f"weights up to {largest:.3g}",
        remedy="check dtype and scale of the file; weights that are like this cannot be compared",
    )


class Widener:
    """Converts blocks for the kernels, exactly: float32 and float64 unchanged, bfloat16 as bits, others as float32.

    Memory is reused: the array is valid until the next call.
    """

    def __init__(self) -> None:
        self._buffer = torch.empty(0)

    def __call__(self, block: Float[torch.Tensor, "rows columns"]) -> Shaped[np.ndarray, "rows columns"]:
        """The block as an array."""
        if block.dtype in {torch.float32, torch.float64}:
            return block.contiguous().numpy()
        if block.dtype == torch.bfloat16:
            return block.contiguous().view(torch.uint16).numpy()
        if self._buffer.numel() < block.numel():
            self._buffer = torch.empty(block.numel())
        return self._buffer[: block.numel()].view(block.shape).copy_(block).numpy()


def unit_gaps(
    a: Float[torch.Tensor, "block neurons"],
    b: Float[torch.Tensor, "block neurons"],
    norm_a: Float64[np.ndarray, " neurons"],
    norm_b: Float64[np.ndarray, " neurons"],
) -> Float64[np.ndarray, " neurons"]:
    """A block's contribution to 1 - cos = 0.5 * || a/|a| - b/|b| ||^2 of its columns, given their norms."""
    gap = a.double() / torch.from_numpy(norm_a) - b.double() / torch.from_numpy(norm_b)
    return np.asarray(0.5 * gap.square_().sum(dim=0).numpy())


def compare_rows(
    a: Float[torch.Tensor, "rows d"],
    b: Float[torch.Tensor, "rows d"],
    *,
    names: Sequence[str] = ("the first matrix", "the second matrix"),
) -> RowComparison:
    """Angle, norms and equality of corresponding rows, of any floating dtypes.

        1 - cos(u, v) = 0.5 * || u/|u| - v/|v| ||^2

    The right side has no cancellation: at an angle phi its relative error is about 1e-16 / phi, while 1 - cos itself
    loses everything below phi = 1e-8 in float64 and 3e-4 in float32. Delta is dimensionless, in [0, 2], norms are in
    weight units, all float64. Choice: two zero rows have delta 0 (nothing changed), a zero row and a non-zero one have
    1 (no direction in common).

    Raises:
        NonFiniteError: A row holds NaN or infinity, or weights beyond about 1e154, whose squares do not fit float64.
            Squares of weights below 1e-162 count as zeros.
    """
    rows, d = a.shape
    step = max(1, BLOCK_ELEMENTS // max(d, 1))
    result = RowComparison.unknown(rows)
    buffer_a, buffer_b = torch.empty((2, min(step, rows), d), dtype=torch.float64)
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows))
        wide_a = buffer_a[: part.stop - start].copy_(a[part])
        wide_b = buffer_b[: part.stop - start].copy_(b[part])
        # Widening is exact, so comparing the wide values also serves pairs stored in different dtypes.
        equal = (wide_a == wide_b).all(dim=1).numpy()
        norm_a, norm_b = (_normalise(wide, name) for wide, name in zip((wide_a, wide_b), names, strict=True))
        delta = (0.5 * wide_a.sub_(wide_b).square_().sum(dim=1)).numpy()
        delta[(norm_a == 0) != (norm_b == 0)] = 1.0
        result.put(part, RowComparison(delta, norm_a, norm_b, equal))
    return result


def _normalise(rows: Float[torch.Tensor, "rows d"], name: str) -> Float64[np.ndarray, " rows"]:
    """Scale rows to unit length in place (zero rows stay zero); returns their former norms."""
    norms: torch.Tensor = torch.linalg.vector_norm(rows, dim=1)
    check_finite(norms.numpy(), name, lambda: rows)
    rows.div_(torch.where(norms == 0, 1.0, norms)[:, None])
    return np.asarray(norms.numpy())
