"""Runs named queries and read-only SQL, and summarises a database's contents.

The database itself refuses every write on connections for reading, so any SQL text may be passed on.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, TextClause, func, select, table, text
from sqlalchemy.exc import DBAPIError, ResourceClosedError, SQLAlchemyError

from provenance.analyses.results.drift import RANK_BINS
from provenance.db.connection import migrate
from provenance.db.connection.connect import database_url, enforces_reading, reading_engine, sqlite_file, store_errors
from provenance.db.connection.digests import verify
from provenance.db.connection.time_limit import TimeLimit
from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.query import Query
from provenance.db.schema.data_dictionary import dictionary_rows
from provenance.db.schema.tables import DERIVED, Base
from provenance.defaults import LATEST
from provenance.errors import InputError, nearest
from provenance.table_declaration import REPLICATE

__all__ = [
    "QUERIES", "DatabaseInfo", "Query", "QueryResult", "Source", "default_run", "info", "newest_run", "reading",
    "run_query",
]  # fmt: skip

Source = str | Engine | Connection
"""Where to read: the URL of a database, an engine for reading, or a connection of `reading`."""

# A negative control must find nothing: it is shown only by number.
_NEWEST = """
SELECT r.id FROM run r WHERE r.content_digest IS NOT NULL AND r.command NOT LIKE '%--control%' {looked}
ORDER BY {first} r.finished_utc DESC, r.id DESC LIMIT 1
"""
_LOOKED = "AND EXISTS (SELECT 1 FROM {subject} s WHERE s.run_id = r.id)"
# A run by weights alone, or a timeline with a probe of its own, would otherwise hide the comparison.
_COMPARISONS_FIRST = "CASE r.command WHEN 'compare' THEN 0 WHEN 'trace' THEN 2 ELSE 1 END,"
_REFUSALS = ("readonly", "not authorized", "read-only transaction")
_FAILURES = ("unable to open", "locked", "not a database", "malformed", "disk i/o", "interrupted", "statement timeout")
_RESULTS = frozenset(table.name for table in DERIVED)
_NO_RUN = 0  # runs are numbered from 1
# as SQLite and PostgreSQL say it
_UNKNOWN = re.compile(r'(?:no such )?(column|table|relation):? "?([\w.]+)"?(?: does not exist|$)')
_STREAMED = ("select", "with", "values", "table")


@dataclass(frozen=True)
class QueryResult:
    """Result of a query."""

    columns: tuple[str, ...]
    """Names, in order."""
    rows: tuple[tuple[Any, ...], ...]
    """Values in the order of the columns; None where a number is not defined."""
    run: int | None = None
    """Its run; None if it is about all runs, or names them itself."""
    with_replicates: "QueryResult | None" = None
    """The rows over all replicates and those of each, told apart by a column; None where no run has several."""

    def records(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def every_record(self) -> list[dict[str, Any]]:
        """The rows over all replicates and then those of each, by the column with its number; as `records` of one."""
        return (self.with_replicates or self).records()

    def each_replicate(self) -> list[dict[str, Any]]:
        """The rows of single replicates; none where no run has several."""
        found = [] if self.with_replicates is None else self.with_replicates.records()
        return [row for row in found if row[REPLICATE]]

    def only(self, names: Sequence[str]) -> "QueryResult":
        """Some of the columns, in the order given.

        Raises:
            InputError: There is no such column; the message names similar ones.
        """
        for name in names:
            if name not in self.columns:
                raise InputError("columns of the result", found=repr(name), remedy=nearest(name, self.columns))
        places = [self.columns.index(name) for name in names]
        return QueryResult(tuple(names), tuple(tuple(row[place] for place in places) for row in self.rows), self.run)

    def as_csv(self) -> str:
        """Comma-separated values with a header line, all digits, empty for missing values (RFC 4180 with LF)."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return out.getvalue()


