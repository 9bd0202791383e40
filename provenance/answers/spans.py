"""Location of the answer inside a response, in characters and in tokens of the sampled ids.

The rule that picks the answer never sees the label, which would otherwise leak into the features. A token that overlaps
the answer by one character belongs to it.

Choice (rule `first-line-unwrapped`): the answer is the first line of the response that says something, without what
only wraps it: a closed block of reasoning before it, "The answer is:", a markdown header or a fence on a line of its
own, tags, and then surrounding white space, quotation marks and closing punctuation. A block of reasoning that is not
closed has no answer behind it. The prompts of both stages ask for the answer alone.
"""

import re
from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerBase

from provenance.answers.prompts import Prompt, as_regions
from provenance.models.token_text import special_ids, spelled
from provenance.records import Region, Response

SPAN_RULE = "first-line-unwrapped"
_SURROUNDING = " \t\r\n\f\v\u00a0\u3000\"'“”‘’«»„`*_.,;:!?。！？"

_NAMES = r"(?:[a-z]{1,12}[:_])?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|monologue)"
_TAG = r"[<\[◁]\|?{}\|?[>\]▷]"
_CHANNEL = r"(?:<\|start\|>assistant)?<\|channel\|>\s*(?:analysis|commentary)[^<]{0,80}<\|message\|>"
_OPENS = re.compile(
    _TAG.format(rf"(?:(?:start|begin)_(?:of_)?)?{_NAMES}(?:_(?:start|begin))?")
    + rf"|{_CHANNEL}|<\|channel>\s*thought\b|<\|inner_prefix\|>|<unused94>|here is my thought process:",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    _TAG.format(rf"(?:/{_NAMES}|end_(?:of_)?{_NAMES}|{_NAMES}_end)")
    + rf"|{_CHANNEL}(?:(?!<\|channel).)*?<\|end\|>|<channel\|>|<\|inner_suffix\|>|<unused95>|here is my response:",
    re.IGNORECASE | re.DOTALL,
)
"""Ends of blocks; that of a channel ends other messages too, and counts with its beginning only."""
_FINAL = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>\s*final[^<]{0,80}<\|message\|>"
    r"|[<\[]\|?(?:answer|response|final|final_answer|solution|output|(?:start|begin)_(?:of_)?(?:response|answer|solution))"
    r"\|?[>\]]",
    re.IGNORECASE,
)
"""Marks before an answer."""
_MARK = re.compile(
    r"<\|[^|<>\s]{1,40}\|?>|<[^|<>\s]{1,40}\|>|[<\[]/?(?:answer|response|final_answer|solution)[>\]]|"
    + _TAG.format(f"/?{_NAMES}"),
    re.IGNORECASE,
)
"""Marks that end an answer."""
_THOUGHT = re.compile(r"<\|channel>|<channel\|>")
_CHANNEL_MARKS = frozenset({"<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>"})
"""Marks of messages in several channels; without a channel, `<|end|>` ends a turn."""

_DECORATED = r"[\s*_#>`~]*"
_ANSWER = (
    r"(?:(?:so|thus|hence|therefore|and),?\s+)?(?:(?:the|my)\s+)?(?:(?:final|correct|right|short|best)\s+){0,3}"
    r"(?:answer|response)(?:\s+to\s+(?:the|your|this|that)\s+question)?"
)
_IN_OTHER_WORDS = (
    "antwort|réponse|respuesta|resposta|risposta|svar|odpowiedź|cevap|ответ|الجواب|الإجابة|उत्तर|답변?|정답"
)
_LEAD = re.compile(
    rf"{_DECORATED}(?:{_ANSWER}(?:\s+(?:is|was|would\s+be|should\s+be)\b{_DECORATED}[:：]?|{_DECORATED}[:：])"
    rf"|here(?:['’]s|\s+is|\s+are)\s+{_ANSWER}{_DECORATED}[:：]|(?:{_IN_OTHER_WORDS}){_DECORATED}[:：]|a[:：](?=\s)"
    rf"|(?:最终)?(?:答案|回答|答え|答){_DECORATED}(?:[是为為は][:：]?|[:：])){_DECORATED}",
    re.IGNORECASE,
)
"""Words before an answer."""
_HEAD_WORDS = re.compile(rf"{_DECORATED}{_ANSWER}{_DECORATED}", re.IGNORECASE)
_HEADER = re.compile(r"#{1,6}\s.*|(?:`{3,}|~{3,})\w*|[-=]{3,}")
"""Lines that head an answer in the next one; a header with nothing after it is the answer."""
_LISTED = re.compile(r"(?:#{1,6}|[-–—•+>])\s+")
_BOXED = re.compile(r"\\boxed\{(?:\\(?:text|textbf|mathrm)\{)?([^{}]*)\}")


