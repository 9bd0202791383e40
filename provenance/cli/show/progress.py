"""Progress of a long job on stderr, with the time that each step has left by its own rate.

It is a live bar on a terminal and plain lines otherwise, so that `--json` and pipes stay clean. A notebook, `study` and
`lab selftest` show the same.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from provenance.cells import duration
from provenance.stages import Left

LINE_EVERY_S = 10.0  # plain progress lines of one step are at least this far apart
SKIPPED_S = 1.0  # a step that goes on from kept work passes over that at once, which is no rate
MEASURED_S = 5.0  # a rate needs this long
WINDOW_S = 60.0  # a full class is asked less of, so that only the last minute says how fast the rest goes


class Pace:
    """Rate of one step over its last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._began = 0.0

    def see(self, done: int, now: float) -> None:
        """Note what is done at a time in seconds; a step that begins again is measured anew."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        if not self._seen:
            self._began = now
        elif now - self._began < SKIPPED_S:
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_S:
            self._seen.popleft()

    def seconds_for(self, units: int) -> float | None:
        """Seconds that so many units take at this rate; None until it has been measured."""
        (start, before), (now, done) = self._seen[0], self._seen[-1]
        if done == before or now - start < MEASURED_S:
            return None
        return units * (now - start) / (done - before)


class ConsoleProgress:
    """Progress of a long job on stderr, or on `console`; `clock` gives seconds.

    A notebook shows the same lines: a display of its own for each would fill the cell.
    """

    def __init__(
        self, *, quiet: bool, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Console(stderr=True, quiet=quiet, force_jupyter=False)
        self._live = (
            Progress(
                TextColumn("{task.description:<42}"), BarColumn(bar_width=24), MofNCompleteColumn(),
                TimeElapsedColumn(), TextColumn("{task.fields[note]}"), console=self._console,
            )
            if self._console.is_terminal and not quiet
            else None
        )  # fmt: skip
        self._clock = clock
        self._rows: dict[str, Any] = {}
        self._paces: dict[str, Pace] = {}
        self._spoken_at: dict[str, float] = {}

    def __enter__(self) -> "ConsoleProgress":  # noqa: PYI034 - the shape checker of the tests cannot read Self
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._live.stop()

    def stage(self, name: str) -> None:
        """A new stage begins."""
        if not self._live:
            self._console.print(f"{name} ...", highlight=False, markup=False)

    def step(self, name: str, done: int, total: int, note: str, left: Left | None = None) -> None:
        """Part of a stage is done; `left` where that is not the rest of `total`."""
        now = self._clock()
        pace = self._paces.setdefault(name, Pace())
        pace.see(done, now)
        time_left = _time_left(pace, left or Left(total - done))
        if self._live:
            said = ", ".join(filter(None, (note, time_left)))
            if name not in self._rows:
                self._rows[name] = self._live.add_task(name, total=total, note=said)
            self._live.update(self._rows[name], completed=done, total=total, note=said)
        elif done >= total or now - self._spoken_at.get(name, -LINE_EVERY_S) >= LINE_EVERY_S:
            self._spoken_at[name] = now
            noted = f"{done} of {total}" + (f" ({note})" if note else "")
            said = ", ".join(filter(None, (noted, time_left)))
            self._console.print(f"  {name}: {said}", highlight=False, markup=False, soft_wrap=True)


def _time_left(pace: Pace, left: Left) -> str:
    """The time left in words; empty where it is not known, or nothing to speak of."""
    seconds = pace.seconds_for(left.units)
    if seconds is None or seconds < 1:
        return ""
    return f"{'at most ' if left.at_most else ''}{duration(seconds)} left"
