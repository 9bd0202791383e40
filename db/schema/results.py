"""Tables of one run's results; all their rows are replaced together when it is computed again.

A number that is not defined (no rows of a class, no probe) is NULL. Intervals are 95 %, by question.
"""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import BULK, Base, said


class Probe(Base):
    """One row: the probe of one checkpoint in one run; `reason` says why it is missing, if it is."""

    __tablename__ = "probe"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    c: Mapped[float | None] = said("Inverse regularisation strength C; NULL where neurons were given.")
    alpha_max: Mapped[float | None] = said("The C below which every weight is zero.")
    intercept: Mapped[float | None] = said("Intercept.", unit="log odds")
    intercept_penalised: Mapped[bool] = said("Whether the intercept is part of the penalty.")
    design: Mapped[str] = said("Rows of the probe: `3-vs-1` or `1-vs-1`.")
    n_train_faithful: Mapped[int] = said("Faithful responses that it was fitted on.")
    n_train_hallucinated: Mapped[int] = said("Hallucinated responses that it was fitted on.")
    n_neurons: Mapped[int] = said("Neurons of non-zero weight.")
    n_h_neurons: Mapped[int] = said("H-Neurons: neurons of positive weight, or listed ones.")
    reason: Mapped[str] = said("Why there is no probe; empty if there is one.")
    rule: Mapped[str | None] = said("How C or the neurons were chosen.")
    gap: Mapped[float | None] = said("Duality gap over the objective.")
    violation: Mapped[float | None] = said("Largest violation of the optimality conditions over all neurons.")


class NullDraw(Base):
    """One row: a statistic on one draw of a null; `claim` is transfer, drift, identification, or baseline."""

    __tablename__ = "null_draw"
    __table_args__ = (BULK,)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    claim: Mapped[str] = said("`transfer`, `drift`, `identification` or `baseline`.", primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = said("Null that it is a draw of.", primary_key=True)
    draw: Mapped[int] = said("Number of the draw, from 0.", primary_key=True)
    value: Mapped[float | None] = said("The statistic on this draw: an AUROC, or that of the claim.")


class FunnelDrop(Base):
    """One row: how many questions one stage of the work dropped for one reason."""

    __tablename__ = "funnel_drop"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    split: Mapped[str] = said("`train` or `test`.", primary_key=True)
    reason: Mapped[str] = said("Why they were dropped.", primary_key=True)
    n_questions: Mapped[int] = said("Questions dropped.")
