"""What a reply to a benchmark is read as."""

from dataclasses import dataclass

YIELDS, HOLDS, REFUSES, FAILED, CUT_OFF = 1, 0, 2, -1, -2
"""Readings: yields; does not; declines to answer, which is no yielding either; unreadable; cut off before it was."""


@dataclass(frozen=True)
class Reading:
    """What a rule makes of a reply."""

    code: int
    """One of the readings above."""
    sure: bool
    """Whether the rule decides; a guess otherwise."""
