"""How many neurons two searches share by chance: drawn anywhere, among like neurons, or found with shuffled labels.

The one idea: one set is kept and the other drawn anew, with as many neurons of each stratum as it has. What the two
then share is a sum of independent hypergeometric numbers, one for each stratum, and its distribution is exact: a
convolution. The null of shuffled labels has no formula; there the searches themselves are repeated.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import betaincinv
from scipy.stats import hypergeom

from provenance.analyses.drift.matching import Strata
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
    """Every null of one overlap.

    Args:
        base_ids: Flat ids found in the base checkpoint, in the instruct checkpoint's order of neurons, distinct.
        instruct_ids: Flat ids found in the instruct checkpoint, distinct.
        total: D, neurons that could have been found.
        strata: Like neurons, as for drift.
        shuffled: Sets that the base's and the instruct checkpoint's search found with shuffled labels, shuffle by
            shuffle, the heaviest neurons first; empty where there was no search.

    Returns:
        The hypergeometric null, one for each kind of strata, and the one of shuffled labels where both searches have
        one. Empty when a set is empty.
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
    """P(0), P(1), ... shared neurons of a fixed and a random set among `total`.

    P(overlap = s) = C(k', s) C(D - k', k - s) / C(D, k)
    """
    return np.asarray(hypergeom(total, k_base, k_instruct).pmf(np.arange(min(k_base, k_instruct) + 1)))


def stratified(
    strata: Int[np.ndarray, " neurons"], base_ids: Int[np.ndarray, " base"], instruct_ids: Int[np.ndarray, " instruct"]
) -> Float[np.ndarray, " counts"]:
    """P(0), P(1), ... shared neurons when one set is drawn with its own number of neurons in each stratum.

    Args:
        strata: Stratum of every neuron; -1: none.
        base_ids: Each in a stratum.
        instruct_ids: Each in a stratum.

    Returns:
        Exact, by convolution over strata; strata that only one of the sets touches share none.
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
    """Numbers of a known distribution."""
    counts = np.arange(pmf.size)
    mean = float(counts @ pmf)
    at_least = np.minimum(np.cumsum(pmf[::-1])[::-1], 1.0)
    return OverlapNull(
        kind, mean, float(np.sqrt((counts - mean) ** 2 @ pmf)), _tail(at_least, shared), float(pmf[0]),
        detectable_overlap(at_least, min(sizes)), 0,
    )  # fmt: skip


def shuffled_null(base_sets: Sets, instruct_sets: Sets, shared: int, sizes: tuple[int, int]) -> OverlapNull:
    """What two searches share when the labels of both mean nothing: those of one shuffle, in both models.

        p = (1 + #{r : at least as many shared}) / (1 + R),   r = 1 ... R shuffles

    Set r of the base belongs with set r of the instruct checkpoint
    (`provenance.analyses.search.shuffled_labels.shuffled_jointly`). Sets of
    different shuffles would share less: what one shuffle's labels go with by chance they go with in both models.

    Choice: of a set that is larger than the one it stands for only the heaviest neurons are taken, as many as that one
    has; two larger sets would share more for their size alone. A smaller set stays as it is: the search found no
    more, and shares less for it. Where very many weak carriers make true sets much larger, this null is weak.

    Args:
        base_sets: Of the base, the heaviest neurons first.
        instruct_sets: Of the instruct checkpoint, as many and in the same order of shuffles.
        shared: Neurons that the true sets share.
        sizes: Of the true sets, base first.

    Source: Phipson and Smyth 2010, doi:10.2202/1544-6115.1585, for the 1.
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
    """P(at least as many shared); 0 beyond what can be shared at all, which no true set is."""
    return float(at_least[shared]) if shared < at_least.size else 0.0


def detectable_overlap(at_least: Float[np.ndarray, " counts"], most: int) -> float | None:
    """Shared neurons that two searches must have on average, so that 80 % of such pairs reach p < 0.05.

    With c the smallest number shared for which p < 0.05, and Binomial(most, m / most) shared neurons around a mean m,
    m solves P(at least c) = 0.8, which is an incomplete beta function of m / most.

    Args:
        at_least: P(at least 0, 1, ... shared) under the null.
        most: Neurons of the smaller set.

    Returns:
        A number of neurons; None where even `most` shared ones would not reach p < 0.05.
    """
    rare = np.flatnonzero(at_least < SIGNIFICANCE)
    critical = int(rare[0]) if rare.size else at_least.size
    if critical > most:
        return None
    return most * float(betaincinv(critical, most - critical + 1, POWER))
