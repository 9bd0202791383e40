"""Killed at any point, the same command goes on where it stopped and ends in the same numbers."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from comparison import Finished, ForkedCli, Harm, Pair, numbers, parsed
from forked_cli import ONE_THREAD, ROOT

KILLS = {
    "two batches of responses are written": Harm("provenance.db.work_log:ResponseRows.put", 2, "after"),
    "captured vectors are written and not counted": Harm("os:fsync", 1, "before"),
    "captured vectors are counted and have no row": Harm("provenance.db.work_log:CaptureRows.append", 1, "before"),
    "one of three arrays of a batch is written": Harm("provenance.db.work_log:CaptureRows.append", 4, "after"),
    "all results are written and not committed": Harm("provenance.db.store:write", 1, "after"),
    "some figures are drawn": Harm("pathlib:Path.replace", 5, "before"),
}
"""One after the other, each in the run that goes on after the one before."""


def files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, by name; the database holds times, and its log depends on who read it last."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.endswith((".db", "-shm", "-wal", ".html"))}


@pytest.mark.costly
def test_a_comparison_killed_at_six_points_ends_in_the_numbers_and_files_of_an_undisturbed_one(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    for point, harm in KILLS.items():
        killed = forked.run(tmp_path, *pair.command, harm=harm)
        assert (killed.code, killed.stdout) == (-signal.SIGKILL, ""), (point, killed.stderr)
    done = forked.run(tmp_path, *pair.command)
    assert done.code == 0, done.stderr
    assert numbers(parsed(done.stdout)) == numbers(undisturbed.summary)
    assert files(tmp_path) == files(undisturbed.folder)


@pytest.mark.costly
def test_a_search_killed_in_its_own_process_is_one_error_and_the_command_goes_on_to_the_numbers_of_one_process(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    harm = Harm("provenance.analyses.jobs.run_comparison:identify", 1, "before")
    killed = forked.run(tmp_path, *pair.command, harm=harm, processes=2)
    assert (killed.code, killed.stdout) == (1, ""), killed.stderr
    assert "one that was killed" in killed.stderr
    done = forked.run(tmp_path, *pair.command, processes=2)
    assert done.code == 0, done.stderr
    assert numbers(parsed(done.stdout)) == numbers(undisturbed.summary)
    assert files(tmp_path) == files(undisturbed.folder)


def test_every_kill_of_that_test_struck_before_the_end(undisturbed: Finished) -> None:
    """The check has teeth: the pair has more batches, chunks and figures than the kills let pass."""
    captures = list((undisturbed.folder / "provenance.captures").iterdir())
    assert len(captures) >= 5
    assert len(list((undisturbed.folder / "provenance-out" / "latest").iterdir())) > 5
    asked = {row["stage"]: row["asked"] for row in undisturbed.summary["funnel"].values() if row["split"] == "train"}
    assert all(count > 2 * 16 for count in asked.values())


@pytest.mark.costly
def test_a_finished_command_given_again_needs_no_model_and_gives_the_same(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    undisturbed.copied(tmp_path)
    no_model = Harm("provenance.analyses.asking.subject:load_model", 1, "before")
    again = forked.run(tmp_path, *pair.undrawn, harm=no_model)
    assert again.code == 0, again.stderr
    assert numbers(parsed(again.stdout)) == numbers(undisturbed.summary)


@pytest.mark.costly
def test_results_are_told_before_anything_is_drawn(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    """A kill while figures are drawn leaves tables on the terminal; an interrupt leaves the whole JSON object."""
    undisturbed.copied(tmp_path)
    drawing = "provenance.cli.run_job:results_written"
    plain = [part for part in pair.command if part != "--json"]
    killed = forked.run(tmp_path, *plain, harm=Harm(drawing, 1, "before"))
    assert killed.code == -signal.SIGKILL
    assert "decided by" in killed.stdout
    interrupted = forked.run(tmp_path, *pair.command, harm=Harm(drawing, 1, "before", "interrupt"))
    assert interrupted.code == 130, interrupted.stderr
    assert numbers(parsed(interrupted.stdout)) == numbers(undisturbed.summary)


@pytest.mark.parametrize("change", [("--seed", "1"), ("--base-prompt", "Q: {question}\\nA:"), ("--samples", "3")])
def test_another_setting_is_another_run_and_does_not_meet_old_responses(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path, change: tuple[str, str]
) -> None:
    """Killed at its first new batch: which is asked for although the database has all of another setting."""
    undisturbed.copied(tmp_path)
    harm = Harm("provenance.db.work_log:ResponseRows.put", 1, "before")
    assert forked.run(tmp_path, *pair.command, *change, harm=harm).code == -signal.SIGKILL


@pytest.mark.costly
def test_what_a_setting_does_not_touch_is_not_asked_again(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    """Another design of the probe is another run on the same responses and captures."""
    undisturbed.copied(tmp_path)
    no_model = Harm("provenance.analyses.asking.subject:load_model", 1, "before")
    other = forked.run(tmp_path, *pair.undrawn, "--design", "1-vs-1", harm=no_model)
    assert other.code == 0, other.stderr
    summary = parsed(other.stdout)
    assert summary["run"] == 2
    assert summary["funnel"] == undisturbed.summary["funnel"]
    assert summary["identification"]["n_train"] == undisturbed.summary["identification"]["n_train"]
    assert summary["identification"]["design"] == "1-vs-1"


@pytest.mark.costly
def test_batches_quotas_and_where_it_is_computed_ask_nothing_again(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    """Other runs on the same answers and captures: in other batches, with quotas that the answers never filled."""
    undisturbed.copied(tmp_path)
    no_model = Harm("provenance.analyses.asking.subject:load_model", 1, "before")
    changes = ("--batch-size", "5", "--train-per-class", "900", "--attn-implementation", "eager")
    other = forked.run(tmp_path, *pair.undrawn, *changes, harm=no_model)
    assert other.code == 0, other.stderr
    assert numbers(parsed(other.stdout)) | {"run": 1} == numbers(undisturbed.summary)


@pytest.mark.slow
def test_captures_that_were_moved_are_taken_where_they_are_named_and_found_there_later(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    """Without a model, from other working folders, of which none gets a folder of captures."""
    there = ("--db", undisturbed.copied(tmp_path))
    (tmp_path / "provenance.captures").rename(tmp_path / "disk")
    no_model = Harm("provenance.analyses.asking.subject:load_model", 1, "before")
    for design, named in (("1-vs-1", ("--captures", "../disk")), ("3-vs-1", ())):
        folder = tmp_path / design
        folder.mkdir()
        done = forked.run(folder, *pair.undrawn, *there, *named, "--design", design, harm=no_model)
        assert done.code == 0, done.stderr
        assert parsed(done.stdout)["funnel"] == undisturbed.summary["funnel"]
        assert list(folder.iterdir()) == []
    assert not (tmp_path / "provenance.captures").exists()


@pytest.mark.slow
def test_the_console_script_killed_from_outside_goes_on(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    """The real program, real timing: killed when it says that the first pool is half asked.

    Its `--quick` has other draws than that of the forked command, so that it stays a run of its own; the answers are
    those of both.
    """
    command = [Path(sys.executable).parent / "provenance", *(arg for arg in pair.command if arg != "-q")]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**ONE_THREAD, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:
        if re.search(r"ask instruct cities train: 16 of", line):
            process.kill()
            break
    out, _ = process.communicate()
    assert (process.returncode, out) == (-signal.SIGKILL, "")
    done = forked.run(tmp_path, *pair.undrawn)
    assert done.code == 0, done.stderr
    assert numbers(parsed(done.stdout)) | {"run": 1} == numbers(undisturbed.summary)
