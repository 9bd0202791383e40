"""A PostgreSQL of the test run's own, from the programs that are installed here.

It listens on a private port of loopback, keeps its data in a temporary folder, and is ended by its own process id.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian's packages put the programs, in a folder for each version, which is in no PATH."""
USERS = ("postgres", "nobody")
"""Whose process it is where the tests run as root, which PostgreSQL refuses."""
START_S = 60
SETTINGS = (
    "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=20", "shared_buffers=32MB",
    "fsync=off", "synchronous_commit=off", "full_page_writes=off",
)  # fmt: skip
"""Of databases that need not survive a crash of the machine."""


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`, of the newest version; None where there is none."""
    versions = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    folder = None if found is None else Path(found).resolve().parent
    return folder if folder is not None and (folder / "postgres").exists() else None


def missing() -> str:
    """Why no server can be started here; empty if one can."""
    if find_spec("psycopg") is None:
        return "no psycopg: install the extra `postgres`"
    if programs() is None:
        return "no PostgreSQL: install Debian's package `postgresql`, or put its programs into the PATH"
    return ""


@contextmanager
def running() -> Iterator[str]:
    """A new server; URL of its empty database `postgres`."""
    bins, user = programs(), _user()
    assert bins is not None
    who: dict[str, Any] = {} if os.getuid() else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="provenance-postgres-") as made:
        folder, port = Path(made), _free_port()
        os.chown(folder, user.pw_uid, user.pw_gid)
        fresh = [bins / "initdb", "-D", folder / "data", "-U", user.pw_name, "--auth=trust", "--no-sync"]
        subprocess.run([*fresh, "--encoding=UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, cwd="/", **who)
        settings = [part for setting in (*SETTINGS, f"port={port}") for part in ("-c", setting)]
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [bins / "postgres", "-D", folder / "data", *settings], stdout=log, stderr=log, cwd="/", **who
            )
        try:
            url = f"postgresql+psycopg://{user.pw_name}@127.0.0.1:{port}/postgres"
            _wait(server, url, folder / "server.log")
            yield url
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            server.wait(START_S)


def _user() -> pwd.struct_passwd:
    """Whose process the server is: the user's own, but not root's."""
    if os.getuid():
        return pwd.getpwuid(os.getuid())
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in USERS if name in known)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    import psycopg

    end = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(url.replace("+psycopg", ""), connect_timeout=5).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"no PostgreSQL: {log.read_text('utf-8')}") from None
            time.sleep(0.05)
        else:
            return
