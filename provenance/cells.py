"""Numbers as the text of a table's cell: the same digits on a terminal, in the report and in LaTeX."""

from collections.abc import Mapping
from typing import Any

Record = dict[str, Any]
"""A row by column names; an estimate x is x, x_low, x_high and, if counted, x_n."""
NOTHING = "–"
"""Text in place of a missing number."""


def fixed(value: float | None, digits: int = 2) -> str:
    """A number with a fixed number of decimals; no sign if these are all zero."""
    if value is None:
        return NOTHING
    text = f"{value:.{digits}f}"
    return text if float(text) else text.lstrip("-")


def compact(value: float | None) -> str:
    """A number with three digits, as 0.00123 or 1.2e-07."""
    return NOTHING if value is None else f"{value:.3g}"


def beside(value: float | None, bar: float) -> str:
    """A number with three digits, or as many as it takes to differ from its threshold."""
    if value is None:
        return NOTHING
    texts = (f"{value:.{digits}g}" for digits in range(3, 17))
    return next((text for text in texts if float(text) != bar or value == bar), repr(value))


def p_cell(value: float | None) -> str:
    """A p-value."""
    return NOTHING if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def interval(record: Mapping[str, Any], name: str, digits: int = 2) -> str:
    """An estimate with its interval, `0.90 [0.86, 0.94]`."""
    if record.get(name) is None:
        return NOTHING
    low, high = record.get(f"{name}_low"), record.get(f"{name}_high")
    if low is None or high is None:
        return fixed(record[name], digits)
    return f"{fixed(record[name], digits)} [{fixed(low, digits)}, {fixed(high, digits)}]"


def duration(seconds: float) -> str:
    """A time as a person says it, in the largest unit of which there are two: `90 s`, `3 min`, `2 days`."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"


def so_many(count: int, what: str) -> str:
    """A number of things, `1 run` or `2,000 runs`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def yes_or_no(value: bool | None) -> str:
    """A truth value; SQLite gives 0 and 1."""
    return NOTHING if value is None else "yes" if value else "no"


def visible(text: str) -> str:
    """A text from outside without control characters, which would command the terminal; line breaks and tabs stay."""
    return text.translate(_CONTROLS)


_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
