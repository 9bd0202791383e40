"""An OpenAI-compatible endpoint: one chat completion at a time, repeated after a wait where the server is busy.

The key goes to this server alone (a redirect is refused, not followed), and into no message: what a server says is
quoted without it. A reply is complete JSON with a text, or it is asked for again.
"""

import json
import os
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from provenance.errors import InputError, JobError
from provenance.hub.retry import Announcer, Patience, asked_wait_s, is_busy, pause

KEY_VARIABLE = "PROVENANCE_JUDGE_KEY"
"""Environment variable of the key. Choice: one of our own, so that a key for another server is not sent to this one."""
TIMEOUT_S = 60.0  # of a whole reply; one word takes a second, a queue in front of it more
LONGEST_REPLY = 1 << 20  # bytes
LONGEST_QUOTE = 200  # characters of a server's words in a message
OPTIONAL = ("temperature", "max_tokens")
"""Parameters of a request that a server may refuse, as OpenAI's reasoning models do; they are left out then."""
_PATH = "/chat/completions"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class _TransientError(Exception):
    def __init__(self, what: str, after_s: float | None = None) -> None:
        super().__init__(what)
        self.after_s = after_s
        """The wait that the server asks for, if it does."""


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_about: Any) -> None:
        """Leave a redirect as the error that it is here: it would take the key to another address."""


