"""Scaled neurons and benchmarks: `provenance intervene REF --neurons FILE --benchmark FILE`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from provenance.cli.options.common import (
    DEFAULT_DATABASE,
    AsJson,
    Database,
    NoFigures,
    Out,
    Quiet,
    Seed,
    Verbose,
)
from provenance.cli.options.run_options import ALPHAS, Alphas, JudgeModel, NeutralText, Offload, Sets, factors
from provenance.cli.run_job import run_and_print
from provenance.defaults import AUTO, BATCH_SIZE, LATEST, REPLY_TOKENS
from provenance.errors import InputError
from provenance.records import Stage

if TYPE_CHECKING:
    from provenance.analyses.jobs.intervene_job import RunNeurons

Checkpoint = Annotated[str, typer.Argument(metavar="REF", help="org/name[@revision], a folder, or lab/family/stage.")]
Neurons = Annotated[
    str,
    typer.Option(
        "--neurons",
        metavar=f"FILE|RUN|{LATEST}",
        help="Neuron list of this checkpoint, as `neurons export` writes it; or a run in which it was the base or the "
        "tuned checkpoint and has neurons there, which a note names; by `latest` the newest finished run with some.",
    ),
]
Benchmarks = Annotated[
    list[Path],
    typer.Option(
        "--benchmark",
        metavar="FILE",
        help="JSON Lines: misleading contexts, answers to doubt, mistaken authors, invalid premises, or instructions "
        "to refuse; or FalseQA, FaithEval, sycophancy-eval or model-written evaluations of sycophancy, as published. "
        "Or lab/family/name. Repeat it.",
    ),
]
Questions = Annotated[
    list[str] | None,
    typer.Option(
        "--questions",
        metavar="SET",
        help="A question set that is asked plainly under every factor, for side effects: accuracy, answers declined or "
        "made up, perplexity. As for `compare`. Repeat it.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        metavar="N",
        show_default="all items, 100 questions",
        help="Use N items of each benchmark and question set.",
    ),
]
ReplyJudgeUrl = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="URL",
        help="A model at an OpenAI-compatible server (the address before /chat/completions) that reads replies of "
        "which the rule is not sure. Its key is read from PROVENANCE_JUDGE_KEY.",
    ),
]
PromptText = Annotated[
    str | None,
    typer.Option("--prompt", metavar="TEXT", help="Text with {question} in it, in place of the chat template."),
]


def intervene(
    checkpoint: Checkpoint,
    neurons: Neurons,
    benchmark: Benchmarks,
    alphas: Alphas = ALPHAS,
    sets: Sets = None,
    questions: Questions = None,
    neutral_text: NeutralText = None,
    limit: Limit = None,
    prompt: PromptText = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of a free reply.")] = REPLY_TOKENS,
    judge: ReplyJudgeUrl = None,
    judge_model: JudgeModel = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts per forward pass.")] = BATCH_SIZE,
    dtype: Annotated[str, typer.Option(help="Arithmetic of forward passes.")] = AUTO,
    device: Annotated[str, typer.Option(help="Device of forward passes.")] = AUTO,
    offload: Offload = False,
    db: Database = DEFAULT_DATABASE,
    out: Out = None,
    no_figures: NoFigures = False,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Scale neurons of a checkpoint, and measure how often it yields.

    Benchmarks are asked, and control sets of neurons are scaled alike.
    """
    from provenance.analyses.jobs.intervene_job import InterveneJob

    job = InterveneJob(
        checkpoint, _neurons(neurons, db), tuple(benchmark), factors(alphas), sets=sets,
        questions=tuple(questions or ()), texts=tuple(neutral_text or ()), limit=limit,
        prompt=None if prompt is None else prompt.replace("\\n", "\n"), max_new_tokens=max_new_tokens,
        judge=judge, judge_model=judge_model, batch_size=batch_size, dtype=dtype, device=device, offload=offload,
        seed=seed,
    )  # fmt: skip
    run_and_print(job, db, out, figures=not no_figures, verbose=verbose, as_json=as_json, quiet=quiet)


def _neurons(wanted: str, db: str) -> "Path | RunNeurons":
    """A neuron list; or those of a run, of both checkpoints where both have H-Neurons, by `latest` of the newest."""
    if Path(wanted).exists() or not (wanted.isdecimal() or wanted == LATEST):
        return Path(wanted)
    from provenance.analyses.jobs.intervene_job import RunNeurons
    from provenance.db.neuron_sets import newest_run_with_neurons, run_neurons
    from provenance.neuron_lists.export import as_json

    run = newest_run_with_neurons(db) if wanted == LATEST else int(wanted)
    lists: dict[str, tuple[Stage, bytes]] = {}
    problems: list[InputError] = []
    for stage in get_args(Stage):
        try:
            found = run_neurons(db, run, stage)
        except InputError as error:
            problems.append(error)
        else:
            lists.setdefault(found.checkpoint.digest, (stage, as_json(found).encode()))
    if not lists:
        raise problems[-1]  # of the tuned checkpoint
    return RunNeurons(run, lists)
