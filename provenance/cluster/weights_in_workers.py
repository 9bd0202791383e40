"""The weights of a pair, read layer by layer in the workers of a cluster.

Every worker has both checkpoints on its machine. A layer gives the same numbers wherever it is read, and results come
in the order of the layers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from provenance.cluster.workers import Call, Workers

L = TypeVar("L")
R = TypeVar("R")


@dataclass(frozen=True)
class WeightsInWorkers:
    """A `provenance.analyses.weights.by_layers.ByLayers`."""

    workers: Workers

    def each(self, work: Callable[[Any, Any, Sequence[L]], R], layers: Sequence[L], *, at_once: bool) -> Iterator[R]:
        """See `ByLayers`; raises what `Workers.results` does."""
        size = self.workers.share.cpus if at_once else 1
        groups = [tuple(layers[start : start + size]) for start in range(0, len(layers), size)]
        for results in self.workers.results([Call("each", (work, group)) for group in groups]):
            yield from results
