"""Runs, question sets, response and capture logs: what is written once is read back the same."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import text
from synthetic import BASE, INSTRUCT, SETS, begin, digests_of, questions_of, report_of, response_of, stored_run, task_of

from provenance.db.reading.run_query import info, run_query
from provenance.db.schema.tables import HEAD
from provenance.db.store import Store
from provenance.errors import InputError, StoreError
from provenance.records import QUOTA_FULL, CaptureChunk
from provenance.stages import StageTime


def scalar(store: Store, sql: str, **values: object) -> object:
    with store.transaction() as connection:
        return connection.execute(text(sql), values).scalar_one()


def add_sets(store: Store) -> None:
    for name in SETS:
        store.add_questions(name, f"digest of {name}", "file.jsonl", questions_of())


def test_a_run_with_a_known_key_is_continued(store: Store) -> None:
    first = begin(store)
    store.finish_run(first, "failed", [StageTime.of("load", 1.5)], 10)
    assert begin(store) == first
    assert scalar(store, "SELECT resumed FROM run") == 1
    assert scalar(store, "SELECT status FROM run") == "running"
    assert begin(store, "another key") != first
    assert scalar(store, "SELECT count(*) FROM checkpoint") == 2
    assert scalar(store, "SELECT count(*) FROM family") == 1


def test_a_run_keeps_settings_versions_seed_times_and_memory(store: Store) -> None:
    run_id = begin(store)
    store.finish_run(run_id, "done", [StageTime.of("drift", 12.5)], 5_000_000_000)
    with store.transaction() as connection:
        row = connection.execute(text("SELECT * FROM run")).mappings().one()
    assert json.loads(row["settings"]) == {"samples": 10, "C": [0.1, 1.0]}
    assert json.loads(row["versions"])["torch"] == "2.13.0"
    assert (row["seed"], row["peak_memory_bytes"]) == (7, 5_000_000_000)
    assert scalar(store, "SELECT seconds FROM run_stage WHERE name = 'drift'") == 12.5
    assert row["started_utc"].endswith("Z")
    assert row["started_utc"] <= row["finished_utc"]


def test_the_times_of_a_resumed_run_add_up(store: Store) -> None:
    first = begin(store)
    store.finish_run(first, "failed", [StageTime.of("ask", 1.0, 700, "tokens", 0.5)], 10)
    again = [StageTime.of("ask", 3.0, 900, "tokens", 0.25), StageTime.of("saving", 0.5, 64, "rows")]
    store.finish_run(begin(store), "done", again, 1)
    assert run_query(store.url, "stages", {"run": first}).rows == (
        ("ask", 4.0, 1600, "tokens", 400.0, 0.5, None),
        ("saving", 0.5, 64, "rows", 128.0, None, None),
    )
    assert scalar(store, "SELECT peak_memory_bytes FROM run") == 10


@pytest.mark.parametrize("ended", ["done", "failed"])
def test_a_finished_run_that_is_given_again_stays_as_it_is(finished: str, ended: Literal["done", "failed"]) -> None:
    """It took what it took first; a failure meanwhile has changed none of its results."""
    kept = [run_query(finished, name).rows for name in ("run", "stages")]
    with Store.open(finished) as store:
        run = begin(store)
        assert [run_query(finished, name).rows for name in ("run", "stages")] == kept
        store.finish_run(run, ended, [StageTime.of("ask", 3.0, 900, "tokens", 0.25)], 10**12)
    assert [run_query(finished, name).rows for name in ("run", "stages")] == kept
    assert info(finished).runs[0]["intact"] is True


def test_a_run_whose_results_are_gone_is_resumed(finished: str) -> None:
    """As after a kill while a large one was saved again."""
    with Store.open(finished) as store:
        with store.transaction() as connection:
            connection.execute(text("UPDATE run SET content_digest = NULL"))
        begin(store)
        assert scalar(store, "SELECT status FROM run") == "running"
        assert scalar(store, "SELECT resumed FROM run") == 1


def test_a_checkpoint_is_known_by_its_digest_whatever_its_name(store: Store) -> None:
    begin(store)
    renamed = replace(BASE, ref="elsewhere/base")
    store.begin_run("drift", "k2", renamed, INSTRUCT, {}, 0, {})
    assert scalar(store, "SELECT count(*) FROM checkpoint") == 2
    assert scalar(store, "SELECT ref FROM checkpoint WHERE digest = :d", d=BASE.digest) == "elsewhere/base"


def test_a_run_keeps_the_references_that_were_given_for_it(store: Store) -> None:
    """Whatever else has the same content, before it or after it; given again under other names, it has those."""
    taken = begin(store, "first", base=replace(BASE, ref="taken/base"))
    own = begin(store, "second")
    begin(store, "third", base=replace(BASE, ref="later/base", commit="0123abc"))

    told = {row["run"]: (row["base"], row["instruct"]) for row in run_query(store.url, "runs").records()}
    assert (told[taken], told[own]) == (("taken/base", INSTRUCT.ref), (BASE.ref, INSTRUCT.ref))
    assert begin(store, "first", base=replace(BASE, ref="given/again")) == taken
    about = run_query(store.url, "run", {"run": taken}).records()[0]
    assert (about["base"], about["base_digest"]) == ("given/again", BASE.digest)


def test_finishing_a_run_that_never_began_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="no such run"):
        store.finish_run(99, "done", [], 0)


def test_questions_are_added_once_and_come_back_in_order(store: Store) -> None:
    store.add_questions("set", "d1", "file.jsonl", questions_of(5))
    store.add_questions("set under another name", "d1", "file.jsonl", questions_of(5))
    assert store.questions("d1") == questions_of(5)
    assert scalar(store, "SELECT count(*) FROM question") == 5
    assert scalar(store, "SELECT n_questions FROM dataset") == 5


def test_an_empty_question_set_is_kept_as_such(store: Store) -> None:
    store.add_questions("empty", "d0", "file.jsonl", [])
    assert store.questions("d0") == []


def test_responses_come_back_exactly_and_in_the_order_of_their_questions(store: Store) -> None:
    add_sets(store)
    log = store.response_log(task_of(), begin(store))
    for batch in ({0: response_of(4), 1: response_of(1)}, {}, {2: response_of(7)}):
        log.put(batch)
    assert log.responses() == [response_of(4), response_of(1), response_of(7)]


@pytest.mark.parametrize("position", [0, 2])
def test_a_response_out_of_order_or_in_place_of_another_is_refused_and_leaves_nothing(
    store: Store, position: int
) -> None:
    add_sets(store)
    log = store.response_log(task_of(), begin(store))
    log.put({0: response_of(0)})
    with pytest.raises(StoreError, match=f"question 1 next.*\n.*question {position}"):
        log.put({position: response_of(1)})
    assert log.responses() == [response_of(0)]


def test_a_response_that_was_given_up_for_a_full_quota_is_replaced_together_with_further_ones(store: Store) -> None:
    add_sets(store)
    first, second = begin(store), begin(store, "k2")
    given_up = replace(response_of(1), label="dropped", reason=QUOTA_FULL)
    store.response_log(task_of(), first).put({0: response_of(0), 1: given_up, 2: response_of(2), 3: given_up})
    log = store.response_log(task_of(), second)
    with pytest.raises(StoreError):
        log.put({1: response_of(1), 2: response_of(7)})
    assert log.responses()[1] == given_up
    log.put({1: response_of(1), 4: response_of(4)})
    assert log.responses() == [*(response_of(i) for i in range(3)), given_up, response_of(4)]
    assert scalar(store, "SELECT run_id FROM response WHERE position = 1") == second
    assert scalar(store, "SELECT run_id FROM response WHERE position = 3") == first


def test_a_second_run_reuses_the_responses_of_the_same_task(store: Store) -> None:
    add_sets(store)
    first, second = begin(store), begin(store, "k2")
    store.response_log(task_of(), first).put({0: response_of(3)})
    log = store.response_log(task_of(), second)
    assert log.responses() == [response_of(3)]
    assert scalar(store, "SELECT count(*) FROM run_task") == 2
    assert scalar(store, "SELECT run_id FROM response") == first


def test_tasks_with_other_keys_have_responses_of_their_own(store: Store) -> None:
    add_sets(store)
    run_id = begin(store)
    store.response_log(task_of("t1"), run_id).put({0: response_of(3)})
    assert store.response_log(task_of("t2"), run_id).responses() == []


def test_a_task_on_an_unknown_question_set_is_refused(store: Store) -> None:
    run_id = begin(store)
    with pytest.raises(StoreError, match="question set 'in-domain'"):
        store.response_log(task_of(), run_id)


def test_captures_come_back_in_order_and_can_be_discarded(store: Store) -> None:
    add_sets(store)
    begin(store)
    log = store.capture_log(task_of())
    chunks = [CaptureChunk(f"{i}.safetensors", f"{i}" * 64, (f"q{i}", "q9")) for i in range(3)]
    for chunk in chunks:
        log.append(chunk)
    log.discard(chunks[1])
    assert log.chunks() == [chunks[0], chunks[2]]
    log.append(chunks[1])
    assert store.capture_log(task_of()).chunks() == [chunks[0], chunks[2], chunks[1]]


def test_what_was_written_is_there_after_closing(new_url: str) -> None:
    with Store.open(new_url) as store:
        stored_run(store, report_of())
    with Store.open(new_url) as store:
        assert scalar(store, "SELECT count(*) FROM neuron") == 64
        assert scalar(store, "SELECT version_num FROM alembic_version") == HEAD


def test_a_database_from_a_newer_version_is_refused_and_left_alone(url: str) -> None:
    with Store.open(url) as store, store.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer version") as caught:
        Store.open(url)
    assert "upgrade the toolkit" in caught.value.remedy


def test_somebody_elses_database_is_refused_and_left_alone(new_url: str, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "provenance.db")
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="songs"):
        Store.open(new_url)
    connection = sqlite3.connect(tmp_path / "provenance.db")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
    connection.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(new_url: str, tmp_path: Path) -> None:
    file = tmp_path / "provenance.db"
    file.write_text("questions and answers\n" * 400)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(new_url)
    assert file.read_text() == "questions and answers\n" * 400


def test_a_missing_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open") as caught:
        Store.open(f"sqlite:///{tmp_path / 'nowhere' / 'p.db'}")
    assert "folder exists" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_database_is_one_clear_error(url: str, tmp_path: Path) -> None:
    Store.open(url).close()
    (tmp_path / "provenance.db").chmod(0o444)
    with pytest.raises(StoreError, match="readonly") as caught, Store.open(url) as store:
        begin(store)
    assert "writable" in caught.value.remedy


def test_a_locked_database_is_one_clear_error(url: str, tmp_path: Path) -> None:
    with Store.open(url, busy_timeout_s=0.05) as store:
        other = sqlite3.connect(tmp_path / "provenance.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as caught:
            begin(store)
        other.execute("ROLLBACK")
        other.close()
        assert "wait" in caught.value.remedy
        assert begin(store) == 1


@pytest.mark.parametrize("bad", ["provenance.db", "mystery:///x.db"])
def test_a_bad_url_is_bad_input(bad: str) -> None:
    with pytest.raises(InputError):
        Store.open(bad)


def test_a_run_row_cannot_point_at_a_family_that_is_not_there(store: Store) -> None:
    begin(store)
    with pytest.raises(StoreError, match="FOREIGN KEY"), store.transaction() as connection:
        connection.execute(text("UPDATE run SET family_id = 77"))


def program_exit(program: str, *arguments: str) -> int:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": root}, check=False).returncode


def test_an_activity_cannot_be_of_a_neuron_that_is_not_there(finished: str) -> None:
    """And a run's results are replaced all the same, whatever refers to what."""
    with Store.open(finished) as store:
        with pytest.raises(StoreError, match="FOREIGN KEY"), store.transaction() as connection:
            connection.execute(text("UPDATE activity SET neuron_index = 999 WHERE neuron_index = 3"))
        with pytest.raises(StoreError, match="FOREIGN KEY"), store.transaction() as connection:
            connection.execute(text("DELETE FROM neuron WHERE neuron_index = 3"))
        store.save(1, report_of(), digests_of(report_of()))


def test_the_database_needs_no_torch() -> None:
    assert (
        program_exit(
            "import sys, provenance.db.store, provenance.db.reading.run_query, provenance.db.reading.export; "
            "sys.exit('torch' in sys.modules)"
        )
        == 0
    )


def test_an_up_to_date_database_is_opened_without_loading_the_migrations(url: str) -> None:
    program = "import sys; from provenance.db.store import Store; Store.open(sys.argv[1]).close()"
    assert program_exit(f"{program}; sys.exit('alembic' in sys.modules)", url) == 0
