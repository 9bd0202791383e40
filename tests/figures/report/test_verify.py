"""A report that somebody sends: the database says whether it is what was found."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from synthetic import INSTRUCT, report_of, stored_run
from typer.testing import CliRunner

from provenance.checkpoints.names import CheckpointRef, content_digest, local_folder
from provenance.cli import app
from provenance.cli.commands.database import _pinned, _same_weights
from provenance.db.reading.run_query import run_query
from provenance.db.store import Store
from provenance.errors import InputError, JobError
from provenance.figures.gallery import Attempt
from provenance.figures.report import html
from provenance.figures.report.html import report_html, write_results
from provenance.figures.report.manifest import read_report
from provenance.figures.report.verify import verify_report

ALTERED = {
    "a number of a table": (">0.90 [0.86, 0.94]</td>", ">0.95 [0.86, 0.94]</td>", "“0.95 [0.86, 0.94]” in place of"),
    "a verdict": ("○</span>not distinguishable from the null", "●</span>supported", "“verdict”"),
    "the sentence": ("are readable in the base", "are not readable in the base", "“verdict”"),
    "a checkpoint's digest": ("b" * 64, "d" * 64, "provenance-report"),
    "a claim for programs": ('"verdict": "supported"', '"verdict": "no power"', "provenance-report"),
    "a heading": ("<h3>Power</h3>", "<h3>Strength</h3>", "“Strength” in place of “Power”"),
    "what is seen": ("</style>", ".overall { display: none }</style>", "style"),
    "what runs": ("<script>\n", "<script>document.title = 1;\n", "script"),
    "the markup alone": ('<p class="overall">', '<p class="overall" hidden>', "another markup, script or drawing"),
    "a further part": ("</main>", '<section id="more">All is well.</section></main>', "“settings-and-provenance”"),
    "a part that is gone": (re.compile(r"<details class=\"appendix\">.*?</details>", re.DOTALL), "", "place of"),
}  # fmt: skip
MEASURED = (
    (r"finished \d[\dT:Z-]+ \(UTC\)", "finished 2031-01-01T00:00:00Z (UTC)"),
    (r"<td>peak memory</td><td>[^<]+", "<td>peak memory</td><td>99.00 GB"),
    (r"<td>resumed</td><td>0", "<td>resumed</td><td>3"),
    (r">12\.5</td>", ">13.5</td>"),
    (r"Run 1, key", "Run 4, key"),
)


def manifest(content: bytes) -> bytes:
    return b'<script id="provenance-report" type="application/json">' + content + b"</script>\n"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, which take most of the time."""
    monkeypatch.setattr(html, "attempted", lambda *_: Attempt([], {}))


@pytest.fixture
def sent(finished: str, undrawn: None, tmp_path: Path) -> Path:
    file = tmp_path / "sent.html"
    file.write_text(report_html(finished), encoding="utf-8")
    return file


def altered(file: Path, old: str | re.Pattern[str], new: str) -> Path:
    page = file.read_text("utf-8")
    changed = re.sub(old if isinstance(old, re.Pattern) else re.escape(old), lambda _: new, page, count=1)
    assert changed != page
    file.write_text(changed, encoding="utf-8")
    return file


@pytest.mark.slow
def test_a_report_as_a_command_writes_it_with_its_figures_is_what_the_database_says(
    finished: str, tmp_path: Path
) -> None:
    file = Path(write_results(finished, 1, tmp_path)["report"])
    assert verify_report(finished, file)["run"] == 1
    altered(file, re.compile(r'(?<= d="M )\d'), "7")
    with pytest.raises(JobError, match="“figure_4a”") as caught:
        verify_report(finished, file)
    assert "drawing" in caught.value.found
    assert "altered after it was written" in caught.value.remedy


@pytest.mark.parametrize("what", ALTERED)
def test_whatever_is_altered_is_found_and_named(finished: str, sent: Path, what: str) -> None:
    old, new, named = ALTERED[what]
    with pytest.raises(JobError) as caught:
        verify_report(finished, altered(sent, old, new))
    assert named in str(caught.value)
    assert "altered after it was written" in caught.value.remedy


def test_times_memory_and_the_number_of_the_run_may_differ(finished: str, sent: Path) -> None:
    """They do where the same command was given again, or the run was merged into another database."""
    for old, new in MEASURED:
        altered(sent, re.compile(old), new)
    assert verify_report(finished, sent)
    altered(sent, ">13.5</td>", ">none at all</td>")
    with pytest.raises(JobError, match="time-by-stage"):
        verify_report(finished, sent)


def test_a_run_that_has_another_number_here_is_found_by_its_key(sent: Path, stored: Callable[..., str]) -> None:
    url = stored(report_of())
    with Store.open(url) as store, store.transaction() as connection:
        connection.execute(text("UPDATE run SET key = 'another' WHERE id = 1"))
    with Store.open(url) as store:
        run = stored_run(store, report_of())
    assert verify_report(url, sent)["run"] == run == 2


