"""Storage of resumable work: responses by position, captures chunk by chunk.

A batch of responses is written in one transaction, so after a kill their number is exactly where to resume, and nothing
is stored twice.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from provenance.db.schema.base import Base
from provenance.db.schema.tables import CaptureRow, Checkpoint, Dataset, QuestionRow, ResponseRow, TaskRow
from provenance.errors import StoreError
from provenance.records import QUOTA_FULL, CaptureChunk, Region, Response, Task

Transaction = Callable[[], AbstractContextManager[Connection]]


def insert_row(connection: Connection, table: type[Base], values: dict[str, Any]) -> int:
    """Insert one row and return its id."""
    key = connection.execute(insert(table).values(**values).returning(table.__table__.c.id))
    return int(key.scalar_one())


def task_id(connection: Connection, task: Task) -> int:
    """Row of a task, made when its key is new.

    Raises:
        StoreError: Its checkpoint or question set is not in the database.
    """
    known = connection.execute(select(TaskRow.id).where(TaskRow.key == task.key)).scalar_one_or_none()
    if known is not None:
        return int(known)
    checkpoint = select(Checkpoint.id).where(Checkpoint.digest == task.checkpoint_digest)
    checkpoint_id = connection.execute(checkpoint).scalar_one_or_none()
    values = {
        "key": task.key,
        "stage": task.stage,
        "dataset": task.dataset,
        "dataset_id": dataset_id(connection, task.dataset, task.dataset_digest),
        "checkpoint_id": _found(checkpoint_id, "checkpoint", task.checkpoint_digest),
        "settings": task.settings,
    }
    return insert_row(connection, TaskRow, values)


def dataset_id(connection: Connection, name: str, digest: str) -> int:
    """The row of a question set.

    Raises:
        StoreError: It was never added.
    """
    found = connection.execute(select(Dataset.id).where(Dataset.digest == digest)).scalar_one_or_none()
    return _found(found, f"question set {name!r}", digest)


def _found(number: int | None, what: str, digest: str) -> int:
    if number is None:
        raise StoreError(
            f"the {what} with digest {digest[:12]}",
            found="not in the database",
            remedy="add it before its results",
        )
    return number


class ResponseRows:
    """The responses of one task, by the position of their question."""

    def __init__(self, transaction: Transaction, task_id: int, task: Task, run_id: int) -> None:
        self._transaction = transaction
        self._task_id = task_id
        self._task = task
        self._run_id = run_id
        self._questions: Mapping[str, Mapping[str, int]] = {}

    def put(self, responses: Mapping[int, Response]) -> None:
        """Write some in one transaction: after those that are there, or in place of those with a full quota.

        Raises:
            StoreError: A position is neither; another process may be writing the same task. Or a question is in no row
                of the task's question set.
        """
        own = ResponseRow.task_id == self._task_id
        replaced = own & ResponseRow.position.in_(list(responses)) & (ResponseRow.reason == QUOTA_FULL)
        with self._transaction() as connection:
            open_rows = set(connection.execute(select(ResponseRow.position).where(replaced)).scalars())
            count = connection.execute(select(func.count()).select_from(ResponseRow).where(own)).scalar_one()
            new = sorted(responses.keys() - open_rows)
            if new != list(range(count, count + len(new))):
                raise StoreError(
                    f"a response to question {count} next, {self._task.stage} on {self._task.dataset!r}",
                    found=f"one to question {new[0]}",
                    remedy="let one process at a time work on a task, and give the command again",
                )
            if open_rows:
                connection.execute(delete(ResponseRow).where(replaced))
            if responses:
                self._questions = self._questions or self._question_rows(connection)
                connection.execute(insert(ResponseRow), [self._row(*each) for each in responses.items()])

    def responses(self) -> list[Response]:
        """All responses written so far, by position."""
        table = ResponseRow.__table__
        chosen = select(table).where(table.c.task_id == self._task_id).order_by(table.c.position)
        with self._transaction() as connection:
            return [_response(row) for row in connection.execute(chosen)]

    def _question_rows(self, connection: Connection) -> dict[str, dict[str, int]]:
        """What refers to each question of the task's set, by its id there."""
        columns = (QuestionRow.question_id, QuestionRow.dataset_id, QuestionRow.position)
        of_task = select(*columns).join(TaskRow, TaskRow.dataset_id == QuestionRow.dataset_id)
        rows = connection.execute(of_task.where(TaskRow.id == self._task_id))
        return {row.question_id: {"dataset_id": row.dataset_id, "question_position": row.position} for row in rows}

    def _row(self, position: int, response: Response) -> dict[str, Any]:
        question = self._questions.get(response.question_id)
        if question is None:
            raise StoreError(
                f"the question of every response in the question set {self._task.dataset!r}",
                found=f"a response to {response.question_id!r:.200}, which is not there",
                remedy="add the questions that were asked before their responses",
            )
        return {
            **question,
            "task_id": self._task_id,
            "position": position,
            "run_id": self._run_id,
            "question_id": response.question_id,
            "unit": response.unit,
            "split": response.split,
            "label": response.label,
            "reason": response.reason,
            "n_samples": response.n_samples,
            "n_right": response.n_right,
            "text": response.text,
            "label_source": response.label_source,
            "prompt_ids": list(response.prompt_ids),
            "response_ids": list(response.response_ids),
            "regions": [[region.name, region.start, region.stop] for region in response.regions],
            "samples": list(response.samples),
            "cut_off": response.cut_off,
            "judged_label": response.judged_label,
            "rule_label": response.rule_label,
        }


