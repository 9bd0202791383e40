"""Ends statements that take too long, and those that the user interrupts.

SQLite runs a statement in one call, during which Python sees neither a clock nor Ctrl-C. A handler that SQLite calls
every few thousand steps sees both: it ends the statement when the time is over, and an interrupt inside it does too.
PostgreSQL has a setting for the time, and its driver lets an interrupt through.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from provenance.errors import InputError

STEPS = 10_000  # of SQLite's virtual machine between two looks: well under a millisecond
LONGEST_VALUE_BYTES = 256 << 20  # of one text or blob in SQLite; the largest that is stored here is a run's settings
_ENDED = ("interrupted", "statement timeout")


class TimeLimit:
    """A time that statements of one connection may take together; it begins when the limit is made."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._end = float("inf") if seconds is None else time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether the time has passed."""
        return time.monotonic() >= self._end

    def watch(self, connection: sqlite3.Connection) -> None:
        """End statements of a SQLite connection after the time, at Ctrl-C, or for a value of absurd length."""
        connection.set_progress_handler(lambda: self.is_over, STEPS)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)

    def set_on_server(self, connection: Connection) -> None:
        """Give the time to PostgreSQL, which ends every statement after it."""
        if self.seconds is not None and connection.dialect.name == "postgresql":
            connection.execute(text(f"SET statement_timeout = {max(1, round(1000 * self.seconds))}"))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say why a statement was ended.

        Raises:
            InputError: The time is over.
            KeyboardInterrupt: The user interrupted it.
        """
        try:
            yield
        except OperationalError as error:
            if not any(part in str(error.orig).lower() for part in _ENDED):
                raise
            if self.seconds is None or not (self.is_over or "timeout" in str(error.orig)):
                raise KeyboardInterrupt from error
            raise InputError(
                f"an answer of the database within {self.seconds:g} s",
                found="a statement that was still running",
                remedy="narrow the SQL (WHERE, LIMIT), or give more time with --timeout SECONDS",
            ) from error
