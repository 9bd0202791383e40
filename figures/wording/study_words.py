"""Means and p-values over the families of a study in words."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from provenance.cells import fixed, p_cell
from provenance.statistics.meta_analysis import Pooled


def so_many_families(count: int) -> str:
    """So many families, in words of a sentence."""
    return f"{count} famil{'y' if count == 1 else 'ies'}"


def diamonds(what: str, *, drawn: bool) -> str:
    """What the diamonds of a figure are, as a sentence after others; nothing where none is drawn."""
    return f" Diamonds: published {what}." if drawn else ""


def mean_words(mean: Pooled, without: np.ndarray, back: Callable[[float], float]) -> str:
    """Number of families, and their mean on the scale that readers know; `back` leads there from the effects."""
    left = [back(value) for value in without if not math.isnan(value)]
    range_words = f"; without one family {fixed(min(left))} to {fixed(max(left))}" if left else ""
    return (
        f"{so_many_families(mean.n)}: {fixed(back(mean.mean))} [{fixed(back(mean.low))}, {fixed(back(mean.high))}], "
        f"I² {mean.i_squared:.0%}, heterogeneity p {p_cell(mean.p_heterogeneity)}{range_words}."
    )


def listed_p(p_of: Mapping[str, float]) -> str:
    """All p-values, each after the name of its row."""
    return "; ".join(f"{name} {p_cell(p)}" for name, p in p_of.items())
