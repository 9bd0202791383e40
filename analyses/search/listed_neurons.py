"""A probe from neurons that somebody else found.

The one idea: where a file has weights they are used as they are, and only what it lacks is fitted on this
checkpoint's training rows: the intercept, or, for bare positions, a probe on just these neurons,
penalised as control sets are.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq

from provenance.activations.features import Features
from provenance.analyses.controls.control_probes import fit_controls
from provenance.neuron_lists.read_lists import NeuronSet
from provenance.probe.l1_objective import residuals
from provenance.probe.sparse_probe import Probe, training_rows

REACH = 50.0  # log-odds beyond the scores' own range; at e^-50 no row pulls any more


def given_probe(given: NeuronSet, train: Features, design: str, neurons: int) -> Probe:
    """The probe of a neuron set.

    Args:
        given: Neurons of this checkpoint.
        train: Training answers of both classes.
        design: Rows that missing parts are fitted on.
        neurons: D.

    Returns:
        Weights of the file and its intercept, or the one of the smallest loss given these weights; without weights
        in the file those of `provenance.analyses.controls.control_probes.fit_controls`. C is NaN: nothing was searched
        for.
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
    """Argmin over b of sum_i log(1 + exp(-y_i (f_i + b))): where the residuals add up to nothing."""
    low, high = float(-scores.max() - REACH), float(-scores.min() + REACH)
    return float(brentq(lambda b: float(residuals(scores + b, labels, 1.0).sum()), low, high))
