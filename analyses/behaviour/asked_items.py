"""A benchmark as one model is asked: items as prompts, without those that do not fit, and with a doubt behind them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from transformers import PreTrainedTokenizerBase

from provenance.analyses.asking.collection import identity_digest
from provenance.analyses.asking.subject import Subject
from provenance.answers.prompts import Prompt, PromptFormat
from provenance.benchmarks.items import DOUBTED, Benchmark, Item
from provenance.benchmarks.option_scores import OptionPrompt, option_prompt
from provenance.models.chat_template import between_messages
from provenance.models.loading import load_lexicon

logger = logging.getLogger(__name__)
PROBED = 32  # prompts that activity and disturbance are measured on: thousands of tokens


@dataclass(frozen=True)
class Asked:
    """A benchmark as one model is asked."""

    benchmark: Benchmark
    items: tuple[Item, ...]
    """Those that are asked; of a doubted choice, the items that the unscaled model answers right at first."""
    prompts: tuple[Prompt, ...]
    options: tuple[OptionPrompt, ...]
    """The same with their options; empty where replies are free text."""

    @property
    def probed(self) -> list[tuple[int, ...]]:
        """Prompts that activity and disturbance are measured on."""
        return [self.prompts[row].ids for row in self.probed_rows]

    @property
    def probed_rows(self) -> list[int]:
        """Their numbers: some, in an order that has nothing to do with the file."""
        return sorted(range(len(self.items)), key=lambda row: identity_digest(self.items[row].id))[:PROBED]

    @cached_property
    def prompts_sha256(self) -> str:
        """Digest of the prompts, in order."""
        return identity_digest([prompt.ids for prompt in self.prompts])

    def part(self, rows: Sequence[int]) -> "Asked":
        """Some of the items, in the given order."""
        return Asked(
            self.benchmark,
            tuple(self.items[row] for row in rows),
            tuple(self.prompts[row] for row in rows),
            tuple(self.options[row] for row in rows if self.options),
        )

    def pieces(self, size: int) -> list[list[int]]:
        """Numbers of items that are asked together: of like length, which keeps padding low."""
        order = np.argsort([len(prompt.ids) for prompt in self.prompts], kind="stable").tolist()
        return [order[start : start + size] for start in range(0, len(order), size)]

    @classmethod
    def of(
        cls, benchmark: Benchmark, items: Sequence[Item], prompts: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase
    ) -> "Asked":
        """Items with their prompts."""
        pairs = [(item, prompt) for item, prompt in zip(items, prompts, strict=True) if item.options]
        options = tuple(option_prompt(tokenizer, prompt, item.options, item.yields) for item, prompt in pairs)
        return cls(benchmark, tuple(items), tuple(prompts), options)


def written(benchmark: Benchmark, prompt: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> Asked:
    """The first message of every item as a prompt; that a doubt can follow its answer is tried as well.

    Raises:
        QuestionError: No token tells an option from the others.
        InputError: The chat template cannot put a message after an answer.
        CheckpointError: The tokenizer cannot read an item.
    """
    if benchmark.kind in DOUBTED:
        _between(prompt, tokenizer)
    rendered = [prompt.render(tokenizer, item.message) for item in benchmark.items]
    return Asked.of(benchmark, benchmark.items, rendered, tokenizer)


def rows_with_room(subject: Subject, asked: Asked) -> list[int]:
    """Numbers of the items whose prompt and reply fit the model's context."""
    context = load_lexicon(subject.checkpoint.folder, subject.tokenizer).context  # without the model
    new = 1 if asked.options else subject.settings.decoding.max_new_tokens
    return [row for row, prompt in enumerate(asked.prompts) if context is None or len(prompt.ids) + new <= context]


def short_enough(subject: Subject, asked: Asked) -> Asked:
    """Without the items whose prompt and reply do not fit the model's context."""
    kept = rows_with_room(subject, asked)
    if len(kept) == len(asked.items):
        return asked
    logger.warning("%s: %d items are longer than the context of the model and are left out", asked.benchmark.name,
                   len(asked.items) - len(kept))  # fmt: skip
    return asked.part(kept)


def second_messages(subject: Subject, first: Asked, said: Sequence[str]) -> Asked:
    """The second message of the items that were answered right, after that answer.

    Args:
        subject: The model.
        first: The first messages.
        said: What the model answered, where that is right; empty elsewhere.
    """
    right = [(item, answer) for item, answer in zip(first.items, said, strict=True) if answer]
    between = _between(subject.settings.prompt, subject.tokenizer)
    prompts = tuple(
        _second(subject.settings.prompt, subject.tokenizer, item, answer.strip(), between) for item, answer in right
    )
    items = [item for item, _ in right]
    return short_enough(subject, Asked.of(first.benchmark, items, prompts, subject.tokenizer))


def _between(prompt: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> str:
    return between_messages(tokenizer, prompt.variables) if prompt.chat else "\n"


def _second(prompt: PromptFormat, tokenizer: PreTrainedTokenizerBase, item: Item, answer: str, between: str) -> Prompt:
    """A prompt that ends with the doubt; what came before it stands where the question does."""
    tail, space = prompt.render(tokenizer, item.message).tail, "" if prompt.chat else " "
    return prompt.render(tokenizer, f"{item.message}{tail}{space}{answer}{between}{item.doubt}")
