"""One model's answers in another model's prompt: the same words, in tokens of the model that reads them.

The one idea: text is what two models have in common. An answer is tokenised again after the reader's own prompt, as
the reader would go on from there, and what it then is in tokens is looked up in the very ids that the model is given.
An answer whose tokens do not spell it is left out, never read as something else.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from provenance.answers.prompts import Prompt, PromptFormat
from provenance.answers.spans import answer_span, decode_response, response_regions
from provenance.records import Response


@dataclass(frozen=True)
class Reading:
    """The place that answers are put into."""

    prompt: PromptFormat
    """How a question becomes a prompt."""
    lead: str
    """White space between the prompt and the answer; see `usual_lead`."""


def usual_lead(responses: Iterable[Response]) -> str:
    """The white space that responses to one prompt usually begin with.

    Choice: the most frequent one among kept responses, so that another model's answer begins where the reader's own
    answers begin; of equally frequent ones the shortest, then the first in the alphabet. Empty without any response.

    Args:
        responses: What a model said in this prompt format; dropped ones do not count.
    """
    texts = [response.text for response in responses if response.label != "dropped"]
    counts = Counter(text[: len(text) - len(text.lstrip())] for text in texts)
    return min(counts, key=lambda lead: (-counts[lead], len(lead), lead), default="")


def forced(tokenizer: PreTrainedTokenizerBase, reading: Reading, question: str, response: Response) -> Response | None:
    """A response as another model reads it: its answer alone, in that model's prompt and tokens.

    Choice: of a response only the answer span is taken; what came after it cannot change what a causal model does on
    the answer's tokens.

    Args:
        tokenizer: Of the model that reads.
        reading: Prompt format and white space before the answer.
        question: As asked.
        response: Of any model; its label and unit stay.

    Returns:
        The same record with other text, ids and regions, without samples; None where there is no answer, or where no
        way to tokenise it gives its characters back.

    Raises:
        InputError: The format wants a chat template and the tokenizer has none.
    """
    start, stop = answer_span(response.text)
    answer = response.text[start:stop]
    if not answer:
        return None
    prompt = reading.prompt.render(tokenizer, question)
    for ids in _tokenised(tokenizer, reading, prompt, answer):
        text = decode_response(tokenizer, prompt.ids, ids)
        regions = response_regions(tokenizer, prompt, ids)
        if text[slice(*answer_span(text))] == answer and any(region.name == "answer" for region in regions):
            return replace(
                response, text=text, prompt_ids=prompt.ids, response_ids=tuple(ids), regions=regions, samples=()
            )
    return None


def _tokenised(
    tokenizer: PreTrainedTokenizerBase, reading: Reading, prompt: Prompt, answer: str
) -> Iterator[Sequence[int]]:
    """Ways to go on from a prompt to an answer, the most natural one first.

    Tokenised together, an answer gets the tokens that it has inside a text; by itself some tokenizers put a space in
    front of it. Where the end of the prompt would become another token, the answer has to stand by itself.
    """
    continuation = reading.lead + answer
    together = tokenizer(prompt.text + continuation, add_special_tokens=not reading.prompt.chat)["input_ids"]
    if tuple(together[: len(prompt.ids)]) == prompt.ids:
        yield together[len(prompt.ids) :]
    yield tokenizer(continuation, add_special_tokens=False)["input_ids"]
