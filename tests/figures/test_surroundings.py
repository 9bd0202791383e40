"""The user's surroundings decide nothing: matplotlib's settings, a stream without UTF-8, a figure that fails."""

import json
import logging
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from comparison import invoke, refused
from matplotlib.figure import Figure
from synthetic import lineage_of

from provenance.cli.options.common import print_result
from provenance.cli.options.surroundings import settle_streams
from provenance.errors import JobError
from provenance.figures import gallery
from provenance.figures.catalogue import GALLERY
from provenance.figures.gallery import FORMS, attempted, draw, drawn, image, write_figures
from provenance.figures.report.html import write_results

ROOT = Path(__file__).parents[2]
HARMFUL = {
    "text.usetex": True,  # there may be no LaTeX
    "axes.formatter.use_mathtext": True,
    "axes.xmargin": 0.4,
    "figure.dpi": 37.0,
    "lines.linewidth": 9.0,
    "savefig.bbox": "tight",
    "savefig.transparent": True,
}
WHOLE, FAILING = "figure_4b", "figure_ladder"


def broken(_parts: object) -> Figure:
    raise RuntimeError("Failed to process string with tex\nbecause latex could not be found")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gallery of two figures."""
    monkeypatch.setattr(gallery, "GALLERY", {name: GALLERY[name] for name in (WHOLE, FAILING)})


@pytest.fixture
def one_broken(monkeypatch: pytest.MonkeyPatch, two: None) -> None:
    """One of them raises what a library might raise."""
    monkeypatch.setitem(gallery.GALLERY, FAILING, replace(GALLERY[FAILING], draw=broken))


@pytest.mark.costly
@pytest.mark.usefixtures("two")
def test_no_setting_of_the_users_matplotlib_changes_a_byte_of_a_figure(finished: str) -> None:
    plain = [image(figure, form) for figure in drawn(finished) for form in ("svg", "png")]
    with mpl.rc_context(HARMFUL):
        before = dict(mpl.rcParams)
        again = [image(figure, form) for figure in drawn(finished) for form in ("svg", "png")]
        assert dict(mpl.rcParams) == before
    assert again == plain


@pytest.mark.usefixtures("one_broken")
def test_a_figure_that_fails_costs_that_figure_only(
    finished: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the folder of a run, in its report, and where figures alone were asked for."""
    stale = tmp_path / f"{FAILING}.pdf"
    stale.write_bytes(b"of an earlier run")
    with caplog.at_level(logging.WARNING):
        files = write_results(finished, 1, tmp_path)
    reason = "RuntimeError: Failed to process string with tex because latex could not be found"
    assert files["not_drawn"] == {FAILING: reason}
    assert f"{FAILING} was not drawn: {reason}" in caplog.text
    assert not stale.exists()
    assert [Path(path).name for path in files["figures"] if path.endswith(".pdf")] == [f"{WHOLE}.pdf"]
    page = Path(files["report"]).read_text("utf-8")
    assert page.count("<svg") == 1
    assert f"{FAILING} could not be drawn: {reason}" in page
    with pytest.raises(JobError, match=FAILING):
        draw(finished, None, tmp_path, forms=())


@pytest.mark.costly
@pytest.mark.usefixtures("two")
def test_a_form_that_fails_costs_its_figure_only(
    finished: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a figure whose PNG cannot be made no PDF is left either, since the forms belong together."""
    save, forms = Figure.savefig, list[str]()

    def failing(figure: Figure, target: Any, **options: Any) -> None:
        forms.append(options["format"])
        if forms.count("png") == 1 and forms[-1] == "png":
            raise MemoryError
        save(figure, target, **options)

    monkeypatch.setattr(Figure, "savefig", failing)
    found = attempted(finished, None, FORMS)
    assert found.failed == {WHOLE: "MemoryError:"}
    assert {path.stem for path in write_figures(found.figures, tmp_path) if path.suffix != ".csv"} == {FAILING}


@pytest.mark.usefixtures("one_broken")
def test_figures_and_report_end_with_the_right_code_where_one_fails(finished: str, tmp_path: Path) -> None:
    told = invoke("figures", "--db", finished, "--out", tmp_path)
    assert told.exit_code == 1
    assert len(told.stdout.splitlines()) == len(list(tmp_path.iterdir()))
    assert FAILING in told.stderr.split("found: ")[1]
    assert invoke("report", "--db", finished, "--out", tmp_path).exit_code == 0


@pytest.mark.usefixtures("two")
def test_rows_of_another_type_are_one_clear_error_of_the_report(stored: Any, tmp_path: Path) -> None:
    url = stored(lineage_of())
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE lineage SET found_in_base = 'garbage'")
    lines = refused("report", "--db", url, "--out", tmp_path / "out", code=1)
    assert "as they were written" in lines[0]
    assert "db info" in lines[2]


def in_surroundings(cwd: Path, surroundings: dict[str, str], *args: str) -> subprocess.CompletedProcess[bytes]:
    """A command in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in {"LANG", "LC_ALL", "PYTHONUTF8"}}
    return subprocess.run(
        [sys.executable, "-m", "provenance", *args], cwd=cwd, capture_output=True, check=False,
        env={**kept, "PYTHONPATH": str(ROOT), **surroundings},
    )  # fmt: skip


@pytest.mark.costly
def test_a_program_started_in_harmful_surroundings_writes_the_same_report(stored: Any, tmp_path: Path) -> None:
    """All at once: a backend that is not installed, a matplotlibrc that is no text, and a stdout of ASCII."""
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe: 1\ntext.usetex: True\n")
    harmful = {"MPLBACKEND": "module://nowhere.backend", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    url = stored(lineage_of())
    done = in_surroundings(tmp_path, harmful, "report", "--db", url, "--out", "ö-out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"-out/report.html\n")
    invoke("report", "--db", url, "--out", tmp_path / "plain")
    assert (tmp_path / "ö-out" / "report.html").read_bytes() == (tmp_path / "plain" / "report.html").read_bytes()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_whole_in_every_encoding_of_stdout(
    encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = {"words": "base → instruct, 0.35 ‰, 名前, \udcff"}
    with (tmp_path / "out").open("w", encoding=encoding) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        settle_streams()
        print_result(said, lambda *_: None, as_json=True)
        monkeypatch.undo()
    read = json.loads((tmp_path / "out").read_text(encoding))
    assert read == (said if encoding != "utf-8" else {"words": said["words"].replace("\udcff", "?")})
