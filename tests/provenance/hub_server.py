"""A small stand-in for the Hugging Face hub, for tests of the real client over real HTTP.

It serves what `huggingface_hub` asks for: repository info, the file tree, and files by HEAD and
GET with ETag, commit and ranges; large files by a redirect, as the hub does. It refuses as the
hub does (`X-Error-Code`), can be told to cut a connection in the middle of a file or to be
down, and keeps a log of what it was asked.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+))?")
RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
LARGE_SUFFIXES = (".safetensors", ".bin", ".parquet")


@dataclass
class Repo:
    """What one repository holds, and who may read it."""

    files: dict[str, bytes]
    gated: bool = False
    opened_by: str | None = None
    """The token that opens a gated repository."""
    branches: tuple[str, ...] = ("main",)

    @property
    def commit(self) -> str:
        """A commit sha that follows from the content, as git's does."""
        parts = (f"{name}{digest(data)}" for name, data in sorted(self.files.items()))
        return hashlib.sha1("".join(parts).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Hub:
    """State of the stand-in: repositories by name, faults to commit, requests seen."""

    repos: dict[str, Repo] = field(default_factory=dict)
    url: str = ""
    down: int = 0
    """HTTP status that everything is answered with; 0: serve."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """For a file, after how many bytes each of its next GETs is cut."""
    log: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path, and Range of every request."""

    def got(self, name: str) -> list[str | None]:
        """The Range headers of the GETs whose path ends in `name`."""
        return [sent for method, path, sent in self.log if method == "GET" and path.endswith(f"/{name}")]


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal, which the hub gives large files as ETag."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub on a free port of this machine, until the block ends."""
    hub = Hub()

    class Handler(_Handler):
        state = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
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
        yield hub
        close_session()


class _Handler(BaseHTTPRequestHandler):
    state: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """The log is kept in `Hub.log`, not on the terminal."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.state.log.append((self.command, path, self.headers.get("Range")))
        if self.state.down:
            self._refuse(self.state.down, "")
        elif match := API.fullmatch(path):
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

    def _answer_api(self, kind: str, name: str, what: str | None, revision: str | None) -> None:
        repo = self._repo(name if kind == "models" else f"datasets/{name}", revision)
        if repo is None:
            return
        if what == "tree":
            body: object = [_tree_entry(path, data) for path, data in sorted(repo.files.items())]
        else:
            siblings = [{"rfilename": path} for path in repo.files]
            gated = "manual" if repo.gated else False
            body = {"id": name, "sha": repo.commit, "private": False, "gated": gated, "siblings": siblings}
        self._send(json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _answer_file(self, dataset: str | None, name: str, revision: str, path: str) -> None:
        repo = self._repo((dataset or "") + name, revision)
        if repo is None:
            return
        if repo.gated and self.headers.get("Authorization") != f"Bearer {repo.opened_by}":
            self._refuse(403 if "Authorization" in self.headers else 401, "GatedRepo")
        elif path not in repo.files:
            self._refuse(404, "EntryNotFound")
        else:
            self._send_file(path, repo.files[path], repo.commit)

    def _send_file(self, path: str, data: bytes, commit: str) -> None:
        etag = digest(data) if path.endswith(LARGE_SUFFIXES) else digest(data)[:40]
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if path.endswith(LARGE_SUFFIXES) and "stored=1" not in self.path:
            linked = {"X-Linked-ETag": f'"{etag}"', "X-Linked-Size": str(len(data))}
            self._send(b"", headers | linked | {"Location": f"{self.path}?stored=1"}, 302)
            return
        start = int(re.sub(r"\D", "", self.headers.get("Range") or "0"))
        ranged = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        cuts = self.state.cuts.get(path) if self.command == "GET" else None
        self._send(data[start:], headers | ranged, 206 if start else 200, cuts.pop(0) if cuts else None)

    def _send(self, body: bytes, headers: dict[str, str], status: int = 200, cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        self.close_connection = self.close_connection or cut is not None

    def _refuse(self, status: int, code: str) -> None:
        self._send(b"", {"X-Error-Code": code} if code else {}, status)


def _tree_entry(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": digest(data)[:40]}
    if path.endswith(LARGE_SUFFIXES):
        entry["lfs"] = {"oid": digest(data), "size": len(data), "pointerSize": 130}
    return entry
