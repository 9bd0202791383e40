"""Responses that exist, in the tokens of a model that reads them.

A text is tokenised after its prompt and has to come out as it went in; where no tokenisation does that, the response is
dropped with a reason, because the exact tokens the model read are unknown. A prompt is text as it was given to the
model, or a conversation that the model's chat template turns into text.

Choice: of a prompt as text, all tokens but special ones count as the question, since nothing says what of it is not.
BOS is added where the tokenizer adds one and the text does not begin with it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from transformers import PreTrainedTokenizerBase

from provenance.answers.collect_responses import LOST, NO_SPAN, UNCLOSED
from provenance.answers.prompts import Prompt, continued, tokenized
from provenance.answers.spans import reasoning_unclosed, response_regions
from provenance.errors import InputError
from provenance.models.chat_template import Variables, conversation_pieces
from provenance.models.loading import Lexicon
from provenance.models.token_text import decode_response
from provenance.records import LABEL_OF_FILE, Label, Region, Response, Split, Stage
from provenance.responses.response_rows import GivenRow, Message

Asked = str | tuple[Message, ...]
"""A prompt as text, or a conversation."""
TAIL_LINES = 2  # of a prompt as text: where a template opens a block of reasoning, and the line break after it


@dataclass(frozen=True)
class Given:
    """Responses of one model to the questions of a pool."""

    responses: tuple[Response, ...]
    """In the order of the pool's questions."""
    asked: Mapping[str, Asked]
    """What the model was asked, by question."""
    variables: Variables = ()
    """What the user sets in chat templates."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that is read of them, in order, and what was asked."""
        rows = [
            [each.question_id, each.unit, each.split, each.label, each.reason, each.text, each.span, each.prompt_ids,
             each.response_ids, self.asked[each.question_id]]
            for each in self.responses
        ]  # fmt: skip
        return hashlib.sha256(json.dumps([rows, self.variables]).encode()).hexdigest()


@dataclass(frozen=True)
class GivenReading:
    """The prompts of a model for answers of another: its own for the question, or else the one they were given to."""

    own: Given
    """Of the model whose prompts they are."""
    others: Given
    """Of the model that gave the answers."""
    lead: str

    def prompt_of(self, tokenizer: PreTrainedTokenizerBase, _question: str, response: Response) -> Prompt | None:
        """See `Placing`; None for a conversation where the reading model has no chat template."""
        asked = self.own.asked.get(response.question_id, self.others.asked[response.question_id])
        if not isinstance(asked, str) and not tokenizer.chat_template:
            return None
        return prompt_of(tokenizer, asked, self.own.variables)

    def recorded(self) -> dict[str, Any]:
        """See `Placing`."""
        return {"prompts_of": [self.own.digest, self.others.digest], "lead": self.lead}


def prompt_of(tokenizer: PreTrainedTokenizerBase, asked: Asked, variables: Variables = ()) -> Prompt:
    """A prompt in a model's tokens.

    Raises:
        InputError: It is a conversation and there is no chat template, or the template refuses it; or it begins with
            two BOS tokens.
        CheckpointError: The tokenizer cannot read it.
    """
    if isinstance(asked, str):
        bos = tokenizer.bos_token
        tail = "\n".join(asked.split("\n")[-TAIL_LINES:])
        completed = not (bos and asked.startswith(str(bos)))
        return tokenized(tokenizer, asked, [(0, len(asked))], tail, completed=completed)
    first, *pieces = conversation_pieces(tokenizer, tuple(role for role, _ in asked), variables)
    text, contents = first, list[tuple[int, int]]()
    for (_, content), piece in zip(asked, pieces, strict=True):
        contents.append((len(text), len(text) + len(content)))
        text += content + piece
    return tokenized(tokenizer, text, contents, pieces[-1], completed=False)


def placed(lexicon: Lexicon, row: GivenRow, label: Label, split: Split, stage: Stage, variables: Variables) -> Response:
    """A row as a response of a model; dropped, with the reason, if it has no answer or cannot be told in its tokens.

    Raises:
        InputError: The prompt cannot be made, or prompt and response are longer than the model's context; the message
            names the line.
        CheckpointError: See `prompt_of`; or the tokenizer belongs to another model.
    """
    prompt = _prompt(lexicon.tokenizer, row, stage, variables)
    ids, regions, reason = _read(lexicon.tokenizer, prompt, row)
    if lexicon.context is not None and len(prompt.ids) + len(ids) > lexicon.context:
        raise InputError(
            f"at most {lexicon.context} tokens, the context of the {stage} model, on {row.where}",
            found=f"{len(prompt.ids)} of the prompt and {len(ids)} of the response",
            remedy="shorten the prompt, or leave the line out",
        )
    lexicon.require_known([*prompt.ids, *ids])
    return Response(
        question_id=row.id,
        unit=row.group,
        split=split,
        label="dropped" if reason else label,
        reason=reason,
        n_samples=1,
        n_right=int(label == "faithful"),
        text=row.response,
        label_source=LABEL_OF_FILE,
        prompt_ids=prompt.ids,
        response_ids=ids,
        regions=regions,
        samples=(row.response,),
        judged_label=label,
        span=row.span,
    )


def _prompt(tokenizer: PreTrainedTokenizerBase, row: GivenRow, stage: Stage, variables: Variables) -> Prompt:
    remedy = f'give what the {stage} model was given as text: "prompt" in place of "messages", "stage": "{stage}"'
    if not isinstance(row.asked, str) and not tokenizer.chat_template:
        raise InputError(f"a chat template of the {stage} model, for {row.where}", found="none", remedy=remedy)
    try:
        return prompt_of(tokenizer, row.asked, variables)
    except InputError as error:
        raise type(error)(f"{error.wanted}, for {row.where}", found=error.found, remedy=remedy) from error


def _read(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, row: GivenRow
) -> tuple[tuple[int, ...], tuple[Region, ...], str]:
    """Token ids and roles of all tokens of a response, and why it is dropped, if it is."""
    spellings = map(tuple, continued(tokenizer, prompt, row.response))
    ids = next((ids for ids in spellings if decode_response(tokenizer, prompt.ids, ids) == row.response), ())
    if not ids:
        return (), (), LOST
    regions = response_regions(tokenizer, prompt, ids, row.span)
    if row.span is None and reasoning_unclosed(row.response, prompt.tail):
        return ids, regions, UNCLOSED
    return ids, regions, "" if any(region.name == "answer" for region in regions) else NO_SPAN
