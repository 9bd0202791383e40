"""Work in several processes gives what one process gives, and no process outlives its work."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from provenance.errors import FitError, JobError
from provenance.processes.fork_join import _allowed, alone, at_most, fork_join
from provenance.processes.fork_join import _Forked as Forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


def squares_of(numbers: range) -> list[Callable[[], tuple[int, int]]]:
    return [partial(lambda number: (number**2, os.getpid()), number) for number in numbers]


Span = tuple[float, float]


def waited() -> Span:
    """When a piece began and ended; the clock is that of the machine."""
    began = time.monotonic()
    time.sleep(0.5)
    return began, time.monotonic()


def most_at_once(spans: Sequence[Span]) -> int:
    """The largest number of pieces under way together."""
    return max(sum(one[0] <= other[0] < one[1] for one in spans) for other in spans)


def test_results_are_in_order_and_come_from_several_processes() -> None:
    with at_most(3):
        found = fork_join(squares_of(range(12)))
    assert [square for square, _ in found] == [number**2 for number in range(12)]
    assert os.getpid() not in {process for _, process in found}
    with at_most(3):
        assert most_at_once(fork_join([waited] * 7)) == 3


def test_one_process_works_here() -> None:
    with at_most(1):
        assert {process for _, process in fork_join(squares_of(range(4)))} == {os.getpid()}
    with at_most(4):
        assert fork_join(squares_of(range(1)))[0][1] == os.getpid()
        assert fork_join(squares_of(range(0))) == []


@pytest.mark.parametrize(("threads", "expected"), [("1", 1), (" 2 ,1", 2), ("", None), ("0", None), ("many", None)])
def test_threads_that_are_asked_for_limit_processes(
    threads: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provenance.processes.fork_join.cpu_count", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)

    assert _allowed() == (expected or 3)


def test_pieces_that_divide_their_own_work_share_the_processors() -> None:
    with at_most(4):
        first, second = fork_join([partial(fork_join, [waited] * 4)] * 2)
    assert most_at_once(first) + most_at_once(second) >= 4
    assert 2 < most_at_once([*first, *second]) <= 4


def test_a_processor_that_has_nothing_more_to_do_is_taken_where_work_is_left() -> None:
    with at_most(2):
        one, many = fork_join([lambda: [waited()], partial(fork_join, [waited] * 6)])
    assert most_at_once([*one, *many]) == 2
    assert most_at_once(many) == 2


def test_a_processor_is_free_again_after_an_error_that_was_expected() -> None:
    def failed_and_tried_again() -> list[Span]:
        with suppress(ValueError):
            fork_join([failing(ValueError("no")), waited, waited])
        return fork_join([waited] * 9)

    with at_most(3):
        _, many = fork_join([lambda: [waited()], failed_and_tried_again])
    assert most_at_once(many) == 3


def test_one_of_many_processes_keeps_to_itself() -> None:
    def one_of_many() -> set[int]:
        alone()
        return {process for _, process in fork_join(squares_of(range(6)))}

    with at_most(8):
        [first, _] = fork_join([one_of_many] * 2)
    assert len(first) == 1


def test_arrays_come_back_as_they_are() -> None:
    large = np.random.default_rng(0).normal(size=(400, 1000))
    with at_most(2):
        found = fork_join([partial(np.multiply, large, factor) for factor in range(5)])
    assert all(np.array_equal(array, large * factor) for factor, array in enumerate(found))


class UnkindError(Exception):
    """Cannot be built again from what it is pickled as."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def failing(error: BaseException, after: float = 0.0) -> Callable[[], None]:
    def piece() -> None:
        time.sleep(after)
        raise error

    return piece


def test_an_error_of_a_piece_is_raised_as_it_is_with_its_place_and_ends_the_others() -> None:
    refused = failing(FitError("rows", found="none", remedy="ask more"))
    start = time.monotonic()
    with at_most(2), pytest.raises(FitError, match="ask more") as raised:
        fork_join([partial(time.sleep, 60), refused, refused])
    assert time.monotonic() - start < 30
    assert "in piece" in str(raised.value.__cause__)
    assert not multiprocessing.active_children()


