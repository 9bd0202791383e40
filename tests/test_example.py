"""The example notebook: its script is the same, its cells run as they stand, and what they show is what it says."""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from browser_page import measured, needs_chromium, pdf_pages
from forked_cli import ForkedCli
from matplotlib.figure import Figure
from pandas import DataFrame
from sharing import made_once
from test_lab_claims import QUICK, compare_families

from docs import write_example
from provenance.analyses.transfer.probe_transfer import DECIDING_KINDS
from provenance.api.interface import Run
from provenance.figures.report.html import report_html

LARGEST_PICTURE = 60_000  # characters of base64


@pytest.fixture(scope="module")
def cells() -> list[write_example.Cell]:
    return write_example.cells_of(write_example.SCRIPT.read_text("utf-8"))


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(write_example.NOTEBOOK.read_text("utf-8"))
    return kept


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, forked: ForkedCli) -> Path:
    """A folder with the database in which the comparison has finished."""
    return made_once(tmp_path_factory, "lab-quick", partial(compare_families, forked, effort=QUICK))


@pytest.fixture(scope="module")
def values(
    tmp_path_factory: pytest.TempPathFactory, finished: Path, cells: list[write_example.Cell]
) -> Iterator[list[object]]:
    """What each cell shows, in a folder where the comparison has finished: no model is loaded."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copyfile(finished / "provenance.db", folder / "provenance.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("provenance.analyses.asking.subject.load_model", None)
        yield list(write_example.executed(cells))


def test_the_notebook_has_the_cells_of_the_script(cells: list[write_example.Cell], notebook: dict[str, Any]) -> None:
    assert [write_example.Cell(cell["cell_type"], cell["source"]) for cell in notebook["cells"]] == cells
    assert {cell.kind for cell in cells} == {"code", "markdown"}
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(cells)


def test_what_the_notebook_holds_is_small_and_of_no_machine(notebook: dict[str, Any]) -> None:
    for output in outputs_of(notebook):
        assert len(output.get("image/png", "")) <= LARGEST_PICTURE
        assert len(output.get("text/html", "")) <= LARGEST_PICTURE
        assert not any(str(Path.home()) in text or "/tmp/" in text for text in output.values())  # noqa: S108


def outputs_of(notebook: dict[str, Any]) -> list[dict[str, str]]:
    """What each cell of code shows in the notebook; empty where it shows nothing."""
    shown = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [outputs[0]["data"] if outputs else {} for outputs in shown]


def test_the_cells_show_what_they_say(values: list[object]) -> None:
    run = next(value for value in values if isinstance(value, Run))
    assert "readable in the base model" in run.verdict
    claims, layers, neurons, ladder, changed = (value for value in values if isinstance(value, DataFrame))
    assert dict(claims[["claim", "verdict"]].to_numpy())["transfer"] == "supported"
    assert neurons["stability_rank"].between(0, 1).all()
    assert neurons["probe_weight"].is_monotonic_decreasing
    [said] = (value for value in values if isinstance(value, str))
    more, of = (int(word) for word in said.split() if word.isdigit())
    assert 0 < more <= of == layers["h_neurons"].sum()
    assert {"random", "layer_matched", "shuffled_labels", "all_together"} <= set(ladder["kind"])
    assert (ladder.loc[ladder["kind"].isin(DECIDING_KINDS), "gain"] > 0).all()
    assert (changed["neurons"] == changed["neurons"].iloc[0]).all()
    assert sum(isinstance(value, Figure) for value in values) == 1


def test_the_notebook_shows_the_same_things_as_its_cells_do_now(
    cells: list[write_example.Cell], values: list[object], notebook: dict[str, Any]
) -> None:
    """In the same forms, and frames with the same columns; numbers may differ in their last digits between machines."""
    now = outputs_of(write_example.notebook(cells, values))
    for kept, made in zip(outputs_of(notebook), now, strict=True):
        assert kept.keys() == made.keys()
        heads = [text.partition("</thead>")[0] for text in (kept.get("text/html", ""), made.get("text/html", ""))]
        assert "<table" not in heads[1] or heads[0].split() == heads[1].split()


@needs_chromium
def test_the_report_of_the_comparison_fits_a_phone_and_twelve_printed_pages(finished: Path, tmp_path: Path) -> None:
    """In a browser: nothing but what scrolls by itself is wider than the window; printing opens what is folded."""
    page = report_html(f"sqlite:///{finished / 'provenance.db'}", 1)
    for width in (390, 1200):
        assert measured(page, width)["width"] <= width
    (tmp_path / "report.html").write_text(page, "utf-8")
    assert 9 <= pdf_pages(tmp_path / "report.html") <= 12


def test_a_cell_shows_its_last_line_if_that_is_an_expression() -> None:
    names: dict[str, Any] = {}
    text, first, second, third = write_example.cells_of(
        "# %% [markdown]\n# A\n#\n# B\n\n# %%\nx = 2\n\n# %%\nx += 1\nx\n# %%\n"
    )
    assert text == write_example.Cell("markdown", "A\n\nB")
    assert write_example.shown(first, names) is None
    assert write_example.shown(second, names) == 3
    assert write_example.shown(third, names) is None
