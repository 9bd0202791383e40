"""Do two independent searches, one in each checkpoint, find the same neurons?"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from provenance.activations.features import Features
from provenance.analyses.overlap.overlap_nulls import overlap_nulls
from provenance.analyses.overlap.rank_biased import rank_biased_overlap
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.search.stability import MOST_CLUSTERED, clusters, mean_jaccard

MAX_P_ZERO = 0.5  # above it, sharing nothing is the likeliest outcome of chance, and proves nothing


def overlap(
    base_ids: Int[np.ndarray, " base"],
    instruct_ids: Int[np.ndarray, " instruct"],
    total: int,
    *,
    nulls: Sequence[OverlapNull] = (),
    ceilings: tuple[float | None, float | None] = (None, None),
    features: Features | None = None,
    weights: tuple[Float[np.ndarray, " neurons"] | None, Float[np.ndarray, " neurons"] | None] = (None, None),
) -> OverlapResult:
    """Shared neurons of two sets, compared with chance; not yet judged.

    Args:
        base_ids: Flat ids found in the base, in the instruct checkpoint's order of neurons, distinct.
        total: D, number of candidate neurons.
        nulls: From `overlap_nulls` of the same sets; by default the hypergeometric one alone.
        ceilings: Jaccard index of two halves of each model's own questions, base first.
        features: The base's training answers, on which the neurons of both sets are clustered.
        weights: Probe weights of all neurons, base first, for ranking each set.
    """
    k_base, k_instruct = int(base_ids.size), int(instruct_ids.size)
    nulls = nulls or overlap_nulls(base_ids, instruct_ids, total)
    shared = int(np.intersect1d(base_ids, instruct_ids).size)
    jaccard = mean_jaccard([(base_ids, instruct_ids)])
    anywhere = next((null for null in nulls if null.kind == "hypergeometric"), None)
    return OverlapResult(
        k_base=k_base,
        k_instruct=k_instruct,
        shared=shared,
        jaccard=jaccard,
        expected=k_base * k_instruct / total,
        p_hypergeometric=anywhere.p_value if anywhere else None,
        p_zero=anywhere.p_zero if anywhere else None,
        ceiling_base=ceilings[0],
        ceiling_instruct=ceilings[1],
        ratio_base=_ratio(jaccard, ceilings[0]),
        ratio_instruct=_ratio(jaccard, ceilings[1]),
        cluster_jaccard=None if features is None else cluster_jaccard(base_ids, instruct_ids, features),
        rank_biased=rank_biased_overlap(heaviest_first(base_ids, weights[0]), heaviest_first(instruct_ids, weights[1])),
    )


def cluster_jaccard(
    base_ids: Int[np.ndarray, " base"], instruct_ids: Int[np.ndarray, " instruct"], features: Features
) -> float | None:
    """Jaccard index over clusters of correlated neurons, in [0, 1]; None without neurons or above `MOST_CLUSTERED`.

    Choice: clusters come from the base's training answers. L1 picks one of several correlated neurons, so the base's
    search may have found an equivalent; neurons that only tuning has made alike must not count as found in the base.
    """
    union = np.union1d(base_ids, instruct_ids)
    if not 0 < union.size <= MOST_CLUSTERED:
        return None
    number = clusters(features, union)
    found = [np.unique(number[np.searchsorted(union, ids)]) for ids in (base_ids, instruct_ids)]
    return mean_jaccard([(found[0], found[1])])


def _ratio(jaccard: float | None, ceiling: float | None) -> float | None:
    return jaccard / ceiling if jaccard is not None and ceiling else None


def heaviest_first(
    ids: Int[np.ndarray, " k"], weights: Float[np.ndarray, " neurons"] | None
) -> Int[np.ndarray, " ranked"]:
    """Neurons by falling probe weight, ties in the order that they come in; none without weights."""
    return ids[:0] if weights is None else np.asarray(ids[np.argsort(-weights[ids], kind="stable")])
