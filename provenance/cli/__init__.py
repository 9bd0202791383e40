"""The command line, where all rooms meet.

A command parses, opens, calls one function of each room and prints. It imports `analyses`, `db` and `figures` inside
its function, so that `--help` is quick and the import direction of the rooms holds.
"""

from collections.abc import Callable

import typer

from provenance.cli.commands import (
    browse,
    compare,
    database,
    hub,
    intervene,
    lab,
    neurons,
    selftest,
    study,
    trace,
    weights,
)
from provenance.cli.options import common
from provenance.cli.options.help import EXIT_CODES, Helpful, epilog

app = typer.Typer(
    cls=common.Reporting,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Were these neurons already there before alignment? Compares a base and an instruction-tuned checkpoint.",
)
lab_app = typer.Typer(no_args_is_help=True, help="The miniature families that ship with the package.")
neurons_app = typer.Typer(no_args_is_help=True, help="Import and export neuron sets, show one neuron.")
db_app = typer.Typer(no_args_is_help=True, help="The neuron database itself.")

app.callback()(common.options)
_COMMANDS: tuple[tuple[typer.Typer, str, dict[str, Callable[..., None]]], ...] = (
    (
        app,
        "",
        {
            "compare": compare.compare,
            "study": study.study,
            "trace": trace.trace,
            "intervene": intervene.intervene,
            "lineage": weights.lineage,
            "drift": weights.drift,
            "plan": hub.plan,
            "pull": hub.pull,
            "families": hub.families,
            "query": database.query,
            "figures": database.figures,
            "report": database.report,
        },
    ),
    (lab_app, "lab ", {"build": lab.build, "selftest": selftest.selftest}),
    (
        neurons_app,
        "neurons ",
        {"import": neurons.import_neurons, "export": neurons.export_neurons, "show": neurons.show_neuron},
    ),
    (
        db_app,
        "db ",
        {
            "info": database.info,
            "schema": database.schema,
            "upgrade": database.upgrade,
            "merge": database.merge,
            "serve": browse.serve,
        },
    ),
)
for _group, _prefix, _commands in _COMMANDS:
    for _name, _command in _commands.items():
        _group.command(_name, cls=Helpful, epilog=epilog(_prefix + _name))(_command)
app.add_typer(lab_app, name="lab")
app.add_typer(neurons_app, name="neurons")
app.add_typer(db_app, name="db")


def main() -> None:
    """Entry point of the console script."""
    app()
