"""Independent pieces of work at once, in as many processes as there are processors.

Searches and drawings spend their time in Python, where threads wait for one another. Processes are forked, as the data
loaders of torch do it: arrays are not copied, and nothing but results travels. A piece of work must run no model and
show no progress: threads of torch and of a live display are not there after a fork. Its warnings are printed, and not
seen by filters of this process. Elsewhere than on Linux, in threads, and where OMP_NUM_THREADS is 1, all of it runs
here, one piece after the other.
"""

import ctypes
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from joblib import cpu_count

from provenance.errors import JobError
from provenance.processes.blas_threads import blas_threads

_T = TypeVar("_T")
_ALLOWED: ContextVar[int | None] = ContextVar("processes", default=None)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@contextmanager
def at_most(processes: int) -> Iterator[None]:
    """No more processes than these inside a block, in place of as many as there are processors."""
    around = _ALLOWED.get()
    before = _ALLOWED.set(processes if around is None else min(around, processes))
    try:
        yield
    finally:
        _ALLOWED.reset(before)


def alone() -> None:
    """No other process from here on, where this one is one of many already."""
    _ALLOWED.set(1)


def fork_join(work: Sequence[Callable[[], _T]]) -> list[_T]:
    """Results of pieces of work that do not depend on one another, in their order.

    In a process of its own a piece has one thread of linear algebra. Pieces may do the same with their parts:
    processors are divided among them.

    Raises:
        JobError: A process ended without a result, as where a system has no memory left.
        Exception: What the first piece that failed raised; the others are ended.
    """
    allowed = _allowed()
    count = min(allowed, len(work))
    crew = _crew(work, count, allowed // count) if count > 1 else []
    if not crew:
        return [piece() for piece in work]
    found, left = dict[int, _T](), iter(range(len(work)))
    busy: dict[object, _Forked[_T]] = {forked.pipe: forked for forked in crew}
    try:
        for forked in crew:
            forked.begin(next(left))
        while busy:
            for ready in wait([forked.pipe for forked in busy.values()]):
                forked = busy[ready]
                found[forked.number] = forked.result()
                number = next(left, None)
                if number is None:
                    del busy[ready]
                else:
                    forked.begin(number)
    finally:
        for forked in crew:
            forked.end()
    return [found[number] for number in range(len(work))]


def _allowed() -> int:
    allowed = _ALLOWED.get()
    # Another thread may hold a lock that nobody would free after a fork; a daemon may have no children.
    here = threading.current_thread() is threading.main_thread() and not multiprocessing.current_process().daemon
    if sys.platform != "linux" or not here:
        return 1
    if allowed is not None:
        return allowed
    processors, threads = int(cpu_count()), os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(processors, int(threads)) if threads.isdecimal() and int(threads) else processors


def _crew(work: Sequence[Callable[[], _T]], count: int, share: int) -> "list[_Forked[_T]]":
    """So many processes, or as many as the system lets begin."""
    crew: list[_Forked[_T]] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        for _ in range(count):
            try:
                crew.append(_Forked(work, share))
            except OSError:  # no memory for another one, or no number
                break
    return crew


class _Forked(Generic[_T]):
    """Another process, which does one piece of the work after the other."""

    number = -1
    """The piece that it was given last."""

    def __init__(self, work: Sequence[Callable[[], _T]], share: int) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(work, share, there, os.getpid()))
        try:
            self._process.start()
        except OSError:
            self.pipe.close()
            raise
        finally:
            there.close()

    def begin(self, number: int) -> None:
        """Give it a piece."""
        self.number = number
        with suppress(OSError):  # it was killed, which its result tells
            self.pipe.send(number)

    def result(self) -> _T:
        """What its last piece gave.

        Raises:
            JobError: It ended without a result.
            Exception: What its piece raised.
        """
        try:
            content = self.pipe.recv_bytes()
        except (EOFError, OSError) as error:
            self._process.join()
            killed = self._process.exitcode == -signal.SIGKILL
            raise JobError(
                "a process that works beside this one to the end",
                found="one that was killed, as a system does that has no memory left"
                if killed
                else f"one that ended with code {self._process.exitcode}",
                remedy="free memory, or set OMP_NUM_THREADS=1 for a single process; finished work is kept",
            ) from error
        found: _T
        failed, found, where = pickle.loads(content)  # noqa: S301 - from a process of ours
        if isinstance(failed, Exception):
            raise failed from _InFork(where)
        return found

    def end(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


class _InFork(Exception):  # noqa: N818 - no error of its own: the traceback of one
    """Where another process raised an error."""


def _serve(work: Sequence[Callable[[], object]], share: int, pipe: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        return
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a live display holds locks that nobody frees here
    gc.freeze()  # garbage from before the fork may hold memory of a GPU or a connection, which are not ours to free
    while True:
        pipe.send_bytes(_outcome(work[pipe.recv()], share))


def _outcome(piece: Callable[[], object], share: int) -> bytes:
    """What a piece raised, what it gave, and where it failed; pickled."""
    try:
        with at_most(share), blas_threads(1):
            return pickle.dumps((None, piece(), ""))
    except Exception as error:  # noqa: BLE001 - raised again in the other process
        where = traceback.format_exc()
        try:
            content = pickle.dumps((error, None, where))
            pickle.loads(content)  # noqa: S301 - errors of some packages cannot be built again
        except Exception:  # noqa: BLE001 - whatever an error's own pickling raises
            told = JobError("a piece of work done", found=f"{type(error).__name__}: {error}", remedy="see --debug")
            return pickle.dumps((told, None, where))
        return content
