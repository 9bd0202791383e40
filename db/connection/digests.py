"""Content digests of stored runs, to check that a run's rows are unchanged.

A run's digest is a sum over digests of its rows, so it depends neither on their order nor on the kind of database. A
value counts with the name of its column and NULL does not count, so the digest survives later columns. Tables with a
row per neuron have millions of rows: there a column of one layer's neurons is digested in place of a row.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import numpy as np
from jaxtyping import Float
from sqlalchemy import JSON, Connection, Table, select, text

from provenance.db.schema.tables import DERIVED, OF_NEURONS, Run

CHUNK_ROWS = 1 << 15  # neurons of one layer that are digested together; a check holds them in memory
_MODULUS = 1 << 256
_NUMBERS = frozenset({int, float, bool, type(None)})


def run_digest(
    connection: Connection, run_id: int, without: Collection[str] = (), of_neurons: int | None = None
) -> str:
    """SHA-256 over a run's derived rows and its sentence, added up modulo 2^256; 64 hexadecimal digits.

    Args:
        connection: A connection that may read.
        run_id: Number of the run.
        without: Names of tables to leave out, such as one whose rows refer to numbers of this database.
        of_neurons: The sum over the tables with a row per neuron, where it is known; else they are read.
    """
    overall = connection.execute(select(Run.overall).where(Run.id == run_id)).scalar_one_or_none()
    total = _hashed(f"overall{overall!r}")
    for table in DERIVED:
        if table.name not in without and table not in OF_NEURONS:
            total += _of_rows(connection, table, run_id)
    if of_neurons is None:
        of_neurons = neurons_digest(connection, run_id)
    return f"{(total + of_neurons) % _MODULUS:064x}"


def _of_rows(connection: Connection, table: Table, run_id: int) -> int:
    # The run's number is left out: the same results under another number are the same content.
    columns = list(table.c)[1:]
    names = [column.name for column in columns]
    nested = [i for i, column in enumerate(columns) if isinstance(column.type, JSON)]
    chosen = select(*columns).where(table.c.run_id == run_id).execution_options(yield_per=20_000)
    return sum(_hashed(f"{table.name}{_content(list(row), names, nested)}") for row in connection.execute(chosen))


def _hashed(content: str, values: bytes = b"") -> int:
    return int.from_bytes(hashlib.sha256(content.encode() + values).digest(), "big")


def _content(values: list[Any], names: Sequence[str], nested: Sequence[int]) -> str:
    """Names and values of a row that are not NULL, as text."""
    for i in nested:
        values[i] = None if values[i] is None else json.dumps(values[i], sort_keys=True)
    return repr([pair for pair in zip(names, values, strict=True) if pair[1] is not None])


def chunk_digest(table: str, place: Sequence[object], columns: Mapping[str, Float[np.ndarray, " neurons"]]) -> int:
    """The part of some neurons of one layer in the sum that is a run's digest.

    Args:
        table: Name of the table.
        place: Scope of the table's rows, number of the layer, and how many of its neurons come before these.
        columns: Index in the layer, and everything beside the key, at most `CHUNK_ROWS` in the order of the index; NaN
            is NULL, whole numbers and truth values are numbers.
    """
    total = 0
    for name, values in columns.items():
        null = np.isnan(values)
        if not null.all():
            numbers = np.where(null, np.nan, values + 0.0)  # one NaN and one zero: not every database keeps more
            total += _hashed(f"{table}{tuple(place)!r}{name}", numbers.astype("<f8").tobytes())
    return total


def neurons_digest(connection: Connection, run_id: int) -> int:
    """The part of all tables with a row per neuron in the sum, as they are stored."""
    return sum(_of_neurons(connection, table, run_id) for table in OF_NEURONS)


def _of_neurons(connection: Connection, table: Table, run_id: int) -> int:
    """The sum over a table with a row per neuron as it is stored."""
    names = [column.name for column in table.columns][1:]
    keys = len(table.primary_key.columns) - 2  # without the run, and without the neuron in its layer
    ordered = ", ".join(names[: keys + 1])
    # as text, since SQLAlchemy would convert each truth value
    sql = f"SELECT {', '.join(names)} FROM {table.name} WHERE run_id = :run ORDER BY {ordered}"  # noqa: S608
    found = connection.execute(text(sql).execution_options(yield_per=20_000), {"run": run_id})
    total = 0
    for place, rows in groupby(found, key=itemgetter(slice(0, keys))):
        start = 0
        while chunk := list(islice(rows, CHUNK_ROWS)):
            columns = dict(zip(names[keys:], list(zip(*chunk, strict=True))[keys:], strict=True))
            total += _as_stored(table.name, (*place, start), columns)
            start += len(chunk)
    return total


def _as_stored(table: str, place: Sequence[object], columns: Mapping[str, Sequence[object]]) -> int:
    wrong = {name: values for name, values in columns.items() if not set(map(type, values)) <= _NUMBERS}
    numbers = {name: np.array(values, dtype=np.float64) for name, values in columns.items() if name not in wrong}
    return chunk_digest(table, place, numbers) + (_hashed(repr(wrong)) if wrong else 0)  # text is never written there


def verify(connection: Connection, run_id: int) -> bool | None:
    """Whether a run's rows still have the digest stored with them; None when none was stored."""
    stored = connection.execute(select(Run.content_digest).where(Run.id == run_id)).scalar_one_or_none()
    return None if stored is None else run_digest(connection, run_id) == stored
