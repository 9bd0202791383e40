"""The command `provenance lab selftest`: the toolkit on cases with a known answer."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provenance.cli.options.common import FAILED, AsJson, Quiet, Seed, print_result
from provenance.cli.run_job import results_written, run_job
from provenance.cli.show.progress import ConsoleProgress
from provenance.cli.show.selftest import print_selftest
from provenance.defaults import SELFTEST_DRAWS

if TYPE_CHECKING:
    from provenance.analyses.calibration.rates import Rate
    from provenance.analyses.jobs.compare_job import Job

LAB_ALPHAS = (0.0, 1.0, 2.0, 3.0)
LAB_ITEMS = 100  # of a benchmark of the lab; its effects are large
LAB_REPLY_TOKENS = 12  # of a lab reply: a few words, and its models have a context of 128

Draws = Annotated[
    int, typer.Option("--draws", min=1, metavar="N", help="Made-up pairs of each kind for the calibration.")
]
KeptDatabase = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="Database that keeps the lab runs; one that is removed if not given."),
]
KeptFigures = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for figures and report of each lab run.")
]


def selftest(
    draws: Draws = SELFTEST_DRAWS,
    db: KeptDatabase = None,
    out: KeptFigures = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check the verdicts where the truth is known.

    Lab pairs and their negative controls are compared, and made-up pairs give the rates of hits and false alarms.
    Exit code 1 if a verdict is wrong.
    """
    start = time.perf_counter()
    with _database(db) as url:
        cases = [_case(job, url, out, quiet=quiet) for job in _jobs(seed)]
    rates = [_rate(rate) for rate in _calibrated(draws, seed, quiet=quiet)]
    passed = all(row["as_expected"] for row in (*cases, *rates))
    summary = {
        "schema": 1,
        "passed": passed,
        "seed": seed,
        "draws": draws,
        "cases": cases,
        "rates": rates,
        "database": db,
        "duration_ms": 1000 * (time.perf_counter() - start),
    }
    print_result(summary, print_selftest, as_json=as_json)
    if not passed:
        raise typer.Exit(FAILED)


@contextmanager
def _database(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'selftest.db'}"


def _jobs(seed: int) -> "Iterator[Job]":
    """Each lab pair, then all its negative controls, which find its answers in the database.

    A family with a benchmark is made for what scaling does, of which a control says nothing.
    """
    from provenance.analyses.jobs.compare_job import Job
    from provenance.analyses.jobs.negative_controls import CONTROL_KINDS
    from provenance.lab.manifest import benchmarks
    from provenance.lab.recipes import RECIPES

    for family in sorted((family for family, recipe in RECIPES.items() if recipe.has_base), reverse=True):
        job = Job(f"lab/{family}/base", f"lab/{family}/instruct", seed=seed)
        if asked := benchmarks(family):
            yield replace(job, behaviour=asked, alphas=LAB_ALPHAS, items=LAB_ITEMS, reply_tokens=LAB_REPLY_TOKENS)
            continue
        for control in (None, *CONTROL_KINDS):
            yield replace(job, control=control, causal=control is None)  # a control has no intervention


def _case(job: "Job", db: str, out: Path | None, *, quiet: bool) -> dict[str, Any]:
    """One comparison with its expected and actual verdicts."""
    from provenance.analyses.calibration.rates import meets, must_be

    family = job.instruct.split("/")[1]
    folder = None if out is None else out / f"{family}-{job.control or 'pair'}"
    summary = run_job(job, db, folder, quiet=quiet)
    if folder is not None:
        results_written(summary, folder)
    said = {claim["claim"]: claim["verdict"] for claim in summary["verdict"]["claims"]}
    expected = must_be(family, job.control, said)
    return {
        "family": family,
        "control": job.control,
        "expected": expected,
        "verdict": said,
        "as_expected": all(meets(verdict, expected[claim]) for claim, verdict in said.items()),
        "run": summary["run"],
    }


def _calibrated(draws: int, seed: int, *, quiet: bool) -> "tuple[Rate, ...]":
    from provenance.analyses.calibration.rates import CalibrationSettings, calibrate

    with ConsoleProgress(quiet=quiet) as progress:
        return calibrate(CalibrationSettings(draws=draws, seed=seed), progress)


def _rate(rate: "Rate") -> Mapping[str, Any]:
    return {
        "claim": rate.condition.claim,
        "world": rate.condition.world,
        "effect": rate.condition.effect,
        "is_null": rate.condition.is_null,
        "draws": rate.draws,
        "supported": rate.supported,
        "no_power": rate.no_power,
        "rate": asdict(rate.rate),
        "as_expected": rate.as_expected,
    }