def test_an_error_that_cannot_travel_is_told_in_words() -> None:
    with at_most(2), pytest.raises(JobError, match="UnkindError: no pen"):
        fork_join([failing(UnkindError("no", "pen")), partial(time.sleep, 60)])


@pytest.mark.parametrize(
    ("piece", "told"),
    [
        (partial(os.kill, 0, 0), None),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "one that was killed"),
        (lambda: os._exit(7), "one that ended with code 7"),
        (failing(SystemExit(3)), "one that ended with code 3"),
    ],
)
def test_a_process_that_ends_without_a_result_is_one_error(piece: Callable[[], None], told: str | None) -> None:
    with at_most(2):
        if told is None:
            assert fork_join([piece, piece]) == [None, None]
            return
        with pytest.raises(JobError, match=told):
            fork_join([piece, partial(time.sleep, 60)])


def test_a_result_that_cannot_travel_is_one_error() -> None:
    with at_most(2), pytest.raises((JobError, AttributeError, TypeError), match="pickle"):
        fork_join([lambda: lambda: None, partial(time.sleep, 60)])


@pytest.mark.parametrize("refused_from", [0, 1, 2])
def test_pieces_are_done_where_no_process_can_begin(refused_from: int, monkeypatch: pytest.MonkeyPatch) -> None:
    forks, start = [], Forked.__init__

    def begun(self: Forked[int], *given: object) -> None:
        forks.append(given)
        if len(forks) > refused_from:
            raise BlockingIOError(11, "no process more")
        start(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Forked, "__init__", begun)
    with at_most(3):
        assert fork_join([partial(pow, number, 2) for number in range(9)]) == [number**2 for number in range(9)]
    assert len(forks) == refused_from + 1  # what was refused once is not tried again


def test_pieces_are_done_where_no_file_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_pipe() -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe", no_pipe)
    with at_most(3):
        assert {process for _, process in fork_join(squares_of(range(4)))} == {os.getpid()}


def test_a_thread_and_a_daemon_work_alone() -> None:
    found: list[int] = []
    with at_most(4):
        assert len({process for _, process in fork_join(squares_of(range(4)))}) == 4
        context = copy_context()
    thread = threading.Thread(
        target=lambda: found.extend(process for _, process in context.run(fork_join, squares_of(range(4))))
    )
    thread.start()
    thread.join()
    assert set(found) == {os.getpid()}


def test_what_a_piece_prints_goes_past_a_live_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """A display holds locks that nobody frees after a fork."""

    class Locked:
        def write(self, text: str) -> None:
            time.sleep(60)

    monkeypatch.setattr(sys, "stderr", Locked())
    with at_most(2):
        assert fork_join([lambda: sys.stderr is sys.__stderr__] * 2) == [True, True]


def test_many_pieces_are_done() -> None:
    with at_most(2):
        assert fork_join([partial(int, number) for number in range(40)]) == list(range(40))


def test_arrays_have_one_thread_in_every_piece_also_after_this_process_had_several() -> None:
    """Threads of OpenMP that began here are not there after a fork, and torch would wait for them without end."""
    half = torch.ones(1 << 22, dtype=torch.float16)

    def threads() -> tuple[set[int], int]:
        assert float(half.float().sum()) == half.numel()
        return {library["num_threads"] for library in threadpool_info()}, torch.get_num_threads()

    with threadpool_limits(2), at_most(8):
        assert threads()[1] == 2
        assert fork_join([threads] * 2) == [({1}, 1)] * 2


KILLED = r"""
import os, signal, time
from provenance.processes.fork_join import at_most, fork_join
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit that it is ignored
def waited():
    os.write(1, f"{os.getpid()}\n".encode())
    time.sleep(60)
with at_most(2):
    fork_join([waited] * 2)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_the_one_that_started_them(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        seen = {int(process.stdout.readline()) for _ in range(2)}
        process.send_signal(number)
        process.wait(30)
    assert len(seen) == 2
    for each in seen:
        for _ in range(200):
            if not _runs(each):
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"process {each} is still there")


def _runs(process: int) -> bool:
    try:
        with Path(f"/proc/{process}/stat").open(encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
