"""Cosines of neurons over all their weights, and the threshold above chance.

    cos(j, k) = sum_kind cos_kind(j, k) / sqrt(n_j n_k),   n = kinds in which a neuron is not zero

Neurons of different origin are nearly orthogonal. Choice: a zero row has no direction, so its kind is left out; a
neuron of zeros has cosine 0 with every neuron.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Float64, Int

from provenance.analyses.weights.weight_source import WeightSource
from provenance.errors import NonFiniteError

# Lowest cosine of the same neuron. In gemma-3-270m 99 of 100 neurons have no other neuron of their layer nearer than
# 0.4; tuning keeps the cosine above 0.99, noise of the weights' size at 0.71.
RELATED_COSINE = 0.5
# The best of d_m random directions reaches sqrt(2 ln d_m / (kinds d)), the best pair of d_m x d_m directions 1.41
# times that; neurons of unrelated models of one shape, and of other layers of one model, have the same median.
CHANCE_FACTOR = 1.5
NEURONS_AT_ONCE = 1024  # 25 MB of float32 weights at three kinds and a width of 2,048
LARGEST_NORM = 1e18  # products of two neurons' weights, summed up, then stay within float32
HIGHEST = 0.95  # below a width of about 20 chance reaches any cosine, and only the very same direction counts


def related_cosine(kinds: int, d: int, neurons: int) -> float:
    """Lowest cosine of the same neuron among so many candidates: 0.5 for real models, higher for very short vectors."""
    chance = math.sqrt(2 * math.log(max(neurons, 2)) / (kinds * d))
    return min(max(RELATED_COSINE, CHANCE_FACTOR * chance), HIGHEST)


def norms_of(rows: Float[torch.Tensor, "rows d"]) -> Float[torch.Tensor, " rows"]:
    """L2 norms in float64, so that neither large nor small weights leave the range."""
    norms: torch.Tensor = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)
    return norms


def scaled(rows: Float[torch.Tensor, "rows d"]) -> Float[torch.Tensor, "rows d"]:
    """Rows scaled to length 1; zero rows stay zero."""
    return rows * _inverse(norms_of(rows))[:, None]


def _inverse(norms: Float[torch.Tensor, " rows"]) -> Float[torch.Tensor, " rows"]:
    """1 / norm in float32, 0 for a norm of 0; the largest number below 1e-38."""
    return torch.where(norms == 0, 0.0, (1 / norms).clamp(max=torch.finfo(torch.float32).max)).float()


def check_products(norms: Float64[np.ndarray, " neurons"], name: str) -> Float64[np.ndarray, " neurons"]:
    """The norms unchanged; raises NonFiniteError if products of weights do not fit float32 (a wrong dtype or scale)."""
    if norms.max(initial=0.0) > LARGEST_NORM:
        raise NonFiniteError(
            f"neurons in {name} with norms up to {LARGEST_NORM:g}, so that products of weights fit float32",
            found=f"norms up to {norms.max():.3g}",
            remedy="check dtype and scale of the file; lineage looks neurons up in float32",
        )
    return norms


class SinglePrecision:
    """Converts blocks to float32 in reused memory; allocating it for each block takes longer than the product."""

    def __init__(self) -> None:
        self._buffer = torch.empty(0)

    def __call__(self, block: torch.Tensor) -> torch.Tensor:
        """The block itself if it is float32, else a copy that is valid until the next call."""
        if block.dtype == torch.float32:
            return block
        if self._buffer.numel() < block.numel():
            self._buffer = torch.empty(block.numel())
        return self._buffer[: block.numel()].view(block.shape).copy_(block)


class JoinedCosines:
    """Cosines of some neurons with all neurons of a layer, built up while its weights stream past."""

    def __init__(self, queries: int, neurons: int) -> None:
        self._table = torch.zeros(queries, neurons)
        self._partial = torch.zeros(0, 0)
        self._query_kinds = torch.zeros(queries)
        self._kinds = torch.zeros(neurons)

    def add_rows(
        self, query: Float[torch.Tensor, "queries d"], start: int, rows: Float[torch.Tensor, "rows d"],
        norms: Float[torch.Tensor, " rows"],
    ) -> None:  # fmt: skip
        """Add the layer's neurons from `start`, as rows of one kind; `query` holds unit rows."""
        part = slice(start, start + rows.shape[0])
        self._table[:, part] += (query @ rows.T) * _inverse(norms)
        self._kinds[part] += norms != 0
        if start == 0:
            self._query_kinds += (query != 0).any(dim=1)

    def add_columns(
        self, query: Float[torch.Tensor, "rows queries"], columns: Float[torch.Tensor, "rows neurons"]
    ) -> None:
        """Add some rows of a matrix with neurons as columns, and the same rows of the queries' columns."""
        if self._partial.numel() == 0:
            self._partial = torch.zeros_like(self._table)
        self._partial.addmm_(query.T, columns)

    def end_columns(self, query_norms: Float[torch.Tensor, " queries"], norms: Float[torch.Tensor, " neurons"]) -> None:
        """Scale by the column norms after the last row."""
        self._table += self._partial * _inverse(query_norms)[:, None] * _inverse(norms)
        self._query_kinds += query_norms != 0
        self._kinds += norms != 0
        self._partial = torch.zeros(0, 0)

    def cosines(self) -> Float[torch.Tensor, "queries neurons"]:
        """The cosines in [-1, 1], float32 arithmetic; 0 for neurons of zeros."""
        counts = torch.outer(self._query_kinds, self._kinds).sqrt_()
        return torch.where(counts == 0, 0.0, self._table / counts).clamp_(-1, 1)

    def empty_queries(self) -> torch.Tensor:
        """Which queries are zero in every kind."""
        return self._query_kinds == 0


def layer_cosines(
    base: WeightSource, base_layer: int, instruct: WeightSource, layer: int, ids: Int[np.ndarray, " some"]
) -> Iterator[tuple[slice, Float[np.ndarray, "block d_m"]]]:
    """Cosines of some neurons of an instruct layer with all of a base layer, in blocks of ids; both held as stored."""
    ours = {kind: base.neurons(kind, base_layer) for kind in base.kinds}
    theirs = {kind: instruct.neurons(kind, layer)[torch.from_numpy(ids)] for kind in base.kinds}
    starts, wide = range(0, base.d_m, NEURONS_AT_ONCE), SinglePrecision()
    blocks = [(kind, start, ours[kind][start : start + NEURONS_AT_ONCE]) for kind in base.kinds for start in starts]
    norms: list[torch.Tensor] = []
    for first in range(0, ids.size, NEURONS_AT_ONCE):
        part = slice(first, min(first + NEURONS_AT_ONCE, ids.size))
        queries = {kind: scaled(rows[part].float()) for kind, rows in theirs.items()}
        cosines = JoinedCosines(part.stop - first, base.d_m)
        for at, (kind, start, block) in enumerate(blocks):
            rows = wide(block)
            if at == len(norms):
                norms.append(norms_of(rows))
            cosines.add_rows(queries[kind], start, rows, norms[at])
        yield part, cosines.cosines().numpy()