@dataclass(frozen=True)
class DatabaseInfo:
    """Contents of a database."""

    schema: str
    """Revision of its schema."""
    file_bytes: int | None
    """Size of the SQLite file; None for other databases."""
    rows: dict[str, int]
    """Number of rows by table."""
    runs: tuple[dict[str, Any], ...]
    """Rows of the `runs` query, with `intact`: whether the rows still have the digest stored with them."""


def run_query(
    source: Source,
    name_or_sql: str,
    params: Mapping[str, float | str] | None = None,
    *,
    timeout_s: float | None = None,
    max_rows: int | None = None,
) -> QueryResult:
    """Run a named query, or SQL text that reads.

    Args:
        source: The database.
        name_or_sql: A key of `QUERIES`, or SQL with `:name` parameters.
        params: Values of parameters; the default of `run` is the newest finished comparison with rows of the query's
            subject, a run of another kind where there is none, and never a negative control; `latest` is the newest
            finished run of any kind but a control.
        timeout_s: Seconds that the database may take; None for no limit, as for a connection that is open already.
        max_rows: Most rows; None for no limit.

    Raises:
        InputError: The name is unknown, the SQL is wrong or wants to write, a parameter is missing or not one of the
            query's, there is no such run, or none that has finished; or the answer takes longer or has more rows.
        StoreError: The database cannot be read, or is of another version.
    """
    query = _resolve(name_or_sql)
    with reading(source, timeout_s) as connection:
        if query.name not in QUERIES and not enforces_reading(connection.engine):
            raise InputError(
                "a database that can be held to reading: SQLite, or PostgreSQL through postgresql+psycopg",
                found=connection.engine.url.drivername,
                remedy="give another --db URL, or use a named query",
            )
        clause = text(query.sql)
        values = _bind(connection, clause, query, params or {})
        try:
            # PostgreSQL would hand over all rows at once; those of a cursor come one by one, but SHOW has none
            streamed = max_rows is not None and query.sql.lstrip().lower().startswith(_STREAMED)
            bound = _whole(connection, query, values)
            result = connection.execution_options(stream_results=streamed).execute(clause, bound)
            number = values.get("run")
            about = None if number is None else int(number)
            columns = tuple(result.keys())
            return QueryResult(columns, _rows(result, max_rows), about)
        except (SQLAlchemyError, ResourceClosedError) as error:
            raise _explained(query, error) from error


def _rows(result: CursorResult[Any], max_rows: int | None) -> tuple[tuple[Any, ...], ...]:
    with closing(result):
        rows = tuple(tuple(row) for row in islice(result, None if max_rows is None else max_rows + 1))
    if max_rows is not None and len(rows) > max_rows:
        raise InputError(
            f"a result of at most {max_rows:,} rows",
            found="more",
            remedy="narrow the SQL (WHERE, LIMIT), or allow more with --max-rows N",
        )
    return rows


def newest_run(source: Source) -> int:
    """Id of the last finished run, of any kind but a negative control.

    Raises:
        InputError: No such run has finished.
    """
    with reading(source) as connection:
        return _newest(connection)


def default_run(source: Source) -> int:
    """Id of the run that is shown where none is named: the newest comparison, or without any `newest_run`.

    Raises:
        InputError: No such run has finished.
    """
    with reading(source) as connection:
        return _default(connection)


def default_run_sql(subject: str = "") -> str:
    """SQL expression of the default run: the newest comparison, or else run; if it can, one with rows in a table."""
    newest = _NEWEST.format(looked="", first=_COMPARISONS_FIRST)
    if not subject:
        return f"({newest})"
    # Without any such run an empty table with its columns, as for a run that is named.
    return f"COALESCE(({_NEWEST.format(looked=_LOOKED.format(subject=subject), first=_COMPARISONS_FIRST)}), ({newest}))"


