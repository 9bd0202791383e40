"""The form of a named query."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Query:
    """SQL with a name."""

    name: str
    """Name for `provenance query`."""
    summary: str
    """Meaning of one row, in one line."""
    sql: str
    """Text with `:name` parameters."""
    defaults: Mapping[str, int | str] = field(default_factory=dict)
    """Default values of parameters; `run` has its own default."""
    subject: str = ""
    """Table with a row for every run that has such results; empty: any finished run will do."""
    each_draw: str = ""
    """Name of the query about every replicate of the run, with some of its columns; empty where there is none."""
    known_by: tuple[str, ...] = ()
    """Columns by which a row about all replicates is the one in place of which it stands."""
    narrow: tuple[str, ...] = ()
    """Columns that a terminal shows where all of them do not fit beside each other; empty: it shows rows as lines."""
