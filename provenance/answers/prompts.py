"""Prompts as token ids, with the role of every token.

The question's place is known from rendering prefix + question + suffix; character offsets give each token's role.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from provenance.checkpoints.opening import tokenizing
from provenance.errors import InputError
from provenance.records import Region

INSTRUCT_PROMPT = "{question} Respond with the answer only, without any explanation."  # Gao et al. 2025, Sec. 6.1.1
BASE_PROMPT = "{question}\nAnswer:"  # Gao et al. 2025, Sec. 6.3.1
_MARK = "\ue000question\ue001"  # private-use characters: no template contains them


@dataclass(frozen=True)
class Prompt:
    """One prompt as the model receives it."""

    text: str
    ids: tuple[int, ...]
    """Token ids; exactly one BOS if the tokenizer or its chat template adds one."""
    regions: tuple[Region, ...]
    """Role of every token: special, template or question."""


@dataclass(frozen=True)
class PromptFormat:
    """Turns a question into a prompt."""

    template: str
    """Text with `{question}` in it."""
    chat: bool
    """Whether the text becomes the user's message in the tokenizer's chat template."""

    def __post_init__(self) -> None:
        if self.template.count("{question}") != 1:
            raise InputError(
                "a prompt template with {question} in it once",
                found=repr(self.template),
                remedy=f"write it like {BASE_PROMPT!r}",
            )

    def render(self, tokenizer: PreTrainedTokenizerBase, question: str) -> Prompt:
        """The prompt for one question.

        Raises:
            InputError: A chat format is wanted and the tokenizer has no chat template.
            CheckpointError: The tokenizer cannot read it; its regular expressions may have no end over some texts.
        """
        prefix, suffix = self._around(tokenizer)
        text = prefix + question + suffix
        with tokenizing(text):
            encoded = tokenizer(text, add_special_tokens=not self.chat, return_offsets_mapping=True)
        ids, offsets = _without_trailing_eos(tokenizer, encoded["input_ids"], encoded["offset_mapping"])
        _require_one_bos(tokenizer, ids)
        special = set(tokenizer.all_special_ids)
        span = (len(prefix), len(prefix) + len(question))
        names = [_role(token, offset, special, span) for token, offset in zip(ids, offsets, strict=True)]
        return Prompt(text, tuple(ids), as_regions(names))

    def _around(self, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
        marked = self.template.replace("{question}", _MARK)
        if self.chat:
            marked = _in_chat_template(tokenizer, marked)
        prefix, mark, suffix = marked.partition(_MARK)
        if not mark or _MARK in suffix:
            raise InputError(
                "a chat template that repeats the user's message once, unchanged",
                found=f"{marked.count(_MARK)} copies of it",
                remedy="use a base prompt (no chat template) for this checkpoint",
            )
        return prefix, suffix


def _in_chat_template(tokenizer: PreTrainedTokenizerBase, message: str) -> str:
    if not tokenizer.chat_template:
        raise InputError(
            "a tokenizer with a chat template for the instruct checkpoint",
            found="none",
            remedy="check that BASE and INSTRUCT are not swapped, or give --instruct-template none",
        )
    conversation = [{"role": "user", "content": message}]
    return str(tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True))


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


def _role(token: int, offset: tuple[int, int], special: set[int], question: tuple[int, int]) -> str:
    if token in special:
        return "special"
    overlaps = offset[0] < question[1] and offset[1] > question[0]
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
