"""Writes the example notebook from its script, with what its cells show: `python -m docs.write_example`.

`example.py` is the source: a cell begins with `# %%`, one of text with `# %% [markdown]`. No kernel is needed, since a
cell is executed here and the value of its last expression is shown, as a notebook shows it.
"""

import ast
import base64
import io
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure

SCRIPT = Path(__file__).parent / "example.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
MARK, TEXT_MARK = "# %%", "# %% [markdown]"
DOTS_PER_INCH = 80  # a picture of 20 kB


@dataclass(frozen=True)
class Cell:
    """One cell of the notebook."""

    kind: Literal["code", "markdown"]
    source: str


def cells_of(script: str) -> list[Cell]:
    """The cells of a script."""
    return [_cell(part) for part in f"\n{script}".split(f"\n{MARK}")[1:]]


def _cell(part: str) -> Cell:
    head, _, body = part.partition("\n")
    if MARK + head != TEXT_MARK:
        return Cell("code", body.strip("\n"))
    return Cell(
        "markdown", "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.strip("\n").split("\n"))
    )


def shown(cell: Cell, names: dict[str, Any]) -> object:
    """Execute a cell of code in a namespace; the value of its last line, if that is an expression."""
    lines = ast.parse(cell.source).body
    last = lines.pop() if lines and isinstance(lines[-1], ast.Expr) else None
    exec(compile(ast.Module(lines, []), str(SCRIPT), "exec"), names)  # noqa: S102 - the script beside this module
    return None if last is None else eval(compile(ast.Expression(last.value), str(SCRIPT), "eval"), names)  # noqa: S307


def executed(cells: Sequence[Cell]) -> Iterator[object]:
    """What each cell shows, in one namespace; None for text."""
    names: dict[str, Any] = {}
    for cell in cells:
        yield shown(cell, names) if cell.kind == "code" else None


def _data(value: object) -> dict[str, str]:
    """A value in the forms that a notebook shows it in."""
    if isinstance(value, Figure):
        file = io.BytesIO()
        value.savefig(file, format="png", dpi=DOTS_PER_INCH)
        return {"image/png": base64.b64encode(file.getvalue()).decode()}
    html = getattr(value, "_repr_html_", None)
    return {"text/plain": repr(value)} | ({} if html is None else {"text/html": html()})


def notebook(cells: Sequence[Cell], values: Sequence[object]) -> dict[str, Any]:
    """The notebook as JSON."""
    written: list[dict[str, Any]] = []
    count = 0
    for number, (cell, value) in enumerate(zip(cells, values, strict=True)):
        entry = {"cell_type": cell.kind, "id": f"cell-{number}", "metadata": {}, "source": cell.source}
        if cell.kind == "code":
            count += 1
            result = {"data": None if value is None else _data(value), "execution_count": count, "metadata": {}}
            outputs = [] if value is None else [{"output_type": "execute_result", **result}]
            entry |= {"execution_count": count, "outputs": outputs}
        written.append(entry)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": written, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def main() -> None:
    """Execute the script in an empty folder, and write the notebook."""
    cells = cells_of(SCRIPT.read_text("utf-8"))
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            values = list(executed(cells))
            written = notebook(cells, values)
        finally:
            os.chdir(before)
    NOTEBOOK.write_text(json.dumps(written, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
