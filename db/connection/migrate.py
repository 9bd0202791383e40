"""Brings a database to this release's schema when it is opened; refuses unknown schemas.

Alembic is imported only when there is something to do, so that opening an up-to-date database stays quick.
"""

from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text

from provenance.db.schema.data_dictionary import write_dictionary
from provenance.db.schema.tables import HEAD, REVISIONS, Base
from provenance.errors import StoreError

MIGRATIONS = Path(__file__).parents[1] / "migrations"
UNRELEASED = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0.2.0_1",
    "0.2.0_2",
    "0.2.0_3",
)  # of 0.1.0, and of 0.2.0 while it was made


def revision_of(connection: Connection) -> str | None:
    """The schema revision of a database; None for an empty one.

    Raises:
        StoreError: The database holds tables of another program.
    """
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if tables:
        raise StoreError(
            "an empty database, or one that `provenance` made",
            found=f"tables of something else: {', '.join(sorted(tables)[:5])}",
            remedy="give another --db URL; the database was left as it is",
        )
    return None


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
            found=f"schema {revision!r}, from a newer version of the toolkit",
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
        StoreError: The database is from a newer version, from one that was never released, or from another program.
    """
    found = revision_of(connection)
    check_known(found)
    if found is None:
        Base.metadata.create_all(connection)
        _alembic(connection, command="stamp")
    elif found != HEAD:
        _alembic(connection, command="upgrade")
    if found != HEAD:
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
