"""The two compiled inner loops of drift: four float64 sums for each row, or for each column, of a block, read once.

The compiler may reorder sums (for vector instructions) and must keep NaN and infinity. One thread sums a block, in an
order that depends only on its shape. Importing numba takes a moment, so `row_sums` imports this module when needed.
"""

from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np
from numba import njit

FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}  # not "nnan" and "ninf": damaged weights must show in the sums

TILE = 512  # columns whose four sums stay in the first-level cache
PITCH = TILE + 16  # sums 4096 bytes apart would share cache sets and hold up each other's loads
TOGETHER = 8  # rows per visit of the sums; eight rows of two blocks fit the load buffers


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return njit(fastmath=FAST_MATH, nogil=True, cache=True)(function)
    except RuntimeError:  # neither this folder nor the user's cache folder is writable
        return njit(fastmath=FAST_MATH, nogil=True)(function)


# numba needs bare functions; @no_type_check keeps the tests' hook for shape annotations away.


@no_type_check
def _wide_value(block, i, j):
    """One weight in float64; two-byte items are the bits of a bfloat16, the upper half of a float32."""
    # Signed indices would be checked for negative values, which keeps loops from being vectorised.
    value = block[np.uint64(i), np.uint64(j)]
    if block.itemsize == 2:
        return np.float64(np.uint32(np.uint32(value) * np.uint32(1 << 16)).view(np.float32))
    return np.float64(value)


wide = _compiled(_wide_value)


@no_type_check
def _sum_rows(a, b, first, aa, bb, dd, ds):
    """Sums over each row of two blocks, written from index `first` on."""
    for i in range(a.shape[0]):
        aa_i = bb_i = dd_i = ds_i = 0.0
        for j in range(a.shape[1]):
            x, y = wide(a, i, j), wide(b, i, j)
            aa_i += x * x
            bb_i += y * y
            dd_i += (x - y) * (x - y)
            ds_i += (x - y) * (x + y)
        aa[first + i], bb[first + i], dd[first + i], ds[first + i] = aa_i, bb_i, dd_i, ds_i


@no_type_check
def _sum_columns(a, b, aa, bb, dd, ds):
    """Sums over each column of two blocks, added to the totals."""
    rows, columns = a.shape
    paired = rows - rows % TOGETHER
    # One array with constant distances: the compiler sees that the four sums do not overlap.
    sums = np.empty((4, PITCH))
    for left in range(0, columns, TILE):
        width = min(TILE, columns - left)
        sums[:, :] = 0.0
        for i in range(0, paired, TOGETHER):
            for j in range(width):
                aa_j, bb_j, dd_j, ds_j = sums[0, j], sums[1, j], sums[2, j], sums[3, j]
                for row in range(TOGETHER):
                    x, y = wide(a, i + row, left + j), wide(b, i + row, left + j)
                    aa_j += x * x
                    bb_j += y * y
                    dd_j += (x - y) * (x - y)
                    ds_j += (x - y) * (x + y)
                sums[0, j], sums[1, j], sums[2, j], sums[3, j] = aa_j, bb_j, dd_j, ds_j
        for i in range(paired, rows):
            for j in range(width):
                x, y = wide(a, i, left + j), wide(b, i, left + j)
                sums[0, j] += x * x
                sums[1, j] += y * y
                sums[2, j] += (x - y) * (x - y)
                sums[3, j] += (x - y) * (x + y)
        for total, part in ((aa, sums[0]), (bb, sums[1]), (dd, sums[2]), (ds, sums[3])):
            for j in range(width):
                total[np.uint64(left + j)] += part[j]


sum_rows = _compiled(_sum_rows)
sum_columns = _compiled(_sum_columns)
