"""The example notebook: its cells are those of the script, run as they stand, and show what they say."""

import json
import re
import shutil
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import pytest
from browser_page import measured, needs_chromium, pdf_pages
from forked_cli import ForkedCli
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from sharing import made_once
from test_lab_claims import QUICK, compare_families

from docs import write_example
from provenance.analyses.transfer.probe_transfer import DECIDING_KINDS
from provenance.figures.report.html import report_html

pytestmark = pytest.mark.costly
LARGEST_PICTURE = 60_000  # characters of base64
LAST = """
import json
inside = ladder[ladder["dataset"] == "in-domain"]
print(json.dumps({
    "verdict": run.verdict, "claims": dict(claims[["claim", "verdict"]].to_numpy()), "count": len(neurons),
    "ranks": list(neurons["stability_rank"]), "weights": list(neurons["probe_weight"]),
    "kinds": list(inside["kind"]), "gains": list(inside["gain"]),
}))
"""
"""A further cell: values that the cells show, as JSON."""


@pytest.fixture(scope="module")
def kept() -> NotebookNode:
    """The notebook as it is in the tree."""
    return nbformat.read(write_example.NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, forked: ForkedCli) -> Path:
    """A folder with the database in which the comparison has finished."""
    return made_once(tmp_path_factory, "lab-quick", partial(compare_families, forked, effort=QUICK))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, finished: Path) -> NotebookNode:
    """The notebook as its cells make it now, and `LAST`; the comparison has finished, and none is added."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copyfile(finished / "provenance.db", folder / "provenance.db")
    notebook = write_example.notebook_of(write_example.SCRIPT.read_text("utf-8"))
    notebook.cells.append(new_code_cell(LAST))
    write_example.execute(notebook, folder)
    counts = [runs_of(place / "provenance.db") for place in (finished, folder)]
    assert counts[0] == counts[1]
    return notebook


def runs_of(file: Path) -> int:
    with sqlite3.connect(file) as connection:
        [count] = connection.execute("SELECT count(*) FROM run").fetchone()
    connection.close()
    return int(count)


def outputs_of(notebook: NotebookNode) -> list[dict[str, str]]:
    """What each cell of code shows in its forms; empty where it shows nothing. None prints or warns."""
    shown = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert {output.output_type for outputs in shown for output in outputs} == {"execute_result"}
    return [outputs[0].data if outputs else {} for outputs in shown]


def test_the_notebook_has_the_cells_of_the_script(kept: NotebookNode) -> None:
    wanted = write_example.notebook_of(write_example.SCRIPT.read_text("utf-8"))
    nbformat.validate(kept)
    assert [(cell.cell_type, cell.id, cell.source) for cell in kept.cells] == [
        (cell.cell_type, cell.id, cell.source) for cell in wanted.cells
    ]
    assert {cell.cell_type for cell in kept.cells} == {"code", "markdown"}


def test_what_the_notebook_holds_is_small_and_of_no_machine(kept: NotebookNode) -> None:
    for output in outputs_of(kept):
        assert len(output.get("image/png", "")) <= LARGEST_PICTURE
        assert len(output.get("text/html", "")) <= LARGEST_PICTURE
        assert not any(str(Path.home()) in text or "/tmp/" in text for text in output.values())  # noqa: S108


def test_the_cells_show_what_they_say(made: NotebookNode) -> None:
    found: dict[str, Any] = json.loads(made.cells[-1].outputs[0].text)
    assert "readable in the base model" in found["verdict"]
    assert found["claims"]["transfer"] == "supported"
    assert all(0 <= rank <= 1 for rank in found["ranks"])
    assert found["weights"] == sorted(found["weights"], reverse=True)
    [said] = (
        each["text/plain"] for each in outputs_of(without_last(made)) if "more active" in each.get("text/plain", "")
    )
    more, of = map(int, re.findall(r"\d+", said))
    assert 0 < more <= of == found["count"]
    assert {"random", "layer_matched", "shuffled_labels", "all_together"} <= set(found["kinds"])
    assert all(gain > 0 for kind, gain in zip(found["kinds"], found["gains"], strict=True) if kind in DECIDING_KINDS)


def without_last(notebook: NotebookNode) -> NotebookNode:
    return NotebookNode({**notebook, "cells": notebook.cells[:-1]})


def test_the_notebook_shows_the_same_things_as_its_cells_do_now(made: NotebookNode, kept: NotebookNode) -> None:
    """In the same forms, and frames with the same columns; numbers may differ in their last digits between machines."""
    now = outputs_of(without_last(made))
    assert sum("image/png" in output for output in now) == 1
    assert sum("text/html" in output for output in now) == 6
    for before, after in zip(outputs_of(kept), now, strict=True):
        assert before.keys() == after.keys()
        heads = [text.partition("</thead>")[0] for text in (before.get("text/html", ""), after.get("text/html", ""))]
        assert "<table" not in heads[1] or heads[0].split() == heads[1].split()


@needs_chromium
def test_the_report_of_the_comparison_fits_a_phone_and_twelve_printed_pages(finished: Path, tmp_path: Path) -> None:
    """In a browser: nothing but what scrolls by itself is wider than the window; printing opens what is folded."""
    page = report_html(f"sqlite:///{finished / 'provenance.db'}", 1)
    for width in (390, 1200):
        assert measured(page, width)["width"] <= width
    (tmp_path / "report.html").write_text(page, "utf-8")
    pages, is_wide = pdf_pages(tmp_path / "report.html")
    assert 9 <= pages <= (16 if is_wide else 12)


def test_a_cell_begins_at_its_mark_and_text_has_none() -> None:
    made = write_example.notebook_of("# %% [markdown]\n# A\n#\n# B\n\n# %%\nx = 2\n\n# %%\nx += 1\nx\n# %%\n")
    assert [(cell.cell_type, cell.source) for cell in made.cells] == [
        ("markdown", "A\n\nB"), ("code", "x = 2"), ("code", "x += 1\nx"), ("code", ""),
    ]  # fmt: skip


def test_a_cell_that_raises_ends_the_notebook(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="1 / 0"):
        write_example.execute(write_example.notebook_of("# %%\n1 / 0\n"), tmp_path)
