"""A small stand-in for the Hugging Face hub, for tests of the real client over real HTTP.

It serves what `huggingface_hub` asks for: repository info (with sizes and digests when asked), the
file tree, and files by HEAD and GET with ETag, commit and ranges. Large files come by a redirect to
a second server with signed addresses, as the hub's do. It refuses as the hub does (`X-Error-Code`),
can be told to misbehave in the ways of `Fault`, and keeps count of what it was asked and what it sent.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hub_repos import Repo, blob_id, content_of, is_large, listing_entry, sha256_of, size_of, tree_entry
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from provenance.hub.fetch import fetch_all
from provenance.hub.repositories import HubRepo

__all__ = ["Fault", "Hub", "Repo", "fetch", "hub_and_client", "serving"]

API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+?)(?:/(revision|tree|auth-check)(?:/([^/]+))?)?")
RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
WRITE_BYTES = 1 << 16


@dataclass(frozen=True)
class Fault:
    """One answer that goes wrong."""

    status: int = 0
    """HTTP status to refuse with; 0: serve."""
    code: str = ""
    """`X-Error-Code` of the refusal."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers in place of the true ones, such as a wrong `Content-Length`, or beside them, such as `Retry-After`."""
    whole: bool = False
    """Whether Range is ignored."""
    cut: int | None = None
    """After how many bytes of the body the connection is cut."""
    before: Callable[[], object] | None = None
    """What to do, or wait for, before answering."""


