"""Numbers in digits: "twenty-one" is 21, "1.5 million" is 1500000, "$5" is "5 dollar", "per cent" is "percent".

Choice: English cardinals only; "first", "half" and "dozen" stay words. "One" and "zero" are numbers where they are the
whole text or part of a larger number, since "one" is a pronoun as well.
"""

import re
from collections.abc import Sequence

CURRENCIES = {"$": "dollar", "£": "pound", "€": "euro", "¥": "yen", "₹": "rupee", "₽": "ruble", "₩": "won"}
_PLURALS = {"dollars": "dollar", "pounds": "pound", "euros": "euro", "rupees": "rupee", "rubles": "ruble"}
SIGNS = frozenset({*CURRENCIES.values(), "percent"})
"""Units that are often left out beside a number."""

_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_SMALL = {name: value for value, name in enumerate(_NAMES.split())}
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_LONGEST = 40  # words of a cardinal below 10^15
_AMOUNT = re.compile(r"\d+(?:\.\d+)?")
_FRACTION = re.compile(r"\d+/\d+")


def numbers_in_digits(words: Sequence[str], *, alone: bool) -> list[str]:
    """The words of a clause with numbers in digits and signs behind them; `alone`: nothing was said before it."""
    found: list[str] = []
    at = 0
    while at < len(words):
        value, used = _number(words, at)
        if used == 1 and words[at] in {"zero", "one"} and not (alone and len(words) == 1):
            value = words[at]
        found.append(value)
        at += max(1, used)
    return _with_signs(found)


def _number(words: Sequence[str], at: int) -> tuple[str, int]:
    """The number that begins at a word, and of how many words it is; the word itself and 0 if there is none."""
    word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
    if _AMOUNT.fullmatch(word):
        if following in _SCALES:
            return _scaled(word, _SCALES[following]), 2
        if following == "hundred":
            return _scaled(word, 2), 2
        return word, 1
    if word == "a" and (following == "hundred" or following in _SCALES):
        value, used = _cardinal(["one", *words[at + 1 : at + _LONGEST]])
        return str(value), used
    value, used = _cardinal(words[at : at + _LONGEST])
    return (str(value), used) if used else (word, 0)


def _cardinal(words: Sequence[str]) -> tuple[int, int]:
    """The longest English cardinal at the beginning, and of how many words it is."""
    total = group = used = 0
    scale = 1 + max(_SCALES.values())
    for position, word in enumerate(words):
        if word in _SMALL and (group % 100 == 0 or (group % 100 in _TENS.values() and 0 < _SMALL[word] < 10)):
            group += _SMALL[word]
        elif word in _TENS and group % 100 == 0:
            group += _TENS[word]
        elif word == "hundred" and 0 < group < 100:
            group *= 100
        elif word in _SCALES and group and _SCALES[word] < scale:
            scale = _SCALES[word]
            total, group = total + group * 10**scale, 0
        elif word == "and" and used and words[position - 1] in {"hundred", *_SCALES}:
            continue  # counts only if a number follows
        else:
            break
        used = position + 1
    return total + group, used


def _scaled(amount: str, zeros: int) -> str:
    """A decimal number times a power of ten, digit by digit: no rounding."""
    whole, _, part = amount.partition(".")
    moved = whole + part[:zeros].ljust(zeros, "0")
    rest = part[zeros:]
    return (moved.lstrip("0") or "0") + (f".{rest}" if rest else "")


def _with_signs(words: Sequence[str]) -> list[str]:
    """Signs behind their numbers, in words."""
    found: list[str] = []
    pending = ""
    for word in words:
        number = word[:1].isdigit()
        before = found[-1] if found else ""
        if word in CURRENCIES and before[:1].isdigit() and not pending:
            found.append(CURRENCIES[word])  # "5 €"
        elif word in CURRENCIES:
            pending = CURRENCIES[word]
        elif number and before in {"minus", "negative"}:
            found[-1] = f"-{word}"
        elif word == "cent" and before == "per":
            found[-1] = "percent"
        elif _FRACTION.fullmatch(word) and before.isdigit():
            found[-1] = f"{before}+{word}"  # 3 1/2
        else:
            found.append(_PLURALS.get(word, word))
        if pending and number:
            found.append(pending)
            pending = ""
    found += [pending] if pending else []
    inner = range(1, len(found) - 1)
    return ["and" if word == "n" and place in inner else word for place, word in enumerate(found)]
