"""Query results as a terminal table, CSV, JSON, or Parquet; numbers keep all their digits, except on the screen."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from provenance.cells import visible
from provenance.db.reading.run_query import QueryResult
from provenance.errors import InputError

UNLIMITED = 1_000_000  # characters in a line
MEASURED_ROWS = 200  # of a result, to see how wide it is: measuring takes half as long as printing


def as_table(result: QueryResult, *, broken: bool = False) -> Table:
    """A table for a terminal: numbers to the right with four digits, `-` for a missing one.

    `broken`: whether heads wider than what is below them are broken behind underscores.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    cells = [[shown(value) for value in row] for row in result.rows]
    for number, column in enumerate(result.columns):
        numeric = any(isinstance(row[number], int | float) for row in result.rows)
        head = _broken(column, max(cell_len(row[number]) for row in cells)) if broken and cells else column
        table.add_column(Text(head), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _broken(name: str, width: int) -> str:
    """A column's name in lines no wider than `width` or its longest part."""
    lines: list[str] = []
    parts = re.findall(r"[^_]*_+|[^_]+", name)
    widest = max(width, *map(cell_len, parts))
    for part in parts:
        if lines and cell_len(lines[-1] + part) <= widest:
            lines[-1] += part
        else:
            lines.append(part)
    return "\n".join(lines)


def fitted(result: QueryResult, width: int, narrow: Sequence[str] = ()) -> RenderableType:
    """A table if it fits the terminal without breaking words, with broken heads if need be; else as `as_records`.

    A few rows of many columns are turned, if they fit so: a line a column. Without rows, only the columns' names.

    Args:
        result: What to show.
        width: Characters in a line.
        narrow: The columns to show where all of them do not fit beside each other, with a line that says so.
    """
    if not result.rows:
        return Text(f"no rows of {', '.join(result.columns)}")
    if table := _beside(result, width):
        return table
    if narrow and (table := _beside(result.only(narrow), width)):
        said = f"{len(narrow)} of {len(result.columns)} columns; all of them: -x, or --format csv"
        return Group(table, Text(said))
    if 1 < len(result.rows) < len(result.columns):
        turned = as_table(_turned(result))
        if Console(width=UNLIMITED).measure(turned).minimum <= width:
            return turned
    return as_records(result)


def _beside(result: QueryResult, width: int) -> Table | None:
    """The columns beside each other, with broken heads if need be; None where they do not fit."""
    sample = QueryResult(result.columns, result.rows[:MEASURED_ROWS])
    for broken in (False, True):
        if Console(width=UNLIMITED).measure(as_table(sample, broken=broken)).minimum <= width:
            return as_table(result, broken=broken)
    return None


def _turned(result: QueryResult) -> QueryResult:
    """Columns as rows; what the first column says of each row stands above its values."""
    head, *lines = zip(result.columns, *result.rows, strict=True)
    return QueryResult(tuple(map(shown, head)), tuple(lines))


def as_records(result: QueryResult) -> RenderableType:
    """Each row as lines, one per column."""
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
