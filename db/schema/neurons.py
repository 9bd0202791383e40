"""Tables of neurons: all of a run, those of its probes, and imported neuron sets.

An imported set is known from a file, not from a run. It is identified by the digest of its file and belongs to a
checkpoint, so a file imported twice is one set, which any number of runs may use.
"""

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import BULK, Base


class NeuronSetRow(Base):
    """One row: one neuron set that was imported for a checkpoint."""

    __tablename__ = "neuron_set"
    __table_args__ = (UniqueConstraint("digest", "checkpoint_id", name="neuron_set_of_checkpoint"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str]  # SHA-256 of the file
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id"))
    source: Mapped[str]  # the file's name as given
    format: Mapped[str]  # recognised format
    named_checkpoint: Mapped[str | None]  # the checkpoint that the file itself names
    intercept: Mapped[float | None]
    n_neurons: Mapped[int]
    n_positive: Mapped[int]  # of these, H-Neurons: of positive weight, or all where there are no weights
    added_utc: Mapped[str]


class NeuronSetMember(Base):
    """One row: one neuron of an imported set; `weight` is NULL where the file has none."""

    __tablename__ = "neuron_set_member"

    neuron_set_id: Mapped[int] = mapped_column(ForeignKey("neuron_set.id"), primary_key=True)
    layer: Mapped[int] = mapped_column(primary_key=True)
    neuron_index: Mapped[int] = mapped_column(primary_key=True)
    weight: Mapped[float | None]


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
