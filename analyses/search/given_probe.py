"""A probe from listed neurons with the file's weights; missing parts are fitted on this checkpoint's training rows."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq

from provenance.activations.features import Features
from provenance.analyses.controls.control_probes import fit_controls
from provenance.neuron_lists.read_lists import NeuronSet
from provenance.probe.l1_objective import residuals
from provenance.probe.sparse_probe import Probe, training_rows

REACH = 50.0  # log-odds beyond the range of the scores, where e^-50 leaves no row any influence


def given_probe(given: NeuronSet, train: Features, design: str, neurons: int) -> Probe:
    """The probe of a given neuron set (`neurons` is D); C is NaN, because there was no search.

    A missing intercept minimises the loss at the file's weights; missing weights come from
    `provenance.analyses.controls.control_probes.fit_controls`.
    """
    if given.weights is None:
        [fitted] = fit_controls(train, [given.ids], design)
        values, intercept = fitted.probe.weights, fitted.probe.intercept
    else:
        values = given.weights
        rows, labels = training_rows(train, design, given.ids)
        scores = rows.astype(np.float64) @ values
        intercept = best_intercept(scores, labels) if given.intercept is None else given.intercept
    weights = np.zeros(neurons)
    weights[given.ids] = values
    return Probe(weights, intercept, float("nan"), design, False)


def best_intercept(scores: Float[np.ndarray, " rows"], labels: Bool[np.ndarray, " rows"]) -> float:
    """Argmin over b of sum_i log(1 + exp(-y_i (f_i + b))): the residuals sum to zero."""
    low, high = float(-scores.max() - REACH), float(-scores.min() + REACH)
    return float(brentq(lambda b: float(residuals(scores + b, labels, 1.0).sum()), low, high))
