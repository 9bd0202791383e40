"""Writes a report's rows: the old ones out, the new ones in, and a digest over what is then there.

Bulk tables are fed in blocks, so that the rows of a 70B pair (millions) never stand in
memory together.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import Connection, delete, insert, update

from analyses.results import OriginReport
from db.digests import run_digest
from db.logs import dataset_id
from db.rows import Row, neuron_rows, summary_rows
from db.schema import DERIVED, Base, Run, RunDataset

BLOCK_ROWS = 20_000  # some 20 MB of Python values


def write_report(connection: Connection, run_id: int, report: OriginReport, datasets: Mapping[str, str]) -> None:
    """Replaces a run's derived rows, inside the caller's transaction."""
    for table in DERIVED:
        connection.execute(delete(table).where(table.__table__.c.run_id == run_id))
    named = [
        {"name": name, "position": position, "dataset_id": dataset_id(connection, name, digest)}
        for position, (name, digest) in enumerate(datasets.items())
    ]
    _write(connection, run_id, RunDataset, named)
    for table, rows in summary_rows(report).items():
        _write(connection, run_id, table, rows)
    for table, many in neuron_rows(report):
        _write(connection, run_id, table, many)
    connection.execute(update(Run).where(Run.id == run_id).values(content_digest=run_digest(connection, run_id)))


def _write(connection: Connection, run_id: int, table: type[Base], rows: Iterable[Row]) -> None:
    for block in _blocks({"run_id": run_id, **row} for row in rows):
        connection.execute(insert(table), block)


def _blocks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while block := list(islice(rows, BLOCK_ROWS)):
        yield block