def answer_span(text: str, tail: str = "") -> tuple[int, int]:
    """Character range of the answer in a response; empty range when there is none.

    `tail` is the prompt's text after the question, which may open a block of reasoning. It makes no difference to a
    response that closes the block, so none to those that are kept.
    """
    start = _after_reasoning(text, opened=opens_reasoning(tail))
    for first, last in () if start is None else _lines(text, start):
        found = _said(text, first, last)
        if found is not None:
            return found
    return 0, 0


def opens_reasoning(tail: str) -> bool:
    """Whether the end of a prompt opens a block of reasoning that the response has to close."""
    opened = [match.end() for match in _OPENS.finditer(tail)]
    return bool(opened) and _CLOSES.search(tail, opened[-1]) is None


def reasoning_unclosed(text: str, tail: str = "") -> bool:
    """Whether a response ends inside its reasoning, before any answer."""
    return _after_reasoning(text, opened=opens_reasoning(tail)) is None


def lead_of(text: str) -> str:
    """What stands between the end of a prompt and an answer: white space, after the close of a block that it opened."""
    closed = _CLOSES.search(text)
    if closed is None or _OPENS.search(text, 0, closed.start()):
        return text[: _blank(text, 0, len(text))]
    return text[closed.start() : _blank(text, closed.end(), len(text))]


def ending_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Special tokens that no answer goes on after: all but those of reasoning and those that lead to an answer."""
    texts = {token: str(tokenizer.convert_ids_to_tokens(token)) for token in special_ids(tokenizer)}
    inside = _CHANNEL_MARKS if "<|channel|>" in texts.values() else frozenset()
    wraps = (_OPENS, _CLOSES, _FINAL, _THOUGHT)
    return frozenset(
        token for token, text in texts.items() if text not in inside and not any(each.search(text) for each in wraps)
    )


def _after_reasoning(text: str, *, opened: bool) -> int | None:
    """Position after the last closed block of reasoning; None if a block is open there."""
    closed = [match.end() for match in _CLOSES.finditer(text)]
    if opened and not closed:
        return None
    position = closed[-1] if closed else 0
    return None if _OPENS.match(text, _blank(text, position, len(text))) else position


def _blank(text: str, position: int, last: int) -> int:
    """Position after white space."""
    while position < last and text[position].isspace():
        position += 1
    return position


def _lines(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Ranges of the lines from a position on."""
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def _said(text: str, first: int, last: int) -> tuple[int, int] | None:
    """Range of what a line says without its wrapping; None if it is all wrapping."""
    first = _blank(text, first, last)
    if _HEAD_WORDS.fullmatch(text, first, last):
        return None
    if _HEADER.fullmatch(text, first, last) and text[last:].strip(_SURROUNDING):
        return None
    while (lead := _FINAL.match(text, first, last) or _LEAD.match(text, first, last)) and lead.end() > first:
        first = _blank(text, lead.end(), last)
    listed = _LISTED.match(text, first, last)
    first = listed.end() if listed else first
    mark = _MARK.search(text, first, last)
    last = mark.start() if mark else last
    boxed = _BOXED.search(text, first, last)
    first, last = boxed.span(1) if boxed else (first, last)
    stripped = text[first:last].strip(_SURROUNDING)
    start = text.index(stripped, first)
    return (start, start + len(stripped)) if stripped else None


def span_of(response: Response) -> tuple[int, int]:
    """Character range of the answer in the text of a response: the one that came with it, or by the rule."""
    return answer_span(response.text) if response.span is None else response.span


def response_regions(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, ids: Sequence[int], span: tuple[int, int] | None = None
) -> tuple[Region, ...]:
    """Roles of all tokens of prompt and response; no `answer` region when there is no answer.

    `span` is the character range of the answer in the response where it is known; otherwise the rule finds it.
    """
    text, offsets = spelled(tokenizer, prompt.ids, ids)
    low, high = answer_span(text, prompt.tail) if span is None else span
    special = special_ids(tokenizer)
    names = [
        "special" if token in special else "answer" if start < high and end > low else "response"
        for token, (start, end) in zip(ids, offsets, strict=True)
    ]
    return prompt.regions + as_regions(names, start=len(prompt.ids))
