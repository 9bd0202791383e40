"""The same store on PostgreSQL, in databases of a server that the tests start."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from dangling import check_refused
from forked_cli import ForkedCli
from large_saves import check_killed_saves, contents
from postgres_server import missing, running
from sqlalchemy import Table, create_engine, insert, select, text
from synthetic import (
    PER_LAYER,
    begin,
    kept_response,
    pruned_weights_report,
    report_of,
    stored_run,
    stored_timeline_run,
    stored_weights_run,
    task_of,
)
from synthetic_evidence import timeline_report_of

from provenance.db.merge import merge
from provenance.db.pieces import write_rows
from provenance.db.reading.run_query import QUERIES, info, run_query
from provenance.db.rows.comparison import neuron_rows
from provenance.db.schema.base import Base
from provenance.db.schema.tables import OF_NEURONS
from provenance.db.store import Store
from provenance.errors import InputError, StoreError

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
_NUMBERS = count()


@pytest.fixture(scope="module")
def started() -> Iterator[str]:
    """A server with a database `finished`, which has one finished run."""
    with running() as url:
        execute(url, "CREATE DATABASE finished")
        with Store.open(named(url, "finished")) as store:
            stored_run(store, report_of())
        yield url


@pytest.fixture
def server(started: str) -> str:
    """Of a database of its own with one finished run."""
    return copied(started, "finished")


@pytest.fixture
def empty(started: str) -> str:
    """Of an empty database of its own."""
    return copied(started, "template0")


def named(url: str, database: str) -> str:
    return f"{url.rpartition('/')[0]}/{database}"


def copied(url: str, template: str) -> str:
    name = f"test_{next(_NUMBERS)}"
    execute(url, f"CREATE DATABASE {name} TEMPLATE {template}")
    return named(url, name)


def execute(url: str, sql: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(sql))
    engine.dispose()


def test_migrations_make_exactly_the_tables_of_the_models_there_too(server: str) -> None:
    with Store.open(server) as store, store.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


@pytest.mark.costly
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
        log.put({0: kept_response(1), 1: kept_response(4)})
        assert log.responses() == [kept_response(1), kept_response(4)]


WRITES = (
    "DELETE FROM run",
    "SELECT 1; COMMIT; DROP TABLE activity",
    "SET default_transaction_read_only = off; COMMIT; DROP TABLE activity",
    "CREATE TEMP TABLE x (a int)",
    "WITH x AS (DELETE FROM run RETURNING id) SELECT id FROM x",
)


def test_sql_that_writes_is_refused_and_changes_nothing(server: str) -> None:
    before = info(server)
    for sql in WRITES:
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


def test_copy_writes_the_rows_that_insert_writes(server: str) -> None:
    """Of every type that a neuron has, missing values among them; the second run is written by INSERT."""
    with Store.open(server) as store:
        runs = [begin(store, "by copy"), begin(store, "by insert")]
        for run in runs:
            for table, columns in neuron_rows(report_of(seed=6), PER_LAYER):
                names, found = ("run_id", *columns.names), columns.rows(0, 64, run)
                with store.transaction() as connection:
                    if run == runs[0]:
                        write_rows(connection, table, names, found)
                    else:
                        connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in found])
        for table in OF_NEURONS:
            copied_rows, inserted = (_rows_of(store, table, run) for run in runs)
            assert copied_rows == inserted
            assert len(inserted) in (64, 4 * 64)
            assert any(value is None for row in inserted for value in row)


def _rows_of(store: Store, table: Table, run: int) -> list[tuple[object, ...]]:
    with store.transaction() as connection:
        key = table.primary_key.columns
        return [tuple(row)[1:] for row in connection.execute(select(table).filter_by(run_id=run).order_by(*key))]


def test_a_row_that_copy_cannot_write_is_an_error_of_the_database(server: str) -> None:
    table = OF_NEURONS[0]
    with Store.open(server) as store:
        with pytest.raises(StoreError, match="duplicate key"), store.transaction() as connection:
            write_rows(connection, table, ("run_id", "layer", "neuron_index", *FLAGS), [(1, 0, 0, *[False] * 3)])
        assert info(server).runs[0]["intact"] is True


FLAGS = ("identical", "is_h_neuron", "is_base_h_neuron")


def test_the_database_refuses_rows_that_lead_nowhere(empty: str) -> None:
    with Store.open(empty) as store:
        check_refused(store)


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
def test_a_killed_save_shows_nothing_there_and_the_next_one_is_whole(
    started: str, empty: str, forked: ForkedCli
) -> None:
    check_killed_saves(forked, empty, copied(started, "template0"), [(9, "late")])


@pytest.mark.usefixtures("small_pieces")
def test_runs_come_and_go_between_both_kinds_in_pieces(finished: str, empty: str, tmp_path: Path) -> None:
    back = f"sqlite:///{tmp_path / 'back.db'}"
    for source, target in ((finished, empty), (empty, back)):
        assert merge(source, target).notes == []
    assert info(empty).runs[0]["intact"] is True
    assert contents(back) == contents(finished)
