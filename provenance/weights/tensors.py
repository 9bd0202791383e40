"""Interface to a checkpoint's weights: names, shapes, and rows of tensors in the order asked for.

The caller names the rows and their order first, then goes through them once. So a local file is read into one buffer,
a file on the hub is fetched ahead over several connections, and an adapter is merged block by block; each holds only a
few blocks, and callers need not know which one they read.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from provenance.checkpoints.headers import ITEM_BYTES


@dataclass(frozen=True)
class Rows:
    """Rows of a tensor along its first axis."""

    name: str
    start: int
    stop: int
    """Row after the last one."""


@runtime_checkable  # for the check of signatures in the test run
class TensorReader(Protocol):
    """Read access to all tensors of one checkpoint."""

    def names(self) -> list[str]:
        """Names of all tensors, sorted."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header."""

    def dtype(self, name: str) -> str:
        """Storage dtype of a tensor as safetensors spells it, such as `BF16`."""

    def read(self, name: str) -> torch.Tensor:
        """One whole tensor in its storage dtype, in memory of its own."""

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        """The wanted rows, in order, in the storage dtype; a tensor is valid until the next, which may reuse memory."""


def bytes_of(reader: TensorReader, rows: Rows) -> int:
    """Stored bytes of some rows."""
    return (rows.stop - rows.start) * math.prod(reader.shape(rows.name)[1:]) * ITEM_BYTES[reader.dtype(rows.name)]
