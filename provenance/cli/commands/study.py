"""The command `provenance study`: many families in one file, one set of figures and one report over all of them."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from provenance.cli.options.common import (
    DEFAULT_DATABASE,
    AsJson,
    Captures,
    Database,
    NoFigures,
    Out,
    Quiet,
    print_result,
)
from provenance.cli.options.surroundings import untouched_matplotlib
from provenance.cli.run_job import print_then_draw, settle
from provenance.defaults import OUT
from provenance.errors import InputError, ProvenanceError
from provenance.files import writable_folder

if TYPE_CHECKING:
    from provenance.analyses.studies.study_file import Member, Study

FAILED = 1

StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="A study file (TOML), or a shipped study: lab, small, paper, olmo2-1b, pythia-1b."
    ),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="FAMILY", help="Run this member only; repeat it for several.")
]
Runs = Annotated[
    list[int] | None,
    typer.Option(
        "--run",
        metavar="ID",
        help="Put the study together from this finished run of the database, under the name STUDY; repeat it.",
    ),
]
ContinueOnError = Annotated[
    bool,
    typer.Option("--continue-on-error", help="Go on after a family that fails; it is named, and the exit code is 1."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show what every family takes; exit code 1 if one cannot be planned.")
]


def study(
    study: StudyName,
    db: Database = DEFAULT_DATABASE,
    captures: Captures = None,
    out: Out = None,
    only: Only = None,
    runs: Runs = None,
    continue_on_error: ContinueOnError = False,
    dry_run: DryRun = False,
    no_figures: NoFigures = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare many families; tables and figures over all of them.

    Among these are the paper's Table 1 and Figures 3, 4a and 4b. Finished runs with the same content and settings are
    taken as they are. Exit code 1 if a family failed.
    """
    from provenance.analyses.studies.study_file import load_study
    from provenance.cli.show.study import print_study

    if not no_figures and out is not None and not dry_run:
        writable_folder(out)
    failed: list[str] = []
    if runs:
        _check_put_together(study, only, dry_run=dry_run)
        _put_together(study, runs, db)
    else:
        found = load_study(study)
        study, members = found.name, found.only(only or ())
        if dry_run:
            _plan(found, members, as_json=as_json)
            return
        how: dict[str, Any] = {"quiet": quiet, "captures": captures}
        failed = _run(found, members, db, how, continue_on_error=continue_on_error)
    folder = None if no_figures else out or OUT / f"study-{study}"
    print_then_draw(_summary(study, db), print_study, lambda: _written(study, db, folder), as_json=as_json)
    if failed:
        raise typer.Exit(FAILED)


def _check_put_together(name: str, only: Sequence[str] | None, *, dry_run: bool) -> None:
    from provenance.analyses.studies.study_file import NAME

    if not NAME.fullmatch(name):
        raise InputError("a name of letters, digits, points and dashes", found=repr(name), remedy="take another")
    beside = {"--only": bool(only), "--dry-run": dry_run, "a study file": Path(name).expanduser().is_file()}
    found = [option for option, given in beside.items() if given]
    if found:
        raise InputError(
            "a new name and --run IDs, to put a study together from runs",
            found=f"--run and {found[0]}",
            remedy="leave one out",
        )


def _put_together(name: str, runs: Sequence[int], db: str) -> None:
    from provenance.db.store import Store
    from provenance.db.studies import study_of_runs

    with Store.open(db) as store:
        study_of_runs(store, name, name, runs)


def _run(
    found: "Study", members: "Sequence[Member]", db: str, how: Mapping[str, Any], *, continue_on_error: bool
) -> list[str]:
    """Runs every member as `settle` does, and records how each ended; returns the names of those that failed."""
    from provenance.analyses.studies.study_file import what_changed
    from provenance.db.store import Store
    from provenance.db.studies import Membership, keep_study, kept_text, record_run

    everyone = [Membership(each.kind, each.name, each.refs[0], each.refs[-1], each.digest) for each in found.members]
    with Store.open(db) as store:
        before = kept_text(store, found.name)
        changed = keep_study(store, found.name, found.title, found.text, found.digest, everyone)
    console = Console(stderr=True, quiet=how["quiet"])
    if changed:
        said = (f"{name} ({what})" for name, what in what_changed(before, found, changed).items())
        words = f"no longer in the study as they were: {', '.join(said)}"
        console.print(words, highlight=False, markup=False, soft_wrap=True)
    failed: list[str] = []
    for number, member in enumerate(members, 1):
        console.print(f"{member.name} ({number} of {len(members)})", highlight=False, markup=False)
        run, reason = None, ""
        try:
            run = settle(member.job, db, **how)
        except ProvenanceError as error:
            reason = f"{error.found}; wanted: {error.wanted}"
            if not continue_on_error:
                raise
            failed.append(member.name)
            console.print(f"  failed: {reason}; {error.remedy}", highlight=False, markup=False)
        finally:
            if run is not None or reason:
                with Store.open(db) as store:
                    record_run(store, found.name, member.name, run, reason)
    return failed


def _summary(name: str, db: str) -> dict[str, Any]:
    """What the database says of the study."""
    from provenance.figures.report.study import study_summary

    return {"schema": 1, **study_summary(db, name), "database": db}


def _written(name: str, db: str, out: Path | None) -> dict[str, Any]:
    """Paths of the figures and reports of a study; nothing without a folder."""
    if out is None:
        return {}
    untouched_matplotlib()
    from provenance.figures.report.study import write_study

    return write_study(db, name, out)


def _plan(found: "Study", members: "Sequence[Member]", *, as_json: bool) -> None:
    from provenance.cli.show.study import planned, print_plans
    from provenance.plan.machine import measure

    measured = cache(measure)  # takes seconds, and members have mostly one dtype and device
    plans = [planned(each, measured) for each in members]
    print_result({"schema": 1, "study": found.name, "members": plans}, print_plans, as_json=as_json)
    if any("error" in plan for plan in plans):
        raise typer.Exit(FAILED)
