"""Commands around the hub: known checkpoints, requirements of a comparison, downloads.

`plan` and `pull --dry-run` list all obstacles, and end with exit code 2 if one stops the job.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from provenance.cells import duration
from provenance.cli.options.common import STOPPED, AsJson, Base, FamilyName, Instruct, named_pair
from provenance.cli.options.planned_work import works_of
from provenance.cli.options.run_options import Device, Dtype
from provenance.cli.options.terminal import Terminal
from provenance.defaults import AUTO, PER_CLASS
from provenance.errors import InputError

if TYPE_CHECKING:
    from provenance.plan.checkpoint_plan import Obstacle, SidePlan
    from provenance.plan.estimates import JobEstimate
    from provenance.plan.job_plan import Plan
    from provenance.plan.workload import Workload

GATES = {"none": "open to all", "open": "gated, access granted", "closed": "gated, closed", "unknown": "–"}


def families(as_json: AsJson = False) -> None:
    """List the known families of checkpoints, for `--family`."""
    from provenance.checkpoints.known_families import known_families

    if as_json:
        listed = [asdict(each) | {"stages": _written(each.stages)} for each in known_families().values()]
        typer.echo(json.dumps({"schema": 1, "families": listed}, ensure_ascii=False, indent=2))
        return
    for each in known_families().values():
        gate = "" if each.gate == "none" else f"; gated: {each.gate}"
        typer.echo(f"{each.name}  ({each.licence}{gate}; {each.source})")
        for stage, ref in _written(each.stages).items():
            typer.echo(f"  {stage:<14}{ref}")


def _written(stages: Mapping[str, object]) -> dict[str, str]:
    return {name: str(ref) for name, ref in stages.items()}


def plan(
    base: Base = None,
    instruct: Instruct = None,
    family: FamilyName = None,
    sets: Annotated[
        int, typer.Option("--sets", min=1, help="Number of test question sets; lab families bring their own.")
    ] = 1,
    train_per_class: Annotated[int, typer.Option(min=1, help="As for `compare`.")] = PER_CLASS,
    test_per_class: Annotated[int, typer.Option(min=1, help="As for `compare`.")] = PER_CLASS,
    device: Device = AUTO,
    dtype: Dtype = AUTO,
    as_json: AsJson = False,
) -> None:
    """Show what a comparison takes, and what is in its way.

    Nothing is fetched. Exit code 2: it cannot run. `compare --dry-run` does so for the very job, with its questions,
    limits, samples and draws.
    """
    from provenance.analyses.jobs.compare_job import Job

    pair = named_pair(base, instruct, family)
    job = Job(*pair, train_per_class=train_per_class, test_per_class=test_per_class)
    show_plan("compare", works_of(job, unknown_sets=sets), dtype, device, as_json=as_json, weights=True)


def pull(
    refs: Annotated[list[str] | None, typer.Argument(metavar="REF...", help="Checkpoints to fetch.")] = None,
    family: FamilyName = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the files to fetch; exit code 2 if one cannot be fetched.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the needed files of checkpoints into the hub's cache.

    They are pinned to a commit, and their digests verified. Resumes.
    """
    from provenance.hub.pull import pull as fetch
    from provenance.plan.workload import Workload

    named = _named(refs or [], family)
    if dry_run:
        show_plan("compare", dict.fromkeys(named, Workload()), AUTO, AUTO, as_json=as_json, compared=False)
        return
    pulled = fetch(named)
    if as_json:
        typer.echo(json.dumps({"schema": 1, "pulled": [asdict(each) for each in pulled]}, indent=2))
        return
    for each in pulled:
        typer.echo(each.pinned)
        typer.echo(f"  {each.folder}: {_size(each.fetched_bytes)} fetched", err=True)


def _named(refs: Sequence[str], family: str | None) -> Sequence[str]:
    """The references of a command, written or a family's; InputError for neither, both, or an unknown one."""
    from provenance.checkpoints.known_families import pair_of

    if bool(refs) == (family is not None):
        found = f"{' '.join(refs)} and --family {family}" if refs else "neither"
        raise InputError("checkpoints to fetch, or --family NAME", found=found, remedy="give one of the two")
    return refs if family is None else pair_of(family)


def show_plan(
    job: str,
    works: "Mapping[str, Workload]",
    dtype: str,
    device: str,
    *,
    as_json: bool,
    compared: bool = True,
    weights: bool = False,
) -> None:
    """Plan a job and print the plan; see `make_plan`. Exit code 2 if an obstacle stops it.

    With `weights` drift and lineage alone are estimated beside it.
    """
    from provenance.plan.job_plan import make_plan
    from provenance.plan.machine import measure

    made = make_plan(works, measure(dtype, device), compared=compared)
    if as_json:
        typer.echo(json.dumps(made.as_json(), ensure_ascii=False, indent=2))
    else:
        console = Terminal()
        for part in _parts(job, made, weights=weights):
            console.print(part, highlight=False)
    if made.stops:
        raise typer.Exit(STOPPED)


