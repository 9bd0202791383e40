"""Looks up sampled neurons of each checkpoint among all neurons of the other.

The one idea: tuning moves a neuron a little, while any other neuron has another direction. So the nearest neighbour in
a related checkpoint is the neuron itself, at its own or at another index. Both directions are looked up: a pruned
checkpoint is found in its base, but not the other way round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from provenance.analyses.weights.joined_cosines import (
    JoinedCosines,
    SinglePrecision,
    check_products,
    layer_cosines,
    norms_of,
    related_cosine,
    scaled,
)
from provenance.analyses.weights.tensor_census import PairSums
from provenance.analyses.weights.tensor_pairs import Pair, Step, blocks
from provenance.analyses.weights.weight_source import WeightSource
from provenance.weights.tensors import Rows

RUN = 8  # adjacent sampled neurons; each run is one request when rows come from the hub
# Cosines closer than this are equal within the precision of float32 products of unit vectors.
COSINE_TOLERANCE = 1e-5
# Near copies of a neuron are all close to it; it counts as moved when another index is twice as near.
NEARER = 2.0
HALF = 0.5  # share of neurons from which on a layer, or a checkpoint, counts as derived from another
# Neurons of a layer to search for in all layers of the base: in a layer widened fourfold, 32 include 2 or more old
# neurons in 999 of 1,000 cases, and chance finds none. Deep models use fewer per layer, since each one is compared
# with every neuron of the base.
LAYER_SAMPLE = 32
LAYER_SAMPLE_LEAST = 8
LAYER_SAMPLES = 1024
LAYER_HITS = 2

Runs = tuple[tuple[int, int], ...]
"""First neuron and end (exclusive) of each run."""


@dataclass(frozen=True)
class LayerMatch:
    """Sampled neurons of one layer of each checkpoint."""

    base_layer: int
    own: Float[np.ndarray, " instruct"]
    """Cosine of the instruct checkpoint's sampled neurons with the base's neuron of the same index; -1 if none."""
    nearest: Float[np.ndarray, " instruct"]
    """Cosine with the nearest neuron of the base's layer."""
    nearest_of_base: Float[np.ndarray, " base"]
    """Cosine of the base's sampled neurons with the nearest neuron of the instruct checkpoint's layer."""
    thresholds: tuple[float, float]
    """Lowest cosines that count as found, in the base's and in the instruct checkpoint's layer."""

    @property
    def at_own_index(self) -> int:
        """Number of neurons whose nearest neighbour has the same index."""
        return int(((self.own >= self.nearest - COSINE_TOLERANCE) & (self.own > 0)).sum())

    @property
    def found(self) -> tuple[int, int]:
        """Number of instruct neurons found in the base, and of base neurons found in the instruct checkpoint."""
        in_base, in_instruct = self.thresholds
        return int((self.nearest >= in_base).sum()), int((self.nearest_of_base >= in_instruct).sum())

    @property
    def elsewhere(self) -> int:
        """Number of instruct neurons found at another index."""
        other = (self.own < self.thresholds[0]) | (1 - self.own > NEARER * (1 - self.nearest) + COSINE_TOLERANCE)
        return int(((self.nearest >= self.thresholds[0]) & other).sum())

    @property
    def blank(self) -> bool:
        """Whether all sampled neurons of a side are zeros, so that nothing can be looked up."""
        return not (self.own.size and self.nearest_of_base.size)

    @property
    def held(self) -> bool:
        """Whether the base's layer holds the neurons of the instruct checkpoint's layer; true if nothing is known."""
        if self.blank:
            return True
        of_instruct, of_base = self.found
        found_here = max(self.at_own_index, of_instruct) >= HALF * self.own.size
        return found_here or of_base >= HALF * self.nearest_of_base.size


def sample_runs(d_m: int, sample: int, rng: np.random.Generator) -> Runs:
    """Neurons of a layer to look up: short runs at random places, ascending."""
    runs: list[tuple[int, int]] = []
    left = min(sample, d_m)
    for start in rng.permutation(np.arange(0, d_m, RUN)):
        stop = min(int(start) + RUN, int(start) + left, d_m)
        runs.append((int(start), stop))
        left -= stop - int(start)
        if left == 0:
            break
    return tuple(sorted(runs))


def ids_of(runs: Runs) -> Int[np.ndarray, " neurons"]:
    """Indices of the neurons of some runs."""
    return np.concatenate([np.arange(*run) for run in runs])


