"""A judging model on loopback: real HTTP, replies by a function of what it is asked, and servers' misbehaviour.

It answers `POST /v1/chat/completions` as OpenAI-compatible servers do, keeps what it was asked, counts how many
requests it worked on at once, and goes wrong in the ways of `Fault`, one request after the other.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ASKED = re.compile(r"Question: (.*)\nRight answers: (.*)\nAnswer given: (.*)\n")
Reply = Callable[[str, list[str], str], str | None]
"""Of question, right answers and the answer given."""


@dataclass(frozen=True)
class Fault:
    """One reply that goes wrong."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """In place of the true body."""
    cut: int | None = None
    """After how many bytes of the body the connection is cut."""
    before_s: float = 0.0
    """Silence before the reply."""
    drip_s: float = 0.0
    """Silence after each byte of the body."""


@dataclass
class JudgeServer:
    """The server's state, and what it was asked."""

    reply: Reply
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Their JSON."""
    keys: list[str | None] = field(default_factory=list)
    """Authorization header of each."""
    paths: list[str] = field(default_factory=list)
    pause_s: float = 0.0
    """Time that each reply takes."""
    most: int = 0
    """Requests at once, at most."""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asked(self) -> list[tuple[str, list[str], str]]:
        """Question, right answers and answer given of each request."""
        return [read_prompt(request["messages"][0]["content"]) for request in self.requests]

    def take(self, path: str, key: str | None, request: dict[str, Any]) -> tuple[Fault, str | None]:
        """Keep a request; what goes wrong with it, and the reply."""
        with self._lock:
            self.paths.append(path)
            self.keys.append(key)
            self.requests.append(request)
            fault = self.faults.pop(0) if self.faults else Fault()
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self.pause_s)
        with self._lock:
            self._now -= 1
        return fault, self.reply(*read_prompt(request["messages"][0]["content"]))


def read_prompt(content: str) -> tuple[str, list[str], str]:
    """What the judge reads in a prompt."""
    found = ASKED.search(content)
    assert found is not None, content
    question, answers, given = found.groups()
    return json.loads(question), json.loads(answers) if answers.startswith("[") else [], json.loads(given)


def completion(text: str | None) -> bytes:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


@contextmanager
def judging(reply: Reply) -> Iterator[JudgeServer]:
    """Serve on a free port of loopback."""
    state = JudgeServer(reply)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            fault, text = state.take(self.path, self.headers.get("Authorization"), json.loads(content))
            body = completion(text) if fault.body is None else fault.body
            time.sleep(fault.before_s)
            with suppress(OSError):  # the client gave up
                self.send_response(fault.status)
                for name, value in {"Content-Length": str(len(body)), **fault.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self._send(body[: fault.cut], fault.drip_s)

        def _send(self, body: bytes, drip_s: float) -> None:
            pieces = [body] if not drip_s else [body[i : i + 1] for i in range(len(body))]
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(drip_s)

        def log_message(self, *_about: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
