"""Tables of imported neuron sets, known from a file, not from a run.

A set is identified by the digest of its file and belongs to a checkpoint, so a file imported twice is one set, which
any number of runs may use.
"""

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import Base


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
