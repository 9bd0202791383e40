"""From raw weight changes to z-scores and stability ranks.

The one idea: ranks carry a direction, and it is fixed here once: 0 = changed most,
1 = changed least. Ties share the middle of their ranks, so neurons that tuning left
bit-identical do not get an order that the data do not hold.
"""

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata


def z_scores(values: Float[np.ndarray, " neurons"]) -> Float[np.ndarray, " neurons"]:
    """Deviation from the mean over all neurons, in population standard deviations.

    Returns:
        Dimensionless, float64, mean 0 and SD 1; all zero when every value is the same.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2.
    """
    values = np.asarray(values, dtype=np.float64)
    # Equality, not a small SD, marks constant input: changes near 1e-14 are real and must keep their order.
    if values.size == 0 or values.min() == values.max():
        return np.zeros_like(values)
    centred = values - values.mean()
    return np.asarray(centred / np.sqrt(np.mean(centred**2)))


def combined_delta(
    delta_up: Float[np.ndarray, " neurons"], delta_down: Float[np.ndarray, " neurons"]
) -> Float[np.ndarray, " neurons"]:
    """Weight change of each neuron, from both its directions.

        Delta = (z(Delta_up) + z(Delta_down)) / 2

    Returns:
        Dimensionless, mean 0 over all neurons, larger = changed more. The gate is left out, as in the paper.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.2.
    """
    return np.asarray((z_scores(delta_up) + z_scores(delta_down)) / 2)


def stability_rank(delta: Float[np.ndarray, " neurons"]) -> Float[np.ndarray, " neurons"]:
    """Normalised midrank of -delta.

        rank = (midrank(-delta) - 1) / (D - 1)

    Returns:
        In [0, 1], mean 0.5: 0 = changed most (largest delta), 1 = changed least. Ties share
        their mean rank; all tied, or a single neuron, gives 0.5.

    Source: Gao et al. 2025, arXiv:2512.01797, Fig. 4b, for the direction. Choice: midranks for ties.
    """
    if delta.size < 2:
        return np.full(delta.size, 0.5)
    midranks = rankdata(-np.asarray(delta, dtype=np.float64), method="average")
    return np.asarray((midranks - 1) / (delta.size - 1))
