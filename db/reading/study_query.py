"""Named queries over all runs of a study: the rows of each run, with the member's name before them.

Of a run with several replicates, a row is the one over all of them where there is such a row, else the first one's. The
rows of each replicate are beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.analyses.results.replicates import OVER_ALL
from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.query import Query
from provenance.db.reading.run_query import QueryResult, Source, run_query
from provenance.errors import InputError
from provenance.table_declaration import MEMBER, REPLICATE


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
    limits: dict[str, Any] = {"timeout_s": timeout_s, "max_rows": max_rows}
    found: list[_OfMember] = []
    for member in finished_members(source, study, kind):
        own = run_query(source, name, {**given, "run": member["run"]}, **limits)
        drawn = QUERIES[name].each_draw
        draws = run_query(source, drawn, {"run": member["run"]}, **limits).records() if drawn else []
        found.append(_OfMember(member[MEMBER], own, draws, QUERIES[name]))
    columns = found[0].result.columns
    rows = tuple((each.name, *row) for each in found for row in each.rows())
    if not any(each.draws for each in found):
        return QueryResult((MEMBER, *columns), rows)
    numbered = tuple((each.name, *row) for each in found for row in each.numbered())
    together = QueryResult((MEMBER, REPLICATE, *columns), numbered)
    return QueryResult((MEMBER, *columns), rows, with_replicates=together)


@dataclass(frozen=True)
class _OfMember:
    """The rows of one member's run, and those of its replicates."""

    name: str
    result: QueryResult
    draws: Sequence[dict[str, Any]]
    """Over all replicates, and of each; empty for one draw."""
    query: Query

    def _key(self, row: Mapping[str, Any]) -> tuple[object, ...]:
        return tuple(row[name] for name in self.query.known_by)

    def _values(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """In the order of the columns; None for what is not known of every replicate."""
        return tuple(row.get(name) for name in self.result.columns)

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows as they are, or over all replicates."""
        over = {self._key(row): row for row in self.draws if row[REPLICATE] == OVER_ALL}
        return [self._values(over.get(self._key(row), row)) for row in self.result.records()]

    def numbered(self) -> list[tuple[Any, ...]]:
        """All rows, each after the number of its replicate, which is None where there is one draw."""
        if not self.draws:
            return [(None, *row) for row in self.result.rows]
        own = {self._key(row): row for row in self.result.records()}
        drawn = [{**own.get(self._key(row), {}), **row} if row[REPLICATE] == 1 else row for row in self.draws]
        known = {self._key(row) for row in self.draws if row[REPLICATE] in (OVER_ALL, 1)}
        first = [{**row, REPLICATE: 1} for key, row in own.items() if key not in known]
        return [(row[REPLICATE], *self._values(row)) for row in (*drawn, *first)]


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