def info(source: Source) -> DatabaseInfo:
    """Schema, size, rows by table, and the runs with a check of their rows."""
    with reading(source) as connection:
        counts = {
            name: connection.execute(select(func.count()).select_from(table(name))).scalar_one()
            for name in sorted(Base.metadata.tables)
        }
        found = connection.execute(text(QUERIES["runs"].sql)).mappings()
        runs = tuple({**row, "intact": verify(connection, row["run"])} for row in list(found))
        schema = migrate.revision_of(connection) or ""
    file = sqlite_file(database_url(source)) if isinstance(source, str) else None
    return DatabaseInfo(schema, None if file is None else file.stat().st_size, counts, runs)


def is_intact(source: Source, run: int) -> bool:
    """Whether a run's rows of results have the digest that was stored with them."""
    with reading(source) as connection:
        return bool(verify(connection, run))


@contextmanager
def reading(source: Source, timeout_s: float | None = None) -> Iterator[Connection]:
    """A connection that can only read, to a database of this release's schema with all its tables.

    The database is opened and checked once for all queries that are given the connection, which takes longer than most
    of them. One that is open already is handed on as it is.

    Raises:
        InputError: There is no such database, or nothing in it.
        StoreError: It cannot be read, or is of another version.
    """
    if isinstance(source, Connection):
        with store_errors(source.engine.url):
            yield source
        return
    limit = TimeLimit(timeout_s)
    engine = reading_engine(database_url(source), limit) if isinstance(source, str) else source
    shown = database_url(source) if isinstance(source, str) else engine.url
    try:
        with store_errors(shown), limit.explained(), engine.connect() as connection:
            limit.set_on_server(connection)
            revision = migrate.revision_of(connection)
            migrate.check_newest(revision)
            if revision is None:
                raise InputError("a database with results", found="an empty one", remedy="run a comparison first")
            migrate.check_tables(connection)
            yield connection
    finally:
        if isinstance(source, str):
            engine.dispose()


def _resolve(name_or_sql: str) -> Query:
    if name_or_sql in QUERIES:
        return QUERIES[name_or_sql]
    if not any(character.isspace() for character in name_or_sql.strip()):
        remedy = _as_query(name_or_sql.strip())
        raise InputError("the name of a query, or SQL", found=repr(name_or_sql), remedy=remedy)
    return Query("SQL", "", name_or_sql)


def _as_query(word: str) -> str:
    """Remedy for one word that names no query: SQL if it is a table or view, or else names like it."""
    if word in {row["table_name"] for row in dictionary_rows()}:
        sql = f"select * from {word}"  # noqa: S608 - of our names
        return f'did you mean `provenance query "{sql}"`? It is a table or view, not a named query'
    return f"{nearest(word, QUERIES, else_all=False)} See `provenance query` for all of them"


def _bind(
    connection: Connection, clause: TextClause, query: Query, given: Mapping[str, float | str]
) -> dict[str, float | str]:
    """Value of every parameter: given, default, or the newest run."""
    wanted = set(clause.compile().params)
    if extra := sorted(set(given) - wanted):
        raise InputError(
            f"parameters of {query.name}: {', '.join(sorted(wanted)) or 'it has none'}",
            found=", ".join(extra),
            remedy="leave these out",
        )
    values: dict[str, float | str] = {**query.defaults, **given}
    if "run" in wanted and "run" not in values:
        values["run"] = _default(connection, query.subject)
    if values.get("run") == LATEST:
        values["run"] = _newest(connection)
    if "study" in wanted:
        values["study"] = _study(connection, values.get("study"))
    if missing := sorted(wanted - set(values)):
        raise InputError(
            f"values for {', '.join(missing)}",
            found="none",
            remedy="give them as parameters; a colon that starts no parameter is written \\:",
        )
    whole = {name: _whole_number(name, values[name]) for name in wanted}
    if "run" in given:
        _check_run(connection, whole["run"])
    return whole


