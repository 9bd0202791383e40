"""A database for each test, copied from one that was migrated once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from large_saves import PIECE
from synthetic import report_of, stored_run

from provenance.db import pieces, save
from provenance.db.store import Store


@pytest.fixture
def new_url(tmp_path: Path) -> str:
    """Of a database that is not there yet."""
    return f"sqlite:///{tmp_path / 'provenance.db'}"


@pytest.fixture
def url(new_url: str, migrated: Path, tmp_path: Path) -> str:
    """Of an empty database with the newest schema."""
    shutil.copyfile(migrated, tmp_path / "provenance.db")
    return new_url


@pytest.fixture(scope="session")
def finished_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one finished run of the default synthetic report."""
    file = tmp_path_factory.mktemp("finished") / "finished.db"
    with Store.open(f"sqlite:///{file}") as store:
        stored_run(store, report_of())
    return file


@pytest.fixture
def finished(new_url: str, finished_file: Path, tmp_path: Path) -> str:
    """Of a database with one finished run."""
    shutil.copyfile(finished_file, tmp_path / "provenance.db")
    return new_url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results as small as those of tests are written in pieces."""
    for module in (pieces, save):
        monkeypatch.setattr(module, "PIECE_ROWS", PIECE)
