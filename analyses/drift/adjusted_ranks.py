"""Expected stability ranks, given weight norm and activity within a layer.

H-Neurons are often at the end of their layer's range, so a trend within the outermost cell looks like an effect;
residuals of a fit over the whole layer are compared too. Measured on sets of twelve at the end of a log-normal norm, at
one-sided 5 %: cells alone reject in 6 to 95 of 100 cases, without the trend in 0 to 8.
Source: Freedman and Lane 1983, doi:10.1080/07350015.1983.10509354 (permuting residuals). Choice: the fitted terms.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from provenance.analyses.drift.stability_ranks import grouped_midranks

MOST_POWERS = 5  # cubics left a trend in the last hundredth of 2,000 neurons, powers up to 5 did not
PER_TERM = 10  # neurons of a layer for each fitted number


def expected_ranks(
    ranks: Float[np.ndarray, " neurons"], scores: Sequence[Float[np.ndarray, " neurons"]], d_m: int
) -> Float[np.ndarray, " neurons"]:
    """Least-squares fit of the ranks of each layer by a polynomial in normal scores of a few covariates.

        E[rank_j] = sum_{a + b <= P} c_{l, a, b} s_j^a t_j^b,   and so on for more covariates

    The scores s and t come from `normal_scores` within layers. P is the highest power, up to 5, with ten neurons of the
    layer per term; with too few for one power it is 0, the mean of the layer. In [0, 1], float64; NaN as in the inputs.
    """
    known = np.flatnonzero(~np.isnan(np.stack([ranks, *scores])).any(axis=0))
    expected = np.full(ranks.size, np.nan)
    ends = np.searchsorted(known, np.arange(0, ranks.size + 1, d_m))
    for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        inside = known[start:stop]
        basis = _powers([score[inside] for score in scores])
        expected[inside] = basis @ np.linalg.lstsq(basis, ranks[inside], rcond=None)[0]
    return np.asarray(np.clip(expected, 0, 1))


def normal_scores(
    values: Float[np.ndarray, " neurons"], groups: Int[np.ndarray, " neurons"]
) -> Float[np.ndarray, " neurons"]:
    """Normal score Phi^-1((midrank - 1/2) / n) within each group (numbered from 0); NaN in group -1 (none)."""
    scores, inside = np.full(values.size, np.nan), np.flatnonzero(groups >= 0)
    if inside.size:
        own = groups[inside]
        scores[inside] = ndtri((grouped_midranks(values[inside], own) - 0.5) / np.bincount(own)[own])
    return scores


def _powers(scores: Sequence[Float[np.ndarray, " k"]]) -> Float[np.ndarray, "k terms"]:
    candidates = (_exponents(len(scores), most) for most in range(MOST_POWERS, 0, -1))
    enough = (found for found in candidates if len(found) * PER_TERM <= scores[0].size)
    exponents = next(enough, _exponents(len(scores), 0))
    basis = np.ones((len(exponents), scores[0].size))
    for number, powers in enumerate(exponents):
        for score, power in zip(scores, powers, strict=True):
            for _ in range(power):  # repeated products are many times faster than general powers
                basis[number] *= score
    return basis.T


def _exponents(count: int, most: int) -> list[tuple[int, ...]]:
    return [powers for powers in product(range(most + 1), repeat=count) if sum(powers) <= most]
