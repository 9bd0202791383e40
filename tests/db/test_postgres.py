"""The same store on PostgreSQL; needs an empty database at PROVENANCE_POSTGRES_URL, whose tables it drops."""

import os
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from synthetic import (
    kept_response,
    pruned_weights_report,
    report_of,
    stored_run,
    stored_timeline_run,
    stored_weights_run,
    task_of,
)
from synthetic_evidence import timeline_report_of

from provenance.db.reading.run_query import QUERIES, info, run_query
from provenance.db.schema.base import Base
from provenance.db.schema.views import VIEWS
from provenance.db.store import Store
from provenance.errors import InputError, StoreError

URL = os.environ.get("PROVENANCE_POSTGRES_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="PROVENANCE_POSTGRES_URL names no database")


@pytest.fixture
def server() -> Iterator[str]:
    with Store.open(URL) as store:
        stored_run(store, report_of())
    yield URL
    with Store.open(URL) as store, store.transaction() as connection:
        for view in VIEWS:
            connection.execute(text(f"DROP VIEW {view.name}"))
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))


def test_migrations_make_exactly_the_tables_of_the_models_there_too(server: str) -> None:
    with Store.open(server) as store, store.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_named_queries_give_the_numbers_that_sqlite_gives(server: str, finished: str) -> None:
    for name in sorted(set(QUERIES) - {"run", "runs", "lineage"}):  # times, and types of JSON and truth, differ
        ours, theirs = run_query(server, name), run_query(finished, name)
        assert ours.columns == theirs.columns
        for one, other in zip(ours.rows, theirs.rows, strict=True):  # means: summed in another order
            assert [pytest.approx(value, rel=1e-12) if isinstance(value, float) else value for value in one] == [
                *other
            ], name
    digests = [run_query(url, "run").records()[0]["content_digest"] for url in (server, finished)]
    assert digests[0] == digests[1]


def test_a_run_without_a_forward_pass_is_the_same_run_there(server: str, url: str) -> None:
    for address in (server, url):
        with Store.open(address) as store:
            stored_weights_run(store, pruned_weights_report())
    for name in (
        "mapping",
        "unmapped",
        "alignment",
        "neuron-list",
        "lineage-tensors",
        "config-differences",
        "layers",
        "drift-by-layer",
    ):
        ours, theirs = run_query(server, name, {"run": 2}), run_query(url, name, {"run": 1})
        assert [list(row) for row in ours.rows] == [list(row) for row in theirs.rows], name
        assert ours.rows
    digests = [info(address).runs[-1]["intact"] for address in (server, url)]
    assert digests == [True, True]


def test_responses_come_back_exactly(server: str) -> None:
    with Store.open(server) as store:
        log = store.response_log(task_of(), 1)
        log.append(0, [kept_response(1), kept_response(4)])
        assert log.responses() == [kept_response(1), kept_response(4)]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM run",
        "SELECT 1; COMMIT; DROP TABLE activity",
        "SET default_transaction_read_only = off; COMMIT; DROP TABLE activity",
        "CREATE TEMP TABLE x (a int)",
        "WITH x AS (DELETE FROM run RETURNING id) SELECT id FROM x",
    ],
)
def test_sql_that_writes_is_refused_and_changes_nothing(server: str, sql: str) -> None:
    before = info(server)
    for max_rows in (None, 1000):  # rows at once, and through a cursor
        with pytest.raises(InputError):
            run_query(server, sql, max_rows=max_rows)
    assert info(server) == before


def test_the_limits_of_time_and_rows_hold_there(server: str) -> None:
    """PostgreSQL ends the statement itself, and rows are fetched as they are needed; SHOW has no cursor."""
    endless = "WITH RECURSIVE n(x) AS (SELECT 1::bigint UNION ALL SELECT x + 1 FROM n) SELECT {} FROM n"
    with pytest.raises(InputError, match="within 0"):
        run_query(server, endless.format("count(*)"), timeout_s=0.3)
    with pytest.raises(InputError, match="1,000 rows"):
        run_query(server, endless.format("x"), timeout_s=20, max_rows=1000)
    assert run_query(server, "SHOW statement_timeout", timeout_s=20, max_rows=1).rows == (("20s",),)


def test_a_view_where_a_table_should_be_is_refused_there_too(server: str) -> None:
    with Store.open(server) as store, store.transaction() as connection:
        connection.execute(text("ALTER TABLE transfer RENAME TO kept"))
        connection.execute(text("CREATE VIEW transfer AS SELECT * FROM kept"))
    for use in (info, Store.open):
        with pytest.raises(StoreError, match="transfer: a view"):
            use(server)
    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(text("DROP VIEW transfer"))
        connection.execute(text("ALTER TABLE kept RENAME TO transfer"))
    engine.dispose()


def test_a_timeline_and_a_negative_control_are_the_same_runs_there(server: str, url: str) -> None:
    for address in (server, url):
        with Store.open(address) as store:
            stored_timeline_run(store, timeline_report_of())
            stored_run(store, report_of(seed=5), "c1", command="compare --control permuted-index")
    ours, theirs = run_query(server, "trace"), run_query(url, "trace")
    assert [list(row) for row in ours.rows] == [list(row) for row in theirs.rows]
    assert ours.rows
    assert run_query(server, "drift").rows == run_query(server, "drift", {"run": 1}).rows
    assert [info(address).runs[-2]["intact"] for address in (server, url)] == [True, True]
