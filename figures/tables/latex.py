"""Tables for a paper, with booktabs rules. Cells arrive as text; this module escapes and sets them."""

from collections.abc import Sequence
from dataclasses import dataclass

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "–": "--",
        "−": "$-$",
        "’": "'",
        "\n": " ",
    }
)


@dataclass(frozen=True)
class Table:
    """A small table of text."""

    caption: str
    """What it shows."""
    header: Sequence[str]
    """Column titles."""
    rows: Sequence[Sequence[str]]
    """Cells."""


def escaped(text: str) -> str:
    """Text with LaTeX's special characters made literal."""
    return text.translate(_ESCAPES)


def table(content: Table, *, label: str, source: str, notes: Sequence[str] = ()) -> str:
    r"""A floating table: the first column to the left, the others to the right.

    Args:
        content: Caption, header and rows.
        label: For `\ref`.
        source: Origin of the numbers, as a comment on the first line.
        notes: What else is said of them, as comments of a line each behind the table.
    """
    align = "l" + "r" * (len(content.header) - 1)
    lines = [
        f"% {' '.join(source.split())}; needs \\usepackage{{booktabs}}",
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escaped(content.caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{align}}}",
        r"\toprule",
        _line(content.header),
        r"\midrule",
        *(_line(row) for row in content.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        *(f"% {escaped(' '.join(note.split()))}" for note in notes),
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(escaped(cell) for cell in cells) + r" \\"
