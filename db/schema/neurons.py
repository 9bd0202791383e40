"""Tables of neurons: all of a run, those of its probes, and imported neuron sets.

An imported set is known from a file, not from a run. It is identified by the digest of its file and belongs to a
checkpoint, so a file imported twice is one set, which any number of runs may use.
"""

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from provenance.analyses.results.drift import DRIFT_PLACES
from provenance.db.schema.base import BULK, NEURON_KEY, Base, said

_HAS_PLACE = text("drift_place IS NOT NULL")


class NeuronSetRow(Base):
    """One row: one neuron set that was imported for a checkpoint."""

    __tablename__ = "neuron_set"
    __table_args__ = (UniqueConstraint("digest", "checkpoint_id", name="neuron_set_of_checkpoint"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = said("SHA-256 of the file.")
    checkpoint_id: Mapped[int] = said("Checkpoint that it was imported for.", ForeignKey("checkpoint.id"))
    source: Mapped[str] = said("The file's name as given.")
    format: Mapped[str] = said("Format that was recognised.")
    named_checkpoint: Mapped[str | None] = said("Checkpoint that the file itself names.")
    intercept: Mapped[float | None] = said("Intercept of the listed probe.", unit="log odds")
    n_neurons: Mapped[int] = said("Neurons of the list.")
    n_positive: Mapped[int] = said("Of these, H-Neurons: of positive weight, or all where there are no weights.")
    added_utc: Mapped[str]


class NeuronSetMember(Base):
    """One row: one neuron of an imported set; `weight` is NULL where the file has none."""

    __tablename__ = "neuron_set_member"

    neuron_set_id: Mapped[int] = said("Imported set.", ForeignKey("neuron_set.id"), primary_key=True)
    layer: Mapped[int] = said("Layer of its checkpoint, from 0.", primary_key=True)
    neuron_index: Mapped[int] = mapped_column(primary_key=True)
    weight: Mapped[float | None] = said("Probe weight; NULL where the file has none.", unit="log odds per CETT")


class ProbeNeuron(Base):
    """One row: one neuron that a probe uses, was given, or selected on half of the questions at least once.

    It has a place in its checkpoint, and one in `neuron`, which lists the neurons of the instruct checkpoint. Runs that
    compare no weights (`trace`, `intervene`) have no rows there, and NULL in place of the second.
    """

    __tablename__ = "probe_neuron"
    __table_args__ = (
        ForeignKeyConstraint(("run_id", "instruct_layer", "instruct_index"), [f"neuron.{name}" for name in NEURON_KEY]),
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    layer: Mapped[int] = said("Layer of the stage's checkpoint, from 0.", primary_key=True)
    neuron_index: Mapped[int] = mapped_column(primary_key=True)
    weight: Mapped[float | None] = said(
        "Probe weight; 0 for neurons that only half-samples select, NULL where a list has none.",
        unit="log odds per CETT",
    )
    is_h_neuron: Mapped[bool] = said("Whether it is an H-Neuron: of positive weight, or listed.")
    selection_frequency: Mapped[float | None] = said(
        "Share of half-samples of the questions that select it.", unit="share"
    )
    auroc: Mapped[float | None] = said("AUROC of the neuron alone on training and validation answers.")
    cluster: Mapped[int | None] = said(
        "Cluster of neurons so correlated that an L1 penalty picks among them; NULL outside any."
    )
    instruct_layer: Mapped[int | None] = said(
        "Layer of its row in `neuron`, that of the instruct checkpoint; NULL in a run without such rows."
    )
    instruct_index: Mapped[int | None] = said("Index of its row in `neuron`.")


class Neuron(Base):
    """One row: one neuron of a comparison, H-Neuron or not (`is_h_neuron`: of the instruct probe).

    Layer and index are those of the instruct checkpoint; `base_layer` and `base_index` say which neuron of the base it
    was compared with, and are NULL where it has no counterpart.
    """

    __tablename__ = "neuron"
    __table_args__ = (
        Index("neuron_by_drift", "run_id", "drift_place", sqlite_where=_HAS_PLACE, postgresql_where=_HAS_PLACE),
        BULK,
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    layer: Mapped[int] = mapped_column(primary_key=True)
    neuron_index: Mapped[int] = mapped_column(primary_key=True)
    cosine_distance_up: Mapped[float | None] = said(
        "Change of its up row: 1 - cosine between base and instruct.", unit="1 - cosine"
    )
    cosine_distance_gate: Mapped[float | None] = said(
        "Change of its gate row: 1 - cosine; NULL without gates.", unit="1 - cosine"
    )
    cosine_distance_down: Mapped[float | None] = said("Change of its down column: 1 - cosine.", unit="1 - cosine")
    drift_z: Mapped[float | None] = said(
        "Mean of the z-scores, over all neurons, of the changes of up and down.", unit="z-score"
    )
    stability_rank: Mapped[float | None] = said("Rank by `drift_z`: 0 = changed most, 1 = changed least.", unit="share")
    drift_place: Mapped[int | None] = said(
        f"Place by `stability_rank` among the {DRIFT_PLACES:,} neurons that changed most, from 0; NULL for all others."
    )
    norm_up_base: Mapped[float | None] = said("L2 norm of the base's up row.")
    norm_up_instruct: Mapped[float | None] = said("L2 norm of the instruct checkpoint's up row.")
    norm_down_base: Mapped[float | None] = said("L2 norm of the base's down column.")
    norm_down_instruct: Mapped[float | None] = said("L2 norm of the instruct checkpoint's down column.")
    identical: Mapped[bool] = said("Whether gate, up and down are bit-identical in both.")
    is_h_neuron: Mapped[bool] = said("Whether it is an H-Neuron of the instruct probe.")
    is_base_h_neuron: Mapped[bool] = said(
        "Whether its counterpart is an H-Neuron of the base's own probe; false without a search there."
    )
    probe_weight: Mapped[float | None] = said(
        "Weight in the instruct probe; NULL without a probe.", unit="log odds per CETT"
    )
    base_probe_weight: Mapped[float | None] = said(
        "Weight in the base's own probe; NULL without one.", unit="log odds per CETT"
    )
    activation_correlation: Mapped[float | None] = said(
        "Correlation of its activations in base and instruct over the same tokens."
    )
    base_layer: Mapped[int | None] = said("Layer of its counterpart in the base; NULL without one.")
    base_index: Mapped[int | None] = said("Index of its counterpart in that layer.")
    similarity: Mapped[float | None] = said("Cosine similarity with its counterpart, of H-Neurons only.", unit="cosine")
    margin: Mapped[float | None] = said(
        "Similarity above that of the second best match, of H-Neurons only.", unit="cosine"
    )
