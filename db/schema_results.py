"""Tables of what one run found; all their rows are replaced together when it is computed again.

Each class says what one row is. A number that is not defined (no rows of a class, no
probe) is NULL. Intervals are 95 %, by question.
"""

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.base import BULK, Base


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


class ProbePath(Base):
    """One row: one C that was tried for a probe."""

    __tablename__ = "probe_path"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    c: Mapped[float]
    n_positive: Mapped[int]
    n_nonzero: Mapped[int]
    validation_accuracy: Mapped[float | None]
    validation_auroc: Mapped[float | None]
    suppressed_accuracy: Mapped[float | None]  # of answers without the H-Neurons
    gap: Mapped[float | None]
    violation: Mapped[float | None]


class ProbeNeuron(Base):
    """One row: one neuron that a probe uses, was given, or selected on half of the questions at least once.

    `weight` is 0 for the last; `auroc` is the neuron's own on training answers; neurons of one `cluster`
    are so correlated that an L1 penalty picks among them.
    """

    __tablename__ = "probe_neuron"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    layer: Mapped[int] = mapped_column(primary_key=True)
    neuron_index: Mapped[int] = mapped_column(primary_key=True)
    weight: Mapped[float | None]
    is_h_neuron: Mapped[bool]
    selection_frequency: Mapped[float | None]
    auroc: Mapped[float | None]
    cluster: Mapped[int | None]


