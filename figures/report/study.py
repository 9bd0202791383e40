"""The report of a study: one page over all its families, with links to the report of each."""

from pathlib import Path
from typing import Any

from provenance.cells import Record
from provenance.db.reading.run_query import Source, reading, run_query
from provenance.db.reading.study_query import over_replicates, study_query
from provenance.figures.gallery import FORMS, Attempt, study_attempted, write_figures
from provenance.figures.plots.timeline import timeline_sentence
from provenance.figures.report.html import FILE_NAME, environment, inline, write_results
from provenance.figures.tables.compliance import slopes_table
from provenance.figures.tables.evidence import brief_trace, kept, trace
from provenance.figures.tables.result_tables import ReportTable
from provenance.figures.tables.study import QUERIES, literature_table, members_table, replicates_table, unfinished_table
from provenance.figures.wording.run_words import concept_of, warnings_of
from provenance.files import write_whole

_OF_CLAIMS = ("claim", "verdict", "decided_by", "value", "relation", "bar", "against")


def study_summary(url: str, study: str) -> dict[str, Any]:
    """The study with its members, their runs and verdicts, as `--json` prints it.

    Raises:
        InputError: There is no such study.
    """
    with reading(url) as database:
        members = _members(database, study)
        return {
            "study": study,
            "title": members[0]["title"] if members else "",
            "members": [_summary(database, member) for member in members],
        }


def _members(database: Source, study: str) -> list[Record]:
    """Rows of the query `study`, with a sentence over each timeline as well."""
    members = run_query(database, "study", {"study": study}).records()
    return [{**member, "overall": member["overall"] or _sentence(database, member)} for member in members]


def _sentence(database: Source, member: Record) -> str | None:
    if member["kind"] != "timeline" or member["run"] is None:
        return None
    return timeline_sentence({"trace": over_replicates(database, "trace", member["run"])})


def _summary(database: Source, member: Record) -> dict[str, Any]:
    kept = {name: member[name] for name in ("family", "kind", "base", "instruct", "run", "reason", "overall", "quick")}
    if member["run"] is None:
        return {**kept, "claims": []}
    claims = run_query(database, "claims", {"run": member["run"]}).records()
    return {**kept, "claims": [{name: row[name] for name in _OF_CLAIMS} for row in claims]}


def study_tables(source: Source, study: str, *, brief: bool = False) -> list[ReportTable]:
    """Tables of a study: families and verdicts, scaled neurons, timelines, what was not run, and the literature.

    With `brief` as a terminal has room for them.
    """
    with reading(source) as database:
        members = run_query(database, "study", {"study": study}).records()
        if not any(member["run"] is not None for member in members):
            return [table for table in [unfinished_table(members)] if table is not None]
        results = {name: study_query(database, study, name) for name in QUERIES}
    found = (
        members_table(members, results),
        slopes_table(results, brief=brief),
        *((brief_trace(results),) if brief else (replicates_table(results), trace(results), kept(results))),
        unfinished_table(members),
        literature_table(members, results),
    )
    concept = concept_of(results)
    return [table.worded(concept) for table in found if table is not None]


def write_study(url: str, study: str, out: Path) -> dict[str, Any]:
    """Write figures and report of a study, and those of each run in a folder of its own; returns the paths.

    Raises:
        InputError: There is no such study.
        StoreError: The folder cannot be written to, or the database cannot be read.
    """
    with reading(url) as database:
        members = run_query(database, "study", {"study": study}).records()
        failed: dict[str, str] = {}
        for member in members:
            if member["run"] is not None:
                written = write_results(database, member["run"], out / member["family"])
                failed |= {f"{member['family']}/{name}": why for name, why in written.get("not_drawn", {}).items()}
        run = any(member["run"] is not None for member in members)
        found = study_attempted(database, study, FORMS) if run else Attempt([], {})
        paths = [str(path) for path in write_figures(found.figures, out)]
        page = write_whole(out / FILE_NAME, study_html(database, study, found).encode())
    files = {"figures": paths, "report": str(page)}
    failed |= found.failed
    return {**files, "not_drawn": failed} if failed else files


def study_html(source: Source, study: str, figures: Attempt) -> str:
    """The report of a study as HTML text."""
    with reading(source) as database:
        members = _members(database, study)
        run = {"run": study_query(database, study, "run")} if any(each["run"] is not None for each in members) else {}
        tables = study_tables(database, study)
    return (
        environment(concept_of(run))
        .get_template("study.html.j2")
        .render(
            study=study,
            title=members[0]["title"] if members else study,
            members=members,
            warnings=warnings_of(members),
            figures=[inline(number, figure) for number, figure in enumerate(figures.figures)],
            not_drawn=sorted(figures.failed.items()),
            tables=tables,
            file_name=FILE_NAME,
        )
    )
