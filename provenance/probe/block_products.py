"""Products of a neurons × rows array with a few vectors, block by block in one pass.

The array may be a memory-mapped 16-bit file many times larger than memory, so each block is widened into one reused
buffer, and all vectors share the pass. The few neurons that need exact values are computed again in float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int

BLOCK_BYTES = 1 << 25  # a widened block fits caches of a few cores and is long enough for BLAS
TERM = 2.0**-23  # more than what float32 rounds of a term, and of each sum that the term is part of


@dataclass(frozen=True)
class WidenedMatrix:
    """An array and its products in float32, with bounds of their errors."""

    matrix: Float[np.ndarray, "neurons rows"]
    """Any floating dtype; an array or a memory-mapped file, each neuron's rows contiguous."""
    norms: Float32[np.ndarray, " neurons"]
    """Norm of each neuron; NaN or infinite where one of its values is."""
    block_bytes: int

    @classmethod
    def of(cls, matrix: Float[np.ndarray, "neurons rows"], block_bytes: int = BLOCK_BYTES) -> "WidenedMatrix":
        """The products of an array, which is read once for them."""
        norms = np.zeros(matrix.shape[0], dtype=np.float32)
        for start, block in widened_blocks(matrix, block_bytes):
            norms[start : start + len(block)] = torch.linalg.vector_norm(torch.from_numpy(block), dim=1).numpy()
        return cls(matrix, norms, block_bytes)

    def products(self, vectors: Float[np.ndarray, "rows vectors"]) -> Float32[np.ndarray, "neurons vectors"]:
        """Matrix @ vectors, as exact as `doubt` says."""
        return products(self.matrix, vectors, self.block_bytes)

    def doubt(
        self, vector: Float[np.ndarray, " rows"], found: Float32[np.ndarray, " neurons"]
    ) -> Float32[np.ndarray, " neurons"]:
        """Bound of the error of one of the products, for each neuron."""
        del found
        return np.asarray(TERM * vector.size * float(np.linalg.norm(vector)) * self.norms)


def products(
    matrix: Float[np.ndarray, "neurons rows"],
    vectors: Float[np.ndarray, "rows vectors"],
    block_bytes: int = BLOCK_BYTES,
) -> Float32[np.ndarray, "neurons vectors"]:
    """Matrix @ vectors in float32, to which the vectors are rounded, in one pass over the matrix.

    Args:
        matrix: Any floating dtype; an array or a memory-mapped file, each neuron's rows contiguous.
        block_bytes: Bytes of the widened block.

    Returns:
        Relative error about 1e-7 of sum_i |x_ij v_i|; NaN or infinite where the matrix is.
    """
    narrow = np.ascontiguousarray(vectors, dtype=np.float32)
    out = np.empty((matrix.shape[0], narrow.shape[1]), dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # visible in the result
        for start, block in widened_blocks(matrix, block_bytes):
            np.matmul(block, narrow, out=out[start : start + block.shape[0]])
    return out


def widened_blocks(
    matrix: Float[np.ndarray, "neurons rows"], block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[int, Float32[np.ndarray, "block rows"]]]:
    """First neuron and float32 values of each block, in order; a block is valid until the next one."""
    neurons, rows = matrix.shape
    size = min(neurons, max(1, block_bytes // (4 * max(1, rows))))
    buffer = np.empty((size, rows), dtype=np.float32)
    halves = np.empty((size if matrix.dtype == np.float16 else 0, rows), dtype=np.float16)
    for start in range(0, neurons, max(1, size)):
        part = matrix[start : start + size]
        block, stored = buffer[: part.shape[0]], halves[: part.shape[0]]
        if stored.size:  # torch is seven times as fast, and warns of arrays that are mapped for reading
            np.copyto(stored, part)
            torch.from_numpy(block).copy_(torch.from_numpy(stored))
        else:
            np.copyto(block, part, casting="same_kind")
        yield start, block


def exact_products(
    matrix: Float[np.ndarray, "neurons rows"],
    ids: Int[np.ndarray, " k"],
    vectors: Float[np.ndarray, "rows vectors"],
    block_bytes: int = BLOCK_BYTES,
) -> Float64[np.ndarray, "k vectors"]:
    """matrix[ids] @ vectors in float64 throughout, for few neurons."""
    out = np.empty((ids.size, vectors.shape[1]))
    size = max(1, block_bytes // (8 * max(1, matrix.shape[1])))
    for start in range(0, ids.size, size):
        out[start : start + size] = columns(matrix, ids[start : start + size]) @ vectors
    return out


def columns(
    matrix: Float[np.ndarray, "neurons all"],
    ids: Int[np.ndarray, " k"],
    rows: Bool[np.ndarray, " all"] | None = None,
) -> Float64[np.ndarray, "k rows"]:
    """Some neurons in float64, in all rows or in some."""
    taken = matrix[ids]
    return np.asarray(taken if rows is None else in_rows(taken, rows), dtype=np.float64)


def in_rows(
    values: Float[np.ndarray, "neurons all"], rows: Bool[np.ndarray, " all"]
) -> Float[np.ndarray, "neurons rows"]:
    """Some rows of neurons; a copy, but where it is all of them."""
    return values if rows.all() else np.compress(rows, values, axis=1)
