"""Results on stdout: the report's tables for a terminal."""

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

if TYPE_CHECKING:
    from provenance.figures.tables.result_tables import ReportTable

SHORT = 6  # characters of words of text that are broken only after numbers are


def print_run(summary: Mapping[str, Any], console: Console, *, verbose: bool = False) -> None:
    """Print the result of a stored run: the overall sentence and its main tables, or with `verbose` all of them."""
    from provenance.figures.report.sections import overall, read_results, terminal_sections
    from provenance.figures.wording.run_words import concept_of, control_words, first, list_words

    results = read_results(summary["database"], summary["run"])
    about = first(results["run"])
    say(" → ".join(dict.fromkeys((about["base"], about["instruct"]))), console)  # a run may be about one checkpoint
    for words in (control_words(about), overall(results), concept_of(results).worded(list_words(results))):
        if words:
            console.print(f"\n{words}", style="bold", highlight=False, markup=False)
    say_quick(summary, console)
    console.print()
    print_tables(terminal_sections(results, verbose=verbose), console)
    for note in summary.get("notes", ()):
        console.print(f"note: {note}", highlight=False, markup=False)


def print_tables(tables: Iterable["ReportTable"], console: Console) -> None:
    """Print tables that have rows, a blank line after each."""
    for table in tables:
        if table.rows:
            console.print(terminal_table(table, console.width))
            console.print()


def terminal_table(content: "ReportTable", width: int | None = None) -> Table:
    """A report table for `width` characters, with title, without note; only words that do not fit are broken."""
    words = content.text if len(content.header) > 2 else (0, 1)
    widths = None if width is None else _widths(content, words, width - 2 * (len(content.header) - 1))
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
        table.add_row(*map(escape, row))
    return table


def _widths(content: "ReportTable", text: Collection[int], room: int) -> list[int] | None:
    """Widths of columns that are too wide together; None where rich finds them.

    Of two ways the one with fewer lines: cells of numbers and verdicts are whole, and words of text are broken if need
    be; or lines are broken between words everywhere, and the longest words if need be.
    """
    columns = list(zip(content.header, *content.rows, strict=True))
    whole = [_longest(line for cell in column for line in cell.splitlines()) for column in columns]
    if sum(whole) <= room or room < len(columns):
        return None
    words = [_longest(word for cell in column for word in cell.split()) for column in columns]
    breakable = [place for place in text if columns[place][0] != "verdict"]
    kept = [
        few if place in breakable else max(few, _longest(line for cell in column[1:] for line in cell.splitlines()))
        for place, (column, few) in enumerate(zip(columns, words, strict=True))
    ]
    ways = [_fitted(kept, whole, room, breakable), _fitted(words, whole, room)]
    if sum(kept) > room:  # with words broken, which is the worse of two with as many lines
        ways.reverse()
    return min(ways, key=lambda widths: _lines(columns, widths))


def _fitted(least: Sequence[int], whole: Sequence[int], room: int, first: Collection[int] = ()) -> list[int]:
    """Widths from the least to the whole ones, or less where there is no room, of the columns `first` before others."""
    widths = list(least)
    while sum(widths) > room:
        places = [place for place in first if widths[place] > SHORT] or range(len(widths))
        widths[max(places, key=widths.__getitem__)] -= 1
    lack, spare = sum(whole) - sum(widths), room - sum(widths)
    return [few + spare * (size - few) // lack for few, size in zip(widths, whole, strict=True)]


def _lines(columns: Sequence[Sequence[str]], widths: Sequence[int]) -> int:
    """Lines of a table whose columns have these widths."""
    heights = [[_wrapped(cell, width) for cell in column] for column, width in zip(columns, widths, strict=True)]
    return sum(map(max, zip(*heights, strict=True)))


def _wrapped(cell: str, width: int) -> int:
    return sum(len(textwrap.wrap(line, width)) or 1 for line in cell.splitlines()) or 1


def _longest(parts: Iterable[str]) -> int:
    return max(map(cell_len, parts), default=0)


def print_files(summary: Mapping[str, Any], console: Console) -> None:
    """Print the paths of the written results."""
    run = f", run {summary['run']}" if "run" in summary else ""
    say(f"database: {summary['database']}{run}", console)
    if summary.get("report"):
        say(f"report: {summary['report']}", console)
    pictures = [Path(path) for path in summary.get("figures", ()) if path.endswith(".svg")]
    if pictures:
        say(
            f"figures: {len(pictures)} in {pictures[0].parent}, as PDF, SVG, PNG, CSV, caption and LaTeX table", console
        )
    for name, reason in summary.get("not_drawn", {}).items():
        say(f"not drawn: {name}: {reason}", console)


def print_list(meanings: Mapping[str, str], console: Console) -> None:
    """Print names with what they mean: wrapped beside the names on a terminal, elsewhere a line each."""
    if console.is_terminal:
        table = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
        for name, meaning in meanings.items():
            table.add_row(escape(name), escape(meaning))
        console.print(table, highlight=False)
    else:
        for name, meaning in meanings.items():
            say(f"{name:<24}{meaning}", console)


def say_quick(summary: Mapping[str, Any], console: Console) -> None:
    """Note that a run was only a first look, if it was."""
    if summary.get("quick"):
        words = "A quick look, with few draws; leave --quick out for numbers to report."
        console.print(f"\n{words}", style="bold", highlight=False, markup=False)


def say(words: str, console: Console) -> None:
    """Print a line unbroken, so that it can be copied."""
    console.print(words, highlight=False, markup=False, soft_wrap=True)
