"""Tables of what stands beside the main numbers of a run: what each has to beat, could have found, and shows.

Each class says what one row is; columns are the fields of `analyses.evidence_results`, where they are explained. A
number that is not defined is NULL. An interval x is x, x_low, x_high, and x_n where no other column counts its rows.
`position` is the order in which rows are read. No name here is a keyword that would need quotes.
"""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base


class LadderRow(Base):
    """One row: one thing that transfer has to beat on the base's own answers to one question set."""

    __tablename__ = "ladder"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    auroc: Mapped[float | None]
    auroc_low: Mapped[float | None]
    auroc_high: Mapped[float | None]
    auroc_n: Mapped[int | None]  # answers
    gain: Mapped[float | None]
    gain_low: Mapped[float | None]
    gain_high: Mapped[float | None]
    gain_n: Mapped[int | None]
    gain_sd: Mapped[float | None]  # over resamples
    p_value: Mapped[float | None]
    p_holm: Mapped[float | None]
    draws: Mapped[int]  # neuron sets; the AUROC of each is in null_draw


class CellRow(Base):
    """One row: the instruct probe on one model's activations while it reads one model's answers in one's prompt."""

    __tablename__ = "cell"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    activations: Mapped[str] = mapped_column(primary_key=True)
    answers: Mapped[str] = mapped_column(primary_key=True)
    prompt: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    auroc: Mapped[float | None]
    auroc_low: Mapped[float | None]
    auroc_high: Mapped[float | None]
    n_faithful: Mapped[int]
    n_hallucinated: Mapped[int]
    n_dropped: Mapped[int]
    random_p95: Mapped[float | None]
    layer_matched_p95: Mapped[float | None]
    reason: Mapped[str]


class LabelAgreementRow(Base):
    """One row: whether both models are right on the same questions of one set, and whose labels the base follows."""

    __tablename__ = "label_agreement"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    n_common: Mapped[int]
    n_agree: Mapped[int]
    kappa: Mapped[float | None]
    kappa_low: Mapped[float | None]
    kappa_high: Mapped[float | None]
    auroc_agree: Mapped[float | None]
    auroc_agree_low: Mapped[float | None]
    auroc_agree_high: Mapped[float | None]
    auroc_agree_n: Mapped[int | None]
    auroc_disagree: Mapped[float | None]
    auroc_disagree_low: Mapped[float | None]
    auroc_disagree_high: Mapped[float | None]
    auroc_disagree_n: Mapped[int | None]
    reason: Mapped[str]


class ScaleControlRow(Base):
    """One row: transfer to one question set with magnitudes put right in one way."""

    __tablename__ = "scale_control"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    auroc: Mapped[float | None]
    auroc_low: Mapped[float | None]
    auroc_high: Mapped[float | None]
    auroc_n: Mapped[int | None]
    random_p95: Mapped[float | None]
    layer_matched_p95: Mapped[float | None]
    reason: Mapped[str]


class SignAgreementRow(Base):
    """One row: for how many neurons of a run's probe both models agree on the side of 0.5."""

    __tablename__ = "sign_agreement"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    k: Mapped[int]
    agree: Mapped[int]
    share: Mapped[float | None]
    expected: Mapped[float | None]
    p_value: Mapped[float | None]
    n_base: Mapped[int]
    n_instruct: Mapped[int]


class DriftTestRow(Base):
    """One row: one way of asking whether one side's neurons changed less than others like them."""

    __tablename__ = "drift_test"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    side: Mapped[str] = mapped_column(primary_key=True)
    measure: Mapped[str] = mapped_column(primary_key=True)
    matching: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    bins: Mapped[int]
    k: Mapped[int]
    mean_rank: Mapped[float | None]
    null_mean: Mapped[float | None]
    null_sd: Mapped[float | None]
    effect: Mapped[float | None]
    effect_low: Mapped[float | None]
    effect_high: Mapped[float | None]
    p_more_stable: Mapped[float | None]
    p_less_stable: Mapped[float | None]
    smallest_detectable: Mapped[float | None]
    z_all: Mapped[float | None]
    z_layer: Mapped[float | None]


class OverlapNullRow(Base):
    """One row: how many neurons two sets of a run's sizes share under one null."""

    __tablename__ = "overlap_null"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    expected: Mapped[float | None]
    sd: Mapped[float | None]
    p_value: Mapped[float | None]
    p_zero: Mapped[float | None]
    smallest_detectable: Mapped[float | None]
    draws: Mapped[int]


class PowerRow(Base):
    """One row: what one test could have found; `dataset` is empty where it has none."""

    __tablename__ = "power"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    claim: Mapped[str] = mapped_column(primary_key=True)
    test: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    k: Mapped[int]
    n: Mapped[int]
    sd: Mapped[float | None]
    smallest_detectable: Mapped[float | None]
    unit: Mapped[str]


class InterventionRow(Base):
    """One row: what scaling one kind of neuron set by one factor did to one outcome of one model's answers."""

    __tablename__ = "intervention"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str]
    alpha: Mapped[float]
    kind: Mapped[str]
    outcome: Mapped[str]
    k: Mapped[int]
    effect: Mapped[float | None]
    effect_low: Mapped[float | None]
    effect_high: Mapped[float | None]
    effect_n: Mapped[int]
    n_draws: Mapped[int]  # control sets; null_draw has no place for factor and outcome, so they are only counted
    p_value: Mapped[float | None]


class ClaimRow(Base):
    """One row: one thing that may be said of a run's pair, and how well it stands."""

    __tablename__ = "claim"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    verdict: Mapped[str]
    dataset: Mapped[str]
    words: Mapped[str]


class ClaimReason(Base):
    """One row: one condition of a claim, what was measured, and the bar that it was held against."""

    __tablename__ = "claim_reason"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    claim: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    dataset: Mapped[str]
    value: Mapped[float | None]
    relation: Mapped[str]
    bar: Mapped[float | None]
    holds: Mapped[bool | None]  # NULL: could not be measured
    role: Mapped[str]  # power: could it have been found; shown: was it found; part: of a shown one


class TracePointRow(Base):
    """One row: one checkpoint of a timeline, seen with the probe of the last one; position -1 is the floor."""

    __tablename__ = "trace_point"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[str]
    digest: Mapped[str]
    is_floor: Mapped[bool]
    prompt: Mapped[str]
    own: Mapped[float | None]
    own_low: Mapped[float | None]
    own_high: Mapped[float | None]
    own_random_p95: Mapped[float | None]
    own_layer_matched_p95: Mapped[float | None]
    n_faithful: Mapped[int]
    n_hallucinated: Mapped[int]
    forced: Mapped[float | None]
    forced_low: Mapped[float | None]
    forced_high: Mapped[float | None]
    forced_n: Mapped[int | None]
    forced_random_p95: Mapped[float | None]
    forced_layer_matched_p95: Mapped[float | None]
    mean_stability_rank: Mapped[float | None]
    null_mean: Mapped[float | None]
    p_value: Mapped[float | None]
    change_h: Mapped[float | None]
    change_all: Mapped[float | None]
    correlation_h: Mapped[float | None]
    correlation_all: Mapped[float | None]
    reason: Mapped[str]
