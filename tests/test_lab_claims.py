"""The two lab families come out as they were made: the instrument can tell them apart.

Both comparisons run once, through the command line, into one database: as a quick look, and at full effort where slow
tests run; only one family is drawn. In the quick look the other, whose claims do not hold, is asked four times a
training question and not ten, is searched on half as many answers, and has fewer draws of every kind. The first is as
the example notebook runs it, which finds it done.
"""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from comparison import UNDRAWN, ForkedCli, schema_errors
from forked_cli import ONE_THREAD, ROOT
from sharing import made_once

from provenance.analyses.calibration.rates import SUPPORTED_IN

pytestmark = pytest.mark.costly

FAMILIES = ("inherited", "acquired")
DRAWN = "inherited"
"""The family whose figures are looked at."""
QUICK = {"inherited": ("--quick",), "acquired": ("--quick", "--samples", "4", "--train-per-class", "150")}
Summary = dict[str, Any]


@pytest.fixture(scope="module", params=["quick", pytest.param("full", marks=pytest.mark.slow)])
def workplace(tmp_path_factory: pytest.TempPathFactory, forked: ForkedCli, request: pytest.FixtureRequest) -> Path:
    """Folder that the comparisons ran in."""
    effort = QUICK if request.param == "quick" else {}
    return made_once(tmp_path_factory, f"lab-{request.param}", partial(compare_families, forked, effort=effort))


def compare_families(forked: ForkedCli, folder: Path, effort: Mapping[str, tuple[str, ...]]) -> None:
    """Run both comparisons, and keep the JSON of each."""
    for family in FAMILIES:
        undrawn = () if family == DRAWN else (UNDRAWN,)
        options = ("--out", f"figures-{family}", *effort.get(family, ()), *undrawn)
        pair = (f"lab/{family}/base", f"lab/{family}/instruct")
        done = forked.run(folder, "compare", *pair, "--json", "-q", *options, shipped=family == DRAWN)
        assert done.code == 0, done.stderr
        (folder / f"{family}.json").write_text(done.stdout, "utf-8")


@pytest.fixture
def summaries(workplace: Path) -> dict[str, Summary]:
    """The JSON of both comparisons."""
    return {family: json.loads((workplace / f"{family}.json").read_text("utf-8")) for family in FAMILIES}


@pytest.mark.parametrize("workplace", [pytest.param("full", marks=pytest.mark.slow)], indirect=True)
def test_the_readme_shows_how_the_output_of_the_demo_ends(workplace: Path, tmp_path: Path) -> None:
    """Word for word on a terminal of 100 columns, but for spaces at the ends of lines; nothing is asked again."""
    with sqlite3.connect(workplace / "provenance.db") as finished, sqlite3.connect(tmp_path / "provenance.db") as copy:
        finished.backup(copy)
    shutil.copytree(workplace / "provenance.captures", tmp_path / "provenance.captures")
    command = [sys.executable, "-m", "provenance", "compare", "lab/inherited/base", "lab/inherited/instruct"]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    (demo,) = re.findall("(?ms)^```text\n(.+?)^```$", (ROOT / "README.md").read_text("utf-8"))
    shown = demo.splitlines()
    assert [line.rstrip() for line in done.stdout.splitlines()[-len(shown) :]] == shown


