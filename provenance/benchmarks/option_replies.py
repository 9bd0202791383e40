"""Which option a reply in words names, where the first token does not tell: "The answer is (B)."."""

import re
from collections.abc import Sequence

_STATED = (
    r"(?:answer|option|choice|choose|pick|select)\b(?:\W+(?:is|would be|the|letter|option|choice|correct|right))*\W*"
)
_VERBS = r"(?:is|because|since|seems)\b"
_WORDS = frozenset("ai")
"""Letters that are words."""
_DENIED = re.compile(r"\b(?:not|never|neither|nor|cannot|without|rather than|\w+n['’]t)\b", re.IGNORECASE)
_TAKEN_BACK = r"(?!\W+(?:is|would be)(?:n['’]t|\s+(?:not|never|wrong|incorrect|false))\b)"


def option_said(reply: str, options: Sequence[str], *, cut_off: bool = False) -> str | None:
    """The option that a reply begins with, states as its answer, or names alone; None where it names none or several.

    So it is where it denies one, since that does not tell which of the others it takes.

    Args:
        reply: Its text. Single letters count as they are written, since "a" is a word; whole words in any case.
        options: Labels of choices, or words.
        cut_off: Whether it was to go on, so that an option named alone may not be its answer.
    """
    named = "|".join(map(re.escape, sorted(options, key=len, reverse=True)))
    letters = all(len(option) == 1 for option in options)
    flags = re.NOFLAG if letters else re.IGNORECASE
    label, text = rf"(?<![\w'])({named})(?![\w'])", reply.strip()
    # one label after the other, or beside it, is a list
    if re.search(rf"(?<![\w'])(?:{named})\W+(?:and|or)\W+(?:{named})(?![\w'])", text, flags) or re.match(
        rf"[\W_]*({named})\W+(?!\1)(?:{named})(?!['\w]|\s+\w)", text, flags
    ):
        return None
    found = _begun(text, label, flags, letters=letters) or _stated(text, named, flags)
    if found is None and not cut_off:
        found = _alone(text, label, flags, letters=letters)
    return None if found is None else next((each for each in options if each.casefold() == found.casefold()), None)


def _begun(text: str, label: str, flags: re.RegexFlag, *, letters: bool) -> str | None:
    """The label at the beginning; a letter that is a word before another one is none: "A car"."""
    found = re.match(rf"[\W_]*{label}{_TAKEN_BACK}", text, flags)
    if found is None:
        return None
    as_word = letters and found[1].casefold() in _WORDS and re.match(rf"[^\S\n]+(?!{_VERBS})\w", text[found.end() :])
    return None if as_word else found[1]


def _stated(text: str, named: str, flags: re.RegexFlag) -> str | None:
    """The label that is stated last as the answer, in a clause that denies nothing before it."""
    stated = re.finditer(rf"(?i:{_STATED})({named})(?![\w']){_TAKEN_BACK}", text, flags)
    kept = [each[1] for each in stated if not _DENIED.search(re.split(r"[.,;:!?\n]", text[: each.start(1)])[-1])]
    return kept[-1] if kept else None


def _alone(text: str, label: str, flags: re.RegexFlag, *, letters: bool) -> str | None:
    """The only label, where nothing is denied before it; a letter before a word may be a part of a name."""
    marks = list(re.finditer(label + (rf"(?!\s+(?!{_VERBS})\w)" if letters else "") + _TAKEN_BACK, text, flags))
    only = len({each[1].casefold() if not letters else each[1] for each in marks}) == 1
    return marks[0][1] if only and not _DENIED.search(text[: marks[0].start(1)]) else None
