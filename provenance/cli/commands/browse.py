"""The command that shows the database in a browser."""

from typing import Annotated

import typer

from provenance.cli.options.common import DEFAULT_DATABASE, Database
from provenance.cli.options.surroundings import untouched_matplotlib

PORT = 8001  # Datasette's own


def serve(
    db: Database = DEFAULT_DATABASE,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 for any that is free.")
    ] = PORT,
) -> None:
    """Show a SQLite database in a browser, for reading only.

    Needs Datasette (extra `browse`), and answers this machine alone.
    """
    from provenance.db.browsing.serve import serve as served

    untouched_matplotlib()
    from provenance.figures.report.on_demand import OnDemand

    served(db, port, lambda address: typer.echo(f"{address} (Ctrl-C ends it)"), OnDemand(db))