def test_another_database_has_no_such_run(sent: Path, stored: Callable[..., str]) -> None:
    url = stored(report_of())
    with Store.open(url) as store, store.transaction() as connection:
        connection.execute(text("UPDATE run SET key = 'another'"))
    with pytest.raises(JobError, match="no run with the key k1"):
        verify_report(url, sent)


def test_rows_that_were_altered_verify_nothing(finished: str, sent: Path, tmp_path: Path) -> None:
    shutil.copyfile(finished.removeprefix("sqlite:///"), tmp_path / "altered.db")
    url = f"sqlite:///{tmp_path / 'altered.db'}"
    with Store.open(url) as store, store.transaction() as connection:
        connection.execute(text("UPDATE transfer SET auroc = 0.99"))
    sent.write_text(report_html(url), encoding="utf-8")  # a report of the altered rows
    with pytest.raises(JobError, match="other rows than their digest says"):
        verify_report(url, sent)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"<html></html>", b'<script id="provenance-report" type="application/json">[]</script>',
     b'<script id="provenance-report" type="application/json">{"a": </script>',
     b'<script id="provenance-report" type="application/json">{}</script>', manifest(b"[" * 100_000),
     manifest(b'{"run_key": ' + b"7" * 5_000 + b"}"),
     manifest(b'{"run_key": "k1", "provenance": [], "matplotlib": ""}'), manifest(b"")[:-10] * 20_000],
)  # fmt: skip
def test_a_file_that_is_no_report_is_bad_input(finished: str, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "other.html"
    file.write_bytes(content)
    for path in (file, tmp_path / "missing.html", tmp_path):
        with pytest.raises(InputError, match="a report of a run"):
            verify_report(finished, path)


def test_a_fifo_and_a_file_without_end_are_not_waited_for(
    finished: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, found in ((tmp_path / "fifo", "a FIFO"), (Path("/dev/zero"), "a device")):
        with pytest.raises(InputError, match=found):
            verify_report(finished, path)
    monkeypatch.setattr("provenance.figures.report.manifest.LARGEST", 1000)
    (tmp_path / "large").write_bytes(manifest(b" " * 1000))
    with pytest.raises(InputError, match="more than 1000 bytes"):
        verify_report(finished, tmp_path / "large")


@pytest.mark.parametrize("more", ["7" * 1_000_000, "<" * 1_000_000], ids=["digits", "tags"])
def test_a_part_without_end_is_compared_in_one_pass(finished: str, sent: Path, more: str) -> None:
    """Minutes and more, if every character began another search."""
    with pytest.raises(JobError, match="altered after it was written"):
        verify_report(finished, altered(sent, "<body>", f"<body>{more}"))


def test_the_manifest_says_run_checkpoints_and_claims_and_no_name_ends_it(sent: Path) -> None:
    _, said = read_report(sent)
    assert said["run_key"] == "k1"
    assert said["checkpoints"]["instruct"] == {"ref": INSTRUCT.ref, "digest": INSTRUCT.digest}
    claims = {claim["claim"]: claim["verdict"] for claim in said["claims"]}
    assert claims == {claim.name: claim.verdict for claim in report_of().evidence.claims}
    manifest = sent.read_text("utf-8").partition('type="application/json">')[2].partition("</script>")[0]
    assert not set("<>&") & set(manifest)


def test_exit_codes_are_those_of_all_commands(finished: str, sent: Path) -> None:
    def code(*arguments: str) -> int:
        return CliRunner().invoke(app, ["report", "--db", finished, *arguments]).exit_code

    assert code("--verify", str(sent)) == 0
    assert code("--verify", str(sent), "--run", "1") == code("--weights") == 2
    assert code("--verify", str(sent.parent)) == 2
    assert code("--verify", str(altered(sent, *ALTERED["a verdict"][:2]))) == 1


def test_a_checkpoint_of_the_hub_is_opened_at_the_commit_that_was_read(stored: Callable[..., str]) -> None:
    """A branch may have moved since."""
    url = stored(report_of())
    with Store.open(url) as store, store.transaction() as connection:
        connection.execute(text("UPDATE checkpoint SET commit_sha = :sha"), {"sha": "c0ffee"})
        connection.execute(text("UPDATE checkpoint SET commit_sha = NULL WHERE ref = 'org/base'"))
    [about] = run_query(url, "run", {"run": 1}).records()
    assert about["instruct"] == "org/instruct@0123abc"
    assert _pinned(url, about) == {"instruct": "org/instruct@c0ffee"}
    assert _pinned(url, {**about, "instruct": "./instruct"}) == {}
    assert _pinned(url, {**about, "instruct": "org/copy"}) == {}


def test_weights_are_digested_again_and_other_files_are_named() -> None:
    refs = {stage: f"lab/inherited/{stage}" for stage in ("base", "instruct")}
    digests = {stage: content_digest(local_folder(CheckpointRef.parse(ref))) for stage, ref in refs.items()}
    about: dict[str, Any] = {**refs, **{f"{stage}_digest": digest for stage, digest in digests.items()}}
    _same_weights(about)
    with pytest.raises(JobError, match="the instruct checkpoint lab/inherited/instruct"):
        _same_weights({**about, "instruct_digest": "0" * 64})
