"""What a named query is."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Query:
    """SQL with a name."""

    name: str
    """As given to `provenance query`."""
    summary: str
    """What one row of it is, in one line."""
    sql: str
    """Text with `:name` parameters."""
    defaults: Mapping[str, int | str] = field(default_factory=dict)
    """Values of parameters that were not given; `run` is filled in by itself."""
    subject: str = ""
    """Table in which every run that looked into this has a row; empty: any finished run will do."""
