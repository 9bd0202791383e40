"""The schema of the neuron database, all tables in one place.

The one idea: every row leads back to a run. Inputs (checkpoints, question sets) are
known by content digest and shared between runs; collected work (tasks, responses,
captures) is keyed by what determines it and shared as well (`db.schema_work`);
everything derived from them belongs to one run and is replaced as a whole when that
run is computed again (`db.schema_results`, `db.schema_lineage`, `db.schema_probe`, `db.schema_evidence`).
"""

from db.base import Base
from db.schema_evidence import (
    CellRow,
    ClaimReason,
    ClaimRow,
    DriftTestRow,
    InterventionRow,
    LabelAgreementRow,
    LadderRow,
    OverlapNullRow,
    PowerRow,
    ScaleControlRow,
    SignAgreementRow,
    TracePointRow,
)
from db.schema_lineage import AlignmentRow, Lineage, LineageConfig, LineageTensor, NeuronList
from db.schema_neurons import NeuronSetMember, NeuronSetRow
from db.schema_probe import ProbeBaseline, ProbeCurve, ProbeStability
from db.schema_results import (
    Activity,
    ActivitySet,
    Drift,
    FunnelDrop,
    FunnelRow,
    HeldOutRow,
    Neuron,
    NullDraw,
    NullSummary,
    Overlap,
    Probe,
    ProbeNeuron,
    ProbePath,
    Transfer,
    VerdictRow,
)
from db.schema_work import (
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
    "REVISIONS",
    "Activity",
    "ActivitySet",
    "AlignmentRow",
    "Base",
    "CaptureRow",
    "CellRow",
    "Checkpoint",
    "ClaimReason",
    "ClaimRow",
    "Dataset",
    "Drift",
    "DriftTestRow",
    "Family",
    "FunnelDrop",
    "FunnelRow",
    "HeldOutRow",
    "InterventionRow",
    "LabelAgreementRow",
    "LadderRow",
    "Lineage",
    "LineageConfig",
    "LineageTensor",
    "Neuron",
    "NeuronList",
    "NeuronSetMember",
    "NeuronSetRow",
    "NullDraw",
    "NullSummary",
    "Overlap",
    "OverlapNullRow",
    "PowerRow",
    "Probe",
    "ProbeBaseline",
    "ProbeCurve",
    "ProbeNeuron",
    "ProbePath",
    "ProbeStability",
    "QuestionRow",
    "ResponseRow",
    "Run",
    "RunDataset",
    "RunTask",
    "ScaleControlRow",
    "SignAgreementRow",
    "TaskRow",
    "TracePointRow",
    "Transfer",
    "VerdictRow",
]

REVISIONS = ("0.2.0_1",)
"""Every schema this release can read or upgrade, oldest first; each named after the version that it came with."""
HEAD = REVISIONS[-1]

DERIVED: tuple[type[Base], ...] = (
    RunDataset, Probe, ProbePath, ProbeCurve, ProbeBaseline, ProbeStability, ProbeNeuron, Neuron, Activity,
    ActivitySet, HeldOutRow, Transfer, Drift, Overlap, Lineage, LineageTensor, LineageConfig, AlignmentRow, NeuronList,
    NullSummary, NullDraw, VerdictRow, FunnelRow, FunnelDrop, LadderRow, CellRow, LabelAgreementRow, ScaleControlRow,
    SignAgreementRow, DriftTestRow, OverlapNullRow, PowerRow, InterventionRow, ClaimRow, ClaimReason, TracePointRow,
)  # fmt: skip
"""Tables whose rows belong to one run and are written together."""
