"""What is on disk after a kill or a full disk: whole transactions, and everything from before."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import event, text
from synthetic import SETS, begin, digests_of, questions_of, report_of, response_of, stored_run, task_of

from provenance.db.connection.digests import verify
from provenance.db.store import Store
from provenance.errors import StoreError

BATCH = 40
ASKED = 400

WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from synthetic import SETS, begin, questions_of, response_of, task_of
from provenance.db.store import Store
with Store.open(sys.argv[1]) as store:
    store.add_questions(SETS[0], "digest of " + SETS[0], "", questions_of(400))
    log = store.response_log(task_of(), begin(store))
    for batch in range(len(log.responses()) // 40, 100_000):
        log.put({batch * 40 + i: response_of((batch * 40 + i) % 400) for i in range(40)})
        print(batch, flush=True)
"""


def kill_while_writing(url: str, delay_s: float) -> int:
    """Starts a process that writes batches, kills it, and returns the last batch it reported."""
    here = Path(__file__).parent
    root = here.parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(here)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    said = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    return int(said[-1])


@pytest.mark.costly
def test_a_kill_leaves_whole_batches_only_and_loses_none_that_was_reported(url: str) -> None:
    reported = kill_while_writing(url, 0.1)
    with Store.open(url) as store:
        log = store.response_log(task_of(), begin(store))
        done, rest = divmod(len(log.responses()), BATCH)
        assert rest == 0
        assert done in (reported + 1, reported + 2)  # a batch may be committed before it is reported
        assert [r.question_id for r in log.responses()] == [f"q{i % ASKED}" for i in range(BATCH * done)]
        log.put({BATCH * done: response_of(0)})
        assert len(log.responses()) == BATCH * done + 1


def limited(store: Store, pages: int) -> None:
    """A disk that has room for so many pages of the database more."""

    @event.listens_for(store._engine, "begin")
    def limit(connection: object) -> None:
        used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {used + pages}")


def test_a_full_disk_is_one_clear_error_and_earlier_rows_are_intact(url: str) -> None:
    with Store.open(url) as store:
        run_id = stored_run(store, report_of())
    with Store.open(url) as store:
        limited(store, 4)
        larger = report_of(layers=40, per_layer=160)
        with pytest.raises(StoreError, match="full") as caught:
            store.save(run_id, larger, digests_of(larger))
        assert "free space" in caught.value.remedy
    with Store.open(url) as store, store.transaction() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM neuron")).scalar_one() == 64
        assert verify(connection, run_id) is True


def test_a_full_disk_in_a_batch_keeps_the_batches_before_it(url: str) -> None:
    with Store.open(url) as store:
        store.add_questions(SETS[0], f"digest of {SETS[0]}", "", questions_of(501))
        store.response_log(task_of(), begin(store)).put({0: response_of(1)})
    with Store.open(url) as store:
        log = store.response_log(task_of(), 1)
        limited(store, 2)
        with pytest.raises(StoreError, match="full"):
            log.put({1 + i: response_of(i) for i in range(500)})
        assert log.responses() == [response_of(1)]
        log.put({1: response_of(2)})
        assert log.responses() == [response_of(1), response_of(2)]
