"""Which option a reply in words names, where the first token does not tell: "The answer is (B)."."""

import re
from collections.abc import Sequence

_STATED = (
    r"(?:answer|option|choice|choose|pick|select)\b(?:\W+(?:is|would be|the|letter|option|choice|correct|right))*\W*"
)


def option_said(reply: str, options: Sequence[str]) -> str | None:
    """The option that a reply begins with, states as its answer, or names alone; None where it names none or several.

    Args:
        reply: Its text. Single letters count as they are written, since "a" is a word; whole words in any case.
        options: Labels of choices, or words.
    """
    named = "|".join(map(re.escape, sorted(options, key=len, reverse=True)))
    letters = all(len(option) == 1 for option in options)
    flags = re.NOFLAG if letters else re.IGNORECASE
    # a letter before another word is none of the labels: "A car"
    mark = rf"(?<![\w'])({named})(?![\w'])" + (r"(?!\s+\w)" if letters else "")
    text = reply.strip()
    if re.search(rf"(?<![\w'])(?:{named})\W+(?:and|or)\W+(?:{named})(?![\w'])", text, flags):
        return None
    first = re.match(rf"[\W_]*{mark}", text, flags)
    stated = re.findall(rf"(?i:{_STATED})({named})(?![\w'])", text, flags)
    alone = set(re.findall(mark, text, flags))
    found = first.group(1) if first else stated[-1] if stated else alone.pop() if len(alone) == 1 else None
    return None if found is None else next((each for each in options if each.casefold() == found.casefold()), None)
