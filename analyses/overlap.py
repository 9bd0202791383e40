"""Do two independent searches, one in each checkpoint, end at the same neurons?

The one idea: zero overlap of two small sets proves nothing. With k and k' neurons of D,
chance alone gives zero overlap with a probability that is close to one for the sets that
sparse probes find, so that probability is computed first, and above one half no verdict is given.
"""

import numpy as np
from jaxtyping import Int
from scipy.stats import hypergeom

from analyses.results import OverlapResult
from provenance.records import Verdict

SIGNIFICANCE = 0.05
MAX_P_ZERO = 0.5  # above it "nothing shared" is the likeliest outcome of chance itself


def overlap(
    base_ids: Int[np.ndarray, " base"], instruct_ids: Int[np.ndarray, " instruct"], total: int
) -> OverlapResult:
    """Shared neurons of two sets, against drawing one of them at random.

        P(overlap = s) = C(k', s) C(D - k', k - s) / C(D, k)

    Args:
        base_ids: Flat ids found in the base checkpoint, distinct.
        instruct_ids: Flat ids found in the instruct checkpoint, mapped to the base, distinct.
        total: D, neurons that could have been found.

    Returns:
        Counts, Jaccard index in [0, 1] and one-sided P(overlap >= shared). `no power` when a set is empty,
        when P(overlap = 0) > 0.5, or when not even full agreement would reach p < 0.05.
    """
    k_base, k_instruct = int(base_ids.size), int(instruct_ids.size)
    shared = int(np.intersect1d(base_ids, instruct_ids).size)
    union = k_base + k_instruct - shared
    p_value = p_zero = None
    verdict: Verdict = "no power"
    if k_base == 0 or k_instruct == 0:
        empty = "the base" if k_base == 0 else "the instruct checkpoint"
        reason = f"no H-Neurons were found in {empty}, so there is nothing to overlap"
    else:
        null = hypergeom(total, k_base, k_instruct)
        p_value, p_zero = float(null.sf(shared - 1)), float(null.pmf(0))
        p_best = float(null.sf(min(k_base, k_instruct) - 1))
        counts = f"{shared} of {k_base} (base) and {k_instruct} (instruct) H-Neurons are shared"
        verdict, reason = _decide(counts, p_value, p_zero, p_best)
    return OverlapResult(
        k_base=k_base,
        k_instruct=k_instruct,
        shared=shared,
        jaccard=shared / union if union else None,
        expected=k_base * k_instruct / total,
        p_hypergeometric=p_value,
        p_zero=p_zero,
        verdict=verdict,
        reason=reason,
    )


def _decide(counts: str, p_value: float, p_zero: float, p_best: float) -> tuple[Verdict, str]:
    """The verdict of two non-empty sets, with the numbers that decided."""
    numbers = f"{counts}, p = {p_value:.2g}"
    if p_zero > MAX_P_ZERO:
        return "no power", f"{numbers}, but chance alone shares none with probability {p_zero:.2f}"
    if p_best >= SIGNIFICANCE:
        return "no power", f"{numbers}, and full agreement would not be rarer than p = {p_best:.2g}"
    if p_value < SIGNIFICANCE:
        return "supported", f"{numbers}, more than chance"
    return "not distinguishable", f"{numbers}, no more than chance"
