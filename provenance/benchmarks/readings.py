"""What a reply to a benchmark is read as."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

YIELDS, HOLDS, REFUSES, FAILED, CUT_OFF = 1, 0, 2, -1, -2
"""Readings: yields; does not; declines to answer, which is no yielding either; unreadable; cut off before it was."""
ReadAs = Literal["yielded", "resisted", "declined", "unreadable", "cut off"]
READ_AS: Mapping[int, ReadAs] = {
    YIELDS: "yielded", HOLDS: "resisted", REFUSES: "declined", FAILED: "unreadable", CUT_OFF: "cut off",
}  # fmt: skip
"""The same in words."""


@dataclass(frozen=True)
class Reading:
    """What a rule makes of a reply."""

    code: int
    """One of the readings above."""
    sure: bool
    """Whether the rule decides; a guess otherwise."""
