"""The main command: `provenance compare BASE INSTRUCT`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from provenance.cli.common import (
    DEFAULT_DATABASE,
    DEFAULT_OUT,
    AsJson,
    Base,
    Database,
    FamilyName,
    Instruct,
    Out,
    Quiet,
    Seed,
    Stream,
    about_run,
    finishing,
    named_pair,
    print_result,
)
from provenance.cli.hub import show_plan
from provenance.cli.weights import Neurons, compare_weights
from provenance.console import ConsoleProgress, print_summary
from provenance.errors import InputError
from provenance.files import writable_folder
from provenance.prompts import BASE_PROMPT, INSTRUCT_PROMPT
from provenance.records import SAMPLES_PER_QUESTION

if TYPE_CHECKING:
    from analyses.job import Job


def compare(
    base: Base = None,
    instruct: Instruct = None,
    family: FamilyName = None,
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
    select: Annotated[
        Literal["one-se", "paper"],
        typer.Option(
            help="How C is chosen: the sparsest probe within one standard error of the best validation accuracy, or "
            "by the paper's rule, which adds the accuracy with the H-Neurons suppressed and asks the model for it."
        ),
    ] = "one-se",
    C: Annotated[
        float | None, typer.Option("--C", metavar="C", help="Inverse regularisation strength, in place of a choice.")
    ] = None,
    device: Annotated[str, typer.Option(help="As torch names it.")] = "cpu",
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="Of the forward passes.")
    ] = "float32",
    attn_implementation: Annotated[str | None, typer.Option(help="As transformers names it.")] = None,
    capture_dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="Of captured activations on disk; float16 halves them.")
    ] = "float32",
    batch_size: Annotated[int, typer.Option(min=1, help="Questions asked at a time.")] = 128,
    weights_only: Annotated[
        bool, typer.Option("--weights-only", help="Lineage, mapping and drift of --neurons; runs no model.")
    ] = False,
    neurons: Neurons = None,
    stream: Stream = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take, as `plan` does.")] = False,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare BASE and INSTRUCT: H-Neurons, transfer, drift, overlap, figures, report. Resumes where it stopped."""
    pair = named_pair(base, instruct, family)
    _check_weights_options(
        neurons, asked=bool(questions) or limit is not None, weights_only=weights_only, stream=stream
    )
    _check_choice(C, select, neurons)
    if dry_run:
        show_plan(pair, (train_per_class, test_per_class, len(questions or ()) or 1), dtype, device, as_json=as_json)
        return
    if neurons is not None and weights_only:
        compare_weights(pair, neurons, db, out, stream=stream, seed=seed, as_json=as_json, quiet=quiet)
        return
    from analyses.job import Job

    job = Job(
        base=pair[0], instruct=pair[1], questions=tuple(questions or ()), limit=limit, samples=samples,
        train_per_class=train_per_class, test_per_class=test_per_class,
        base_prompt=base_prompt.replace("\\n", "\n"), instruct_prompt=instruct_prompt.replace("\\n", "\n"),
        chat=instruct_template == "chat", max_new_tokens=max_new_tokens, design=design,
        intercept_penalised=not free_intercept, select=select, C=C, neurons=neurons, device=device, dtype=dtype,
        attn_implementation=attn_implementation, capture_dtype=capture_dtype, batch_size=batch_size, seed=seed,
    )  # fmt: skip
    summary = _run_comparison(job, db, out, quiet=quiet)
    print_result(summary, print_summary, as_json=as_json)


def _check_weights_options(neurons: Path | None, *, asked: bool, weights_only: bool, stream: bool) -> None:
    """Refuse options that only mean something together, and those that mean nothing together.

    Raises:
        InputError: --weights-only or --stream stands alone, or questions are asked where no model is run.
    """
    if weights_only and neurons is None:
        raise InputError(
            "--neurons FILE with --weights-only",
            found="--weights-only alone",
            remedy="give both; `provenance drift` needs no list",
        )
    if stream and not weights_only:
        raise InputError(
            "checkpoints on the disk, where models are run",
            found="--stream",
            remedy="leave it out, or give --weights-only with a neuron list",
        )
    if weights_only and asked:
        raise InputError(
            "no questions where no model is run",
            found="--questions or --limit",
            remedy="leave it or --weights-only out",
        )


def _check_choice(C: float | None, select: str, neurons: Path | None) -> None:
    """Refuse a C that is none, and two ways of coming by the neurons at once.

    Raises:
        InputError: C is not a positive number, or is given beside a rule or a file that leaves nothing to choose.
    """
    if C is not None and not 0 < C < float("inf"):
        raise InputError("a positive number for --C", found=f"{C:g}", remedy="give for example --C 1")
    ways = {"--C": C is not None, "--select paper": select == "paper", "--neurons": neurons is not None}
    found = [name for name, given in ways.items() if given]
    if len(found) > 1:
        raise InputError(
            "one way to come by the H-Neurons", found=" and ".join(found), remedy="leave all of these out but one"
        )


def _run_comparison(job: "Job", db: str, out: Path, *, quiet: bool) -> dict[str, Any]:
    """Compare, store, draw, report; what was done before an error stays in the database."""
    from analyses.clock import Clock
    from analyses.job import checkpoint_info, versions
    from analyses.origin import compare as compare_sides
    from analyses.sides import check_pair
    from analyses.summary import summarise
    from db.store import Store
    from db.workspace import RunWorkspace
    from figures.gallery import draw
    from figures.report import write_report

    base, instruct = job.sides()
    check_pair(base, instruct)
    job.check_prompts((base, instruct))
    given, sets = job.given(instruct), job.question_sets()
    writable_folder(out)
    with ConsoleProgress(quiet=quiet) as progress, Store.open(db) as store:
        infos = (checkpoint_info(base), checkpoint_info(instruct))
        key = job.key((base, instruct), sets, given)
        run = store.begin_run("compare", key, *infos, job.recorded(given), job.seed, versions())
        for questions in sets:
            store.add_questions(questions.name, questions.digest, questions.source, questions.questions)
        clock = Clock(progress)
        with finishing(store, run, clock):
            report = compare_sides(base, instruct, sets, job.settings(), RunWorkspace(store, run), clock, given)
            store.save_report(run, report, {questions.name: questions.digest for questions in sets})
    drawn = draw(db, run, out)
    return {
        **summarise(report),
        **about_run(infos, run, clock, db),
        "figures": [str(path) for path in drawn],
        "report": str(write_report(db, run, out)),
    }
