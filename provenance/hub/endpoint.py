"""A server with OpenAI's interface: one request at a time, repeated after a wait where the server is busy.

The key goes to this server alone (a redirect is refused, not followed), and into no message: what a server says is
quoted without it. A reply is complete JSON of the wanted form, or it is asked for again. What a server is for (`Role`)
decides where it is asked, with whose key, and which options a message names.
"""

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, ProxyHandler

from provenance.errors import InputError, JobError
from provenance.hub.interruptible import Asked, interruptible_opener
from provenance.hub.retry import Announcer, Patience, asked_wait_s, is_busy, pause

LONGEST_REPLY = 1 << 23  # bytes; six responses of 32,768 tokens, as text and as ids, are two thirds of it
STALLS = 3  # replies in a row that do not come in the time for them, before giving up
_REFUSED_KEY = (401, 403)
LONGEST_QUOTE = 200  # characters of a server's words in a message
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_T = TypeVar("_T")


@dataclass(frozen=True)
class Role:
    """What a server is for."""

    name: str
    """In messages."""
    path: str
    """Where it is asked, after its address."""
    option: str
    """Option that gives its address."""
    model: str
    """Where its model's name comes from."""
    key_variable: str
    """Environment variable of the key. Choice: one for each role, so that no server gets the key of another one."""
    kept: str
    """What is not lost when it fails."""
    optional: tuple[str, ...]
    """Parameters of a request that a server may refuse; they are left out then."""
    timeout_s: float
    """Longest wait for a whole reply."""


JUDGE = Role(
    name="the judging model",
    path="/chat/completions",
    option="--judge",
    model="--judge-model",
    key_variable="PROVENANCE_JUDGE_KEY",
    kept="finished batches are not judged again",
    optional=("temperature", "max_tokens"),  # OpenAI's reasoning models refuse them
    timeout_s=60.0,  # one word takes a second, a queue in front of it more
)
RESPONDENT = Role(
    name="the model that answers",
    path="/completions",
    option="--base-url",
    model="the name under which it serves the checkpoint",
    key_variable="PROVENANCE_ENGINE_KEY",
    kept="finished batches are not asked again",
    optional=("return_token_ids", "stop_token_ids", "min_p", "repetition_penalty", "skip_special_tokens"),  # of vLLM
    timeout_s=120.0,  # of a queue; `provenance.engines.served_model` adds the time of the tokens
)


class TransientError(Exception):
    """A reply that may be better next time."""

    def __init__(self, what: str, after_s: float | None = None) -> None:
        super().__init__(what)
        self.after_s = after_s
        """The wait that the server asks for, if it does."""


class _StalledError(TransientError):
    """No whole reply in the time for it."""