class Neuron(Base):
    """One row: one neuron of a comparison, H-Neuron or not (`is_h_neuron`: of the instruct probe).

    Deltas are 1 - cosine between the checkpoints; `stability_rank` is 0 for the neuron that
    changed most and 1 for the one that changed least; norms are L2. Layer and index are those of
    the instruct checkpoint; `base_layer` and `base_index` say which neuron of the base it was
    compared with, and are NULL where it has no counterpart. `similarity` and `margin` of that
    match are computed for H-Neurons only.
    """

    __tablename__ = "neuron"
    __table_args__ = (
        Index("neuron_by_rank", "run_id", "stability_rank"),
        BULK,
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    layer: Mapped[int] = mapped_column(primary_key=True)
    neuron_index: Mapped[int] = mapped_column(primary_key=True)
    delta_up: Mapped[float | None]
    delta_gate: Mapped[float | None]
    delta_down: Mapped[float | None]
    delta: Mapped[float | None]
    stability_rank: Mapped[float | None]
    norm_up_base: Mapped[float | None]
    norm_up_instruct: Mapped[float | None]
    norm_down_base: Mapped[float | None]
    norm_down_instruct: Mapped[float | None]
    identical: Mapped[bool]
    is_h_neuron: Mapped[bool]
    is_base_h_neuron: Mapped[bool]
    probe_weight: Mapped[float | None]
    base_probe_weight: Mapped[float | None]
    activation_correlation: Mapped[float | None]
    base_layer: Mapped[int | None]
    base_index: Mapped[int | None]
    similarity: Mapped[float | None]
    margin: Mapped[float | None]


class Activity(Base):
    """One row: one neuron's mean CETT on answer tokens, for one checkpoint and question set."""

    __tablename__ = "activity"
    __table_args__ = (BULK,)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    layer: Mapped[int] = mapped_column(primary_key=True)
    neuron_index: Mapped[int] = mapped_column(primary_key=True)
    mean_faithful: Mapped[float | None]
    mean_hallucinated: Mapped[float | None]
    standardised_difference: Mapped[float | None]
    auroc: Mapped[float | None]


class ActivitySet(Base):
    """One row: the responses behind the activity of one checkpoint on one question set."""

    __tablename__ = "activity_set"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    n_faithful: Mapped[int]
    n_hallucinated: Mapped[int]


class HeldOutRow(Base):
    """One row: a probe on held-out responses of its own model to one question set."""

    __tablename__ = "held_out"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    accuracy: Mapped[float | None]
    accuracy_low: Mapped[float | None]
    accuracy_high: Mapped[float | None]
    auroc: Mapped[float | None]
    auroc_low: Mapped[float | None]
    auroc_high: Mapped[float | None]
    random_accuracy: Mapped[float | None]
    random_accuracy_low: Mapped[float | None]
    random_accuracy_high: Mapped[float | None]
    n_faithful: Mapped[int]
    n_hallucinated: Mapped[int]


class Transfer(Base):
    """One row: the instruct probe, unchanged, on the base model's responses to one question set."""

    __tablename__ = "transfer"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    auroc: Mapped[float | None]
    auroc_low: Mapped[float | None]
    auroc_high: Mapped[float | None]
    n_faithful: Mapped[int]
    n_hallucinated: Mapped[int]
    verdict: Mapped[str]
    reason: Mapped[str]
    p_value: Mapped[float | None]  # against what it beats least clearly
    p_holm: Mapped[float | None]  # over the question sets that have power
    decided_by: Mapped[str | None]  # chance, or a kind of ladder
    p_chance: Mapped[float | None]


class Drift(Base):
    """One row: how stable a run's H-Neurons are, against neurons of the same layers."""

    __tablename__ = "drift"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    k: Mapped[int]
    mean_stability_rank: Mapped[float | None]
    effect: Mapped[float | None]
    p_t: Mapped[float | None]
    p_permutation: Mapped[float | None]
    uniform_sd: Mapped[float | None]
    smallest_detectable: Mapped[float | None]
    share_identical: Mapped[float | None]
    rounding_floor: Mapped[float | None]
    verdict: Mapped[str]
    reason: Mapped[str]


class Overlap(Base):
    """One row: a run's H-Neurons of the base against those of the instruct checkpoint."""

    __tablename__ = "overlap"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    k_base: Mapped[int]
    k_instruct: Mapped[int]
    shared: Mapped[int]
    jaccard: Mapped[float | None]
    expected: Mapped[float | None]
    p_hypergeometric: Mapped[float | None]
    p_zero: Mapped[float | None]
    verdict: Mapped[str]
    reason: Mapped[str]
    ceiling_base: Mapped[float | None]  # Jaccard of two halves of one model's questions
    ceiling_instruct: Mapped[float | None]
    ratio_base: Mapped[float | None]  # jaccard over the ceiling
    ratio_instruct: Mapped[float | None]
    cluster_jaccard: Mapped[float | None]
    rank_biased: Mapped[float | None]  # overlap of both lists by probe weight


class NullSummary(Base):
    """One row: a statistic's distribution under one null, summed up; `dataset` is empty for drift."""

    __tablename__ = "null_summary"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    claim: Mapped[str] = mapped_column(primary_key=True)  # transfer, drift
    dataset: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    draws: Mapped[int]
    mean: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    p95: Mapped[float | None]
    p_value: Mapped[float | None]


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


class VerdictRow(Base):
    """One row: what a run says about one claim; `overall` has a sentence and no verdict of its own."""

    __tablename__ = "verdict"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    claim: Mapped[str] = mapped_column(primary_key=True)  # transfer, drift, overlap, overall
    verdict: Mapped[str | None] = mapped_column(String)
    words: Mapped[str]


class FunnelRow(Base):
    """One row: how many questions each stage of the work kept, for one checkpoint, question set and split."""

    __tablename__ = "funnel"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    split: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    asked: Mapped[int]
    answered: Mapped[int]
    consistent_faithful: Mapped[int]
    consistent_hallucinated: Mapped[int]
    span_found_faithful: Mapped[int]
    span_found_hallucinated: Mapped[int]
    captured_faithful: Mapped[int]
    captured_hallucinated: Mapped[int]
    fitted_faithful: Mapped[int]
    fitted_hallucinated: Mapped[int]


class FunnelDrop(Base):
    """One row: how many questions one stage of the work dropped for one reason."""

    __tablename__ = "funnel_drop"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(primary_key=True)
    split: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    n_questions: Mapped[int]
