"""What keeps the pages of a database on this machine, and its file as it is."""

import re
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from datasette.app import Datasette
from datasette.database import Database
from datasette.utils.asgi import Response

from provenance.db.connection.connect import read_only_file

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
"""An application by the ASGI protocol."""
_LOCAL = re.compile(rb"(?:127\.0\.0\.1|localhost)(?::\d{1,5})?", re.IGNORECASE)


class ReadOnlyFile(Database):  # type: ignore[misc]  # Datasette has no types
    """A file of any name, which every connection can only read."""

    def __init__(self, datasette: Datasette, file: Path) -> None:
        super().__init__(datasette, path=str(file))

    def connect(self, write: bool = False) -> sqlite3.Connection:
        """A connection for any thread.

        Raises:
            sqlite3.OperationalError: The file cannot be read, or one for writing is asked for.
        """
        if write:
            raise sqlite3.OperationalError("attempt to write a readonly database")
        connection = read_only_file(Path(self.path), any_thread=True)
        self._all_file_connections.append(connection)
        return connection


def local_only(app: App) -> App:
    """An application that answers 400 to every request for another host than this machine.

    A page from elsewhere, whose name its owner lets point to 127.0.0.1, would else read the database in a visitor's
    browser (DNS rebinding).
    """

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        hosts = [value for name, value in scope.get("headers", ()) if name.lower() == b"host"]
        if scope["type"] == "http" and not (len(hosts) == 1 and _LOCAL.fullmatch(hosts[0])):
            await Response.text("only for 127.0.0.1 and localhost\n", status=400).asgi_send(send)
        else:
            await app(scope, receive, send)

    return guarded
