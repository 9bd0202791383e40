"""Declared results as rows, nothing written twice."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from provenance.analyses.results.claims import Claim
from provenance.analyses.results.replicates import ReplicateResults
from provenance.db.rows.values import NeuronColumns, Row
from provenance.db.schema.result_tables import REPLICATE_TABLES, TABLES, TableLike
from provenance.table_declaration import declared, row_of, rows_of

Rows = dict[TableLike, list[Row]]


def declared_rows(results: Iterable[object], tables: Mapping[type, TableLike] = TABLES, **scope: str | int) -> Rows:
    """Results as rows by table, in the order given.

    Args:
        results: Of declared classes.
        tables: SQL table of each class.
        scope: Values of the scope of their tables.
    """
    by_class: dict[type, list[object]] = {}
    for result in results:
        by_class.setdefault(type(result), []).append(result)
    rows: Rows = {}
    for cls, found in by_class.items():
        rows[tables[cls]] = [row_of(found[0], **scope)] if declared(cls).single else list(rows_of(found, **scope))
    return rows


def run_rows(report: object) -> Rows:
    """Rows of all declared results that a report holds, however deep, and that belong to the run alone.

    Results within the scope of another (a probe's, a claim's conditions) are stored with it, and those of a replicate
    in tables of their own.
    """
    held = list(_held(report))
    found = declared_rows(result for result in held if type(result) in TABLES)
    for claim in (result for result in held if isinstance(result, Claim)):
        add(found, declared_rows(claim.reasons, claim=claim.name))
    for one in (result for result in held if isinstance(result, ReplicateResults)):
        add(found, declared_rows(one.results, REPLICATE_TABLES, replicate=one.number))
    return found


def _held(value: object) -> Iterator[object]:
    if isinstance(value, tuple):
        for item in value:
            yield from _held(item)
    elif type(value) in TABLES:
        if not declared(type(value)).scope:
            yield value
    elif isinstance(value, ReplicateResults):
        yield value
    elif is_dataclass(value):
        for item in fields(value):
            yield from _held(getattr(value, item.name))


def add(found: Rows, more: Rows) -> None:
    """Append rows to those of the same tables."""
    for table, rows in more.items():
        found.setdefault(table, []).extend(rows)


def bulk_rows(result: object, neurons_per_layer: int) -> NeuronColumns:
    """Arrays over all neurons as rows."""
    said = declared(type(result))
    columns: dict[str, Any] = {part.name: getattr(result, part.name) for part in said.per_neuron}
    size = next(iter(columns.values())).size
    keys = {part.name for part in said.keys}
    scope = {name: value for name, value in row_of(result).items() if name in keys}
    return NeuronColumns(columns, size, neurons_per_layer, scope)
