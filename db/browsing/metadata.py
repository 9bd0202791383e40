"""What Datasette is told of the database: meanings of tables and columns, facets, and the named queries.

All of it follows from what is declared elsewhere: the data dictionary, the views, and the queries with their defaults.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.query import Query
from provenance.db.reading.run_query import default_run_sql
from provenance.db.schema.base import BULK
from provenance.db.schema.data_dictionary import dictionary_rows
from provenance.db.schema.tables import Base
from provenance.db.schema.views import V_NEURON_ACTIVITY, VIEWS

NAME = "provenance"
"""Name of the database in addresses, whatever its file is called."""
QUERY_PREFIX = "query-"
"""Before names of queries: some are names of tables as well."""
FACETED = ("command", "base", "instruct", "status", "claim", "verdict", "stage", "dataset", "label", "layer")
"""Columns of few different values, which a page can be narrowed by."""
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")  # as SQLAlchemy reads them
_NEWEST_STUDY = "(SELECT name FROM study ORDER BY updated_utc DESC, id DESC LIMIT 1)"


def metadata() -> dict[str, Any]:
    """Title, tables, columns and queries of the database in Datasette's form."""
    said: dict[str, dict[str, Any]] = {}
    for row in dictionary_rows():
        table = said.setdefault(row["table_name"], {"columns": {}})
        if row["column_name"]:
            table["columns"][row["column_name"]] = _meaning(row)
        else:
            table["description"] = f"One row: {row['meaning']}"
    for name, table in said.items():
        table["facets"] = [] if name in _large() else [column for column in FACETED if column in table["columns"]]
    database = {
        "title": "The neuron database",
        "description": "Views answer the usual questions; queries are those of “provenance query”, with their defaults "
        "where a field is empty; tables hold every row.",
        "tables": said,
        "queries": {f"{QUERY_PREFIX}{name}": _canned(query) for name, query in QUERIES.items()},
    }
    return {"title": "provenance", "databases": {NAME: database}}


def _meaning(row: Mapping[str, str]) -> str:
    return f"{row['meaning']} Unit: {row['unit']}." if row["unit"] else row["meaning"]


def column_meanings() -> dict[str, str]:
    """Meaning and unit of columns by name, those of views and of the result tables that share their names first."""
    found: dict[str, str] = {}
    for row in sorted(dictionary_rows(), key=lambda row: row["table_name"] not in views_first()):
        if row["column_name"]:
            found.setdefault(row["column_name"], _meaning(row))
    return found


def _large() -> Iterable[str]:
    """Tables and views of up to millions of rows, in which counting values takes too long."""
    stored = [name for name, table in Base.metadata.tables.items() if table.kwargs.items() >= BULK.items()]
    return {*stored, V_NEURON_ACTIVITY.name}


def _canned(query: Query) -> dict[str, Any]:
    described = f"One row: {query.summary}."
    return {"sql": _PARAMETER.sub(lambda found: _value(query, found[1]), query.sql), "title": query.name,
            "description": described, "hide_sql": True}  # fmt: skip


def _value(query: Query, name: str) -> str:
    """A parameter, or its default where a form leaves it empty; everything in a form is text."""
    given = f"NULLIF(:{name}, '')"
    if name == "study":
        return f"COALESCE({given}, {_NEWEST_STUDY})"
    default = default_run_sql(query.subject) if name == "run" else str(query.defaults[name])
    return f"CAST(COALESCE({given}, {default}) AS INTEGER)"


def views_first() -> tuple[str, ...]:
    """Names of the views, in the order of help."""
    return tuple(view.name for view in VIEWS)
