"""Progress says how long each step still takes, by its own rate and as honestly as quotas allow."""

from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from provenance.answers.quotas import questions_left
from provenance.cells import duration
from provenance.cli.show.progress import ConsoleProgress
from provenance.stages import Left


class Watched:
    """Progress whose time is set by hand."""

    def __init__(self, *, terminal: bool = False) -> None:
        self.now = 1000.0
        self._text = StringIO()
        console = Console(file=self._text, width=200, force_terminal=terminal)
        self.shown = ConsoleProgress(quiet=False, console=console, clock=lambda: self.now)

    def step(self, at: float, done: int, total: int, note: str = "", left: Left | None = None) -> None:
        self.now = 1000.0 + at
        self.shown.step("ask instruct train", done, total, note, left)

    @property
    def lines(self) -> list[str]:
        return self._text.getvalue().splitlines()


def test_piped_lines_say_the_time_left_once_a_rate_is_measured() -> None:
    watched = Watched()
    for batch in range(7):
        watched.step(10.0 * batch, 64 * (batch + 1), 4864, "40 faithful")
    assert watched.lines[0] == "  ask instruct train: 64 of 4864 (40 faithful)"
    assert watched.lines[1] == "  ask instruct train: 128 of 4864 (40 faithful), 12 min left"
    assert watched.lines[-1] == "  ask instruct train: 448 of 4864 (40 faithful), 12 min left"


def test_the_last_step_and_one_of_a_moment_have_no_time_left() -> None:
    watched = Watched()
    watched.step(0.0, 10, 100)
    watched.step(2.0, 20, 100)  # too short for a rate, and no line yet
    watched.step(60.0, 100, 100)
    assert watched.lines == ["  ask instruct train: 10 of 100", "  ask instruct train: 100 of 100"]


def test_kept_work_that_is_passed_over_at_once_is_no_rate() -> None:
    watched = Watched()
    for done in range(0, 500, 10):
        watched.step(done / 1000, done, 1000)
    for batch in range(1, 4):
        watched.step(10.0 * batch, 490 + 10 * batch, 1000)
    assert watched.lines[-1] == "  ask instruct train: 520 of 1000, 8 min left"


def test_the_last_minute_counts_and_a_step_that_begins_again_is_measured_anew() -> None:
    watched = Watched()
    for second in range(0, 600, 10):
        watched.step(second, second, 10_000)
    for second in range(600, 700, 10):  # ten times as fast from here on
        watched.step(second, 600 + 10 * (second - 600), 10_000)
    assert watched.lines[-1] == "  ask instruct train: 1500 of 10000, 14 min left"
    watched.step(710, 1, 10_000)
    assert watched.lines[-1] == "  ask instruct train: 1 of 10000"


def test_a_step_that_ends_early_says_until_when_or_that_it_does_not_know() -> None:
    watched = Watched()
    watched.step(0, 100, 5000)
    watched.step(10, 200, 5000, left=Left(300))
    watched.step(20, 300, 5000, left=Left(4700, at_most=True))
    assert [line.split(", ")[1] for line in watched.lines[1:]] == ["30 s left", "at most 8 min left"]


def test_a_live_bar_says_it_beside_its_note() -> None:
    watched = Watched(terminal=True)
    with watched.shown:
        watched.step(0, 100, 1000, "60 faithful")
        watched.step(10, 200, 1000, "120 faithful")
    assert any("120 faithful, 80 s left" in line for line in watched.lines)


@pytest.mark.parametrize(
    ("faithful", "hallucinated", "asked", "left"),
    [
        (50, 25, 100, Left(300)),  # the rarer class needs 75 more, at 4 questions each
        (100, 25, 100, Left(300)),  # the other one is full
        (100, 9, 100, Left(900, at_most=True)),  # too few to say how often it comes
        (0, 0, 0, Left(1000, at_most=True)),
        (60, 10, 500, Left(500)),  # all that there are, and then the questions end
        (100, 100, 400, Left(0)),
    ],
)
def test_questions_left_are_those_until_both_classes_are_full(
    faithful: int, hallucinated: int, asked: int, left: Left
) -> None:
    counts = Counter(faithful=faithful, hallucinated=hallucinated, dropped=7)
    assert questions_left(counts, asked, total=1000, quota=100) == left


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "under 1 s"), (1, "1 s"), (119, "119 s"), (180, "3 min"), (7200, "2 h"), (200_000, "2 days")],
)
def test_a_duration_is_said_in_the_largest_unit_of_which_there_are_two(seconds: float, words: str) -> None:
    assert duration(seconds) == words
