"""Takes over answers of models and studies from another database.

Answers are kept under a key that digests everything that determines them. Where both databases have some under one key,
those here stay, since captured vectors belong to them; the others are added where they go on from the same answers.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from provenance.db.merge_rows import Merged, Numbers, Row, copy_rows, same_or_new
from provenance.db.schema.tables import Base, ResponseRow, RunTask, StudyMember, StudyRow, TaskRow
from provenance.db.studies import NOT_YET
from provenance.db.work_log import insert_row
from provenance.records import QUOTA_FULL

RESPONSES = Base.metadata.tables[ResponseRow.__tablename__]
MEMBERS = Base.metadata.tables[StudyMember.__tablename__]
_OF_DATABASE = ("task_id", "run_id", "dataset_id")
_WHO = ("kind", "name", "base", "instruct", "job_digest")
"""What tells two members of a study apart."""


def merge_tasks(theirs: Connection, ours: Connection, run: int, numbers: Numbers, done: Merged) -> None:
    """Tasks whose answers a run used, with the answers; inside the caller's transaction.

    An answer names the run that generated it; where that one is left out, the run that is taken over with it.
    """
    used = select(TaskRow.__table__).join(RunTask, RunTask.task_id == TaskRow.id).where(RunTask.run_id == run)
    for task in theirs.execute(used.order_by(TaskRow.id)).mappings().all():
        known = ours.execute(select(TaskRow.id).where(TaskRow.key == task["key"])).first()
        # captured vectors stay there, and files under the same names must not be taken for those of here
        same_or_new(ours, TaskRow, {**task, "captures": None}, ("key",), numbers)
        number = numbers["task"][task["id"]]
        link = {"run_id": numbers["run"][run], "task_id": number}
        if ours.execute(select(RunTask).filter_by(**link)).first() is None:
            ours.execute(insert(RunTask), link)
        done.count("answered sets", new=known is None)
        if known is None:
            _add_responses(theirs, ours, task["id"], numbers, run, after=-1)
        else:
            _go_on(theirs, ours, task, numbers, run, done)


def _go_on(theirs: Connection, ours: Connection, task: Row, numbers: Numbers, run: int, done: Merged) -> None:
    """Add what was decided there only, if the answers are the same as far as both were decided.

    A response with a full quota is not decided; larger quotas there decided it, and all that follow it.
    """
    number = numbers["task"][task["id"]]
    held, given = _contents(ours, number), _contents(theirs, task["id"])
    other = [(at, a["reason"], b["reason"]) for at, (a, b) in enumerate(zip(held, given, strict=False)) if a != b]
    first = next((at for at, here, _ in other if here == QUOTA_FULL), len(held))
    if first == len(held) >= len(given):
        return
    if any(QUOTA_FULL not in reasons for _, *reasons in other):
        done.notes.append(
            f"answers of {task['stage']} to {task['dataset']}: {len(held)} here are others than those there under the "
            "same key: those here were kept"
        )
    elif len(given) >= len(held):
        ours.execute(delete(RESPONSES).where((RESPONSES.c.task_id == number) & (RESPONSES.c.position >= first)))
        _add_responses(theirs, ours, task["id"], numbers, run, after=first - 1)


def _contents(connection: Connection, task: int) -> list[dict[str, Any]]:
    chosen = select(RESPONSES).where(RESPONSES.c.task_id == task).order_by(RESPONSES.c.position)
    rows = connection.execute(chosen).mappings()
    return [{name: value for name, value in row.items() if name not in _OF_DATABASE} for row in rows]


def _add_responses(theirs: Connection, ours: Connection, task: int, numbers: Numbers, run: int, *, after: int) -> None:
    generated = select(RESPONSES.c.run_id).where(RESPONSES.c.task_id == task).distinct()
    runs = numbers["run"]
    absent = {other: runs[run] for other in theirs.execute(generated).scalars() if other not in runs}
    copy_rows(theirs, ours, RESPONSES, "task_id", task, {**numbers, "run": runs | absent}, after=after)


def merge_studies(theirs: Connection, ours: Connection, numbers: Numbers, done: Merged) -> None:
    """Studies with the runs of their members; inside the caller's transaction.

    One that is here with another file is taken over under a further name.
    """
    for study in theirs.execute(select(StudyRow.__table__).order_by(StudyRow.id)).mappings().all():
        members = theirs.execute(
            select(MEMBERS).where(MEMBERS.c.study_id == study["id"]).order_by(MEMBERS.c.position)
        ).mappings()
        number, new = _study(ours, study, done)
        done.count("studies", new=new)
        _merge_members(ours, number, members.all(), numbers)


def _study(ours: Connection, study: Row, done: Merged) -> tuple[int, bool]:
    """Number of a study here, and whether it is new."""
    columns = select(StudyRow.id, StudyRow.text)
    known = ours.execute(columns.where(StudyRow.name == study["name"])).first()
    name = study["name"]
    if known is not None and known.text != study["text"]:
        name = f"{name}-{study['digest'][:8] or 'of-runs'}"
        done.notes.append(f"study {study['name']!r} has another file here: that one is {name!r} here")
        known = ours.execute(columns.where(StudyRow.name == name)).first()
    if known is not None:
        return int(known.id), False
    values = {key: value for key, value in study.items() if key != "id"}
    return insert_row(ours, StudyRow, {**values, "name": name}), True


def _merge_members(ours: Connection, study: int, members: Sequence[Row], numbers: Numbers) -> None:
    """Members that the study lacks here, after its own, and runs of those that have none."""
    held = ours.execute(select(MEMBERS).where(MEMBERS.c.study_id == study)).mappings().all()
    known = {tuple(row[name] for name in _WHO): row for row in held}
    position = max((row["position"] for row in held), default=-1)
    runs = numbers.get("run", {})
    for member in members:
        run = runs.get(member["run_id"])
        reason = member["reason"] if run is not None or member["run_id"] is None else NOT_YET
        here = known.get(tuple(member[name] for name in _WHO))
        if here is None:
            position += 1
            values = {**member, "study_id": study, "position": position, "run_id": run, "reason": reason}
            ours.execute(insert(MEMBERS), values)
        elif here["run_id"] is None and run is not None:
            place = (MEMBERS.c.study_id == study) & (MEMBERS.c.position == here["position"])
            ours.execute(update(MEMBERS).where(place).values(run_id=run, reason=reason))
