"""Runs one job from its checkpoints to its summary: open, measure, store, draw, report.

Every command with results uses it: a run begins, is timed and ends here, and finished work survives an error. Results
are stored and printed before anything is drawn.
"""

import gc
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from provenance.cli.options.common import print_json
from provenance.cli.options.folders import run_folder
from provenance.cli.options.surroundings import untouched_matplotlib
from provenance.cli.options.terminal import Terminal
from provenance.cli.show.progress import ConsoleProgress
from provenance.cli.show.run import print_files, print_run
from provenance.defaults import OUT
from provenance.errors import ProvenanceError, StoreError
from provenance.files import writable_folder

if TYPE_CHECKING:
    from provenance.analyses.asking.clock import Clock
    from provenance.analyses.jobs.opened_job import AnyJob, OpenedJob
    from provenance.db.store import Store


def run_and_print(
    job: "AnyJob",
    db: str,
    out: Path | None = None,
    *,
    figures: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool = False,
    captures: Path | None = None,
) -> None:
    """Run a job as `run_job` does, and print its summary on stdout; then draw, and print the paths.

    `out` is the folder for figures and report that the user gave; without one the run has its own.
    """
    gc.freeze()  # what is loaded stays: to search it for garbage takes half a second, each time a model is freed
    summary = run_job(job, db, (out or OUT) if figures else None, quiet=quiet, captures=captures)
    show = partial(print_run, verbose=verbose)
    print_then_draw(summary, show, lambda: results_written(summary, out) if figures else {}, as_json=as_json)


def print_then_draw(
    summary: Mapping[str, Any],
    show: Callable[[Mapping[str, Any], Console], None],
    draw: Callable[[], dict[str, Any]],
    *,
    as_json: bool,
) -> None:
    """Print a summary, then draw, and print the paths that `draw` returns.

    JSON is one object, which holds the paths as well, so it is printed last: but it is, however the drawing ends.
    """
    if not as_json:
        console = Terminal()
        show(summary, console)
        print_files({**summary, **draw()}, console)
        return
    files: dict[str, Any] = {}
    try:
        files = draw()
    finally:
        print_json({**summary, **files})


def run_job(job: "AnyJob", db: str, out: Path | None, *, quiet: bool, captures: Path | None = None) -> dict[str, Any]:
    """Run a job, or resume it; returns the summary as `--json` prints it, without the files of `results_written`.

    `out`, the folder that results will be written below, is tested before the work begins; nothing is drawn.
    `captures` is the folder for captured vectors, beside the database by default.
    """
    from provenance.analyses.summary.report import summary_of
    from provenance.db.store import Store

    untouched_matplotlib()
    with _opened(job, db, captures, quiet=quiet) as (opened, clock):
        if out is not None:
            writable_folder(out)
        with Store.open(db) as store:
            run, report = _worked(store, opened, clock, captures)
        return summary_of(report) | _about_run(opened, run, clock, db) | opened.about()


def results_written(summary: Mapping[str, Any], out: Path | None) -> dict[str, Any]:
    """Draw the figures of a finished run and write its report, by default into a folder of its own; the paths."""
    from provenance.db.reading.run_query import run_query
    from provenance.figures.report.html import write_results  # imports matplotlib, needed only for a folder

    db, run = summary["database"], summary["run"]
    [about] = run_query(db, "run", {"run": run}).records()
    with run_folder(db, about, out) as folder:
        return write_results(db, run, folder)


def settle(job: "AnyJob", db: str, *, quiet: bool, captures: Path | None = None) -> int:
    """Id of a job's run: of one that has finished with the same key, or of the job run or resumed now."""
    return finished_run(db, settled_key(job, db, quiet=quiet, captures=captures))


def settled_key(
    job: "AnyJob", db: str, *, quiet: bool, captures: Path | None = None, elsewhere: Collection[str] = ()
) -> str:
    """Key of a job's run, which has finished by then: here, or with those that have finished `elsewhere`."""
    from provenance.db.store import Store

    with _opened(job, db, captures, quiet=quiet) as (opened, clock):
        if opened.key not in elsewhere:
            with Store.open(db) as store:
                if store.finished(opened.key) is None:
                    _worked(store, opened, clock, captures)
        return opened.key


def finished_run(db: str, key: str) -> int:
    """Id of the finished run with a key.

    Raises:
        StoreError: There is none any more.
    """
    from provenance.db.store import Store

    with Store.open(db) as store:
        found = store.finished(key)
    if found is None:
        raise StoreError(f"the finished run {key[:12]} in {db}", found="none", remedy="give the command again")
    return found


@contextmanager
def _opened(job: "AnyJob", db: str, captures: Path | None, *, quiet: bool) -> "Iterator[tuple[OpenedJob, Clock]]":
    """A job with its checkpoints open, and the clock of its work, which shows progress on stderr."""
    from provenance.analyses.asking.clock import Clock
    from provenance.db.workspace import captures_folder

    with ConsoleProgress(quiet=quiet) as progress:
        clock = Clock(progress)
        with job.opened(clock, captures_folder(db, captures)) as opened:
            yield opened, clock


def _worked(store: "Store", opened: "OpenedJob", clock: "Clock", captures: Path | None) -> tuple[int, object]:
    """Id and report of a job that is run now, with its results stored."""
    from provenance.analyses.asking.clock import ROWS
    from provenance.db.workspace import RunWorkspace
    from provenance.models.devices import enough_memory, lasting_device

    run = _begun(store, opened)
    enough = enough_memory(f"{opened.command} of these checkpoints")
    with _finishing(store, run, clock), enough, lasting_device(opened.dtype):
        report = opened.run(RunWorkspace(store, run, captures), clock)
        datasets = {questions.name: questions.digest for questions in opened.questions}
        clock.timed("saving", lambda: clock.count(store.save(run, report, datasets), ROWS))
    return run, report


def _begun(store: "Store", opened: "OpenedJob") -> int:
    from provenance.analyses.jobs.opened_job import versions
    from provenance.db.store import checkpoint_row

    infos = [side.info for side in opened.sides]
    run = store.begin_run(opened.command, opened.key, infos[0], infos[-1], opened.settings, opened.seed, versions())
    with store.transaction() as connection:
        for info in infos:
            checkpoint_row(connection, info)
    for questions in opened.questions:
        store.add_questions(questions.name, questions.digest, questions.source, questions.questions)
    return run


@contextmanager
def _finishing(store: "Store", run: int, clock: "Clock") -> Iterator[None]:
    """Record how a run ended; finished work stays in the database after an error."""
    from provenance.analyses.asking.clock import peak_memory_bytes

    try:
        yield
    except (ProvenanceError, KeyboardInterrupt):
        with suppress(StoreError):  # a full disk must not hide what went wrong first
            store.finish_run(run, "failed", clock.stages, peak_memory_bytes())
        raise
    store.finish_run(run, "done", clock.stages, peak_memory_bytes())


def _about_run(opened: "OpenedJob", run: int, clock: "Clock", db: str) -> dict[str, Any]:
    """Common JSON of every command about its run: base and instruct checkpoint, times, memory, database."""
    from provenance.analyses.asking.clock import peak_memory_bytes

    base, instruct = opened.sides[0].info, opened.sides[-1].info
    return {
        "base": {"ref": base.ref, "digest": base.digest},
        "instruct": {"ref": instruct.ref, "digest": instruct.digest},
        "run": run,
        "stages": [asdict(stage) for stage in clock.stages],
        "peak_memory_bytes": peak_memory_bytes(),
        "database": db,
    }
