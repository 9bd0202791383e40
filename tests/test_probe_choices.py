"""Whole comparisons in which C is chosen by the paper's rule, is fixed, or in which the neurons are given."""

import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from comparison import UNDRAWN, Finished, ForkedCli, Harm, Pair, error_lines, numbers, parsed
from sharing import made_once

from provenance.analyses.controls.control_sets import SHUFFLED_LABELS
from provenance.figures.gallery import Attempt
from provenance.figures.report.html import report_html

LAB = (
    "compare",
    "lab/inherited/base",
    "lab/inherited/instruct",
    "--limit",
    "90",
    "--samples",
    "2",
    "--quick",
    "--json",
    "-q",
)
NO_MODEL = Harm("provenance.analyses.asking.subject:load_model", 1, "before")
"""Kills a command that loads one."""


def rows(folder: Path, sql: str, *values: object) -> list[dict[str, Any]]:
    with sqlite3.connect(folder / "provenance.db") as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values)]


def ran(forked: ForkedCli, folder: Path, *command: object, harm: Harm | None = None) -> dict[str, Any]:
    done = forked.run(folder, *command, harm=harm)
    assert done.code == 0, done.stderr
    return parsed(done.stdout)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, forked: ForkedCli) -> tuple[Path, dict[str, Any]]:
    """Folder and JSON of the lab family, compared by the paper's rule on few questions."""
    searched = (*LAB, "--select", "paper", UNDRAWN)
    done = Finished.of(made_once(tmp_path_factory, "lab-few", lambda empty: Finished.run(forked, empty, *searched)))
    return done.folder, done.summary


@pytest.mark.parametrize("side", ["identification", "base_identification"])
def test_the_papers_rule_takes_the_argmax_of_both_accuracies(lab: tuple[Path, dict[str, Any]], side: str) -> None:
    """By hand from the JSON: every point was asked, and the first of the largest sums has been chosen."""
    found = lab[1][side]
    assert found["rule"] == "paper"
    assert all(0 <= point["suppressed_accuracy"] <= 1 for point in found["path"])
    usable = [point for point in found["path"] if point["positive"]]
    sums = [point["validation_accuracy"] + point["suppressed_accuracy"] for point in usable]
    assert found["C"] == usable[sums.index(max(sums))]["C"]
    stage = "base" if side.startswith("base") else "instruct"
    kept = rows(lab[0], "SELECT c, suppressed_accuracy FROM probe_path WHERE stage = ? ORDER BY position", stage)
    assert [(row["c"], row["suppressed_accuracy"]) for row in kept] == [
        (point["C"], point["suppressed_accuracy"]) for point in found["path"]
    ]


@pytest.mark.slow
def test_the_same_command_again_asks_no_silenced_model(lab: tuple[Path, dict[str, Any]], forked: ForkedCli) -> None:
    again = ran(forked, lab[0], *LAB, "--select", "paper", UNDRAWN, harm=NO_MODEL)
    assert numbers(again) == numbers(lab[1])


@pytest.mark.slow
def test_neurons_of_a_file_take_the_place_of_the_search(lab: tuple[Path, dict[str, Any]], forked: ForkedCli) -> None:
    """Exported from one run and given to the next: the same H-Neurons, scored with the same weights, not looked for."""
    folder, searched = lab
    exported = forked.run(folder, "neurons", "export", "--out", "list.json")
    assert exported.code == 0, exported.stderr
    listed = json.loads((folder / "list.json").read_text())
    command = (*LAB, "--neurons", "list.json", UNDRAWN)
    given = ran(forked, folder, *command, harm=NO_MODEL)  # all is captured already
    found, before = given["identification"], searched["identification"]
    assert (found["rule"], found["source"], found["C"]) == ("given", "list.json", None)
    assert (found["path"], found["curve"], found["stability"], found["reason"]) == ([], [], None, "")
    assert given["neurons"] == searched["neurons"]
    assert found["h"] == sum(neuron["weight"] > 0 for neuron in listed["neurons"]) > 0
    for held in before["held_out"]:  # what was not searched for was not searched for with shuffled labels either
        held["baselines"].pop(SHUFFLED_LABELS, None)
    for name in ("accuracy", "auroc", "random_accuracy", "nonzero", "held_out", "n_train"):
        assert found[name] == before[name]
    # a list has no training questions, so its interval is that over test questions alone
    assert [row["auroc"] for row in given["transfer"]] == [row["given_probe"] for row in searched["transfer"]]
    assert given["transfer"][0]["auroc"] is not None
    assert given["transfer"][0]["training_sd"] is None
    assert given["drift"] == searched["drift"]
    assert given["base_identification"]["rule"] == "one-se"  # the base is searched all the same
    assert "list.json" in report_html(f"sqlite:///{folder / 'provenance.db'}", given["run"], Attempt([], {}))
    kept = "SELECT layer, neuron_index FROM probe_neuron WHERE run_id = ? AND stage = 'instruct' AND is_h_neuron"
    assert rows(folder, kept, given["run"]) == rows(folder, kept, searched["run"])
    [about] = rows(folder, "SELECT rule, c FROM probe WHERE run_id = ? AND stage = 'instruct'", given["run"])
    assert about == {"rule": "given", "c": None}
    assert rows(folder, "SELECT source FROM neuron_list WHERE run_id = ?", given["run"]) == [{"source": "list.json"}]
    again = ran(forked, folder, *command, harm=NO_MODEL)
    assert numbers(again) == numbers(given)
    base = forked.run(folder, "neurons", "export", "--run", given["run"], "--stage", "base", "--out", "base.json")
    assert base.code == 0, base.stderr
    assert "neurons given by" not in base.stdout + base.stderr