class LayerLookup:
    """Looks up one layer's sampled neurons in both directions while the layer's weights stream past."""

    def __init__(
        self, base_layer: int, base: WeightSource, instruct: WeightSource,
        base_runs: Runs, instruct_runs: Runs,
    ) -> None:  # fmt: skip
        self._base_layer = base_layer
        self._ids = ids_of(base_runs), ids_of(instruct_runs)
        self._of_base = JoinedCosines(self._ids[0].size, instruct.d_m)
        self._of_instruct = JoinedCosines(self._ids[1].size, base.d_m)
        shape = len(base.kinds), base.d
        self._thresholds = related_cosine(*shape, base.d_m), related_cosine(*shape, instruct.d_m)
        self._read: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        self._queries: list[torch.Tensor] = []
        self._single = SinglePrecision(), SinglePrecision()
        self._shared = min(base.d_m, instruct.d_m)
        self.alive = np.zeros(base.d_m, dtype=bool), np.zeros(instruct.d_m, dtype=bool)
        """Neurons of the base's and of the instruct checkpoint's layer that are not all zeros; complete after the last
        kind.
        """

    def add(self, step: Step, base: torch.Tensor | None, instruct: torch.Tensor | None, sums: PairSums) -> None:
        """Add a block of one or both sides, whose sums of squares are known."""
        if step.sample:
            for block, read in zip((base, instruct), self._read, strict=True):
                read.extend([] if block is None else [block.to(torch.float32, copy=True)])
        elif step.pair.base.columns:
            self._add_columns(base, instruct)
        else:
            self._add_rows(step, base, instruct, sums)

    def _add_rows(self, step: Step, base: torch.Tensor | None, instruct: torch.Tensor | None, sums: PairSums) -> None:
        if not self._queries:
            self._queries = [scaled(torch.cat(read)) for read in self._read]
        if base is not None and step.base is not None:
            norms = torch.from_numpy(sums.norms("base", step.base))
            start = step.base.start - step.pair.base.start
            self._of_instruct.add_rows(self._queries[1], start, self._single[0](base), norms)
        if instruct is not None and step.instruct is not None:
            norms = torch.from_numpy(sums.norms("instruct", step.instruct))
            start = step.instruct.start - step.pair.instruct.start
            self._of_base.add_rows(self._queries[0], start, self._single[1](instruct), norms)

    def _add_columns(self, base: torch.Tensor | None, instruct: torch.Tensor | None) -> None:
        if base is None or instruct is None:
            raise ValueError("columns of both checkpoints pass by together")
        self._of_base.add_columns(base[:, self._ids[0]].float(), self._single[1](instruct))
        self._of_instruct.add_columns(instruct[:, self._ids[1]].float(), self._single[0](base))

    def end_kind(self, pair: Pair, sums: PairSums) -> None:
        """Finish one kind of weight; raises NonFiniteError if products of weights leave float32."""
        for side, part, found in zip(("base", "instruct"), (pair.base, pair.instruct), self.alive, strict=True):
            found[:] = found | (check_products(sums.norms(side), f"{part.name} of the {side} checkpoint") > 0)
        if pair.base.columns:
            ours, theirs = (torch.from_numpy(sums.norms(side)) for side in ("base", "instruct"))
            self._of_base.end_columns(ours[self._ids[0]], theirs)
            self._of_instruct.end_columns(theirs[self._ids[1]], ours)
        self._read = ([], [])
        self._queries = []

    def match(self) -> LayerMatch:
        """The result after all kinds; neurons of zeros are left out."""
        table = self._of_instruct.cosines()
        ids = self._ids[1]
        own = np.full(ids.size, -1.0, dtype=np.float32)
        shared = np.flatnonzero(ids < self._shared)
        own[shared] = table[shared, ids[shared]].numpy()
        some, some_of_base = (~cosines.empty_queries().numpy() for cosines in (self._of_instruct, self._of_base))
        return LayerMatch(
            base_layer=self._base_layer,
            own=own[some],
            nearest=table.amax(dim=1).numpy()[some],
            nearest_of_base=self._of_base.cosines().amax(dim=1).numpy()[some_of_base],
            thresholds=self._thresholds,
        )


