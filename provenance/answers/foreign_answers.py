"""One model's answers in another model's prompt, in tokens of the reading model.

Two models share text, not tokens. An answer is tokenised again after the reading model's own prompt, and its
position is looked up in the token ids that this model gets. An answer whose tokens do not spell it is left out.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from provenance.answers.prompts import PromptFormat, continued
from provenance.answers.spans import answer_span, lead_of, response_regions
from provenance.models.token_text import decode_response
from provenance.records import Response


@dataclass(frozen=True)
class Reading:
    """Prompt that answers are appended to."""

    prompt: PromptFormat
    lead: str
    """Text between the prompt and the answer; see `usual_lead`."""


def usual_lead(responses: Iterable[Response]) -> str:
    """Most frequent text before the answer in responses to one prompt: white space, and the close of reasoning.

    Choice: the most frequent among kept responses, so another model's answer begins where the reading model's own do;
    ties go to the shortest, then to the first in the alphabet. Empty without a kept response.
    """
    texts = [response.text for response in responses if response.is_answer]
    counts = Counter(map(lead_of, texts))
    return min(counts, key=lambda lead: (-counts[lead], len(lead), lead), default="")


def forced(tokenizer: PreTrainedTokenizerBase, reading: Reading, question: str, response: Response) -> Response | None:
    """A response as another model reads it: its answer alone, in that model's prompt and tokens.

    Choice: only the answer span is taken; later text cannot change a causal model's states on the answer's tokens.

    Returns:
        The same record (label and unit too) with new text, ids and regions, without samples; None if there is no
        answer, or if no tokenisation decodes to its characters.

    Raises:
        InputError: The format wants a chat template and the tokenizer has none.
    """
    start, stop = answer_span(response.text)
    answer = response.text[start:stop]
    if not answer:
        return None
    prompt = reading.prompt.render(tokenizer, question)
    for ids in continued(tokenizer, prompt, reading.lead + answer):
        text = decode_response(tokenizer, prompt.ids, ids)
        regions = response_regions(tokenizer, prompt, ids)
        if text[slice(*answer_span(text))] == answer and any(region.name == "answer" for region in regions):
            return replace(
                response, text=text, prompt_ids=prompt.ids, response_ids=tuple(ids), regions=regions, samples=()
            )
    return None
