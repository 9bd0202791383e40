"""The store, the only writer of the database.

Every write is one transaction, which a kill leaves whole or absent; only large results take several, and are there once
the last one is. Inputs are added once and identified by digest, a
run is identified by its key and resumed when the same command is given again, and its results are replaced as a whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

from sqlalchemy import Connection, Engine, and_, delete, insert, select, update

from provenance.db.connection import migrate
from provenance.db.connection.connect import BUSY_TIMEOUT_S, database_url, store_errors, writing_engine
from provenance.db.save import write
from provenance.db.schema.result_tables import TABLES
from provenance.db.schema.tables import Checkpoint, Dataset, Family, QuestionRow, Run, RunTask, TaskRow
from provenance.db.work_log import CaptureRows, ResponseRows, insert_row, task_id
from provenance.errors import StoreError
from provenance.records import CheckpointInfo, Question, Task
from provenance.stages import StageTime, together
from provenance.table_declaration import rows_of

_FINISHED = and_(Run.status == "done", Run.content_digest.is_not(None)).label("finished")
"""Whether a run has finished, and its results are here: a large run that is saved again has none for a while."""


def utc_now() -> str:
    """Current time in the database's format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """An open database. Use as a context manager, or call `close`.

    Args:
        engine: Writes durable transactions, see `provenance.db.connection.connect.writing_engine`.
        url: As the user gave it, for messages.
    """

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        self.url = url

    @classmethod
    def open(cls, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Self:
        """Open a database, creating it or bringing it to this release's schema.

        Raises:
            InputError: The URL cannot be read, or its driver is not installed.
            StoreError: The database is from a newer version, is something else, or cannot be written.
        """
        store = cls(writing_engine(database_url(url), busy_timeout_s=busy_timeout_s), url)
        try:
            with store.transaction() as connection:
                migrate.upgrade(connection)
        except StoreError:
            store.close()
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or leaves no trace.

        Raises:
            StoreError: The database failed: full disk, read-only, locked, damaged.
        """
        with store_errors(self._engine.url), self._engine.begin() as connection:
            yield connection

    def begin_run(
        self,
        command: str,
        key: str,
        base: CheckpointInfo,
        instruct: CheckpointInfo,
        settings: Mapping[str, object],
        seed: int,
        versions: Mapping[str, str],
    ) -> int:
        """Start a run, or resume the one with the same key, which keeps its first versions.

        It has the references that were given, now or when it was resumed, not those that the same content has
        elsewhere in the database. One that has finished stays finished while its results are computed again.

        Returns:
            The run's id.
        """
        refs = {"base_ref": base.ref, "instruct_ref": instruct.ref}
        with self.transaction() as connection:
            known = connection.execute(select(Run.id, Run.resumed, _FINISHED).where(Run.key == key)).first()
            if known is not None:
                again = {} if known.finished else {"status": "running", "resumed": known.resumed + 1}
                connection.execute(update(Run).where(Run.id == known.id).values(**again, **refs))
                return int(known.id)
            values = {
                "key": key,
                "family_id": _family(connection, base, instruct),
                **refs,
                "command": command,
                "settings": dict(settings),
                "seed": seed,
                "quick": bool(settings.get("quick")),
                "versions": dict(versions),
                "status": "running",
                "resumed": 0,
                "started_utc": utc_now(),
            }
            return insert_row(connection, Run, values)

    def finished(self, key: str) -> int | None:
        """Id of the run with this key, if it has finished and its results are here."""
        chosen = select(Run.id).where(Run.key == key, _FINISHED)
        with self.transaction() as connection:
            found = connection.execute(chosen).scalar_one_or_none()
        return None if found is None else int(found)

    def finished_keys(self) -> frozenset[str]:
        """Keys of all runs that `finished` finds."""
        chosen = select(Run.key).where(_FINISHED)
        with self.transaction() as connection:
            return frozenset(connection.execute(chosen).scalars())

    def finish_run(
        self,
        run_id: int,
        status: Literal["done", "failed"],
        stages: Sequence[StageTime],
        peak_memory_bytes: int,
    ) -> None:
        """Record how a run ended, what its stages took over all its parts, and its peak memory.

        Of one that had finished before nothing changes: what it took is what it took first.
        """
        with self.transaction() as connection:
            before = connection.execute(select(Run.peak_memory_bytes, _FINISHED).where(Run.id == run_id)).first()
            if before is None:
                raise _no_run(run_id)
            if before.finished:
                return
            _add_stages(connection, run_id, stages)
            values = {
                "status": status,
                "finished_utc": utc_now(),
                "peak_memory_bytes": max(peak_memory_bytes, before.peak_memory_bytes or 0),
            }
            connection.execute(update(Run).where(Run.id == run_id).values(**values))

    def add_questions(self, name: str, digest: str, source: str, questions: Sequence[Question]) -> None:
        """Add a question set, unless one with this digest exists."""
        with self.transaction() as connection:
            if connection.execute(select(Dataset.id).where(Dataset.digest == digest)).first() is not None:
                return
            about = {"name": name, "digest": digest, "source": source, "n_questions": len(questions)}
            dataset_id = insert_row(connection, Dataset, {**about, "added_utc": utc_now()})
            rows = [
                {
                    "dataset_id": dataset_id,
                    "position": position,
                    "question_id": question.id,
                    "text": question.text,
                    "answers": list(question.answers),
                    "unit": question.unit,
                }
                for position, question in enumerate(questions)
            ]
            if rows:
                connection.execute(insert(QuestionRow), rows)

    def questions(self, digest: str) -> list[Question]:
        """The questions of a set, in the order they were added."""
        columns = (QuestionRow.question_id, QuestionRow.text, QuestionRow.answers, QuestionRow.unit)
        chosen = select(*columns).join(Dataset, Dataset.id == QuestionRow.dataset_id)
        with self.transaction() as connection:
            rows = connection.execute(chosen.where(Dataset.digest == digest).order_by(QuestionRow.position)).all()
        return [Question(row.question_id, row.text, tuple(row.answers), row.unit) for row in rows]

    def response_log(self, task: Task, run_id: int) -> ResponseRows:
        """Responses of a task, shared by all runs with its key; `run_id` is recorded as one of them."""
        with self.transaction() as connection:
            number = task_id(connection, task)
            link = {"run_id": run_id, "task_id": number}
            if connection.execute(select(RunTask).filter_by(**link)).first() is None:
                connection.execute(insert(RunTask), link)
        return ResponseRows(self.transaction, number, task, run_id)

    def capture_log(self, task: Task) -> CaptureRows:
        """The files of captured vectors of a task."""
        with self.transaction() as connection:
            number = task_id(connection, task)
        return CaptureRows(self.transaction, number, utc_now)

    def captures(self, task: Task) -> str | None:
        """Folder of a task's captured vectors as it was kept last; None if none was."""
        with self.transaction() as connection:
            chosen = select(TaskRow.captures).where(TaskRow.id == task_id(connection, task))
            kept = connection.execute(chosen).scalar_one()
        return None if kept is None else str(kept)

    def keep_captures(self, task: Task, folder: str) -> None:
        """Keep the folder of a task's captured vectors."""
        with self.transaction() as connection:
            number = task_id(connection, task)
            connection.execute(update(TaskRow).where(TaskRow.id == number).values(captures=folder))

    def save(self, run_id: int, report: object, datasets: Mapping[str, str] | None = None) -> int:
        """Replaces everything derived that a run had by what this report says, as `provenance.db.pieces` does.

        Args:
            run_id: From `begin_run`.
            report: The results, a frozen dataclass; declared results in it are stored as they are declared.
            datasets: Digest of each question set that the run used, by name.

        Returns:
            Number of rows.

        Raises:
            StoreError: A question set was never added, or the database failed.
        """
        with self.transaction() as connection:
            if connection.execute(select(Run.id).where(Run.id == run_id)).first() is None:
                raise _no_run(run_id)
        return write(self.transaction, run_id, report, datasets or {})


