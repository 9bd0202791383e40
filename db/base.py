"""What all table modules share: the declarative base, the storage of bulk tables, and the age of columns."""

from typing import Any

from sqlalchemy import JSON, Double
from sqlalchemy.orm import DeclarativeBase

BULK = {"sqlite_with_rowid": False}
"""Rows are stored in the order of the primary key, once, without a second copy in an index."""


def since(revision: str) -> dict[str, str]:
    """Marks a column that a later schema added: NULL in the rows that older versions wrote."""
    return {"since": revision}


class Base(DeclarativeBase):
    """Collects the tables."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, float: Double}  # noqa: RUF012  SQLAlchemy's idiom
