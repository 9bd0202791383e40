"""Protocols of resumable storage for the collecting code, which the database implements.

Appending is one transaction, so a batch or a chunk is there completely or not at all.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from provenance.records import CaptureChunk, Response


@runtime_checkable
class ResponseLog(Protocol):
    """Responses of one task, batch after batch."""

    def batches_done(self) -> int:
        """Batches written so far; they are written in order."""

    def append(self, batch: int, responses: Sequence[Response]) -> None:
        """Write one batch, completely or not at all."""

    def responses(self) -> list[Response]:
        """Everything written, in order."""


@runtime_checkable
class CaptureLog(Protocol):
    """Files of captured vectors of one task, in order."""

    def chunks(self) -> list[CaptureChunk]:
        """Everything written, in order."""

    def append(self, chunk: CaptureChunk) -> None:
        """Write one chunk's row."""

    def discard(self, chunk: CaptureChunk) -> None:
        """Forget a chunk whose file is gone or damaged."""
