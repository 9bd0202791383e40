"""Rows of one database as rows of another: found by what they are known by, or inserted with the ids of here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, Table, func, insert, literal, select

from provenance.db.pieces import PIECE_ROWS, Piece
from provenance.db.save import BLOCK_ROWS
from provenance.db.schema.tables import OF_NEURONS, Base
from provenance.db.work_log import insert_row

T = TypeVar("T")
Row = RowMapping | Mapping[str, Any]
Numbers = dict[str, dict[int, int]]
"""Ids here of rows there, by table."""


@dataclass
class Merged:
    """What a merge did."""

    added: dict[str, int] = field(default_factory=dict)
    """New rows by what they are."""
    present: dict[str, int] = field(default_factory=dict)
    """Those that were here before."""
    notes: list[str] = field(default_factory=list)
    """What was left out, or differs from what is here, and why."""

    def count(self, what: str, *, new: bool) -> None:
        """One more, new or not."""
        counted = self.added if new else self.present
        counted[what] = counted.get(what, 0) + 1


def same_or_new(ours: Connection, cls: type[Base], row: Row, known: tuple[str, ...], numbers: Numbers) -> bool:
    """Find a row by what it is known by, or insert it; returns whether it is new."""
    table = Base.metadata.tables[cls.__tablename__]
    values = renumbered(table, row, numbers)
    found = ours.execute(select(table.c.id).filter_by(**{name: values[name] for name in known})).scalar_one_or_none()
    if found is None:
        number = insert_row(ours, cls, {name: value for name, value in values.items() if name != "id"})
    else:
        number = int(found)
    numbers.setdefault(table.name, {})[row["id"]] = number
    return found is None


def renumbered(table: Table, row: Row, numbers: Numbers) -> dict[str, Any]:
    """A row with the ids that its references have here."""
    values = dict(row)
    for column in table.columns:
        for key in column.foreign_keys:
            if key.column.name == "id" and values[column.name] is not None:
                values[column.name] = numbers[key.column.table.name][values[column.name]]
    return values


def copy_rows(
    theirs: Connection, ours: Connection, table: Table, parent: str, number: int, numbers: Numbers, after: int = -1
) -> None:
    """Copy the rows of a table that belong to one parent, in blocks; those behind position `after`, if it is given."""
    chosen = select(table).where(table.c[parent] == number).order_by(*table.primary_key.columns)
    if after >= 0:
        chosen = chosen.where(table.c.position > after)
    rows = theirs.execute(chosen.execution_options(yield_per=BLOCK_ROWS)).mappings()
    for block in _blocks((renumbered(table, row, numbers) for row in rows), BLOCK_ROWS):
        ours.execute(insert(table), block)


def neuron_pieces(theirs: Connection, run_id: int, number: int) -> Iterator[Piece]:
    """Rows of neurons of a run, which refer to nothing but the run and its number here."""
    for table in OF_NEURONS:
        columns = list(table.columns)[1:]
        chosen = select(literal(number), *columns).where(table.c.run_id == run_id).order_by(*table.primary_key.columns)
        rows = map(tuple, theirs.execute(chosen.execution_options(yield_per=BLOCK_ROWS)))
        for block in _blocks(rows, PIECE_ROWS):
            yield Piece(table, ("run_id", *(column.name for column in columns)), block)


def count_neurons(theirs: Connection, run_id: int) -> int:
    """Number of rows of neurons of a run."""
    counted = (select(func.count()).select_from(table).where(table.c.run_id == run_id) for table in OF_NEURONS)
    return sum(theirs.execute(each).scalar_one() for each in counted)


def _blocks(rows: Iterator[T], size: int) -> Iterator[list[T]]:
    while block := list(islice(rows, size)):
        yield block