def _response(row: Any) -> Response:
    return Response(
        question_id=row.question_id,
        unit=row.unit,
        split=row.split,
        label=row.label,
        reason=row.reason,
        n_samples=row.n_samples,
        n_right=row.n_right,
        text=row.text,
        label_source=row.label_source,
        prompt_ids=tuple(row.prompt_ids),
        response_ids=tuple(row.response_ids),
        regions=tuple(Region(name, start, stop) for name, start, stop in row.regions),
        samples=tuple(row.samples),
        cut_off=row.cut_off,
        judged_label=row.judged_label,
        rule_label=row.rule_label,
    )


class CaptureRows:
    """The files of captured vectors of one task, in the order they were written."""

    def __init__(self, transaction: Transaction, task_id: int, now: Callable[[], str]) -> None:
        self._transaction = transaction
        self._task_id = task_id
        self._now = now

    def chunks(self) -> list[CaptureChunk]:
        """Everything written so far, in order."""
        columns = (CaptureRow.file, CaptureRow.sha256, CaptureRow.question_ids, CaptureRow.first_row)
        chosen = select(*columns).where(CaptureRow.task_id == self._task_id).order_by(CaptureRow.position)
        with self._transaction() as connection:
            rows = connection.execute(chosen).all()
        return [CaptureChunk(row.file, row.sha256, tuple(row.question_ids), row.first_row) for row in rows]

    def append(self, chunk: CaptureChunk) -> None:
        """Record one chunk, which must be complete on disk."""
        last = select(func.max(CaptureRow.position)).where(CaptureRow.task_id == self._task_id)
        with self._transaction() as connection:
            position = connection.execute(last).scalar_one_or_none()
            values = {
                "task_id": self._task_id,
                "position": 0 if position is None else position + 1,
                "file": chunk.file,
                "sha256": chunk.sha256,
                "question_ids": list(chunk.question_ids),
                "first_row": chunk.first_row,
                "written_utc": self._now(),
            }
            connection.execute(insert(CaptureRow).values(**values))

    def discard(self, chunk: CaptureChunk) -> None:
        """Forget one chunk that is gone or damaged."""
        same = delete(CaptureRow).filter_by(
            task_id=self._task_id, file=chunk.file, sha256=chunk.sha256, first_row=chunk.first_row
        )
        with self._transaction() as connection:
            connection.execute(same)
