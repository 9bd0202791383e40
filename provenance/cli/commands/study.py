"""The command `provenance study`: many families in one file, one set of figures and one report over all of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from provenance.cli.options.common import (
    DEFAULT_DATABASE,
    FAILED,
    STOPPED,
    AsJson,
    Captures,
    Database,
    NoFigures,
    Out,
    Quiet,
    print_result,
)
from provenance.cli.options.run_options import BaseUrl, RayAddress, RayWorkers
from provenance.cli.options.surroundings import untouched_matplotlib
from provenance.cli.run_job import print_then_draw, settle
from provenance.defaults import OUT
from provenance.errors import InputError, LostDeviceError, ProvenanceError
from provenance.files import writable_folder

if TYPE_CHECKING:
    from provenance.analyses.jobs.compare_job import Job
    from provenance.analyses.studies.study_file import Member, Study
    from provenance.analyses.timeline.timeline_job import TimelineJob

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
Engine = Annotated[
    Literal["transformers", "vllm", "openai", "ray"] | None,
    typer.Option(
        "--engine",
        show_default="as the study file says",
        help="What samples answers of every family, as for compare. With ray whole families go to the workers of a "
        "cluster, one each.",
    ),
]
OneByOne = Annotated[
    bool,
    typer.Option(
        "--one-by-one", help="With --engine ray: one family after the other, each shared by all workers, as by compare."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show what every family takes; exit code 2 if one cannot run.")
]


def study(
    study: StudyName,
    db: Database = DEFAULT_DATABASE,
    captures: Captures = None,
    out: Out = None,
    only: Only = None,
    runs: Runs = None,
    continue_on_error: ContinueOnError = False,
    engine: Engine = None,
    base_url: BaseUrl = None,
    ray_address: RayAddress = None,
    ray_workers: RayWorkers = None,
    one_by_one: OneByOne = False,
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
    asked = {"engine": engine, "base_url": base_url, "ray_address": ray_address, "ray_workers": ray_workers}
    if one_by_one and engine != "ray":
        raise InputError(
            "--engine ray with --one-by-one", found="--one-by-one alone", remedy="give both, or leave it out"
        )
    failed: list[str] = []
    if runs:
        _check_put_together(study, {"only": only, **asked, "dry_run": dry_run or None})
        _put_together(study, runs, db)
    else:
        found = load_study(study)
        study, members = found.name, found.only(only or ())
        jobs = _placed(members, {name: value for name, value in asked.items() if value is not None})
        if dry_run:
            _plan(found, members, as_json=as_json)
            return
        how: dict[str, Any] = {"quiet": quiet, "captures": captures}
        with _settled(jobs, db, how, asked, whole=not one_by_one) as settled:
            failed = _run(found, members, settled, db, quiet=quiet, continue_on_error=continue_on_error)
    folder = None if no_figures else out or OUT / f"study-{study}"
    print_then_draw(_summary(study, db), print_study, lambda: _written(study, db, folder), as_json=as_json)
    if failed:
        raise typer.Exit(FAILED)


def _check_put_together(name: str, beside: Mapping[str, object]) -> None:
    """Refuse what has no meaning with --run: a name that is no new one, and the options that are given beside it."""
    from provenance.analyses.studies.study_file import NAME

    if not NAME.fullmatch(name):
        raise InputError("a name of letters, digits, points and dashes", found=repr(name), remedy="take another")
    found = [f"--{option.replace('_', '-')}" for option, value in beside.items() if value is not None]
    if Path(name).expanduser().is_file():
        found.append("a study file")
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


def _placed(members: "Sequence[Member]", asked: Mapping[str, Any]) -> "list[Job | TimelineJob]":
    """The jobs of members, with their models where the options say; what these contradict is an InputError."""
    from provenance.analyses.studies.study_file import changed, how_of

    given = {**asked, **({"base_url": tuple(asked["base_url"])} if "base_url" in asked else {})}
    if not given:
        return [member.job for member in members]
    jobs = [changed(member.job, **given) for member in members]
    for job in jobs:
        how_of(job).place()
    return jobs


@contextmanager
def _settled(
    jobs: "Sequence[Job | TimelineJob]", db: str, how: Mapping[str, Any], asked: Mapping[str, Any], *, whole: bool
) -> "Iterator[Iterator[int | ProvenanceError]]":
    """The run of each job as `settle` gives it, or why it has none, when it is asked for.

    With --engine ray the cluster is there for all of them, and several whole families are under way at the same time.
    """
    if asked["engine"] != "ray":
        yield _one_by_one(jobs, db, how)
        return
    from provenance.cli.family_workers import settled_in_workers
    from provenance.cluster.connection import ClusterAddress, connected

    with connected(ClusterAddress(asked["ray_address"], asked["ray_workers"])) as cluster:
        if whole and len(jobs) > 1:
            with closing(settled_in_workers(jobs, cluster, db, how["captures"])) as settled:
                yield settled
        else:
            yield _one_by_one(jobs, db, how)


def _one_by_one(
    jobs: "Sequence[Job | TimelineJob]", db: str, how: Mapping[str, Any]
) -> "Iterator[int | ProvenanceError]":
    """The run of each job or why it has none, up to a GPU that is lost: this process cannot use it any more."""
    for job in jobs:
        try:
            yield settle(job, db, **how)
        except LostDeviceError as error:
            yield error  # to be noted as the family's end
            raise
        except ProvenanceError as error:
            yield error


def _run(
    found: "Study",
    members: "Sequence[Member]",
    settled: "Iterator[int | ProvenanceError]",
    db: str,
    *,
    quiet: bool,
    continue_on_error: bool,
) -> list[str]:
    """Records how every member ended, as it is `settled`; returns the names of those that failed."""
    from provenance.db.store import Store
    from provenance.db.studies import record_run

    console = Console(stderr=True, quiet=quiet)
    _keep(found, db, console)
    failed: list[str] = []
    for number, member in enumerate(members, 1):
        console.print(f"{member.name} ({number} of {len(members)})", highlight=False, markup=False)
        ended = next(settled)
        reason = f"{ended.found}; wanted: {ended.wanted}" if isinstance(ended, ProvenanceError) else ""
        with Store.open(db) as store:
            record_run(store, found.name, member.name, None if isinstance(ended, ProvenanceError) else ended, reason)
        if isinstance(ended, ProvenanceError):
            if not continue_on_error:
                raise ended
            failed.append(member.name)
            console.print(f"  failed: {reason}; {ended.remedy}", highlight=False, markup=False)
    return failed


def _keep(found: "Study", db: str, console: Console) -> None:
    """Store the study as its file has it now, and say what changed."""
    from provenance.analyses.studies.study_file import what_changed
    from provenance.db.store import Store
    from provenance.db.studies import Membership, keep_study, kept_text

    everyone = [Membership(each.kind, each.name, each.refs[0], each.refs[-1], each.digest) for each in found.members]
    with Store.open(db) as store:
        before = kept_text(store, found.name)
        changed = keep_study(store, found.name, found.title, found.text, found.digest, everyone)
    if changed:
        said = (f"{name} ({what})" for name, what in what_changed(before, found, changed).items())
        words = f"no longer in the study as they were: {', '.join(said)}"
        console.print(words, highlight=False, markup=False, soft_wrap=True)


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
    if any("error" in plan or plan["stops"] for plan in plans):
        raise typer.Exit(STOPPED)
