"""Commands that read weights and run no model: lineage, drift, and a comparison of somebody's neuron list."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provenance.cli.common import (
    DEFAULT_DATABASE,
    AsJson,
    Base,
    Database,
    FamilyName,
    Instruct,
    Quiet,
    Seed,
    Stream,
    about_run,
    drawn_files,
    finishing,
    folder_of,
    named_pair,
    print_result,
)
from provenance.console import ConsoleProgress
from provenance.console_weights import print_lineage, print_weights
from provenance.files import writable_folder

if TYPE_CHECKING:
    from analyses.clock import Clock
    from analyses.opening import OpenPair
    from analyses.weights_job import WeightsJob
    from db.store import Store
    from provenance.neuron_files import NeuronSet

Neurons = Annotated[
    Path | None, typer.Option("--neurons", metavar="FILE", help="Neuron list of INSTRUCT: JSON, or CSV of layer,index.")
]


def lineage(
    base: Base = None,
    instruct: Instruct = None,
    family: FamilyName = None,
    stream: Stream = False,
    db: Database = DEFAULT_DATABASE,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say whether INSTRUCT descends from BASE, by every tensor of both; no model is run."""
    from analyses.weights_job import WeightsJob

    job = WeightsJob("lineage", *named_pair(base, instruct, family), stream=stream, seed=seed)
    summary = run_weights(job, db, quiet=quiet)
    print_result(summary, print_lineage, as_json=as_json)


def drift(
    base: Base = None,
    instruct: Instruct = None,
    family: FamilyName = None,
    neurons: Neurons = None,
    stream: Stream = False,
    db: Database = DEFAULT_DATABASE,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure how far tuning moved every neuron; reads gate, up and down weights and nothing else."""
    from analyses.weights_job import WeightsJob

    job = WeightsJob("drift", *named_pair(base, instruct, family), neurons=neurons, stream=stream, seed=seed)
    summary = run_weights(job, db, quiet=quiet)
    print_result(summary, print_weights, as_json=as_json)


def compare_weights(
    pair: tuple[str, str],
    neurons: Path,
    db: str,
    out: Path | None,
    *,
    figures: bool,
    stream: bool,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """`compare --weights-only`: lineage, mapping, drift, figures and report for a neuron list."""
    from analyses.weights_job import WeightsJob

    folder = folder_of(out, "compare --weights-only")
    if figures:
        writable_folder(folder)
    job = WeightsJob("compare --weights-only", *pair, neurons=neurons, stream=stream, seed=seed)
    summary = run_weights(job, db, quiet=quiet)
    if figures:
        summary |= drawn_files(db, summary["run"], folder)
    print_result(summary, print_weights, as_json=as_json)


def run_weights(job: "WeightsJob", db: str, *, quiet: bool) -> dict[str, Any]:
    """Open, measure, store; the summary as `--json` prints it."""
    from analyses.clock import Clock
    from analyses.job import checkpoint_info, versions
    from db.store import Store

    with ConsoleProgress(quiet=quiet) as progress:
        clock = Clock(progress)
        pair = clock.timed("headers", job.open)
        listed = job.listed(pair)
        infos = (checkpoint_info(pair.base), checkpoint_info(pair.instruct))
        with Store.open(db) as store:
            run = store.begin_run(
                job.command, job.key(pair, listed), *infos, job.settings(pair, listed), job.seed, versions()
            )
            with finishing(store, run, clock):
                summary = _measured(job, pair, listed, clock, store, run)
    streamed = {"bytes_received": pair.bytes_received, "notes": job.notes(pair, listed)}
    return summary | about_run(infos, run, clock, db) | streamed


def _measured(
    job: "WeightsJob", pair: "OpenPair", listed: "NeuronSet | None", clock: "Clock", store: "Store", run: int
) -> dict[str, Any]:
    """The analysis itself, saved."""
    from analyses.summary import summarise_lineage, summarise_weights

    if job.command == "lineage":
        related = job.relate(pair, clock)
        store.save_lineage(run, related)
        return summarise_lineage(related)
    report = job.run(pair, listed, clock)
    store.save_weights_report(run, report)
    return summarise_weights(report)
