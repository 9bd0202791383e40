"""Content digests of stored runs: whether a run's rows are still what was saved.

The one idea: a run's digest is a sum over digests of its rows, so that it depends on
neither the order in which a database returns them nor on the kind of database. A column
that a later schema added counts where it holds something, so a run that an older
version saved keeps its digest through an upgrade.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, Connection, select

from db.schema import DERIVED, Run

_MODULUS = 1 << 256


def run_digest(connection: Connection, run_id: int) -> str:
    """SHA-256 over every derived row of a run, added up modulo 2^256; 64 hexadecimal digits."""
    total = 0
    for table in DERIVED:
        # The run's number is left out: the same results under another number are the same content.
        columns = sorted(list(table.c)[1:], key=lambda column: "since" in column.info)
        chosen = select(*columns).where(table.c.run_id == run_id).execution_options(yield_per=20_000)
        nested = [i for i, column in enumerate(columns) if isinstance(column.type, JSON)]
        later = [column.name for column in columns if "since" in column.info]
        for row in connection.execute(chosen):
            content = f"{table.name}{_content(list(row), nested, later)}"
            total += int.from_bytes(hashlib.sha256(content.encode()).digest(), "big")
    return f"{total % _MODULUS:064x}"


def _content(values: list[Any], nested: Sequence[int], later: Sequence[str]) -> str:
    """A row as text: values that every schema has, then names and values of later columns that hold any."""
    for i in nested:
        values[i] = None if values[i] is None else json.dumps(values[i], sort_keys=True)
    first = len(values) - len(later)
    added = [(name, value) for name, value in zip(later, values[first:], strict=True) if value is not None]
    return f"{values[:first]!r}{added!r}" if added else repr(values[:first])


def verify(connection: Connection, run_id: int) -> bool | None:
    """Whether a run's rows still have the digest stored with them; None when none was stored."""
    stored = connection.execute(select(Run.content_digest).where(Run.id == run_id)).scalar_one_or_none()
    return None if stored is None else run_digest(connection, run_id) == stored