def _add_stages(connection: Connection, run_id: int, stages: Sequence[StageTime]) -> None:
    """Add what stages took to what those of their names took in earlier parts of the run."""
    table = TABLES[StageTime]
    of_run = table.c.run_id == run_id
    columns = [table.c[part.name] for part in fields(StageTime)]
    kept = [StageTime(*row) for row in connection.execute(select(*columns).where(of_run).order_by(table.c.position))]
    connection.execute(delete(table).where(of_run))
    rows = [{"run_id": run_id, **row} for row in rows_of(together([*kept, *stages]))]
    if rows:
        connection.execute(insert(table), rows)


def _no_run(run_id: int) -> StoreError:
    return StoreError(f"run {run_id}", found="no such run in the database", remedy="start it with begin_run")


def _family(connection: Connection, base: CheckpointInfo, instruct: CheckpointInfo) -> int:
    pair = {"base_id": checkpoint_row(connection, base), "instruct_id": checkpoint_row(connection, instruct)}
    known = connection.execute(select(Family.id).filter_by(**pair)).scalar_one_or_none()
    return int(known) if known is not None else insert_row(connection, Family, pair)


def checkpoint_row(connection: Connection, info: CheckpointInfo) -> int:
    """Row of a checkpoint, made when its digest is new; inside the caller's transaction."""
    values = {
        "ref": info.ref,
        "model_type": info.model_type,
        "layers": info.layers,
        "neurons_per_layer": info.neurons_per_layer,
        "hidden_size": info.hidden_size,
        "dtype": info.dtype,
        "commit_sha": info.commit,
    }
    columns = select(Checkpoint.id, Checkpoint.commit_sha)
    known = connection.execute(columns.where(Checkpoint.digest == info.digest)).first()
    if known is None:
        return insert_row(connection, Checkpoint, {"digest": info.digest, "added_utc": utc_now(), **values})
    if info.commit is not None or known.commit_sha is None:  # a commit on the hub says more than a folder's name
        connection.execute(update(Checkpoint).where(Checkpoint.id == known.id).values(**values))
    return int(known.id)
