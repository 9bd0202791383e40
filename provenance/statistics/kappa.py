"""Cohen's kappa of two labellings of the same rows, in many weighted samples at once."""

import numpy as np
from jaxtyping import Float, Shaped

from provenance.statistics.bootstrap import resampled_means


def resampled_kappas(
    a: Shaped[np.ndarray, " rows"], b: Shaped[np.ndarray, " rows"], weights: Float[np.ndarray, "samples rows"]
) -> Float[np.ndarray, " samples"]:
    """Cohen's kappa of two labellings in each of many weighted samples.

        kappa = (p_o - p_e) / (1 - p_e),   p_e = sum over labels k of p_a(k) p_b(k)

    Dimensionless, at most 1, 0 = chance agreement; NaN if both labellings have the same single label.
    Source: Cohen 1960, doi:10.1177/001316446002000104.
    """
    observed = resampled_means((a == b).astype(np.float64), weights)
    by_chance = np.zeros(len(weights))
    for label in np.union1d(a, b):
        p_a, p_b = (resampled_means((side == label).astype(np.float64), weights) for side in (a, b))
        by_chance += p_a * p_b
    kappas = np.full(len(weights), np.nan)
    np.divide(observed - by_chance, 1 - by_chance, out=kappas, where=by_chance < 1)
    return kappas
