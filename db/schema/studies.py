"""Tables of studies: families that are asked the same questions, and their runs."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import Base, said


class StudyRow(Base):
    """One row: a study, known by its name."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = said("Name of the study.", unique=True)
    title: Mapped[str] = said("Title in its file.")
    text: Mapped[str] = mapped_column(comment="Study file as it was read; empty if put together from runs.")
    digest: Mapped[str] = mapped_column(comment="SHA-256 of the text.")
    updated_utc: Mapped[str] = said("Last change, in UTC.")


class StudyMember(Base):
    """One row: a family or timeline of a study, and its run once there is one."""

    __tablename__ = "study_member"

    study_id: Mapped[int] = said("Study.", ForeignKey("study.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(comment="family or timeline.")
    name: Mapped[str] = mapped_column(comment="Name in the study.")
    base: Mapped[str] = mapped_column(comment="Reference of the first checkpoint.")
    instruct: Mapped[str] = mapped_column(comment="Reference of the last checkpoint.")
    job_digest: Mapped[str] = mapped_column(
        comment="SHA-256 of questions and settings; empty if put together from runs."
    )
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"), comment="Finished run; NULL before it.")
    reason: Mapped[str] = mapped_column(comment="Why there is no run: not yet run, or the error that ended it.")
