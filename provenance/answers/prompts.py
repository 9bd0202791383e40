"""Prompts as token ids, with the role of every token.

A prompt is frame + question + frame: a chat template is rendered once, and is text from then on (`chat_template.py`).
So the question's place is known, and character offsets give each token's role.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from provenance.checkpoints.opening import tokenizing
from provenance.errors import InputError
from provenance.models.chat_template import Frame, Variables, chat_frame
from provenance.models.token_text import special_ids
from provenance.records import Region

INSTRUCT_PROMPT = "{question} Respond with the answer only, without any explanation."  # Gao et al. 2025, Sec. 6.1.1
BASE_PROMPT = "{question}\nAnswer:"  # Gao et al. 2025, Sec. 6.3.1


@dataclass(frozen=True)
class Prompt:
    """One prompt as the model receives it."""

    text: str
    ids: tuple[int, ...]
    """Token ids; exactly one BOS if the tokenizer or its chat template adds one."""
    regions: tuple[Region, ...]
    """Role of every token: special, template or question."""
    tail: str = ""
    """Text after the question."""
    completed: bool = True
    """Whether the tokenizer added its special tokens; a chat template writes them out."""


@dataclass(frozen=True)
class PromptFormat:
    """Turns a question into a prompt."""

    template: str
    """Text with `{question}` in it."""
    chat: bool
    """Whether the text becomes the user's message in the tokenizer's chat template."""
    variables: Variables = ()
    """What the user sets in the chat template."""
    frame: Frame | None = None
    """What one checkpoint's chat template makes of it; None before `framed`, and without a chat template."""

    def __post_init__(self) -> None:
        if self.template.count("{question}") != 1:
            raise InputError(
                "a prompt template with {question} in it once",
                found=repr(self.template),
                remedy=f"write it like {BASE_PROMPT!r}",
            )

    def framed(self, tokenizer: PreTrainedTokenizerBase) -> "PromptFormat":
        """The same format with the frame that a checkpoint's chat template gives it, which is part of its identity.

        Raises:
            InputError: See `chat_frame`; or there are template variables and no chat template to set them in.
        """
        if not self.chat and self.variables:
            raise InputError(
                "a chat template for --template-arg",
                found="--instruct-template none",
                remedy="leave one of the two out",
            )
        if not self.chat or self.frame is not None:
            return self
        before, after = self.template.split("{question}")
        return replace(self, frame=chat_frame(tokenizer, before, after, self.variables))

    def render(self, tokenizer: PreTrainedTokenizerBase, question: str) -> Prompt:
        """The prompt for one question.

        Raises:
            InputError: See `framed`.
            CheckpointError: The tokenizer cannot read it; its regular expressions may have no end over some texts.
        """
        prefix, suffix = self._around(tokenizer)
        span = (len(prefix), len(prefix) + len(question))
        return tokenized(tokenizer, prefix + question + suffix, [span], suffix, completed=not self.chat)

    def closing_ids(self, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
        """The token with which the chat template closes a turn, if it is one."""
        frame = self.framed(tokenizer).frame
        return frozenset() if frame is None else frame.closing_ids(tokenizer)

    def _around(self, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
        frame = self.framed(tokenizer).frame
        before, after = self.template.split("{question}")
        return (before, after) if frame is None else (frame.prefix, frame.suffix)


def tokenized(
    tokenizer: PreTrainedTokenizerBase, text: str, questions: Sequence[tuple[int, int]], tail: str, *, completed: bool
) -> Prompt:
    """A prompt from its text, with the ranges of characters that are questions; see `Prompt` for the others.

    Raises:
        InputError: It begins with two BOS tokens.
        CheckpointError: See `PromptFormat.render`.
    """
    with tokenizing(text):
        encoded = tokenizer(text, add_special_tokens=completed, return_offsets_mapping=True)
    ids, offsets = _without_trailing_eos(tokenizer, encoded["input_ids"], encoded["offset_mapping"])
    _require_one_bos(tokenizer, ids)
    special = special_ids(tokenizer)
    names = [_role(token, offset, special, questions) for token, offset in zip(ids, offsets, strict=True)]
    return Prompt(text, tuple(ids), as_regions(names), tail, completed)


def continued(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, text: str) -> Iterator[Sequence[int]]:
    """Tokenisations of a text after a prompt, the most natural one first.

    Raises:
        CheckpointError: See `PromptFormat.render`.
    """
    with tokenizing(text):
        together = tokenizer(prompt.text + text, add_special_tokens=prompt.completed)["input_ids"]
        alone = tokenizer(text, add_special_tokens=False)["input_ids"]
    if tuple(together[: len(prompt.ids)]) == prompt.ids:
        yield together[len(prompt.ids) :]
    yield alone


def _without_trailing_eos(
    tokenizer: PreTrainedTokenizerBase, ids: list[int], offsets: list[tuple[int, int]]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Drop the EOS that some tokenizers append; the closing of a chat template has an extent and stays."""
    while ids and ids[-1] == tokenizer.eos_token_id and offsets[-1][0] == offsets[-1][1]:
        ids, offsets = ids[:-1], offsets[:-1]
    return ids, offsets


def _require_one_bos(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> None:
    bos = tokenizer.bos_token_id
    if bos is not None and bos != tokenizer.eos_token_id and ids[:2] == [bos, bos]:
        raise InputError(
            "exactly one BOS token",
            found="two at the start of the prompt",
            remedy="the prompt template must not spell out the BOS token that the tokenizer adds",
        )


def _role(token: int, offset: tuple[int, int], special: frozenset[int], questions: Sequence[tuple[int, int]]) -> str:
    if token in special:
        return "special"
    overlaps = any(offset[0] < stop and offset[1] > start for start, stop in questions)
    return "question" if overlaps else "template"


def as_regions(names: Sequence[str], start: int = 0) -> tuple[Region, ...]:
    """Runs of equal names as half-open ranges of positions, from `start` on."""
    regions: list[Region] = []
    for position, name in enumerate(names, start):
        if regions and regions[-1].name == name:
            regions[-1] = Region(regions[-1].name, regions[-1].start, position + 1)
        else:
            regions.append(Region(name, position, position + 1))  # type: ignore[arg-type]
    return tuple(regions)
