"""Large results are written in pieces: others get in between, and a killed save shows nothing and is taken up again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked_cli import ForkedCli
from large_saves import PIECE, check_killed_saves, contents, kill_a_save
from sqlalchemy import Connection, event, text
from synthetic import begin, digests_of, report_of, rows, stored_run

from provenance.db import pieces, save
from provenance.db.connection import digests
from provenance.db.connection.digests import verify
from provenance.db.pieces import write_rows
from provenance.db.reading.run_query import info, newest_run, run_query
from provenance.db.rows import values
from provenance.db.rows.values import NeuronColumns
from provenance.db.store import Store
from provenance.errors import StoreError


@pytest.mark.usefixtures("small_pieces")
def test_pieces_make_the_rows_and_the_digest_that_one_transaction_makes(url: str, finished: str) -> None:
    with Store.open(url) as store:
        stored_run(store, report_of())
    assert contents(url) == contents(finished)
    assert info(url).runs[0]["intact"] is True


@pytest.mark.usefixtures("small_pieces")
def test_the_digest_of_a_layer_in_several_parts_is_that_of_its_rows(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (digests, values):
        monkeypatch.setattr(module, "CHUNK_ROWS", 5)
    with Store.open(url) as store:
        run = stored_run(store, report_of())
        with store.transaction() as connection:
            assert verify(connection, run) is True
            connection.execute(text("UPDATE activity SET auroc = 0.5 WHERE stage = 'base' AND neuron_index = 15"))
            assert verify(connection, run) is False


@pytest.mark.parametrize("spoiled", ["NULL", "'0.25'", "CAST('0.25' AS BLOB)", "drift_z + 1e-15"])
def test_a_spoiled_value_of_one_neuron_is_seen_whatever_its_type(finished: str, spoiled: str) -> None:
    with Store.open(finished) as store, store.transaction() as connection:
        sql = f"UPDATE neuron SET drift_z = {spoiled} WHERE layer = 2 AND neuron_index = 7"  # noqa: S608
        connection.execute(text(sql))
        assert verify(connection, 1) is False


def between_pieces(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something once, when some pieces are written and the next one is made."""
    made, left = NeuronColumns.rows, [4]

    def rows_of(self: NeuronColumns, start: int, stop: int, *before: object) -> list[tuple[Any, ...]]:
        left[0] -= 1
        if left[0] == 0:
            act()
        return made(self, start, stop, *before)

    monkeypatch.setattr(NeuronColumns, "rows", rows_of)


@pytest.mark.usefixtures("small_pieces")
def test_another_writer_gets_in_between_pieces_and_not_within_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    with Store.open(url) as store, Store.open(url, busy_timeout_s=0) as other:

        def within(*args: Any) -> None:
            with pytest.raises(StoreError, match="locked"):
                begin(other, "kept out")
            seen.append("kept out")
            write_rows(*args)

        monkeypatch.setattr(pieces, "write_rows", within)
        between_pieces(monkeypatch, lambda: seen.append(f"run {begin(other, 'let in')}"))
        stored_run(store, report_of())
    assert "run 2" in seen[2:-2]
    assert run_query(url, "runs").rows[0][4] == "done"
    assert info(url).runs[0]["intact"] is True


@pytest.mark.usefixtures("small_pieces")
def test_a_second_process_that_saves_the_run_ends_the_first_and_its_results_stand(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = report_of(seed=1), report_of(seed=2)
    with Store.open(url) as store, Store.open(url) as other:
        stored_run(store, first)
        between_pieces(monkeypatch, lambda: other.save(1, second, digests_of(second)) and None)
        with pytest.raises(StoreError, match="began later"):
            store.save(1, first, digests_of(first))
        found = rows(store, "SELECT drift_z FROM neuron ORDER BY layer, neuron_index")
    assert [row["drift_z"] for row in found] == second.neuron_drift.delta.tolist()
    assert info(url).runs[0]["intact"] is True


@pytest.mark.costly
@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(
    "kills",
    [
        [(3, "late"), (100, "end")],
        pytest.param([(1, ""), (3, "late"), (9, ""), (20, "late"), (100, "end")], marks=pytest.mark.slow),
    ],
    ids=["late and at the end", "anywhere"],
)
def test_a_save_that_is_killed_shows_nothing_and_the_next_one_is_whole(
    url: str, tmp_path: Path, forked: ForkedCli, kills: list[tuple[int, str]]
) -> None:
    check_killed_saves(forked, url, f"sqlite:///{tmp_path / 'undisturbed.db'}", kills)


@pytest.mark.usefixtures("small_pieces")
def test_a_killed_save_over_finished_results_leaves_none_and_other_runs_alone(finished: str, forked: ForkedCli) -> None:
    with Store.open(finished) as store:
        stored_run(store, report_of(seed=5), "k2")
    kill_a_save(forked, finished, 2, "")
    assert [row["intact"] for row in info(finished).runs] == [None, True]
    assert newest_run(finished) == 2
    with Store.open(finished) as store:
        left = rows(store, "SELECT COUNT(*) AS n FROM neuron WHERE run_id = 1")
        assert left == [{"n": PIECE}]  # of the killed save
        stored_run(store, report_of())
        assert rows(store, "SELECT COUNT(*) AS n FROM neuron WHERE run_id = 1") == [{"n": 64}]
    assert [row["intact"] for row in info(finished).runs] == [True, True]


@pytest.mark.costly
def test_a_disk_that_is_full_between_pieces_is_one_clear_error_and_the_next_save_is_whole(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (pieces, save):
        monkeypatch.setattr(module, "PIECE_ROWS", 2_000)
    large = report_of(layers=40, per_layer=160)
    with Store.open(url) as store:
        stored_run(store, report_of(), "other")
        run = begin(store)

        @event.listens_for(store._engine, "begin")
        def limit(connection: Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 700")  # of almost 1,000 that it takes

        with pytest.raises(StoreError, match="full"):
            store.save(run, large, digests_of(large))
    assert [row["intact"] for row in info(url).runs] == [True, None]
    with Store.open(url) as store:
        assert rows(store, "SELECT COUNT(*) AS n FROM neuron WHERE run_id = 2")[0]["n"] >= 2_000
        store.save(run, large, digests_of(large))
        assert rows(store, "SELECT COUNT(*) AS n FROM neuron WHERE run_id = 2") == [{"n": 6_400}]
        assert int(str(rows(store, "PRAGMA page_count")[0]["page_count"])) > 900
    assert [row["intact"] for row in info(url).runs] == [True, True]
