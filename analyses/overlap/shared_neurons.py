"""Do two independent searches, one in each checkpoint, end at the same neurons?

The one idea: zero overlap of two small sets proves nothing, and some overlap proves little. With k and k' neurons of D,
chance alone gives zero overlap with a probability that is close to one for the sets that sparse probes find, so that
probability is computed first, and above one half no verdict is given. What is shared must then be more than each null
explains: any neurons, like neurons, and what the same searches share when their labels mean nothing.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from provenance.activations.features import Features
from provenance.analyses.overlap.overlap_nulls import overlap_nulls
from provenance.analyses.overlap.rank_biased import rank_biased_overlap
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.search.shuffled_labels import heaviest_first
from provenance.analyses.search.stability import MOST_CLUSTERED, clusters, mean_jaccard

MAX_P_ZERO = 0.5  # above it "nothing shared" is the likeliest outcome of chance itself
NULL_WORDS = {
    "hypergeometric": "any neurons",
    "layer": "neurons of the same layers",
    "layer_norm": "neurons of the same layers and weight norms",
    "layer_norm_activity": "neurons of the same layers, weight norms and activities",
    "shuffled_labels": "the same searches with shuffled labels",
}


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
    """Shared neurons of two sets, against what they would share by chance.

    Args:
        base_ids: Flat ids found in the base checkpoint, in the instruct checkpoint's order of neurons, distinct.
        instruct_ids: Flat ids found in the instruct checkpoint, distinct.
        total: D, neurons that could have been found.
        nulls: From `overlap_nulls` of the same sets; the hypergeometric one alone when not given.
        ceilings: Jaccard index of two halves of the base's own questions, and of the instruct checkpoint's.
        features: The base's training answers, over which neurons of both sets are clustered.
        weights: Probe weights of all neurons, base first, by which the neurons of each set are ranked.

    Returns:
        Counts, Jaccard index in [0, 1] and one-sided P(overlap >= shared); not yet judged.
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
    """Jaccard index over clusters of correlated neurons in place of neurons: a stand-in for a neuron counts as it.

    Choice: neurons are clustered by what they do on the base's training answers. Of correlated neurons L1 picks one, so
    the base's search may have found a neuron that did, in the base, the same as the one that the instruct checkpoint's
    search found. Neurons that only tuning has made alike must not count as found in the base.

    Returns:
        In [0, 1]; None when both sets are empty, or too large together to be clustered (`MOST_CLUSTERED`).
    """
    union = np.union1d(base_ids, instruct_ids)
    if not 0 < union.size <= MOST_CLUSTERED:
        return None
    number = clusters(features, union)
    found = [np.unique(number[np.searchsorted(union, ids)]) for ids in (base_ids, instruct_ids)]
    return mean_jaccard([(found[0], found[1])])


def _ratio(jaccard: float | None, ceiling: float | None) -> float | None:
    return jaccard / ceiling if jaccard is not None and ceiling else None
