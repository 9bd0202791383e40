"""Protocols of resumable storage for the collecting code, which the database implements.

Appending is one transaction, so a batch or a chunk is there completely or not at all.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from provenance.records import CaptureChunk, Response


@runtime_checkable
class ResponseLog(Protocol):
    """Responses of one task, by the position of their question."""

    def put(self, responses: Mapping[int, Response]) -> None:
        """Write some, completely or not at all: after those that are there, or in place of those with a full quota."""

    def responses(self) -> list[Response]:
        """Everything written, by position, without gaps."""


@runtime_checkable
class CaptureLog(Protocol):
    """Files of captured vectors of one task, in order."""

    def chunks(self) -> list[CaptureChunk]:
        """Everything written, in order."""

    def append(self, chunk: CaptureChunk) -> None:
        """Write one chunk's row."""

    def discard(self, chunk: CaptureChunk) -> None:
        """Forget a chunk whose file is gone or damaged."""
