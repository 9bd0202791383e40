"""How a model replies to a benchmark while sets of its neurons are scaled.

Every arm (a set and a factor) gets the same prompts, and its readings are kept as soon as it is done, so a killed run
loses one arm at most. A choice of options costs one pass over the prompt; only free replies are generated, greedily.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int, Int8
from transformers import PreTrainedTokenizerBase

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.activations.scaling import UNCHANGED, scaled
from provenance.analyses.asking.collection import identity_digest
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.compliance_curves import FAILED, HOLDS, YIELDS, Readings
from provenance.analyses.behaviour.compliance_sets import disturbances, prompt_activity, scaled_sets
from provenance.analyses.results.behaviour import ScaledKind
from provenance.answers.collect_responses import stop_ids_of
from provenance.answers.prompts import Prompt, PromptFormat
from provenance.answers.sampling import Decoding, LocalSampler, Sampled
from provenance.benchmarks.items import Benchmark, Item
from provenance.benchmarks.option_scores import OptionPrompt, chosen_options, option_prompt
from provenance.benchmarks.refutations import reading_of
from provenance.errors import NonFiniteError
from provenance.models.chat_template import between_messages
from provenance.models.devices import in_halves
from provenance.models.loading import LoadedModel, load_lexicon
from provenance.records import Task

logger = logging.getLogger(__name__)
FORMAT = 1  # version of the readings; raised whenever the same arm would give others
PROBED = 32  # prompts that activity and disturbance are measured on: thousands of tokens
GREEDY = Decoding(temperature=1.0, top_k=1, top_p=1.0)
READINGS = {"yields": YIELDS, "holds": HOLDS, "failed": FAILED}


@dataclass(frozen=True)
class Asked:
    """A benchmark as one model is asked."""

    benchmark: Benchmark
    items: tuple[Item, ...]
    """Those that are asked; of a doubted choice, the items that the unscaled model answers right at first."""
    prompts: tuple[Prompt, ...]
    options: tuple[OptionPrompt, ...]
    """The same with their options; empty where replies are free text."""

    @classmethod
    def of(
        cls, benchmark: Benchmark, items: Sequence[Item], prompts: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase
    ) -> "Asked":
        """Items with their prompts."""
        pairs = [(item, prompt) for item, prompt in zip(items, prompts, strict=True) if item.options]
        options = tuple(option_prompt(tokenizer, prompt, item.options) for item, prompt in pairs)
        return cls(benchmark, tuple(items), tuple(prompts), options)


def written(benchmark: Benchmark, prompt: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> Asked:
    """The first message of every item as a prompt; that a doubt can follow its answer is tried as well.

    Raises:
        QuestionError: No token tells an option from the others.
        InputError: The chat template cannot put a message after an answer.
        CheckpointError: The tokenizer cannot read an item.
    """
    if benchmark.kind == "sycophancy":
        _between(prompt, tokenizer)
    rendered = [prompt.render(tokenizer, item.message) for item in benchmark.items]
    return Asked.of(benchmark, benchmark.items, rendered, tokenizer)


def _short_enough(subject: Subject, asked: Asked) -> Asked:
    """Without the items whose prompt and reply do not fit the model's context."""
    context = load_lexicon(subject.checkpoint.folder, subject.tokenizer).context  # without the model
    new = 1 if asked.options else subject.settings.decoding.max_new_tokens
    kept = [row for row, prompt in enumerate(asked.prompts) if context is None or len(prompt.ids) + new <= context]
    if len(kept) == len(asked.items):
        return asked
    logger.warning("%s: %d items are longer than the context of the model and are left out", asked.benchmark.name,
                   len(asked.items) - len(kept))  # fmt: skip
    prompts = [asked.prompts[row] for row in kept]
    return Asked.of(asked.benchmark, [asked.items[row] for row in kept], prompts, subject.tokenizer)


def doubted(subject: Subject, first: Asked) -> Asked:
    """The second message of the items whose right option the unscaled model chooses, after that option."""
    chosen = _kept(
        subject, first, NO_NEURONS, UNCHANGED, "chosen options", lambda: _options(subject, first, NO_NEURONS, UNCHANGED)
    )
    right = [
        item for item, own in zip(first.items, chosen.tolist(), strict=True) if own == item.options.index(item.right)
    ]
    between = _between(subject.settings.prompt, subject.tokenizer)
    prompts = tuple(_second(subject.settings.prompt, subject.tokenizer, item, between) for item in right)
    return _short_enough(subject, Asked.of(first.benchmark, right, prompts, subject.tokenizer))


