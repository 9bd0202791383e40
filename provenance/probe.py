"""The sparse probe whose positive weights are the H-Neurons.

    min_{theta, b}  C * sum_i log(1 + exp(-y_i (theta . x_i + b))) + ||theta||_1 + |b|

The one idea: on raw mean CETT (no scaling) the L1 norm picks few neurons; those that push
towards "hallucinated" (theta_j > 0) are the H-Neurons. Solved by liblinear through
scikit-learn. Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.1.3.

Choice: |b| is part of the objective because the published code uses liblinear, which
penalises the intercept. `intercept_penalised=False` removes it, by letting b be carried by
a constant feature so large that its penalty vanishes. The two choose different neurons.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.optimize import brentq
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from provenance.errors import ConvergenceError, FitError
from provenance.features import Features

Design = Literal["3-vs-1", "1-vs-1"]
C_STEPS = tuple(float(step) for step in 10.0 ** np.arange(0.25, 5, 0.5))  # multiples of alpha_max
MAX_ITERATIONS = 2000
FREE_INTERCEPT_SCALE = 1e3


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

    def scores(self, rows: Float[np.ndarray, "rows neurons"]) -> Float[np.ndarray, " rows"]:
        """Theta . x + b of every row: the log-odds of `hallucinated`; 0 is probability 0.5."""
        used = self.nonzero
        values = rows[:, used].astype(np.float64) @ self.weights[used] + self.intercept
        return np.asarray(values, dtype=np.float64)

    @property
    def h_neurons(self) -> Int[np.ndarray, " h"]:
        """Flat ids of the neurons with theta > 0, ascending."""
        return np.flatnonzero(self.weights > 0)

    @property
    def nonzero(self) -> Int[np.ndarray, " used"]:
        """Flat ids of all neurons with a weight, ascending."""
        return np.flatnonzero(self.weights)


def training_rows(
    features: Features, design: Design | str, columns: Int[np.ndarray, " k"] | None = None
) -> tuple[Float32[np.ndarray, "rows k"], Bool[np.ndarray, " rows"]]:
    """Rows and labels of the probe's design.

    `3-vs-1`: True only for `answer` of hallucinated responses; False for `answer` of faithful
    ones and for `other` of all. `1-vs-1` drops `other`.

    Args:
        features: Of training responses.
        design: Which rows.
        columns: Flat ids of the neurons wanted; all when None.
    """
    answer = features.answer if columns is None else features.answer[:, columns]
    if design == "1-vs-1":
        return np.ascontiguousarray(answer), features.hallucinated
    if design != "3-vs-1":
        raise FitError("a probe design, 3-vs-1 or 1-vs-1", found=repr(design), remedy="choose one of the two")
    other = features.other if columns is None else features.other[:, columns]
    labels = np.concatenate([features.hallucinated, np.zeros(len(other), dtype=bool)])
    return np.concatenate([answer, other]), labels


def fit_probe(
    rows: Float[np.ndarray, "rows k"],
    labels: Bool[np.ndarray, " rows"],
    *,
    C: float,
    design: str,
    intercept_penalised: bool = True,
    seed: int = 0,
) -> Probe:
    """Fit the L1 probe at one C.

    Args:
        rows: Raw mean CETT.
        labels: True for hallucinated answers.
        C: Inverse regularisation strength, on the sum of losses.
        design: Recorded with the probe.
        intercept_penalised: See the module docstring.
        seed: Of liblinear's order of coordinates.

    Raises:
        FitError: One class is missing or a value is not finite.
        ConvergenceError: The solver runs out of iterations.
    """
    _check_rows(rows, labels)
    model = LogisticRegression(
        solver="liblinear",
        l1_ratio=1.0,
        C=C,
        max_iter=MAX_ITERATIONS,
        random_state=seed,
        intercept_scaling=1.0 if intercept_penalised else FREE_INTERCEPT_SCALE,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(rows.astype(np.float64), labels)
        except ConvergenceWarning as error:
            raise ConvergenceError(
                f"a probe at C = {C:g}",
                found=f"no convergence in {MAX_ITERATIONS} iterations",
                remedy="leave the largest C out of the grid",
            ) from error
    return Probe(model.coef_[0].astype(np.float64), float(model.intercept_[0]), C, design, intercept_penalised)


def _check_rows(rows: Float[np.ndarray, "rows k"], labels: Bool[np.ndarray, " rows"]) -> None:
    if not np.isfinite(rows).all():
        raise FitError("finite features", found="NaN or infinity in a row", remedy="capture these responses again")
    if labels.all() or not labels.any():
        raise FitError(
            "both classes among the training rows",
            found=f"{int(labels.sum())} hallucinated and {int((~labels).sum())} faithful",
            remedy="ask more questions, or easier and harder ones",
        )


def alpha_max(
    rows: Float[np.ndarray, "rows k"], labels: Bool[np.ndarray, " rows"], *, intercept_penalised: bool = True
) -> float:
    """The C below which every weight of the L1 probe is zero.

    With theta = 0 and the intercept b*, weight j stays zero while
    C * |sum_i x_ij (p_i - t_i)| <= 1, where p_i = sigmoid(b*) and t_i in {0, 1} is the label.
    A free b* is the log-odds of the classes; a penalised one depends on C itself, so the
    bound is solved for.

    Returns:
        C, in the units of 1 / CETT; infinite when no feature varies with the label.

    Source: the KKT conditions at zero; Koh, Kim and Boyd 2007, JMLR 8:1519, Sec. 2.2.
    """
    x = rows.astype(np.float64)
    t = labels.astype(np.float64)
    if not intercept_penalised:
        steepest = np.abs((t.mean() - t) @ x).max()
        return float(1 / steepest) if steepest > 0 else float("inf")

    def excess(log_c: float) -> float:
        c = float(np.exp(log_c))
        steepest = float(np.abs((_null_probability(t, c) - t) @ x).max())
        return log_c + float(np.log(steepest)) if steepest > 0 else -np.inf

    low, high = -60.0, 60.0
    if not np.abs(x).max() or excess(high) < 0:
        return float("inf")
    return float(np.exp(brentq(excess, low, high)))


def _null_probability(t: Float[np.ndarray, " rows"], c: float) -> float:
    """sigmoid(b*) when only a penalised intercept is fitted: soft-thresholded towards 1/2.

    min_b c * (n log(1 + e^b) - n_1 b) + |b| has p = (n_1 -+ 1/c) / n where that does not
    cross 1/2, and p = 1/2 otherwise.
    """
    n, positives = t.size, float(t.sum())
    if positives > n / 2:
        return max(0.5, (positives - 1 / c) / n)
    return min(0.5, (positives + 1 / c) / n)
