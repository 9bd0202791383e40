"""Migrations and models agree, and databases kept from every released schema still open."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from synthetic import kept_response, report_of, stored_run, task_of

from db import schema
from db.base import Base
from db.migrate import MIGRATIONS
from db.named_evidence import EVIDENCE_QUERIES
from db.queries import info, run_query
from db.store import Store
from provenance.errors import StoreError

ASSETS = Path(__file__).parent / "assets"


def old_database(revision: str, folder: Path) -> str:
    file = folder / "old.db"
    connection = sqlite3.connect(file)
    connection.executescript((ASSETS / f"{revision}.sql").read_text())
    connection.close()
    return f"sqlite:///{file}"


def test_migrations_make_exactly_the_tables_of_the_models(store: Store) -> None:
    with store.transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_difference_between_models_and_database_would_be_seen(store: Store) -> None:
    with store.transaction() as connection:
        connection.execute(text("ALTER TABLE transfer ADD COLUMN surprise INTEGER"))
        connection.execute(text("DROP INDEX neuron_by_rank"))
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
    assert [script.revision for script in scripts.walk_revisions()] == list(reversed(schema.REVISIONS))


def test_every_table_says_what_one_row_is() -> None:
    silent = [
        mapper.class_.__name__
        for mapper in Base.registry.mappers
        if not (mapper.class_.__doc__ or "").startswith("One row: ")
    ]
    assert silent == []


@pytest.mark.parametrize("revision", schema.REVISIONS)
def test_a_kept_old_database_is_upgraded_and_read(revision: str, tmp_path: Path) -> None:
    url = old_database(revision, tmp_path)
    with Store.open(url) as store:
        with store.transaction() as connection:
            context = MigrationContext.configure(connection)
            assert context.get_current_revision() == schema.HEAD
            assert compare_metadata(context, Base.metadata) == []
        log = store.response_log(task_of(), 1)
        assert log.responses() == [kept_response(1), kept_response(2)]
        assert log.batches_done() == 1
    assert [row["auroc"] for row in run_query(url, "transfer", {"run": 1}).records()] == [0.9, 0.65]
    assert {run["intact"] for run in info(url).runs} == {True}


def test_what_an_old_run_did_not_look_at_is_null_and_not_zero(tmp_path: Path) -> None:
    url = old_database("0001", tmp_path)
    Store.open(url).close()
    lineage = run_query(url, "lineage").records()[0]
    assert (lineage["verdict"], lineage["nearest_cosine"]) == ("descendant", 0.9992)
    assert {lineage[name] for name in ("reason", "found_in_base", "vocabulary_base", "layer_of")} == {None}
    assert run_query(url, "h-neurons").rows
    for name in ("unmapped", "mapping", "alignment", "lineage-tensors", "config-differences"):
        assert run_query(url, name).rows == (), name


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_what_an_old_probe_was_not_asked_is_null_and_no_row(revision: str, tmp_path: Path) -> None:
    url = old_database(revision, tmp_path)
    Store.open(url).close()
    assert {(row["rule"], row["gap"], row["source"]) for row in run_query(url, "probes").records()} == {(None,) * 3}
    path = run_query(url, "probe-path").records()
    assert {(row["validation_auroc"], row["suppressed_accuracy"]) for row in path} == {(None, None)}
    assert None not in {row["validation_accuracy"] for row in path}
    assert {row["selection_frequency"] for row in run_query(url, "h-neurons").records()} == {None}
    for name in ("probe-curve", "baselines", "stability", "stable-neurons", "clusters", "neuron-sets"):
        assert run_query(url, name).rows == (), name


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_what_an_old_run_was_not_held_against_is_null_and_no_row(revision: str, tmp_path: Path) -> None:
    url = old_database(revision, tmp_path)
    Store.open(url).close()
    decided = {tuple(row[name] for name in ("p_value", "p_holm", "decided_by", "p_chance"))
               for row in run_query(url, "transfer").records()}  # fmt: skip
    assert decided == {(None,) * 4}
    overlap = run_query(url, "overlap").records()[0]
    assert {overlap[name] for name in ("ratio_base", "ratio_instruct", "cluster_jaccard", "rank_biased")} == {None}
    assert overlap["jaccard"] is not None
    for query in EVIDENCE_QUERIES:
        assert run_query(url, query.name).rows == (), query.name


@pytest.mark.parametrize(
    ("revision", "names"),
    [
        ("0003", ("probe-curve", "baselines", "stability", "stable-neurons", "clusters", "neuron-set-members")),
        ("0004", tuple(query.name for query in EVIDENCE_QUERIES)),
    ],
)
def test_a_kept_database_has_rows_of_everything_that_its_schema_added(
    revision: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    """Else the next schema would be tested on an upgrade of empty tables."""
    url = old_database(revision, tmp_path)
    Store.open(url).close()
    for name in names:
        assert run_query(url, name).rows, name


def test_an_altered_row_of_an_old_run_is_seen_after_the_upgrade(tmp_path: Path) -> None:
    url = old_database("0001", tmp_path)
    with Store.open(url) as store, store.transaction() as connection:
        connection.execute(
            text("UPDATE neuron SET base_layer = 0, base_index = 1 WHERE layer = 0 AND neuron_index = 0")
        )
    assert info(url).runs[0]["intact"] is False


def test_reading_a_database_that_was_not_upgraded_says_how_to(tmp_path: Path) -> None:
    url = old_database("0001", tmp_path)
    for read in (lambda: run_query(url, "runs"), lambda: info(url)):
        with pytest.raises(StoreError, match="provenance db upgrade"):
            read()


def test_an_old_database_takes_new_runs(tmp_path: Path) -> None:
    url = old_database(schema.REVISIONS[0], tmp_path)
    with Store.open(url) as store:
        assert stored_run(store, report_of(), "a new key") == 2
    assert info(url).rows["run"] == 2
