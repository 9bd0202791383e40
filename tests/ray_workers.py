"""Ray on this machine for tests: a cluster of two workers, and harm done to them."""

import os
import random
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import pytest

from provenance.cluster import connection
from provenance.cluster.connection import Cluster, ClusterAddress, connected

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra `ray`")
KIND = re.compile(rb"ray::\w*Worker\b")
"""Names of our workers' processes; Ray's own agents have others."""
STORE_BYTES = 80 << 20  # the least that Ray takes


@contextmanager
def cluster_of_two() -> Iterator[Cluster]:
    """A cluster with two CPUs, which every `connected` in this process then finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "STORE_BYTES", STORE_BYTES)
        patch.setattr(connection, "cpu_count", lambda: 2)
        with connected(ClusterAddress(None, 2)) as cluster:
            yield cluster


def worker_pids() -> list[int]:
    """Processes of workers of Ray that this process or those that it started have started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if KIND.match((entry / "cmdline").read_bytes()) and os.getpid() in _ancestors(int(entry.name)):
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
                continue
    return found


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        pid = int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        yield pid


class Killer(threading.Thread):
    """Kills workers one after the other at random moments, inside a block."""

    def __init__(self, most: int, seed: int, longest_s: float = 1.5) -> None:
        super().__init__(daemon=True)
        self.killed: list[int] = []
        self._most = most
        self._longest_s = longest_s
        self._random = random.Random(seed)  # noqa: S311 - moments, no secrets
        self._ended = threading.Event()

    def run(self) -> None:
        while len(self.killed) < self._most and not self._ended.wait(self._random.uniform(0, self._longest_s)):
            pids = [pid for pid in worker_pids() if pid not in self.killed]
            if pids:
                victim = self._random.choice(pids)
                os.kill(victim, signal.SIGKILL)
                self.killed.append(victim)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()
