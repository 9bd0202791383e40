"""The command line, and the one place where all rooms meet.

The one idea: a command parses, opens, calls one function of each room and prints; what it
needs of `analyses`, `db` and `figures` is imported inside it, so `--help` is quick and the
import direction of the rooms holds. Errors become exit codes here and nowhere else:
0 done, 1 the job failed, 2 bad usage or input.
"""

import json
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from typer.core import TyperGroup

from provenance import __version__
from provenance.console import ConsoleProgress, print_summary
from provenance.errors import ProvenanceError, StoreError
from provenance.files import writable_folder
from provenance.prompts import BASE_PROMPT, INSTRUCT_PROMPT
from provenance.records import SAMPLES_PER_QUESTION

if TYPE_CHECKING:
    from analyses.job import Job

DEFAULT_DATABASE = "sqlite:///provenance.db"
DEFAULT_OUT = Path("figures-out")
INTERRUPTED = 130  # what shells use for an interrupt


class _Reporting(TyperGroup):
    """Turns the toolkit's errors into one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ProvenanceError as error:
            if ctx.params.get("debug"):
                raise
            typer.secho("error", fg="red", bold=True, err=True, nl=False)
            said = {"wanted": error.wanted, "found": error.found, "remedy": error.remedy}
            typer.echo("".join(f"\n  {name}: {' '.join(text.split())}" for name, text in said.items()), err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interrupt:
            typer.echo("interrupted; the same command goes on where this one stopped", err=True)
            raise typer.Exit(INTERRUPTED) from interrupt


app = typer.Typer(
    cls=_Reporting,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Were these neurons already there before alignment? Compares a base and an instruction-tuned checkpoint.",
)
lab_app = typer.Typer(no_args_is_help=True, help="The miniature families that ship with the package.")
db_app = typer.Typer(no_args_is_help=True, help="The neuron database itself.")
app.add_typer(lab_app, name="lab")
app.add_typer(db_app, name="db")

Database = Annotated[str, typer.Option("--db", metavar="URL", help="SQLAlchemy URL of the neuron database.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for figures and report.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Seed = Annotated[int, typer.Option("--seed", help="Of splits, orders, samples, nulls and bootstraps.")]
RunOption = Annotated[
    int | None, typer.Option("--run", metavar="ID", help="Run to show; the newest finished one if not given.")
]


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"provenance {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""


@app.command()
def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="org/name[@revision], a folder, or lab/family/stage.")],
    instruct: Annotated[str, typer.Argument(metavar="INSTRUCT", help="The checkpoint tuned from BASE.")],
    questions: Annotated[
        list[str] | None,
        typer.Option(
            "--questions",
            metavar="NAME|FILE",
            help="Question set; repeat it. The first one finds and tests the H-Neurons, all of them test transfer. "
            "Lab families bring their own.",
        ),
    ] = None,
    db: Database = DEFAULT_DATABASE,
    out: Out = DEFAULT_OUT,
    limit: Annotated[
        int | None, typer.Option("--limit", min=10, metavar="N", help="Use N questions of each set.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Samples a training question; it is kept when all agree.")
    ] = SAMPLES_PER_QUESTION,
    train_per_class: Annotated[
        int, typer.Option(min=1, help="Consistent training responses wanted of each class.")
    ] = 1000,
    test_per_class: Annotated[int, typer.Option(min=1, help="Test responses wanted of each class.")] = 1000,
    base_prompt: Annotated[
        str, typer.Option(help="Prompt of the base model, with {question}; \\n is a line break.")
    ] = BASE_PROMPT.replace("\n", "\\n"),
    instruct_prompt: Annotated[
        str, typer.Option(help="User message to the instruct model, with {question}.")
    ] = INSTRUCT_PROMPT,
    instruct_template: Annotated[
        Literal["chat", "none"], typer.Option(help="Put the instruct prompt into the chat template, or not.")
    ] = "chat",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Where a response is cut off.")] = 32,
    design: Annotated[Literal["3-vs-1", "1-vs-1"], typer.Option(help="Rows of the probe.")] = "3-vs-1",
    free_intercept: Annotated[
        bool, typer.Option("--free-intercept", help="Leave |b| out of the probe's penalty.")
    ] = False,
    device: Annotated[str, typer.Option(help="As torch names it.")] = "cpu",
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="Of the forward passes.")
    ] = "float32",
    attn_implementation: Annotated[str | None, typer.Option(help="As transformers names it.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions asked at a time.")] = 128,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
    quiet: Quiet = False,
) -> None:
    """Compare BASE and INSTRUCT: H-Neurons, transfer, drift, overlap, figures, report. Resumes where it stopped."""
    from analyses.job import Job

    job = Job(
        base=base, instruct=instruct, questions=tuple(questions or ()), limit=limit, samples=samples,
        train_per_class=train_per_class, test_per_class=test_per_class,
        base_prompt=base_prompt.replace("\\n", "\n"), instruct_prompt=instruct_prompt.replace("\\n", "\n"),
        chat=instruct_template == "chat", max_new_tokens=max_new_tokens, design=design,
        intercept_penalised=not free_intercept, device=device, dtype=dtype,
        attn_implementation=attn_implementation, batch_size=batch_size, seed=seed,
    )  # fmt: skip
    summary = _run_comparison(job, db, out, quiet=quiet)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        print_summary(summary, Console())


def _run_comparison(job: "Job", db: str, out: Path, *, quiet: bool) -> dict[str, Any]:
    """Compare, store, draw, report; what was done before an error stays in the database."""
    from analyses.job import checkpoint_info, versions
    from analyses.origin import Clock, check_pair
    from analyses.origin import compare as compare_sides
    from analyses.summary import summarise
    from db.store import Store
    from db.workspace import RunWorkspace
    from figures.gallery import draw
    from figures.report import write_report

    base, instruct = job.sides()
    check_pair(base, instruct)
    job.check_prompts((base, instruct))
    sets = job.question_sets()
    writable_folder(out)
    with ConsoleProgress(quiet=quiet) as progress, Store.open(db) as store:
        infos = (checkpoint_info(base), checkpoint_info(instruct))
        key = job.key((base, instruct), sets)
        run = store.begin_run("compare", key, *infos, job.recorded(), job.seed, versions())
        for questions in sets:
            store.add_questions(questions.name, questions.digest, questions.source, questions.questions)
        clock = Clock(progress)
        try:
            report = compare_sides(base, instruct, sets, job.settings(), RunWorkspace(store, run), clock)
            store.save_report(run, report, {questions.name: questions.digest for questions in sets})
        except (ProvenanceError, KeyboardInterrupt):
            with suppress(StoreError):  # a full disk must not hide what went wrong first
                store.finish_run(run, "failed", clock.durations_ms, peak_memory_bytes())
            raise
        store.finish_run(run, "done", clock.durations_ms, peak_memory_bytes())
    drawn = draw(db, run, out)
    return {
        **summarise(report),
        "base": {"ref": infos[0].ref, "digest": infos[0].digest},
        "instruct": {"ref": infos[1].ref, "digest": infos[1].digest},
        "run": run,
        "durations_ms": clock.durations_ms,
        "peak_memory_bytes": peak_memory_bytes(),
        "database": db,
        "figures": [str(path) for path in drawn],
        "report": str(write_report(db, run, out)),
    }


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@app.command()
def query(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[NAME | SQL]", help="A named query, or one SELECT. Lists the named ones if not given."),
    ] = None,
    db: Database = DEFAULT_DATABASE,
    run: RunOption = None,
    output: Annotated[
        Literal["table", "csv", "json", "parquet"], typer.Option("--format", help="How to print.")
    ] = "table",
) -> None:
    """Query the neuron database, read-only."""
    from db.export import as_table, encoded
    from db.named import QUERIES
    from db.queries import run_query

    if what is None:
        for name, named in QUERIES.items():
            typer.echo(f"{name:<24}{named.summary}")
        return
    result = run_query(db, what, {} if run is None else {"run": run})
    if output == "table":
        Console().print(as_table(result))
    else:
        sys.stdout.buffer.write(encoded(result, output))


@app.command()
def figures(db: Database = DEFAULT_DATABASE, out: Out = DEFAULT_OUT, run: RunOption = None) -> None:
    """Draw the figures of a run from the database alone."""
    from figures.gallery import draw

    for path in draw(db, run, out):
        typer.echo(path)


@app.command()
def report(db: Database = DEFAULT_DATABASE, out: Out = DEFAULT_OUT, run: RunOption = None) -> None:
    """Write the HTML report of a run from the database alone."""
    from figures.report import write_report

    typer.echo(write_report(db, run, out))


@lab_app.command("build")
def lab_build(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Where the families go.")],
    family: Annotated[list[str] | None, typer.Option("--family", help="Only this family; repeatable.")] = None,
    quiet: Quiet = False,
) -> None:
    """Make the lab families again from their recorded seeds."""
    from provenance.lab.build import build
    from provenance.lab.recipes import RECIPES

    console = Console(stderr=True, quiet=quiet)
    build(out, family or sorted(RECIPES), report=lambda line: console.print(line, highlight=False, markup=False))
    typer.echo(out)


@db_app.command("info")
def db_info(db: Database = DEFAULT_DATABASE) -> None:
    """Show what a database holds."""
    from db.queries import info

    held = info(db)
    size = "" if held.file_bytes is None else f", {held.file_bytes / 1e6:.1f} MB"
    typer.echo(f"{db}: schema {held.schema}{size}")
    for name, rows in held.rows.items():
        typer.echo(f"  {name:<16}{rows:>10}")
    for run in held.runs:
        state = "rows intact" if run["intact"] else "ROWS ALTERED" if run["intact"] is False else "nothing saved"
        typer.echo(f"run {run['run']}: {run['base']} -> {run['instruct']}, {run['status']}, {state}")


@db_app.command("upgrade")
def db_upgrade(db: Database = DEFAULT_DATABASE) -> None:
    """Bring a database of an older version up to date."""
    from db.store import Store

    with Store.open(db):
        typer.echo(f"{db} is up to date")


def main() -> None:
    """Entry point of the console script."""
    app()
