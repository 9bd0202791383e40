"""Tables of one run's results; all their rows are replaced together when it is computed again.

A number that is not defined (no rows of a class, no probe) is NULL. Intervals are 95 %, by question.
"""

from sqlalchemy import ForeignKey, Index
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
