"""What is refused of a comparison before any work: options that contradict each other, and a pair the wrong way round.

The same for the command line, a study, and Python.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from provenance.analyses.asking.collection import CollectionSettings
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.behaviour.asked_items import written
from provenance.analyses.behaviour.scaled_benchmarks import ScaledBenchmarks, free_prompt
from provenance.analyses.behaviour.side_effects import windows_of
from provenance.analyses.jobs.effort import QUICK
from provenance.answers.prompts import PromptFormat
from provenance.answers.questions import QuestionSet
from provenance.benchmarks.items import Benchmark
from provenance.benchmarks.reply_judge import ReplyJudge
from provenance.defaults import LARGEST_SEED
from provenance.errors import InputError
from provenance.hub.endpoint import JUDGE, Endpoint
from provenance.language.passages import Passages
from provenance.models.loading import load_lexicon
from provenance.records import Stage

logger = logging.getLogger(__name__)
COUNTS = (
    "limit", "samples", "train_per_class", "test_per_class", "max_new_tokens", "batch_size", "replicates", "sets",
    "items", "reply_tokens",
)  # fmt: skip
"""Settings that count something."""
OF_BENCHMARKS: Mapping[str, str] = {
    "alphas": "--alphas", "sets": "--sets", "items": "--items", "reply_tokens": "--reply-tokens",
    "neutral_text": "--neutral-text",
}  # fmt: skip
"""Settings of benchmarks that are asked with neurons scaled."""
ASKING: Mapping[str, str] = {
    "questions": "--questions",
    "samples": "--samples",
    "train_per_class": "--train-per-class",
    "test_per_class": "--test-per-class",
    "base_prompt": "--base-prompt",
    "instruct_prompt": "--instruct-prompt",
    "chat": "--instruct-template none",
    "max_new_tokens": "--max-new-tokens",
    "judge": "--judge",
    "judge_model": "--judge-model",
    "agreeing_only": "--agreeing-only",
    "engine": "--engine",
    "base_url": "--base-url",
    "ray_address": "--ray-address",
    "ray_workers": "--ray-workers",
    "replicates": "--replicates, which draws answers anew",
    "causal": "--causal, which asks questions with neurons scaled",
    "behaviour": "--behaviour, which asks benchmarks with neurons scaled",
    "select": "--select paper, which asks questions with neurons suppressed",
}
"""Settings of asking, and the options that change them."""
OF_RESPONSES: Mapping[str, str] = {"positive": "--positive", "concept": "--concept"}
"""Settings of responses that exist."""


def check_options(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse a job whose options contradict each other.

    Args:
        options: Fields of a job, by name.
        defaults: Their values where they are not given.

    Raises:
        InputError: A count is below 1; a seed or a factor is none; replicates are given beside what they cannot be; or
            responses that exist beside options of asking.
    """
    for name in COUNTS:
        value = options[name]
        if value is not None and value < 1:
            raise InputError(f"at least 1 for {name}", found=str(value), remedy="give a larger number")
    last = options["seed"] + options["replicates"] - 1
    if options["seed"] < 0 or last > LARGEST_SEED:
        found = f"{options['seed']}{f' for {each} replicates' if (each := options['replicates']) > 1 else ''}"
        raise InputError(f"seeds from 0 to {LARGEST_SEED}", found=found, remedy="give another number")
    _check_replicates(options)
    scaling = [name for name in ("causal", "behaviour") if options[name]]
    if options["control"] is not None and scaling:  # the neurons of the instruct checkpoint are the true ones
        raise InputError(
            "a negative control, in which there is nothing to find",
            found=f"--control and --{scaling[0]}",
            remedy="leave one out",
        )
    changed = [words for name, words in OF_BENCHMARKS.items() if options[name] != defaults[name]]
    if changed and not options["behaviour"]:
        raise InputError(f"--behaviour FILE with {changed[0]}", found=f"{changed[0]} alone",
                         remedy="give both, or neither")  # fmt: skip
    ScaledBenchmarks((), options["alphas"])  # refuses factors that are none, before any file is read
    _check_responses(options, defaults)


def _check_replicates(options: Mapping[str, Any]) -> None:
    beside = {
        f"--control {options['control']}": options["control"] is not None,
        "--causal": options["causal"],
        "--quick": options["effort"] == QUICK,
    }
    found = [name for name, given in beside.items() if given]
    if options["replicates"] > 1 and found:
        raise InputError(
            "replicates of a whole comparison at full effort, whose p-values can be doubled and still be small",
            found=f"{options['replicates']} replicates and {found[0]}",
            remedy="leave one out",
        )


