"""Pairs the tensors of two checkpoints, and reads both side by side, every tensor once, in planned blocks of rows.

Names are compared without their prefix, which changes between library releases; a neuron projection is identified by
kind and layer, even within a fused tensor.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch

from provenance.analyses.weights.weight_source import WeightSource
from provenance.weights.tensors import Rows

BLOCK_ELEMENTS = 2**20  # two blocks and their float32 copies stay within a core's share of the cache

Key = tuple[str, int | None]
"""Kind of a tensor (its name without prefix, layer number and `.weight`) and its layer; None outside the layers."""


@dataclass(frozen=True)
class Part:
    """A tensor of a checkpoint, or its rows that hold one projection."""

    name: str
    """Name on disk."""
    start: int
    """First row."""
    shape: tuple[int, ...]
    """Shape of the part's rows."""
    columns: bool
    """Whether its neurons are columns."""

    @property
    def rows(self) -> int:
        """Rows on disk; each number of a vector is one row."""
        return self.shape[0] if self.shape else 0

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return prod(self.shape[1:])

    @property
    def units(self) -> int:
        """Number of compared units: neuron columns, else rows; 1 for a vector."""
        if len(self.shape) < 2:
            return 1
        return self.shape[1] if self.columns else self.shape[0]


@dataclass(frozen=True)
class Pair:
    """A part of the instruct checkpoint and its namesake in the base."""

    kind: str
    """As in `Key`."""
    layer: int | None
    """Layer in the instruct checkpoint."""
    base: Part
    instruct: Part
    neurons: bool
    """Whether it holds one weight of each neuron of a layer."""
    whole: bool
    """Whether the parts have one shape; else numbers of neurons differ, or the pair is cut to common rows."""

    @property
    def comparable(self) -> bool:
        """Whether the parts can be compared number by number."""
        return self.whole or not self.neurons


@dataclass(frozen=True)
class Pairing:
    """All parts of two checkpoints."""

    pairs: tuple[Pair, ...]
    """Shared parts, layer by layer, then the rest."""
    only_base: tuple[str, ...]
    """Tensors that only the base has, or has in another shape."""
    only_instruct: tuple[str, ...]
    """The same of the instruct checkpoint."""


@dataclass(frozen=True)
class Step:
    """The next rows of a pair to read; of one side only if the sides have different rows."""

    pair: Pair
    base: Rows | None
    """Rows of the base's tensor."""
    instruct: Rows | None
    """Rows of the instruct checkpoint's tensor."""
    sample: bool = False
    """Whether these are sampled neurons, which are read first."""


Blocks = tuple[Step, torch.Tensor | None, torch.Tensor | None]
"""A step and the rows read from the base and from the instruct checkpoint."""


def parts_of(source: WeightSource) -> dict[Key, Part]:
    """Every tensor of a checkpoint by kind and layer, with the projections of fused tensors separate."""
    parts: dict[Key, Part] = {}
    for layer in range(source.layers):
        for kind in source.kinds:
            piece = source.slice(kind, layer)
            shape = (piece.stop - piece.start, *source.shape(piece.name)[1:])
            parts[kind, layer] = Part(piece.name, piece.start, shape, piece.neurons == "columns")
    projections = {part.name for part in parts.values()}
    others = (name for name in source.tensor_names() if name not in projections)
    for key, name in _by_key(others, *_tower(source)).items():
        parts[key] = Part(name, 0, source.shape(name), columns=False)
    return parts


def _tower(source: WeightSource) -> tuple[str, frozenset[str]]:
    """The prefix before a layer's number on disk, and the names of the modules that hold the layers."""
    found = re.match(r"((?:.*?\.)?)0\.", source.slice(source.kinds[0], 0).name)
    stem = found[1] if found else ""
    return stem, frozenset(stem.split(".")[:-2])


def _by_key(names: Iterable[str], stem: str, holders: frozenset[str]) -> dict[Key, str]:
    """Names by key; names with the same key are all kept whole."""
    groups: dict[Key, list[str]] = {}
    for name in names:
        groups.setdefault(_key(name, stem, holders), []).append(name)
    keyed: dict[Key, str] = {}
    for key, members in groups.items():
        keyed.update({key: members[0]} if len(members) == 1 else {(name, None): name for name in members})
    return keyed


