"""Named queries of declared results: from the fields of a dataclass."""

from provenance.db.reading.query import Query
from provenance.table_declaration import declared


def query_of(cls: type) -> Query:
    """The named query of a declared table."""
    said = declared(cls)
    return Query(said.query, said.row, said.sql(), subject=said.subject)


def columns_of(cls: type, alias: str) -> str:
    """The SQL columns of a declared table, for a query that joins."""
    return ", ".join(f"{alias}.{part.name}" for column in declared(cls).columns for part in column.stored())
