"""Byte ranges of a file on the hub, resumed after a break.

A read returns the right bytes or raises an error: missing bytes are requested again after a wait, and an answer about
another file (ETag, size), or with the whole file instead of the range, ends the reading. The hub is asked once for a
file's address; the pieces come from there, without the token, until the signature expires.
"""

import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

# The base error of the library's HTTP client; which client that is changes with its versions.
from huggingface_hub.errors import HTTPError as ClientError  # type: ignore[attr-defined]
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from provenance.errors import CheckpointError
from provenance.hub import retry as waiting
from provenance.hub.repositories import INFO_TIMEOUT_S, HubFile, HubRepo, endpoint, errors_translated
from provenance.hub.retry import Announcer, Patience, asked_wait_s, is_busy

__all__ = ["Patience", "RangesIgnoredError", "Received", "RemoteFile"]

READ_TIMEOUT_S = 10.0  # without a single byte; also the longest wait for a stop
ENOUGH_BYTES = 64 << 10
"""Bytes that must arrive before the count of tries starts anew; with fewer, a file might never end."""
_EXPIRED = {401, 403, 404, 410}
"""Statuses that stores return for an expired signature."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Received:
    """Bytes received over all connections, and the announcer they share."""

    def __init__(self) -> None:
        self.bytes = 0
        self.announcer = Announcer()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count received bytes."""
        with self._lock:
            self.bytes += count


class RangesIgnoredError(CheckpointError):
    """The server sends a whole file in answer to a range request."""


class _TransientError(Exception):
    def __init__(self, what: str, after_s: float | None = None, *, refused: bool = False) -> None:
        super().__init__(what)
        self.after_s = after_s
        """The wait that the server asks for, if it does."""
        self.refused = refused
        """Whether the store refused the address that the hub gave."""


@dataclass
class _Place:
    url: str
    """Address, often on another host and signed for a limited time."""
    headers: dict[str, str] = field(repr=False)
    """Request headers; the token goes only to the hub itself."""
    etag: str | None = None
    """ETag of the first answer from there."""

    @property
    def bare(self) -> str:
        """The address without its signature."""
        return self.url.partition("?")[0]


