"""Strata of similar neurons (a layer, or its neurons of similar norm and activity), and means of random sets from them.

Source: Cochran 1977, Sampling Techniques, Sec. 5.3. Choice: which quantiles, see `quantile_bins`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.controls.control_sets import distinct_draws
from provenance.analyses.drift.stability_ranks import grouped_midranks
from provenance.analyses.results.drift import Matching, NeuronDrift
from provenance.errors import PairError

NARROWEST = 100  # neurons of a layer; fewer cannot support a quadratic trend in norm, balance and activity
PER_CELL = 20  # neurons per cell of a layer; with fewer, a set is mostly compared with itself
MOST_BINS = 10  # deciles


@dataclass(frozen=True)
class Strata:
    """Groups of similar neurons."""

    matching: Matching
    of: Int[np.ndarray, " neurons"]
    """Stratum number of each neuron; -1: none."""
    covariates: tuple[Float[np.ndarray, " neurons"], ...] = ()
    """The matching criteria and the balance of norms, as normal scores within the layer; NaN outside strata."""


@dataclass(frozen=True)
class Pools:
    """The strata that a set of neurons touches."""

    members: tuple[Int[np.ndarray, " _"], ...]
    """All neurons of each stratum, ascending."""
    counts: Int[np.ndarray, " strata"]
    """Neurons of the set in each stratum."""

    @property
    def k(self) -> int:
        """Neurons of the set."""
        return int(self.counts.sum())


def layer_strata(known: Bool[np.ndarray, " neurons"], d_m: int) -> Strata:
    """Layers as strata; neurons without a counterpart are in none."""
    return Strata("layer", np.where(known, np.arange(known.size) // d_m, -1))


def finest_strata(
    norm: Float[np.ndarray, " neurons"],
    activity: Float[np.ndarray, " neurons"] | None,
    d_m: int,
    *,
    balance: Float[np.ndarray, " neurons"] | None = None,
) -> Strata:
    """Layers cut into quantiles of weight norm, and these into quantiles of activity if known.

    Choice: activity is cut within each norm bin, so that cells are about equally large. Crossing two quantiles of a
    layer leaves near-empty cells if the two are correlated, and a neuron alone in its cell is compared with itself.

    Args:
        norm: Of the base, NaN for a neuron without a counterpart (in no stratum).
        activity: Mean CETT in the base, in the instruct checkpoint's order; NaN where not known (in no stratum).
        balance: Share of up in the norm; a covariate only: a third criterion would leave two or three bins of each.
    """
    bins = quantile_bins(d_m)
    known = ~np.isnan(norm) if activity is None else ~(np.isnan(norm) | np.isnan(activity))
    layer = layer_strata(known, d_m).of
    cells = _cut(norm, layer, bins)
    scores = tuple(normal_scores(values, layer) for values in (norm, balance, activity) if values is not None)
    if activity is None:
        return Strata("layer_norm", cells, scores)
    return Strata("layer_norm_activity", _cut(activity, cells, bins), scores)


def drift_strata(drift: NeuronDrift, activity: Float[np.ndarray, " neurons"] | None, d_m: int) -> tuple[Strata, ...]:
    """Strata by layer, and the finest ones of the base (none in narrow layers), with norm = up norm times down norm.

    1 - cos of up and of down each scale with an update's length over its own norm, so at equal product, neurons change
    more the less balanced their norms are: the share of up in the sum is a covariate.
    """
    norm, total = drift.norm_up_base * drift.norm_down_base, drift.norm_up_base + drift.norm_down_base
    balance = np.divide(drift.norm_up_base, total, out=np.full(total.size, 0.5), where=total > 0)
    by_layer = layer_strata(~np.isnan(drift.delta), d_m)
    return (by_layer,) if d_m < NARROWEST else (by_layer, finest_strata(norm, activity, d_m, balance=balance))


def normal_scores(
    values: Float[np.ndarray, " neurons"], groups: Int[np.ndarray, " neurons"]
) -> Float[np.ndarray, " neurons"]:
    """Normal score Phi^-1((midrank - 1/2) / n) within each group (numbered from 0); NaN in group -1 (none)."""
    scores, inside = np.full(values.size, np.nan), np.flatnonzero(groups >= 0)
    if inside.size:
        own = groups[inside]
        scores[inside] = ndtri((grouped_midranks(values[inside], own) - 0.5) / np.bincount(own)[own])
    return scores


def quantile_bins(d_m: int) -> int:
    """Bins per criterion, at most 10, so that a cell of a layer holds about `PER_CELL` neurons."""
    return int(np.clip(math.isqrt(d_m // PER_CELL), 1, MOST_BINS))


def _cut(
    values: Float[np.ndarray, " neurons"], groups: Int[np.ndarray, " neurons"], bins: int
) -> Int[np.ndarray, " neurons"]:
    """Quantile bins within groups (-1: none), numbered group by group; equal values share a bin."""
    inside = np.flatnonzero(groups >= 0)
    cells = np.full(groups.size, -1, dtype=np.int64)
    own = groups[inside]
    sizes = np.bincount(own)[own] if inside.size else own
    place = (grouped_midranks(values[inside], own) - 0.5) / np.maximum(sizes, 1)  # within (0, 1)
    cells[inside] = own * bins + np.floor(bins * place).astype(np.int64)
    return cells


def pools_of(strata: Int[np.ndarray, " neurons"], ids: Int[np.ndarray, " k"]) -> Pools:
    """The strata of some neurons (distinct flat ids), by number.

    Raises:
        PairError: One of the ids is in no stratum.
    """
    if ids.size and strata[ids].min() < 0:
        raise PairError(
            "neurons that are in a stratum",
            found=f"neuron {ids[strata[ids] < 0][0]}, which has no counterpart or no value to match on",
            remedy="leave such neurons out of the set",
        )
    if not ids.size:
        return Pools((), NO_NEURONS)
    touched, counts = np.unique(strata[ids], return_counts=True)
    number = np.full(int(strata.max()) + 2, -1, dtype=np.int64)  # the last entry is that of stratum -1
    number[touched] = np.arange(touched.size)
    candidates = np.flatnonzero(number[strata] >= 0)
    of = number[strata[candidates]]
    ordered = candidates[np.argsort(of, kind="stable")]
    return Pools(tuple(np.split(ordered, np.cumsum(np.bincount(of))[:-1])), counts)


def matched_means(
    values: Float[np.ndarray, " neurons"], pools: Pools, draws: int, rng: np.random.Generator
) -> Float[np.ndarray, " draws"]:
    """Mean value of random sets with as many neurons of each stratum as the set has; NaN for an empty set.

    Drawn without replacement from the whole stratum, the set's own neurons included, as in a permutation test.
    """
    total = np.zeros(draws)
    for members, count in zip(pools.members, pools.counts.tolist(), strict=True):
        picked = distinct_draws(members.size, count, draws, rng)
        total += values[members][picked].sum(axis=1)
    return np.asarray(total / pools.k) if pools.k else np.full(draws, np.nan)


def matched_moments(values: Float[np.ndarray, " neurons"], pools: Pools) -> tuple[float, float]:
    """Exact mean and SD of `matched_means`, by sampling without replacement in strata.

        mean = sum_s k_s m_s / k,   var = sum_s k_s v_s (1 - k_s / n_s) / k^2

    with n_s neurons in stratum s, whose values have mean m_s and variance v_s, and k_s of the set among them. Source:
    Cochran 1977, Sampling Techniques, Sec. 5.3.
    """
    total = variance = 0.0
    for members, count in zip(pools.members, pools.counts.tolist(), strict=True):
        inside = values[members]
        total += count * float(inside.mean())
        variance += sum_variance(inside, count, inside.size)
    return (total / pools.k, math.sqrt(variance) / pools.k) if pools.k else (math.nan, math.nan)


def sum_variance(values: Float[np.ndarray, " n"], count: int, size: int) -> float:
    """Variance of the sum of `count` neurons picked of the `size` of a stratum, whose values vary as these do."""
    return count * float(values.var(ddof=1)) * (1 - count / size) if values.size > 1 else 0.0


def of_stratum(
    per_stratum: Sequence[float], strata: Int[np.ndarray, " neurons"], ids: Int[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """For each neuron of a set, the number of its stratum; numbers are in the order of `pools_of` the set."""
    return np.asarray(np.asarray(per_stratum)[np.searchsorted(np.unique(strata[ids]), strata[ids])])