def _check_responses(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    given = options["responses"] is not None
    changed = [words for name, words in (ASKING if given else OF_RESPONSES).items() if options[name] != defaults[name]]
    if changed and given:
        raise InputError(
            "no options of asking beside --responses, where no model is asked",
            found=f"--responses and {changed[0]}",
            remedy="leave one out",
        )
    if changed:
        raise InputError(
            "--responses FILE with --positive and --concept", found=f"{changed[0]} alone", remedy="give the file too"
        )


def check_names(sets: Sequence[QuestionSet | Benchmark | Passages]) -> None:
    """Refuse question sets, benchmarks and texts of one name, by which results are kept.

    Raises:
        InputError: Two have one name.
    """
    names = [each.name for each in sets]
    if len(set(names)) < len(names):
        raise InputError(
            "question sets, benchmarks and texts with different names",
            found=", ".join(names),
            remedy="rename a file, or leave one out",
        )


def check_benchmarks(
    sides: Sequence[OpenCheckpoint], how: Mapping[Stage, CollectionSettings], scaling: ScaledBenchmarks
) -> None:
    """Write the prompts of every benchmark for both models, so that what cannot be asked fails before hours of work.

    Raises:
        QuestionError: No token tells an option from the others.
        InputError: A chat template cannot put a doubt after an answer.
        CheckpointError: A tokenizer cannot read an item.
    """
    for benchmark in scaling.benchmarks:
        for side in sides:
            written(benchmark, free_prompt(how[side.stage].prompt).framed(side.tokenizer), side.tokenizer)


def check_texts(sides: Sequence[OpenCheckpoint], scaling: ScaledBenchmarks) -> None:
    """Put every text into the tokens of the models, so that one that cannot be read fails before hours of work.

    Raises:
        InputError, CheckpointError: See `windows_of`.
    """
    for text in scaling.texts:
        for side in sides:
            windows_of(text, side.checkpoint.folder, side.tokenizer)


def check_order(sides: Sequence[OpenCheckpoint], *, needs_template: bool) -> None:
    """Refuse a pair that is the wrong way round: the base has a chat template, and the tuned checkpoint has none.

    Where no prompt needs a chat template it may be right, since some bases come with one, and is only told.

    Raises:
        InputError: It seems to be swapped, and prompts need the template.
    """
    templates = [bool(side.tokenizer.chat_template) for side in sides]
    having = [side for side, has in zip(sides, templates, strict=True) if has and side.stage == "base"]
    lacking = [side for side, has in zip(sides, templates, strict=True) if not has and side.stage == "instruct"]
    if not having or not lacking:
        return
    swapped = InputError(
        "the base first, then the checkpoint tuned from it",
        found=f"a chat template in {having[0].info.ref}, the base, and none in {lacking[0].info.ref}",
        remedy="the two seem to be swapped: name them the other way round; if they are not, give "
        "--instruct-template none",
    )
    if needs_template:
        raise swapped
    logger.warning("%s; if they are swapped, name them the other way round", swapped.found)


def check_room(side: OpenCheckpoint, prompt: PromptFormat, new_tokens: int) -> None:
    """Refuse a prompt that leaves no room for so many tokens of an answer, however short the question.

    Raises:
        CheckpointError: A config is of no use.
        InputError: The prompt lacks its question, or it and the answer exceed the context.
    """
    ids = prompt.render(side.tokenizer, "?").ids
    context = load_lexicon(side.checkpoint.folder, side.tokenizer).context
    if context is not None and len(ids) + new_tokens > context:
        raise InputError(
            f"a prompt and an answer of at most {context:,} tokens together, the context of {side.info.ref}",
            found=f"{len(ids):,} tokens of a prompt with a short question, and {new_tokens:,} of an answer",
            remedy="give a shorter prompt, or a smaller --max-new-tokens",
        )


def judging_endpoint(url: str | None, model: str | None, *, needed: bool = False) -> Endpoint | None:
    """The server of the judging model, with the key from the environment; None where none is asked for.

    Args:
        url: Its address.
        model: Name of the model there.
        needed: Whether another option needs one.

    Raises:
        InputError: An address without a model, or the reverse; its address or key is none; or one is needed and not
            given.
    """
    if url is not None and model:
        return Endpoint.at(url, JUDGE)
    if url is None and model is None and not needed:
        return None
    missing = [name for name, value in {"--judge": url, "--judge-model": model}.items() if not value]
    raise InputError(
        f"--judge URL and --judge-model NAME together{', as --agreeing-only needs them' if needed else ''}",
        found=f"no {' and no '.join(missing)}",
        remedy="give both, or leave all of them out for the rule",
    )


def reply_judge(url: str | None, model: str | None) -> ReplyJudge | None:
    """The judging model for replies to benchmarks of which the rule is not sure; None where none is asked for.

    Raises:
        InputError: See `judging_endpoint`.
    """
    endpoint = judging_endpoint(url, model)
    return None if endpoint is None else ReplyJudge(endpoint, model or "")