@pytest.fixture
def workplace(undisturbed: Finished, tmp_path: Path) -> Path:
    """A folder in which the pair has been asked and captured before."""
    undisturbed.copied(tmp_path)
    return tmp_path


def write_list(folder: Path, neurons: list[dict[str, object]], **about: object) -> Path:
    path = folder / "list.json"
    path.write_text(json.dumps({"schema": 1, "neurons": neurons, **about}), encoding="utf-8")
    return path


@pytest.mark.costly
def test_a_fixed_c_is_that_of_both_probes(pair: Pair, forked: ForkedCli, workplace: Path) -> None:
    """And the run is another one than that with a choice, which asked the same."""
    summary = ran(forked, workplace, *pair.undrawn, "--C", "1", harm=NO_MODEL)
    assert summary["run"] == 2
    for side in ("identification", "base_identification"):
        found = summary[side]
        assert found["rule"] == "fixed"
        assert 1.0 in [point["C"] for point in found["path"]]
        assert found["C"] == 1.0 or (found["C"] is None and "C = 1" in found["reason"])
    [instruct] = rows(workplace, "SELECT rule, c FROM probe WHERE run_id = 2 AND stage = 'instruct'")
    assert instruct == {"rule": "fixed", "c": summary["identification"]["C"]}


@pytest.mark.costly
def test_a_fixed_c_below_the_path_is_reported_and_no_failure(pair: Pair, forked: ForkedCli, workplace: Path) -> None:
    summary = ran(forked, workplace, *pair.command, "--C", "1e-6", harm=NO_MODEL)
    assert summary["identification"]["h"] == 0
    assert "C = 1e-06 leaves no neuron" in summary["identification"]["reason"]
    assert summary["verdict"]["transfer"] == "no power"
    assert Path(workplace, summary["report"]).is_file()


@pytest.mark.costly
def test_bare_positions_are_taken_as_they_are(pair: Pair, forked: ForkedCli, workplace: Path) -> None:
    """All of them are H-Neurons, whatever sign the weights have that are fitted to them, and go out again bare."""
    neurons: list[dict[str, object]] = [{"layer": layer, "index": index} for layer in (0, 1) for index in (2, 7, 11)]
    path = write_list(workplace, neurons)
    summary = ran(forked, workplace, *pair.undrawn, "--neurons", path, harm=NO_MODEL)
    assert (summary["neurons"]["h"], summary["identification"]["h"]) == (6, 6)
    assert summary["identification"]["rule"] == "given"
    again = forked.run(workplace, "neurons", "export", "--run", summary["run"], "--out", "again.json")
    assert again.code == 0, again.stderr
    exported = json.loads((workplace / "again.json").read_text())["neurons"]
    assert [(n["layer"], n["index"]) for n in exported] == [(n["layer"], n["index"]) for n in neurons]


def test_another_list_is_another_run(pair: Pair, forked: ForkedCli, workplace: Path) -> None:
    """The list's content counts, not its name; each command is killed as soon as its run has begun."""
    begun = Harm("provenance.db.store:Store.add_questions", 1, "before")
    for index, runs in ((3, 2), (4, 3), (3, 3)):
        path = write_list(workplace, [{"layer": 0, "index": index, "weight": 2.0}])
        assert forked.run(workplace, *pair.undrawn, "--neurons", path, harm=begun).code == -signal.SIGKILL
        assert len(rows(workplace, "SELECT id FROM run")) == runs
    resumed = {row["id"]: row["resumed"] for row in rows(workplace, "SELECT id, resumed FROM run")}
    assert resumed == {1: 0, 2: 1, 3: 0}


@pytest.mark.parametrize(
    ("neurons", "found"),
    [
        ([{"layer": 9, "index": 0}], "9"),
        ([{"layer": 0, "index": 1}, {"layer": 0, "index": 1}], "layer 0, index 1"),
        ([{"layer": 0, "index": 1, "weight": -1.0}], "none of them positive"),
        ([], "none"),
    ],
)
def test_a_list_that_does_not_fit_is_refused_before_anything_is_asked(
    pair: Pair, forked: ForkedCli, tmp_path: Path, neurons: list[dict[str, object]], found: str
) -> None:
    path = write_list(tmp_path, neurons)
    done = forked.run(tmp_path, *pair.undrawn, "--neurons", path, harm=NO_MODEL)
    assert (done.code, done.stdout) == (2, "")
    assert found in error_lines(done.stderr)[1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["list.json"]