def _key(name: str, stem: str, holders: frozenset[str]) -> Key:
    numbered = re.match(r"(\d+)\.(.+)", name[len(stem) :]) if name.startswith(stem) else None
    if numbered:
        return numbered[2].removesuffix(".weight"), int(numbered[1])
    path = name.split(".")
    while len(path) > 1 and path[0] in holders:
        del path[0]
    return ".".join(path).removesuffix(".weight"), None


def pair_parts(base: WeightSource, instruct: WeightSource, layer_of: Sequence[int | None]) -> Pairing:
    """Pair the parts of two checkpoints; `layer_of` gives the base's layer for each layer of `instruct`, or None.

    Pairs have one shape, except projections with different numbers of neurons, and tables outside the layers of which
    one is longer (a larger vocabulary): these are compared over their common rows.
    """
    ours, theirs = parts_of(base), parts_of(instruct)
    pairs: list[Pair] = []
    lone_instruct: set[str] = set()
    left = dict(ours)
    for (kind, layer), part in theirs.items():
        key = (kind, layer if layer is None or layer >= len(layer_of) else layer_of[layer])
        other = ours.get(key) if layer is None or key[1] is not None else None
        pair = _pair(kind, layer, other, part, neurons=layer is not None and kind in instruct.kinds)
        if pair is not None:
            pairs.append(pair)
        if pair is not None and pair.whole:
            left.pop(key, None)
        else:
            lone_instruct.add(part.name)
    pairs.sort(key=lambda pair: (pair.layer is None, pair.layer or 0))
    return Pairing(tuple(pairs), tuple(sorted({part.name for part in left.values()})), tuple(sorted(lone_instruct)))


def _pair(kind: str, layer: int | None, base: Part | None, instruct: Part, *, neurons: bool) -> Pair | None:
    if base is None or base.columns != instruct.columns:
        return None
    if base.shape == instruct.shape:
        return Pair(kind, layer, base, instruct, neurons=neurons, whole=True)
    if neurons:
        return Pair(kind, layer, base, instruct, neurons=True, whole=False)
    table = layer is None and len(base.shape) == len(instruct.shape) == 2
    if not table or base.shape[1] != instruct.shape[1]:
        return None
    common = (min(base.rows, instruct.rows), base.shape[1])
    ours, theirs = replace(base, shape=common), replace(instruct, shape=common)
    return Pair(kind, None, ours, theirs, neurons=False, whole=False)


def steps_of(
    pair: Pair, base_runs: Sequence[tuple[int, int]], instruct_runs: Sequence[tuple[int, int]]
) -> Iterator[Step]:
    """The steps through a pair, from its first to its last row; runs are sampled neurons (first, end exclusive).

    Sampled neurons come first if they are rows, to compare with each block; as columns, each block has a piece of each.
    """
    if pair.neurons and not pair.base.columns:
        for run in base_runs:
            yield Step(pair, _rows(pair.base, *run), None, sample=True)
        for run in instruct_runs:
            yield Step(pair, None, _rows(pair.instruct, *run), sample=True)
    if pair.base.rows == pair.instruct.rows:
        for start, stop in blocks(pair.base.rows, max(pair.base.width, pair.instruct.width)):
            yield Step(pair, _rows(pair.base, start, stop), _rows(pair.instruct, start, stop))
        return
    for start, stop in blocks(pair.base.rows, pair.base.width):
        yield Step(pair, _rows(pair.base, start, stop), None)
    for start, stop in blocks(pair.instruct.rows, pair.instruct.width):
        yield Step(pair, None, _rows(pair.instruct, start, stop))


def blocks(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """First row and end (exclusive) of blocks that together hold all rows of a width."""
    step = max(1, BLOCK_ELEMENTS // max(1, width))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def _rows(part: Part, start: int, stop: int) -> Rows:
    return Rows(part.name, part.start + start, part.start + stop)


def side_by_side(base: WeightSource, instruct: WeightSource, steps: Sequence[Step]) -> Iterator[Blocks]:
    """Both checkpoints in the order of the steps; tensors are valid until the next step is requested."""
    ours = base.stream([step.base for step in steps if step.base])
    theirs = instruct.stream([step.instruct for step in steps if step.instruct])
    for step in steps:
        yield step, next(ours) if step.base else None, next(theirs) if step.instruct else None
