"""Report tables laid out for a terminal: side by side as long as every heading keeps its words, else row by row."""

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from provenance.figures.tables.result_tables import ReportTable

_PART = re.compile(r"[^\s-]+-?|-+")
SHORT = 6  # characters of words of text that are broken only after numbers are


def print_tables(tables: Iterable["ReportTable"], console: Console) -> None:
    """Print tables that have rows, a blank line after each."""
    for table in tables:
        if table.rows:
            console.print(terminal_table(table, console.width))
            console.print()


def terminal_table(content: "ReportTable", width: int | None = None) -> RenderableType:
    """A report table for `width` characters, with title, without note; unlimited by default.

    Headings are broken between words alone, and of the cells only words of text that do not fit. Where that takes more
    than `width`, each row is a block of lines, one for each heading.
    """
    words = content.text if len(content.header) > 2 else (0, 1)
    widths = None if width is None else _widths(content, words, width - 2 * (len(content.header) - 1))
    return _records(content) if widths == [] else _table(content, words, widths)


def _table(content: "ReportTable", words: Collection[int], widths: Sequence[int] | None) -> Table:
    columns = [
        Column(
            escape(name),
            overflow="fold",
            justify="left" if place in words else "right",
            width=widths[place] if widths else None,
        )
        for place, name in enumerate(content.header)
    ]
    table = Table(
        *columns,
        title=escape(content.title) or None,
        title_justify="left",
        show_header=any(content.header),
        box=SIMPLE_HEAD if any(content.header) else None,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for row in content.rows:
        cells = enumerate(row)
        table.add_row(*(escape(_wrap(cell, widths[at]) if widths and at in words else cell) for at, cell in cells))
    return table


def _records(content: "ReportTable") -> Group:
    """Each row as lines of heading and cell, a blank line between rows."""
    blocks: list[RenderableType] = [Text(content.title, "italic")] if content.title else []
    for place, row in enumerate(content.rows):
        block = Table.grid(Column(overflow="fold"), Column(overflow="fold"), padding=(0, 2, 0, 0))
        for name, cell in zip(content.header, row, strict=True):
            block.add_row(escape(name), escape(cell))
        blocks += [Text(""), block] if place else [block]
    return Group(*blocks)


def _widths(content: "ReportTable", text: Collection[int], room: int) -> list[int] | None:
    """Widths of columns that are too wide together; None where rich finds them, empty where they do not fit.

    Of two ways the one with fewer lines: cells of numbers and verdicts are whole, and words of text are broken if need
    be; or lines are broken between words everywhere, and the longest words of text if need be.
    """
    columns = list(zip(content.header, *content.rows, strict=True))
    whole = [_longest(line for cell in column for line in cell.splitlines()) for column in columns]
    if sum(whole) <= room:
        return None
    words = [
        _longest(part for cell in column for part in (_parts(cell) if place in text else cell.split()))
        for place, column in enumerate(columns)
    ]
    breakable = [place for place in text if columns[place][0] != "verdict"]
    kept = [
        few if place in breakable else max(few, _longest(line for cell in column[1:] for line in cell.splitlines()))
        for place, (column, few) in enumerate(zip(columns, words, strict=True))
    ]
    heads = [max(SHORT, _longest(name.split())) for name in content.header]
    ways = [_fitted(least, whole, room, {place: heads[place] for place in breakable}) for least in (kept, words)]
    if sum(kept) > room:  # with words broken, which is the worse of two with as many lines
        ways.reverse()
    return min((way for way in ways if way), key=lambda widths: _lines(columns, widths), default=[])


def _fitted(least: Sequence[int], whole: Sequence[int], room: int, breakable: Mapping[int, int]) -> list[int]:
    """Widths from the least to the whole ones; where there is no room, less in columns whose words may be broken.

    `breakable`: the smallest width of these columns, by place. Empty where that does not fit either.
    """
    widths = list(least)
    while sum(widths) > room:
        places = [place for place, fewest in breakable.items() if widths[place] > fewest]
        if not places:
            return []
        widths[max(places, key=widths.__getitem__)] -= 1
    lack, spare = sum(whole) - sum(widths), room - sum(widths)
    return [few + spare * (size - few) // lack for few, size in zip(widths, whole, strict=True)]


def _lines(columns: Sequence[Sequence[str]], widths: Sequence[int]) -> int:
    """Lines of a table whose columns have these widths."""
    heights = [[_wrapped(cell, width) for cell in column] for column, width in zip(columns, widths, strict=True)]
    return sum(map(max, zip(*heights, strict=True)))


def _wrap(cell: str, width: int) -> str:
    """Lines broken between words and behind hyphens, and within words where these are too long."""
    return "\n".join(part for line in cell.splitlines() for part in textwrap.wrap(line, width) or [""])


def _wrapped(cell: str, width: int) -> int:
    return len(_wrap(cell, width).splitlines()) or 1


def _parts(cell: str) -> list[str]:
    """Its parts that stay whole: words, and their parts up to a hyphen."""
    return _PART.findall(cell)


def _longest(parts: Iterable[str]) -> int:
    return max(map(cell_len, parts), default=0)
