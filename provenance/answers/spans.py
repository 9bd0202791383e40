"""Location of the answer inside a response, in tokens of the sampled ids.

Character offsets come from decoding growing prefixes of the sampled ids, so no retokenisation can move an edge. The
rule that picks the answer never sees the label, which would otherwise leak into the features.

Choice (rule `first-line`): the answer is the first line of the response without surrounding white space, quotation
marks and closing punctuation. The prompts of both stages ask for the answer alone. A token that overlaps the span by
one character belongs to it.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from provenance.answers.prompts import Prompt, as_regions
from provenance.records import Region

SPAN_RULE = "first-line"
_SURROUNDING = " \t\r\n\f\v\u00a0\u3000\"'“”‘’«»„`*_.,;:!?。！？"

_INCOMPLETE = "\ufffd"


def answer_span(text: str) -> tuple[int, int]:
    """Character range of the answer in a response; empty range when there is none."""
    start = len(text) - len(text.lstrip())
    end = text.find("\n", start)
    line = text[start : end if end >= 0 else len(text)]
    stripped = line.strip(_SURROUNDING)
    if not stripped:
        return 0, 0
    first = start + line.index(stripped)
    return first, first + len(stripped)


def token_offsets(
    tokenizer: PreTrainedTokenizerBase, context: Sequence[int], ids: Sequence[int]
) -> list[tuple[int, int]]:
    """Character range of every sampled token in the decoded response.

    `context` are the ids before it; the last is decoded too, as some decoders treat a text's first token differently.

    Returns:
        One half-open range per token. All tokens that hold bytes of one character get that character's range.
    """
    anchor = list(context[-1:])
    before = len(_decode(tokenizer, anchor))
    offsets: list[tuple[int, int]] = []
    start = 0
    for count in range(1, len(ids) + 1):
        text = _decode(tokenizer, anchor + list(ids[:count]))[before:]
        stable = len(text.rstrip(_INCOMPLETE)) if text.endswith(_INCOMPLETE) else len(text)
        offsets.append((start, max(stable, start + 1) if text.endswith(_INCOMPLETE) else stable))
        start = stable
    return offsets


def decode_response(tokenizer: PreTrainedTokenizerBase, context: Sequence[int], ids: Sequence[int]) -> str:
    """The response as text, decoded after its context's last token."""
    anchor = list(context[-1:])
    return _decode(tokenizer, anchor + list(ids))[len(_decode(tokenizer, anchor)) :]


def _decode(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def response_regions(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, ids: Sequence[int]) -> tuple[Region, ...]:
    """Roles of all tokens of prompt and response; no `answer` region when there is no answer."""
    text = decode_response(tokenizer, prompt.ids, ids)
    low, high = answer_span(text)
    special = set(tokenizer.all_special_ids)
    names = [
        "special" if token in special else "answer" if start < high and end > low else "response"
        for token, (start, end) in zip(ids, token_offsets(tokenizer, prompt.ids, ids), strict=True)
    ]
    return prompt.regions + as_regions(names, start=len(prompt.ids))
