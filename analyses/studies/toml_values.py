"""Values of a study file: whether they are of a setting's type, and at which line something is wrong.

TOML's reader keeps no positions, so the line of a key is looked for in the text of its table.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

TEXTS = tuple[str, ...]
NUMBERS = tuple[float, ...]
TEMPLATE_ARGS = "template_args"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


@dataclass(frozen=True)
class _List:
    """A kind of list."""

    words: str
    fits: Callable[[Any], bool]
    """Whether an element is of that kind."""


LISTS: Mapping[Any, _List] = {
    TEXTS: _List("a list of texts", lambda each: isinstance(each, str) and bool(each)),
    NUMBERS: _List("a list of numbers, 0 or more", lambda each: _is_number(each) and each >= 0),
}
_HEADER = re.compile(r"\[\[?[\w.-]+\]\]?")
MEMBER_KINDS = ("family", "timeline")
STUDY = ""
"""The place of what belongs to no member."""


def place_of(kind: str, number: int) -> str:
    """The place of the n-th member of a kind, counted from 1."""
    return f"[[{kind}]] {number}"


def line_of(text: str, place: str | None, word: str = "") -> int | None:
    """The line of a word in a member's tables, or of the member's header if it is not there; None for no line.

    Args:
        text: The study file.
        place: See `place_of`; `STUDY` for the tables of no member, None for the whole file.
        word: A key or value; the last line with it counts.
    """
    own = [(at, line) for at, owner, line in _owned(text) if place is None or owner == place]
    found = [at for at, line in own if word and re.search(rf"(?<!\w){re.escape(word)}", line)]
    return found[-1] if found else own[0][0] if place and own else None


def _owned(text: str) -> Iterator[tuple[int, str, str]]:
    """Number, place and text of every line."""
    place, counts = STUDY, dict.fromkeys(MEMBER_KINDS, 0)
    for at, line in enumerate(text.splitlines(), 1):
        header = line.split("#")[0].strip().replace(" ", "")
        if _HEADER.fullmatch(header):
            kind = header.strip("[]").split(".")[0]
            if header.startswith("[[") and kind in counts:
                counts[kind] += 1
            place = place_of(kind, counts[kind]) if counts.get(kind) else STUDY
        yield at, place, line


def plain(key: str, value: Any) -> Any:
    """A value in the form that a job takes."""
    if key == TEMPLATE_ARGS:
        return tuple(sorted(value.items()))
    if isinstance(value, list):
        return tuple(float(each) if _is_number(each) else each for each in value)
    return float(value) if key == "C" else value


def fits(value: Any, hint: Any) -> bool:
    """Whether a TOML value is of a setting's type; a whole number is a number too, and nothing is not a value."""
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, part) for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint in LISTS:
        return isinstance(value, list) and all(map(LISTS[hint].fits, value))
    if get_origin(hint) is tuple:  # variables of a chat template: a table of names and values
        return isinstance(value, dict)
    if hint is float:
        return _is_number(value) and value > 0
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def words(hint: Any) -> str:
    """A setting's type in words."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(words(part) for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if hint in LISTS:
        return LISTS[hint].words
    if get_origin(hint) is tuple:
        return "a table of names and values"
    return {str: "text", int: "a whole number", float: "a positive number", bool: "true or false"}[hint]
