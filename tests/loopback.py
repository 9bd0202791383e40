"""A server on loopback: real HTTP, replies by a function of what it is asked, and servers' misbehaviour."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol


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


class Served(Protocol):
    """What a server does."""

    url: str

    def reply(self, path: str, key: str | None, content: bytes | None) -> tuple[Fault, bytes]:
        """What goes wrong with a request, and its true reply; without content it is a GET."""


@contextmanager
def serving(state: Served) -> Iterator[None]:
    """Serve on a free port of loopback, which the state is told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._reply(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            self._reply(None)

        def _reply(self, content: bytes | None) -> None:
            fault, truly = state.reply(self.path, self.headers.get("Authorization"), content)
            body = truly if fault.body is None else fault.body
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

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
