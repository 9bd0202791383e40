"""Commands that read weights and run no model: lineage, drift, and a comparison for a given neuron list."""

from pathlib import Path
from typing import Annotated

import typer

from provenance.cli.options.common import (
    DEFAULT_DATABASE,
    AsJson,
    Base,
    Database,
    FamilyName,
    Instruct,
    Quiet,
    Seed,
    Stream,
    Verbose,
    named_pair,
)
from provenance.cli.run_job import run_and_print

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
    verbose: Verbose = False,
) -> None:
    """Test whether INSTRUCT descends from BASE, by their weights.

    All tensors of both are read, and no model is run.
    """
    from provenance.analyses.jobs.weights_job import WeightsJob

    job = WeightsJob("lineage", *named_pair(base, instruct, family), stream=stream, seed=seed)
    run_and_print(job, db, figures=False, verbose=verbose, as_json=as_json, quiet=quiet)


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
    verbose: Verbose = False,
) -> None:
    """Measure how far tuning moved every neuron.

    Only gate, up and down weights are read, and no model is run.
    """
    from provenance.analyses.jobs.weights_job import WeightsJob

    job = WeightsJob("drift", *named_pair(base, instruct, family), neurons=neurons, stream=stream, seed=seed)
    run_and_print(job, db, figures=False, verbose=verbose, as_json=as_json, quiet=quiet)


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
    verbose: bool,
) -> None:
    """`compare --weights-only`: lineage, mapping, drift, figures and report for a neuron list."""
    from provenance.analyses.jobs.weights_job import WeightsJob

    job = WeightsJob("compare --weights-only", *pair, neurons=neurons, stream=stream, seed=seed)
    run_and_print(job, db, out, figures=figures, verbose=verbose, as_json=as_json, quiet=quiet)
