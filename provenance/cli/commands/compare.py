"""The main command: `provenance compare BASE INSTRUCT`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from provenance.cli.commands.hub import show_plan
from provenance.cli.commands.weights import Neurons, compare_weights
from provenance.cli.options.common import (
    DEFAULT_DATABASE,
    AsJson,
    Base,
    Captures,
    Database,
    DryRun,
    FamilyName,
    Instruct,
    NoFigures,
    Out,
    Quiet,
    Replicates,
    Seed,
    Stream,
    Verbose,
    named_pair,
)
from provenance.cli.options.planned_work import works_of
from provenance.cli.options.run_options import ALPHAS, Alphas, NeutralText, Sets, asks, check_choice, factors, job_of
from provenance.cli.run_job import run_and_print
from provenance.defaults import REPLY_TOKENS
from provenance.errors import InputError

Causal = Annotated[
    bool,
    typer.Option(
        "--causal",
        help="Also scale the H-Neurons of both models by 0 and by 2, beside other neurons, and see what "
        "becomes of the answers. Takes many forward passes.",
    ),
]
Behaviour = Annotated[
    list[str] | None,
    typer.Option(
        "--behaviour",
        metavar="FILE",
        help="Also ask both models this benchmark (or lab/family/name) with the H-Neurons scaled by --alphas, beside "
        "other neurons, and see how often they yield, as `intervene` does; repeatable. Takes many forward passes.",
    ),
]
Items = Annotated[
    int | None,
    typer.Option(
        "--items",
        min=1,
        metavar="N",
        show_default="as --limit",
        help="Use N items of each benchmark of --behaviour, and N plain questions of each set (100).",
    ),
]
ReplyTokens = Annotated[
    int,
    typer.Option("--reply-tokens", min=1, metavar="N", help="Most new tokens of a free reply to --behaviour."),
]
ControlName = Annotated[
    Literal["permuted-index", "permuted-labels", "unrelated"] | None,
    typer.Option(
        "--control",
        help="Run a negative control instead, in which nothing may come out as supported: base neurons under "
        "wrong numbers, shuffled training labels, or another model that reads the base's answers.",
    ),
]
OtherModel = Annotated[
    str | None,
    typer.Option("--other", metavar="REF", help="The model of --control unrelated; randomly initialised if not given."),
]


@asks
def compare(
    asked: dict[str, Any],
    base: Base = None,
    instruct: Instruct = None,
    family: FamilyName = None,
    db: Database = DEFAULT_DATABASE,
    captures: Captures = None,
    out: Out = None,
    weights_only: Annotated[
        bool, typer.Option("--weights-only", help="Lineage, mapping and drift of --neurons; runs no model.")
    ] = False,
    neurons: Neurons = None,
    causal: Causal = False,
    behaviour: Behaviour = None,
    alphas: Alphas = ALPHAS,
    sets: Sets = None,
    items: Items = None,
    reply_tokens: ReplyTokens = REPLY_TOKENS,
    neutral_text: NeutralText = None,
    control: ControlName = None,
    other: OtherModel = None,
    replicates: Replicates = 1,
    stream: Stream = False,
    no_figures: NoFigures = False,
    dry_run: DryRun = False,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare BASE and INSTRUCT: H-Neurons, transfer, drift, overlap.

    Figures and report follow. Resumes where it stopped.
    """
    pair = named_pair(base, instruct, family)
    _check_weights_options(
        neurons,
        asked=bool(asked["questions"]) or asked["limit"] is not None or asked["responses"] is not None,
        weights_only=weights_only,
        stream=stream,
        running={
            "--causal": causal, "--behaviour": bool(behaviour), "--alphas": alphas != ALPHAS,
            "--sets": sets is not None, "--items": items is not None, "--reply-tokens": reply_tokens != REPLY_TOKENS,
            "--neutral-text": bool(neutral_text), "--replicates": replicates > 1,
        },
    )  # fmt: skip
    check_choice(asked["C"], asked["select"], neurons)
    _check_control(control, other, neurons, weights_only=weights_only)
    if neurons is not None and weights_only and not dry_run:
        compare_weights(
            pair,
            neurons,
            db,
            out,
            figures=not no_figures,
            stream=stream,
            seed=seed,
            verbose=verbose,
            as_json=as_json,
            quiet=quiet,
        )
        return
    more: dict[str, Any] = {"neurons": neurons, "causal": causal, "control": control, "other": other, "seed": seed}
    more |= {"replicates": replicates, "behaviour": tuple(behaviour or ()), "alphas": factors(alphas)}
    texts = tuple(map(str, neutral_text or ()))
    more |= {"sets": sets, "items": items, "reply_tokens": reply_tokens, "neutral_text": texts}
    job = job_of(*pair, asked, **more)
    if dry_run:
        show_plan("compare", works_of(job), job.dtype, job.device, as_json=as_json)
        return
    how: dict[str, Any] = {"figures": not no_figures, "as_json": as_json, "quiet": quiet, "captures": captures}
    run_and_print(job, db, out, verbose=verbose, **how)


def _check_weights_options(
    neurons: Path | None,
    *,
    asked: bool,
    weights_only: bool,
    stream: bool,
    running: Mapping[str, bool],
) -> None:
    """Refuse options that need each other or exclude each other; `running` are those that need models."""
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
            found="--responses, --questions or --limit",
            remedy="leave it or --weights-only out",
        )
    for option, given in running.items():
        if weights_only and given:
            raise InputError(
                "models to run", found=f"{option} with --weights-only, which runs none", remedy="leave one out"
            )


def _check_control(control: str | None, other: str | None, neurons: Path | None, *, weights_only: bool) -> None:
    """Refuse a negative control that does not apply."""
    if other is not None and control != "unrelated":
        raise InputError(
            "--other REF with --control unrelated",
            found=f"--other {other} alone" if control is None else f"--other {other} and --control {control}",
            remedy="give --control unrelated, or leave --other out",
        )
    if control == "permuted-labels" and neurons is not None:
        raise InputError(
            "a search for the control permuted-labels, whose labels it shuffles",
            found="--neurons, a list found with true labels",
            remedy="leave --neurons out, or take another control",
        )
    if control is not None and weights_only:
        raise InputError(
            "a control of a whole comparison", found="--control and --weights-only", remedy="leave one out"
        )
