"""Terminal output of a study: its families with their verdicts, or what each of them takes."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from provenance.cli.options.planned_work import works_of, works_of_timeline
from provenance.cli.show.run import say
from provenance.cli.show.tables import print_tables
from provenance.errors import ProvenanceError

if TYPE_CHECKING:
    from provenance.analyses.studies.study_file import Member
    from provenance.plan.machine import Machine


def print_study(summary: Mapping[str, Any], console: Console) -> None:
    """Print the tables of a study."""
    from provenance.figures.report.study import study_tables
    from provenance.figures.wording.run_words import warnings_of

    say(f"{summary['study']}: {summary['title']}", console)
    for words in warnings_of(summary["members"]):
        say(words, console)
    print_tables(study_tables(summary["database"], summary["study"], brief=True), console)


def planned(member: "Member", measured: "Callable[[str, str], Machine]") -> dict[str, Any]:
    """What a member of a study takes, as JSON; `measured` gives the machine for a dtype and a device.

    A member whose questions cannot be read has the error in place of a plan.
    """
    from provenance.analyses.jobs.compare_job import Job
    from provenance.analyses.studies.study_file import how_of
    from provenance.plan.job_plan import make_plan

    job, how = member.job, how_of(member.job)
    named = {"name": member.name, "kind": member.kind, "replicates": how.replicates}
    try:
        works = works_of(job) if isinstance(job, Job) else works_of_timeline(job)
        made = make_plan(works, measured(how.dtype, how.device))
    except ProvenanceError as error:
        return {**named, "error": {"wanted": error.wanted, "found": error.found, "remedy": error.remedy}}
    return {**named, **made.as_json()}


def print_plans(summary: Mapping[str, Any], console: Console) -> None:
    """Print a row for each member of a study, the totals, what stands in the way, and what cannot be planned."""
    from provenance.plan.gpus import ASSUMED

    table = Table(
        "family", "to fetch", "memory", "compute", "", title=f"Study {summary['study']}", title_justify="left"
    )
    members = summary["members"]
    plans = [member for member in members if "error" not in member]
    for member in members:
        table.add_row(escape(member["name"]), *_cells(member))
    known = [plan for plan in plans if plan["estimate"] is not None]
    hours = _hours(sum(plan["estimate"]["compare_s"] for plan in known)) if known else "–"
    table.add_row("together", _gigabytes(sum(plan["missing_bytes"] for plan in plans)), "", hours, "")
    console.print(table)
    if known:
        console.print(_elsewhere(known))
    for plan in plans:
        for problem in plan["problems"]:
            words = f"{problem['ref']}: " if problem["ref"] else ""
            say(f"{plan['name']}: {words}{problem['found']}; wanted: {problem['wanted']}; {problem['remedy']}", console)
    if known:
        say(f"compute: {known[0]['estimate']['assumptions'][0]}", console)
        say(ASSUMED, console)
    for member in members:
        if error := member.get("error"):
            say(f"{member['name']} cannot be planned: {error['found']}; wanted: {error['wanted']}; {error['remedy']}",
                console)  # fmt: skip


def _elsewhere(plans: Sequence[Mapping[str, Any]]) -> Table:
    """Number of GPUs and hours of each family on GPUs that are not here."""
    table = Table(Column("on GPUs", no_wrap=True), *(there["gpu"] for there in plans[0]["elsewhere"]))
    for plan in plans:
        cells = (f"{there['count']} ×, {_hours(there['compare_s'])}" for there in plan["elsewhere"])
        table.add_row(escape(plan["name"]), *cells)
    totals = zip(*([there["compare_s"] for there in plan["elsewhere"]] for plan in plans), strict=True)
    table.add_row("together", *(_hours(sum(seconds)) for seconds in totals))
    return table


def _cells(member: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Bytes to fetch, memory, time, and whether something stops a member."""
    if "error" in member:
        return "–", "–", "–", "not planned"
    expected = member["estimate"]
    memory = "–" if expected is None else _gigabytes(expected["compare_memory_bytes"])
    hours = "–" if expected is None else _hours(expected["compare_s"])
    return _gigabytes(member["missing_bytes"]), memory, hours, "stops" if member["stops"] else ""


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h"
