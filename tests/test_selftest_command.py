"""The self test says what had to come out and what did, and fails where they differ."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comparison import invoke, parsed

from provenance.analyses.calibration.rates import (
    COMPLIANCE,
    SUPPORTED_IN,
    CalibrationSettings,
    Rate,
    conditions,
    rate_of,
)
from provenance.analyses.jobs.compare_job import Job
from provenance.cli.commands import selftest
from provenance.lab.manifest import benchmarks
from provenance.lab.recipes import RECIPES
from provenance.records import Verdict

Verdicts = dict[str, Verdict]
RIGHT: dict[tuple[str, str | None], Verdict] = {("inherited", None): "supported"}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str | None], Verdict]:
    """Transfer verdict of each case, in place of a comparison; not distinguishable where nothing is put in."""
    verdicts = dict(RIGHT)
    urls: set[str] = set()

    def compared(job: Any, db: str, out: Path | None, *, quiet: bool) -> dict[str, Any]:
        assert quiet
        assert out is None
        urls.add(db)
        family = job.instruct.split("/")[1]
        verdicts_of: Verdicts = {"own_labels": "no power", "drift": "not distinguishable"}
        verdicts_of |= dict.fromkeys(() if job.control else SUPPORTED_IN[family], "supported")
        otherwise = verdicts_of.get("transfer", "not distinguishable")
        verdicts_of["transfer"] = verdicts.get((family, job.control), otherwise)
        verdicts_of |= {claim: verdicts_of.get(claim, "not distinguishable") for claim in COMPLIANCE if job.behaviour}
        claims = [{"claim": claim, "verdict": verdict} for claim, verdict in verdicts_of.items()]
        return {"verdict": {"claims": claims}, "run": 1}

    monkeypatch.setattr(selftest, "run_job", compared)
    return verdicts


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Puts a number of false alarms, of 200 draws, in place of the calibration."""

    def put(alarms: int) -> None:
        def calibrated(settings: CalibrationSettings, _progress: object) -> tuple[Rate, ...]:
            n = settings.draws
            return tuple(
                rate_of(each, ["supported"] * hits + ["not distinguishable"] * (n - hits))
                for each in conditions()
                for hits in [alarms if each.is_null else n // 2]
            )

        monkeypatch.setattr("provenance.analyses.calibration.rates.calibrate", calibrated)

    put(3)
    return put


@pytest.mark.usefixtures("drawn")
def test_all_cases_and_rates_are_in_the_json_and_the_exit_code_is_0(
    said: dict[tuple[str, str | None], Verdict],
) -> None:
    """All families, as they are and under each control, and every kind of draw with its exact interval."""
    result = invoke("lab", "selftest", "--json", "-q")
    assert result.exit_code == 0, result.output
    summary = parsed(result.stdout)
    assert summary["passed"] is True
    assert (summary["draws"], summary["seed"], summary["database"]) == (200, 0, None)
    found = {(case["family"], case["control"]): case for case in summary["cases"]}
    controls = (None, "permuted-index", "permuted-labels", "unrelated")
    compared = [family for family, recipe in RECIPES.items() if recipe.has_base]
    read = {(family, control) for family in compared if not benchmarks(family) for control in controls}
    assert set(found) == read | {("yielding", None), ("idle", None)}
    assert found["idle", None]["expected"]["compliance_base:doubted-answers"] == "not distinguishable"
    assert found["inherited", None]["verdict"]["transfer"] == said["inherited", None]
    assert found["acquired", None]["expected"] == {
        "transfer": "not supported", "own_labels": "not supported", "drift": "anything"
    }  # fmt: skip
    assert all(case["as_expected"] for case in found.values())
    assert len(summary["rates"]) == len(conditions())
    rate = next(row for row in summary["rates"] if row["is_null"])["rate"]
    assert (rate["estimate"], rate["n"]) == (0.015, 200)
    assert (rate["low"], rate["high"]) == pytest.approx((0.003, 0.043), abs=5e-4)


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        (("inherited", None), "not distinguishable"),
        (("acquired", None), "supported"),
        (("inherited", "permuted-index"), "supported"),
        (("acquired", "unrelated"), "no power"),
    ],
)
def test_a_wrong_verdict_ends_in_exit_code_1_with_the_table_all_the_same(
    said: dict[tuple[str, str | None], Verdict], case: tuple[str, str | None], verdict: Verdict
) -> None:
    said[case] = verdict
    result = invoke("lab", "selftest", "--json", "-q")
    assert result.exit_code == 1
    wrong = [row for row in json.loads(result.stdout)["cases"] if not row["as_expected"]]
    assert [(row["family"], row["control"]) for row in wrong] == [case]


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("swapped", [False, True])
def test_both_families_of_doubts_must_come_out_as_made(monkeypatch: pytest.MonkeyPatch, *, swapped: bool) -> None:
    """Both are asked their benchmark; where one is taken for the other, both cases are wrong."""
    other = {"yielding": "idle", "idle": "yielding"}

    def compared(job: Job, *_: object, quiet: bool) -> dict[str, Any]:
        assert quiet
        family = job.instruct.split("/")[1]
        assert job.behaviour == benchmarks(family)
        assert (job.control is None) or not job.behaviour
        as_if = other.get(family, family) if swapped else family
        verdicts: Verdicts = dict.fromkeys(COMPLIANCE if job.behaviour else ("transfer",), "not distinguishable")
        verdicts |= dict.fromkeys(SUPPORTED_IN[as_if] if job.control is None else (), "supported")
        return {"verdict": {"claims": [{"claim": k, "verdict": v} for k, v in verdicts.items()]}, "run": 1}

    monkeypatch.setattr(selftest, "run_job", compared)
    result = invoke("lab", "selftest", "--json", "-q")
    wrong = {row["family"] for row in json.loads(result.stdout)["cases"] if not row["as_expected"]}
    assert wrong == (set(other) if swapped else set())
    assert result.exit_code == int(swapped)


