"""Comparisons and studies over a Ray cluster through the command line. Whole commands run where Ray is installed."""

import json
from pathlib import Path
from typing import Any

import pytest
from comparison import UNDRAWN, Finished, ForkedCli, Pair, error_lines, invoke, numbers, parsed, refused
from joblib import cpu_count
from ray_workers import Killer, needs_ray
from sharing import made_once
from sqlalchemy import select
from test_study_command import NO_MODEL, STUDY, two_families

from provenance.cluster import connection
from provenance.db.connection.digests import run_digest
from provenance.db.reading.run_query import reading
from provenance.db.schema.tables import ResponseRow, Run, RunDataset, TaskRow

TIMELINE = """
[[timeline]]
name = "way"
checkpoints = ["{base}", "{instruct}"]
questions = ["{cities}"]
"""


def captures(folder: Path) -> dict[str, bytes]:
    """Captured arrays of a working folder, by name."""
    return {path.name: path.read_bytes() for path in (folder / "provenance.captures").iterdir()}


@needs_ray
@pytest.mark.costly
@pytest.mark.skipif(cpu_count() < 2, reason="two workers need two CPUs")
def test_a_comparison_in_workers_that_are_killed_is_that_of_one_process(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    """Numbers, captured bits and identity of the run; Ray is started by the command, and says nothing."""
    with Killer(most=2, seed=1, longest_s=3) as killer:
        done = forked.run(tmp_path, *pair.undrawn, "--engine", "ray", "--ray-workers", "2")
    assert done.code == 0, done.stderr
    assert len(killer.killed) == 2
    assert numbers(parsed(done.stdout)) == numbers(undisturbed.summary)
    assert captures(tmp_path) == captures(undisturbed.folder)
    assert not [word for word in ("raylet", "INFO", "Token authentication", "pid=") if word in done.stderr], done.stderr
    again = forked.run(tmp_path, *pair.undrawn)  # here, where the finished run is found
    assert parsed(again.stdout)["run"] == parsed(done.stdout)["run"] == 1


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Path:
    """The file of a study of two families and a timeline."""
    file = tmp_path_factory.mktemp("study") / "three.toml"
    parts = {name: str(getattr(pair, name)) for name in ("base", "instruct", "cities")}
    file.write_text(two_families(pair) + TIMELINE.format(**parts), "utf-8")
    return file


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, forked: ForkedCli, study: Path) -> Finished:
    """That study, run here."""
    command = ("study", str(study), "--json", "-q", UNDRAWN)
    return Finished.of(made_once(tmp_path_factory, "local", lambda folder: Finished.run(forked, folder, *command)))


def stored(folder: Path) -> tuple[dict[str, str], list[tuple[object, ...]]]:
    """Digests of all stored numbers of each run by its key, and all responses."""
    numbered = ("task_id", "run_id", "dataset_id")  # as this database counts
    asked = select(TaskRow.key, *(part for part in ResponseRow.__table__.c if part.name not in numbered))
    with reading(f"sqlite:///{folder / 'provenance.db'}") as connection:
        runs = connection.execute(select(Run.id, Run.key)).all()
        digests = {key: run_digest(connection, run, (RunDataset.__tablename__,)) for run, key in runs}
        rows = connection.execute(asked.join(TaskRow, TaskRow.id == ResponseRow.task_id)).all()
    return digests, sorted(map(tuple, rows), key=repr)


def unnumbered(summary: dict[str, Any]) -> dict[str, Any]:
    """A study's numbers without those of its runs, which count families in the order in which they ended."""
    members = [{**member, "run": None} for member in summary["members"]]
    return numbers({**summary, "members": members})


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(cpu_count() < 2, reason="two workers need two CPUs")
@pytest.mark.parametrize("shared_out", [(), ("--one-by-one",)])
def test_a_study_over_workers_that_are_killed_is_that_of_one_process(
    forked: ForkedCli, local: Finished, study: Path, tmp_path: Path, shared_out: tuple[str, ...]
) -> None:
    """Whole families in workers, or each family shared by both: every stored number and response, and the summary."""
    command = ("study", study, "--engine", "ray", "--ray-workers", "2", *shared_out, "--json", "-q", UNDRAWN)
    with Killer(most=2, seed=3, longest_s=4) as killer:
        done = forked.run(tmp_path, *command, "--captures", tmp_path / "captures")
    assert done.code == 0, done.stderr
    assert len(killer.killed) == 2
    assert stored(tmp_path) == stored(local.folder)
    assert len(stored(tmp_path)[0]) == 3
    assert unnumbered(parsed(done.stdout)) == unnumbered(local.summary)
    assert bool(list((tmp_path / "captures").iterdir())) == bool(shared_out)  # those of workers are gone
    again = forked.run(tmp_path, *command, harm=NO_MODEL)
    assert again.code == 0, again.stderr
    assert numbers(parsed(again.stdout)) == numbers(parsed(done.stdout))


@needs_ray
@pytest.mark.costly
def test_a_family_that_fails_in_a_worker_ends_the_study_as_here(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    """The pair has finished in this database, so that its worker does nothing; the other family has no base."""
    undisturbed.copied(tmp_path)
    parts = {name: str(getattr(pair, name)) for name in ("base", "instruct", "cities", "towns")}
    (tmp_path / "two.toml").write_text(STUDY.format(**parts), "utf-8")
    before = stored(tmp_path)
    done = forked.run(tmp_path, "study", "two.toml", "--engine", "ray", "--captures", "scratch", "--json", UNDRAWN)
    assert (done.code, done.stdout) == (2, "")
    assert "-missing" in " ".join(error_lines(done.stderr))
    assert stored(tmp_path) == before
    db = f"sqlite:///{tmp_path / 'provenance.db'}"
    members = json.loads(invoke("query", "study", "--study", "two", "--db", db, "--format", "json").stdout)
    assert [(row["family"], row["run"]) for row in members] == [("pair", 1), ("orphan", None)]


def test_half_an_engine_is_refused_before_anything_is_read() -> None:
    for command in ("compare", "trace"):
        for options, named in {
            ("--ray-address", "h:1"): "--ray-address h:1",
            ("--ray-workers", "2"): "--ray-workers 2",
            ("--engine", "openai", "--base-url", "http://x/v1", "--ray-workers", "2"): "--ray-workers 2",
            ("--engine", "ray", "--base-url", "http://x/v1"): "--base-url http://x/v1",
        }.items():
            said = " ".join(refused(command, "/nowhere/a", "/nowhere/b", *options, code=2))
            assert named in said
            assert "nowhere" not in said


def test_without_the_extra_the_command_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _name: None)
    said = " ".join(refused("compare", "/nowhere/a", "/nowhere/b", "--engine", "ray", code=2))
    assert "checkpoint-provenance[ray]" in said
    assert "nowhere" not in said
