"""A run's place in the database, for the collecting code.

Responses are rows; captured vectors are files in a folder beside the database, with their names and digests as rows.
"""

from pathlib import Path

from provenance.db.connection.connect import database_url, sqlite_file
from provenance.db.store import Store
from provenance.db.work_log import CaptureRows, ResponseRows
from provenance.records import Task


class RunWorkspace:
    """Implements `provenance.analyses.asking.collection.Workspace` for one run."""

    def __init__(self, store: Store, run_id: int) -> None:
        self._store = store
        self._run_id = run_id
        self.captures = captures_folder(store.url)

    def response_log(self, task: Task) -> ResponseRows:
        """Responses of a task."""
        return self._store.response_log(task, self._run_id)

    def capture_log(self, task: Task) -> CaptureRows:
        """Captured files of a task."""
        return self._store.capture_log(task)


def captures_folder(url: str) -> Path:
    """Folder of a database's captured vectors: `NAME.captures` beside a SQLite file, else in the working folder."""
    parsed = database_url(url)
    file = sqlite_file(parsed)
    return (file or Path(str(parsed.database or "provenance"))).with_suffix(".captures")
