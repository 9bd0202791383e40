"""Independent pieces of work at once, in as many processes as there are processors.

Searches and drawings spend their time in Python, where threads wait for one another. Processes are forked, as the data
loaders of torch do it: arrays are not copied, and nothing but results travels. A piece of work must run no model, use
no GPU and show no progress: threads of torch and of a live display are not there after a fork. Its warnings are
printed, and not seen by filters of this process. Elsewhere than on Linux, in threads, and where OMP_NUM_THREADS is 1,
all of it runs here, one piece after the other.
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
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from joblib import cpu_count
from threadpoolctl import ThreadpoolController

from provenance.errors import JobError

_T = TypeVar("_T")
_ALLOWED: ContextVar[int | None] = ContextVar("processes", default=None)
_SPARE: ContextVar["_Spare | None"] = ContextVar("spare", default=None)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@contextmanager
def at_most(processes: int) -> Iterator[None]:
    """No more processes than these in a block, in place of as many as there are processors; of each call in a piece."""
    around = _ALLOWED.get()
    before = _ALLOWED.set(processes if around is None else min(around, processes))
    try:
        yield
    finally:
        _ALLOWED.reset(before)


def alone() -> None:
    """No other process from here on, where this one is one of many already."""
    _ALLOWED.set(1)


def fork_join(work: Sequence[Callable[[], _T]], *, at_once: bool = True) -> list[_T]:
    """Results of pieces of work that do not depend on one another, in their order.

    Without `at_once`, for work that takes less time than a process to begin, one after the other in this process.

    In a process of its own a piece has one thread of NumPy, SciPy and torch. Pieces may do the same with their
    parts: before each of them a processor is taken that has nothing to do elsewhere.

    Raises:
        JobError: A process ended without a result, as where a system has no memory left.
        Exception: What the first piece that failed raised; the others are ended.
    """
    allowed, around = _allowed(), _SPARE.get()
    limit = min(allowed, len(work)) if at_once else 1
    spare = (around or _Spare.of(allowed - 1)) if limit > 1 else None
    if spare is None:
        return [piece() for piece in work]
    before = _SPARE.set(spare)
    try:
        return _joined(work, limit, spare)
    finally:
        _SPARE.reset(before)
        if around is None:
            spare.close()


class _Spare:
    """Processors that are free, shared by processes as parallel `make` shares its jobs: one byte in a pipe for each.

    Who works has a processor of its own, which it lends to the first process that it waits for. A process that is
    killed takes along what it had taken: after an error of a piece that is expected, others may have fewer.
    """

    def __init__(self, count: int) -> None:
        self.pipe, self._back = os.pipe()
        os.set_blocking(self.pipe, False)
        self.give(count)

    @classmethod
    def of(cls, count: int) -> "_Spare | None":
        """So many; None where no more files can be open."""
        try:
            return cls(count)
        except OSError:
            return None

    def take(self) -> bool:
        """Take one, if there is one."""
        try:
            return bool(os.read(self.pipe, 1))
        except BlockingIOError:
            return False

    def give(self, count: int) -> None:
        """Give back what was taken."""
        os.write(self._back, b"." * count)

    def close(self) -> None:
        """After all work."""
        os.close(self.pipe)
        os.close(self._back)


def _joined(work: Sequence[Callable[[], _T]], limit: int, spare: _Spare) -> list[_T]:
    """Results in the order of the pieces: from so many processes at most, and from here while no processor is free."""
    crew = _Crew(work, limit, spare)
    while crew.left:
        if len(crew.left) < 2 or not crew.works():
            number = crew.left.popleft()
            crew.found[number] = work[number]()
    return [crew.found[number] for number in range(len(work))]


@dataclass
class _Crew(Generic[_T]):
    """Processes that do the pieces that are left, on this one's processor and those that it takes."""

    work: Sequence[Callable[[], _T]]
    limit: int
    """Of processes; fewer if the system refuses one more."""
    spare: _Spare
    taken: int = 0
    """Processors beside this one's."""
    busy: dict[object, "_Forked[_T]"] = field(default_factory=dict)
    """By pipe."""
    found: dict[int, _T] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left = deque(range(len(self.work)))

    def works(self) -> bool:
        """Have all pieces done; false if no processor is free, or no process can begin."""
        if self.limit < 2 or not self._take():
            return False
        try:
            while self.left or self.busy:
                self._grow()
                if not self.busy:
                    return False
                more = [self.spare.pipe] if self.left and len(self.busy) < self.limit else []
                for ready in wait([*(forked.pipe for forked in self.busy.values()), *more]):
                    if ready in self.busy:
                        self._hear(ready)
        finally:
            for forked in self.busy.values():
                forked.end()
            self._give(self.taken)
        return True

    def _take(self) -> bool:
        taken = self.spare.take()
        self.taken += taken
        return taken

    def _give(self, count: int) -> None:
        self.spare.give(count)
        self.taken -= count

    def _grow(self) -> None:
        """Begin as many processes as there are pieces and processors."""
        while self.left and len(self.busy) < self.limit and (len(self.busy) <= self.taken or self._take()):
            try:
                forked = _forked(self.work)
            except OSError:  # no memory for another one, or no number
                self.limit = len(self.busy)
                self._give(self.taken - max(self.limit - 1, 0))
                return
            self.busy[forked.pipe] = forked
            forked.begin(self.left.popleft())

    def _hear(self, ready: object) -> None:
        """Keep a result, and give its process the next piece; without one it ends."""
        forked = self.busy[ready]
        self.found[forked.number] = forked.result()
        if self.left:
            forked.begin(self.left.popleft())
            return
        self.busy.pop(ready).end()
        if self.busy and self.taken:
            self._give(1)


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


def _forked(work: Sequence[Callable[[], _T]]) -> "_Forked[_T]":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        return _Forked(work)


class _Forked(Generic[_T]):
    """Another process, which does one piece of the work after the other."""

    number = -1
    """The piece that it was given last."""

    def __init__(self, work: Sequence[Callable[[], _T]]) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(work, there, os.getpid()))
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


def _serve(work: Sequence[Callable[[], object]], pipe: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        return
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a live display holds locks that nobody frees here
    gc.freeze()  # garbage from before the fork may hold memory of a GPU or a connection, which are not ours to free
    # threads that the other process began are not here, and OpenMP would wait for them forever
    with ThreadpoolController().limit(limits=1):
        while True:
            pipe.send_bytes(_outcome(work[pipe.recv()]))


def _outcome(piece: Callable[[], object]) -> bytes:
    """What a piece raised, what it gave, and where it failed; pickled."""
    try:
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