class RemoteFile:
    """A file at one commit, read by byte ranges from any thread; answers must match `listed`, the hub's entry."""

    def __init__(self, repo: HubRepo, listed: HubFile, received: Received, patience: Patience) -> None:
        self.size = listed.bytes
        self.name = listed.name
        self.where = f"{listed.name} of {repo}"
        self._repo = repo
        self._etag = listed.etag
        self._received = received
        self._patience = patience
        self._lock = threading.Lock()
        self._place: _Place | None = None
        self._last_place: _Place | None = None

    def read(self, start: int, stop: int, stopped: threading.Event) -> bytes:
        """The bytes from `start` to `stop`, in one request if all goes well; arguments and errors as `receive`."""
        buffer = bytearray(stop - start)
        self.read_into(memoryview(buffer), start, stopped)
        return bytes(buffer)

    def read_into(self, buffer: memoryview, start: int, stopped: threading.Event) -> None:
        """Fill a buffer with the bytes from `start` on; arguments and errors as `receive`."""
        done = 0

        def keep(chunk: bytes) -> None:
            nonlocal done
            buffer[done : done + len(chunk)] = chunk
            done += len(chunk)

        self.receive(start, start + len(buffer), keep, stopped)

    def receive(self, start: int, stop: int, take: Callable[[bytes], object], stopped: threading.Event) -> None:
        """Hand on the bytes from `start` to `stop`, in order, each once, as soon as they arrive.

        `stop` is the byte after the last one; `take` gets each chunk; `stopped`, when set, ends reading and waiting.

        Raises:
            GatedError: The hub requires a licence to be accepted, or a token.
            RangesIgnoredError: The server cannot send ranges, and a part of the file was asked for.
            CheckpointError: The file changed or is gone, access is refused, or too many tries failed.
            CancelledError: `stopped` was set.
        """
        done = counted_from = start
        failures = 0
        while done < stop:
            try:
                with closing(self._chunks(done, stop, stopped)) as chunks:
                    for chunk in chunks:
                        take(chunk)
                        done += len(chunk)
                        if stopped.is_set():
                            raise CancelledError
            except _TransientError as fault:
                failures += 1
                if done - counted_from >= ENOUGH_BYTES:
                    counted_from, failures = done, 1
                if failures >= self._patience.tries:
                    self._give_up(done, stop, fault)
                waiting.pause(self._wait(failures, fault), stopped)
                if stopped.is_set():
                    raise CancelledError from fault

    def _wait(self, failures: int, fault: _TransientError) -> float:
        own = self._patience.seconds(failures)
        if fault.after_s is None:
            return own
        if fault.after_s > self._patience.longest_asked_s:
            raise CheckpointError(
                f"to read {self.where}",
                found=f"{fault}, and the server asks to wait {fault.after_s:,.0f} s",
                remedy="run the same command again after that; with HF_TOKEN set the hub's limits are higher",
            ) from fault
        self._received.announcer.announce(fault.after_s, str(fault))
        return max(own, fault.after_s)

    def _give_up(self, start: int, stop: int, fault: _TransientError) -> NoReturn:
        raise CheckpointError(
            f"bytes {start:,} to {stop:,} of {self.where}",
            found=f"{fault} ({self._patience.tries} tries in a row)",
            remedy="check that no proxy or firewall keeps this machine from that server; run the same command again"
            if fault.refused
            else "check the connection and run the same command again; `pull` keeps the received bytes and resumes",
        ) from fault

    def _chunks(self, start: int, stop: int, stopped: threading.Event) -> Generator[bytes, None, None]:
        place = self._located(stopped)
        headers = place.headers | {"Range": f"bytes={start}-{stop - 1}"}
        left = stop - start
        try:
            with get_session().stream("GET", place.url, headers=headers, timeout=READ_TIMEOUT_S) as response:
                self._check_status(response, place, whole=stop - start == self.size)
                self._check_identity(response.headers, place)
                _check_range(response.status_code, response.headers, start, stop)
                for chunk in response.iter_raw():
                    self._received.add(len(chunk))
                    if len(chunk) > left:
                        raise _TransientError(f"more than the {stop - start:,} bytes that were asked for")
                    left -= len(chunk)
                    yield chunk
        except ClientError as error:
            raise _TransientError(_in_words(error)) from error
        if left:
            raise _TransientError(f"the answer ended {left:,} bytes early")

    def _located(self, stopped: threading.Event) -> _Place:
        with self._lock:
            if stopped.is_set():  # set while another thread was asking
                raise CancelledError
            if self._place is None:
                self._place = self._locate()
            return self._place

    def _locate(self) -> _Place:
        url = hf_hub_url(
            self._repo.id, self.name,
            repo_type=self._repo.kind, revision=self._repo.revision, endpoint=endpoint(),
        )  # fmt: skip
        with self._refusals():
            try:
                found = get_hf_file_metadata(url, timeout=INFO_TIMEOUT_S, endpoint=endpoint())
            except HfHubHTTPError:
                raise
            except ClientError as error:
                raise _TransientError(_in_words(error)) from error
        if found.etag != self._etag or found.size != self.size:
            self._changed(f"ETag {found.etag} and {found.size} bytes, at first {self._etag} and {self.size}")
        own_host = urlsplit(found.location)[:2] == urlsplit(endpoint())[:2]
        place = _Place(found.location, build_hf_headers(token=None if own_host else False))
        place.headers["Accept-Encoding"] = "identity"  # ranges count bytes as they are stored
        if self._last_place is not None and self._last_place.bare == place.bare:
            place.etag = self._last_place.etag
        return place

    def _check_status(self, response: Any, place: _Place, *, whole: bool) -> None:
        status, host = response.status_code, urlsplit(place.url).netloc
        if status == 206 or (status == 200 and whole):
            return
        if status == 200:
            raise RangesIgnoredError(
                f"a range of bytes of {self.where}",
                found=f"{host} ignores ranges and sends the whole file",
                remedy="check HF_ENDPOINT and proxies, or fetch the checkpoint with `pull` and compare the copy",
            )
        if status in {412, 416}:
            self._changed(f"HTTP {status}")
        if status in _EXPIRED and host != urlsplit(endpoint()).netloc:
            self._forget(place)
            raise _TransientError(f"HTTP {status} from {host}", refused=True)
        with self._refusals():
            hf_raise_for_status(response)
        raise _TransientError(f"HTTP {status} from {host}")

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Translate refusals of the hub or the store into errors about this file."""
        with errors_translated(self._repo):
            try:
                yield
            except (RepositoryNotFoundError, RevisionNotFoundError):  # a closed gate is the first of these
                raise
            except HfHubHTTPError as error:
                raise self._refused(error.response) from error

    def _refused(self, response: Any) -> Exception:
        status: int = response.status_code
        found = f"HTTP {status} from {urlsplit(str(response.request.url)).netloc}"
        if is_busy(status):
            return _TransientError(found, asked_wait_s(response.headers))
        if status in {404, 410}:
            return CheckpointError(
                f"{self.where} to be on the hub",
                found=f"{found}: the file is not there any more",
                remedy=f"look at {self._repo.page} for what became of it, or name another revision",
            )
        if status in {401, 403}:
            return CheckpointError(
                f"access to {self.where}",
                found=f"{found}: access is refused",
                remedy=f"check that you may read {self._repo.page}, and that HF_TOKEN is not mistyped or expired",
            )
        return CheckpointError(self.where, found=found, remedy="check HF_ENDPOINT and proxies")

    def _forget(self, place: _Place) -> None:
        with self._lock:
            if self._place is place:
                self._place, self._last_place = None, place

    def _check_identity(self, headers: Mapping[str, str], place: _Place) -> None:
        etag = headers.get("ETag")
        with self._lock:
            place.etag = place.etag or etag
        if etag != place.etag:
            self._changed(f"ETag {etag}, at first {place.etag}")
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match and match[3] not in {"*", str(self.size)}:
            self._changed(f"a file of {int(match[3]):,} bytes, at first {self.size:,}")

    def _changed(self, found: str) -> NoReturn:
        raise CheckpointError(
            f"{self.where} to stay the same while it is read",
            found=f"the file changed while it was being read: {found}",
            remedy="run the same command again; if the error returns, tell the server's operator",
        )


def _check_range(status: int, headers: Mapping[str, str], start: int, stop: int) -> None:
    """Check the range of an answer against the requested one; a whole file (200) names no range."""
    asked = f"bytes {start}-{stop - 1} were asked for"
    answered = headers.get("Content-Range", "no Content-Range")
    match = _CONTENT_RANGE.fullmatch(answered)
    if status == 206 and (match is None or (int(match[1]), int(match[2])) != (start, stop - 1)):
        raise _TransientError(f"an answer with Content-Range {answered!r} where {asked}")
    length = headers.get("Content-Length")
    if length is not None and length != str(stop - start):
        raise _TransientError(f"an answer with Content-Length {length!r} where {asked}")
    if headers.get("Content-Encoding", "identity") != "identity":
        raise _TransientError(f"an answer with Content-Encoding {headers['Content-Encoding']!r} where {asked}")


def _in_words(error: ClientError) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
