"""What is found about a probe: the path it was chosen from, its neurons, and what they are worth on held-out answers.

The one idea: a probe is one point of a path and one draw of its questions, so beside its own numbers stand
those of its neighbours on the path, of its half-samples, and of simpler things that might do as well.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from provenance.cells import Record, compact
from provenance.declared import column, part, table
from provenance.records import Estimate, Label, Stage
from provenance.words import BASELINES


def _chosen(record: Record) -> str:
    return compact(record["c"]) + ("*" if record.get("is_chosen") else "")


@table(
    "probe_path",
    "Path",
    row="one C that was tried, with the neurons it keeps",
    subject="probe",
    scope=("stage",),
    note="Probes fitted on the training rows alone; k: neurons of positive weight. Gap: duality gap over the objective. "
    "Violation: the largest of the optimality conditions over all neurons, whose bound is 1.",
)
@dataclass(frozen=True)
class PathPoint:
    """The probe at one C, fitted on the training rows alone: what C is chosen by."""

    C: float = column("C", _chosen, "Inverse regularisation strength.", sql="c")
    positive: int = column("k", "count", "Neurons with a positive weight.", sql="n_positive")
    nonzero: int = column("weights", "count", "Neurons with a weight.", sql="n_nonzero")
    validation_accuracy: float = column(
        "validation accuracy", "fixed3", "Balanced accuracy on the validation answers at probability 0.5."
    )
    validation_auroc: float = column("validation AUROC", "fixed3", "AUROC on the validation answers.")
    suppressed_accuracy: float | None = column(
        "accuracy, H-Neurons suppressed",
        "fixed3",
        "Share of validation questions answered rightly with these H-Neurons scaled by 0; None where not asked.",
    )
    gap: float = column("gap", "compact", "Duality gap over the objective.")
    violation: float = column(
        "violation",
        "order",
        "By how much the worst of all neurons misses its optimality condition, |g| <= 1; 0 at best.",
    )


@table(
    "probe_curve",
    "Curve",
    row="one C on one held-out question set, and transferred to the base",
    subject="probe",
    scope=("stage",),
)
@dataclass(frozen=True)
class CurvePoint:
    """The probe at one C, fitted on training and validation rows, on held-out answers to one question set."""

    C: float = column("C", _chosen, "Inverse regularisation strength.", sql="c")
    positive: int = column("k", "count", "Neurons with a positive weight.", sql="n_positive")
    nonzero: int = column("", "count", "Neurons with a weight.", sql="n_nonzero")
    dataset: str = column("question set", "text", "Name of the question set.")
    accuracy: Estimate | None = column(
        "accuracy", "ci2", "On the model's own answers at probability 0.5; None when a class is missing."
    )
    auroc: Estimate | None = column("AUROC", "ci2", "On the model's own answers.")
    transfer: Estimate | None = column(
        "AUROC on the base",
        "ci2",
        "AUROC of the same weights on the base model's own answers; None for the base's probe.",
    )


@table(
    "probe_baseline",
    "Baselines",
    row="one simpler predictor on one held-out question set, and the probe's gain over it",
    subject="probe",
    scope=("stage", "dataset"),
    note="AUROC on the same held-out answers, with its interval by question; gain: the probe’s AUROC minus the "
    "baseline’s, paired by question. For neuron sets both are means over sets.",
)
@dataclass(frozen=True)
class Baseline:
    """Something simpler than the probe, on the same held-out answers."""

    kind: str = column(
        "predictor",
        "text",
        "`random`, `layer_matched`, `answer_length`, `question_text`, `answer_text` or `answer_log_probability`.",
        key=True,
        words=BASELINES,
    )
    accuracy: Estimate | None = column("", "ci2", "At probability 0.5; the mean over sets.")
    auroc: Estimate | None = column("AUROC", "ci2", "Over answer rows; the mean over sets.")
    gain: Estimate | None = column(
        "gain of the probe", "ci3", "The probe's AUROC minus this one's on the same answers, paired by question."
    )
    draws: tuple[float, ...] = column("sets", "some", "AUROC of each neuron set; empty for the others.")


@table(
    "probe_stability",
    "Stability",
    row="how far one probe depends on which questions it was fitted on",
    subject="probe",
    scope=("stage",),
    single=True,
    note="The probe fitted again on random halves of the questions, with the same strength of the penalty per row; a "
    "neuron is selected where its weight is positive. The Jaccard index of two halves of one model’s questions is the "
    "reference for the overlap of two models.",
)
@dataclass(frozen=True)
class StabilityResult:
    """How far a probe's neurons depend on which questions it was fitted on."""

    C: float = column(
        "C of the fits",
        "compact",
        "Of the fits on half of the questions: the same strength per row as the probe's.",
        sql="c",
    )
    half_samples: int = column("half-samples", "count", "Fits, in complementary pairs.", sql="n_half_samples")
    threshold: float = column(
        "selection frequency that counts as stable",
        "fixed2",
        "Selection frequency from which a neuron counts as stable.",
    )
    frequency: Float[np.ndarray, " neurons"] = part(
        "Share of the half-samples in which the neuron's weight is positive."
    )
    stable: Int[np.ndarray, " stable"] = column("stable neurons", "count", "Flat ids of the stable neurons, ascending.")
    mean_selected: float = column("H-Neurons of one half-sample, mean", "fixed1", "H-Neurons of one half-sample, mean.")
    false_bound: float | None = column(
        "stable neurons expected by chance (selected no more often than q / D), at most",
        "compact",
        "At most so many stable neurons are expected to be of those selected by chance (q / D); None: no bound.",
    )
    split_half_shared: float = column(
        "H-Neurons that two halves share, mean",
        "fixed1",
        "H-Neurons that two complementary halves share, mean over pairs.",
    )
    split_half_jaccard: float | None = column(
        "Jaccard index of two halves, mean",
        "fixed3",
        "Shared over union, mean over pairs: what two sets of one model share; None where no half has a neuron.",
    )
    split_half_clusters: float | None = column(
        "the same over clusters of correlated neurons",
        "fixed3",
        "The same index over clusters of correlated neurons in place of neurons.",
    )
    cluster_correlation: float = column(
        "correlation that makes a cluster",
        "fixed2",
        "Correlation over training answers above which neurons are of one cluster.",
    )
    clustered: Int[np.ndarray, " clustered"] = part(
        "Flat ids of the neurons that the probe uses or half-samples selected (the most often selected), ascending."
    )
    cluster: Int[np.ndarray, " clustered"] = part("Cluster of each, from 1.")


