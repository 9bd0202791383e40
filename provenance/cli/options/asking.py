"""Options of commands that ask models and fit a probe, with words, bounds and default written once for all commands."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from provenance.answers.prompts import BASE_PROMPT
from provenance.errors import InputError

if TYPE_CHECKING:
    from provenance.analyses.jobs.compare_job import Job

DEFAULT_BASE_PROMPT = BASE_PROMPT.replace("\n", "\\n")

Questions = Annotated[
    list[str] | None,
    typer.Option(
        "--questions",
        metavar="NAME|FILE",
        help="Question set; repeat it. The first one finds and tests the H-Neurons, all of them test transfer. "
        "Lab families bring their own.",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=10, metavar="N", help="Use N questions of each set.")]
Samples = Annotated[int, typer.Option(min=1, help="Samples per training question, which is kept if all agree.")]
TrainPerClass = Annotated[int, typer.Option(min=1, help="Consistent training responses wanted of each class.")]
TestPerClass = Annotated[int, typer.Option(min=1, help="Test responses wanted of each class.")]
BasePrompt = Annotated[str, typer.Option(help="Prompt of the base model, with {question}; \\n is a line break.")]
InstructPrompt = Annotated[str, typer.Option(help="User message to the instruct model, with {question}.")]
InstructTemplate = Annotated[
    Literal["chat", "none"], typer.Option(help="Put the instruct prompt into the chat template, or not.")
]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Maximal length of a response.")]
ProbeDesign = Annotated[Literal["3-vs-1", "1-vs-1"], typer.Option(help="Rows of the probe.")]
FreeIntercept = Annotated[bool, typer.Option("--free-intercept", help="Leave |b| out of the probe's penalty.")]
Select = Annotated[
    Literal["one-se", "paper"],
    typer.Option(
        help="How C is chosen: the sparsest probe within one standard error of the best validation accuracy, or "
        "by the paper's rule, which adds the accuracy with the H-Neurons suppressed and asks the model for it."
    ),
]
Strength = Annotated[
    float | None, typer.Option("--C", metavar="C", help="Inverse regularisation strength, instead of --select.")
]
Device = Annotated[str, typer.Option(help="Device, as torch names it.")]
Dtype = Annotated[Literal["float32", "bfloat16", "float16"], typer.Option(help="Dtype of the forward passes.")]
Attention = Annotated[str | None, typer.Option(help="Attention implementation, as transformers names it.")]
CapturedDtype = Annotated[
    Literal["float32", "float16"], typer.Option(help="Dtype of captured activations on disk; float16 halves them.")
]
Quick = Annotated[
    bool,
    typer.Option("--quick", help="A first look, with few control sets, shuffles and half-samples: coarser p-values."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Questions per batch.")]


def check_choice(C: float | None, select: str, neurons: object = None) -> None:
    """Refuse an invalid C, and two ways of choosing the neurons at once.

    Raises:
        InputError: C is not a positive number, or is given beside a rule or a file that already decides.
    """
    if C is not None and not 0 < C < float("inf"):
        raise InputError("a positive number for --C", found=f"{C:g}", remedy="give for example --C 1")
    ways = {"--C": C is not None, "--select paper": select == "paper", "--neurons": neurons is not None}
    found = [name for name, given in ways.items() if given]
    if len(found) > 1:
        raise InputError(
            "one way to come by the H-Neurons", found=" and ".join(found), remedy="leave all of these out but one"
        )


def asked_job(
    base: str,
    instruct: str,
    *,
    questions: list[str] | None,
    base_prompt: str,
    instruct_prompt: str,
    instruct_template: str,
    free_intercept: bool,
    quick: bool,
    **same: Any,
) -> "Job":
    """The job for options as typed; options with the name of a job's field pass through `same`."""
    from provenance.analyses.jobs.compare_job import Job
    from provenance.analyses.jobs.effort import FULL, QUICK

    return Job(
        base,
        instruct,
        questions=tuple(questions or ()),
        base_prompt=base_prompt.replace("\\n", "\n"),
        instruct_prompt=instruct_prompt.replace("\\n", "\n"),
        chat=instruct_template == "chat",
        intercept_penalised=not free_intercept,
        effort=QUICK if quick else FULL,
        **same,
    )
