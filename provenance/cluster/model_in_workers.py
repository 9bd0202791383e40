"""A model that every worker of a cluster holds: it answers questions in shards, and reads answers in chunks.

A shard is a batch as one process would ask it, and a chunk one as it would read it, so the same numbers are added in
the same order wherever they are computed.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from provenance.activations.reading import Quantity
from provenance.answers.prompts import Prompt
from provenance.answers.sampling import Decoding, Draw, Sampled
from provenance.architectures import Layout
from provenance.cluster.connection import Cluster
from provenance.cluster.worker import Asked, ModelWanted, Worker
from provenance.cluster.workers import Call, Workers
from provenance.models.loading import Lexicon
from provenance.records import OtherTokens, Response


@dataclass(frozen=True)
class ModelInWorkers:
    """A `provenance.answers.sampling.Sampler` and a `provenance.activations.reading.ReadsElsewhere`."""

    workers: Workers
    lexicon: Lexicon
    layout: Layout
    shard: int
    """Questions that one worker is asked at a time."""

    def prompted(self, prompts: Sequence[Prompt], decoding: Decoding, stop_ids: frozenset[int]) -> Draw:
        """See `Sampler`; a draw raises what `Workers.results` does."""
        self.lexicon.require_known(token for prompt in prompts for token in prompt.ids)
        starts = range(0, len(prompts), self.shard)
        shards = [Asked(tuple(prompts[start : start + self.shard]), decoding, stop_ids) for start in starts]
        return _Shards(self.workers, shards, self.shard).draw

    def read(
        self, quantities: Collection[Quantity], other: OtherTokens, batches: Sequence[Sequence[Response]]
    ) -> Iterator[Mapping[Quantity, np.ndarray]]:
        """See `ReadsElsewhere`; raises what `Workers.results` does."""
        wanted = frozenset(quantities)
        return self.workers.results([Call("read", (wanted, other, tuple(batch))) for batch in batches])

    def stop(self) -> None:
        """See `Workers.stop`."""
        self.workers.stop()


@dataclass(frozen=True)
class _Shards:
    """Prompts dealt out to workers."""

    workers: Workers
    shards: Sequence[Asked]
    size: int

    def draw(self, rows: Sequence[int], samples: range, seed: int) -> list[Sequence[Sampled]]:
        """See `Draw`; a shard goes to the worker that has read its prompts."""
        own: dict[int, list[int]] = {}
        for row in rows:
            own.setdefault(row // self.size, []).append(row)
        calls = [
            Call("sample", (self.shards[n], [row % self.size for row in held], samples, seed), n % self.workers.count)
            for n, held in own.items()
        ]
        found: dict[int, Sequence[Sampled]] = {}
        for held, drawn in zip(own.values(), self.workers.results(calls), strict=True):
            found |= dict(zip(held, drawn, strict=True))
        return [found[row] for row in rows]


@dataclass(frozen=True)
class ClusterModel:
    """A checkpoint whose model answers and reads in the workers of a cluster, which it does not hold yet."""

    cluster: Cluster
    wanted: ModelWanted
    lexicon: Lexicon
    layout: Layout
    shard: int
    """Questions that one worker is asked at a time."""

    @property
    def questions_at_once(self) -> int:
        """Questions that all workers together are asked at a time."""
        return self.shard * self.cluster.share(on_gpus=self.wanted.on_gpu).workers

    def start(self) -> ModelInWorkers:
        """The model in workers, which come when they are needed."""
        workers = Workers(self.cluster.ray, self.cluster.share(on_gpus=self.wanted.on_gpu), Worker, self.wanted)
        return ModelInWorkers(workers, self.lexicon, self.layout, self.shard)