def _parts(job: str, made: "Plan", *, weights: bool) -> Iterator[Table | str]:
    yield _sides(made)
    disk = f"{_size(made.missing_bytes)} to fetch, {_size(made.free_bytes)} free in {made.cache}"
    yield escape(f"{disk}; {'with a token' if made.has_token else 'no HF_TOKEN'}")
    if made.estimate is not None:
        yield _estimate(made, job, made.estimate, weights=weights)
        stages = (f"{stage} {duration(taken)}" for stage, taken in made.estimate.stage_s.items() if taken)
        yield f"by stage: {', '.join(stages)}"
        if made.outgrows_machine:
            yield _elsewhere(made)
        yield "assuming"
        yield _listed(made.assumptions)
    yield from (escape(_problem(problem)) for problem in made.problems)
    yield "this job cannot run as it is" if made.stops else _way(len(made.problems))


def _way(notes: int) -> str:
    return "nothing is in the way" if not notes else f"nothing stops this job; {notes} to note, above"


def _sides(made: "Plan") -> Table:
    table = Table("", *(Column(escape(side.ref), overflow="fold") for side in made.sides), box=SIMPLE_HEAD)
    rows = {
        "pinned": [side.pinned or "–" for side in made.sides],
        "access": [_access(side) for side in made.sides],
        "licence": [side.licence or "–" for side in made.sides],
        "files": [f"{len(side.files)}, {_size(side.bytes)}" for side in made.sides],
        "to fetch": [_size(side.missing_bytes) for side in made.sides],
        "drift reads": [_size(side.size.drift_bytes) if side.size else "–" for side in made.sides],
        "lineage reads": [_size(side.size.lineage_bytes) if side.size else "–" for side in made.sides],
        "parameters": [f"{side.size.parameters:,}" if side.size else "–" for side in made.sides],
        "neurons": [f"{side.size.neurons:,}" if side.size else "–" for side in made.sides],
    }
    if all(side.pinned == side.ref for side in made.sides):
        del rows["pinned"]
    for name, cells in rows.items():
        table.add_row(name, *(escape(cell) for cell in cells))
    return table


def _access(side: "SidePlan") -> str:
    return GATES[side.gate] if side.page or side.pinned is None else "on this machine"


def _listed(lines: Sequence[str]) -> Table:
    """Sentences one below the other, which stay apart from one another where they are wrapped."""
    table = Table.grid(padding=(0, 1))
    for line in lines:
        table.add_row(" ·", escape(line))
    return table


def _estimate(made: "Plan", job: str, expected: "JobEstimate", *, weights: bool) -> Table:
    """What the job takes, after drift and lineage alone: streamed, where a checkpoint is on the hub, and from files."""
    title = f"estimate; {_size(made.machine.available_bytes)} of memory available"
    table = Table("job", "memory", "fetch", "compute", title=title, title_justify="left", box=SIMPLE_HEAD)
    memory, is_remote = _size(expected.weights_memory_bytes), any(side.is_remote for side in made.sides)
    for name, streamed, compute in (
        ("drift", expected.drift_stream_s, expected.drift_s),
        ("lineage", expected.lineage_stream_s, expected.lineage_s),
    ) * weights:
        if is_remote:
            table.add_row(f"{name} --stream", memory, duration(streamed), duration(compute))
        table.add_row(f"{name} after pull" if is_remote else name, memory, duration(expected.pull_s), duration(compute))
    compare = _size(expected.compare_memory_bytes)
    table.add_row(job, compare, duration(expected.pull_s), duration(expected.compare_s))
    return table


def _elsewhere(made: "Plan") -> Table:
    """What the job takes on GPUs that are not here."""
    stages = [stage for stage, taken in made.elsewhere[0].stage_s.items() if taken]
    table = Table("elsewhere", *stages, "compute", box=SIMPLE_HEAD)
    for there in made.elsewhere:
        taken = (*(there.stage_s[stage] for stage in stages), there.compare_s)
        table.add_row(f"{there.count} × {there.gpu}", *map(duration, taken))
    return table


def _problem(problem: "Obstacle") -> str:
    title = ("stops the job" if problem.stops else "note") + (f", {problem.ref}" if problem.ref else "")
    return f"{title}\n  wanted: {problem.wanted}\n  found: {problem.found}\n  remedy: {problem.remedy}"


def _size(count: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count} bytes"
