"""Named queries of declared results and views: from their columns."""

from collections.abc import Collection

from provenance.db.reading.query import Query
from provenance.db.schema.views import View
from provenance.table_declaration import declared


def query_of(cls: type) -> Query:
    """The named query of a declared table."""
    said = declared(cls)
    return Query(said.query, said.row, said.sql(), subject=said.subject)


def columns_of(cls: type, alias: str, leave_out: Collection[str] = ()) -> str:
    """The SQL columns of a declared table, for a query that joins."""
    names = (part.name for column in declared(cls).columns for part in column.stored())
    return ", ".join(f"{alias}.{name}" for name in names if name not in leave_out)


OF_RUN = ("run_id", "command", "base", "instruct", "position")
"""Columns of a view that say no more where the run is named."""


def names_of(view: View) -> list[str]:
    """Columns of a view beside those of its run."""
    return [column.name for column in view.columns if column.name not in OF_RUN]


def of_run(view: View, *, order: str, where: str = "") -> str:
    """SQL of a named query that is a view of one run."""
    narrowed = f" AND {where}" if where else ""
    return f"SELECT {', '.join(names_of(view))} FROM {view.name} WHERE run_id = :run{narrowed} ORDER BY {order}"  # noqa: S608 - declared names
