"""Replaces the results of a run, whatever their size, while others use the database.

A run has results once it has a digest. Results with few rows of neurons are replaced in one transaction. Of large ones,
whose writing would keep others waiting for minutes, the old digest goes first, then rows of neurons are deleted and
written in short transactions, and the last one writes all other rows and the new digest. A process that is ended before
leaves a run without results, of which no named query shows a row; the next one to save the run begins anew. The run
bears a mark of the process that saves it, so that a second one is noticed.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Table, delete, func, select, tuple_, update

from provenance.db.rows.bulk import write_rows
from provenance.db.schema.tables import DERIVED, OF_NEURONS, Run
from provenance.errors import StoreError

PIECE_ROWS = 100_000  # in one transaction: about a second, and some 80 MB of Python values

Transaction = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True)
class Piece:
    """Some rows of a table with a row per neuron."""

    table: Table
    names: tuple[str, ...]
    """Columns in the order of the values."""
    rows: list[tuple[Any, ...]]
    """Values, the run's number among them."""


def replace_results(
    transaction: Transaction,
    run_id: int,
    pieces: Iterable[Piece],
    n_rows: int,
    finish: Callable[[Connection], None],
) -> None:
    """Replace everything derived that a run has.

    Args:
        transaction: Begins a transaction that is committed at its end.
        run_id: Number of the run.
        pieces: Rows of neurons, made as they are consumed, each at most `PIECE_ROWS`.
        n_rows: Their number.
        finish: Writes all other rows and the run's digest, in the last transaction.

    Raises:
        StoreError: Another process saves this run, or the database failed.
    """
    with transaction() as connection:
        is_large = n_rows > PIECE_ROWS or _has_many(connection, run_id)
    mark = uuid4().hex
    if is_large:
        _write_neurons(transaction, run_id, pieces, mark)
    with transaction() as connection:
        if is_large:
            _check_mark(connection, run_id, mark)
        for table in reversed(DERIVED):  # rows that refer to others before these
            if not (is_large and table in OF_NEURONS):
                connection.execute(delete(table).where(table.c.run_id == run_id))
        for piece in () if is_large else pieces:
            write_rows(connection, piece.table, piece.names, piece.rows)
        finish(connection)
        connection.execute(update(Run).where(Run.id == run_id).values(saving=None))


def _has_many(connection: Connection, run_id: int) -> bool:
    """Whether deleting what a run has takes long."""
    counted = (
        select(func.count()).select_from(
            select(table.c.run_id).where(table.c.run_id == run_id).limit(PIECE_ROWS + 1).subquery()
        )
        for table in OF_NEURONS
    )
    return sum(connection.execute(each).scalar_one() for each in counted) > PIECE_ROWS


def _write_neurons(transaction: Transaction, run_id: int, pieces: Iterable[Piece], mark: str) -> None:
    hidden = {"saving": mark, "content_digest": None, "overall": None}
    with transaction() as connection:
        connection.execute(update(Run).where(Run.id == run_id).values(**hidden))
    is_empty = False
    while not is_empty:
        with transaction() as connection:
            _check_mark(connection, run_id, mark)
            is_empty = _delete_some(connection, run_id)
    for piece in pieces:  # made between transactions, so that those who wait get in
        with transaction() as connection:
            _check_mark(connection, run_id, mark)
            write_rows(connection, piece.table, piece.names, piece.rows)


def _delete_some(connection: Connection, run_id: int) -> bool:
    """Delete as many rows as a transaction may have; returns whether none are left."""
    left = PIECE_ROWS
    for table in reversed(DERIVED):  # rows that refer to others before these
        key = list(table.primary_key.columns)
        chosen = select(*key).where(table.c.run_id == run_id).limit(left)
        left -= connection.execute(delete(table).where(tuple_(*key).in_(chosen))).rowcount
        if left <= 0:
            return False
    return True


def _check_mark(connection: Connection, run_id: int, mark: str) -> None:
    """Keep others from this run until the end of the transaction."""
    chosen = select(Run.saving).where(Run.id == run_id).with_for_update()
    if connection.execute(chosen).scalar_one_or_none() != mark:
        raise StoreError(
            f"one process that saves run {run_id}",
            found="another one that began later with the same command",
            remedy="wait until it is done; its results are those of this run",
        )
