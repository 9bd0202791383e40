"""Neurons that two searches share by chance: drawn anywhere, from matched strata, or found with shuffled labels.

One set is kept, the other redrawn with its number of neurons per stratum, so the distribution is an exact convolution
of hypergeometric ones. Shuffled labels have no formula: the searches are repeated.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import betaincinv
from scipy.stats import hypergeom

from provenance.analyses.drift.drift_nulls import Strata
from provenance.analyses.drift.weight_drift import POWER, SIGNIFICANCE
from provenance.analyses.results.overlap import OverlapNull, OverlapNullKind

Sets = Sequence[Int[np.ndarray, " _"]]


def overlap_nulls(
    base_ids: Int[np.ndarray, " base"],
    instruct_ids: Int[np.ndarray, " instruct"],
    total: int,
    strata: Sequence[Strata] = (),
    shuffled: tuple[Sets, Sets] = ((), ()),
) -> tuple[OverlapNull, ...]:
    """Every null of one overlap: hypergeometric, per kind of strata, and shuffled labels; empty when a set is empty.

    Args:
        base_ids: Flat ids found in the base, in the instruct checkpoint's order of neurons, distinct.
        total: D, number of candidate neurons.
        strata: As for drift.
        shuffled: Sets found with shuffled labels in the base and in the instruct checkpoint, shuffle by shuffle, the
            heaviest neurons first; empty without a search.
    """
    if not base_ids.size or not instruct_ids.size:
        return ()
    sizes = (base_ids.size, instruct_ids.size)
    shared = np.intersect1d(base_ids, instruct_ids)
    nulls = [_exact("hypergeometric", hypergeometric(total, *sizes), shared.size, sizes)]
    for matched in strata:
        inside = [ids[matched.of[ids] >= 0] for ids in (base_ids, instruct_ids)]
        pmf = stratified(matched.of, *inside)
        within = int((matched.of[shared] >= 0).sum())
        nulls.append(_exact(matched.matching, pmf, within, (inside[0].size, inside[1].size)))
    if all(shuffled):
        nulls.append(shuffled_null(*shuffled, shared.size, sizes))
    return tuple(nulls)


def hypergeometric(total: int, k_base: int, k_instruct: int) -> Float[np.ndarray, " counts"]:
    """P(s) = C(k', s) C(D - k', k - s) / C(D, k) for s = 0, 1, ... neurons shared by a fixed and a random set."""
    return np.asarray(hypergeom(total, k_base, k_instruct).pmf(np.arange(min(k_base, k_instruct) + 1)))


def stratified(
    strata: Int[np.ndarray, " neurons"], base_ids: Int[np.ndarray, " base"], instruct_ids: Int[np.ndarray, " instruct"]
) -> Float[np.ndarray, " counts"]:
    """P(0), P(1), ... shared neurons if one set is redrawn with its number of neurons in each stratum (-1: none).

    Exact, by convolution over strata; every id is in a stratum, and strata of one set only share none.
    """
    sizes = np.bincount(strata[strata >= 0])
    in_base, in_instruct = (np.bincount(strata[ids], minlength=sizes.size) for ids in (base_ids, instruct_ids))
    pmf = np.ones(1)
    for stratum in np.flatnonzero(in_base * in_instruct):
        part = hypergeometric(int(sizes[stratum]), int(in_base[stratum]), int(in_instruct[stratum]))
        pmf = np.convolve(pmf, part)
    return pmf


def _exact(
    kind: OverlapNullKind, pmf: Float[np.ndarray, " counts"], shared: int, sizes: tuple[int, int]
) -> OverlapNull:
    counts = np.arange(pmf.size)
    mean = float(counts @ pmf)
    at_least = np.minimum(np.cumsum(pmf[::-1])[::-1], 1.0)
    return OverlapNull(
        kind, mean, float(np.sqrt((counts - mean) ** 2 @ pmf)), _tail(at_least, shared), float(pmf[0]),
        detectable_overlap(at_least, min(sizes)), 0,
    )  # fmt: skip


def shuffled_null(base_sets: Sets, instruct_sets: Sets, shared: int, sizes: tuple[int, int]) -> OverlapNull:
    """Neurons shared by the searches of both models with the same shuffled labels, for true sets of given sizes.

        p = (1 + #{r : at least as many shared}) / (1 + R),   r = 1 ... R shuffles

    Sets are in the same order of shuffles (`provenance.analyses.search.shuffled_labels.shuffled_jointly`), the heaviest
    neurons first: sets of different shuffles would share less, since chance correlates are the same in both models.
    Choice: a set larger than the true one is cut to its size, keeping the heaviest neurons, since larger sets share
    more by size alone. A smaller set stays as it is. If very many weak carriers make true sets much larger, this null
    is weak. Source: Phipson and Smyth 2010, doi:10.2202/1544-6115.1585, for the 1.
    """
    k_base, k_instruct = sizes
    pairs = zip(base_sets, instruct_sets, strict=True)
    counts = np.array([np.intersect1d(a[:k_base], b[:k_instruct]).size for a, b in pairs], dtype=np.int64)
    at_least = (1 + (counts[:, None] >= np.arange(min(sizes) + 1)).sum(axis=0)) / (1 + counts.size)
    return OverlapNull(
        "shuffled_labels", float(counts.mean()), float(counts.std()), _tail(at_least, shared),
        float((counts == 0).mean()), detectable_overlap(at_least, min(sizes)), counts.size,
    )  # fmt: skip


def _tail(at_least: Float[np.ndarray, " counts"], shared: int) -> float:
    return float(at_least[shared]) if shared < at_least.size else 0.0


def detectable_overlap(at_least: Float[np.ndarray, " counts"], most: int) -> float | None:
    """Shared neurons that two searches must have on average, so that 80 % of such pairs reach p < 0.05.

    With c the smallest number shared for which p < 0.05, and Binomial(most, m / most) shared neurons around a mean m, m
    solves P(at least c) = 0.8, an incomplete beta function of m / most. None if even `most` (the smaller set's size)
    shared neurons would not reach p < 0.05. `at_least`: P(at least 0, 1, ... shared) under the null.
    """
    rare = np.flatnonzero(at_least < SIGNIFICANCE)
    critical = int(rare[0]) if rare.size else at_least.size
    if critical > most:
        return None
    return most * float(betaincinv(critical, most - critical + 1, POWER))
