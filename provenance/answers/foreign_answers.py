"""One model's answers in another model's prompt, in tokens of the reading model.

Two models share text, not tokens. An answer is tokenised again after the reading model's own prompt, and its
position is looked up in the token ids that this model gets. An answer whose tokens do not spell it is left out.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, runtime_checkable

from transformers import PreTrainedTokenizerBase

from provenance.answers.prompts import Prompt, PromptFormat, continued
from provenance.answers.spans import answer_span, lead_of, response_regions, span_of
from provenance.models.token_text import decode_response
from provenance.records import Response


@runtime_checkable
class Placing(Protocol):
    """Gives the prompt that an answer is appended to."""

    @property
    def lead(self) -> str:
        """Text between the prompt and the answer; see `usual_lead`."""

    def prompt_of(self, tokenizer: PreTrainedTokenizerBase, question: str, response: Response) -> Prompt | None:
        """The prompt for the question of a response; None if the reading model has none."""

    def recorded(self) -> dict[str, Any]:
        """Its part of a task's identity."""


@dataclass(frozen=True)
class Reading:
    """One prompt format for all answers."""

    prompt: PromptFormat
    lead: str

    def prompt_of(self, tokenizer: PreTrainedTokenizerBase, question: str, _response: Response) -> Prompt:
        """See `Placing`; raises the errors of `PromptFormat.render`."""
        return self.prompt.render(tokenizer, question)

    def recorded(self) -> dict[str, Any]:
        """See `Placing`."""
        return asdict(self)


def usual_lead(responses: Iterable[Response]) -> str:
    """Most frequent text before the answer in responses to one prompt: white space, and the close of reasoning.

    Choice: the most frequent among kept responses, so another model's answer begins where the reading model's own do;
    ties go to the shortest, then to the first in the alphabet. Empty without a kept response.
    """
    texts = [response.text for response in responses if response.is_answer]
    counts = Counter(map(lead_of, texts))
    return min(counts, key=lambda lead: (-counts[lead], len(lead), lead), default="")


def forced(tokenizer: PreTrainedTokenizerBase, reading: Placing, question: str, response: Response) -> Response | None:
    """A response as another model reads it: its answer alone, in that model's prompt and tokens.

    Choice: only the answer span is taken; later text cannot change a causal model's states on the answer's tokens. Text
    before a span that came with the response stays, since it may be what leads to the answer.

    Returns:
        The same record (label and unit too) with new text, ids and regions, without samples; None if there is no
        answer or no prompt, or if no tokenisation decodes to its characters.

    Raises:
        InputError: The format wants a chat template and the tokenizer has none.
    """
    start, stop = span_of(response)
    answer, given = response.text[start:stop], response.span
    prompt = reading.prompt_of(tokenizer, question, response) if answer else None
    if prompt is None:
        return None
    for ids in continued(tokenizer, prompt, reading.lead + answer if given is None else response.text[:stop]):
        text = decode_response(tokenizer, prompt.ids, ids)
        regions = response_regions(tokenizer, prompt, ids, given)
        found = text[slice(*(given or answer_span(text)))]
        if found == answer and any(region.name == "answer" for region in regions):
            return replace(
                response, text=text, prompt_ids=prompt.ids, response_ids=tuple(ids), regions=regions, samples=()
            )
    return None
