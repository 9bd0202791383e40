"""Results on stdout: the report's tables for a terminal."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from provenance.cli.show.tables import print_tables


def print_run(summary: Mapping[str, Any], console: Console, *, verbose: bool = False) -> None:
    """Print the result of a stored run: the overall sentence and its main tables, or with `verbose` all of them."""
    from provenance.figures.report.sections import overall, read_results, terminal_sections
    from provenance.figures.wording.run_words import concept_of, first, list_words, warnings_of

    results = read_results(summary["database"], summary["run"])
    about = first(results["run"])
    name, *second = dict.fromkeys((about["base"], about["instruct"]))  # a run may be about one checkpoint
    say_parts((name, *(f"→ {other}" for other in second)), console)
    for words in (*warnings_of([about]), overall(results), concept_of(results).worded(list_words(results))):
        if words:
            console.print(f"\n{words}", style="bold", highlight=False, markup=False)
    console.print()
    print_tables(terminal_sections(results, verbose=verbose), console)
    for note in summary.get("notes", ()):
        console.print(f"note: {note}", highlight=False, markup=False)


def print_files(summary: Mapping[str, Any], console: Console) -> None:
    """Print the paths of the written results."""
    run = f", run {summary['run']}" if "run" in summary else ""
    say_parts(("database:", f"{summary['database']}{run}"), console)
    if summary.get("report"):
        say_parts(("report:", str(summary["report"])), console)
    pictures = [Path(path) for path in summary.get("figures", ()) if path.endswith(".svg")]
    if pictures:
        where = str(pictures[0].parent)
        say_parts((f"figures: {len(pictures)} in", where, "(PDF, SVG, PNG, CSV, LaTeX)"), console)
    for name, reason in summary.get("not_drawn", {}).items():
        console.print(f"not drawn: {name}: {reason}", highlight=False, markup=False)


def print_list(meanings: Mapping[str, str], console: Console) -> None:
    """Print names with what they mean: wrapped beside the names on a terminal, elsewhere a line each."""
    if console.is_terminal:
        table = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
        for name, meaning in meanings.items():
            table.add_row(escape(name), escape(meaning))
        console.print(table, highlight=False)
    else:
        width = max(map(len, meanings), default=0) + 2
        for name, meaning in meanings.items():
            say(f"{name:<{width}}{meaning}", console)


def say(words: str, console: Console) -> None:
    """Print a line unbroken, so that it can be copied."""
    console.print(words, highlight=False, markup=False, soft_wrap=True)


def say_parts(parts: Iterable[str], console: Console) -> None:
    """Print parts, such as paths, with blanks between them; a line is broken between parts alone, where it is full."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(f"{lines[-1]} {part}") <= console.width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    for line in lines:
        say(line, console)
