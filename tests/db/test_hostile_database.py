"""A database of somebody else: what stands where a table should, what never ends, and what has no one revision."""

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from comparison import invoke, refused

from provenance.db.reading.export import encoded
from provenance.db.reading.run_query import info, newest_run, run_query
from provenance.db.store import Store
from provenance.errors import InputError, ProvenanceError, StoreError

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT {} FROM n"
BOMB = ENDLESS.format("count(*)")


@pytest.fixture
def spoil(finished: str, tmp_path: Path) -> Callable[[str], str]:
    """The finished database after some SQL; its URL."""

    def spoilt(script: str) -> str:
        with closing(sqlite3.connect(tmp_path / "provenance.db")) as connection:
            connection.executescript(script)
        return finished

    return spoilt


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (f"DROP TABLE transfer; CREATE VIEW transfer AS {ENDLESS.format('x AS run_id')}", "transfer: a view"),
        ("ALTER TABLE run RENAME TO kept; CREATE VIEW run AS SELECT kept.* FROM kept, kept AS b", "run: a view"),
        ("DROP TABLE activity", "activity: no such table"),
        ("DROP TABLE transfer; CREATE VIRTUAL TABLE transfer USING fts5(run_id)", "transfer: a virtual table"),
        (f"CREATE TRIGGER t AFTER UPDATE ON run BEGIN SELECT ({BOMB}); END", "run: a trigger on it"),
    ],
)
def test_what_stands_where_a_table_should_is_refused_at_once(
    spoil: Callable[[str], str], script: str, found: str, tmp_path: Path
) -> None:
    """By everything that reads or writes; the view would keep each of them busy for ever."""
    url = spoil(script)
    before, start = (tmp_path / "provenance.db").read_bytes(), time.monotonic()
    uses: list[Callable[[], object]] = [
        lambda: info(url), lambda: newest_run(url), lambda: run_query(url, "runs"), lambda: Store.open(url)
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(StoreError) as caught:
            use()
        assert found in caught.value.found
    for command in ("report", "figures"):
        assert found in refused(command, "--db", url, "--out", tmp_path / "out", code=1)[1]
    assert time.monotonic() - start < 60  # the view never ends
    assert (tmp_path / "provenance.db").read_bytes() == before


def test_a_view_under_a_name_of_its_own_stays_allowed(spoil: Callable[[str], str]) -> None:
    url = spoil("CREATE VIEW mine AS SELECT id FROM run")
    assert run_query(url, "SELECT id FROM mine").rows == ((1,),)
    Store.open(url).close()


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("INSERT INTO alembic_version VALUES ('0.2.0_1')", "several, such as "),
        ("DELETE FROM alembic_version", "none"),
        ("UPDATE alembic_version SET version_num = replace(hex(zeroblob(5000)), '0', 'v')", "schema 'vvv"),
        ("UPDATE alembic_version SET version_num = x'ff00'", "schema \"b'"),
    ],
)
def test_a_database_without_one_known_revision_is_a_clear_error(
    spoil: Callable[[str], str], script: str, found: str
) -> None:
    url = spoil(script)
    for use in (lambda: info(url), lambda: Store.open(url)):
        with pytest.raises(StoreError) as caught:
            use()
        assert found in caught.value.found
        assert len(caught.value.found) < 300


@pytest.mark.parametrize("sql", [BOMB, f"{BOMB} ORDER BY x", "SELECT count(*) FROM endless"])
def test_sql_that_never_ends_is_ended_by_the_time_limit(spoil: Callable[[str], str], sql: str) -> None:
    url = spoil(f"CREATE VIEW endless AS {ENDLESS.format('x')}")
    start = time.monotonic()
    lines = refused("query", sql, "--db", url, "--timeout", "0.3", code=2)
    assert "within 0.3 s" in lines[0]
    assert "--timeout" in lines[2]
    assert 0.3 <= time.monotonic() - start < 30


def test_more_rows_than_allowed_are_refused_before_they_fill_the_memory(finished: str) -> None:
    start = time.monotonic()
    lines = refused("query", ENDLESS.format("x"), "--db", finished, "--max-rows", "1000", code=2)
    assert "1,000 rows" in lines[0]
    assert time.monotonic() - start < 30
    assert len(run_query(finished, f"{ENDLESS.format('x')} LIMIT 1000", max_rows=1000).rows) == 1000


def test_one_absurdly_long_value_is_refused(finished: str) -> None:
    with pytest.raises(InputError, match="too big"):
        run_query(finished, "SELECT length(hex(zeroblob(900000000)))")


def test_values_of_any_type_leave_in_every_format_or_are_refused_in_clear_words(finished: str) -> None:
    """And what would command a terminal is shown as a sign for it."""
    mixed = run_query(finished, "SELECT 1 AS a UNION ALL SELECT x'ff00' UNION ALL SELECT 'text'")
    assert json.loads(encoded(mixed, "json")) == [{"a": 1}, {"a": "ff00"}, {"a": "text"}]
    with pytest.raises(InputError, match="one type each"):
        encoded(mixed, "parquet")
    told = invoke("query", "SELECT 'a' || char(27) || ']0;title' || char(7) || char(155) AS a", "--db", finished)
    assert told.exit_code == 0
    assert "a\ufffd]0;title\ufffd\ufffd" in told.stdout


def test_names_that_would_command_a_terminal_are_shown(spoil: Callable[[str], str]) -> None:
    url = spoil("UPDATE run SET instruct_ref = char(27) || '[2J'")
    for command in (("db", "info"), ("query", "transfer")):
        told = invoke(*command, "--db", url)
        assert "\x1b[2J" not in told.stdout + told.stderr
        assert "\ufffd[2J" in told.stdout + told.stderr


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Python's own handler of Ctrl-C, which a shell's background jobs do not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("timeout_s", [None, 60.0])
def test_an_interrupt_ends_sql_that_never_ends(finished: str, timeout_s: float | None) -> None:
    sqlite3.enable_callback_tracebacks(False)  # Datasette turns them on where another test imports it
    start = time.monotonic()
    timer = threading.Timer(0.3, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_query(finished, BOMB, timeout_s=timeout_s)
    timer.join()
    assert time.monotonic() - start < 30
    assert run_query(finished, "SELECT 1").rows == ((1,),)


def test_a_fifo_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for use in (info, Store.open):
        with pytest.raises(ProvenanceError):
            use(f"sqlite:///{tmp_path / 'fifo'}")