def _whole(connection: Connection, query: Query, values: dict[str, float | str]) -> dict[str, float | str]:
    """No run in place of one whose results are not all written yet: of large ones, rows of neurons come first."""
    if query.subject not in _RESULTS or "run" not in values:
        return values
    digest = text("SELECT content_digest FROM run WHERE id = :run")
    is_whole = connection.execute(digest, {"run": values["run"]}).scalar_one_or_none() is not None
    return values if is_whole else {**values, "run": _NO_RUN}


def _check_run(connection: Connection, run: float | str) -> None:
    """Refuse a run that was never begun; one without results has empty tables."""
    runs = connection.execute(text("SELECT id FROM run ORDER BY id")).scalars().all()
    if run not in runs:
        raise InputError(
            "a run of this database",
            found=f"run {run}; it has {', '.join(map(str, runs)) or 'none'}",
            remedy="name one of these (see `runs`)",
        )


def _study(connection: Connection, name: float | str | None) -> str:
    """The named study, or the one that was changed last."""
    known = connection.execute(text("SELECT name FROM study ORDER BY updated_utc DESC, id DESC")).scalars().all()
    if name is None:
        return str(known[0]) if known else ""  # an empty table with its columns
    if name in known:
        return str(name)
    raise InputError(
        "a study of this database",
        found=f"{name!r}; it has {', '.join(known) or 'none'}",
        remedy="name one of these (see `studies`), or run `provenance study`",
    )


def _whole_number(name: str, value: float | str) -> float | str:
    """Numbers of runs, rows and bins, possibly given as text on a command line."""
    if name not in ("run", "limit", "bins", "each"):
        return value
    try:
        number = int(value)
    except ValueError as error:
        beside = f", or {LATEST!r}" if name == "run" else ""
        raise InputError(f"a whole number for {name}{beside}", found=repr(value), remedy="mend it") from error
    if name == "limit" and number < 0:
        raise InputError("a limit of 0 rows or more", found=str(number), remedy="mend it")
    if name == "bins" and (number < 1 or RANK_BINS % number):
        raise InputError(f"bins that divide {RANK_BINS}, such as 50 or 200", found=str(number), remedy="mend it")
    return number


def _default(connection: Connection, subject: str = "") -> int:
    """The newest comparison, or else run; with a subject, among those with a row in its table."""
    return _finished(connection, f"SELECT {default_run_sql(subject)}")


def _newest(connection: Connection) -> int:
    """Last finished run that is no negative control, of any kind."""
    return _finished(connection, _NEWEST.format(looked="", first=""))


def _finished(connection: Connection, sql: str) -> int:
    number = connection.execute(text(sql)).scalar_one_or_none()
    if number is None:
        raise InputError(
            "a finished run that is no negative control",
            found="none in this database",
            remedy="finish a comparison, or name a run (see `runs`)",
        )
    return int(number)


def _explained(query: Query, error: SQLAlchemyError) -> Exception:
    """Error for a failed query: the user's SQL, unless the database failed."""
    said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    lower = said.lower()
    if isinstance(error, ResourceClosedError) or any(part in lower for part in _REFUSALS):
        return InputError(
            "SQL that reads",
            found=f"a statement that does not ({said})",
            remedy="use SELECT; results are never changed",
        )
    if isinstance(error, DBAPIError) and any(part in lower for part in _FAILURES):
        return error
    return InputError(
        "SQL that this database understands, or the name of a query",
        found=f"{said} in {query.name}",
        remedy=f"{_meant(said)} See `provenance db schema` for tables and columns, `provenance query` for the queries",
    )


def _meant(said: str) -> str:
    """Remedy for a name in SQL that the database does not know, by what it says of it."""
    named = _UNKNOWN.search(said)
    if not named:
        return "mend the SQL."
    kind, name = named.groups()
    rows = [row for row in dictionary_rows() if bool(row["column_name"]) == (kind == "column")]
    known = sorted({row["column_name"] or row["table_name"] for row in rows})
    return nearest(name.rpartition(".")[2], known, else_all=False)
