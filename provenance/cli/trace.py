"""A timeline: `provenance trace REF REF REF ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provenance.cli.asking import (
    BATCH_SIZE,
    DEFAULT_BASE_PROMPT,
    MAX_NEW_TOKENS,
    PER_CLASS,
    Attention,
    BasePrompt,
    BatchSize,
    CapturedDtype,
    Device,
    Dtype,
    FreeIntercept,
    InstructPrompt,
    InstructTemplate,
    Limit,
    MaxNewTokens,
    ProbeDesign,
    Questions,
    Quick,
    Samples,
    Select,
    Strength,
    TestPerClass,
    TrainPerClass,
    check_choice,
)
from provenance.cli.common import (
    DEFAULT_DATABASE,
    AsJson,
    Database,
    NoFigures,
    Out,
    Quiet,
    Seed,
    about_run,
    drawn_files,
    finishing,
    folder_of,
    print_result,
)
from provenance.console import ConsoleProgress
from provenance.console_trace import print_trace
from provenance.files import writable_folder
from provenance.prompts import INSTRUCT_PROMPT
from provenance.records import SAMPLES_PER_QUESTION

if TYPE_CHECKING:
    from analyses.trace_job import TraceJob

Checkpoints = Annotated[
    list[str],
    typer.Argument(metavar="REF...", help="Two or more checkpoints, earliest first; the last is the tuned one."),
]
Tuned = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="The last N checkpoints are tuned, and asked in the instruct prompt; the others in the base prompt.",
    ),
]
NoFloor = Annotated[bool, typer.Option("--no-floor", help="Leave the randomly initialised model out.")]


def trace(
    refs: Checkpoints,
    tuned: Tuned = 1,
    no_floor: NoFloor = False,
    questions: Questions = None,
    db: Database = DEFAULT_DATABASE,
    out: Out = None,
    limit: Limit = None,
    samples: Samples = SAMPLES_PER_QUESTION,
    train_per_class: TrainPerClass = PER_CLASS,
    test_per_class: TestPerClass = PER_CLASS,
    base_prompt: BasePrompt = DEFAULT_BASE_PROMPT,
    instruct_prompt: InstructPrompt = INSTRUCT_PROMPT,
    instruct_template: InstructTemplate = "chat",
    max_new_tokens: MaxNewTokens = MAX_NEW_TOKENS,
    design: ProbeDesign = "3-vs-1",
    free_intercept: FreeIntercept = False,
    select: Select = "one-se",
    C: Strength = None,
    device: Device = "cpu",
    dtype: Dtype = "float32",
    attn_implementation: Attention = None,
    capture_dtype: CapturedDtype = "float32",
    batch_size: BatchSize = BATCH_SIZE,
    quick: Quick = False,
    no_figures: NoFigures = False,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Follow the last checkpoint's H-Neurons back through earlier ones, to a random initialisation."""
    check_choice(C, select)
    from analyses.effort import FULL, QUICK
    from analyses.job import Job
    from analyses.trace_job import TraceJob

    how = Job(
        base=refs[0], instruct=refs[-1], questions=tuple(questions or ()), limit=limit, samples=samples,
        train_per_class=train_per_class, test_per_class=test_per_class,
        base_prompt=base_prompt.replace("\\n", "\n"), instruct_prompt=instruct_prompt.replace("\\n", "\n"),
        chat=instruct_template == "chat", max_new_tokens=max_new_tokens, design=design,
        intercept_penalised=not free_intercept, select=select, C=C, device=device, dtype=dtype,
        attn_implementation=attn_implementation, capture_dtype=capture_dtype, batch_size=batch_size, seed=seed,
        effort=QUICK if quick else FULL,
    )  # fmt: skip
    job = TraceJob(tuple(refs), how, tuned, floor=not no_floor)
    summary = _run_trace(job, db, None if no_figures else folder_of(out, "trace"), quiet=quiet)
    print_result(summary, print_trace, as_json=as_json)


def _run_trace(job: "TraceJob", db: str, out: Path | None, *, quiet: bool) -> dict[str, Any]:
    """Open, measure, store, draw, report; what was done before an error stays in the database."""
    from analyses.clock import Clock
    from analyses.effort import FULL
    from analyses.job import checkpoint_info, versions
    from analyses.summary_evidence import summarise_trace
    from db.store import Store, checkpoint_row
    from db.workspace import RunWorkspace

    stops = job.open()
    questions = job.questions()
    if out is not None:
        writable_folder(out)
    infos = [checkpoint_info(stop.side) for stop in stops]
    ends = (infos[0], infos[-1])
    with ConsoleProgress(quiet=quiet) as progress, Store.open(db) as store:
        key = job.key(stops, questions)
        run = store.begin_run("trace", key, *ends, job.recorded(), job.how.seed, versions())
        with store.transaction() as connection:
            for info in infos:
                checkpoint_row(connection, info)
        store.add_questions(questions.name, questions.digest, questions.source, questions.questions)
        clock = Clock(progress)
        with finishing(store, run, clock):
            report = job.run(stops, questions, RunWorkspace(store, run), clock)
            store.save_trace(run, report, {questions.name: questions.digest})
    summary = {
        **summarise_trace(report.points, report.identification, report.neurons_per_layer, report.layers),
        "dataset": report.dataset,
        "quick": job.how.effort != FULL,
        **about_run(ends, run, clock, db),
    }
    return summary if out is None else {**summary, **drawn_files(db, run, out)}
