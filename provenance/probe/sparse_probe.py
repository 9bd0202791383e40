"""The sparse probe whose positive weights are the H-Neurons, and its training rows.

    min_{theta, b}  C * sum_i log(1 + exp(-y_i (theta . x_i + b))) + ||theta||_1 + |b|

On raw mean CETT (no scaling) the L1 norm selects few neurons; those with theta_j > 0, which push towards
"hallucinated", are the H-Neurons. `provenance.probe.l1_path` solves it exactly at any number of neurons.
Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.1.3.

Choice: |b| is part of the objective because the published code uses liblinear, which penalises the intercept.
`intercept_penalised=False` removes it. The two choose different neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NO_NEURONS, NeuronRows, picked
from provenance.errors import FitError
from provenance.probe.l1_path import Fit

Design = Literal["3-vs-1", "1-vs-1"]
C_STEPS = tuple(float(step) for step in 10.0 ** np.arange(0.25, 5, 0.25))  # multiples of alpha_max


@dataclass(frozen=True)
class Probe:
    """A fitted probe over all D neurons."""

    weights: Float[np.ndarray, " neurons"]
    """theta; float64, zero for neurons that were not used."""
    intercept: float
    """b."""
    C: float
    """Inverse regularisation strength."""
    design: str
    """`3-vs-1` or `1-vs-1`."""
    intercept_penalised: bool
    """Whether |b| was part of the objective."""

    def scores(self, rows: NeuronRows | Float[np.ndarray, "rows neurons"]) -> Float[np.ndarray, " rows"]:
        """Theta . x + b of every row: the log-odds of `hallucinated`; 0 is probability 0.5."""
        used = self.nonzero
        values = picked(rows, used).astype(np.float64) @ self.weights[used] + self.intercept
        return np.asarray(values, dtype=np.float64)

    @property
    def h_neurons(self) -> Int[np.ndarray, " h"]:
        """Flat ids of the neurons with theta > 0, ascending."""
        return np.flatnonzero(self.weights > 0)

    @property
    def nonzero(self) -> Int[np.ndarray, " used"]:
        """Flat ids of all neurons with a weight, ascending."""
        return np.flatnonzero(self.weights)


def design_rows(features: Features, design: Design | str) -> tuple[tuple[NeuronRows, ...], Bool[np.ndarray, " rows"]]:
    """Rows of the probe's design, part after part, and their labels.

    `3-vs-1`: True only for `answer` of hallucinated responses; False for `answer` of faithful ones and for `other` of
    all. `1-vs-1` drops `other`.

    Returns:
        The answers of all responses, then (3-vs-1) the others of all, in the same order of responses.

    Raises:
        FitError: There is no such design, or it needs other tokens and they were not captured.
    """
    if design == "1-vs-1":
        return (features.answer,), features.hallucinated
    if design != "3-vs-1":
        raise FitError("a probe design, 3-vs-1 or 1-vs-1", found=repr(design), remedy="choose one of the two")
    if features.other is None:
        raise FitError("mean CETT of other tokens, for 3-vs-1", found="none", remedy="capture it, or choose 1-vs-1")
    labels = np.concatenate([features.hallucinated, np.zeros(len(features), dtype=bool)])
    return (features.answer, features.other), labels


def training_rows(
    features: Features, design: Design | str, columns: Int[np.ndarray, " k"]
) -> tuple[Float32[np.ndarray, "rows k"], Bool[np.ndarray, " rows"]]:
    """Values of a few neurons, and labels, in all rows of the design."""
    parts, labels = design_rows(features, design)
    return np.concatenate([part.columns(columns) for part in parts]), labels


def fit_scores(fits: Sequence[Fit], rows: NeuronRows) -> Float[np.ndarray, "rows fits"]:
    """Decision values of points of paths, theta . x + b, one column each; every neuron is read once."""
    used = np.unique(np.concatenate([NO_NEURONS, *(fit.ids for fit in fits)]))
    weights = np.zeros((used.size, len(fits)))
    for column, fit in enumerate(fits):
        weights[np.searchsorted(used, fit.ids), column] = fit.weights
    intercepts = np.array([fit.intercept for fit in fits])
    return np.asarray(picked(rows, used).astype(np.float64) @ weights + intercepts)


def probe_of(fit: Fit, neurons: int, *, design: str, intercept_penalised: bool) -> Probe:
    """Convert a point of a path to a probe over all neurons."""
    weights = np.zeros(neurons)
    weights[fit.ids] = fit.weights
    return Probe(weights, fit.intercept, fit.C, design, intercept_penalised)
