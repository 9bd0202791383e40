"""Commands of the miniature families."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from provenance.cli.options.common import Quiet


def build(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the families.")],
    family: Annotated[list[str] | None, typer.Option("--family", help="Only this family; repeatable.")] = None,
    quiet: Quiet = False,
) -> None:
    """Rebuild the lab families from their recorded seeds."""
    from provenance.lab.build import build as build_families
    from provenance.lab.recipes import RECIPES

    console = Console(stderr=True, quiet=quiet)
    build_families(
        out, family or sorted(RECIPES), report=lambda line: console.print(line, highlight=False, markup=False)
    )
    typer.echo(out)