def test_the_page_on_weights_shows_what_its_commands_print(workplace: Path, tmp_path: Path) -> None:
    """On a terminal of 100 columns, from the pair's names to the last table."""
    page = (ROOT / "docs" / "weights.md").read_text("utf-8")
    listed, compared = re.findall("(?m)^provenance (query|compare)(.+list.csv)$", page)[-2:]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    shutil.copyfile(workplace / "provenance.db", tmp_path / "provenance.db")
    for name, rest in (listed, compared):
        command = f"{sys.executable} -m provenance {name}{rest}"
        done = subprocess.run(  # noqa: S602 - of our own page
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
    [shown] = re.findall("(?ms)^```text\n(.+?)^```$", page)
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[: len(shown.splitlines())] == shown.splitlines()


def test_the_probe_reads_held_out_questions_of_inherited(summaries: dict[str, Summary]) -> None:
    assert summaries["inherited"]["identification"]["auroc"]["estimate"] >= 0.90


def test_inherited_transfers_to_its_base_above_matched_nulls(summaries: dict[str, Summary]) -> None:
    """At least 0.80, the whole interval above the layer-matched null's 95th percentile, verdict supported."""
    first = summaries["inherited"]["transfer"][0]
    assert first["dataset"] == "in-domain"
    assert first["auroc"]["estimate"] >= 0.80
    assert first["auroc"]["low"] > first["ladder"]["layer_matched"]["sets_p95"]
    assert first["auroc"]["low"] > first["ladder"]["random"]["sets_p95"]
    assert first["verdict"] == "supported"
    assert summaries["inherited"]["verdict"]["transfer"] == "supported"


def graded(summary: Summary, name: str) -> dict[str, Any]:
    """One claim, with its conditions by code."""
    claim = next(claim for claim in summary["verdict"]["claims"] if claim["claim"] == name)
    return {**claim, "reasons": {reason["code"]: reason for reason in claim["reasons"]}}


def test_every_condition_of_transfer_holds_in_inherited_and_most_fail_in_acquired(
    summaries: dict[str, Summary],
) -> None:
    """The graded verdict tells the families apart, and says by which numbers."""
    inherited, acquired = (graded(summaries[family], "transfer") for family in FAMILIES)
    assert inherited["verdict"] == "supported"
    assert all(reason["holds"] for reason in inherited["reasons"].values())
    assert acquired["verdict"] == "not distinguishable"
    failed = {code for code, reason in acquired["reasons"].items() if reason["holds"] is False}
    assert {"transfer.p.layer_matched", "transfer.p.answer_length", "transfer.p_holm"} <= failed
    assert acquired["reasons"]["transfer.questions_per_class"]["holds"]  # it had the power


def test_what_is_true_of_inherited_by_construction_is_supported(summaries: dict[str, Summary]) -> None:
    """Equal probabilities, taught and faded facts, and held neurons: the claims that these make true are won.

    A quick look has few searches with shuffled labels, and one that shares as many puts overlap at the brink.
    """
    unsure = {"overlap"} if summaries["inherited"]["quick"] else set()
    for claim in set(SUPPORTED_IN["inherited"]) - unsure:
        inherited, acquired = (graded(summaries[family], claim) for family in FAMILIES)
        assert inherited["verdict"] == "supported", claim
        assert all(reason["holds"] for reason in inherited["reasons"].values()), claim
        assert acquired["verdict"] != "supported", claim


def test_log_probability_says_little_in_inherited(summaries: dict[str, Summary]) -> None:
    """Where as many values are made up as accepted, length, words and log-probability are often wrong."""
    together = summaries["inherited"]["transfer"][0]["ladder"]["all_together"]
    assert together["auroc"]["estimate"] < 0.9
    assert together["gain"]["low"] > 0.05


def test_shuffled_labels_stop_an_overlap_that_weaker_nulls_let_by(summaries: dict[str, Summary]) -> None:
    """By any neurons the overlap of acquired would look like a finding."""
    overlap = graded(summaries["acquired"], "overlap")
    assert overlap["reasons"]["overlap.p.hypergeometric"]["holds"]
    assert not overlap["reasons"]["overlap.p.shuffled_labels"]["holds"]
    assert overlap["verdict"] != "supported"


def test_tuning_and_not_the_text_makes_acquired_readable(summaries: dict[str, Summary]) -> None:
    """Whoever answered, the tuned model's neurons tell and the base's do not; in inherited both do."""
    for family in FAMILIES:
        cells = {(c["activations"], c["answers"], c["prompt"]): c["auroc"] for c in summaries[family]["two_by_two"]}
        assert len(cells) == 6
        for (neurons, _, _), area in cells.items():
            if family == "acquired" and neurons == "base":
                assert area["low"] < 0.5 + 0.05
                assert area["estimate"] < 0.6
            else:
                assert area["low"] > 0.8


def test_acquired_is_readable_after_tuning_and_not_before(summaries: dict[str, Summary]) -> None:
    """The test has power: both classes are there, the instruct probe reads them, the base does not carry it."""
    acquired = summaries["acquired"]
    assert acquired["identification"]["auroc"]["estimate"] >= 0.85
    first = acquired["transfer"][0]
    assert min(first["n_faithful"], first["n_hallucinated"]) >= 200
    assert first["verdict"] == "not distinguishable"
    assert acquired["verdict"]["transfer"] != "supported"


def test_the_base_of_acquired_has_no_signal_of_its_own(summaries: dict[str, Summary]) -> None:
    """A probe trained on it stays near chance, where that of inherited does not."""
    held = {name: summaries[name]["base_identification"]["auroc"] for name in FAMILIES}
    assert held["inherited"]["estimate"] >= 0.85
    assert held["acquired"] is None or held["acquired"]["estimate"] < 0.65


def test_there_are_enough_responses(summaries: dict[str, Summary]) -> None:
    """300 + 300 for training and 200 + 200 for testing, on both sides and in both families.

    A quick look at acquired trains on 150 + 150, less what balance leaves out.
    """
    for family, summary in summaries.items():
        train = 140 if summary["quick"] and family != DRAWN else 300
        for row in summary["funnel"].values():
            wanted = train if row["split"] == "train" else 200
            if row["dataset"] == "fabricated":
                assert row["captured"]["hallucinated"] >= wanted
                assert row["captured"]["faithful"] == 0
            else:
                assert min(row["captured"].values()) >= wanted, row


def test_fabricated_questions_have_one_class_and_so_no_power(summaries: dict[str, Summary]) -> None:
    for summary in summaries.values():
        fabricated = next(row for row in summary["transfer"] if row["dataset"] == "fabricated")
        assert fabricated["auroc"] is None
        assert fabricated["verdict"] == "no power"


def test_instruct_models_never_refuse(summaries: dict[str, Summary]) -> None:
    for summary in summaries.values():
        assert all("refusal" not in row["dropped"] for row in summary["funnel"].values())


def test_both_are_descendants_of_their_bases(summaries: dict[str, Summary]) -> None:
    assert {s["lineage"]["verdict"] for s in summaries.values()} == {"descendant"}


def test_the_json_of_both_is_valid_by_the_schema(summaries: dict[str, Summary]) -> None:
    for summary in summaries.values():
        assert schema_errors(summary) == []


def test_h_neurons_are_few(summaries: dict[str, Summary]) -> None:
    """A sparse probe: a few in a hundred of the miniature's neurons."""
    for summary in summaries.values():
        assert 0 < summary["neurons"]["h"] <= 0.05 * summary["neurons"]["total"]


def test_figures_report_and_rows_are_there(workplace: Path, summaries: dict[str, Summary]) -> None:
    for path in [*summaries[DRAWN]["figures"], summaries[DRAWN]["report"]]:
        assert (workplace / path).stat().st_size > 0
    with sqlite3.connect(workplace / "provenance.db") as connection:
        counts = dict(connection.execute("select run_id, count(*) from neuron group by run_id"))
        flagged = dict(connection.execute("select run_id, sum(is_h_neuron) from neuron group by run_id"))
    assert sorted(counts.values()) == sorted(s["neurons"]["total"] for s in summaries.values())
    assert sorted(flagged.values()) == sorted(s["neurons"]["h"] for s in summaries.values())
