"""Brings a database to this release's schema when it is opened; refuses unknown schemas.

Alembic is imported only when there is something to do, so that opening an up-to-date database stays quick.
"""

from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text

from provenance.db.schema.data_dictionary import write_dictionary
from provenance.db.schema.tables import HEAD, REVISIONS, Base
from provenance.db.schema.views import VIEWS, make_views
from provenance.errors import StoreError

MIGRATIONS = Path(__file__).parents[1] / "migrations"
UNRELEASED = (
    "0001",
    "0002",
    "0003",
    "0004",
    *(f"0.2.0_{number}" for number in range(1, int(REVISIONS[0].rpartition("_")[2]))),
)  # of 0.1.0, and of 0.2.0 while it was made


def revision_of(connection: Connection) -> str | None:
    """The schema revision of a database; None for an empty one.

    Raises:
        StoreError: The database holds tables of another program, or does not say which one revision it has.
    """
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return _the_revision(connection)
    if tables:
        raise StoreError(
            "an empty database, or one that `provenance` made",
            found=f"tables of something else: {', '.join(sorted(tables)[:5])}",
            remedy="give another --db URL; the database was left as it is",
        )
    return None


def _the_revision(connection: Connection) -> str:
    rows = connection.execute(text("SELECT version_num FROM alembic_version LIMIT 2")).scalars().all()
    if len(rows) != 1:
        raise StoreError(
            "one row in alembic_version, the schema of the database",
            found=f"several, such as {rows[0]!r:.80} and {rows[1]!r:.80}" if rows else "none",
            remedy="restore the database from a copy, or give another --db URL; it was left as it is",
        )
    return str(rows[0])


def check_tables(connection: Connection) -> None:
    """Refuse a database in which something else stands where a table or view should, such as a view that never ends.

    Raises:
        StoreError: A table is missing, is a view or a virtual table, or has a trigger; a view is another than ours.
    """
    wrong = _not_tables(connection) or _not_views(connection)
    if wrong:
        name, what = next(iter(wrong.items()))
        raise StoreError(
            f"the {len(Base.metadata.tables)} tables and {len(VIEWS)} views that `provenance` makes, and nothing else "
            "under their names",
            found=f"{name}: {what}" + (f" ({len(wrong)} of this kind)" if len(wrong) > 1 else ""),
            remedy="do not use this database: ask its author for one as `provenance` wrote it; it was left as it is",
        )


def _not_tables(connection: Connection) -> dict[str, str]:
    """Names of our tables that are something else, with what they are."""
    looked, ours = inspect(connection), sorted(Base.metadata.tables)
    tables, views = set(looked.get_table_names()), set(looked.get_view_names())
    wrong = {name: "a view" if name in views else "no such table" for name in ours if name not in tables}
    if connection.dialect.name != "sqlite":
        return wrong
    said = connection.execute(text("SELECT type, tbl_name, sql FROM sqlite_master WHERE type IN ('table', 'trigger')"))
    for kind, name, sql in said:
        if name in Base.metadata.tables and kind == "trigger":
            wrong[name] = "a trigger on it"
        elif name in Base.metadata.tables and not str(sql).upper().startswith("CREATE TABLE"):
            wrong[name] = "a virtual table"
    return wrong


def _not_views(connection: Connection) -> dict[str, str]:
    """Names of our views that are missing or something else, with what they are; PostgreSQL keeps them rewritten."""
    if connection.dialect.name != "sqlite":
        there = set(inspect(connection).get_view_names())
        return {view.name: "no such view" for view in VIEWS if view.name not in there}
    found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    made = {row.name: row.sql for row in found}
    wrong = [view.name for view in VIEWS if made.get(view.name) != view.sql]
    return {name: "another view" if name in made else "no such view" for name in wrong}


def check_known(revision: str | None) -> None:
    """Refuse a schema that this release does not know.

    Raises:
        StoreError: The database was written by a newer version, or by one that was never released.
    """
    if revision in UNRELEASED:
        raise StoreError(
            f"a database with schema {HEAD} or later",
            found=f"schema {revision}, from a version that was never released",
            remedy="run the comparison again into a new database file with --db URL; this one was left as it is",
        )
    if revision is not None and revision not in REVISIONS:
        raise StoreError(
            f"a database with schema {HEAD} or older",
            found=f"schema {revision!r:.80}, from a newer version of the toolkit",
            remedy="upgrade the toolkit, or give another --db URL; the database was left as it is",
        )


def check_newest(revision: str | None) -> None:
    """Refuse a schema that readers cannot use: an unknown one, or one that needs an upgrade first.

    Raises:
        StoreError: The database was written by a newer version, or by an older one and not upgraded since.
    """
    check_known(revision)
    if revision not in (None, HEAD):
        raise StoreError(
            f"a database with schema {HEAD}",
            found=f"schema {revision}, from an older version of the toolkit",
            remedy="bring it up to date with `provenance db upgrade --db URL`; its results stay as they are",
        )


def upgrade(connection: Connection) -> str:
    """Bring the database on this connection to the newest schema, inside the caller's transaction.

    Returns:
        The revision before, or "" for an empty database.

    Raises:
        StoreError: The database is from a newer version, from one that was never released, or from another program; or
            something else stands where a table should.
    """
    found = revision_of(connection)
    check_known(found)
    if found == HEAD:
        check_tables(connection)
    if found is None:
        Base.metadata.create_all(connection)
        _alembic(connection, command="stamp")
    elif found != HEAD:
        _alembic(connection, command="upgrade")
    if found != HEAD:
        make_views(connection)
        write_dictionary(connection)
    return found or ""


def _alembic(connection: Connection, command: Literal["stamp", "upgrade"]) -> None:
    """Stamp a database with the newest schema, or upgrade it."""
    import alembic.command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    getattr(alembic.command, command)(config, "head")
