"""Logs in memory, for tests of the collecting code."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from provenance.records import QUOTA_FULL, CaptureChunk, Response, Task
from provenance.stages import Left


class MemoryResponses:
    """A `ResponseLog` in a list; `fail_at` breaks off before the batch of that number is written, as a kill would."""

    def __init__(self) -> None:
        self.written: list[Response] = []
        self.batches: list[list[int]] = []
        self.fail_at: int | None = None

    def put(self, responses: Mapping[int, Response]) -> None:
        if len(self.batches) == self.fail_at:
            raise KeyboardInterrupt
        self.batches.append(list(responses))
        for position, response in responses.items():
            assert position == len(self.written) or self.written[position].reason == QUOTA_FULL
            self.written[position : position + 1] = [response]

    def responses(self) -> list[Response]:
        return list(self.written)


class MemoryCaptures:
    """A `CaptureLog` in a list."""

    def __init__(self) -> None:
        self.written: list[CaptureChunk] = []

    def chunks(self) -> list[CaptureChunk]:
        return list(self.written)

    def append(self, chunk: CaptureChunk) -> None:
        self.written.append(chunk)

    def discard(self, chunk: CaptureChunk) -> None:
        self.written.remove(chunk)


class MemoryWorkspace:
    """A `Workspace` without a database."""

    def __init__(self, captures: Path) -> None:
        self.captures = captures
        self.response_logs: dict[str, MemoryResponses] = defaultdict(MemoryResponses)
        self.capture_logs: dict[str, MemoryCaptures] = defaultdict(MemoryCaptures)

    def captures_of(self, task: Task) -> Path:
        return self.captures

    def response_log(self, task: Task) -> MemoryResponses:
        return self.response_logs[task.key]

    def capture_log(self, task: Task) -> MemoryCaptures:
        return self.capture_logs[task.key]


class Silent:
    """A `Progress` that remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps: list[tuple[str, int, int, str]] = []

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def step(self, name: str, done: int, total: int, note: str, left: Left | None = None) -> None:
        self.steps.append((name, done, total, note))
