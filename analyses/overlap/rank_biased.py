"""Rank-biased overlap: agreement of two ranked lists, with most weight on the top ranks."""

import numpy as np
from jaxtyping import Int

PERSISTENCE = 0.9  # Webber et al. 2010, Sec. 3: the first ten ranks then carry 86 % of the weight


def rank_biased_overlap(a: Int[np.ndarray, " a"], b: Int[np.ndarray, " b"], p: float = PERSISTENCE) -> float | None:
    """Extrapolated rank-biased overlap of two lists of distinct items, best first; None if a list is empty.

        (1 - p) / p * (sum_{d=1}^{l} X_d / d p^d + sum_{d=s+1}^{l} X_s (d - s) / (s d) p^d)
            + ((X_l - X_s) / l + X_s / s) p^l

    with s and l the lengths of the shorter and the longer list, X_d the items among the first d of both, and
    persistence p between 0 and 1 (smaller = only the top counts). In [0, 1]: 0 = nothing in common, 1 = one list is the
    other or its beginning. Source: Webber, Moffat and Zobel 2010, doi:10.1145/1852102.1852106, Eq. 32.
    """
    short, long = sorted((a.size, b.size))
    if short == 0:
        return None
    _, in_a, in_b = np.intersect1d(a, b, return_indices=True)
    shared = np.cumsum(np.bincount(np.maximum(in_a, in_b), minlength=long)).astype(np.float64)
    depth = np.arange(1, long + 1)
    carried_on = shared[short - 1] * np.maximum(depth - short, 0) / short
    agreement = (shared + carried_on) / depth
    return float((1 - p) / p * (agreement * p**depth).sum() + agreement[-1] * p**long)
