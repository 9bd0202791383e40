"""Replaces a run's results by those of a report, and stores their digest."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain

from sqlalchemy import Connection, Table, insert, select, update

from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.results.reports import ComplianceReport, OriginReport, TimelineReport, WeightsReport
from provenance.db.connection.digests import run_digest
from provenance.db.pieces import PIECE_ROWS, Piece, Transaction, replace_results
from provenance.db.rows.comparison import neuron_rows, summary_rows
from provenance.db.rows.result_rows import run_rows
from provenance.db.rows.timeline import timeline_rows
from provenance.db.rows.values import NeuronColumns, Row
from provenance.db.rows.weights import (
    lineage_row,
    listed_neuron_rows,
    neuron_list_row,
    weights_neuron_rows,
    weights_rows,
)
from provenance.db.schema.result_tables import TableLike
from provenance.db.schema.tables import Checkpoint, Family, Lineage, NeuronList, ProbeNeuron, Run, RunDataset
from provenance.db.work_log import dataset_id

BLOCK_ROWS = 20_000  # some 20 MB of Python values

Tables = Iterable[tuple[TableLike, Iterable[Row]]]


def write(transaction: Transaction, run_id: int, report: object, datasets: Mapping[str, str]) -> int:
    """Replaces a run's derived rows by those of a report, and counts them.

    A report is a frozen dataclass; declared results in it are stored as they are declared.
    """
    with transaction() as connection:
        named = [(RunDataset, _named(connection, datasets))]
        base_per_layer = _base_per_layer(connection, run_id)
    neurons = list(_of_neurons(report, base_per_layer))
    by_hand = _by_hand(report, base_per_layer)
    small = [(table, list(rows)) for table, rows in chain(named, run_rows(report).items(), by_hand)]
    digest = sum(columns.digest(table.name) for table, columns in neurons)
    n_rows = sum(columns.neurons for _, columns in neurons)
    finish = partial(_finish, run_id, small, getattr(report, "overall", None), digest)
    replace_results(transaction, run_id, _pieces(neurons, run_id), n_rows, finish)
    return n_rows + sum(len(rows) for _, rows in small)


def _by_hand(report: object, base_per_layer: int) -> Tables:
    """Small tables beside those of declared results."""
    match report:
        case OriginReport():
            return summary_rows(report, base_per_layer).items()
        case WeightsReport():
            return weights_rows(report, base_per_layer).items()
        case LineageResult():
            return [(Lineage, [lineage_row(report)])]
        case TimelineReport():
            return timeline_rows(report).items()
        case ComplianceReport():
            return [(NeuronList, [neuron_list_row(report)]), (ProbeNeuron, listed_neuron_rows(report))]
        case _:
            return ()


def _of_neurons(report: object, base_per_layer: int) -> Iterable[tuple[Table, NeuronColumns]]:
    """Tables with a row per neuron."""
    match report:
        case OriginReport():
            return neuron_rows(report, base_per_layer)
        case WeightsReport():
            return weights_neuron_rows(report, base_per_layer)
        case _:
            return ()


def _pieces(neurons: Sequence[tuple[Table, NeuronColumns]], run_id: int) -> Iterator[Piece]:
    for table, columns in neurons:
        for start in range(0, columns.neurons, PIECE_ROWS):
            yield Piece(table, ("run_id", *columns.names), columns.rows(start, start + PIECE_ROWS, run_id))


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


def _finish(
    run_id: int,
    small: Sequence[tuple[TableLike, Sequence[Row]]],
    overall: str | None,
    of_neurons: int,
    connection: Connection,
) -> None:
    """Write the small tables, and what makes the results visible."""
    for table, rows in small:
        for start in range(0, len(rows), BLOCK_ROWS):
            connection.execute(insert(table), [{"run_id": run_id, **row} for row in rows[start : start + BLOCK_ROWS]])
    connection.execute(update(Run).where(Run.id == run_id).values(overall=overall))
    digest = run_digest(connection, run_id, of_neurons=of_neurons)
    connection.execute(update(Run).where(Run.id == run_id).values(content_digest=digest))
