"""SQL tables of declared results."""

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Boolean, Column, Double, ForeignKey, ForeignKeyConstraint, Integer, String, Table

from provenance.analyses import results
from provenance.analyses.results.replicates import OF_EVERY_REPLICATE
from provenance.db.schema.base import BULK, NEURON_KEY, Base
from provenance.stages import StageTime
from provenance.table_declaration import OVER_ALL, REPLICATE, Stored, declared, declared_in

RESULTS = declared_in(results)
"""All declared results that a run stores."""
MEASURED = (StageTime,)
"""Declared as results are, but of the machine's work: every part of a run adds to them, and no digest covers them."""
_MISSING = re.compile(r"\b(None|NaN)\b")
"""What a meaning calls a missing value; in the database it is NULL."""
_SQL_TYPES = {str: String, int: Integer, float: Double, bool: Boolean}

ROW_PER_NEURON = (
    Stored("layer", int, nullable=False, key=True, about="Layer, from 0.", unit=""),
    Stored("neuron_index", int, nullable=False, key=True, about="Index in the layer, from 0.", unit=""),
)
TableLike = Table | type[Base]
"""A declared table, or one that is written by hand."""


def _table(name: str, row: str, columns: Iterable[Stored], **how: Any) -> Table:
    """A table of a run; where its rows are about single neurons, they refer to those of `neuron`."""
    run: Column[int] = Column("run_id", ForeignKey("run.id"), primary_key=True)
    own = [run, *map(_column, columns)]
    is_of_neurons = {*NEURON_KEY} <= {column.name for column in own}
    keys = [ForeignKeyConstraint(NEURON_KEY, [f"neuron.{key}" for key in NEURON_KEY])] if is_of_neurons else []
    return Table(name, Base.metadata, *own, *keys, comment=row, **how)


def _bulk(cls: type) -> Table:
    said = declared(cls)
    return _table(said.bulk, f"{said.row}, for one neuron", (*said.keys, *ROW_PER_NEURON, *said.per_neuron), **BULK)


def _of_replicates(cls: type) -> Table:
    said = declared(cls)
    number = Stored(
        REPLICATE, int, nullable=False, key=True, unit="",
        about=f"Number of the replicate, from 1; {OVER_ALL}: all of them together, numbers as medians, p doubled.",
    )  # fmt: skip
    own = (part for part in said.stored() if part.name not in said.scope)
    return _table(f"replicate_{said.name}", f"{said.row}, in one replicate or over all", (number, *own))


def _column(part: Stored) -> Column[Any]:
    kind, unit, about = _SQL_TYPES[part.kind](), {"unit": part.unit}, _MISSING.sub("NULL", part.about)
    return Column(part.name, kind, nullable=part.nullable, primary_key=part.key, comment=about or None, info=unit)


TABLES: dict[type, Table] = {
    cls: _table(declared(cls).name, declared(cls).row, declared(cls).stored()) for cls in (*RESULTS, *MEASURED)
}
"""SQL table of each declared result or measurement."""
REPLICATE_TABLES: dict[type, Table] = {cls: _of_replicates(cls) for cls in OF_EVERY_REPLICATE}
"""The SQL table with the rows of every replicate, and of all of them together, of those results that have one."""
BULK_TABLES: dict[type, Table] = {cls: _bulk(cls) for cls in RESULTS if declared(cls).bulk}
"""The SQL table with a row per neuron, of those that have one."""