def _between(prompt: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> str:
    return between_messages(tokenizer, prompt.variables) if prompt.chat else "\n"


def _second(prompt: PromptFormat, tokenizer: PreTrainedTokenizerBase, item: Item, between: str) -> Prompt:
    """A prompt that ends with the doubt; what came before it stands where the question does."""
    tail, space = prompt.render(tokenizer, item.message).tail, "" if prompt.chat else " "
    return prompt.render(tokenizer, f"{item.message}{tail}{space}{item.right}{between}{item.doubt}")


def readings_of(
    subject: Subject, benchmark: Benchmark, ids: Int[np.ndarray, " k"], alphas: Sequence[float], *, sets: int, seed: int
) -> Readings:
    """Readings of a benchmark's replies with the H-Neurons and with control sets scaled by each factor.

    Args:
        subject: The model; loaded if an arm is not kept already.
        ids: Flat ids of the H-Neurons in this model, distinct; at least one.
        alphas: Factors >= 0, ascending. Where 1 is among them, the model is asked once for all sets.
        sets: Control sets of each kind.

    Raises:
        QuestionError: Options that no first token tells apart.
        InputError: Too few neurons for control sets.
        CaptureError, PairError, StoreError: See `provenance.activations.scaling.scaled` and `Subject.remembered`.
    """
    asked = _short_enough(subject, written(benchmark, subject.settings.prompt, subject.tokenizer))
    if benchmark.kind == "sycophancy":
        asked = doubted(subject, asked)
    probed, layout = _probed(asked), subject.layout
    if not probed:
        return Readings(subject.stage, benchmark.name, (), tuple(alphas), {}, ids.size, {})
    # kept, since quantiles of a measurement in another batch or on another device may draw other sets
    norm, activity = _kept(subject, asked, NO_NEURONS, UNCHANGED, "column norms and mean CETT of prompts",
                           lambda: np.stack(prompt_activity(subject.model(), probed)))  # fmt: skip
    arms = scaled_sets(ids, layout.layers, layout.d_m, norm, activity, sets=sets, seed=seed)
    total, done = sum(map(len, arms.values())), 0
    found: dict[ScaledKind, np.ndarray] = {}
    for kind, members in arms.items():
        rows: list[np.ndarray] = []
        for own in members:
            rows.append(np.stack([_arm(subject, asked, own, alpha) for alpha in alphas]))
            done += 1
            subject.clock.progress.step(f"scale {benchmark.name}", done, total, f"{kind} sets")
        found[kind] = np.stack(rows)
    moved = {kind: _disturbances(subject, asked, probed, members) for kind, members in arms.items()}
    units = tuple(item.id for item in asked.items)
    return Readings(subject.stage, benchmark.name, units, tuple(alphas), found, ids.size, moved)


def _probed(asked: Asked) -> list[tuple[int, ...]]:
    """Prompts that activity and disturbance are measured on: some, in an order that has nothing to do with the file."""
    order = sorted(range(len(asked.items)), key=lambda row: identity_digest(asked.items[row].id))
    return [asked.prompts[row].ids for row in order[:PROBED]]


def _disturbances(
    subject: Subject, asked: Asked, probed: Sequence[Sequence[int]], members: Int[np.ndarray, "sets k"]
) -> Float64[np.ndarray, " sets"]:
    def compute() -> np.ndarray:
        return disturbances(subject.model(), probed, list(members))

    return _kept(subject, asked, members.ravel(), UNCHANGED, f"disturbances of {len(members)} sets", compute)


def _arm(subject: Subject, asked: Asked, ids: Int[np.ndarray, " k"], alpha: float) -> Int8[np.ndarray, " items"]:
    """Readings of all items with a set scaled; all failed where the factor makes scores that are not finite.

    Raises:
        NonFiniteError: So are those of the unscaled model.
    """
    own = NO_NEURONS if alpha == UNCHANGED else ids
    read = _options_read if asked.options else _replies_read

    def compute() -> np.ndarray:
        try:
            return read(subject, asked, own, alpha)
        except NonFiniteError:
            if not own.size:
                raise
            logger.warning("%s: α = %g makes scores that are not finite; the arm counts as unreadable",
                           asked.benchmark.name, alpha)  # fmt: skip
            return np.full(len(asked.items), FAILED, dtype=np.int8)

    return _kept(subject, asked, own, alpha, "readings", compute)


def _kept(
    subject: Subject,
    asked: Asked,
    ids: Int[np.ndarray, " k"],
    alpha: float,
    what: str,
    compute: Callable[[], np.ndarray],
) -> np.ndarray:
    """An array about one arm, computed once; its key is everything that determines it."""
    how = subject.settings
    settings: dict[str, object] = {
        "computed": what,
        "format": FORMAT,
        "prompts_sha256": identity_digest([prompt.ids for prompt in asked.prompts]),
        "neurons": ids.tolist(),
        "alpha": alpha if ids.size else UNCHANGED,
        "max_new_tokens": how.decoding.max_new_tokens,
        "stop_at_newline": how.stop_at_newline,
        "dtype": how.dtype,
    }
    key = identity_digest([subject.checkpoint.digest, asked.benchmark.digest, settings])
    task = Task(key, subject.stage, asked.benchmark.name, subject.checkpoint.digest, asked.benchmark.digest, settings)
    return subject.remembered(task, compute)


def _options(subject: Subject, asked: Asked, ids: Int[np.ndarray, " k"], alpha: float) -> Int[np.ndarray, " items"]:
    """The option that each reply begins with, with a set scaled; see `chosen_options`."""

    def chosen(some: Sequence[OptionPrompt]) -> list[int]:
        with scaled(loaded, ids, alpha):  # of each try: hooks of one that memory ended would count its passes
            return list(map(int, chosen_options(loaded, some)))

    loaded, size, prompts = subject.model(), subject.settings.batch_size, asked.options
    order = np.argsort([len(prompt.ids) for prompt in prompts], kind="stable")  # keeps padding low
    found = np.empty(len(prompts), dtype=np.int64)
    for start in range(0, len(prompts), size):
        rows = order[start : start + size]
        found[rows] = in_halves(chosen, [prompts[row] for row in rows])
    return found


def _options_read(
    subject: Subject, asked: Asked, ids: Int[np.ndarray, " k"], alpha: float
) -> Int8[np.ndarray, " items"]:
    chosen = _options(subject, asked, ids, alpha)
    read = [
        FAILED if own < 0 else YIELDS if item.options[own] in item.yields else HOLDS
        for item, own in zip(asked.items, chosen.tolist(), strict=True)
    ]
    return np.array(read, dtype=np.int8)


def _replies_read(
    subject: Subject, asked: Asked, ids: Int[np.ndarray, " k"], alpha: float
) -> Int8[np.ndarray, " items"]:
    """Greedy replies, read by the rule of refutations; one that is cut off before it refutes anything has failed."""
    loaded, how = subject.model(), subject.settings
    stops = stop_ids_of(loaded.lexicon, how.prompt, newline=how.stop_at_newline)
    decoding = replace(GREEDY, max_new_tokens=how.decoding.max_new_tokens)
    read: list[int] = []
    for start in range(0, len(asked.items), how.batch_size):
        part = slice(start, start + how.batch_size)
        with scaled(loaded, ids, alpha):
            draw = LocalSampler(loaded).prompted(asked.prompts[part], decoding, stops)
            replies = draw(range(len(asked.items[part])), range(1), 0)
        read += [
            _reading(loaded, samples[0], item, decoding.max_new_tokens)
            for item, samples in zip(asked.items[part], replies, strict=True)
        ]
    return np.array(read, dtype=np.int8)


def _reading(loaded: LoadedModel, sampled: Sampled, item: Item, most: int) -> int:
    text = sampled if isinstance(sampled, str) else loaded.tokenizer.decode(sampled, skip_special_tokens=True)
    reading = READINGS[reading_of(text, item.message)]
    return FAILED if reading == YIELDS and len(sampled) >= most else reading
