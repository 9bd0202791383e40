"""Areas under the ROC curve, and a number with its 95 % interval.

Rows of one question are not independent, so intervals (`provenance.statistics.bootstrap`) draw whole questions.
"""

import numpy as np
from jaxtyping import Bool, Float
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
) -> Float[np.ndarray, " columns"]:
    """`auroc` of every column at once; NaN for all when one class is absent."""
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0:
        return np.full(scores.shape[1], np.nan)
    rank_sums = rankdata(scores, axis=0)[positive].sum(axis=0)
    return np.asarray((rank_sums - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative), dtype=np.float64)
