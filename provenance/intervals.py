"""Areas under the ROC curve, accuracies, and their 95 % intervals by question.

The one idea: rows of one question are not independent, so the bootstrap draws
whole questions (or groups of questions, where a question set names groups), never rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

BOOTSTRAP_DRAWS = 1000  # the 2.5 % tail then rests on 25 draws
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    estimate: float
    """The statistic on all rows."""
    low: float
    """2.5th percentile of the bootstrap distribution."""
    high: float
    """97.5th percentile of the bootstrap distribution."""
    n: int
    """Rows that the statistic was computed on."""


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


def accuracy(scores: Float[np.ndarray, " rows"], positive: Bool[np.ndarray, " rows"]) -> float:
    """Share of rows on the right side of probability 0.5, which is decision value 0."""
    return float(((scores > 0) == positive).mean())


def bootstrap_by_unit(
    statistic: Callable[[Int[np.ndarray, " drawn"]], float],
    units: list[str],
    *,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = 0,
) -> Estimate:
    """A statistic of rows with its percentile interval over resampled units.

    Args:
        statistic: Takes row numbers (with repeats) and returns a number; NaN marks a
            draw on which it is not defined (one class only), which is left out.
        units: For each row its question, or group of questions.
        draws: Number of bootstrap draws.
        seed: Of the generator.

    Returns:
        The statistic on all rows, 2.5th and 97.5th percentile of the defined draws.

    Source: Efron and Tibshirani 1993, chapter 13; clusters as units after Davison and Hinkley 1997, Sec. 3.8.
    """
    members = _members(units)
    rng = np.random.default_rng(seed)
    values = np.empty(draws)
    for draw in range(draws):
        picked = rng.integers(len(members), size=len(members))
        values[draw] = statistic(np.concatenate([members[p] for p in picked]))
    values = values[np.isfinite(values)]
    tail = (1 - CONFIDENCE) / 2
    whole = statistic(np.arange(len(units)))
    low, high = np.quantile(values, [tail, 1 - tail]) if values.size else (float("nan"), float("nan"))
    return Estimate(float(whole), float(low), float(high), len(units))


def _members(units: list[str]) -> list[Int[np.ndarray, " rows"]]:
    """Row numbers of every unit, units in order of first appearance."""
    rows: dict[str, list[int]] = {}
    for row, unit in enumerate(units):
        rows.setdefault(unit, []).append(row)
    return [np.asarray(members) for members in rows.values()]
