"""Options, exit codes and printing that all commands share.

Errors become exit codes only here: 0 done, 1 the job failed, 2 bad usage or input, or a
plan that cannot be carried out.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from provenance.cli.options.surroundings import settle_streams, takes_unicode
from provenance.cli.options.terminal import Terminal
from provenance.defaults import DATABASE, LARGEST_SEED, LATEST, OUT
from provenance.errors import InputError, ProvenanceError
from provenance.version import VERSION

DEFAULT_DATABASE = DATABASE
FAILED, STOPPED = 1, 2
INTERRUPTED = 130  # what shells use for an interrupt

Base = Annotated[str | None, typer.Argument(metavar="BASE", help="org/name[@revision], a folder, or lab/family/stage.")]
Instruct = Annotated[
    str | None,
    typer.Argument(
        metavar="INSTRUCT", help="The checkpoint tuned from BASE, or (by weights alone) a LoRA adapter on it."
    ),
]
Database = Annotated[str, typer.Option("--db", metavar="URL", help="SQLAlchemy URL of the neuron database.")]
Captures = Annotated[
    Path | None,
    typer.Option(
        "--captures",
        metavar="DIR",
        show_default="beside the database",
        help="Folder for captured vectors, which are large; those that are kept elsewhere are found there.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        show_default=f"a folder for each run in {OUT}",
        help="Folder for figures and report.",
    ),
]
NoFigures = Annotated[
    bool, typer.Option("--no-figures", help="Write no figures and no report; `figures` and `report` write them later.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what this job takes, as `plan` does.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="All result tables: baselines, 2 × 2, funnel, every condition by code.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Replicates = Annotated[
    int,
    typer.Option(
        min=1,
        max=99,
        metavar="N",
        help="Draw answers, splits and samples N times, with seeds from --seed on, and give one result over all of "
        "them. Takes N times as long.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", min=0, max=LARGEST_SEED, metavar="N", help="Seed of splits, orders, samples, nulls and bootstraps."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Stream = Annotated[
    bool, typer.Option("--stream", help="Read checkpoints of the hub by range requests, and keep no file.")
]
FamilyName = Annotated[
    str | None,
    typer.Option(
        "--family", metavar="NAME[:STAGE]", help="A known pair, or another stage of it, instead of BASE and INSTRUCT."
    ),
]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar=f"ID|{LATEST}",
        help=f"Run to show; the newest comparison if not given. {LATEST}: the newest run of any kind but a control.",
    ),
]
StudyOption = Annotated[
    str | None, typer.Option("--study", metavar="NAME", help="A study, over all its runs, instead of one run.")
]


def one_of(run: str | None, study: str | None) -> None:
    """Refuse a run and a study at once.

    Raises:
        InputError: Both are given.
    """
    if run is not None and study is not None:
        raise InputError("--run ID or --study NAME", found="both", remedy="leave one out")


class Reporting(TyperGroup):
    """Turns the toolkit's errors into one message and an exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Parse and run a command line."""
        settle_streams()
        return super().main(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except ProvenanceError as error:
            if ctx.params.get("debug"):
                raise
            Console(stderr=True).print("error", style="bold red", end="")  # which knows NO_COLOR
            said = {"wanted": error.wanted, "found": error.found, "remedy": error.remedy}
            typer.echo("".join(f"\n  {name}: {' '.join(text.split())}" for name, text in said.items()), err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interrupt:
            typer.echo("interrupted; the same command goes on where this one stopped", err=True)
            raise typer.Exit(INTERRUPTED) from interrupt


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"provenance {VERSION}")
        raise typer.Exit
    return wanted


def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""


def print_result(
    summary: Mapping[str, Any], show: Callable[[Mapping[str, Any], Console], None], *, as_json: bool
) -> None:
    """Print a result on stdout, as one JSON object or as tables."""
    if as_json:
        print_json(summary)
    else:
        show(summary, Terminal())


def print_json(summary: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(summary, ensure_ascii=not takes_unicode(), indent=2))


def named_pair(base: str | None, instruct: str | None, family: str | None) -> tuple[str, str]:
    """The two checkpoints of a command: those written, or a family's.

    Raises:
        InputError: One is missing, both ways are used, or there is no such family.
    """
    written = " ".join(ref for ref in (base, instruct) if ref is not None)
    if family is not None and not written:
        from provenance.checkpoints.known_families import pair_of

        return pair_of(family)
    if family is not None or base is None or instruct is None:
        found = written or "neither"
        raise InputError(
            "BASE and INSTRUCT, or --family NAME",
            found=f"{found} and --family {family}" if family else found,
            remedy="name two checkpoints (base first), or one family of `provenance families`",
        )
    return base, instruct
