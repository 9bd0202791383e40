"""Independent pieces of work at once, each in a process of its own, as many as the machine has processors.

Searches and drawings spend their time in Python, where threads wait for one another. Processes are forked, as the data
loaders of torch do it: arrays are not copied, and nothing but results travels. A piece of work must run no model and
print nothing: threads of torch and of a live display are not there after a fork. Elsewhere than on Linux, and where
OMP_NUM_THREADS is 1, all of it runs here, one after the other. Results are the same.
"""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing.connection import Connection
from typing import TypeVar

from joblib import cpu_count

from provenance.errors import JobError
from provenance.processors.blas_threads import blas_threads

_T = TypeVar("_T")
_ALLOWED: ContextVar[int | None] = ContextVar("processes", default=None)
_TICKET = 4  # bytes of the number of a piece
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@contextmanager
def at_most(processes: int) -> Iterator[None]:
    """No more processes than these inside a block."""
    before = _ALLOWED.set(processes)
    try:
        yield
    finally:
        _ALLOWED.reset(before)


def alone() -> None:
    """No other process from here on, where this one is one of many already."""
    _ALLOWED.set(1)


def side_by_side(work: Sequence[Callable[[], _T]]) -> list[_T]:
    """Results of pieces of work that do not depend on one another, in their order.

    Pieces may do the same with their parts: processors are divided among them.

    Raises:
        JobError: A process was ended from outside, as a system does that has no memory left.
    """
    allowed = _allowed()
    count = min(allowed, len(work))
    if count < 2:
        return [piece() for piece in work]
    tickets = _tickets(len(work))
    share = allowed // count
    others = [_Other(work, tickets, share) for _ in range(count - 1)]
    try:
        found = dict(_worked(work, tickets, share))
        for other in others:
            found |= other.results()
    finally:
        os.close(tickets)
        for other in others:
            other.end()
    return [found[number] for number in range(len(work))]


def _allowed() -> int:
    allowed = _ALLOWED.get()
    if allowed is not None:
        return allowed
    if sys.platform != "linux":
        return 1
    processors, threads = int(cpu_count()), os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(processors, int(threads)) if threads.isdecimal() and int(threads) else processors


def _tickets(count: int) -> int:
    """A pipe from which each process takes the number of its next piece; it ends after the last."""
    reading, writing = os.pipe()
    os.write(writing, b"".join(number.to_bytes(_TICKET, "little") for number in range(count)))
    os.close(writing)
    return reading


def _worked(work: Sequence[Callable[[], _T]], tickets: int, share: int) -> Iterator[tuple[int, _T]]:
    with at_most(share), blas_threads(share):
        while ticket := os.read(tickets, _TICKET):
            number = int.from_bytes(ticket, "little")
            yield number, work[number]()


class _Other:
    """Another process, which works until no piece is left."""

    def __init__(self, work: Sequence[Callable[[], _T]], tickets: int, share: int) -> None:
        context = multiprocessing.get_context("fork")
        self._results, there = context.Pipe(duplex=False)
        self._process = context.Process(target=_serve, args=(work, tickets, share, there))
        self._process.start()
        there.close()

    def results(self) -> dict[int, _T]:
        """Its results by number.

        Raises:
            JobError: It ended without them.
            Exception: What one of its pieces raised.
        """
        try:
            found: dict[int, _T] | Exception = self._results.recv()
        except EOFError as error:
            self._process.join()
            raise JobError(
                "a process that works beside this one to the end",
                found=f"one that ended with code {self._process.exitcode}",
                remedy="free memory, or set OMP_NUM_THREADS=1 for a single process; finished work is kept",
            ) from error
        if isinstance(found, Exception):
            raise found
        return found

    def end(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.join()
        self._results.close()


def _serve(work: Sequence[Callable[[], object]], tickets: int, share: int, results: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    gc.freeze()  # garbage from before the fork may hold memory of a GPU or a connection, which are not ours to free
    try:
        found: object = dict(_worked(work, tickets, share))
    except Exception as error:  # noqa: BLE001 - raised again in the other process
        found = error
    results.send(found)
