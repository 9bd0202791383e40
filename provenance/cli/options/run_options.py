"""Options of commands that ask models and fit a probe, with words, bounds and default written once for all commands."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from provenance.answers.prompts import BASE_PROMPT, INSTRUCT_PROMPT
from provenance.defaults import AUTO, BATCH_SIZE, MAX_NEW_TOKENS, PER_CLASS, SAMPLES_PER_QUESTION
from provenance.errors import InputError
from provenance.records import OtherTokens

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
Responses = Annotated[
    Path | None,
    typer.Option(
        "--responses",
        metavar="FILE",
        help="Take responses that exist, in place of asking: JSON Lines of prompt or messages, response, label, group, "
        "and stage (base or instruct) or checkpoint. Any two labels: refusal, sycophancy, errors.",
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(
        "--positive",
        metavar="LABEL",
        help="The label of --responses that the neurons are searched for; hallucinated where the other one is "
        "faithful.",
    ),
]
ConceptName = Annotated[
    str | None,
    typer.Option(
        "--concept", metavar="NAME", help="What tables and the report call it; by default the positive label."
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
TemplateArgs = Annotated[
    list[str] | None,
    typer.Option(
        "--template-arg",
        metavar="NAME=VALUE",
        help="Variable of the chat template, such as enable_thinking=true; repeat it. Thinking is off where the "
        "template knows how, and strftime_now=2025-12-01 is the day it is told.",
    ),
]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Maximal length of a response.")]
ProbeDesign = Annotated[Literal["3-vs-1", "1-vs-1"], typer.Option(help="Rows of the probe.")]
FreeIntercept = Annotated[bool, typer.Option("--free-intercept", help="Leave |b| out of the probe's penalty.")]
Select = Annotated[
    Literal["one-se", "paper"],
    typer.Option(
        help="How C is chosen: the sparsest probe within one standard error of the best cross-validated accuracy, or "
        "by the paper's rule, which adds the accuracy with the H-Neurons suppressed and asks the model for it."
    ),
]
Strength = Annotated[
    float | None, typer.Option("--C", metavar="C", help="Inverse regularisation strength, instead of --select.")
]
Device = Annotated[
    str,
    typer.Option(
        "--device", help="Device of the forward passes, as torch names it; auto: a GPU of CUDA or ROCm if there is one."
    ),
]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(
        "--dtype", help="Dtype of the forward passes; auto: float32 on a CPU, elsewhere two bytes as the weights have."
    ),
]
Offload = Annotated[
    bool,
    typer.Option(
        "--offload", help="Let memory, and then the disk, take the layers that the device has no room for; slow."
    ),
]
Attention = Annotated[str | None, typer.Option(help="Attention implementation, as transformers names it.")]
CapturedDtype = Annotated[
    Literal["float32", "float16"], typer.Option(help="Dtype of captured activations on disk; float16 halves them.")
]
OtherRegions = Annotated[
    OtherTokens,
    typer.Option(
        "--other-tokens",
        help="Tokens beside the answer's in the probe's rows: all (as in the paper), without special ones, or neither "
        "special nor of the template.",
    ),
]
ALPHAS = "0,0.5,1,1.5,2,2.5,3"  # Gao et al. 2025, Sec. 3
Alphas = Annotated[
    str, typer.Option("--alphas", metavar="LIST", help="Factors on the neurons' activations, 1 = unchanged.")
]
Sets = Annotated[
    int | None,
    typer.Option(
        "--sets", min=1, metavar="N", show_default="20 a benchmark", help="Control sets of each of the three kinds."
    ),
]
NeutralText = Annotated[
    list[Path] | None,
    typer.Option(
        "--neutral-text",
        metavar="FILE",
        help="A text of your own, in passages between blank lines, whose perplexity is measured under every factor. "
        "Repeat it.",
    ),
]
Quick = Annotated[
    bool,
    typer.Option("--quick", help="A first look, with few control sets, shuffles and half-samples: coarser p-values."),
]
Judge = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="URL",
        help="Judge answers by a model at an OpenAI-compatible server (the address before /chat/completions), in "
        "place of the rule. On the scaled benchmarks of compare it also reads replies of which the rule is not sure. "
        "Its key is read from PROVENANCE_JUDGE_KEY.",
    ),
]
JudgeModel = Annotated[str | None, typer.Option(metavar="NAME", help="The judging model's name at that server.")]
AgreeingOnly = Annotated[
    bool, typer.Option("--agreeing-only", help="Leave out questions on which the judging model and the rule differ.")
]
Sampling = Annotated[
    Literal["transformers", "vllm", "openai", "ray"],
    typer.Option(
        "--engine",
        help="What samples answers: the models loaded here, by transformers or by vLLM; servers with OpenAI's "
        "interface; or the workers of a Ray cluster, which also read them.",
    ),
]
BaseUrl = Annotated[
    list[str] | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Server of --engine openai (the address before /completions, such as http://localhost:8000/v1); repeat it "
        "if each model has its own. Models are found by their names. The key is read from PROVENANCE_ENGINE_KEY.",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Cluster of --engine ray, or auto on one of its machines; without it Ray is started on this machine.",
    ),
]
RayWorkers = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Models at work at once with --engine ray; one on each GPU, or else on each machine."
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Questions per batch, of each worker.")]


def factors(text: str) -> tuple[float, ...]:
    """The numbers of --alphas.

    Raises:
        InputError: One is none.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            "factors separated by commas for --alphas", found=repr(text), remedy="write them like 0,0.5,1,2,3"
        ) from error


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


