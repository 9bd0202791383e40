"""Answers and captures from a Ray cluster through the command line. The whole command runs where Ray is installed."""

import os
from pathlib import Path

import pytest
from comparison import Finished, ForkedCli, Pair, numbers, parsed, refused
from ray_workers import Killer, needs_ray

from provenance.cluster import connection


def captures(folder: Path) -> dict[str, bytes]:
    """Captured arrays of a working folder, by name."""
    return {path.name: path.read_bytes() for path in (folder / "provenance.captures").iterdir()}


@needs_ray
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers need two CPUs")
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
