"""A study of six comparisons of 2.3 million neurons, as of Llama-3.3-70B: saved with the real writer, asked, and drawn.

Saving is compared with the least that any database does: sqlite3 inserts the same rows of neurons, without keys,
indexes, digest or turns for others. Queries are over all six families, and compared with one sum over a column of one.
Figures and report are made by a process of its own, which tells its peak of memory. Asked: queries in 200 ms, figures
and report of the study in 30 s and 1 GB. Needs 20 GB in the temporary folder; `python -m benchmarks.database 40 5000`
takes fewer layers and neurons.
"""

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from benchmarks.clock import best_of, line
from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.run_query import run_query
from provenance.db.reading.study_query import study_query
from provenance.db.rows.comparison import neuron_rows
from provenance.db.store import Store
from provenance.db.studies import Membership, keep_study, record_run
from provenance.records import CheckpointInfo

if TYPE_CHECKING:
    from provenance.analyses.results.reports import OriginReport

LAYERS, PER_LAYER = 80, 28_672
K = {"mistral-7b-v0.3": 160, "mistral-small-3.1-24b": 13, "gemma-3-4b": 35, "gemma-3-27b": 240, "llama-3.1-8b": 9,
     "llama-3.3-70b": 23}  # fmt: skip
"""H-Neurons of each family, as published."""
STUDY = "six"
SLOW_S = 0.2
REPORTS = (
    Path(__file__).parents[1] / "tests" / "db"
)  # made-up reports with rows of every kind; the tests are no package


class TimedStore(Store):
    """A store that knows for how long each of its transactions kept other writers out."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # those of the store
        self.kept_s: list[float] = []

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction, timed from the moment at which it may write."""
        with super().transaction() as connection:
            start = time.perf_counter()
            yield connection
        self.kept_s.append(time.perf_counter() - start)


def report_of(number: int, layers: int, per_layer: int) -> "OriginReport":
    """What a comparison of one family says, made up."""
    sys.path.insert(0, str(REPORTS))
    from synthetic import report_of as made_up

    made: OriginReport = made_up(k=list(K.values())[number], layers=layers, per_layer=per_layer, seed=number)
    return made


def insert_bare(folder: Path, report: "OriginReport") -> None:
    """The rows of neurons in tables without keys, as fast as sqlite3 takes them."""
    file = folder / "bare.db"
    with closing(sqlite3.connect(file)) as connection:
        for number, (_, columns) in enumerate(neuron_rows(report, report.neurons_per_layer)):
            connection.execute(f"CREATE TABLE t{number} ({', '.join(columns.names)})")
            places = ", ".join("?" * len(columns.names))
            for start in range(0, columns.neurons, report.neurons_per_layer):
                rows = columns.rows(start, start + report.neurons_per_layer)
                connection.executemany(f"INSERT INTO t{number} VALUES ({places})", rows)  # noqa: S608 - a number
        connection.commit()
    file.unlink()


def saved(store: TimedStore, name: str, seed: int, report: "OriginReport") -> float:
    """Seconds of a save; the family is a member of the study afterwards."""
    pair = [
        CheckpointInfo(f"made-up/{name}{end}", f"{name}{end}", "llama", report.layers, report.neurons_per_layer, 8192,
                       "bfloat16")
        for end in ("", "-it")
    ]  # fmt: skip
    digests = {row.dataset: f"digest of {row.dataset}" for row in report.transfer}
    for dataset, digest in digests.items():
        store.add_questions(dataset, digest, f"{dataset}.jsonl", [])
    run = store.begin_run("compare", name, *pair, {}, seed, {})
    start = time.perf_counter()
    store.save(run, report, digests)
    spent = time.perf_counter() - start
    store.finish_run(run, "done", [], 0)
    record_run(store, STUDY, name, run)
    return spent


def database_table(layers: int = LAYERS, per_layer: int = PER_LAYER) -> None:
    """Times of saving, of named queries, and of figures and report."""
    print(f"\n{len(K)} comparisons of {layers * per_layer:,} neurons, SQLite")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'large.db'}"
        _save_table(Path(folder), url, layers, per_layer)
        _query_table(url)
        for what in ("study", "all"):
            command = [sys.executable, "-m", "benchmarks.drawn", url, STUDY, str(Path(folder) / "out"), what]
            subprocess.run(command, check=True)


def _save_table(folder: Path, url: str, layers: int, per_layer: int) -> None:
    members = [Membership("family", name, f"made-up/{name}", f"made-up/{name}-it") for name in K]
    report = report_of(0, layers, per_layer)
    bare = best_of(lambda: insert_bare(folder, report), 1)
    line("bare insert of one family's rows of neurons (1.00 x)", bare, bare)
    with TimedStore.open(url) as store:
        keep_study(store, STUDY, "Six families", "", "", members)
        for number, name in enumerate(K):
            line(f"save of {name}", saved(store, name, number, report_of(number, layers, per_layer)), bare)
    line("longest time for which another writer had to wait", max(store.kept_s), bare)
    print(f"{(folder / 'large.db').stat().st_size / 1e9:.1f} GB", flush=True)


def _query_table(url: str) -> None:
    """Named queries over all families, and how many take longer than they should."""
    summed = best_of(lambda: run_query(url, "SELECT SUM(drift_z) FROM neuron WHERE run_id = 6"), 3)
    line("sum of one column of one family (1.00 x)", summed, summed)
    times: dict[str, float] = {}
    for name, query in QUERIES.items():
        if ":run" in query.sql:
            times[name] = best_of(lambda name=name: study_query(url, STUDY, name), 7)  # type: ignore[misc]
    for name, seconds in sorted(times.items(), key=lambda each: -each[1])[:10]:
        line(f"query {name}", seconds, summed)
    slow = [name for name, seconds in times.items() if seconds > SLOW_S]
    print(f"{len(times)} queries, {len(slow)} over {1000 * SLOW_S:.0f} ms: {', '.join(slow) or 'none'}", flush=True)


if __name__ == "__main__":
    database_table(*map(int, sys.argv[1:]))
