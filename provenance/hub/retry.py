"""Waits for a busy server, and stops of such waits.

Every request waits in the same way: a little longer after each failure, as long as the server asks within reason,
announced once to the user, and until the work is stopped: one event ends all work of a thread pool.
"""

import logging
import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

logger = logging.getLogger(__name__)
_BUSY = {408, 425, 429}
_NOT_IMPLEMENTED = 501


@dataclass(frozen=True)
class Patience:
    """Number and delays of repeated requests."""

    tries: int = 8
    """Failures in a row, without enough bytes between them, before giving up."""
    first_s: float = 0.5
    """Wait after the first failure; doubled after each further one."""
    longest_s: float = 30.0
    """Longest wait, unless the server names one."""
    longest_asked_s: float = 600.0
    """Longest wait accepted from a server."""

    def seconds(self, failures: int) -> float:
        """Wait after so many failures in a row, randomised so that connections do not return all at once."""
        longest: float = min(self.longest_s, self.first_s * 2 ** (failures - 1))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - nothing secret


class Announcer:
    """Says once that a server asks to wait, however many requests it tells so."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def announce(self, seconds: float, why: str) -> None:
        """Log a wait, unless an earlier one still lasts."""
        now = time.monotonic()
        with self._lock:
            if now < self._until:
                return
            self._until = now + seconds
        logger.warning("%s: the server asks to wait %.0f s", why, seconds)


def pause(seconds: float, stopped: threading.Event) -> None:
    """Wait, but no longer than until the work is stopped."""
    stopped.wait(seconds)


def is_busy(status: int) -> bool:
    """Whether the same request may succeed later."""
    return status in _BUSY or (status >= 500 and status != _NOT_IMPLEMENTED)


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: Retry-After in either form, or the hub's own rate-limit header."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    if asked:
        try:
            then = parsedate_to_datetime(asked)
        except ValueError:
            return None
        return max(0.0, (then.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None


@contextmanager
def stoppable_pool(threads: int) -> Iterator[tuple[ThreadPoolExecutor, threading.Event]]:
    """A thread pool and the event that stops its work; the event is set on every exit of the block, Ctrl-C included."""
    stopped = threading.Event()
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool, stopped
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)
