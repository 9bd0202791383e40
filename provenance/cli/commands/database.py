"""Commands that query the neuron database, draw from it, and maintain it."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from provenance.cells import visible
from provenance.cli.options.common import (
    DEFAULT_DATABASE,
    Database,
    Out,
    RunOption,
    StudyOption,
    one_of,
)
from provenance.cli.options.folders import run_folder
from provenance.cli.options.surroundings import untouched_matplotlib
from provenance.cli.options.terminal import Terminal
from provenance.cli.show.run import print_list
from provenance.defaults import LATEST, OUT
from provenance.errors import InputError, JobError, nearest
from provenance.table_declaration import MEMBER, REPLICATE

QUERY_TIMEOUT_S = 60.0
QUERY_MAX_ROWS = 5_000_000  # twice the neurons of a 70B pair, in some GB of memory


def query(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[NAME | SQL]", help="A named query, or one SELECT. Lists the named ones if not given."),
    ] = None,
    db: Database = DEFAULT_DATABASE,
    run: RunOption = None,
    study: StudyOption = None,
    output: Annotated[
        Literal["table", "csv", "json", "parquet"], typer.Option("--format", help="Output format.")
    ] = "table",
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B", help="These columns only, in this order.")
    ] = None,
    records: Annotated[
        bool, typer.Option("--records", "-x", help="Show every row as lines, a column in each.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.001, metavar="SECONDS", help="Time that the database may take.")
    ] = QUERY_TIMEOUT_S,
    max_rows: Annotated[
        int, typer.Option("--max-rows", min=1, metavar="N", help="Most rows of a result.")
    ] = QUERY_MAX_ROWS,
) -> None:
    """Query the neuron database, read-only."""
    from provenance.db.reading.export import as_records, encoded, fitted
    from provenance.db.reading.named_queries import QUERIES
    from provenance.db.reading.run_query import run_query
    from provenance.db.reading.study_query import study_query

    if what is None:
        print_list({name: named.summary for name, named in QUERIES.items()}, Terminal())
        return
    one_of(run, study)
    if records and output != "table":
        raise InputError("-x, or --format of a file", found=f"both, with {output}", remedy="leave one out")
    given = {} if run is None else {"run": run}
    if study is None:
        result = run_query(db, what, given, timeout_s=timeout, max_rows=max_rows)
    else:
        found = study_query(db, study, what, timeout_s=timeout, max_rows=max_rows)
        result = found.with_replicates or found
    if run in (None, LATEST) and result.run is not None:
        _chosen(db, run, result.run)
    if columns is not None:
        result = result.only([name.strip() for name in columns.split(",")])
    if output == "table":
        console = Terminal()
        narrow = QUERIES[what].narrow if what in QUERIES and columns is None else ()
        of_member = [name for name in (MEMBER, REPLICATE) if name in result.columns] if narrow else []
        shown = as_records(result) if records else fitted(result, console.width, (*of_member, *narrow))
        console.print(shown)
    else:
        sys.stdout.buffer.write(encoded(result, output))


def figures(
    db: Database = DEFAULT_DATABASE,
    out: Out = None,
    run: RunOption = None,
    study: StudyOption = None,
    form: Annotated[
        Literal["pdf", "svg", "png"] | None,
        typer.Option("--format", help="Write pictures in this format only, not in all three."),
    ] = None,
    venue: Annotated[
        Literal["icml", "neurips", "acl"], typer.Option(help="Conference whose column and page width figures have.")
    ] = "icml",
    page: Annotated[bool, typer.Option("--page", help="Draw figures of one column across the page as well.")] = False,
) -> None:
    """Draw the figures of a run or a study, from the database."""
    untouched_matplotlib()
    from provenance.figures.drawing import style
    from provenance.figures.gallery import FORMS, attempted_some, study_attempted, write_figures

    one_of(run, study)
    wanted = FORMS if form is None else (form,)
    about = _chosen(db, run) if study is None else None
    with style.venue(venue, page=page):
        found = study_attempted(db, study, wanted) if about is None else attempted_some(db, about["run"], wanted)
    own = nullcontext(out or OUT / f"study-{study}") if about is None else run_folder(db, about, out)
    with own as folder:
        for path in write_figures(found.figures, folder, wanted):
            typer.echo(path)
    found.check()


def report(
    db: Database = DEFAULT_DATABASE,
    out: Out = None,
    run: RunOption = None,
    study: StudyOption = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify", metavar="FILE", help="Write nothing; check that this report says what the database says."
        ),
    ] = None,
    weights: Annotated[
        bool,
        typer.Option(
            "--weights",
            help="With --verify: digest the files of both checkpoints again; missing checkpoints are downloaded.",
        ),
    ] = False,
) -> None:
    """Write the HTML report of a run, or of a study.

    It is made from the database alone; beside that of a study are those of its runs.
    """
    untouched_matplotlib()
    from provenance.figures.report.html import write_report
    from provenance.figures.report.study import write_study

    one_of(run, study)
    if verify is not None or weights:
        if verify is None or (out, run, study) != (None, None, None):
            raise InputError(
                "--verify FILE, with --db and --weights only",
                found="something else",
                remedy="leave out the other options",
            )
        _verified(db, verify, weights=weights)
        return
    if study is not None:
        typer.echo(write_study(db, study, out or OUT / f"study-{study}")["report"])
        return
    about = _chosen(db, run)
    with run_folder(db, about, out) as folder:
        typer.echo(write_report(db, about["run"], folder))


def _verified(db: str, file: Path, *, weights: bool) -> None:
    """Check a report against the database, and with `weights` the checkpoints that the run names."""
    from provenance.figures.report.verify import verify_report

    about = verify_report(db, file)
    if weights:
        _same_weights({**about, **_pinned(db, about)})
    checked = "the database and its checkpoints say" if weights else "the database says"
    typer.echo(visible(f"{file} is what {checked}: run {about['run']}, {about['base']} -> {about['instruct']}"))


def _pinned(db: str, about: Mapping[str, Any]) -> dict[str, str]:
    """References of a run's checkpoints at the commit that was read, by stage, where the database has one."""
    from provenance.checkpoints.names import CheckpointRef
    from provenance.db.reading.run_query import run_query

    known = (
        "SELECT digest, ref, commit_sha FROM checkpoint WHERE commit_sha IS NOT NULL AND digest IN (:base, :instruct)"
    )
    digests = {stage: about[f"{stage}_digest"] for stage in ("base", "instruct")}
    commits = {row["digest"]: row for row in run_query(db, known, digests).records()}
    found = {}
    for stage, digest in digests.items():
        ref = CheckpointRef.parse(about[stage])
        if ref.kind == "hub" and digest in commits and CheckpointRef.parse(commits[digest]["ref"]).name == ref.name:
            found[stage] = f"{ref.name}@{commits[digest]['commit_sha']}"
    return found


