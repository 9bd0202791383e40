"""Shared parts of all table modules: the declarative base, and the storage of bulk tables."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, Column, Double
from sqlalchemy.orm import DeclarativeBase, mapped_column

BULK = {"sqlite_with_rowid": False}
"""Stores rows in the order of the primary key, without a second copy in an index."""
NEURON_KEY = ("run_id", "layer", "neuron_index")
"""Primary key of `neuron`, to which tables about single neurons refer."""


class Base(DeclarativeBase):
    """Declarative base of all tables."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, float: Double}  # noqa: RUF012  SQLAlchemy's idiom


EVERYWHERE: Mapping[str, str] = {
    "id": "Number of the row in this database.",
    "run_id": "Run that the row belongs to.",
    "stage": "Checkpoint: `base` or `instruct`.",
    "dataset": "Name of the question set in the run.",
    "claim": "Name of the claim.",
    "position": "Place in the order of the rows, from 0.",
    "layer": "Layer of the instruct checkpoint, from 0.",
    "neuron_index": "Index of the neuron in its layer, from 0.",
    "digest": "SHA-256 of the content.",
    "added_utc": "When it was added, in UTC.",
    "n_questions": "Questions.",
}
"""Meanings of columns that many tables have; a table may say more."""


def said(meaning: str, *args: Any, unit: str = "", **how: Any) -> Any:
    """A column with its meaning and unit; other arguments are those of `mapped_column`."""
    return mapped_column(*args, comment=meaning, info={"unit": unit}, **how)


def meaning(column: Column[Any]) -> tuple[str, str]:
    """Meaning and unit of a column; empty where nothing is said of it."""
    return column.comment or EVERYWHERE.get(column.name, ""), column.info.get("unit", "")
