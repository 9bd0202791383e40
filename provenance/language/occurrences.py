"""Where an answer stands in a text: as whole words, never as part of a longer one.

A word that is weak evidence counts only at the end of a clause: a single letter ("vitamin A", but not "a vitamin"), a
word like "us" or "who" ("the US", but not "tell us"), and a single word that lost its article ("Police" for "The
Police", but not "police officers").

Chinese, Japanese, Korean, Thai and their like write particles onto words and no spaces between them. A place there is
the edge of a word if the kind of letters changes (kanji to hiragana), or if a particle, copula, title or the word for
city or province stands there: "東京です" and "北京市" name Tokyo and Beijing, "東京都" does not name Kyoto.
Choice: short lists of such affixes instead of a segmenter, which would bring a dictionary.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from provenance.language.normal_forms import WITHOUT_SPACES, Words

_WEAK = re.compile(
    "am|an|and|are|as|at|be|by|do|for|from|go|has|he|her|him|his|how|if|in|is|it|its|me|my|no|not|of|off|on|or|our|she|"
    "so|that|the|their|them|then|there|they|this|to|up|us|was|we|were|what|when|where|which|who|whom|why|with|you|your"
)

_KINDS = [
    ("han", re.compile("[\u3005-\u3007\u30a0-\u30fa\u30fc-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")),
    ("hiragana", re.compile("[\u3040-\u309f]")),
    ("hangul", re.compile("[\uac00-\ud7a3]")),
    ("thai", WITHOUT_SPACES),
]
_COPULA = re.compile(r"(?:です|でした|だ|である|입니다|이다|이에요|예요|이었습니다|였습니다)(?: |$)")
_BEFORE = {
    "han": re.compile("(?:是|为|為|叫|在|于|於|即|作)$"),
    "hiragana": re.compile("[はがのもをにでとや]$"),
    "hangul": re.compile("(?!)"),
    "thai": re.compile("(?:คือ|เป็น|ที่|ใน|ชื่อ|โดย|ว่า|ประเทศ|เมือง|จังหวัด)$"),
}
_AFTER = {
    "han": re.compile(
        "(?:[市省州县縣県區区都府](?: |$|[\u3040-\u309f]|[是在和])|是|在|和|与|與|及|也|吗|嗎|吧|了|先生|女士)"
    ),
    "hiragana": re.compile("(?:です|でした|だ|である|は|が|を|に|で|と|も|さん|くん|ちゃん)(?: |$|[^\u3040-\u309f])"),
    "hangul": re.compile(
        "(?:특별시|광역시|시|도|군|구|씨|님)?"
        "(?:은|는|이|가|을|를|에|에서|와|과|도|로|으로|인|라고|이라고)?"
        "(?:입니다|이다|이에요|예요|이었습니다|였습니다|이었다|였다)?(?: |$)"
    ),
    "thai": re.compile("(?:ครับ|ค่ะ|คะ|นะ|คือ|เป็น|ใน|และ)"),
}


_COUNTED = re.compile(
    r"(?:^|\b(?:is|was|are|were|be|only|just|maybe|about|answer) )$"
)  # "one" is a number behind these
_NEAR = 16  # letters beside a place that decide whether a word begins or ends there


@dataclass(frozen=True)
class Place:
    """Where a text names something."""

    start: int
    """Its first word."""
    stop: int
    """The word after its last one."""
    left: str
    """A few letters before it, in its own word too."""
    right: str
    """A few letters behind it."""


def occurrences(said: Words, wanted: Words) -> Iterator[Place]:
    """Places of `wanted` in `said`, with or without its leading articles."""
    yield from _places(said, wanted.words, weak=len(wanted.words) == 1 and _is_weak(wanted.words[0]))
    bare = wanted.words[wanted.articles :]
    if wanted.articles:
        yield from _places(said, bare, weak=len(bare) == 1)
    if bare == ("1",):
        yield from (place for place in _places(said, ("one",), weak=True) if _COUNTED.search(place.left))


def _is_weak(word: str) -> bool:
    return bool(_WEAK.fullmatch(word)) or (len(word) == 1 and word.isalpha() and not WITHOUT_SPACES.match(word))


def _places(said: Words, wanted: tuple[str, ...], *, weak: bool) -> Iterator[Place]:
    text, target = said.text(), " ".join(wanted)
    found = _between_letters(text, target) if WITHOUT_SPACES.search(target) else _between_spaces(text, target)
    word = seen = 0
    for start, stop in found:
        word += text.count(" ", seen, start)
        seen = start
        end = word + text.count(" ", start, stop) + 1
        if not weak or end - 1 in said.ends:
            yield Place(word, end, text[max(0, start - _NEAR) : start], text[stop : stop + _NEAR])


def _between_spaces(text: str, target: str) -> Iterator[tuple[int, int]]:
    padded = f" {text} "
    at = padded.find(f" {target} ") if target else -1
    while at >= 0:
        yield at, at + len(target)
        at = padded.find(f" {target} ", at + 1)


def _between_letters(text: str, target: str) -> Iterator[tuple[int, int]]:
    """Spaces inside mean nothing in these scripts ("ジョン・レノン")."""
    letters = target.replace(" ", "")
    single = len(letters) == 1
    for match in re.finditer(" ?".join(map(re.escape, letters)), text):
        start, stop = match.span()
        left, right = text[max(0, start - _NEAR) : start], text[stop : stop + _NEAR]
        if _opens(left, letters[0], single=single) and _closes(letters[-1], right, single=single):
            yield start, stop


def _opens(left: str, first: str, *, single: bool) -> bool:
    """Whether a word may begin after `left`; one of a single letter needs a topic or a copula before it."""
    if not left or left[-1] == " ":
        return True
    if single:
        return left[-1] in "はが是为為叫"
    kind = _kind(first)
    return kind != _kind(left[-1]) or (kind != "" and bool(_BEFORE[kind].search(left)))


def _closes(last: str, right: str, *, single: bool) -> bool:
    """Whether a word may end before `right`: not before の, and before a copula only if it is a single letter."""
    if not right or right[0] == " ":
        return True
    if single:
        return bool(_COPULA.match(right))
    kind = _kind(last)
    if kind != _kind(right[0]):
        return right[0] != "の"
    return kind != "" and bool(_AFTER[kind].match(right))


def _kind(character: str) -> str:
    """Kind of letters of an unspaced script; empty for all other characters."""
    return next((name for name, pattern in _KINDS if pattern.match(character)), "")
