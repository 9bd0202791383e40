"""The command line, where all rooms meet.

A command parses, opens, calls one function of each room and prints. It imports `analyses`, `db` and `figures` inside
its function, so that `--help` is quick and the import direction of the rooms holds.
"""

import typer

from provenance.cli.commands import compare, database, hub, lab, neurons, selftest, study, trace, weights
from provenance.cli.options import common

app = typer.Typer(
    cls=common.Reporting,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Were these neurons already there before alignment? Compares a base and an instruction-tuned checkpoint.",
)
lab_app = typer.Typer(no_args_is_help=True, help="The miniature families that ship with the package.")
neurons_app = typer.Typer(no_args_is_help=True, help="Import and export neuron sets, show one neuron.")
db_app = typer.Typer(no_args_is_help=True, help="The neuron database itself.")

app.callback()(common.options)
for _command in (
    compare.compare,
    study.study,
    trace.trace,
    weights.lineage,
    weights.drift,
    hub.plan,
    hub.pull,
    hub.families,
    database.query,
    database.figures,
    database.report,
):
    app.command()(_command)
lab_app.command()(lab.build)
lab_app.command()(selftest.selftest)
neurons_app.command("import")(neurons.import_neurons)
neurons_app.command("export")(neurons.export_neurons)
neurons_app.command("show")(neurons.show_neuron)
db_app.command()(database.info)
db_app.command()(database.schema)
db_app.command()(database.upgrade)
db_app.command()(database.merge)
app.add_typer(lab_app, name="lab")
app.add_typer(neurons_app, name="neurons")
app.add_typer(db_app, name="db")


def main() -> None:
    """Entry point of the console script."""
    app()
