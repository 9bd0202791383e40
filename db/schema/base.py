"""What all table modules share: the declarative base, and the storage of bulk tables."""

from typing import Any

from sqlalchemy import JSON, Double
from sqlalchemy.orm import DeclarativeBase

BULK = {"sqlite_with_rowid": False}
"""Rows are stored in the order of the primary key, once, without a second copy in an index."""


class Base(DeclarativeBase):
    """Collects the tables."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, float: Double}  # noqa: RUF012  SQLAlchemy's idiom
