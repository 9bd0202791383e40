"""The commands around the hub, run in this process, so that they meet the stand-in for the hub."""

import typer
from click.testing import Result
from typer.testing import CliRunner

from provenance.cli import hub
from provenance.cli.common import Reporting


def run(*args: str) -> Result:
    """Run one of `families`, `plan`, `pull`."""
    app = typer.Typer(cls=Reporting, pretty_exceptions_enable=False, rich_markup_mode=None)
    for command in (hub.families, hub.plan, hub.pull):
        app.command()(command)
    return CliRunner().invoke(app, args)