@dataclass(frozen=True)
class Endpoint:
    """A server, and how patiently it is asked."""

    url: str
    """Address before `/chat/completions`."""
    key: str = field(default="", repr=False)
    patience: Patience = field(default_factory=Patience)
    timeout_s: float = TIMEOUT_S
    """Longest wait for a whole reply."""
    _refused: set[str] = field(default_factory=set, repr=False, compare=False)
    _announcer: Announcer = field(default_factory=Announcer, repr=False, compare=False)

    @classmethod
    def at(cls, url: str, surroundings: Mapping[str, str] = os.environ) -> "Endpoint":
        """The endpoint at an address, with the key in `KEY_VARIABLE` if there is one.

        Raises:
            InputError: The address is not one of a web server, or the key cannot be sent in a header.
        """
        key = surroundings.get(KEY_VARIABLE, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise InputError(
                f"a key of plain characters in {KEY_VARIABLE}", found="others", remedy="set it to the key alone"
            )
        return cls(_checked(url).rstrip("/").removesuffix(_PATH), key)

    def reply(self, request: Mapping[str, object], stopped: threading.Event) -> str:
        """Text of the reply to a chat completion; empty if the model says nothing.

        Args:
            request: Its JSON; what `OPTIONAL` names is left out where the server refuses it.
            stopped: When set, waiting ends.

        Raises:
            InputError: The server refuses the key, the model, the request or the address.
            JobError: No complete reply in so many tries, or a longer wait is asked for than is reasonable.
            CancelledError: `stopped` was set.
        """
        failures = 0
        while not stopped.is_set():
            said = {name: value for name, value in request.items() if name not in self._refused}
            try:
                return _text(self._posted(json.dumps(said).encode(), stopped))
            except _TransientError as fault:
                failures += 1
                if failures >= self.patience.tries:
                    raise self._given_up(f"{fault} ({failures} tries in a row)") from fault
                pause(self._wait_s(failures, fault), stopped)
        raise CancelledError

    def _wait_s(self, failures: int, fault: _TransientError) -> float:
        own = self.patience.seconds(failures)
        if fault.after_s is None:
            return own
        if fault.after_s > self.patience.longest_asked_s:
            raise self._given_up(f"{fault}, and the server asks to wait {fault.after_s:,.0f} s") from fault
        self._announcer.announce(fault.after_s, str(fault))
        return max(own, fault.after_s)

    def _given_up(self, found: str) -> JobError:
        return JobError(
            f"a reply of the judging model at {self.url}",
            found=found,
            remedy="check the server and run the same command again; finished batches are not judged again",
        )

    def _posted(self, body: bytes, stopped: threading.Event) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = Request(self.url + _PATH, body, headers)  # noqa: S310 - http or https, see `_checked`
        try:
            with self._opener.open(request, timeout=self.timeout_s) as reply:
                return self._read(reply, stopped)
        except HTTPError as error:
            with error:
                raise self._refusal(error) from error
        except (OSError, HTTPException) as error:  # URLError, timeouts and broken connections are OSErrors
            raise self._broken(error) from error

    @cached_property
    def _opener(self) -> OpenerDirector:
        handlers: list[Any] = [_NoRedirect, HTTPSHandler(context=ssl.create_default_context())]
        if urlsplit(self.url).hostname in _LOOPBACK:
            handlers.append(ProxyHandler({}))  # no proxy can reach this machine's own server
        return build_opener(*handlers)

    def _read(self, reply: Any, stopped: threading.Event) -> bytes:
        """The whole body, within the time for it."""
        end = time.monotonic() + self.timeout_s
        content = bytearray()
        while chunk := reply.read1(1 << 16):
            content += chunk
            if stopped.is_set():
                raise CancelledError
            if time.monotonic() > end or len(content) > LONGEST_REPLY:
                raise _TransientError(f"no whole reply within {self.timeout_s:g} s and {LONGEST_REPLY:,} bytes")
        if reply.length:
            raise _TransientError(f"the reply ended {reply.length:,} bytes early")
        return bytes(content)

    def _refusal(self, error: HTTPError) -> Exception:
        """What a status other than success means."""
        said, parameter = _complaint(error)
        found = f"HTTP {error.code}: {self._quoted(said)}".removesuffix(": ")
        if is_busy(error.code):
            return _TransientError(found, asked_wait_s({name.title(): each for name, each in error.headers.items()}))
        if error.code == 400 and parameter in OPTIONAL and parameter not in self._refused:
            self._refused.add(parameter)
            return _TransientError(found, 0.0)
        remedies = {
            401: f"set {KEY_VARIABLE} to a key that this server accepts",
            403: f"set {KEY_VARIABLE} to a key that may use this model",
            404: f"check --judge (the address before {_PATH}) and --judge-model",
        }
        moved = f"give --judge the address that the server names: {self._quoted(error.headers.get('Location', ''))}"
        remedy = moved if error.code < 400 else "see what the server says, and check --judge and --judge-model"
        return InputError(
            f"a reply of the judging model at {self.url}", found=found, remedy=remedies.get(error.code, remedy)
        )

    def _broken(self, error: OSError | HTTPException) -> Exception:
        """What a broken connection means: another try, but not where the certificate is not trusted."""
        reason = error.reason if isinstance(error, URLError) else error
        words = self._quoted(str(reason) or type(reason).__name__)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return InputError(
                f"a certificate of {self.url} that this machine trusts",
                found=words,
                remedy="name the file of its authority in SSL_CERT_FILE, or give another --judge",
            )
        return _TransientError(words)

    def _quoted(self, words: str) -> str:
        """A server's words for a message: short, on one line, without control characters and the key."""
        clean = "".join(c if c.isprintable() else " " for c in words)
        hidden = clean.replace(self.key, f"${KEY_VARIABLE}") if self.key else clean
        return " ".join(hidden.split())[:LONGEST_QUOTE]


def _checked(url: str) -> str:
    """The address, if it is one of a web server and nothing else."""
    secret = any(mark in url for mark in "@?#")
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if secret or not named or not (url.isascii() and url.isprintable()) or " " in url:
        raise InputError(
            "the address of an OpenAI-compatible server, such as http://localhost:8000/v1",
            found="one with a user, a query or a fragment" if secret else repr(url),
            remedy=f"give --judge the address alone; a key belongs into {KEY_VARIABLE}",
        )
    return url


def _complaint(error: HTTPError) -> tuple[str, str]:
    """What a server says of a request that it refuses, and the parameter that it names."""
    try:
        body = error.read(LONGEST_REPLY).decode(errors="replace")
    except (OSError, HTTPException):
        return "", ""
    try:
        about = json.loads(body)["error"]
        return str(about["message"]), str(about.get("param", ""))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return body, ""


def _text(content: bytes) -> str:
    """The first choice's text.

    Raises:
        _TransientError: It is no chat completion.
    """
    try:
        said = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, RecursionError, KeyError, IndexError, TypeError) as error:
        raise _TransientError("a reply that is no chat completion") from error
    return said if isinstance(said, str) else ""
