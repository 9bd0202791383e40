"""HTTP requests whose waiting ends when the work is stopped: a model may think for minutes before its reply begins.

Redirects are errors here: they would take a key to another address.
"""

import selectors
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import CancelledError
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import (
    BaseHandler,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

LOOKS_S = 0.2  # between looks for a stop


def interruptible_opener(*handlers: BaseHandler) -> OpenerDirector:
    """What opens an `Asked`, with further handlers."""
    return build_opener(_NoRedirect, _Plain, _TLS, *handlers)


class Asked(Request):
    """A request whose reply is waited for until `stopped` is set."""

    def __init__(self, url: str, body: bytes | None, headers: Mapping[str, str], stopped: threading.Event) -> None:
        super().__init__(url, body, dict(headers))
        self.stopped = stopped


class _Interruptible(HTTPConnection):
    """A connection that waits for the begin of a reply no longer than until a stop."""

    stopped: threading.Event

    def getresponse(self) -> HTTPResponse:
        """The reply, once it begins.

        Raises:
            TimeoutError, CancelledError: It does not, in the time for it or before the stop.
        """
        end = time.monotonic() + (self.timeout or 0)
        with selectors.DefaultSelector() as looking:
            looking.register(self.sock, selectors.EVENT_READ)
            while not looking.select(LOOKS_S):
                if self.stopped.is_set():
                    raise CancelledError
                if time.monotonic() > end:
                    raise TimeoutError("timed out")
        return super().getresponse()


class _InterruptibleTLS(_Interruptible, HTTPSConnection):
    """The same with TLS."""


class _Plain(HTTPHandler):
    def http_open(self, req: Any) -> HTTPResponse:
        """Open an `Asked`."""
        return self.do_open(partial(_opened, _Interruptible, req.stopped), req)


class _TLS(HTTPSHandler):
    def __init__(self) -> None:
        self._trusted = ssl.create_default_context()
        super().__init__(context=self._trusted)

    def https_open(self, req: Any) -> HTTPResponse:
        """Open an `Asked`."""
        return self.do_open(partial(_opened, _InterruptibleTLS, req.stopped), req, context=self._trusted)


def _opened(kind: type[_Interruptible], stopped: threading.Event, *args: Any, **settings: Any) -> _Interruptible:
    connection = kind(*args, **settings)
    connection.stopped = stopped
    return connection


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_about: Any) -> None:
        """Leave a redirect as the error that it is here: it would take the key to another address."""
