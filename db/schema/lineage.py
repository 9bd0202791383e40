"""Tables of results from weights: a pair's relation, and its neurons' counterparts.

A number that is not defined, or that an older version did not compute, is NULL.
"""

from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from provenance.db.schema.base import Base, said


class Lineage(Base):
    """One row: whether a run's instruct checkpoint descends from its base, with the evidence."""

    __tablename__ = "lineage"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    verdict: Mapped[str] = said("Relation of the two checkpoints.")
    share_identical_tensors: Mapped[float | None] = said(
        "Share of compared tensors that are bit-identical.", unit="share"
    )
    tensors_compared: Mapped[int] = said("Tensors of equal name and shape.")
    only_base: Mapped[list[Any]] = said("Tensors that only the base has, or has in another shape.")
    only_instruct: Mapped[list[Any]] = said("Tensors that only the instruct checkpoint has, or has in another shape.")
    median_cosine_gate: Mapped[float | None] = said("Median over neurons of the gate rows' cosine.", unit="cosine")
    median_cosine_up: Mapped[float | None] = said("Median over neurons of the up rows' cosine.", unit="cosine")
    median_cosine_down: Mapped[float | None] = said("Median over neurons of the down columns' cosine.", unit="cosine")
    self_match: Mapped[float | None] = said(
        "Share of sampled neurons whose nearest neuron in the base has the same index.", unit="share"
    )
    nearest_cosine: Mapped[float | None] = said(
        "Median cosine of sampled neurons with their nearest neuron of the base.", unit="cosine"
    )
    neurons_sampled: Mapped[int] = said("Sampled neurons of each checkpoint.")
    same_tokenizer: Mapped[bool] = said("Whether both tokenizers are the same.")
    vocabulary_shared: Mapped[float | None] = said("Share of tokens with the same id in both.", unit="share")
    reason: Mapped[str | None] = said("The evidence in words.")
    found_in_base: Mapped[float | None] = said(
        "Share of the instruct checkpoint's sampled neurons found in the base, at any index.", unit="share"
    )
    found_in_instruct: Mapped[float | None] = said(
        "Share of the base's sampled neurons found in the instruct checkpoint, at any index.", unit="share"
    )
    vocabulary_base: Mapped[int | None] = said("Size of the base's vocabulary; 0 without a tokenizer.", unit="tokens")
    vocabulary_instruct: Mapped[int | None] = said("Size of the instruct checkpoint's vocabulary.", unit="tokens")
    layer_of: Mapped[list[Any] | None] = said(
        "For each layer of the instruct checkpoint, the base's layer that holds its neurons."
    )


class AlignmentRow(Base):
    """One row: how a run found each neuron's counterpart in the base, and for how many there is none."""

    __tablename__ = "alignment"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    method: Mapped[str] = said("How counterparts were found: `index` or `assignment`.")
    n_neurons: Mapped[int] = said("Neurons of the instruct checkpoint.")
    n_unmapped: Mapped[int] = said("Of these, without a counterpart in the base.")
    reason: Mapped[str] = said("Why it must not be trusted; empty when lineage supports it.")


class NeuronList(Base):
    """One row: the list of neurons that a run was given in place of a search, or of any (a weights-only run)."""

    __tablename__ = "neuron_list"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    source: Mapped[str] = said("Origin of the list; empty: no list, the run is about all neurons.")
    n_neurons: Mapped[int] = said("Neurons of the list.")
    n_weighted: Mapped[int] = said("Of these, with a probe weight.")
