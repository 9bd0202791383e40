"""Announces the stages of a job and measures their time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from provenance.analyses.asking.collection import Progress

_T = TypeVar("_T")


@dataclass
class Clock:
    """Wall time by stage, in milliseconds."""

    progress: Progress
    durations_ms: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, work: Callable[[], _T]) -> _T:
        """Run one stage."""
        self.progress.stage(name)
        start = time.perf_counter()
        result = work()
        self.durations_ms[name] = self.durations_ms.get(name, 0.0) + 1000 * (time.perf_counter() - start)
        return result
