"""The L1 probe's objective, its dual, and the start of its path: plain formulas.

    P(theta, b) = C * sum_i log(1 + exp(-y_i (theta . x_i + b))) + ||theta||_1 (+ |b|)

Every check of a solution needs only the residuals r_i = C y_i sigmoid(-y_i (theta . x_i + b)). With
g_j = sum_i r_i x_ij a solution is optimal exactly where g_j = sign(theta_j) for neurons with a weight and
|g_j| <= 1 for all others; a penalised intercept counts as a neuron that is 1 everywhere, a free one needs
sum_i r_i = 0. Source: the Fenchel dual of the objective; Koh, Kim and Boyd 2007, JMLR 8:1519, Sec. 2.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.special import expit, xlog1py, xlogy

ROUNDING = 1e-13  # of a sum over rows in float64; smaller variation counts as none


def residuals(
    scores: Float[np.ndarray, " rows"], labels: Bool[np.ndarray, " rows"], C: float
) -> Float[np.ndarray, " rows"]:
    """r_i = C y_i sigmoid(-y_i f_i), signed by the label (True where y = 1), of the scores f_i = theta . x_i + b."""
    sign = np.where(labels, 1.0, -1.0)
    return np.asarray(C * sign * expit(-sign * scores))


def loss(scores: Float[np.ndarray, " rows"], labels: Bool[np.ndarray, " rows"]) -> float:
    """sum_i log(1 + exp(-y_i f_i)), without overflow."""
    return float(np.logaddexp(0.0, np.where(labels, -scores, scores)).sum())


def dual_value(r: Float[np.ndarray, " rows"], C: float, steepest: float) -> float:
    """The dual objective, in the units of P, at residuals scaled into the feasible set: a lower bound of P everywhere.

    D(a) = C sum_i H(a_i / C),  H(p) = -p log p - (1 - p) log(1 - p),  a_i = |r_i| / max(1, steepest)

    Args:
        r: Residuals; with a free intercept they have to add up to 0.
        steepest: max_j |g_j| over all neurons, and |sum_i r_i| where the intercept is penalised.
    """
    p = np.clip(np.abs(r) / (C * max(1.0, steepest)), 0.0, 1.0)
    return float(-C * (xlogy(p, p) + xlog1py(1 - p, -p)).sum())


def null_probability(labels: Bool[np.ndarray, " rows"], C: float) -> float:
    """sigmoid(b*) when only a penalised intercept is fitted: soft-thresholded towards 1/2.

    min_b C * (n log(1 + e^b) - n_1 b) + |b| has p = (n_1 -+ 1/C) / n where that does not
    cross 1/2, and p = 1/2 otherwise.
    """
    n, positives = labels.size, float(labels.sum())
    if positives > n / 2:
        return max(0.5, (positives - 1 / C) / n)
    return min(0.5, (positives + 1 / C) / n)


def null_intercept(labels: Bool[np.ndarray, " rows"], C: float, *, intercept_penalised: bool) -> float:
    """b* while every weight is zero."""
    p = null_probability(labels, C) if intercept_penalised else float(labels.mean())
    return float(np.log(p) - np.log1p(-p))


def first_weights(
    sum_positive: Float[np.ndarray, " neurons"],
    sum_all: Float[np.ndarray, " neurons"],
    labels: Bool[np.ndarray, " rows"],
    *,
    intercept_penalised: bool,
) -> Float64[np.ndarray, " neurons"]:
    """The C up to which each neuron stays at zero while all others do; the smallest is alpha_max.

    With theta = 0 and the intercept b*, weight j stays zero while |g_j| = C |sum_i x_ij (t_i - p)| <= 1, where
    p = sigmoid(b*) and t_i in {0, 1}. With a free intercept p is the share of t = 1. A penalised one rests at 0 up
    to C_0 = 1 / |n_1 - n / 2| and then g_j = C sum_i x_ij (t_i - n_1 / n) +- mean_i x_ij, so |g_j| may fall again
    after it has passed 1: the first passing counts.
    `sum_positive` is sum_i t_i x_ij, `sum_all` is sum_i x_ij, and `labels` are True where t = 1.

    Returns:
        In the units of 1 / CETT; infinite for a neuron that does not vary with the label.
    """
    n, positives = labels.size, int(labels.sum())
    upper, total = sum_positive.astype(np.float64), sum_all.astype(np.float64)
    noise = ROUNDING * np.abs(total)
    slope = (n * upper - positives * total) / n  # in this order whole multiples of a constant cancel exactly
    slope[np.abs(slope) <= noise] = 0
    with np.errstate(divide="ignore"):
        if not intercept_penalised:
            return np.asarray(1 / np.abs(slope))
        resting = upper - total / 2
        resting[np.abs(resting) <= noise] = 0
        first = 1 / np.abs(resting)
    if 2 * positives == n:
        return np.asarray(first)
    offset = np.sign(2 * positives - n) * total / n
    moving = np.full(slope.size, np.inf)
    np.divide(np.sign(slope) - offset, slope, out=moving, where=slope != 0)
    return np.asarray(np.where(first * abs(positives - n / 2) <= 1, first, moving))