def template_variables(written: Sequence[str]) -> tuple[tuple[str, object], ...]:
    """Names and values of --template-arg, by name; a value is JSON, Python's True, False or None, or text.

    Raises:
        InputError: One has another form, or a name is there twice.
    """
    found: dict[str, object] = {}
    for text in written:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier() or name in found:
            raise InputError(
                "--template-arg NAME=VALUE, once for each name",
                found=repr(text),
                remedy="write it like --template-arg enable_thinking=true",
            )
        try:
            found[name] = json.loads({"True": "true", "False": "false", "None": "null"}.get(value, value))
        except ValueError:
            found[name] = value
    return tuple(sorted(found.items()))


def _options(
    questions: Questions = None,
    responses: Responses = None,
    positive: Positive = None,
    concept: ConceptName = None,
    limit: Limit = None,
    samples: Samples = SAMPLES_PER_QUESTION,
    train_per_class: TrainPerClass = PER_CLASS,
    test_per_class: TestPerClass = PER_CLASS,
    base_prompt: BasePrompt = DEFAULT_BASE_PROMPT,
    instruct_prompt: InstructPrompt = INSTRUCT_PROMPT,
    instruct_template: InstructTemplate = "chat",
    template_arg: TemplateArgs = None,
    max_new_tokens: MaxNewTokens = MAX_NEW_TOKENS,
    design: ProbeDesign = "3-vs-1",
    free_intercept: FreeIntercept = False,
    select: Select = "one-se",
    C: Strength = None,
    device: Device = AUTO,
    dtype: Dtype = AUTO,
    offload: Offload = False,
    attn_implementation: Attention = None,
    capture_dtype: CapturedDtype = "float32",
    other_tokens: OtherRegions = "all",
    judge: Judge = None,
    judge_model: JudgeModel = None,
    agreeing_only: AgreeingOnly = False,
    engine: Sampling = "transformers",
    base_url: BaseUrl = None,
    ray_address: RayAddress = None,
    ray_workers: RayWorkers = None,
    batch_size: BatchSize = BATCH_SIZE,
    quick: Quick = False,
) -> None:
    """Options of every command that asks models and fits a probe."""


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `_options`; it gets their values by name as `asked`."""
    own, shared = (signature(function).parameters for function in (command, _options))
    parameters = [*(part for name, part in own.items() if name != "asked"), *shared.values()]

    @wraps(command)
    def run(**given: Any) -> None:
        asked = {name: given.pop(name) for name in shared}
        command(**given, asked=asked)

    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    run.__annotations__ = {part.name: part.annotation for part in parameters}
    return run


def job_of(base: str, instruct: str, asked: Mapping[str, Any], **more: Any) -> "Job":
    """The job of options as they were typed; those that a job has under the same name pass through."""
    from provenance.analyses.jobs.compare_job import Job
    from provenance.analyses.jobs.effort import FULL, QUICK

    same = dict(asked)
    return Job(
        base,
        instruct,
        questions=tuple(same.pop("questions") or ()),
        base_prompt=same.pop("base_prompt").replace("\\n", "\n"),
        instruct_prompt=same.pop("instruct_prompt").replace("\\n", "\n"),
        chat=same.pop("instruct_template") == "chat",
        base_url=tuple(same.pop("base_url") or ()),
        template_args=template_variables(same.pop("template_arg") or ()),
        intercept_penalised=not same.pop("free_intercept"),
        effort=QUICK if same.pop("quick") else FULL,
        **same,
        **more,
    )
