"""Replaces a run's results and stores their digest.

Bulk tables are written in blocks, so that the rows of a 70B pair (millions) never fill memory.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.results.reports import OriginReport, TimelineReport, WeightsReport
from provenance.db.connection.digests import run_digest
from provenance.db.rows.comparison import neuron_rows, summary_rows
from provenance.db.rows.result_rows import run_rows
from provenance.db.rows.timeline import timeline_rows
from provenance.db.rows.values import Row
from provenance.db.rows.weights import lineage_row, weights_neuron_rows, weights_rows
from provenance.db.schema.result_tables import TableLike
from provenance.db.schema.tables import DERIVED, Checkpoint, Family, Lineage, Run, RunDataset
from provenance.db.work_log import dataset_id

BLOCK_ROWS = 20_000  # some 20 MB of Python values

Tables = Iterable[tuple[TableLike, Iterable[Row]]]


def write(connection: Connection, run_id: int, report: object, datasets: Mapping[str, str]) -> None:
    """Replaces a run's derived rows by those of a report, inside the caller's transaction.

    A report is a frozen dataclass; declared results in it are stored as they are declared.
    """
    named = [(RunDataset, _named(connection, datasets))]
    by_hand = _by_hand(report, _base_per_layer(connection, run_id))
    _replace(connection, run_id, chain(named, run_rows(report).items(), by_hand), getattr(report, "overall", None))


def _by_hand(report: object, base_per_layer: int) -> Tables:
    """Tables beside those of declared results."""
    match report:
        case OriginReport():
            return chain(summary_rows(report).items(), neuron_rows(report, base_per_layer))
        case WeightsReport():
            return chain(weights_rows(report).items(), weights_neuron_rows(report, base_per_layer))
        case LineageResult():
            return [(Lineage, [lineage_row(report)])]
        case TimelineReport():
            return timeline_rows(report).items()
        case _:
            return ()


def _named(connection: Connection, datasets: Mapping[str, str]) -> list[Row]:
    return [
        {"name": name, "position": position, "dataset_id": dataset_id(connection, name, digest)}
        for position, (name, digest) in enumerate(datasets.items())
    ]


def _base_per_layer(connection: Connection, run_id: int) -> int:
    """Neurons per layer of the run's base, to convert flat ids to layer and index."""
    chosen = (
        select(Checkpoint.neurons_per_layer)
        .join(Family, Family.base_id == Checkpoint.id)
        .join(Run, Run.family_id == Family.id)
        .where(Run.id == run_id)
    )
    return int(connection.execute(chosen).scalar_one())


def _replace(connection: Connection, run_id: int, tables: Tables, overall: str | None) -> None:
    for derived in reversed(DERIVED):  # rows that refer to others before these
        connection.execute(delete(derived).where(derived.c.run_id == run_id))
    for table, rows in tables:
        for block in _blocks({"run_id": run_id, **row} for row in rows):
            connection.execute(insert(table), block)
    connection.execute(update(Run).where(Run.id == run_id).values(overall=overall))
    connection.execute(update(Run).where(Run.id == run_id).values(content_digest=run_digest(connection, run_id)))


def _blocks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while block := list(islice(rows, BLOCK_ROWS)):
        yield block
