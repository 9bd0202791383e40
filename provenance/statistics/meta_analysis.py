"""Random-effects mean of one number over several families, with its heterogeneity.

    x_i = mu + u_i + e_i,   var(e_i) = v_i,   var(u_i) = tau^2

tau^2 by moments, the interval of mu with a t distribution and the variance of Hartung and Knapp, never narrower than
that of known variances. With two or three families it is wide, as it should be.

Source: DerSimonian and Laird 1986, doi:10.1016/0197-2456(86)90046-2; Hartung and Knapp 2001, doi:10.1002/sim.791;
Röver, Knapp and Friede 2015, doi:10.1186/s12874-015-0091-1 (the bound); Higgins and Thompson 2002,
doi:10.1002/sim.1186 (I squared).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2, norm, t

from provenance.statistics.bootstrap import CONFIDENCE

LEAST_VARIANCE = 1e-6
"""Of a family whose interval has no width, such as an AUROC of 1 in every resample; a weight is never without end."""


@dataclass(frozen=True)
class Pooled:
    """A mean over families, on the scale of the effects."""

    n: int
    """Families."""
    mean: float
    low: float
    """2.5 % bound of the mean."""
    high: float
    """97.5 % bound of the mean."""
    tau: float
    """SD of the true effects between families."""
    i_squared: float
    """Share of the variance between families that is not due to their own uncertainty, 0 to 1."""
    p_heterogeneity: float
    """p of Cochran's Q: that all families have the same effect."""


def random_effects(effects: Float[np.ndarray, " families"], variances: Float[np.ndarray, " families"]) -> Pooled | None:
    """Mean effect over families; None with fewer than two.

    Args:
        effects: One number a family, on a scale where errors are about normal (log ratio, logit of an AUROC).
        variances: Their squared standard errors, above 0.
    """
    n = effects.size
    if n < 2:
        return None
    fixed = 1 / variances
    centre = float(fixed @ effects / fixed.sum())
    q = float(fixed @ (effects - centre) ** 2)
    spread = fixed.sum() - (fixed**2).sum() / fixed.sum()
    tau2 = max(0.0, (q - (n - 1)) / float(spread))
    weights = 1 / (variances + tau2)
    mean = float(weights @ effects / weights.sum())
    scale = max(1.0, float(weights @ (effects - mean) ** 2) / (n - 1))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * float(np.sqrt(scale / weights.sum()))
    return Pooled(
        n=n,
        mean=mean,
        low=mean - reach,
        high=mean + reach,
        tau=float(np.sqrt(tau2)),
        i_squared=max(0.0, 1 - (n - 1) / q) if q > 0 else 0.0,
        p_heterogeneity=float(chi2.sf(q, n - 1)),
    )


def leave_one_out(
    effects: Float[np.ndarray, " families"], variances: Float[np.ndarray, " families"]
) -> Float[np.ndarray, " families"]:
    """The mean without each family in turn; NaN where fewer than two are left."""
    kept = [np.arange(effects.size) != left for left in range(effects.size)]
    found = [random_effects(effects[keep], variances[keep]) for keep in kept]
    return np.array([np.nan if each is None else each.mean for each in found])


def pooled_intervals(
    intervals: Sequence[tuple[float, float, float]],
) -> tuple[Pooled, Float[np.ndarray, " families"]] | None:
    """Mean of effects with their 95 % intervals (estimate, low, high), and the means without each family in turn."""
    effects = np.array([estimate for estimate, _, _ in intervals])
    variances = np.array([interval_variance(low, high) for _, low, high in intervals])
    mean = random_effects(effects, variances)
    return None if mean is None else (mean, leave_one_out(effects, variances))


def interval_variance(low: float, high: float) -> float:
    """Squared standard error behind a 95 % interval, on the scale of its bounds; `LEAST_VARIANCE` at least."""
    return max(float(((high - low) / (2 * norm.ppf((1 + CONFIDENCE) / 2))) ** 2), LEAST_VARIANCE)
