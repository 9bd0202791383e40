"""Saves in pieces of few rows, killed at will, and what must hold after them."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from forked_cli import ForkedCli
from synthetic import begin, digests_of, questions_of, report_of, rows

from provenance.analyses.results.reports import OriginReport
from provenance.db.reading.run_query import QUERIES, info, newest_run, run_query
from provenance.db.schema.tables import DERIVED
from provenance.db.store import Store
from provenance.errors import InputError

PIECE = 20
"""Rows of a piece here: the report has 64 neurons, in `neuron` once and in `activity` four times."""


def contents(url: str) -> list[Any]:
    """The one run's results, with its digest."""
    with Store.open(url) as store:
        ordered = [
            rows(store, f"SELECT * FROM {table.name} ORDER BY {', '.join(table.primary_key.columns.keys())}")  # noqa: S608
            for table in DERIVED
        ]
        return [*ordered, rows(store, "SELECT overall, content_digest, saving FROM run")]


def shows_nothing(url: str, run: int, never_saved: int) -> None:
    """No named query shows more of the run than of one that was never saved, or takes it for the newest."""
    for name, query in QUERIES.items():
        if query.subject in {table.name for table in DERIVED}:
            found, nothing = (run_query(url, name, {"run": number}).rows for number in (run, never_saved))
            assert found == nothing, name
    with pytest.raises(InputError):
        newest_run(url)
    assert [row["intact"] for row in info(url).runs] == [None, None]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from sqlalchemy import Engine, event
from synthetic import begin, digests_of, report_of
from provenance.db import pieces, save
from provenance.db.store import Store
pieces.PIECE_ROWS = save.PIECE_ROWS = 20
left = [int(sys.argv[3])]
written = pieces.write_rows

def counted(*args):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    written(*args)
    if left[0] == 1 and sys.argv[4] == "late":
        os.kill(os.getpid(), signal.SIGKILL)

pieces.write_rows = counted
finish = save._finish
if sys.argv[4] == "end":
    save._finish = lambda *args: (finish(*args), os.kill(os.getpid(), signal.SIGKILL))
report = report_of(seed=3)
with Store.open(sys.argv[1]) as store:
    store.save(begin(store), report, digests_of(report))
"""


def kill_a_save(forked: ForkedCli, url: str, pieces_before: int, when: str) -> None:
    done = forked.program(KILLED, url, Path(__file__).parent, pieces_before, when)
    assert done.code == -signal.SIGKILL, done.stderr


def prepared(url: str, report: OriginReport) -> None:
    with Store.open(url) as store:
        for name, digest in digests_of(report).items():
            store.add_questions(name, digest, f"{name}.jsonl", questions_of())
        assert [begin(store), begin(store, "never saved")] == [1, 2]


def check_killed_saves(forked: ForkedCli, url: str, undisturbed: str, kills: Sequence[tuple[int, str]]) -> None:
    """Kill saves of a run that is new, of one that was killed, and at last save it whole.

    `kills` are numbers of pieces of 20, each with the place: before its rows, before its commit (`late`), or before the
    last commit (`end`).
    """
    report = report_of(seed=3)
    for address in (url, undisturbed):
        prepared(address, report)
    for pieces_before, when in kills:
        kill_a_save(forked, url, pieces_before, when)
        shows_nothing(url, 1, 2)
    for address in (url, undisturbed):
        with Store.open(address) as store:
            store.save(begin(store), report, digests_of(report))
    assert contents(url) == contents(undisturbed)
    assert info(url).runs[0]["intact"] is True
