"""The database explains itself: a table of its tables, views and columns, with unit and meaning."""

from collections.abc import Iterator

from sqlalchemy import Connection, delete, insert
from sqlalchemy.orm import Mapped

from provenance.db.schema.base import Base, meaning, said
from provenance.db.schema.views import VIEWS


class DataDictionary(Base):
    """One row: a table (`column_name` is empty), or one of its columns."""

    __tablename__ = "data_dictionary"

    table_name: Mapped[str] = said("Table or view.", primary_key=True)
    column_name: Mapped[str] = said("Column; empty for the table itself.", primary_key=True)
    unit: Mapped[str] = said("Unit of the column; empty for text and dimensionless numbers.")
    meaning: Mapped[str] = said("What one row of the table, or a value of the column, is.")


def dictionary_rows() -> Iterator[dict[str, str]]:
    """Every table and view, and each of their columns."""
    rows = {mapper.class_.__tablename__: mapper.class_.__doc__ or "" for mapper in Base.registry.mappers}
    for table in sorted(Base.metadata.tables.values(), key=lambda table: table.name):
        row = table.comment or rows[table.name].strip().split("\n")[0].removeprefix("One row: ")
        yield {"table_name": table.name, "column_name": "", "unit": "", "meaning": row}
        for column in table.columns:
            words, unit = meaning(column)
            yield {"table_name": table.name, "column_name": column.name, "unit": unit, "meaning": words}
    for view in VIEWS:
        yield {"table_name": view.name, "column_name": "", "unit": "", "meaning": view.row}
        for each in view.columns:
            yield {"table_name": view.name, "column_name": each.name, "unit": each.unit, "meaning": each.meaning}


def write_dictionary(connection: Connection) -> None:
    """Replace the rows of the dictionary, inside the caller's transaction."""
    connection.execute(delete(DataDictionary))
    connection.execute(insert(DataDictionary), list(dictionary_rows()))
