"""What is found about a probe: the path it was chosen from, its neurons, and what they are worth on held-out answers.

The one idea: a probe is one point of a path and one draw of its questions, so beside its own numbers stand
those of its neighbours on the path, of its half-samples, and of simpler things that might do as well.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from provenance.intervals import Estimate
from provenance.records import Label, Stage


@dataclass(frozen=True)
class PathPoint:
    """The probe at one C, fitted on the training rows alone: what C is chosen by."""

    C: float
    """Inverse regularisation strength."""
    positive: int
    """Neurons with a positive weight."""
    nonzero: int
    """Neurons with a weight."""
    validation_accuracy: float
    """Balanced accuracy on the validation answers at probability 0.5."""
    validation_auroc: float
    """AUROC on the validation answers."""
    suppressed_accuracy: float | None
    """Share of validation questions answered rightly with these H-Neurons scaled by 0; None where not asked."""
    gap: float
    """Duality gap over the objective."""
    violation: float
    """By how much the worst of all neurons misses its optimality condition, |g| <= 1; 0 at best."""


@dataclass(frozen=True)
class CurvePoint:
    """The probe at one C, fitted on training and validation rows, on held-out answers to one question set."""

    C: float
    """Inverse regularisation strength."""
    positive: int
    """Neurons with a positive weight."""
    nonzero: int
    """Neurons with a weight."""
    dataset: str
    """Name of the question set."""
    accuracy: Estimate | None
    """On the model's own answers at probability 0.5; None when a class is missing."""
    auroc: Estimate | None
    """On the model's own answers."""
    transfer: Estimate | None
    """AUROC of the same weights on the base model's own answers; None for the base's probe."""


@dataclass(frozen=True)
class Baseline:
    """Something simpler than the probe, on the same held-out answers."""

    kind: str
    """`random`, `layer_matched`, `answer_length`, `question_text`, `answer_text` or `answer_log_probability`."""
    accuracy: Estimate | None
    """At probability 0.5; the mean over sets."""
    auroc: Estimate | None
    """Over answer rows; the mean over sets."""
    gain: Estimate | None
    """The probe's AUROC minus this one's on the same answers, paired by question."""
    draws: tuple[float, ...]
    """AUROC of each neuron set; empty for the others."""


@dataclass(frozen=True)
class StabilityResult:
    """How far a probe's neurons depend on which questions it was fitted on."""

    C: float
    """Of the fits on half of the questions: the same strength per row as the probe's."""
    half_samples: int
    """Fits, in complementary pairs."""
    threshold: float
    """Selection frequency from which a neuron counts as stable."""
    frequency: Float[np.ndarray, " neurons"]
    """Share of the half-samples in which the neuron's weight is positive."""
    stable: Int[np.ndarray, " stable"]
    """Flat ids of the stable neurons, ascending."""
    mean_selected: float
    """H-Neurons of one half-sample, mean."""
    false_bound: float | None
    """At most so many stable neurons are expected to be of those selected by chance (q / D); None: no bound."""
    split_half_shared: float
    """H-Neurons that two complementary halves share, mean over pairs."""
    split_half_jaccard: float | None
    """Shared over union, mean over pairs: what two sets of one model share; None where no half has a neuron."""
    split_half_clusters: float | None
    """The same index over clusters of correlated neurons in place of neurons."""
    cluster_correlation: float
    """Correlation over training answers above which neurons are of one cluster."""
    clustered: Int[np.ndarray, " clustered"]
    """Flat ids of the neurons that the probe uses or half-samples selected (the most often selected), ascending."""
    cluster: Int[np.ndarray, " clustered"]
    """Cluster of each, from 1."""


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


@dataclass(frozen=True)
class HeldOut:
    """A probe on held-out responses of its own model, on a balanced set."""

    dataset: str
    """Name of the question set."""
    accuracy: Estimate | None
    """At threshold 0.5; None when a class is missing."""
    auroc: Estimate | None
    """Over answer rows; None when a class is missing."""
    random_accuracy: Estimate | None
    """Mean accuracy of probes on as many random neurons, refitted on the same rows."""
    n_faithful: int
    """Faithful responses in the balanced set."""
    n_hallucinated: int
    """Hallucinated responses in the balanced set."""
    baselines: tuple[Baseline, ...] = ()
    """What the probe has to beat, random neurons first; empty when a class is missing."""
