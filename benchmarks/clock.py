"""Shortest times of things that are measured by turns, so that a busy minute hurts all of them alike."""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def best_of(work: Callable[[], object], repeats: int = 5) -> float:
    """Shortest wall time of several runs, in seconds."""
    return by_turns({"": work}, repeats)[""]


def by_turns(works: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, float]:
    """Shortest wall time of each, in seconds; every round runs all of them."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    return {name: min(runs) for name, runs in times.items()}


def line(name: str, seconds: float, yardstick: float) -> None:
    """One row of the table."""
    print(f"{name:<52}{seconds * 1000:>10.1f} ms{seconds / yardstick:>9.2f} x")


def peak_mb() -> float:
    """Most memory that this program had resident so far.

    Linux only, and not `getrusage`: its figure starts from what the parent process had when it forked.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1000 if found else float("nan")
