"""Rows of one database as rows of another: found by what they are known by, or inserted with the ids of here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, insert, select

from provenance.db.save import BLOCK_ROWS
from provenance.db.schema.tables import Base
from provenance.db.work_log import insert_row

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
    for block in _blocks(renumbered(table, row, numbers) for row in rows):
        ours.execute(insert(table), block)


def _blocks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while block := list(islice(rows, BLOCK_ROWS)):
        yield block
