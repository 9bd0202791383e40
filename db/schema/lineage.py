"""Tables of results from weights: a pair's relation, and its neurons' counterparts.

A number that is not defined, or that an older version did not compute, is NULL.
"""

from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import Base


class Lineage(Base):
    """One row: whether a run's instruct checkpoint descends from its base, with the evidence."""

    __tablename__ = "lineage"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    verdict: Mapped[str]
    share_identical_tensors: Mapped[float | None]
    tensors_compared: Mapped[int]
    only_base: Mapped[list[Any]]
    only_instruct: Mapped[list[Any]]
    median_cosine_gate: Mapped[float | None]
    median_cosine_up: Mapped[float | None]
    median_cosine_down: Mapped[float | None]
    self_match: Mapped[float | None]
    nearest_cosine: Mapped[float | None]
    neurons_sampled: Mapped[int]
    same_tokenizer: Mapped[bool]
    vocabulary_shared: Mapped[float | None]
    reason: Mapped[str | None]
    found_in_base: Mapped[float | None]
    found_in_instruct: Mapped[float | None]
    vocabulary_base: Mapped[int | None]  # tokens; 0: no tokenizer
    vocabulary_instruct: Mapped[int | None]
    layer_of: Mapped[list[Any] | None]  # base layer by instruct layer


class AlignmentRow(Base):
    """One row: how a run found each neuron's counterpart in the base, and for how many there is none."""

    __tablename__ = "alignment"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    method: Mapped[str]  # index, assignment
    n_neurons: Mapped[int]
    n_unmapped: Mapped[int]
    reason: Mapped[str]  # why it must not be trusted; empty when lineage supports it


class NeuronList(Base):
    """One row: the list of neurons that a run was given in place of a search, or of any (a weights-only run)."""

    __tablename__ = "neuron_list"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    source: Mapped[str]  # empty: no list, the run is about all neurons
    n_neurons: Mapped[int]
    n_weighted: Mapped[int]  # of these, with a probe weight
