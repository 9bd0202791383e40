"""SQL tables and named queries of declared results, derived from the fields of their dataclasses."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Boolean, Column, Double, ForeignKey, Integer, String, Table

from provenance.analyses.results.answers import ActivityTable, Funnel
from provenance.analyses.results.behaviour import CausalEffect
from provenance.analyses.results.claims import Claim, Power, Reason
from provenance.analyses.results.drift import DriftResult, DriftTest
from provenance.analyses.results.lineage import ConfigDifference, TensorSimilarity
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.probes import Baseline, CurvePoint, HeldOut, PathPoint, StabilityResult
from provenance.analyses.results.timeline import TracePoint
from provenance.analyses.results.transfer import (
    LabelAgreement,
    Rung,
    ScaleControl,
    SignAgreement,
    TransferCell,
    TransferResult,
)
from provenance.db.reading.named_query import Query
from provenance.db.rows.values import Row, columns_as_rows
from provenance.db.schema.base import BULK, Base
from provenance.declared import Stored, declared, row_of, rows_of

RESULTS = (
    PathPoint,
    CurvePoint,
    Baseline,
    StabilityResult,
    HeldOut,
    TransferResult,
    Rung,
    TransferCell,
    LabelAgreement,
    ScaleControl,
    SignAgreement,
    DriftResult,
    DriftTest,
    OverlapResult,
    OverlapNull,
    Power,
    CausalEffect,
    Claim,
    Reason,
    TracePoint,
    Funnel,
    ActivityTable,
    TensorSimilarity,
    ConfigDifference,
)
"""All declared results that a run stores."""
_SQL_TYPES = {str: String, int: Integer, float: Double, bool: Boolean}

ROW_PER_NEURON = (
    Stored("layer", int, nullable=False, key=True, about="Layer, from 0.", unit=""),
    Stored("neuron_index", int, nullable=False, key=True, about="Index in the layer, from 0.", unit=""),
)
TableLike = Table | type[Base]
"""A declared table, or one that is written by hand."""
Rows = dict[TableLike, list[Row]]


def _table(name: str, row: str, columns: Iterable[Stored], **how: Any) -> Table:
    run: Column[int] = Column("run_id", ForeignKey("run.id"), primary_key=True)
    return Table(name, Base.metadata, run, *map(_column, columns), comment=row, **how)


def _bulk(cls: type) -> Table:
    said = declared(cls)
    columns = (*said.keys, *ROW_PER_NEURON, *said.per_neuron)
    return _table(said.bulk, f"{said.row}, for one neuron", columns, **BULK)


def _column(part: Stored) -> Column[Any]:
    unit = f" Unit: {part.unit}." if part.unit else ""
    about = f"{part.about}{unit}" or None
    return Column(part.name, _SQL_TYPES[part.kind](), nullable=part.nullable, primary_key=part.key, comment=about)


TABLES: dict[type, Table] = {
    cls: _table(declared(cls).name, declared(cls).row, declared(cls).stored()) for cls in RESULTS
}
"""SQL table of each declared result."""
BULK_TABLES: dict[type, Table] = {cls: _bulk(cls) for cls in RESULTS if declared(cls).bulk}
"""SQL table with a row per neuron, of the results that have one."""


def declared_rows(results: Iterable[object], **scope: str) -> Rows:
    """Results as rows by table, in the order given."""
    by_class: dict[type, list[object]] = {}
    for result in results:
        by_class.setdefault(type(result), []).append(result)
    rows: Rows = {}
    for cls, found in by_class.items():
        rows[TABLES[cls]] = [row_of(found[0], **scope)] if declared(cls).single else list(rows_of(found, **scope))
    return rows


def add(found: Rows, more: Rows) -> None:
    """Append rows to those of the same tables."""
    for table, rows in more.items():
        found.setdefault(table, []).extend(rows)


def claim_rows(claims: Sequence[Claim]) -> Rows:
    """Claims, and the conditions of each."""
    found = declared_rows(claims)
    for claim in claims:
        add(found, declared_rows(claim.reasons, claim=claim.name))
    return found


def bulk_rows(result: object, neurons_per_layer: int) -> Iterator[Row]:
    """Arrays over all neurons as rows, made as they are consumed."""
    said = declared(type(result))
    columns: dict[str, Any] = {part.name: getattr(result, part.name) for part in said.per_neuron}
    size = next(iter(columns.values())).size
    keys = {part.name for part in said.keys}
    return columns_as_rows(
        columns, size, neurons_per_layer, {name: value for name, value in row_of(result).items() if name in keys}
    )


def columns_of(cls: type, alias: str) -> str:
    """The SQL columns of a declared table, for a query that joins."""
    return ", ".join(f"{alias}.{part.name}" for column in declared(cls).columns for part in column.stored())


def query_of(cls: type) -> Query:
    """The named query of a declared table."""
    said = declared(cls)
    return Query(said.query, said.row, said.sql(), subject=said.subject)
