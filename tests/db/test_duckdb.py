"""DuckDB reads the database as SQLite does: every table and view, and the same rows for every named query."""

import json
import math
from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, inspect, text

from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.run_query import run_query
from provenance.db.store import Store
from provenance.db.studies import study_of_runs

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXTENSION = "duckdb_extension_sqlite_scanner"
pytestmark = pytest.mark.skipif(find_spec(EXTENSION) is None, reason="needs duckdb with its extension for SQLite")


@pytest.fixture
def url(finished: str) -> str:
    """Of a database with a finished run, and a study of it."""
    with Store.open(finished) as store:
        study_of_runs(store, "s", "S", [1])
    return finished


@pytest.fixture
def duck(url: str) -> "Iterator[DuckDBPyConnection]":
    """Reads the database; its extension is loaded where it is installed, so that nothing is written elsewhere."""
    import duckdb

    [extension] = files(EXTENSION).joinpath("extensions", f"v{duckdb.__version__}").iterdir()
    with duckdb.connect() as connection:
        connection.load_extension(str(extension))
        connection.execute(f"ATTACH '{url.removeprefix('sqlite:///')}' AS provenance (TYPE sqlite, READ_ONLY)")
        connection.execute("USE provenance")
        yield connection


def sql_of(name: str) -> str:
    """A named query with values in place of its parameters."""
    query = text(QUERIES[name].sql)
    given = {"run": 1, "study": "s", **QUERIES[name].defaults}
    used = {key: value for key, value in given.items() if f":{key}" in QUERIES[name].sql}
    return str(query.bindparams(**used).compile(compile_kwargs={"literal_binds": True}))


def same(one: Any, other: Any) -> bool:
    """Sums are taken in another order."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-15)
    return bool(one == other)


def test_every_named_query_has_the_same_rows(url: str, duck: "DuckDBPyConnection") -> None:
    for name, query in QUERIES.items():
        given = {key: value for key, value in {"run": 1, "study": "s"}.items() if f":{key}" in query.sql}
        wanted = run_query(url, name, given)
        found = duck.execute(sql_of(name))
        assert [column[0] for column in found.description or ()] == list(wanted.columns), name
        rows = found.fetchall()
        assert len(rows) == len(wanted.rows), name
        for one, other in zip(rows, wanted.rows, strict=True):
            assert all(map(same, one, other)), (name, one, other)


def test_every_table_and_view_is_read_whole(url: str, duck: "DuckDBPyConnection") -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        names = [*inspect(connection).get_table_names(), *inspect(connection).get_view_names()]
        for name in names:
            own = connection.execute(text(f'SELECT * FROM "{name}"')).all()  # noqa: S608 - names of this database
            assert len(duck.execute(f'SELECT * FROM "{name}"').fetchall()) == len(own), name  # noqa: S608
    engine.dispose()
    assert {"v_h_neurons", "neuron"} <= set(names)


def test_truth_values_times_and_json_are_used_as_the_pages_say(url: str, duck: "DuckDBPyConnection") -> None:
    counts = "count(*) FILTER (WHERE is_h_neuron), count(*) FILTER (WHERE is_h_neuron = true), sum(is_h_neuron)"
    assert len(set(duck.execute(f"SELECT {counts} FROM neuron").fetchone() or ())) == 1  # noqa: S608 - our own words
    [run] = run_query(url, "run", {"run": 1}).records()
    [(started, torch)] = duck.execute("SELECT CAST(started_utc AS timestamp), versions->>'torch' FROM v_run").fetchall()
    assert started.strftime("%Y-%m-%dT%H:%M:%SZ") == run["started_utc"]
    assert torch == json.loads(run["versions"])["torch"]
