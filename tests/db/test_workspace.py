"""Where captured vectors lie is kept with their task, whatever the working folder of the next job."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import SETS, begin, questions_of, rows, task_of

from provenance.db import workspace as module
from provenance.db.store import Store
from provenance.db.workspace import RunWorkspace, captures_folder

FILE = f"{task_of().key[:16]}.answer.npy"
Folder = Callable[..., Path]


@pytest.fixture
def folder_of() -> Folder:
    """The folder of a task's captures for a job on a database; `write` makes a file of the task there."""

    def found(url: str, captures: Path | None = None, *, write: bool = True) -> Path:
        with Store.open(url) as store:
            store.add_questions(SETS[0], f"digest of {SETS[0]}", "", questions_of())
            folder = RunWorkspace(store, begin(store), captures).captures_of(task_of())
        if write:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FILE).write_bytes(b"vectors")
        return folder

    return found


def kept(url: str) -> list[dict[str, object]]:
    with Store.open(url) as store:
        return rows(store, "SELECT captures FROM task")


def test_captures_lie_beside_the_database_and_move_with_it(url: str, tmp_path: Path, folder_of: Folder) -> None:
    assert folder_of(url) == tmp_path / "provenance.captures"
    assert kept(url) == [{"captures": "provenance.captures"}]
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("provenance.db", "provenance.captures"):
        shutil.move(tmp_path / name, moved / name)
    again = f"sqlite:///{moved / 'provenance.db'}"
    assert folder_of(again, write=False) == moved / "provenance.captures"
    (moved / "provenance.db").rename(moved / "renamed.db")
    assert folder_of(f"sqlite:///{moved / 'renamed.db'}", write=False) == moved / "provenance.captures"


def test_a_named_folder_is_found_by_a_later_job_that_does_not_name_it(
    url: str, tmp_path: Path, folder_of: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = tmp_path / "disk" / "vectors"
    assert folder_of(url, Path("disk/vectors")) == named
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert folder_of(url, write=False) == named
    assert folder_of(url, Path("other"), write=False) == named


def test_a_server_keeps_the_whole_path_so_that_the_working_folder_does_not_matter(
    url: str, tmp_path: Path, folder_of: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default is in the working folder there; as if this file were a server's database."""
    monkeypatch.setattr(module, "sqlite_file", lambda _url: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "database_url", lambda _url: type("Url", (), {"database": "shared"}))
    assert folder_of(url) == tmp_path / "shared.captures"
    assert kept(url) == [{"captures": str(tmp_path / "shared.captures")}]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert folder_of(url, write=False) == tmp_path / "shared.captures"


def test_files_that_were_moved_are_taken_from_the_folder_that_is_named_now(
    url: str, tmp_path: Path, folder_of: Folder
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    folder_of(url, first)
    first.rename(second)
    assert folder_of(url, second, write=False) == second
    assert folder_of(url, write=False) == second
    shutil.rmtree(second)
    assert folder_of(url, write=False) == captures_folder(url)  # gone: captured anew, where new ones go
