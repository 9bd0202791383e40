"""Connections to the database; its failures become errors of the toolkit here.

Engines for writing serve the store (SQLite: write-ahead log, so that a killed process leaves whole transactions only);
on engines for reading the database itself refuses writes.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from provenance.db.connection.time_limit import TimeLimit
from provenance.errors import InputError, StoreError

BUSY_TIMEOUT_S = 30.0  # many times as long as a piece of large results keeps the write lock
WRITE_CACHE_KIB = 1 << 17  # an index over millions of ranks: its pages would else be written several times

_PASSWORD = re.compile(r":[^/@]*@")
_READING = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
)
_DESCRIBING = ("table_info", "table_xinfo", "table_list", "index_list", "index_info", "read_uncommitted")

_REMEDIES = {
    "unable to open": "check that the folder exists and may be written to, or give another --db URL",
    "readonly": "make the file and its folder writable, or give another --db URL",
    "read-only": "make the file and its folder writable, or give another --db URL",
    "full": "free space on that disk and give the same command again; what was written before is kept",
    "disk i/o": "check that disk's space and health, then give the same command again",
    "locked": "wait until the other process that writes to it is done, then give the same command again",
    "not a database": "give another --db URL; the file was left as it is",
    "malformed": "restore the file from a copy, or start a new one with another --db URL",
}


def database_url(url: str) -> URL:
    """The parsed SQLAlchemy URL.

    Raises:
        InputError: The text is no database URL, there is no such kind of database, or it names no file of SQLite.
    """
    wanted, shown = "a database URL such as sqlite:///provenance.db", repr(_PASSWORD.sub(":***@", url))
    try:
        parsed = make_url(url)
        parsed.get_dialect()().create_connect_args(parsed)
    except NoSuchModuleError as error:
        raise _no_driver(shown, error) from error
    except (ArgumentError, ValueError) as error:  # of a port that is no number
        raise InputError(wanted, found=shown, remedy="mend --db") from error
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise InputError(wanted, found=f"{shown}, a database in memory", remedy="give the path of a file")
        if parsed.query or parsed.host:
            raise InputError(wanted, found=f"{shown}, with a host or options", remedy="give the path of a file alone")
    return parsed


def sqlite_file(url: URL) -> Path | None:
    """The file behind a SQLite URL; None for other databases."""
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def writing_engine(url: URL, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """An engine whose transactions are durable and whose foreign keys hold."""
    if url.get_backend_name() != "sqlite":
        return _engine(url)
    engine = _engine(url, connect_args={"timeout": busy_timeout_s})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # explicit BEGIN: the driver's own leaves DDL outside transactions
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = {-WRITE_CACHE_KIB}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Taking the write lock at once: a lock upgrade half-way fails without waiting.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reading_engine(url: URL, limit: TimeLimit | None = None) -> Engine:
    """An engine on which the database refuses every write, for any SQL text, and ends statements at a time limit.

    Raises:
        InputError: There is no such database file.
    """
    file = sqlite_file(url)
    if file is None:
        return _other_reading_engine(url)
    if not file.is_file():
        raise InputError(
            f"the database {str(file)!r}",
            found="no file, but something else of that name" if file.exists() else "no such file",
            remedy="run a comparison first, or mend --db",
        )
    return _engine(url.set(query={}), creator=lambda: _open_read_only(file, limit or TimeLimit()))


def enforces_reading(engine: Engine) -> bool:
    """Whether an engine from `reading_engine` refuses writes of any SQL text, or is for known queries only."""
    return engine.dialect.name == "sqlite" or engine.dialect.driver == "psycopg"


def _other_reading_engine(url: URL) -> Engine:
    if url.get_driver_name() != "psycopg":
        return _engine(url, execution_options={"postgresql_readonly": True})
    # Every statement is prepared, and a prepared statement is one statement: without that,
    # "SELECT 1; COMMIT; DROP TABLE run" would leave the read-only transaction behind.
    connect = {"prepare_threshold": 0, "options": "-c default_transaction_read_only=on"}
    return _engine(url, connect_args=connect, execution_options={"postgresql_readonly": True})


def _open_read_only(file: Path, limit: TimeLimit) -> sqlite3.Connection:
    """A connection that can read `file` and nothing else."""
    connection = read_only_file(file)
    connection.set_authorizer(_reads_only)
    limit.watch(connection)
    return connection


def read_only_file(file: Path, *, any_thread: bool = False) -> sqlite3.Connection:
    """A connection to a file of any name that refuses writes.

    Args:
        file: The database.
        any_thread: Whether other threads than this one use it.

    Raises:
        sqlite3.OperationalError: The file cannot be opened.
    """
    address = file.absolute().as_uri()
    wal = file.with_name(file.name + "-wal")
    options: dict[str, Any] = {"uri": True, "timeout": BUSY_TIMEOUT_S, "check_same_thread": not any_thread}
    connection: sqlite3.Connection = sqlite3.connect(f"{address}?mode=ro", **options)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        if wal.exists():
            raise
        # A read-only folder has no place for the log's index, and no writers.
        connection = sqlite3.connect(f"{address}?immutable=1", **options)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _reads_only(action: int, argument: str | None, *_where: str | None) -> int:
    """SQLite authorizer: allows reading, but neither attaching files nor changing settings."""
    if action in _READING or (action == sqlite3.SQLITE_PRAGMA and argument in _DESCRIBING):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _engine(url: URL, **options: Any) -> Engine:
    try:
        return create_engine(url, **options)
    except ModuleNotFoundError as error:
        raise _no_driver(repr(url.drivername), error) from error


def _no_driver(kind: str, error: Exception) -> InputError:
    remedy = "install that driver, or use a sqlite:/// or postgresql+psycopg:// URL"
    return InputError(f"a driver for {kind} databases", found=str(error), remedy=remedy)


@contextmanager
def store_errors(url: URL) -> Iterator[None]:
    """Turn database errors into a StoreError that names the database and a remedy."""
    shown = url.render_as_string(hide_password=True)
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig)
        remedy = next((r for part, r in _REMEDIES.items() if part in said.lower()), "see the message above")
        raise StoreError(f"to use the database {shown}", found=said, remedy=remedy) from error
    except UnicodeEncodeError as error:
        raise StoreError(
            f"text that the database {shown} can hold",
            found=str(error),
            remedy="mend the question file's encoding",
        ) from error
