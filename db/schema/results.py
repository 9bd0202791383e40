"""Tables of one run's results; all their rows are replaced together when it is computed again.

A number that is not defined (no rows of a class, no probe) is NULL. Intervals are 95 %, by question.
"""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import BULK, Base


class Probe(Base):
    """One row: the probe of one checkpoint in one run; `reason` says why it is missing, if it is."""

    __tablename__ = "probe"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    c: Mapped[float | None]
    alpha_max: Mapped[float | None]
    intercept: Mapped[float | None]
    intercept_penalised: Mapped[bool]
    design: Mapped[str]
    n_train_faithful: Mapped[int]
    n_train_hallucinated: Mapped[int]
    n_neurons: Mapped[int]
    n_h_neurons: Mapped[int]
    reason: Mapped[str]
    rule: Mapped[str | None]  # how C was chosen
    gap: Mapped[float | None]  # duality gap over the objective
    violation: Mapped[float | None]  # largest over all neurons


class NullDraw(Base):
    """One row: a statistic on one draw of a null; `claim` is transfer, drift, identification, or baseline."""

    __tablename__ = "null_draw"
    __table_args__ = (BULK,)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    claim: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    draw: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float | None]


class FunnelDrop(Base):
    """One row: how many questions one stage of the work dropped for one reason."""

    __tablename__ = "funnel_drop"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    split: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    n_questions: Mapped[int]
