"""Databases with finished runs, as the figures find them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# The synthetic reports belong to the database's tests, which are no package.
sys.path.insert(0, str(Path(__file__).parents[1] / "db"))

from synthetic import report_of, stored_run

from analyses.results import OriginReport
from db.store import Store


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[OriginReport], str]:
    """Stores a report as a finished run and returns the database's URL."""

    def store(report: OriginReport) -> str:
        url = f"sqlite:///{tmp_path / 'provenance.db'}"
        with Store.open(url) as opened:
            stored_run(opened, report)
        return url

    return store


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a database with one finished run of the default synthetic report; for reading only."""
    url = f"sqlite:///{tmp_path_factory.mktemp('finished') / 'provenance.db'}"
    with Store.open(url) as opened:
        stored_run(opened, report_of())
    return url
