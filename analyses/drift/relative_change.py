"""Change of a set of neurons beside the change that layer, weight norms and activity lead one to expect.

    y_j = log(change_j),   E[y_j] = sum_{|a| <= P} c_{l, a} prod_i s_{ij}^{a_i},   T = mean over the set of y_j - E[y_j]

s are normal scores of the covariates within the layer. Logarithms, since a rank is bounded: residuals of ranks cannot
show that a stable kind of neuron became more stable still. T is compared with that of random sets of the same strata
(a layer, or its neurons of similar norm and activity).

The fit leaves the set out, since it would pull the curve towards itself where it lies beyond the other neurons; what
the fit does not know there is added to every random set as normal noise. Measured on sets of 161 at the end of their
layers, at one-sided 5 %: without the noise 11 of 100 null draws reject, with it 4; within layers in place of the finer
strata up to 21, where the change has a step that a curve cannot follow; by strata alone, without a fit, up to 74.
Source: Freedman and Lane 1983, doi:10.1080/07350015.1983.10509354 (permuting residuals). Choice: the terms of the fit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln

from provenance.analyses.drift.drift_nulls import Pools, Strata, matched_means, matched_moments, pools_of

MOST_POWERS = 3  # fifth powers know nothing beyond the other neurons, and find nine stable neurons less often
PER_TERM = 10  # neurons of a layer for each fitted number


@dataclass(frozen=True)
class RelativeChange:
    """A set of neurons beside others of its strata; all values are natural logarithms of factors."""

    ids: Int[np.ndarray, " k"]
    """Neurons of the set that could be compared."""
    effects: Float[np.ndarray, " k"]
    """Residual of each, minus the mean residual of the other neurons of its stratum."""
    observed: float
    """T."""
    drawn: Float[np.ndarray, " draws"]
    """T of random sets."""
    sd: float
    """Exact SD of a random set's T, the fit's part included."""
    fit_sd: float
    """SD of the mean of E[y] over the set."""
    rarest: float
    """Probability that a random set is the set itself: no smaller p is possible."""


def log_change(change: Float[np.ndarray, " neurons"], floor: float = 0.0) -> Float[np.ndarray, " neurons"]:
    """log(max(change, floor)); NaN where the change is not known.

    `floor`: the change that storage rounding alone causes, for neurons that are bit-identical; if 0, the smallest
    positive change stands in for it. An infinite change counts as the largest finite one.
    """
    positive = change[np.isfinite(change) & (change > 0)]
    least = floor or float(positive.min(initial=np.inf))
    most = float(positive.max(initial=least))
    return np.log(np.clip(change, least, most)) if positive.size else np.where(np.isnan(change), np.nan, 0.0)


def relative_change(
    logs: Float[np.ndarray, " neurons"],
    strata: Strata,
    ids: Int[np.ndarray, " k"],
    d_m: int,
    *,
    draws: int,
    seed: int,
) -> RelativeChange | None:
    """T of a set (distinct flat ids), and of random sets; None if no neuron of the set can be compared.

    Neurons outside the strata, without a logarithm, or in a layer of which fewer than two others are known, are left
    out. Without covariates E[y] is the mean of the layer's other neurons.
    """
    of = np.where(np.isnan(logs), -1, strata.of)
    residuals, fit_variance = _residuals(logs, of, strata.covariates, ids, d_m)
    known = np.sort(ids[np.isfinite(residuals[ids])])
    if not known.size:
        return None
    pools, rng = pools_of(np.where(np.isnan(residuals), -1, of), known), np.random.default_rng(seed)
    fit_sd = math.sqrt(fit_variance) / known.size
    drawn = matched_means(residuals, pools, draws, rng) + fit_sd * rng.normal(size=draws)
    sd = math.hypot(matched_moments(residuals, pools)[1], fit_sd)
    effects, rarest = residuals[known] - _others(residuals, of, known), _rarest(pools)
    return RelativeChange(known, effects, float(residuals[known].mean()), drawn, sd, fit_sd, rarest)


def _residuals(
    logs: Float[np.ndarray, " neurons"],
    of: Int[np.ndarray, " neurons"],
    covariates: Sequence[Float[np.ndarray, " neurons"]],
    ids: Int[np.ndarray, " k"],
    d_m: int,
) -> tuple[Float[np.ndarray, " neurons"], float]:
    """Y - E[y] in the layers of the set (NaN elsewhere), and the variance of the sum of E[y] over the set."""
    residuals, variance = np.full(logs.size, np.nan), 0.0
    inside = np.zeros(logs.size, dtype=bool)
    inside[ids] = True
    for layer in np.unique(ids // d_m).tolist():
        members = layer * d_m + np.flatnonzero(of[layer * d_m : (layer + 1) * d_m] >= 0)
        own, others = members[inside[members]], members[~inside[members]]
        if own.size and others.size > 1:
            exponents = _exponents_for(len(covariates), others.size)
            fitted, ahead = (
                _products([each[part] for each in covariates], exponents, part.size) for part in (others, own)
            )
            residuals[others], residuals[own], fit = _left(logs[others], logs[own], fitted, ahead)
            variance += own.size**2 * fit
    return residuals, variance


def _left(
    others: Float[np.ndarray, " n"],
    own: Float[np.ndarray, " k"],
    fitted: Float[np.ndarray, "n terms"],
    ahead: Float[np.ndarray, "k terms"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " k"], float]:
    """Residuals of the others (scaled for the fitted terms) and of the set, and the variance of its mean E[y]."""
    if np.ptp(others) == 0:  # all alike: a fit would leave rounding errors of both signs
        return np.zeros(others.size), own - others[0], 0.0
    inverse = np.linalg.pinv(fitted)
    weights = inverse @ others
    left = others - fitted @ weights
    freedom = others.size - int(np.linalg.matrix_rank(fitted))
    at_set = ahead.mean(axis=0) @ inverse
    fit = float(left @ left) / freedom * float(at_set @ at_set)
    return left * math.sqrt(others.size / freedom), own - ahead @ weights, fit


def _others(
    residuals: Float[np.ndarray, " neurons"], of: Int[np.ndarray, " neurons"], ids: Int[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Mean residual of the other neurons of each neuron's stratum; 0 where the set is the whole stratum."""
    known = np.flatnonzero((of >= 0) & np.isfinite(residuals))
    total, count = (np.bincount(of[known], weights=each, minlength=of.max() + 1) for each in (residuals[known], None))
    mine, own = (np.bincount(of[ids], weights=each, minlength=of.max() + 1) for each in (residuals[ids], None))
    left = (count - own)[of[ids]]
    return np.where(left > 0, (total - mine)[of[ids]] / np.maximum(left, 1), 0.0)


def _rarest(pools: Pools) -> float:
    sizes = np.array([members.size for members in pools.members])
    ways = gammaln(sizes + 1) - gammaln(pools.counts + 1) - gammaln(sizes - pools.counts + 1)
    return math.exp(-float(ways.sum()))


def _exponents_for(count: int, neurons: int) -> list[tuple[int, ...]]:
    """Powers of each term: the highest up to `MOST_POWERS` with ten neurons a term, else a mean alone."""
    found = (_exponents(count, most) for most in range(MOST_POWERS, 0, -1))
    return next((each for each in found if len(each) * PER_TERM <= neurons), _exponents(count, 0))


def _exponents(count: int, most: int) -> list[tuple[int, ...]]:
    return [powers for powers in product(range(most + 1), repeat=count) if sum(powers) <= most]


def _products(
    scores: Sequence[Float[np.ndarray, " n"]], exponents: Sequence[tuple[int, ...]], size: int
) -> Float[np.ndarray, "n terms"]:
    columns = np.ones((len(exponents), size))
    for number, powers in enumerate(exponents):
        for values, power in zip(scores, powers, strict=True):
            for _ in range(power):  # repeated products are many times faster than general powers
                columns[number] *= values
    return columns.T
