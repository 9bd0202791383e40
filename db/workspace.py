"""A run's place in the database, for the collecting code.

Responses are rows; captured vectors are files, with their names and digests as rows. Their folder is one beside the
database or one that the user named, and is kept with each task, so that a job that goes on elsewhere finds them: in
relation to the database's folder where they lie in it, so that both can be moved together.
"""

from pathlib import Path

from provenance.db.connection.connect import database_url, sqlite_file
from provenance.db.store import Store
from provenance.db.work_log import CaptureRows, ResponseRows
from provenance.records import Task


class RunWorkspace:
    """Implements `provenance.analyses.asking.collection.Workspace` for one run; `captures` is for new tasks."""

    def __init__(self, store: Store, run_id: int, captures: Path | None = None) -> None:
        self._store = store
        self._run_id = run_id
        self.captures = captures_folder(store.url, captures)

    def response_log(self, task: Task) -> ResponseRows:
        """Responses of a task."""
        return self._store.response_log(task, self._run_id)

    def capture_log(self, task: Task) -> CaptureRows:
        """Captured files of a task."""
        return self._store.capture_log(task)

    def captures_of(self, task: Task) -> Path:
        """Folder of a task's files: the one it has files in, or that for new tasks."""
        home = _home(self._store.url)
        kept = self._store.captures(task)
        if kept is not None and any((home / kept).glob(f"{task.key[:16]}.*")):
            return home / kept
        inside = home != Path() and self.captures.is_relative_to(home)
        self._store.keep_captures(task, (self.captures.relative_to(home) if inside else self.captures).as_posix())
        return self.captures


def captures_folder(url: str, named: Path | None = None) -> Path:
    """Folder of captured vectors: the one named, or `NAME.captures` beside a SQLite file or in the working folder."""
    if named is not None:
        return named.expanduser().resolve()
    parsed = database_url(url)
    file = sqlite_file(parsed)
    return (file or Path(str(parsed.database or "provenance"))).with_suffix(".captures").resolve()


def _home(url: str) -> Path:
    """Folder of a database's file; empty for a server, whose captures are kept by their whole path."""
    file = sqlite_file(database_url(url))
    return Path() if file is None else file.resolve().parent
