"""A timeline: `provenance trace REF REF REF ...`."""

from typing import Annotated

import typer

from provenance.answers.prompts import INSTRUCT_PROMPT
from provenance.cli.options.asking import (
    DEFAULT_BASE_PROMPT,
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
    OtherRegions,
    ProbeDesign,
    Questions,
    Quick,
    Samples,
    Select,
    Strength,
    TestPerClass,
    TrainPerClass,
    asked_job,
    check_choice,
)
from provenance.cli.options.common import (
    DEFAULT_DATABASE,
    AsJson,
    Database,
    NoFigures,
    Out,
    Quiet,
    Seed,
    folder_of,
    print_result,
)
from provenance.cli.run_job import run_job
from provenance.cli.show.run import print_run
from provenance.defaults import BATCH_SIZE, MAX_NEW_TOKENS, PER_CLASS, SAMPLES_PER_QUESTION

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
    other_tokens: OtherRegions = "all",
    batch_size: BatchSize = BATCH_SIZE,
    quick: Quick = False,
    no_figures: NoFigures = False,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Follow the last checkpoint's H-Neurons back through earlier ones, to a random initialisation."""
    check_choice(C, select)
    from provenance.analyses.timeline.timeline_job import TraceJob

    how = asked_job(
        refs[0], refs[-1], questions=questions, limit=limit, samples=samples, train_per_class=train_per_class,
        test_per_class=test_per_class, base_prompt=base_prompt, instruct_prompt=instruct_prompt,
        instruct_template=instruct_template, max_new_tokens=max_new_tokens, design=design,
        free_intercept=free_intercept, select=select, C=C, device=device, dtype=dtype,
        attn_implementation=attn_implementation, capture_dtype=capture_dtype, other_tokens=other_tokens, batch_size=batch_size, seed=seed,
        quick=quick,
    )  # fmt: skip
    job = TraceJob(tuple(refs), how, tuned, floor=not no_floor)
    summary = run_job(job, db, None if no_figures else folder_of(out, "trace"), quiet=quiet)
    print_result(summary, print_run, as_json=as_json)
