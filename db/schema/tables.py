"""The schema of the neuron database, all tables in one place.

Every row leads back to a run. Inputs (checkpoints, question sets) are identified by content digest and shared between
runs; collected work (tasks, responses, captures) is keyed by everything that determines it and shared as well
(`provenance.db.schema.work`); derived rows belong to one run and are replaced as a whole when that run is computed
again (`provenance.db.schema.result_tables`, `provenance.db.schema.results`, `provenance.db.schema.lineage`). A study
names runs that belong together (`provenance.db.schema.studies`).
"""

from sqlalchemy import Table

from provenance.db.schema.base import Base
from provenance.db.schema.data_dictionary import DataDictionary
from provenance.db.schema.lineage import AlignmentRow, Lineage, NeuronList
from provenance.db.schema.neurons import Neuron, NeuronSetMember, NeuronSetRow, ProbeNeuron
from provenance.db.schema.result_tables import BULK_TABLES, REPLICATE_TABLES, RESULTS, TABLES
from provenance.db.schema.results import FunnelDrop, NullDraw, Probe
from provenance.db.schema.studies import StudyMember, StudyRow
from provenance.db.schema.work import (
    CaptureRow,
    Checkpoint,
    Dataset,
    Family,
    QuestionRow,
    ResponseRow,
    Run,
    RunDataset,
    RunTask,
    TaskRow,
)

__all__ = [
    "DERIVED",
    "HEAD",
    "OF_NEURONS",
    "REVISIONS",
    "AlignmentRow",
    "Base",
    "CaptureRow",
    "Checkpoint",
    "DataDictionary",
    "Dataset",
    "Family",
    "FunnelDrop",
    "Lineage",
    "Neuron",
    "NeuronList",
    "NeuronSetMember",
    "NeuronSetRow",
    "NullDraw",
    "Probe",
    "ProbeNeuron",
    "QuestionRow",
    "ResponseRow",
    "Run",
    "RunDataset",
    "RunTask",
    "StudyMember",
    "StudyRow",
    "TaskRow",
]

REVISIONS = ("0.2.0_19",)
"""Schemas that this release can read or upgrade, oldest first; each named after the version that it came with."""
HEAD = REVISIONS[-1]

BY_HAND = (
    RunDataset, Probe, Neuron, ProbeNeuron, Lineage, AlignmentRow, NeuronList, NullDraw, FunnelDrop,
)  # fmt: skip
DERIVED: tuple[Table, ...] = (
    *(Base.metadata.tables[cls.__tablename__] for cls in BY_HAND),
    *(TABLES[cls] for cls in RESULTS),
    *REPLICATE_TABLES.values(),
    *BULK_TABLES.values(),
)
"""Tables whose rows belong to one run and are written together; a table is behind those that it refers to."""
OF_NEURONS: tuple[Table, ...] = (Base.metadata.tables[Neuron.__tablename__], *BULK_TABLES.values())
"""Of these, the ones with a row per neuron, which are written in several transactions."""