@dataclass(frozen=True)
class IdentificationResult:
    """A probe on one checkpoint, and how it does on held-out questions."""

    stage: Stage
    """Which checkpoint."""
    weights: Float[np.ndarray, " neurons"] | None
    """theta of the probe over all D neurons; None when it could not be fitted."""
    intercept: float | None
    """b of the probe."""
    C: float | None
    """Chosen inverse regularisation strength; None for neurons that were given."""
    alpha_max: float | None
    """The C below which every weight is zero."""
    design: str
    """`3-vs-1` or `1-vs-1`."""
    intercept_penalised: bool
    """Whether |b| is part of the objective."""
    path: tuple[PathPoint, ...]
    """Per C of the grid, ascending."""
    n_train: dict[Label, int]
    """Responses the probe was fitted on, by label (validation included after selection)."""
    h_neurons: Int[np.ndarray, " h"]
    """Flat ids of the neurons with theta > 0, ascending."""
    test: tuple["HeldOut", ...]
    """Per question set, the in-domain one first."""
    reason: str
    """Why there is no probe; empty otherwise."""
    rule: str = "one-se"
    """How C was chosen: `one-se`, `paper`, `fixed`; `given` for neurons from a file."""
    gap: float | None = None
    """Duality gap of the probe over its objective; None for neurons that were given."""
    violation: float | None = None
    """By how much the worst of all neurons misses its optimality condition, |g| <= 1; 0 at best."""
    curve: tuple[CurvePoint, ...] = ()
    """Per C of the grid and question set, C ascending."""
    stability: StabilityResult | None = None
    """Over half-samples of the questions; None where there is no probe to look at."""
    neuron_auroc: Float[np.ndarray, " neurons"] | None = None
    """AUROC of every single neuron on the training and validation answers."""
    source: str = ""
    """The file that the neurons were taken from; empty where they were searched for."""


@table(
    "held_out",
    "Identification",
    row="one probe on one held-out question set (Table 1)",
    subject="probe",
    scope=("stage",),
)
@dataclass(frozen=True)
class HeldOut:
    """A probe on held-out responses of its own model, on a balanced set."""

    dataset: str = column("question set", "text", "Name of the question set.", key=True)
    accuracy: Estimate | None = column("accuracy", "ci2", "At threshold 0.5; None when a class is missing.")
    auroc: Estimate | None = column("AUROC", "ci2", "Over answer rows; None when a class is missing.")
    random_accuracy: Estimate | None = column(
        "random neurons", "ci2", "Mean accuracy of probes on as many random neurons, refitted on the same rows."
    )
    n_faithful: int = column("n (f + h)", "pair", "Faithful responses in the balanced set.", beside="n_hallucinated")
    n_hallucinated: int = column("", "count", "Hallucinated responses in the balanced set.")
    baselines: tuple[Baseline, ...] = ()
    """What the probe has to beat, random neurons first; empty when a class is missing."""
