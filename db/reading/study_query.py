"""Named queries over all runs of a study: the rows of each run, with the member's name before them."""

from collections.abc import Mapping, Sequence
from typing import Any

from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.run_query import QueryResult, Source, run_query
from provenance.errors import InputError
from provenance.table_declaration import MEMBER


def by_member(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by the member of a study that they are about, in its order; those of a single run under an empty name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.get(MEMBER, ""), []).append(row)
    return found


def study_query(
    source: Source,
    study: str | None,
    name: str,
    params: Mapping[str, float | str] | None = None,
    *,
    kind: str | None = None,
    timeout_s: float | None = None,
    max_rows: int | None = None,
) -> QueryResult:
    """Run a named query for every run of a study, in the order of its members.

    Args:
        source: The database.
        study: Name of the study; the one that was changed last if None.
        name: A key of `QUERIES` that is about one run; or `study`, which is run once and gives the members.
        params: Values of its other parameters.
        kind: `family` or `timeline` for these members alone; all if None.
        timeout_s: Seconds that the database may take for one run; None for no limit.
        max_rows: Most rows of one run; None for no limit.

    Raises:
        InputError: There is no such study or query, the query is not about a run, or no such member has a run yet.
    """
    given = dict(params or {})
    if name == "study":
        return _members(source, study, kind)
    if name not in QUERIES or ":run" not in QUERIES[name].sql:
        about = ", ".join(sorted(key for key, query in QUERIES.items() if ":run" in query.sql))
        raise InputError(
            f"a named query about one run ({about})",
            found=repr(name),
            remedy="name one of these, or leave --study out",
        )
    done = finished_members(source, study, kind)
    limits: dict[str, Any] = {"timeout_s": timeout_s, "max_rows": max_rows}
    found = [run_query(source, name, {**given, "run": member["run"]}, **limits) for member in done]
    rows = tuple((member[MEMBER], *row) for member, result in zip(done, found, strict=True) for row in result.rows)
    return QueryResult((MEMBER, *found[0].columns), rows)


def finished_members(source: Source, study: str | None, kind: str | None = None) -> list[dict[str, Any]]:
    """Rows of the query `study` with a run, in order; of one kind alone if it is given.

    Raises:
        InputError: There is no such study, or no such member of it has a run.
    """
    members = _members(source, study, kind).records()
    done = [member for member in members if member["run"] is not None]
    if not done:
        raise InputError(
            f"a study with a finished {kind or 'run'}",
            found=f"{len(members)} members, none of them run" if members else "a study without members",
            remedy="run `provenance study`",
        )
    return done


def _members(source: Source, study: str | None, kind: str | None) -> QueryResult:
    found = run_query(source, "study", {} if study is None else {"study": study})
    place = found.columns.index("kind")
    return QueryResult(found.columns, tuple(row for row in found.rows if kind in (None, row[place])))
