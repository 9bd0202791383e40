"""Results of six pairs of 2.3 million neurons, as of Llama-3.3-70B: saved with the real writer, and asked for by name.

Saving is compared with the least that any database does: sqlite3 inserts the same rows of neurons, without keys,
indexes, digest or turns for others. Queries are compared with one sum over a column of one pair. Needs 3 GB in the
temporary folder.
"""

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from benchmarks.clock import best_of, line
from provenance.analyses.results.drift import DriftResult, NeuronDrift
from provenance.analyses.results.lineage import Alignment, MappedNeurons
from provenance.analyses.results.reports import WeightsReport
from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.run_query import run_query
from provenance.db.rows.weights import weights_neuron_rows
from provenance.db.store import Store
from provenance.records import CheckpointInfo

LAYERS, PER_LAYER = 80, 28_672
FAMILIES = 6
LISTED = 2_000
SLOW_S = 0.2


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


def report_of(seed: int) -> WeightsReport:
    """What a comparison of weights says of every neuron, made up."""
    rng, size = np.random.default_rng(seed), LAYERS * PER_LAYER
    numbers = dict(zip(("delta_gate", "delta_up", "delta_down", "delta"), rng.random((4, size)), strict=True))
    norms = ("norm_up_base", "norm_up_instruct", "norm_down_base", "norm_down_instruct")
    lengths = dict(zip(norms, rng.random((4, size)), strict=True))
    rank = np.argsort(np.argsort(-numbers["delta"])) / (size - 1)
    listed = np.sort(rng.choice(size, LISTED, replace=False))
    return WeightsReport(
        layers=LAYERS,
        neurons_per_layer=PER_LAYER,
        lineage=None,
        alignment=Alignment("index", np.arange(size), ""),
        mapped=MappedNeurons(listed, listed, np.ones(LISTED), np.ones(LISTED)),
        neuron_drift=NeuronDrift(**numbers, **lengths, stability_rank=rank, identical=np.zeros(size, dtype=bool)),
        drift=DriftResult(LISTED, *[None] * 8, 0.0, 1e-6, "no power", "made up"),
        h_neurons=listed,
        weights=np.ones(LISTED),
        source="made up",
        verdict_drift="no power",
        overall="Made up.",
    )


def insert_bare(folder: Path, report: WeightsReport) -> None:
    """The rows of neurons in a table without keys, as fast as sqlite3 takes them."""
    [(_, columns)] = weights_neuron_rows(report, PER_LAYER)
    file = folder / "bare.db"
    file.unlink(missing_ok=True)
    connection = sqlite3.connect(file)
    connection.execute(f"CREATE TABLE neuron ({', '.join(columns.names)})")
    places = ", ".join("?" * len(columns.names))
    for start in range(0, columns.neurons, PER_LAYER):
        connection.executemany(f"INSERT INTO neuron VALUES ({places})", columns.rows(start, start + PER_LAYER))  # noqa: S608
    connection.commit()
    connection.close()


def saved(store: TimedStore, number: int, report: WeightsReport) -> float:
    """Seconds of a save."""
    pair = [
        CheckpointInfo(f"made-up/{side}-{number}", f"{side} {number}", "llama", LAYERS, PER_LAYER, 8192, "bfloat16")
        for side in ("base", "instruct")
    ]
    run = store.begin_run("compare --weights-only", f"run {number}", *pair, {}, 0, {})
    start = time.perf_counter()
    store.save(run, report)
    spent = time.perf_counter() - start
    store.finish_run(run, "done", [], 0)
    return spent


def database_table() -> None:
    """Times of saving and of named queries."""
    with tempfile.TemporaryDirectory() as folder:
        report = report_of(0)
        bare = best_of(lambda: insert_bare(Path(folder), report), 1)
        (Path(folder) / "bare.db").unlink()
        url = f"sqlite:///{Path(folder) / 'large.db'}"
        with TimedStore.open(url) as store:
            spent = [saved(store, number, report) for number in range(FAMILIES)]
        print(f"\n{FAMILIES} pairs of {LAYERS * PER_LAYER:,} neurons, SQLite")
        line("bare insert of one pair's neurons (1.00 x)", bare, bare)
        line("save of the first", spent[0], bare)
        line("save of the last", spent[-1], bare)
        line("longest time for which another writer had to wait", max(store.kept_s), bare)
        _query_table(url)


def _query_table(url: str) -> None:
    """Named queries about weights of the last pair, and how many take longer than they should."""
    summed = best_of(lambda: run_query(url, "SELECT SUM(delta) FROM neuron WHERE run_id = :run", {"run": FAMILIES}), 3)
    line("sum of one column of one pair (1.00 x)", summed, summed)
    times: dict[str, float] = {}
    for name, query in QUERIES.items():
        if ":run" in query.sql and run_query(url, name, {"run": FAMILIES}).rows:
            times[name] = best_of(lambda name=name: run_query(url, name, {"run": FAMILIES}), 3)  # type: ignore[misc]
    for name, seconds in sorted(times.items(), key=lambda each: -each[1]):
        if seconds > SLOW_S / 4:
            line(f"query {name}", seconds, summed)
    slow = [name for name, seconds in times.items() if seconds > SLOW_S]
    print(f"{len(times)} queries with rows, {len(slow)} over {1000 * SLOW_S:.0f} ms: {', '.join(slow) or 'none'}")
