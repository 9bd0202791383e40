"""Writes what is generated: pages on commands and tables, and the module of the settings of `provenance.compare`.

`make docs` runs it and builds the site; a test holds that the pages are what it would write.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from docs.write_settings import FILE, settings_module
from provenance.cli import app
from provenance.cli.options.help import EXAMPLES, EXIT_CODES
from provenance.db.reading.named_queries import QUERIES
from provenance.db.schema import tables  # noqa: F401 - declares every table
from provenance.db.schema.data_dictionary import dictionary_rows

FOLDER = Path(__file__).parent / "reference"
HELP_OPTION = "--help"
MARKUP = str.maketrans({"\\": r"\\", "*": r"\*", "|": r"\|", "<": "&lt;"})


def pages() -> dict[str, str]:
    """Text of every generated page, by file name."""
    parts = {"cli.md": _commands(), "tables.md": _tables()}
    return {name: "\n".join(lines) + "\n" for name, lines in parts.items()}


def _plain(text: str) -> str:
    """A text in which Markdown finds nothing to mark up, on one line; what is between backticks stays as it is."""
    pieces = " ".join(text.split()).split("`")
    return "`".join(piece if number % 2 else piece.translate(MARKUP) for number, piece in enumerate(pieces))


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield f"\nWritten by `make docs` from the command line itself. {EXIT_CODES} `-h` and `--help` show the same."
    top = typer.main.get_command(app)
    yield from _of_group(top, top.context_class(top, info_name="provenance"))


def _of_group(group: Any, ctx: Any) -> Iterator[str]:
    """Sections of all commands of a group and of the groups in it."""
    for name, command in group.commands.items():
        inner = command.context_class(command, info_name=name, parent=ctx)
        yield from _of_group(command, inner) if hasattr(command, "commands") else _command(command, inner)


def _command(command: Any, ctx: Any) -> Iterator[str]:
    yield f"\n## {ctx.command_path}"
    yield f"\n{_plain(command.help)}"
    yield f"\n```text\n{' '.join((ctx.command_path, *command.collect_usage_pieces(ctx)))}\n```"
    for section, records in command.sections(ctx).items():
        shown = [(name, text) for name, text in records if HELP_OPTION not in name]
        if shown:
            yield f"\n**{section}**\n"
            yield from (f"- `{name}`: {_plain(text)}" for name, text in shown)
    examples = EXAMPLES.get(ctx.command_path.removeprefix("provenance "), ())
    if examples:
        yield "\n```bash\n" + "\n".join(examples) + "\n```"


def _tables() -> Iterator[str]:
    yield "# Tables, views and named queries"
    yield "\nWritten by `make docs` from the declarations of the tables. `provenance db schema` and"
    yield "`provenance query columns` say the same, the second from the database itself."
    yield "\n## Named queries"
    yield "\n`provenance query NAME`; one row of each is:\n"
    yield from (f"- `{name}`: {_plain(query.summary)}" for name, query in QUERIES.items())
    for row in dictionary_rows():
        if not row["column_name"]:
            yield f"\n## {row['table_name']}"
            yield f"\nOne row: {_plain(row['meaning'])}"
            yield "\n| column | unit | meaning |\n|---|---|---|"
        else:
            yield f"| `{row['column_name']}` | {_plain(row['unit'])} | {_plain(row['meaning'])} |"


def main() -> None:
    """Write all of it."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    FILE.write_text(settings_module(), encoding="utf-8")


if __name__ == "__main__":
    main()
