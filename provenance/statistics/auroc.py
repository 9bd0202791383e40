"""Areas under the ROC curve, and a number with its 95 % interval.

Rows of one question are not independent, so intervals (`provenance.statistics.bootstrap`) draw whole questions.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Shaped
from scipy.stats import rankdata


def auroc(scores: Float[np.ndarray, " rows"], positive: Bool[np.ndarray, " rows"]) -> float:
    """Probability that a random positive row scores higher than a random negative one.

    Mann-Whitney U over the number of pairs; ties count one half (midranks).

    Returns:
        Dimensionless, in [0, 1], 0.5 = chance; NaN when one class is absent.

    Source: Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    rank_sum = float(rankdata(scores)[positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def aurocs(
    scores: Float[np.ndarray, "rows columns"], positive: Bool[np.ndarray, " rows"]
) -> Float64[np.ndarray, " columns"]:
    """`auroc` of every column at once, of finite scores; NaN for all when one class is absent."""
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0:
        return np.full(scores.shape[1], np.nan)
    if scores.dtype == np.float32:
        rank_sums = _rank_sums(scores, positive)
    else:
        rank_sums = rankdata(scores, axis=0)[positive].sum(axis=0)
    return np.asarray((rank_sums - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def _rank_sums(
    scores: Float32[np.ndarray, "rows columns"], positive: Bool[np.ndarray, " rows"]
) -> Float64[np.ndarray, " columns"]:
    """Sum of the positive rows' midranks in each column, in half the time of ranking: of single neurons there are many.

    Each score is sorted as a whole number whose last bit tells the class, once with the positive rows behind the others
    among equal scores and once before them; the mean of both places is the midrank.
    """
    keys = _ordered(np.ascontiguousarray(scores.T) + np.float32(0)) << 1  # -0.0 becomes 0.0
    places, work = np.arange(1.0, positive.size + 1), np.empty_like(keys)
    marked = [
        _sorted(np.bitwise_or(keys, mark.astype(keys.dtype), out=work)) @ places for mark in (positive, ~positive)
    ]
    return np.asarray((marked[0] + places.sum() - marked[1]) / 2)


def _sorted(keys: Shaped[np.ndarray, "columns rows"]) -> Float64[np.ndarray, "columns rows"]:
    """The last bits of the keys of each column in their order; the keys are lost."""
    keys.sort(axis=1)
    keys &= keys.dtype.type(1)
    return keys.astype(np.float64)


def _ordered(values: Float32[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    """Whole numbers in the order of finite values, with room for one bit more."""
    bits = values.view(np.int32)
    if bits.min(initial=0) >= 0:
        return bits.view(np.uint32)
    return np.asarray((bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64))
