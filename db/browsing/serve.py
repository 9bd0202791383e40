"""A SQLite database as pages on this machine, by Datasette: for reading only.

The file is opened in SQLite's read-only mode; the loopback address alone is listened on, and answers for its own names.
"""

import asyncio
import socket
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from rich import get_console

from provenance.db.connection.connect import database_url, sqlite_file
from provenance.db.reading.run_query import reading
from provenance.errors import InputError

if TYPE_CHECKING:
    from datasette.app import Datasette

    from provenance.db.browsing.pages import Drawing

HOST = "127.0.0.1"
# Facets are declared: suggestions would count the values of every column of a page's table.
SETTINGS = {"suggest_facets": False, "sql_time_limit_ms": 10_000, "max_returned_rows": 5_000, "default_page_size": 50}


def serve(url: str, port: int, ready: Callable[[str], None], drawing: "Drawing") -> None:
    """Serve a database until interrupted.

    Args:
        url: URL of a SQLite database.
        drawing: Draws figures and reports of its runs.
        port: Port on the loopback address; 0 for any that is free.
        ready: Called with the address once it answers.

    Raises:
        InputError: Datasette is missing, the database is no SQLite file or not there, or the port is taken.
        StoreError: The database cannot be read, or is of another version.
    """
    app = browser(url, drawing)
    get_console().quiet = True  # where Datasette prints the traceback of every bad request
    with _listening(port) as listening, suppress(KeyboardInterrupt):
        asyncio.run(_served(app, listening, ready))


def browser(url: str, drawing: "Drawing") -> "Datasette":
    """Datasette over a database, with its meanings, queries and pages.

    Raises:
        InputError: Datasette is missing, or the database is no SQLite file or not there.
        StoreError: The database cannot be read, or is of another version.
    """
    file = sqlite_file(database_url(url))
    if file is None:
        raise InputError(
            "a SQLite file, such as --db sqlite:///provenance.db",
            found=database_url(url).render_as_string(hide_password=True),
            remedy="take its runs over into a file with `provenance db merge`, or ask it with `provenance query`",
        )
    with reading(url):
        pass
    try:
        from datasette.app import Datasette
        from datasette.plugins import pm
    except ModuleNotFoundError as error:
        raise InputError(
            "Datasette, for pages in a browser",
            found=str(error),
            remedy="pip install 'checkpoint-provenance[browse]'",
        ) from error
    from provenance.db.browsing.guard import ReadOnlyFile
    from provenance.db.browsing.metadata import NAME, metadata
    from provenance.db.browsing.pages import Pages

    sqlite3.enable_callback_tracebacks(False)  # Datasette turns them on, also for SQL that Ctrl-C ends elsewhere
    pm.register(Pages(url, drawing), name=NAME)
    app = Datasette([], metadata=metadata(), settings=SETTINGS)
    app.remove_database("_memory")  # which it has where it is given no file
    app.add_database(ReadOnlyFile(app, file), name=NAME)
    return app


def _listening(port: int) -> socket.socket:
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((HOST, port))
    except (OSError, OverflowError) as error:
        opened.close()
        raise InputError(
            f"to listen on {HOST}, port {port}", found=str(error), remedy="give another --port, or 0 for any"
        ) from error
    return opened


async def _served(app: "Datasette", listening: socket.socket, ready: Callable[[str], None]) -> None:
    import uvicorn

    from provenance.db.browsing.guard import local_only

    await app.invoke_startup()
    guarded = local_only(app.app())
    server = uvicorn.Server(uvicorn.Config(guarded, log_level="warning", lifespan="off", ws="none", workers=1))
    listening.listen()  # from here on, requests wait instead of being refused
    ready(f"http://{HOST}:{listening.getsockname()[1]}/")
    await server.serve(sockets=[listening])
