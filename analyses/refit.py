"""Probes on given neurons, fitted as well as the rows allow: what a null of neuron sets is made of.

The one idea: an L1 penalty that chooses neurons would also shrink the control probes and so
weaken the null that the H-Neurons have to beat. Once the neurons are given nothing needs
choosing, so controls get a next-to-free logistic regression, by Newton's method on
standardised columns: the same ranking of answers as liblinear's at a large C, ten times faster.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from provenance.errors import FitError
from provenance.features import Features
from provenance.probe import Probe, training_rows

# In units of standardised columns the penalty |theta|^2 / (2 C) is one row's worth of evidence against
# hundreds; it only keeps separable and repeated columns from having no finite solution.
WEAK_C = 100.0
MAX_ITERATIONS = 100  # Newton takes 5 to 12


@dataclass(frozen=True)
class ControlProbe:
    """A probe on a control set of neurons."""

    columns: Int[np.ndarray, " k"]
    """Flat ids of the neurons."""
    probe: Probe
    """Fitted on these columns; its weights are in their order."""

    def scores(self, rows: Float[np.ndarray, "rows neurons"]) -> Float[np.ndarray, " rows"]:
        """Decision values of rows over all neurons."""
        return self.probe.scores(rows[:, self.columns])


def fit_controls(train: Features, sets: Iterable[Int[np.ndarray, " k"]], design: str) -> tuple[ControlProbe, ...]:
    """One weakly regularised probe for each set of neurons.

    Args:
        train: Rows to fit on.
        sets: Flat ids, one array per set.
        design: `3-vs-1` or `1-vs-1`, as the probe they are compared with.
    """
    # Products this small only wait for one another on several threads, twenty times longer on a busy machine.
    with threadpool_limits(limits=1, user_api="blas"):
        return tuple(
            ControlProbe(columns, fit_weakly(*training_rows(train, design, columns), design=design)) for columns in sets
        )


def fit_weakly(rows: Float[np.ndarray, "rows k"], labels: Bool[np.ndarray, " rows"], *, design: str) -> Probe:
    """Logistic regression on all columns, next to free of regularisation.

        min_{theta, b}  WEAK_C * sum_i log(1 + exp(-y_i (theta . u_i + b))) + |theta|^2 / 2,
        u_i = (x_i - mean) / SD

    Args:
        rows: Mean CETT of the given neurons.
        labels: True for hallucinated answers.
        design: Recorded with the probe.

    Returns:
        Weights and intercept for rows as they come, float64; 0 for columns that do not vary.

    Raises:
        FitError: One class only, or values that are not finite.
    """
    if labels.all() or not labels.any() or not np.isfinite(rows).all():
        raise FitError(
            "finite rows of both classes to fit control probes on",
            found=f"{int(labels.sum())} of {labels.size} rows labelled hallucinated",
            remedy="fit the probe itself first; its error says more",
        )
    wide = rows.astype(np.float64)
    mean, spread = wide.mean(axis=0), wide.std(axis=0)
    varies = np.ptp(wide, axis=0) > 0
    spread = np.where(varies, spread, 1.0)
    model = LogisticRegression(solver="newton-cholesky", C=WEAK_C, max_iter=MAX_ITERATIONS, tol=1e-6)
    model.fit(np.where(varies, (wide - mean) / spread, 0.0), labels)
    weights = np.where(varies, model.coef_[0] / spread, 0.0)
    return Probe(weights, float(model.intercept_[0] - weights @ mean), WEAK_C, design, False)
