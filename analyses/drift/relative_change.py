"""Change of a set of neurons beside the change that layer, weight norms and activity lead one to expect.

    y_j = log(change_j),   E[y_j] = sum_{|a| <= P} c_{l, a} prod_i s_{ij}^{a_i},   T = mean over the set of y_j - E[y_j]

s are normal scores of the covariates within the layer. Logarithms, since a rank is bounded: residuals of ranks cannot
show that a stable kind of neuron became more stable still. T is compared with that of random sets of the same strata
(a layer, or its neurons of similar norm and activity).

The fit leaves the set out, since it would pull the curve towards itself where it lies beyond the other neurons. What
the fit does not know about the difference between the set and the others of its strata is added to every random set as
normal noise; an error that both share is in both already. Sets at the very end of their layers, where the change bends
more sharply than a cubic, are taken for stable in 8 to 11 of 100 null draws at one-sided 5 % (12 to 23 without the
noise, 64 by strata alone), sets that follow a smoother trend in 4 to 6.
Source: Freedman and Lane 1983, doi:10.1080/07350015.1983.10509354 (permuting residuals). Choice: the terms of the fit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.analyses.drift.drift_nulls import Strata, matched_means, of_stratum, pools_of, sum_variance

MOST_POWERS = 3  # fifth powers know nothing beyond the other neurons, and find nine stable neurons less often
PER_TERM = 10  # neurons of a layer for each fitted number
CUT_OFF = 1e-10  # singular values below this share are of terms that depend on one another


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
    lowest: float
    """T of the neurons that changed least in each stratum, as many as the set has there."""
    sd: float
    """SD of T of a set like the others, by the residuals of the others; the fit's part included."""
    fit_sd: float
    """SD of what the fit does not know, part of `sd`."""


def log_change(change: Float[np.ndarray, " neurons"]) -> Float[np.ndarray, " neurons"]:
    """Log of a change; NaN where it is not known.

    Choice: a change of 0 (bit-identical neurons) counts as the smallest one above it, and an infinite one as the
    largest finite one. Storage can hide a change, but the floor of rounding is no lower end: in bfloat16, tuning by a
    thousandth leaves all of 1 - cos below it, none of them 0, and in the right order.
    """
    positive = change[np.isfinite(change) & (change > 0)]
    if not positive.size:
        return np.where(np.isnan(change), np.nan, 0.0)
    return np.asarray(np.log(np.clip(change, positive.min(), positive.max())))


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

    Neurons outside the strata, without a logarithm, in a layer of which fewer than two others are known, or in a
    stratum without others, are left out. Without covariates E[y] is the mean of the layer's other neurons.
    """
    of = np.where(np.isnan(logs), -1, strata.of)
    ids = np.sort(ids[_have_others(of, ids, d_m)])
    if not ids.size:
        return None
    inside = np.zeros(of.size, dtype=bool)
    inside[ids] = True
    residuals, variance = _residuals(logs, of, strata.covariates, ids, inside, d_m)
    pools, rng = pools_of(np.where(np.isnan(residuals), -1, of), ids), np.random.default_rng(seed)
    fit_sd, means, spread, lowest = math.sqrt(variance) / ids.size, [], 0.0, 0.0
    for members, count in zip(pools.members, pools.counts.tolist(), strict=True):
        others = residuals[members[~inside[members]]]
        means.append(others.mean())
        spread += sum_variance(others, count, members.size)
        lowest += float(np.sort(residuals[members])[:count].sum())
    return RelativeChange(
        ids,
        residuals[ids] - of_stratum(means, of, ids),
        float(residuals[ids].mean()),
        matched_means(residuals, pools, draws, rng) + fit_sd * rng.normal(size=draws),
        lowest / ids.size,
        math.hypot(math.sqrt(spread) / ids.size, fit_sd),
        fit_sd,
    )


def _have_others(of: Int[np.ndarray, " neurons"], ids: Int[np.ndarray, " k"], d_m: int) -> Bool[np.ndarray, " k"]:
    """Whether a neuron has one other in its stratum, and two in its layer."""
    rest = of >= 0
    rest[ids] = False
    in_stratum = np.bincount(of[rest], minlength=int(of.max(initial=0)) + 1)
    in_layer = np.bincount(np.flatnonzero(rest) // d_m, minlength=of.size // d_m + 1)
    return np.asarray((of[ids] >= 0) & (in_stratum[of[ids]] > 0) & (in_layer[ids // d_m] > 1))


def _residuals(
    logs: Float[np.ndarray, " neurons"],
    of: Int[np.ndarray, " neurons"],
    covariates: Sequence[Float[np.ndarray, " neurons"]],
    ids: Int[np.ndarray, " k"],
    inside: Bool[np.ndarray, " neurons"],
    d_m: int,
) -> tuple[Float[np.ndarray, " neurons"], float]:
    """Residuals y - E[y] in the layers of the set (NaN elsewhere), and the fit's part of the variance of their sum.

    The fit's error reaches T - mean T of random sets by sum_s k_s (1 - k_s / n_s) (x_set,s - x_others,s), x being mean
    terms of a stratum.
    """
    residuals, variance = np.full(logs.size, np.nan), 0.0
    for layer in np.unique(ids // d_m).tolist():
        members = layer * d_m + np.flatnonzero(of[layer * d_m : (layer + 1) * d_m] >= 0)
        own, others = members[inside[members]], members[~inside[members]]
        exponents = _exponents_for(len(covariates), others.size)
        fitted, ahead = (_products([each[part] for each in covariates], exponents, part.size) for part in (others, own))
        contrast = np.zeros(len(exponents))
        for stratum in np.unique(of[own]).tolist():
            mine, theirs = ahead[of[own] == stratum], fitted[of[others] == stratum]
            share = len(theirs) / (len(mine) + len(theirs))
            contrast += len(mine) * share * (mine.mean(axis=0) - theirs.mean(axis=0))
        residuals[others], residuals[own], fit = _left(logs[others], logs[own], fitted, ahead, contrast)
        variance += fit
    return residuals, variance


def _left(
    others: Float[np.ndarray, " n"],
    own: Float[np.ndarray, " k"],
    fitted: Float[np.ndarray, "n terms"],
    ahead: Float[np.ndarray, "k terms"],
    contrast: Float[np.ndarray, " terms"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " k"], float]:
    """Residuals of the others (scaled for the fitted terms) and of the set, and the variance of a contrast of E[y]."""
    if np.ptp(others) == 0:  # all alike: a fit would leave rounding errors of both signs
        return np.zeros(others.size), own - others[0], 0.0
    inverse = np.linalg.pinv(fitted, rcond=CUT_OFF)
    weights = inverse @ others
    left = others - fitted @ weights
    freedom = others.size - int(np.linalg.matrix_rank(fitted, rtol=CUT_OFF))
    reach = contrast @ inverse
    fit = float(left @ left) / freedom * float(reach @ reach)
    return left * math.sqrt(others.size / freedom), own - ahead @ weights, fit


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
