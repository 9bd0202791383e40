"""CETT-like matrices of any size with planted neurons: positive, correlated, of very different scales."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy.lib.format import open_memmap

FACTORS = 8  # common to all neurons, so that they correlate as neurons of one model do
PLANTED = 40
BLOCK = 4096


def labels_of(rows: int) -> Bool[np.ndarray, " rows"]:
    """One row in four is an answer of a hallucinated response, as in 3-vs-1."""
    labels = np.zeros(rows, dtype=bool)
    labels[: rows // 4] = True
    return labels


def blocks(neurons: int, rows: int, seed: int = 0) -> Iterator[Float[np.ndarray, "block rows"]]:
    """Log-normal columns; the planted ones are shifted on hallucinated answers by 0.3 to 1 SD of their logarithm."""
    rng = np.random.default_rng(seed)
    labels = labels_of(rows).astype(np.float32)
    common = rng.standard_normal((FACTORS, rows), dtype=np.float32)
    planted = dict(zip(rng.choice(neurons, PLANTED, replace=False), rng.uniform(-1.0, 1.0, PLANTED), strict=True))
    for start in range(0, neurons, BLOCK):
        size = min(BLOCK, neurons - start)
        values = 0.3 * rng.standard_normal((size, FACTORS), dtype=np.float32) @ common
        values += rng.standard_normal((size, rows), dtype=np.float32)
        for neuron, effect in planted.items():
            if start <= neuron < start + size:
                values[neuron - start] += np.float32(effect + 0.3 * np.sign(effect)) * labels
        scale = np.exp(rng.normal(-6.0, 0.7, (size, 1))).astype(np.float32)
        yield scale * np.exp(0.4 * values)


def write_matrix(path: Path, neurons: int, rows: int, dtype: str) -> None:
    """A neuron-major `.npy` file."""
    matrix = open_memmap(path, "w+", dtype=np.dtype(dtype), shape=(neurons, rows))
    for number, block in enumerate(blocks(neurons, rows)):
        matrix[number * BLOCK : number * BLOCK + block.shape[0]] = block
    matrix.flush()
