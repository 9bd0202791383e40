"""Z-scores and stability ranks of raw weight changes.

Ranks have one direction: 0 = changed most, 1 = changed least; ties share their mean rank, so have no arbitrary order.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata


def z_scores(values: Float[np.ndarray, " neurons"]) -> Float[np.ndarray, " neurons"]:
    """Deviation from the mean over all neurons, in population standard deviations; all zero if every value is the same.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2.
    """
    values = np.asarray(values, dtype=np.float64)
    # Equality, not a small SD, marks constant input: changes near 1e-14 are real and must keep their order.
    if values.size == 0 or values.min() == values.max():
        return np.zeros_like(values)
    centred = values - values.mean()
    return np.asarray(centred / np.sqrt(np.mean(centred**2)))


def combined_delta(
    delta_up: Float[np.ndarray, " neurons"], delta_down: Float[np.ndarray, " neurons"]
) -> Float[np.ndarray, " neurons"]:
    """Weight change of each neuron, from up and down; the gate is left out, as in the paper.

        Delta = (z(Delta_up) + z(Delta_down)) / 2

    Dimensionless, mean 0, larger = changed more. Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2.
    """
    return np.asarray((z_scores(delta_up) + z_scores(delta_down)) / 2)


def stability_rank(delta: Float[np.ndarray, " neurons"]) -> Float[np.ndarray, " neurons"]:
    """Normalised midrank of -delta, in [0, 1], mean 0.5: 0 = changed most (largest delta), 1 = changed least.

        rank = (midrank(-delta) - 1) / (D - 1)

    0.5 if all are tied, or for a single neuron. Source: Gao et al. 2025, arXiv:2512.01797, Fig. 4b, for the direction.
    Choice: midranks for ties.
    """
    if delta.size < 2:
        return np.full(delta.size, 0.5)
    midranks = rankdata(-np.asarray(delta, dtype=np.float64), method="average")
    return np.asarray((midranks - 1) / (delta.size - 1))


def unknown_unranked(delta: Float[np.ndarray, " neurons"]) -> Float[np.ndarray, " neurons"]:
    """`stability_rank` among the neurons with a known change; NaN stays NaN."""
    ranks, known = np.full(delta.size, np.nan), ~np.isnan(delta)
    ranks[known] = stability_rank(delta[known])
    return ranks


def grouped_midranks(
    values: Float[np.ndarray, " neurons"], groups: Int[np.ndarray, " neurons"]
) -> Float[np.ndarray, " neurons"]:
    """Midrank of each value (no NaN) within its group, from 1 (lowest) to the group's size; ties share their mean."""
    if values.size == 0:
        return np.empty(0)
    order = np.lexsort((values, groups))
    sorted_values, sorted_groups = values[order], groups[order]
    new_group = np.concatenate([[True], sorted_groups[1:] != sorted_groups[:-1]])
    new_run = new_group | np.concatenate([[True], sorted_values[1:] != sorted_values[:-1]])
    starts = np.flatnonzero(new_run)
    sizes = np.diff(np.append(starts, values.size))
    group_starts = np.maximum.accumulate(np.where(new_group, np.arange(values.size), 0))
    midranks = np.empty(values.size)
    midranks[order] = np.repeat(starts + (sizes + 1) / 2, sizes) - group_starts
    return midranks


def grouped_z_scores(
    values: Float[np.ndarray, " neurons"], groups: Int[np.ndarray, " neurons"]
) -> Float[np.ndarray, " neurons"]:
    """`z_scores` of each value among the finite ones of its group (numbered from 0); NaN where not finite."""
    z = np.full(values.size, np.nan)
    finite = np.flatnonzero(np.isfinite(values))
    if not finite.size:
        return z
    inside, group = values[finite].astype(np.float64), groups[finite]
    sizes = np.bincount(group)
    mean = np.bincount(group, weights=inside) / np.maximum(sizes, 1)
    centred = inside - mean[group]
    deviation = np.sqrt(np.bincount(group, weights=centred**2) / np.maximum(sizes, 1))
    z[finite] = (
        np.where(_varies(inside, group, sizes.size)[group], centred, 0) / np.where(deviation > 0, deviation, 1)[group]
    )
    return z


def _varies(
    values: Float[np.ndarray, " finite"], groups: Int[np.ndarray, " finite"], count: int
) -> Bool[np.ndarray, " groups"]:
    """Whether a group holds two different values; a rounded deviation could not tell."""
    lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(lowest, groups, values)
    np.maximum.at(highest, groups, values)
    return np.asarray(lowest < highest)
