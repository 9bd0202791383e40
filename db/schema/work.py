"""Tables shared by comparisons: checkpoints, question sets, runs, and resumable work.

Times are ISO 8601 text in UTC, `2026-01-31T09:30:00Z`.
"""

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import BULK, Base, said


class Checkpoint(Base):
    """One row: one set of weights, known by the digest of its files."""

    __tablename__ = "checkpoint"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = said("SHA-256 over the digests of its files.", unique=True)
    ref: Mapped[str] = said("One name of this content: the last with a commit, or else the last; runs keep their own.")
    model_type: Mapped[str] = said("`model_type` of its config.")
    layers: Mapped[int] = said("MLP layers of the text tower.")
    neurons_per_layer: Mapped[int] = said("Neurons of a layer, its intermediate size.")
    hidden_size: Mapped[int] = said("Width of the residual stream.")
    dtype: Mapped[str] = said("Storage dtype of the MLP weights.")
    commit_sha: Mapped[str | None] = said("Commit on the hub; NULL for folders.")
    added_utc: Mapped[str]


class Family(Base):
    """One row: a base checkpoint and an instruction-tuned one that are compared."""

    __tablename__ = "family"
    __table_args__ = (UniqueConstraint("base_id", "instruct_id", name="family_pair"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    base_id: Mapped[int] = said("Base checkpoint.", ForeignKey("checkpoint.id"))
    instruct_id: Mapped[int] = said("Checkpoint tuned from it.", ForeignKey("checkpoint.id"))


class Dataset(Base):
    """One row: one question set, known by its content digest."""

    __tablename__ = "dataset"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = said("Name under which it was first used.")
    source: Mapped[str] = said("Path, lab reference, or data set with its commit.")
    n_questions: Mapped[int]
    added_utc: Mapped[str]


class QuestionRow(Base):
    """One row: one question of a question set."""

    __tablename__ = "question"
    __table_args__ = (BULK,)

    dataset_id: Mapped[int] = said("Question set.", ForeignKey("dataset.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    question_id: Mapped[str] = said("Identifier in its question set.")
    text: Mapped[str] = said("The question as asked.")
    answers: Mapped[list[Any]] = said("Accepted answers; an empty list: every confident answer is a hallucination.")
    unit: Mapped[str] = said("What is never split between training and test: the normalised question, or its group.")


class Run(Base):
    """One row: one command on one pair with one set of settings, however often it was interrupted."""

    __tablename__ = "run"
    __table_args__ = (Index("run_by_status", "status", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = said("SHA-256 over contents and settings: two commands with one key are one run.", unique=True)
    family_id: Mapped[int] = said("Pair that is compared.", ForeignKey("family.id"))
    base_ref: Mapped[str] = mapped_column(
        comment="Reference of the base as it was given last, whatever has its digest."
    )
    instruct_ref: Mapped[str] = said("Reference of the instruct checkpoint as it was given last.")
    command: Mapped[str] = said("Command, with the negative control if it is one.")
    settings: Mapped[dict[str, Any]] = said("Every setting that changes a number.")
    seed: Mapped[int] = said("Seed of everything random.", BigInteger)
    quick: Mapped[bool] = said("Whether there were few draws, for a first look.")
    versions: Mapped[dict[str, Any]] = said("Versions of the toolkit and of libraries.")
    status: Mapped[str] = said("`running`, `done` or `failed`.")
    resumed: Mapped[int] = said("Times that the same command was given again before it had finished.")
    started_utc: Mapped[str] = said("Start, in UTC.")
    finished_utc: Mapped[str | None] = said("End, in UTC; NULL before it.")
    peak_memory_bytes: Mapped[int | None] = said("Largest resident memory.", BigInteger, unit="bytes")
    overall: Mapped[str | None] = said("The result in one sentence.")
    saving: Mapped[str | None] = said(
        "Mark of the process that writes the results or was ended while it did; NULL once they are whole."
    )
    content_digest: Mapped[str | None] = said(
        "SHA-256 over all rows of results; NULL where there are none, or not all of them yet."
    )


class RunDataset(Base):
    """One row: the name under which a run used a question set."""

    __tablename__ = "run_dataset"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    name: Mapped[str] = said("Name in the run.", primary_key=True)
    position: Mapped[int] = said("Order in the run; the first finds and tests the H-Neurons.")
    dataset_id: Mapped[int] = said("Question set.", ForeignKey("dataset.id"))


class TaskRow(Base):
    """One row: one checkpoint answering one question set under one protocol; its key digests all of that."""

    __tablename__ = "task"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = said("SHA-256 over checkpoint, questions and settings.", unique=True)
    stage: Mapped[str]
    dataset: Mapped[str] = said("Name of the question set.")
    dataset_id: Mapped[int] = said("Question set.", ForeignKey("dataset.id"))
    checkpoint_id: Mapped[int] = said("Checkpoint that answers.", ForeignKey("checkpoint.id"))
    settings: Mapped[dict[str, Any]] = said("Prompt and its frame, decoding, seed, span rule, dtype.")
    captures: Mapped[str | None] = said(
        "Folder of its captured vectors: whole, or from the folder of the SQLite file; NULL if none was needed."
    )


class RunTask(Base):
    """One row: a run that used a task's responses; a task is shared by all runs with its key."""

    __tablename__ = "run_task"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    task_id: Mapped[int] = said("Task whose responses the run used.", ForeignKey("task.id"), primary_key=True)


class ResponseRow(Base):
    """One row: what a checkpoint said to one question, how it was judged, and its tokens."""

    __tablename__ = "response"
    __table_args__ = (
        ForeignKeyConstraint(("dataset_id", "question_position"), ("question.dataset_id", "question.position")),
        BULK,
    )

    task_id: Mapped[int] = said("Task that it belongs to.", ForeignKey("task.id"), primary_key=True)
    position: Mapped[int] = said("Place of its question in the order of asking, from 0.", primary_key=True)
    run_id: Mapped[int] = said("Run that generated it; others may use it.", ForeignKey("run.id"))
    dataset_id: Mapped[int] = said("Question set of its task.", ForeignKey("dataset.id"))
    question_position: Mapped[int] = said("Place of its question in that set, `position` there.")
    question_id: Mapped[str] = said("Identifier of the question in its set.")
    unit: Mapped[str] = said("What is never split between training and test.")
    split: Mapped[str] = said("`train`, `validation` or `test`.")
    label: Mapped[str] = said("`faithful`, `hallucinated`, `refusal`, or `dropped` with the reason.")
    reason: Mapped[str] = said("Why it was not kept; empty if it was.")
    n_samples: Mapped[int] = said("Samples drawn before the question was decided.")
    n_right: Mapped[int] = said("Samples judged right.")
    text: Mapped[str] = said("The representative response.")
    label_source: Mapped[str] = said("What judged it: the rule, or a model.")
    prompt_ids: Mapped[list[Any]] = said("Token ids of the prompt.")
    response_ids: Mapped[list[Any]] = said("Token ids of the response.")
    regions: Mapped[list[Any]] = said("Roles of tokens: role, first token, token after the last.")
    samples: Mapped[list[Any]] = said("All sampled texts, in order.")
    cut_off: Mapped[bool] = said("Whether the token limit ended it.")
    judged_label: Mapped[str] = said("Label by `label_source`, before quotas and limits.")
    rule_label: Mapped[str] = said("Label by the rule, of the same samples.")


class CaptureRow(Base):
    """One row: captured values written together, the file that holds them, and whose they are."""

    __tablename__ = "capture"

    task_id: Mapped[int] = said("Task whose responses were captured.", ForeignKey("task.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    file: Mapped[str] = said("File, or stem of arrays, in the captures folder.")
    sha256: Mapped[str] = said("SHA-256 of the vectors and ids.")
    question_ids: Mapped[list[Any]] = said("Question of each vector.")
    first_row: Mapped[int] = said("First row of these values in the array of the file.")
    written_utc: Mapped[str] = said("When it was written, in UTC.")
