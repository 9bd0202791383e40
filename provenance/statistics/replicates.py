"""One number from those of several draws that may depend on one another in any way.

A p-value becomes twice its median, which is valid however the draws depend on one another; any other number becomes its
median. Source: DiCiccio, DiCiccio and Romano 2020, doi:10.1016/j.spl.2020.108865; Rueschendorf 1982,
doi:10.2307/1426529.
"""

import math
from collections.abc import Sequence
from statistics import median


def over_draws(values: Sequence[float | None], draws: int) -> float | None:
    """Median of the known values; None unless more than half of the draws have one.

    Args:
        values: Those of draws with this number; None or NaN where it is not known.
        draws: Number of all draws, at least that of the values.
    """
    known = _known(values)
    return median(known) if 2 * len(known) > draws else None


def p_over_draws(values: Sequence[float | None], draws: int) -> float | None:
    """Twice the median, 1 at most, where a draw that measured nothing has p = 1; None if none has a p-value."""
    known = _known(values)
    return min(1.0, 2 * median([*known, *[1.0] * (draws - len(known))])) if known else None


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]