@dataclass
class Hub:
    """State of the stand-in: repositories by name, faults to commit, requests seen."""

    repos: dict[str, Repo] = field(default_factory=dict)
    url: str = ""
    cdn_url: str = ""
    """Where large files come from: another server, whose addresses carry a signature."""
    signature: str = "1"
    """What a signed address must carry; another value makes all earlier addresses expire."""
    down: int = 0
    """HTTP status that everything is answered with; 0: serve."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """For a file, after how many bytes each of its next GETs is cut."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """What goes wrong with the next GETs of a file's content, by its name; for `HEAD name` with its next HEADs."""
    log: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path, and Range of every request, whichever of the two servers it came to."""
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of file content sent, by `org/name/file`."""
    tokens_at_cdn: list[str] = field(default_factory=list)
    """Authorization headers that reached the second server, which they are none of the business of."""

    def got(self, name: str) -> list[str | None]:
        """The Range headers of the GETs whose path ends in `name`."""
        return [sent for method, path, sent in self.log if method == "GET" and path.endswith(f"/{name}")]


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub, and what it redirects to, on free ports of this machine, until the block ends."""
    hub = Hub()
    with ExitStack() as stack:
        hub.url = stack.enter_context(_listening(_HubHandler, hub))
        hub.cdn_url = stack.enter_context(_listening(_CdnHandler, hub))
        yield hub


@contextmanager
def _listening(handler: type["_Handler"], hub: Hub) -> Iterator[str]:
    bound = type(handler.__name__, (handler,), {"state": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), bound) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def hub_and_client(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Hub]:
    """A hub, and a client in this process that knows no other hub, cache or token."""
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(folder / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
        monkeypatch.setattr("provenance.hub.retry.pause", lambda *_: None)
        yield hub
        close_session()


def fetch(repo: str, revision: str | None = None) -> tuple[Path, str]:
    """Fetch one checkpoint; the folder of its snapshot, and the commit that it is pinned to."""
    [fetched] = fetch_all([HubRepo(repo, revision)])
    return fetched.folder, fetched.commit


class _Handler(BaseHTTPRequestHandler):
    """What both servers share: faults, ranges, and sending."""

    state: Hub
    protocol_version = "HTTP/1.1"  # connections are kept, as those of the hub are

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has gone, with an answer half read
            super().handle()

    def log_message(self, *_: object) -> None:
        """The log is kept in `Hub.log`, not on the terminal."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.state.log.append((self.command, path, self.headers.get("Range")))
        if self.state.down:
            self._refuse(self.state.down, "")
        else:
            self._serve(path)

    def _serve(self, path: str) -> None:
        raise NotImplementedError

    def _send_content(self, repo: str, path: str, data: bytes | Path, headers: dict[str, str]) -> None:
        """A file's bytes, or what a fault makes of them."""
        fault = self._fault(path)
        if fault.before is not None:
            fault.before()
        if fault.status:
            self._refuse(fault.status, fault.code, fault.headers)
            return
        size = size_of(data)
        asked = None if fault.whole else RANGE.fullmatch(self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        stop = min(int(asked[2]) + 1, size) if asked and asked[2] else size
        if asked and start >= size:
            self._refuse(416, "", {"Content-Range": f"bytes */{size}"})
            return
        ranged = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"} if asked else {}
        self._start(206 if asked else 200, stop - start, headers | ranged | fault.headers)
        if self.command == "GET":
            self._send_body(f"{repo}/{path}", data, start, stop if fault.cut is None else min(stop, start + fault.cut))
        self.close_connection = self.close_connection or fault.cut is not None or "Content-Length" in fault.headers

    def _fault(self, path: str) -> Fault:
        if self.command == "GET" and self.state.cuts.get(path):
            return Fault(cut=self.state.cuts[path].pop(0))
        waiting = self.state.faults.get(path if self.command == "GET" else f"HEAD {path}")
        return waiting.pop(0) if waiting else Fault()

    def _send_body(self, key: str, data: bytes | Path, start: int, stop: int) -> None:
        for position in range(start, stop, WRITE_BYTES):
            part = content_of(data, position, min(position + WRITE_BYTES, stop))
            self.wfile.write(part)
            self.state.sent[key] += len(part)

    def _start(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(key, value)
        self.end_headers()

    def _send_json(self, body: object) -> None:
        encoded = json.dumps(body).encode()
        self._start(200, len(encoded), {"Content-Type": "application/json"})
        if self.command == "GET":
            self.wfile.write(encoded)

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._start(status, 0, ({"X-Error-Code": code} if code else {}) | (headers or {}))


class _HubHandler(_Handler):
    """The hub itself."""

    def _serve(self, path: str) -> None:
        if match := API.fullmatch(path):
            self._answer_api(*match.groups())
        elif match := RESOLVE.fullmatch(path):
            self._answer_file(*match.groups())
        else:
            self._refuse(404, "EntryNotFound")

    def _repo(self, name: str, revision: str | None) -> Repo | None:
        """The repository at a revision; refuses, and gives None, when there is none."""
        repo = self.state.repos.get(name)
        if repo is None:
            self._refuse(401 if "Authorization" not in self.headers else 404, "RepoNotFound")
        elif revision is not None and revision not in {*repo.branches, repo.commit}:
            self._refuse(404, "RevisionNotFound")
        else:
            return repo
        return None

    def _opened(self, repo: Repo) -> bool:
        """Whether the gate, if there is one, opens for this request; refuses when not."""
        if not repo.gated or self.headers.get("Authorization") == f"Bearer {repo.opened_by}":
            return True
        self._refuse(403 if "Authorization" in self.headers else 401, "GatedRepo")
        return False

    def _answer_api(self, kind: str, name: str, what: str | None, revision: str | None) -> None:
        repo = self._repo(name if kind == "models" else f"datasets/{name}", revision)
        if repo is None:
            return
        if what == "tree":
            self._send_json([tree_entry(path, data) for path, data in sorted(repo.files.items())])
        elif what != "auth-check":
            with_blobs = parse_qs(urlsplit(self.path).query).get("blobs", ["false"])[0].lower() in {"true", "1"}
            self._send_json(self._info(name, repo, with_blobs))
        elif self._opened(repo):
            self._send_json({})

    def _info(self, name: str, repo: Repo, with_blobs: bool) -> dict[str, object]:
        files = repo.files.items()
        info = {
            "id": name,
            "sha": repo.commit,
            "private": False,
            "gated": "manual" if repo.gated else False,
            "siblings": [listing_entry(path, data) if with_blobs else {"rfilename": path} for path, data in files],
        }
        return info | ({} if repo.license is None else {"cardData": {"license": repo.license}})

    def _answer_file(self, dataset: str | None, name: str, revision: str, path: str) -> None:
        repo = self._repo((dataset or "") + name, revision)
        if repo is None or not self._opened(repo):
            return
        if path not in repo.files:
            self._refuse(404, "EntryNotFound")
            return
        data = repo.files[path]
        headers = {"X-Repo-Commit": repo.commit, "Accept-Ranges": "bytes"}
        if is_large(path):
            self._redirect(path, data, headers)
        else:
            self._send_content((dataset or "") + name, path, data, headers | {"ETag": f'"{blob_id(data)}"'})

    def _redirect(self, path: str, data: bytes | Path, headers: dict[str, str]) -> None:
        fault = self._fault(path) if self.command == "HEAD" else Fault()  # a GET goes wrong where the content is
        if fault.status:
            self._refuse(fault.status, fault.code, fault.headers)
            return
        linked = {"X-Linked-ETag": f'"{sha256_of(data)}"', "X-Linked-Size": str(size_of(data))}
        location = f"{self.state.cdn_url}{urlsplit(self.path).path}?signature={self.state.signature}"
        self._start(302, 0, headers | linked | {"Location": location} | fault.headers)


class _CdnHandler(_Handler):
    """The store behind the hub: it knows files and signatures, no commits and no accounts."""

    def _serve(self, path: str) -> None:
        if token := self.headers.get("Authorization"):
            self.state.tokens_at_cdn.append(token)
        match = RESOLVE.fullmatch(path)
        repo = self.state.repos.get((match[1] or "") + match[2]) if match else None
        signature = parse_qs(urlsplit(self.path).query).get("signature")
        if match is None or repo is None or match[4] not in repo.files or signature != [self.state.signature]:
            self._refuse(403, "")
            return
        data = repo.files[match[4]]
        headers = {"ETag": f'"stored-{sha256_of(data)[:32]}"', "Accept-Ranges": "bytes"}
        self._send_content((match[1] or "") + match[2], match[4], data, headers)
