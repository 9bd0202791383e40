"""Commands that read weights and run no model: lineage, drift, and a comparison of somebody's neuron list."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from provenance.cli.common import (
    DEFAULT_DATABASE,
    AsJson,
    Database,
    FamilyName,
    Quiet,
    Seed,
    Stream,
    named_pair,
    peak_memory_bytes,
)
from provenance.console import ConsoleProgress
from provenance.console_weights import print_lineage, print_weights
from provenance.errors import ProvenanceError, StoreError
from provenance.files import writable_folder

if TYPE_CHECKING:
    from analyses.clock import Clock
    from analyses.opening import OpenPair
    from analyses.weights_job import WeightsJob
    from db.store import Store
    from provenance.neuron_files import NeuronSet

Base = Annotated[str | None, typer.Argument(metavar="BASE", help="org/name[@revision], a folder, or lab/family/stage.")]
Instruct = Annotated[
    str | None,
    typer.Argument(
        metavar="INSTRUCT", help="The checkpoint tuned from BASE, or (by weights alone) a LoRA adapter on it."
    ),
]
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
    _print(summary, print_lineage, as_json=as_json)


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
    _print(summary, print_weights, as_json=as_json)


def compare_weights(
    pair: tuple[str, str], neurons: Path, db: str, out: Path, *, stream: bool, seed: int, as_json: bool, quiet: bool
) -> None:
    """`compare --weights-only`: lineage, mapping, drift, figures and report for a neuron list."""
    from analyses.weights_job import WeightsJob
    from figures.gallery import draw
    from figures.report import write_report

    writable_folder(out)
    job = WeightsJob("compare --weights-only", *pair, neurons=neurons, stream=stream, seed=seed)
    summary = run_weights(job, db, quiet=quiet)
    drawn = draw(db, summary["run"], out)
    summary |= {
        "figures": [str(path) for path in drawn],
        "report": str(write_report(db, summary["run"], out)),
    }
    _print(summary, print_weights, as_json=as_json)


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
            try:
                summary = _measured(job, pair, listed, clock, store, run)
            except (ProvenanceError, KeyboardInterrupt):
                with suppress(StoreError):  # a full disk must not hide what went wrong first
                    store.finish_run(run, "failed", clock.durations_ms, peak_memory_bytes())
                raise
            store.finish_run(run, "done", clock.durations_ms, peak_memory_bytes())
    return summary | {
        "base": {"ref": infos[0].ref, "digest": infos[0].digest},
        "instruct": {"ref": infos[1].ref, "digest": infos[1].digest},
        "run": run,
        "bytes_received": pair.bytes_received,
        "notes": job.notes(pair, listed),
        "durations_ms": clock.durations_ms,
        "peak_memory_bytes": peak_memory_bytes(),
        "database": db,
    }


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


def _print(summary: dict[str, Any], show: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        show(summary, Console())
