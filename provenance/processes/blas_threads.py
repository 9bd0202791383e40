"""Threads of the linear algebra behind numpy and scipy: small products are slower on several than on one."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def blas_threads(limit: int | None) -> Iterator[None]:
    """At most so many threads inside a block or a decorated function; None leaves their number as it is."""
    with _libraries().limit(limits=limit, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """The libraries that are loaded; a look through all of a process's takes milliseconds."""
    return ThreadpoolController()
