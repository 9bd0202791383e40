"""Query results as a terminal table, CSV, JSON, or Parquet; numbers keep all their digits, except on the screen."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from provenance.cells import visible
from provenance.db.reading.run_query import QueryResult
from provenance.errors import InputError

UNLIMITED = 1_000_000  # characters in a line
MEASURED_ROWS = 200  # of a result, to see how wide it is: measuring takes half as long as printing


def as_table(result: QueryResult, title: str = "") -> Table:
    """A table for a terminal: numbers to the right with four digits, `-` for a missing one."""
    table = Table(title=title or None, title_justify="left")
    for number, column in enumerate(result.columns):
        numeric = any(isinstance(row[number], int | float) for row in result.rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in result.rows:
        table.add_row(*(Text(shown(value)) for value in row))
    return table


def fitted(result: QueryResult, width: int) -> RenderableType:
    """A table if it fits the terminal without breaking words; else each row as lines, one per column.

    Without rows, only the columns' names.
    """
    if not result.rows:
        return Text(f"no rows of {', '.join(result.columns)}")
    measured = as_table(QueryResult(result.columns, result.rows[:MEASURED_ROWS]))
    if Console(width=UNLIMITED).measure(measured).minimum <= width:
        return as_table(result)
    return Group(*(_record(result, number) for number in range(len(result.rows))))


def _record(result: QueryResult, number: int) -> Table:
    place = f"row {number + 1} of {len(result.rows)}"
    table = Table(
        title=Text(place, "bold"), title_justify="left", show_header=False, box=None, pad_edge=False, padding=(0, 2)
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for column, value in zip(result.columns, result.rows[number], strict=True):
        table.add_row(Text(column), Text(shown(value)))
    return table


def shown(value: Any) -> str:
    """A value as text for people."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return visible(str(value))


def as_json(result: QueryResult) -> str:
    """A JSON array with one object per row; infinities become null and bytes hexadecimal text: JSON has neither."""
    rows = [{name: _finite(value) for name, value in record.items()} for record in result.records()]
    return json.dumps(rows, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def as_parquet(result: QueryResult) -> bytes:
    """A Parquet file; a column without values has the null type.

    Raises:
        InputError: A column has values of several types.
    """
    columns = {name: [row[i] for row in result.rows] for i, name in enumerate(result.columns)}
    out = pa.BufferOutputStream()
    try:
        pq.write_table(pa.table(columns), out)
    except pa.ArrowException as error:
        raise InputError(
            "columns of one type each, for Parquet",
            found=str(error)[:200],
            remedy="give --format csv, or CAST in the SQL",
        ) from error
    return bytes(out.getvalue())


_ENCODERS: Mapping[str, Callable[[QueryResult], bytes]] = {
    "csv": lambda result: result.as_csv().encode(),
    "json": lambda result: as_json(result).encode(),
    "parquet": as_parquet,
}


def encoded(result: QueryResult, form: str) -> bytes:
    """A result as the bytes of a file.

    Raises:
        InputError: The format is unknown, or has no bytes.
    """
    if form not in _ENCODERS:
        raise InputError(f"one of the formats {', '.join(_ENCODERS)}", found=repr(form), remedy="mend --format")
    return _ENCODERS[form](result)


def _finite(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return None if isinstance(value, float) and not math.isfinite(value) else value
