"""Tables of what a probe's neurons are worth: curves over their number, baselines, and stability.

Each class says what one row is. A number that is not defined is NULL; intervals are 95 %, by question.
"""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base


class ProbeCurve(Base):
    """One row: the probe at one C, fitted on all training rows, on held-out answers to one question set.

    `transfer` is the AUROC of the same weights on the base model's own answers; NULL for the base's probe.
    """

    __tablename__ = "probe_curve"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    c: Mapped[float]
    n_positive: Mapped[int]
    n_nonzero: Mapped[int]
    is_chosen: Mapped[bool]
    accuracy: Mapped[float | None]
    accuracy_low: Mapped[float | None]
    accuracy_high: Mapped[float | None]
    auroc: Mapped[float | None]
    auroc_low: Mapped[float | None]
    auroc_high: Mapped[float | None]
    transfer: Mapped[float | None]
    transfer_low: Mapped[float | None]
    transfer_high: Mapped[float | None]


class ProbeBaseline(Base):
    """One row: one thing that a probe has to beat on one held-out question set.

    `gain` is the probe's AUROC minus the baseline's on the same answers, paired by question. For `random`
    and `layer_matched` neurons the numbers are means over `n_draws` sets.
    """

    __tablename__ = "probe_baseline"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    n_draws: Mapped[int]
    accuracy: Mapped[float | None]
    accuracy_low: Mapped[float | None]
    accuracy_high: Mapped[float | None]
    auroc: Mapped[float | None]
    auroc_low: Mapped[float | None]
    auroc_high: Mapped[float | None]
    gain: Mapped[float | None]
    gain_low: Mapped[float | None]
    gain_high: Mapped[float | None]


class ProbeStability(Base):
    """One row: how far a probe's neurons depend on which questions it was fitted on."""

    __tablename__ = "probe_stability"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    c: Mapped[float]  # of the fits on half of the questions
    n_half_samples: Mapped[int]
    threshold: Mapped[float]  # of the selection frequency
    n_stable: Mapped[int]  # neurons at or above it
    mean_selected: Mapped[float]  # H-Neurons of one half-sample
    false_bound: Mapped[float | None]  # upper bound of the expected number of falsely stable neurons
    split_half_shared: Mapped[float]  # H-Neurons that two complementary halves share, mean
    split_half_jaccard: Mapped[float | None]
    split_half_clusters: Mapped[float | None]  # the same Jaccard index over clusters in place of neurons
    cluster_correlation: Mapped[float]  # above which neurons count as one cluster
    n_clusters: Mapped[int]
