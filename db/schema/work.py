"""Tables shared by comparisons: checkpoints, question sets, runs, and resumable work.

Times are ISO 8601 text in UTC, `2026-01-31T09:30:00Z`.
"""

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import BULK, Base


class Checkpoint(Base):
    """One row: one set of weights, known by the digest of its files."""

    __tablename__ = "checkpoint"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    ref: Mapped[str]
    model_type: Mapped[str]
    layers: Mapped[int]
    neurons_per_layer: Mapped[int]
    hidden_size: Mapped[int]
    dtype: Mapped[str]
    commit_sha: Mapped[str | None]
    added_utc: Mapped[str]


class Family(Base):
    """One row: a base checkpoint and an instruction-tuned one that are compared."""

    __tablename__ = "family"
    __table_args__ = (UniqueConstraint("base_id", "instruct_id", name="family_pair"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    base_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id"))
    instruct_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id"))


class Dataset(Base):
    """One row: one question set, known by its content digest."""

    __tablename__ = "dataset"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    source: Mapped[str]
    n_questions: Mapped[int]
    added_utc: Mapped[str]


class QuestionRow(Base):
    """One row: one question of a question set."""

    __tablename__ = "question"
    __table_args__ = (BULK,)

    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    question_id: Mapped[str]
    text: Mapped[str]
    answers: Mapped[list[Any]]
    unit: Mapped[str]


class Run(Base):
    """One row: one command on one pair with one set of settings, however often it was interrupted."""

    __tablename__ = "run"
    __table_args__ = (Index("run_by_status", "status", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    family_id: Mapped[int] = mapped_column(ForeignKey("family.id"))
    base_ref: Mapped[str] = mapped_column(
        comment="Reference of the base as it was given last, whatever has its digest."
    )
    instruct_ref: Mapped[str] = mapped_column(comment="Reference of the instruct checkpoint as it was given last.")
    command: Mapped[str]
    settings: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    versions: Mapped[dict[str, Any]]
    status: Mapped[str]  # running, done, failed
    resumed: Mapped[int]  # times the same command was given again
    started_utc: Mapped[str]
    finished_utc: Mapped[str | None]
    durations_ms: Mapped[dict[str, Any]]  # wall time by stage of the work, last time round
    peak_memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    overall: Mapped[str | None]  # the result in one sentence
    content_digest: Mapped[str | None]  # over this run's derived rows, see provenance.db.connection.digests


class RunDataset(Base):
    """One row: the name under which a run used a question set."""

    __tablename__ = "run_dataset"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"))


class TaskRow(Base):
    """One row: one checkpoint answering one question set under one protocol; its key digests all of that."""

    __tablename__ = "task"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    stage: Mapped[str]
    dataset: Mapped[str]
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"))
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id"))
    settings: Mapped[dict[str, Any]]
    n_batches: Mapped[int]
    batches_done: Mapped[int]


class RunTask(Base):
    """One row: a run that used a task's responses; a task is shared by all runs with its key."""

    __tablename__ = "run_task"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)


class ResponseRow(Base):
    """One row: what a checkpoint said to one question, how it was judged, and its tokens."""

    __tablename__ = "response"
    __table_args__ = (BULK,)

    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)  # in the order of writing
    batch: Mapped[int]
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))  # the run that generated it
    question_id: Mapped[str]
    unit: Mapped[str]
    split: Mapped[str]
    label: Mapped[str]
    reason: Mapped[str]
    n_samples: Mapped[int]
    n_right: Mapped[int]
    text: Mapped[str]
    label_source: Mapped[str]
    prompt_ids: Mapped[list[Any]]
    response_ids: Mapped[list[Any]]
    regions: Mapped[list[Any]]  # [role, first token, token after the last]
    samples: Mapped[list[Any]]
    cut_off: Mapped[bool]
    judged_label: Mapped[str]  # by `label_source`, before quotas and limits
    rule_label: Mapped[str]  # by the rule, of the same samples


class CaptureRow(Base):
    """One row: captured vectors written together, where they are (a file, or the stem of arrays), and whose."""

    __tablename__ = "capture"

    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    file: Mapped[str]
    sha256: Mapped[str]
    question_ids: Mapped[list[Any]]
    written_utc: Mapped[str]
