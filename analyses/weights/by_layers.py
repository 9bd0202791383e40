"""Work on the weights of a pair that goes layer by layer: here, or in the workers of a cluster.

A layer gives the same numbers wherever it is read and whatever was read before it, so one process may read all of them
in one stream, and many may share them.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from provenance.analyses.weights.weight_source import WeightSource

L = TypeVar("L")
R = TypeVar("R")
LayerWork = Callable[[Any, Any, Sequence[L]], R]
"""What is done with base, instruct checkpoint and some layers; a function that other processes can import.

A layer is its number, or the number with what is known of that layer alone. Whatever else the function holds is sent
to other processes again for every group of layers.
"""


@runtime_checkable  # the test run checks signatures
class ByLayers(Protocol):
    """Who does it."""

    def each(self, work: LayerWork[L, R], layers: Sequence[L], *, at_once: bool) -> Iterator[R]:
        """Results for groups of layers, which together are all of them in their order.

        `at_once`: whether one machine may do several groups side by side, each with the memory of a layer.
        """


@dataclass(frozen=True)
class Here:
    """This process, from one stream over all layers, or from several."""

    base: WeightSource
    instruct: WeightSource
    streams: int = 1
    """Threads; more than one for local files only."""

    def each(self, work: LayerWork[L, R], layers: Sequence[L], *, at_once: bool) -> Iterator[R]:
        """See `ByLayers`."""
        if self.streams == 1 or not at_once:
            yield work(self.base, self.instruct, layers)
            return
        with ThreadPoolExecutor(self.streams) as pool:
            yield from pool.map(lambda layer: work(self.base, self.instruct, [layer]), layers)
