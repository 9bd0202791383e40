"""Lineage, alignment and drift give the same bits whoever reads the layers, and however they are shared out."""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pytest
from lineage_factory import (
    Model,
    emptied,
    make_model,
    noised,
    partial_order,
    permuted,
    pruned,
    reordered,
    widened,
    with_layers,
)

from provenance.analyses.drift.weight_drift import measure_drift
from provenance.analyses.lineage.alignment import align
from provenance.analyses.lineage.relation import lineage
from provenance.analyses.weights.by_layers import Here, LayerWork
from provenance.analyses.weights.paired_pass import compare_mapped
from provenance.analyses.weights.weight_source import mlp_shape

L = TypeVar("L")
R = TypeVar("R")


@dataclass
class OneByOne:
    """A stand-in of workers: every layer in a process of its own, as far as pickling goes, and the last one first."""

    base: Model
    instruct: Model
    done: list[object] = field(default_factory=list)
    sent_bytes: list[int] = field(default_factory=list)

    def each(self, work: LayerWork[L, R], layers: Sequence[L], *, at_once: bool) -> Iterator[R]:
        found = [self._one(pickle.dumps((work, layer))) for layer in reversed(layers)]
        return (pickle.loads(result) for result in reversed(found))  # noqa: S301 - from above

    def _one(self, asked: bytes) -> bytes:
        work, layer = pickle.loads(asked)  # noqa: S301 - from above
        self.done.append(layer)
        self.sent_bytes.append(len(asked))
        return pickle.dumps(work(self.base.source(), self.instruct.source(), [layer]))


BASE = make_model(layers=4)
PAIRS = {
    "same": (BASE, BASE),
    "tuned": (BASE, noised(BASE, 0.05)),
    "permuted": (BASE, noised(permuted(BASE), 0.05)),
    "permuted in part": (BASE, reordered(BASE, {1: partial_order(48, 1, 0.2), 3: partial_order(48, 3, 0.6)})),
    "pruned": (BASE, pruned(BASE, 0.3)),
    "widened": (BASE, widened(BASE, 20)),
    "layers left out": (BASE, with_layers(BASE, [0, 2, 3])),
    "layers in other places": (BASE, with_layers(BASE, [1, 0, 3, 2])),
    "zeros": (BASE, emptied(BASE, 0.9)),
    "strangers": (BASE, make_model(layers=4, seed=9)),
    "other width": (BASE, make_model(layers=4, d=40, seed=9)),
}


@pytest.mark.costly
@pytest.mark.parametrize("name", PAIRS)
def test_every_layer_alone_gives_what_one_stream_gives(name: str) -> None:
    base, instruct = PAIRS[name]
    ours, theirs, who = base.source(), instruct.source(), OneByOne(base, instruct)
    here = lineage(ours, theirs, (None, None), ({}, {}))
    assert repr(lineage(ours, theirs, (None, None), ({}, {}), who=who)) == repr(here)  # NaN differs from itself
    assert set(who.done) == set(range(min(ours.layers, theirs.layers) + 1))
    alignment = align(ours, theirs, here)
    assert_same_bits(align(ours, theirs, here, who), alignment)
    if mlp_shape(ours) == mlp_shape(theirs):
        assert_same_bits(measure_drift(ours, theirs, who=who), measure_drift(ours, theirs))
    if ours.d == theirs.d:
        found = measure_drift(ours, theirs, alignment.base_ids, who)
        assert_same_bits(found, measure_drift(ours, theirs, alignment.base_ids))


def test_a_layer_is_sent_the_base_ids_of_its_own_neurons_alone() -> None:
    who = OneByOne(BASE, noised(permuted(BASE), 0.05))
    ours, theirs = who.base.source(), who.instruct.source()
    ids = np.arange(ours.layers * ours.d_m)[::-1].copy()
    sent = [compare_mapped(ours, theirs, ids, each) for each in (who, None)]
    for found, expected in zip(*(by_kind.values() for by_kind in sent), strict=True):
        assert_same_bits(found, expected)
    assert len(who.sent_bytes) == ours.layers
    assert max(who.sent_bytes) < ids.nbytes / ours.layers + 512


def assert_same_bits(found: object, expected: object) -> None:
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(vars(found)[name], value, name, strict=isinstance(value, np.ndarray))


def test_streams_here_share_layers_where_they_may() -> None:
    source = BASE.source()
    for streams, at_once, expected in [(1, True, [4]), (3, False, [4]), (3, True, [1, 1, 1, 1])]:
        groups = list(
            Here(source, source, streams).each(lambda _a, _b, layers: list(layers), range(4), at_once=at_once)
        )
        assert [len(group) for group in groups] == expected
        assert [layer for group in groups for layer in group] == [0, 1, 2, 3]