def look_up(
    base: WeightSource, base_layer: int, instruct: WeightSource, layer: int, ids: Int[np.ndarray, " some"]
) -> tuple[Float[np.ndarray, " some"], Float[np.ndarray, " some"]]:
    """Cosine of some instruct neurons with the base's neuron of the same index (-1 if none), and with the nearest."""
    own, nearest = np.full((2, ids.size), -1.0, dtype=np.float32)
    for part, table in layer_cosines(base, base_layer, instruct, layer, ids) if ids.size else ():
        there = np.flatnonzero(ids[part] < base.d_m)
        own[part.start + there] = table[there, ids[part][there]]
        nearest[part] = table.max(axis=1)
    return own, nearest


def look_again(
    match: LayerMatch, base: WeightSource, instruct: WeightSource, layer: int,
    alive: tuple[Bool[np.ndarray, " base"], Bool[np.ndarray, " instruct"]], sample: int, rng: np.random.Generator,
) -> LayerMatch:  # fmt: skip
    """The match of a layer whose sampled neurons were zeros, with a sample of its non-zero neurons."""
    ours, theirs = (np.sort(rng.permutation(np.flatnonzero(some))[:sample]) for some in alive)
    own, nearest = look_up(base, match.base_layer, instruct, layer, theirs)
    _, of_base = look_up(instruct, layer, base, match.base_layer, ours)
    return LayerMatch(match.base_layer, own, nearest, of_base, match.thresholds)


def find_layers(
    base: WeightSource, instruct: WeightSource, lost: Sequence[int], rng: np.random.Generator
) -> dict[int, int | None]:
    """Search all layers of the base for lost layers of the instruct checkpoint.

    Uses only weights with neurons as rows, which can be read in part; every known family has one such kind at least.

    Returns:
        For each lost layer, the layer of the base that holds most of its sampled neurons. None if fewer than two are
        found, or fewer than all where fewer than two sampled neurons are not zeros.
    """
    kinds = [kind for kind in base.kinds if base.slice(kind, 0).neurons == instruct.slice(kind, 0).neurons == "rows"]
    if not kinds:
        return dict.fromkeys(lost)
    sample = max(LAYER_SAMPLE_LEAST, min(LAYER_SAMPLE, LAYER_SAMPLES // len(lost)))
    ids = np.sort(rng.choice(instruct.d_m, size=min(sample, instruct.d_m), replace=False))
    queries = {kind: _rows_of_layers(instruct, kind, lost, ids) for kind in kinds}
    threshold = related_cosine(len(kinds), base.d, base.d_m)
    hits = np.zeros((base.layers, len(lost)), dtype=int)
    for layer in range(base.layers):
        nearest = _nearest_in_layer(queries, base, layer).reshape(len(lost), ids.size)
        hits[layer] = (nearest >= threshold).sum(axis=1)
    best = hits.argmax(axis=0)
    not_zero = torch.stack([(query != 0).any(dim=1) for query in queries.values()]).any(dim=0)
    known = not_zero.reshape(len(lost), ids.size).sum(dim=1).numpy()
    enough = hits.max(axis=0) >= np.clip(known, 1, LAYER_HITS)
    return {layer: int(best[i]) if enough[i] else None for i, layer in enumerate(lost)}


def _rows_of_layers(
    source: WeightSource, kind: str, layers: Sequence[int], ids: Int[np.ndarray, " sampled"]
) -> Float[torch.Tensor, "queries d"]:
    """The same neurons of some layers, as unit rows of one kind, layer by layer."""
    pieces = [source.slice(kind, layer) for layer in layers]
    wanted = [Rows(piece.name, piece.start + int(j), piece.start + int(j) + 1) for piece in pieces for j in ids]
    return scaled(torch.cat([row.to(torch.float32, copy=True) for row in source.stream(wanted)]))


def _nearest_in_layer(
    queries: Mapping[str, Float[torch.Tensor, "queries d"]], source: WeightSource, layer: int
) -> Float[np.ndarray, " queries"]:
    """Cosine of each query with its nearest neuron of a layer, over all kinds."""
    pieces = [source.slice(kind, layer) for kind in queries]
    spans = list(blocks(source.d_m, source.d))
    stream = source.stream([Rows(p.name, p.start + start, p.start + stop) for start, stop in spans for p in pieces])
    nearest = torch.full((next(iter(queries.values())).shape[0],), -1.0)
    for start, stop in spans:
        cosines = JoinedCosines(nearest.numel(), stop - start)
        for query in queries.values():
            rows = next(stream).float()
            cosines.add_rows(query, 0, rows, norms_of(rows))
        nearest = torch.maximum(nearest, cosines.cosines().amax(dim=1))
    return nearest.numpy()
