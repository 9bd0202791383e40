"""Terminal output of a study: its families with their verdicts, or what each of them takes."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from provenance.cli.options.planned_work import work_of
from provenance.cli.show.run import print_tables, say

if TYPE_CHECKING:
    from provenance.analyses.studies.study_file import Member
    from provenance.plan.machine import Machine


def print_study(summary: Mapping[str, Any], console: Console) -> None:
    """Print the tables of a study."""
    from provenance.figures.report.study import study_tables

    say(f"{summary['study']}: {summary['title']}", console)
    print_tables(study_tables(summary["database"], summary["study"], brief=True), console)


def planned(member: "Member", measured: "Callable[[str, str], Machine]") -> dict[str, Any]:
    """What a member of a study takes, as JSON; `measured` gives the machine for a dtype and a device."""
    from provenance.analyses.jobs.compare_job import Job
    from provenance.plan.job_plan import make_plan

    how = member.job if isinstance(member.job, Job) else member.job.how
    made = make_plan(member.refs, work_of(how), measured(how.dtype, how.device))
    return {"name": member.name, "kind": member.kind, "replicates": how.replicates, **made.as_json()}


def print_plans(summary: Mapping[str, Any], console: Console) -> None:
    """Print a row for each member of a study, the totals, and what stands in the way."""
    table = Table(
        "family", "to fetch", "memory", "compute", "", title=f"Study {summary['study']}", title_justify="left"
    )
    plans = summary["members"]
    for plan in plans:
        expected = plan["estimate"]
        memory = "–" if expected is None else _gigabytes(expected["compare_memory_bytes"])
        hours = "–" if expected is None else _hours(expected["compare_s"])
        table.add_row(escape(plan["name"]), _gigabytes(plan["missing_bytes"]), memory, hours,
                      "stops" if plan["stops"] else "")  # fmt: skip
    known = [plan for plan in plans if plan["estimate"] is not None]
    total = sum(plan["estimate"]["compare_s"] for plan in known)
    table.add_row("together", _gigabytes(sum(plan["missing_bytes"] for plan in plans)), "", _hours(total), "")
    console.print(table)
    for plan in plans:
        for problem in plan["problems"]:
            words = f"{problem['ref']}: " if problem["ref"] else ""
            say(f"{plan['name']}: {words}{problem['found']}; wanted: {problem['wanted']}; {problem['remedy']}", console)
    if known:
        say(f"compute: {known[0]['estimate']['assumptions'][0]}", console)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h"
