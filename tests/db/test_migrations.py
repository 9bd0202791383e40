"""Migrations and models agree, and a database of another version is refused with what to do."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from provenance.db.connection import migrate
from provenance.db.connection.migrate import MIGRATIONS
from provenance.db.reading.run_query import info, run_query
from provenance.db.schema import tables
from provenance.db.schema.base import Base
from provenance.db.store import Store
from provenance.errors import StoreError


def test_migrations_make_exactly_the_tables_of_the_models(store: Store) -> None:
    with store.transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_difference_between_models_and_database_would_be_seen(store: Store) -> None:
    with store.transaction() as connection:
        connection.execute(text("ALTER TABLE transfer ADD COLUMN surprise INTEGER"))
        connection.execute(text("DROP INDEX neuron_by_drift"))
        assert len(compare_metadata(MigrationContext.configure(connection), Base.metadata)) == 2


def test_bulk_tables_are_stored_in_key_order_without_a_second_copy(store: Store) -> None:
    with store.transaction() as connection:
        sql = "SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%' ORDER BY name"
        found = connection.execute(text(sql)).scalars().all()
    assert found == ["activity", "neuron", "null_draw", "question", "response"]


def test_the_revisions_that_the_code_names_are_the_migrations_there_are() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert [script.revision for script in scripts.walk_revisions()] == list(reversed(tables.REVISIONS))


def test_every_table_says_what_one_row_is() -> None:
    silent = [
        mapper.class_.__name__
        for mapper in Base.registry.mappers
        if not (mapper.class_.__doc__ or "").startswith("One row: ")
    ]
    assert silent == []


def test_a_database_of_another_version_is_read_after_an_upgrade_only(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "REVISIONS", (*tables.REVISIONS, "0.3.0_1"))
    monkeypatch.setattr(migrate, "HEAD", "0.3.0_1")
    for read in (lambda: run_query(url, "runs"), lambda: info(url)):
        with pytest.raises(StoreError, match="provenance db upgrade"):
            read()


@pytest.mark.parametrize("revision", migrate.UNRELEASED)
def test_a_database_that_was_never_released_is_refused_with_the_remedy_and_left_alone(
    revision: str, new_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "provenance.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    connection.commit()
    connection.close()
    for used in (lambda: Store.open(new_url), lambda: run_query(new_url, "runs"), lambda: info(new_url)):
        with pytest.raises(StoreError) as caught:
            used()
        error = caught.value
        assert error.wanted == f"a database with schema {tables.HEAD} or later"
        assert error.found == f"schema {revision}, from a version that was never released"
        assert "run the comparison again into a new database file" in error.remedy
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("alembic_version",)]
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]
    connection.close()
