"""The database explains itself: a table of its tables and columns, with unit and meaning."""

from collections.abc import Iterator

from sqlalchemy import Connection, delete, insert
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import Base


class DataDictionary(Base):
    """One row: a table (`column_name` is empty), or one of its columns."""

    __tablename__ = "data_dictionary"

    table_name: Mapped[str] = mapped_column(primary_key=True)
    column_name: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str] = mapped_column(comment="Unit of the column; empty for text and dimensionless numbers.")
    meaning: Mapped[str] = mapped_column(comment="What one row of the table, or a value of the column, is.")


def dictionary_rows() -> Iterator[dict[str, str]]:
    """Every table, and every column whose declaration says what it means."""
    said = {mapper.class_.__tablename__: mapper.class_.__doc__ or "" for mapper in Base.registry.mappers}
    for table in Base.metadata.sorted_tables:
        row = table.comment or said[table.name].strip().split("\n")[0].removeprefix("One row: ")
        yield {"table_name": table.name, "column_name": "", "unit": "", "meaning": row}
        for column in table.columns:
            if column.comment:
                about = {"unit": column.info.get("unit", ""), "meaning": column.comment}
                yield {"table_name": table.name, "column_name": column.name, **about}


def write_dictionary(connection: Connection) -> None:
    """Replace the rows of the dictionary, inside the caller's transaction."""
    connection.execute(delete(DataDictionary))
    connection.execute(insert(DataDictionary), list(dictionary_rows()))