def _same_weights(about: Mapping[str, Any]) -> None:
    """Open both checkpoints of a run, which downloads what is missing and digests all their files."""
    from provenance.analyses.asking.opening import open_pair

    pair = open_pair(about["base"], about["instruct"])
    for opened in (pair.base, pair.instruct):
        digest, wanted = opened.checkpoint.digest, about[f"{opened.stage}_digest"]
        if digest != wanted:
            raise JobError(
                f"the {opened.stage} checkpoint {about[opened.stage]} with the digest {wanted[:12]}",
                found=f"{digest[:12]}, of other files",
                remedy="find the files that the run read; the report is not about these",
            )


def _chosen(db: str, named: str | None, number: int | None = None) -> dict[str, Any]:
    """The named run, or the newest comparison, as a row of the query `run`; `number`: the run that it turned out to be.

    One that was not named by its number is told on stderr: another command may choose another.
    """
    from provenance.db.reading.run_query import run_query

    wanted = named if number is None else number
    [about] = run_query(db, "run", {} if wanted is None else {"run": wanted}).records()
    if named in (None, LATEST):
        words = f"run {about['run']}: {about['command']}, {about['base']} -> {about['instruct']}; --run ID for another"
        Console(stderr=True).print(visible(words), highlight=False, markup=False, soft_wrap=True)
    return about


def info(db: Database = DEFAULT_DATABASE) -> None:
    """Show the contents of a database."""
    from provenance.db.reading import run_query as queries

    held = queries.info(db)
    size = "" if held.file_bytes is None else f", {held.file_bytes / 1e6:.1f} MB"
    typer.echo(f"{db}: schema {held.schema}{size}")
    for name, rows in held.rows.items():
        typer.echo(f"  {name:<16}{rows:>10}")
    for run in held.runs:
        state = "rows intact" if run["intact"] else "ROWS ALTERED" if run["intact"] is False else "nothing saved"
        pair = f"{run['base']} -> {run['instruct']}"
        typer.echo(visible(f"run {run['run']}: {run['command']}, {pair}, {run['status']}, {state}"))


def schema(
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="A table or view; lists them all if not given.")
    ] = None,
) -> None:
    """Show tables and views, or the columns of one.

    They are those of this release; columns have a unit and a meaning.
    """
    from provenance.db.reading.export import fitted
    from provenance.db.reading.run_query import QueryResult
    from provenance.db.schema.data_dictionary import dictionary_rows
    from provenance.db.schema.views import VIEWS

    views = {view.name for view in VIEWS}
    rows = sorted(dictionary_rows(), key=lambda row: row["table_name"] not in views)
    names = {row["table_name"]: row["meaning"] for row in rows if not row["column_name"]}
    if table is None:
        print_list(names, Terminal())
        return
    if table not in names:
        raise InputError("a table or view of the database", found=repr(table), remedy=nearest(table, names))
    typer.echo(f"{table}: {names[table]}")
    own = [row for row in rows if row["table_name"] == table and row["column_name"]]
    columns = ("column_name", "unit", "meaning")
    console = Terminal()
    console.print(
        fitted(QueryResult(columns, tuple(tuple(row[name] for name in columns) for row in own)), console.width)
    )


def upgrade(db: Database = DEFAULT_DATABASE) -> None:
    """Bring a database of an older version up to date."""
    from provenance.db.store import Store

    with Store.open(db):
        typer.echo(f"{db} is up to date")


def merge(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="SQLite file or SQLAlchemy URL to take over; it is only read.")
    ],
    db: Database = DEFAULT_DATABASE,
) -> None:
    """Take over everything that another database holds.

    That is runs, studies, neuron sets and answers; twice is the same as once.
    """
    from provenance.db.merge import merge as merged

    done = merged(source if "://" in source else f"sqlite:///{source}", db)
    for what in done.added | done.present:
        typer.echo(f"{what}: {done.added.get(what, 0)} new, {done.present.get(what, 0)} here before")
    for note in done.notes:
        typer.echo(visible(f"note: {note}"))
    typer.echo(visible(f"{source} was taken over into {db}; captured vectors stay in their folder"))