@pytest.mark.usefixtures("said")
def test_too_many_false_alarms_end_in_exit_code_1(drawn: Callable[[int], None]) -> None:
    drawn(20)
    result = invoke("lab", "selftest", "-q")
    assert result.exit_code == 1
    assert "20 of 200" in result.stdout
    assert "NO" in result.stdout
    assert "are not as expected" in result.stdout


@pytest.mark.usefixtures("said")
def test_tables_show_cases_hits_and_false_alarms(drawn: Callable[[int], None]) -> None:
    drawn(0)
    result = invoke("lab", "selftest", "-q", "--draws", "10", "--seed", "4")
    assert result.exit_code == 0
    for words in ("permuted-labels", "Hit rates", "False alarms", "activity", "5 of 10", "seed 4"):
        assert words in result.stdout
    assert result.stderr == ""


@pytest.mark.usefixtures("drawn")
def test_a_named_database_keeps_the_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With --out each of them has its own folder of figures; without --db nothing is left behind."""
    asked: list[tuple[str, Path]] = []
    drawn_in: list[Path] = []

    def compared(job: Any, db: str, out: Path, *, quiet: bool) -> dict[str, Any]:
        asked.append((db, out))
        made_for = SUPPORTED_IN[job.instruct.split("/")[1]] if job.control is None else ()
        verdict = "supported" if "transfer" in made_for else "not distinguishable"
        return {"verdict": {"claims": [{"claim": "transfer", "verdict": verdict}]}, "run": len(asked)}

    monkeypatch.setattr(selftest, "run_job", compared)
    monkeypatch.setattr(selftest, "results_written", lambda _, folder: drawn_in.append(folder))
    url = f"sqlite:///{tmp_path / 'kept.db'}"
    result = invoke("lab", "selftest", "--db", url, "--out", tmp_path / "figures", "--json", "-q")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["database"] == url
    assert {db for db, _ in asked} == {url}
    assert len({out for _, out in asked}) == len(asked) == 14
    assert tmp_path / "figures" / "inherited-pair" in {out for _, out in asked}
    assert drawn_in == [out for _, out in asked]
    asked.clear()
    invoke("lab", "selftest", "--out", tmp_path / "figures", "--json", "-q")
    assert not Path(asked[0][0].removeprefix("sqlite:///")).parent.exists()


@pytest.mark.parametrize("options", [("--draws", "0"), ("--draws", "many"), ("unwanted",)])
def test_wrong_options_are_usage_errors(options: tuple[str, ...]) -> None:
    assert invoke("lab", "selftest", *options).exit_code == 2
