"""Holm's correction of p-values for several tests, any of which would be a finding.

Nine question sets are nine chances of a false finding; the reported levels are valid even if all nine were null.
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from provenance.errors import InputError

T = TypeVar("T")


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Holm's step-down correction.

        p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j)),   p_(1) <= ... <= p_(m)

    For any dependence between the tests, the chance that any true null is rejected by p~ < 0.05 is at most 5 %.

    Args:
        p_values: One family of tests, in any order.

    Returns:
        In the order given; in [p, 1], and in the same order by size. Empty for no test.

    Raises:
        InputError: A value outside [0, 1] or NaN; a test that was not made belongs to no family.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    if not ((p_values >= 0) & (p_values <= 1)).all():
        raise InputError(
            "p-values between 0 and 1 to correct",
            found=f"{p_values.tolist()}",
            remedy="leave out tests that were not made",
        )
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(p_values.size, 0, -1)
    adjusted = np.empty(p_values.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def holm_by_name(p_values: Mapping[T, float]) -> dict[T, float]:
    """`holm` of one family of tests, by what each is called."""
    adjusted = holm(np.array(list(p_values.values()), dtype=np.float64))
    return dict(zip(p_values, adjusted.tolist(), strict=True))
