"""A copy of a neurons × rows array in bfloat16, for fast passes over all neurons, with bounds of what it rounds.

Processors with products in bfloat16 read such a copy ten times as fast as they widen float16 and multiply in float32.
Each neuron is rounded around its mean, so that its error is relative to its spread, and what rounding leaves out of
each neuron is known: by Cauchy and Schwarz

    |g_j - mean_j sum_i v_i - y_j . w| <= |x_j - mean_j - y_j| |w| + |x_j - mean_j| |v - w|,

with y_j the copy of neuron j and w the vector in bfloat16. Who needs more computes the few neurons again for which
that is not enough.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int16

from provenance.probe.block_products import BLOCK_BYTES, TERM, widened_blocks

RESULT = 2.0**-8  # more than rounding of a result to bfloat16, relative to itself
_FAST = ("amx_bf16", "avx512_bf16")


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for it; without them a product in float32 is faster."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # not in older releases
    return capabilities is not None and any(capabilities().get(name, False) for name in _FAST)


def rounded_blocks(
    matrix: Float[np.ndarray, "neurons rows"], block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[Int16[np.ndarray, "block rows"], Float32[np.ndarray, "3 block"]]]:
    """The bits of a copy, and each neuron's mean, the norm around it, and the norm of what is left out.

    In blocks of neurons, in order; a block is valid until the next one.
    """
    buffers: tuple[torch.Tensor, torch.Tensor] | None = None  # new memory would take longer than the work
    for _, block in widened_blocks(matrix, block_bytes):
        means = block @ np.full(block.shape[1], 1 / block.shape[1], dtype=np.float32)
        with np.errstate(invalid="ignore"):  # visible in the norms
            np.subtract(block, means[:, None], out=block)
        around = torch.from_numpy(block)
        if buffers is None:
            buffers = torch.empty_like(around, dtype=torch.bfloat16), torch.empty_like(around)
        rounded, again = (buffer[: len(around)] for buffer in buffers)
        again.copy_(rounded.copy_(around))
        norms = torch.linalg.vector_norm(around, dim=1).numpy()
        lost = torch.linalg.vector_norm(around.sub_(again), dim=1).numpy()
        yield rounded.view(torch.int16).numpy(), np.stack([means, norms, lost])


@dataclass(frozen=True)
class RoundedCopy:
    """The copy, made of the blocks that `rounded_blocks` gives."""

    bits: Int16[np.ndarray, "neurons rows"]
    """Values around their means, in bfloat16."""
    means: Float32[np.ndarray, " neurons"]
    """Mean of each neuron."""
    norms: Float32[np.ndarray, " neurons"]
    """Norm of each neuron around it."""
    lost: Float32[np.ndarray, " neurons"]
    """Norm of what rounding leaves out."""

    def products(self, vectors: Float[np.ndarray, "rows vectors"]) -> Float32[np.ndarray, "neurons vectors"]:
        """Matrix @ vectors, as exact as `doubt` says."""
        narrow = torch.from_numpy(np.ascontiguousarray(vectors)).bfloat16()
        found = (_tensor(self.bits) @ narrow).float()
        totals = torch.from_numpy(vectors.sum(axis=0).astype(np.float32))
        return np.asarray(found.addr_(torch.from_numpy(self.means), totals).numpy())

    def doubt(
        self, vector: Float[np.ndarray, " rows"], found: Float32[np.ndarray, " neurons"]
    ) -> Float32[np.ndarray, " neurons"]:
        """Bound of the error of one of the products, for each neuron."""
        whole = torch.from_numpy(np.ascontiguousarray(vector)).double()
        narrow = whole.bfloat16().double()
        size, cut = float(whole.norm()), float((whole - narrow).norm())
        around = np.abs(found - self.means * np.float32(whole.sum()))
        of_norm, of_mean = cut + TERM * vector.size * size, 2 * TERM * vector.size**0.5 * size
        parts = self.lost * float(narrow.norm()), self.norms * of_norm, np.abs(self.means) * of_mean, RESULT * around
        return np.asarray(sum(parts))


def _tensor(bits: Int16[np.ndarray, "neurons rows"]) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nor is it written
        return torch.from_numpy(bits).view(torch.bfloat16)
