"""Commands about neurons: `provenance neurons import` and `export` of sets, and `show` of a single one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from provenance.cli.options.common import DEFAULT_DATABASE, AsJson, Database, RunOption, print_result
from provenance.cli.show.neuron_card import show_card
from provenance.cli.show.run import say
from provenance.defaults import LATEST
from provenance.errors import InputError
from provenance.files import write_whole
from provenance.records import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.analyses.asking.models import OpenCheckpoint
    from provenance.neuron_lists.export import ExportedNeurons
    from provenance.neuron_lists.read_lists import NeuronSet

SCHEMA = 1

File = Annotated[Path, typer.Argument(metavar="FILE", help="Neuron list: JSON, CSV, or a published format.")]
For = Annotated[
    str, typer.Option("--for", metavar="CHECKPOINT", help="org/name[@revision], a folder, or lab/family/stage.")
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Read a pickled scikit-learn classifier; nothing in it is run.")
]
OutFile = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="File for the set.")]
RunWithProbe = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar=f"ID|{LATEST}",
        help="Run to take the neurons of; the newest one with a probe if not given.",
    ),
]
OfStage = Annotated[Stage, typer.Option("--stage", help="Which checkpoint of the run.")]
SetOption = Annotated[
    str | None, typer.Option("--set", metavar="ID|DIGEST", help="An imported set, in place of a run's probe.")
]
Format = Annotated[
    Literal["json", "csv", "transformers"], typer.Option("--format", help="Format; transformers: Python code.")
]
OneNeuron = Annotated[str, typer.Argument(metavar="LAYER:INDEX", help="A neuron of the run's instruct checkpoint.")]


def import_neurons(
    file: File,
    checkpoint: For,
    allow_pickle: AllowPickle = False,
    out: OutFile = None,
    db: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
) -> None:
    """Store a neuron list in the database.

    It is read, and checked against the checkpoint that it is for.
    """
    from provenance.analyses.asking.opening import open_one
    from provenance.db.neuron_sets import add_neuron_set
    from provenance.db.store import Store
    from provenance.neuron_lists.export import as_json as written

    _refuse_what_cannot_be_read(file, allow_pickle=allow_pickle)
    side = open_one(checkpoint)
    found = _read(file, side, allow_pickle=allow_pickle)
    if out is not None:  # before the set is stored: a failed write then leaves nothing behind
        write_whole(out, written(_exported(found, side)).encode())
    with Store.open(db) as store:
        number = add_neuron_set(store, found, side.info)
    summary = _summary(found, side, number, db, out)
    print_result(summary, _show, as_json=as_json)


def export_neurons(
    run: RunWithProbe = None,
    stage: OfStage = "instruct",
    chosen: SetOption = None,
    output: Format = "json",
    out: OutFile = None,
    db: Database = DEFAULT_DATABASE,
) -> None:
    """Write the neurons of a run, or an imported set, for other tools."""
    from provenance.db.neuron_sets import imported_neurons, run_neurons
    from provenance.neuron_lists.export import as_csv, as_json, as_transformers

    if chosen is not None and run is not None:
        raise InputError("--run or --set", found="both", remedy="name one of the two")
    found = run_neurons(db, run, stage) if chosen is None else imported_neurons(db, chosen)
    text = {"json": as_json, "csv": as_csv, "transformers": as_transformers}[output](found)
    if out is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(write_whole(out, text.encode()))
    typer.echo(_words(found), err=True)


def show_neuron(
    neuron: OneNeuron, run: RunOption = None, db: Database = DEFAULT_DATABASE, as_json: AsJson = False
) -> None:
    """Show what is known of one neuron.

    That is its activity and drift, the tokens that it promotes, and the answers that it is most active on.
    """
    from provenance.db.neuron_card import neuron_card
    from provenance.neuron_lists.listed_neurons import neuron_named

    card = neuron_card(db, run, *neuron_named(neuron))
    print_result({"schema": SCHEMA, **card, "database": db}, show_card, as_json=as_json)


def _refuse_what_cannot_be_read(file: Path, *, allow_pickle: bool) -> None:
    """Refuse a pickle before a checkpoint is looked for, with the remedy."""
    from provenance.neuron_lists.pickled_classifier import WARNING, is_pickle, refused_pickle
    from provenance.neuron_lists.read_lists import file_content

    if is_pickle(file_content(file)):
        if not allow_pickle:
            raise refused_pickle(str(file))
        typer.echo(f"warning: {WARNING}", err=True)


def _read(file: Path, side: "OpenCheckpoint", *, allow_pickle: bool) -> "NeuronSet":
    from provenance.neuron_lists.read_lists import read_neurons

    return read_neurons(file, side.layout.layers, side.layout.d_m, allow_pickle=allow_pickle)


def _exported(found: "NeuronSet", side: "OpenCheckpoint") -> "ExportedNeurons":
    from provenance.neuron_lists.export import ExportedNeurons

    origin = f"imported from {found.source} ({found.format}, SHA-256 {found.digest})"
    return ExportedNeurons(side.info, origin, found.layers, found.index, found.weights, found.intercept)


def _words(found: "ExportedNeurons") -> str:
    counts = f"{int(found.positive.sum())} H-Neurons, {int(found.negative.sum())} of negative weight"
    return f"{found.origin}: {counts}, of {found.checkpoint.ref}"


def _summary(found: "NeuronSet", side: "OpenCheckpoint", number: int, db: str, out: Path | None) -> dict[str, Any]:
    import numpy as np  # keeps `--help` quick

    checkpoint, layout = side.checkpoint, side.layout
    mismatch = found.mismatch(checkpoint.pinned, checkpoint.digest)
    counted = {"listed": found.ids, "positive": found.h_ids, "negative": found.negative_ids}
    by_layer = {key: np.bincount(ids // layout.d_m, minlength=layout.layers).tolist() for key, ids in counted.items()}
    return {
        "schema": SCHEMA,
        "checkpoint": {"ref": checkpoint.pinned, "digest": checkpoint.digest},
        "set": number,
        "source": found.source,
        "digest": found.digest,
        "format": found.format,
        "named_checkpoint": found.checkpoint,
        "intercept": found.intercept,
        "neurons": {"total": layout.layers * layout.d_m, **{key: int(ids.size) for key, ids in counted.items()}},
        "by_layer": [
            {"layer": layer, **{key: counts[layer] for key, counts in by_layer.items()}}
            for layer in range(layout.layers)
            if by_layer["listed"][layer]
        ],
        "weighted": found.weights is not None,
        "notes": [*([mismatch] if mismatch else []), *found.notes],
        "file": None if out is None else str(out),
        "database": db,
    }


def _show(summary: "Mapping[str, Any]", console: Console) -> None:
    neurons = summary["neurons"]
    say(f"{summary['source']} ({summary['format']}) for {summary['checkpoint']['ref']}", console)
    signs = f"{neurons['positive']} of positive and {neurons['negative']} of negative weight"
    per_mille = 1000 * neurons["positive"] / neurons["total"]
    say(
        f"{neurons['listed']} neurons: {signs if summary['weighted'] else 'no weights, all count as H-Neurons'} "
        f"({per_mille:.2f} ‰ of {neurons['total']:,} are H-Neurons)",
        console,
    )
    by_layer = ", ".join(f"{each['layer']}: {_signed(each)}" for each in summary["by_layer"])
    say(f"by layer: {by_layer}", console)
    if summary["intercept"] is not None:
        say(f"intercept: {summary['intercept']!r}", console)
    for note in summary["notes"]:
        say(f"note: {note}", console)
    say(f"neuron set {summary['set']} of {summary['database']}", console)
    if summary["file"]:
        say(f"written: {summary['file']}", console)


def _signed(counts: "Mapping[str, int]") -> str:
    return f"{counts['positive']}" + (f" and {counts['negative']} negative" if counts["negative"] else "")