@dataclass(frozen=True)
class Endpoint:
    """A server, and how patiently it is asked."""

    url: str
    """Address before the role's path."""
    role: Role
    key: str = field(default="", repr=False)
    patience: Patience = field(default_factory=Patience)
    timeout_s: float = 60.0
    """Longest wait for a whole reply; `at` takes that of the role."""
    _refused: set[str] = field(default_factory=set, repr=False, compare=False)
    _announcer: Announcer = field(default_factory=Announcer, repr=False, compare=False)

    @classmethod
    def at(cls, url: str, role: Role, surroundings: Mapping[str, str] = os.environ) -> "Endpoint":
        """The endpoint at an address, with the key in the role's variable if there is one.

        Raises:
            InputError: The address is not one of a web server, or the key cannot be sent in a header.
        """
        key = surroundings.get(role.key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise InputError(
                f"a key of plain characters in {role.key_variable}", found="others", remedy="set it to the key alone"
            )
        return cls(_checked(url, role).rstrip("/").removesuffix(role.path), role, key, timeout_s=role.timeout_s)

    def reply(self, request: Mapping[str, object], read: Callable[[Any], _T], stopped: threading.Event) -> _T:
        """What `read` makes of the reply to a request.

        Args:
            request: Its JSON; a parameter that is optional in the role is left out where the server refuses it.
            read: Gets the reply's JSON; raises TransientError where it has not the wanted form.
            stopped: When set, waiting ends.

        Raises:
            InputError: The server refuses the key, the model, the request or the address.
            JobError: No complete reply in so many tries, or a longer wait is asked for than is reasonable.
            CancelledError: `stopped` was set.
        """

        def once() -> _T:
            said = {name: value for name, value in request.items() if name not in self._refused}
            return read(_parsed(self._sent(self.url + self.role.path, json.dumps(said).encode(), stopped)))

        return self._repeated(once, stopped)

    def look_up(self, url: str) -> Any:
        """The JSON at another address of the server, such as the list of its models; None where there is no JSON.

        Raises:
            InputError: The server refuses the key.
            JobError: See `reply`.
        """
        stopped = threading.Event()
        try:
            content = self._repeated(lambda: self._sent(url, None, stopped), stopped)
            return _parsed(content)
        except TransientError:
            return None
        except InputError as refused:
            status = refused.__cause__.code if isinstance(refused.__cause__, HTTPError) else None
            if status is None or status in _REFUSED_KEY:
                raise
            return None

    def _repeated(self, once: Callable[[], _T], stopped: threading.Event) -> _T:
        failures = stalls = 0
        while not stopped.is_set():
            try:
                return once()
            except TransientError as fault:
                failures += 1
                stalls = stalls + 1 if isinstance(fault, _StalledError) else 0
                if failures >= self.patience.tries or stalls >= STALLS:
                    raise self._given_up(f"{fault} ({failures} tries in a row)") from fault
                pause(self._wait_s(failures, fault), stopped)
        raise CancelledError

    def _wait_s(self, failures: int, fault: TransientError) -> float:
        own = self.patience.seconds(failures)
        if fault.after_s is None:
            return own
        if fault.after_s > self.patience.longest_asked_s:
            raise self._given_up(f"{fault}, and the server asks to wait {fault.after_s:,.0f} s") from fault
        self._announcer.announce(fault.after_s, str(fault))
        return max(own, fault.after_s)

    def _given_up(self, found: str) -> JobError:
        return JobError(
            self._wanted,
            found=found,
            remedy=f"check the server and run the same command again; {self.role.kept}",
        )

    @property
    def _wanted(self) -> str:
        return f"a reply of {self.role.name} at {self.url}"

    def _sent(self, url: str, body: bytes | None, stopped: threading.Event) -> bytes:
        """The reply to a posted body, or what is at an address."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = Asked(url, body, headers, stopped)  # http or https, see `_checked`
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
        local = urlsplit(self.url).hostname in _LOOPBACK  # no proxy can reach this machine's own server
        return interruptible_opener(*([ProxyHandler({})] if local else []))

    def _read(self, reply: Any, stopped: threading.Event) -> bytes:
        """The whole body, within the time for it."""
        end = time.monotonic() + self.timeout_s
        content = bytearray()
        while chunk := reply.read1(1 << 16):
            content += chunk
            if stopped.is_set():
                raise CancelledError
            if time.monotonic() > end or len(content) > LONGEST_REPLY:
                raise _StalledError(f"no whole reply within {self.timeout_s:g} s and {LONGEST_REPLY:,} bytes")
        if reply.length:
            raise TransientError(f"the reply ended {reply.length:,} bytes early")
        return bytes(content)

    def _refusal(self, error: HTTPError) -> Exception:
        """What a status other than success means."""
        said, parameter = _complaint(error)
        found = f"HTTP {error.code}: {self._quoted(said)}".removesuffix(": ")
        if is_busy(error.code):
            return TransientError(found, asked_wait_s({name.title(): each for name, each in error.headers.items()}))
        if error.code == 400 and parameter in self.role.optional and parameter not in self._refused:
            self._refused.add(parameter)
            return TransientError(found, 0.0)
        role = self.role
        remedies = {
            401: f"set {role.key_variable} to a key that this server accepts",
            403: f"set {role.key_variable} to a key that may use this model",
            404: f"check {role.option} (the address before {role.path}) and {role.model}",
        }
        place = self._quoted(error.headers.get("Location", ""))
        moved = f"give {role.option} the address that the server names: {place}"
        remedy = moved if error.code < 400 else f"see what the server says, and check {role.option} and {role.model}"
        return InputError(self._wanted, found=found, remedy=remedies.get(error.code, remedy))

    def _broken(self, error: OSError | HTTPException) -> Exception:
        """What a broken connection means: another try, but not where the certificate is not trusted."""
        reason = error.reason if isinstance(error, URLError) else error
        words = self._quoted(str(reason) or type(reason).__name__)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return InputError(
                f"a certificate of {self.url} that this machine trusts",
                found=words,
                remedy=f"name the file of its authority in SSL_CERT_FILE, or give another {self.role.option}",
            )
        return _StalledError(words) if isinstance(reason, TimeoutError) else TransientError(words)

    def _quoted(self, words: str) -> str:
        """A server's words for a message: short, on one line, without control characters and the key."""
        clean = "".join(c if c.isprintable() else " " for c in words)
        hidden = clean.replace(self.key, f"${self.role.key_variable}") if self.key else clean
        return " ".join(hidden.split())[:LONGEST_QUOTE]


def _checked(url: str, role: Role) -> str:
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
            remedy=f"give {role.option} the address alone; a key belongs into {role.key_variable}",
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


def _parsed(content: bytes) -> Any:
    """The JSON of a reply.

    Raises:
        TransientError: It is none.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TransientError("a reply that is no JSON") from error
