"""Shared parts of all table modules: the declarative base, and the storage of bulk tables."""

from typing import Any

from sqlalchemy import JSON, Double
from sqlalchemy.orm import DeclarativeBase

BULK = {"sqlite_with_rowid": False}
"""Stores rows in the order of the primary key, without a second copy in an index."""


class Base(DeclarativeBase):
    """Declarative base of all tables."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, float: Double}  # noqa: RUF012  SQLAlchemy's idiom
