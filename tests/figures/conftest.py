"""Databases with finished runs, as the figures find them."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# The synthetic reports belong to the database's tests, which are no package.
sys.path.insert(0, str(Path(__file__).parents[1] / "db"))

from synthetic import (
    report_of,
    stored_compliance_run,
    stored_lineage_run,
    stored_run,
    stored_timeline_run,
    stored_weights_run,
)
from synthetic_evidence import timeline_report_of

from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.results.reports import ComplianceReport, OriginReport, TimelineReport, WeightsReport
from provenance.db.store import Store

Results = OriginReport | WeightsReport | LineageResult | TimelineReport | ComplianceReport


@pytest.fixture
def stored(tmp_path: Path, migrated: Path) -> Callable[[Results], str]:
    """Stores results of any kind as a finished run and returns the database's URL."""

    def store(results: Results) -> str:
        file = shutil.copyfile(migrated, tmp_path / "provenance.db")
        url = f"sqlite:///{file}"
        with Store.open(url) as opened:
            match results:
                case OriginReport():
                    stored_run(opened, results)
                case WeightsReport():
                    stored_weights_run(opened, results)
                case LineageResult():
                    stored_lineage_run(opened, results)
                case TimelineReport():
                    stored_timeline_run(opened, results)
                case ComplianceReport():
                    stored_compliance_run(opened, results)
        return url

    return store


@pytest.fixture(scope="session")
def timeline(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a database with one finished timeline of four checkpoints and a floor; for reading only."""
    url = f"sqlite:///{tmp_path_factory.mktemp('timeline') / 'provenance.db'}"
    with Store.open(url) as opened:
        stored_timeline_run(opened, timeline_report_of())
    return url


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a database with one finished run of the default synthetic report; for reading only."""
    url = f"sqlite:///{tmp_path_factory.mktemp('finished') / 'provenance.db'}"
    with Store.open(url) as opened:
        stored_run(opened, report_of())
    return url
