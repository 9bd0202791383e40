"""A tensor reader that reports how much it has streamed; reading a large pair can take hours."""

import threading
from collections.abc import Callable, Iterator, Sequence

import torch

from provenance.weights.tensors import Rows, TensorReader, bytes_of

MEGABYTE = 1_000_000


class WatchedReader:
    """The same tensors, reported as they are streamed.

    Args:
        total: Expected bytes to stream; the report stops there.
        report: Gets (megabytes streamed, megabytes in all) whenever the first number has grown; calls do not overlap.
    """

    def __init__(self, reader: TensorReader, total: int, report: Callable[[int, int], None]) -> None:
        self._reader = reader
        self._total = max(1, total // MEGABYTE)
        self._report = report
        self._done = 0
        self._said = 0
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names of all tensors, sorted."""
        return self._reader.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header."""
        return self._reader.shape(name)

    def dtype(self, name: str) -> str:
        """Storage dtype of a tensor as safetensors spells it, such as `BF16`."""
        return self._reader.dtype(name)

    def read(self, name: str) -> torch.Tensor:
        """One whole tensor in its storage dtype; not reported."""
        return self._reader.read(name)

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        """The wanted rows, each reported when the next one is asked for."""
        for rows, tensor in zip(wanted, self._reader.stream(wanted), strict=True):
            yield tensor
            self._passed(bytes_of(self._reader, rows))

    def _passed(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = min(self._done // MEGABYTE, self._total)
            if now > self._said:
                self._said = now
                self._report(now, self._total)
