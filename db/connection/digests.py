"""Content digests of stored runs, to check that a run's rows are unchanged.

A run's digest is a sum over digests of its rows, so it depends neither on their order nor on the kind of database. A
value counts with the name of its column and NULL does not count, so the digest survives later columns.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import JSON, Connection, select

from provenance.db.schema.tables import DERIVED, Run

_MODULUS = 1 << 256


def run_digest(connection: Connection, run_id: int, without: Collection[str] = ()) -> str:
    """SHA-256 over a run's derived rows and its sentence, added up modulo 2^256; 64 hexadecimal digits.

    `without` names tables to leave out, such as one whose rows refer to numbers of this database.
    """
    overall = connection.execute(select(Run.overall).where(Run.id == run_id)).scalar_one_or_none()
    total = _hashed(f"overall{overall!r}")
    for table in (table for table in DERIVED if table.name not in without):
        # The run's number is left out: the same results under another number are the same content.
        columns = list(table.c)[1:]
        names = [column.name for column in columns]
        nested = [i for i, column in enumerate(columns) if isinstance(column.type, JSON)]
        chosen = select(*columns).where(table.c.run_id == run_id).execution_options(yield_per=20_000)
        for row in connection.execute(chosen):
            total += _hashed(f"{table.name}{_content(list(row), names, nested)}")
    return f"{total % _MODULUS:064x}"


def _hashed(content: str) -> int:
    return int.from_bytes(hashlib.sha256(content.encode()).digest(), "big")


def _content(values: list[Any], names: Sequence[str], nested: Sequence[int]) -> str:
    """Names and values of a row that are not NULL, as text."""
    for i in nested:
        values[i] = None if values[i] is None else json.dumps(values[i], sort_keys=True)
    return repr([pair for pair in zip(names, values, strict=True) if pair[1] is not None])


def verify(connection: Connection, run_id: int) -> bool | None:
    """Whether a run's rows still have the digest stored with them; None when none was stored."""
    stored = connection.execute(select(Run.content_digest).where(Run.id == run_id)).scalar_one_or_none()
    return None if stored is None else run_digest(connection, run_id) == stored
