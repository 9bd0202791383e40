"""Work in several processes gives what one process gives, and no process outlives its work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from provenance.errors import FitError, JobError
from provenance.processors.side_by_side import alone, at_most, side_by_side

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


def squares_of(numbers: range) -> list[Callable[[], tuple[int, int]]]:
    return [partial(lambda number: (number**2, os.getpid()), number) for number in numbers]


def test_results_are_in_order_and_come_from_several_processes() -> None:
    def slow_square(number: int) -> tuple[int, int]:
        time.sleep(0.02)  # so that no process takes all
        return number**2, os.getpid()

    with at_most(3):
        found = side_by_side([partial(slow_square, number) for number in range(12)])
    assert [square for square, _ in found] == [number**2 for number in range(12)]
    assert len({process for _, process in found}) == 3


def test_one_process_works_here() -> None:
    with at_most(1):
        assert {process for _, process in side_by_side(squares_of(range(4)))} == {os.getpid()}
    with at_most(4):
        assert side_by_side(squares_of(range(1)))[0][1] == os.getpid()
        assert side_by_side(squares_of(range(0))) == []


@pytest.mark.parametrize(("threads", "expected"), [("1", 1), ("2,1", 2), ("", None), ("0", None), ("many", None)])
def test_threads_that_are_asked_for_limit_processes(
    threads: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provenance.processors.side_by_side.cpu_count", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)

    def waited() -> int:
        time.sleep(0.05)
        return os.getpid()

    assert len(set(side_by_side([waited] * 6))) == (expected or 3)


def test_processors_are_divided_among_pieces_that_divide_their_own_work() -> None:
    def waited() -> int:
        time.sleep(0.05)
        return os.getpid()

    with at_most(4):
        first, second = side_by_side([partial(side_by_side, [waited] * 4)] * 2)
    assert len(set(first)) == len(set(second)) == 2
    assert not set(first) & set(second)


def test_one_of_many_processes_keeps_to_itself() -> None:
    def one_of_many() -> set[int]:
        alone()
        return {process for _, process in side_by_side(squares_of(range(6)))}

    with at_most(8):
        [first, _] = side_by_side([one_of_many] * 2)
    assert len(first) == 1


def test_arrays_come_back_as_they_are() -> None:
    large = np.random.default_rng(0).normal(size=(400, 1000))
    with at_most(2):
        found = side_by_side([partial(np.multiply, large, factor) for factor in range(5)])
    assert all(np.array_equal(array, large * factor) for factor, array in enumerate(found))


def test_an_error_of_a_piece_is_raised_as_it_is() -> None:
    def refused() -> None:
        time.sleep(0.05)
        raise FitError("rows", found="none", remedy="ask more")

    with at_most(2), pytest.raises(FitError, match="ask more"):
        side_by_side([refused, refused])


def test_a_process_that_is_killed_is_one_error_with_its_signal() -> None:
    here = os.getpid()

    def killed() -> None:
        time.sleep(0.05)
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)

    with at_most(2), pytest.raises(JobError, match="ended with code -9"):
        side_by_side([killed] * 4)


def test_an_error_here_ends_the_other_processes() -> None:
    here = os.getpid()

    def waited() -> None:
        if os.getpid() == here:
            raise FitError("rows", found="none", remedy="ask more")
        time.sleep(60)

    start = time.monotonic()
    with at_most(2), pytest.raises(FitError):
        side_by_side([waited] * 2)
    assert time.monotonic() - start < 30


KILLED = r"""
import os, time
from provenance.processors.side_by_side import at_most, side_by_side
def waited():
    os.write(1, f"{os.getpid()}\n".encode())
    time.sleep(60)
with at_most(2):
    side_by_side([waited] * 2)
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
