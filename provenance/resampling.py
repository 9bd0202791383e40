"""Bootstrap intervals by question for many scores at once, and for differences between them.

The one idea: a resample of questions is a weight per row, how often the row was drawn, and the area under
the ROC curve is a sum over pairs of rows. So which row of a pair scores higher is counted once, and every
resample is a product with the weights. Two scores on the same weights are paired.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from provenance.intervals import BOOTSTRAP_DRAWS, CONFIDENCE, Estimate

PAIRS_PER_BLOCK = 2**22  # 32 MB of float64 pairs at a time


def resampled_weights(
    units: Sequence[str], *, draws: int = BOOTSTRAP_DRAWS, seed: int = 0
) -> Float[np.ndarray, "samples rows"]:
    """How often each row is in each bootstrap sample of whole units.

    Args:
        units: For each row its question, or group of questions.
        draws: Number of bootstrap samples.
        seed: Of the generator.

    Returns:
        Whole numbers, `draws` + 1 samples: the first is the rows as they are, all ones. The weights of a unit
        depend on its name and not on its place among the rows; for rows in the order of their units the
        samples are those of `bootstrap_by_unit`.

    Source: Efron and Tibshirani 1993, chapter 13; clusters as units after Davison and Hinkley 1997, Sec. 3.8.
    """
    names, member = np.unique(np.asarray(units, dtype=str), return_inverse=True)
    weights = np.ones((draws + 1, len(units)))
    if not names.size:
        return weights
    picked = np.random.default_rng(seed).integers(names.size, size=(draws, names.size))
    for sample, units_of_sample in enumerate(picked, 1):
        weights[sample] = np.bincount(units_of_sample, minlength=names.size)[member]
    return weights


def resampled_aurocs(
    scores: Float[np.ndarray, "rows columns"],
    positive: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "samples rows"],
) -> Float[np.ndarray, " samples"]:
    """Mean over columns of the AUROC, in each of many weighted samples.

        mean_c  sum_{i in P, j in N} w_i w_j ([s_ic > s_jc] + [s_ic = s_jc] / 2)  /  (sum_P w_i * sum_N w_j)

    The same as `provenance.intervals.auroc` on rows repeated by their weights.

    Args:
        scores: Decision values, at least one column; infinite ones are ranked as such.
        positive: Label of each row.
        weights: Whole numbers, as from `resampled_weights`.

    Returns:
        Dimensionless, in [0, 1], 0.5 = chance; NaN for a sample with one class only, and for all samples
        where a score is NaN. Whole-number arithmetic up to the division, so rounding never decides a tie.
    """
    ranks = rankdata(scores, axis=0).astype(np.float32)  # exact below 2^23 rows, and infinities compare
    upper, lower = ranks[positive], ranks[~positive]
    w_upper, w_lower = weights[:, positive], weights[:, ~positive]
    won = np.zeros(len(weights))
    rows = max(1, PAIRS_PER_BLOCK // max(1, len(lower)))
    for start in range(0, len(upper), rows):
        block = slice(start, start + rows)
        won += ((w_upper[:, block] @ _net_wins(upper[block], lower)) * w_lower).sum(axis=1)
    pairs = scores.shape[1] * w_upper.sum(axis=1) * w_lower.sum(axis=1)
    areas = np.full(len(weights), np.nan)
    np.divide(pairs + won, 2 * pairs, out=areas, where=pairs > 0)
    return areas


def _net_wins(
    upper: Float[np.ndarray, "positives columns"], lower: Float[np.ndarray, "negatives columns"]
) -> Float[np.ndarray, "positives negatives"]:
    """For each pair of rows, columns in which the first is higher minus columns in which the second is."""
    wins = np.zeros((len(upper), len(lower)))
    for a, b in zip(upper.T, lower.T, strict=True):
        wins += np.sign(a[:, None] - b[None, :])
    return wins


def resampled_means(
    values: Float[np.ndarray, " rows"], weights: Float[np.ndarray, "samples rows"]
) -> Float[np.ndarray, " samples"]:
    """Weighted mean of a value of rows, in each of many samples."""
    return np.asarray(weights @ values / weights.sum(axis=1), dtype=np.float64)


def estimate_of(samples: Float[np.ndarray, " samples"], n: int) -> Estimate:
    """A statistic with its percentile interval.

    Args:
        samples: The statistic on the rows as they are, then on every resample; NaN where it is not defined.
        n: Rows it was computed on.

    Returns:
        2.5th and 97.5th percentile of the defined resamples; NaN where none is.
    """
    drawn = samples[1:][np.isfinite(samples[1:])]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) if drawn.size else (float("nan"), float("nan"))
    return Estimate(float(samples[0]), float(low), float(high), n)


def accuracy_and_auroc(
    scores: Float[np.ndarray, " rows"],
    positive: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "samples rows"],
) -> tuple[Estimate, Estimate]:
    """Accuracy at decision value 0 and AUROC of the same scores, each with its interval on the same samples."""
    right = ((scores > 0) == positive).astype(np.float64)
    return (
        estimate_of(resampled_means(right, weights), positive.size),
        estimate_of(resampled_aurocs(scores[:, None], positive, weights), positive.size),
    )
