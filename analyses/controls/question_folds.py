"""Answers dealt into parts by question, so that what is fitted on some can be tried on the others.

The one idea: rows of one question are not independent, and a part that lacks a class can be tried on nothing; so
whole questions are dealt, in the order of their labels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

FOLDS = 5
MIN_PER_FOLD = 2  # questions of each class: what a fold leaves out must leave both classes in


def folds(
    units: Sequence[str], positive: Bool[np.ndarray, " rows"], seed: int | Sequence[int]
) -> Int[np.ndarray, " rows"] | None:
    """A part for every row, whole units together, about the same proportion of both classes in each part.

    Units are dealt out in the order of their share of positive rows, at random where it is the same, so parts differ
    by a unit at most, in all and in units of either class; in rows by more where units have unlike numbers of them.

    Args:
        units: For each row its question, or group of questions.
        positive: Label of each row.
        seed: Of the dealing.

    Returns:
        0 to FOLDS - 1; the part of a unit depends on its name and not on its place among the rows. None where a
        class has fewer than two questions for each part.
    """
    names, member = np.unique(np.asarray(units, dtype=str), return_inverse=True)
    rows, hits = (np.bincount(member, weights=w, minlength=names.size) for w in (np.ones(len(units)), positive))
    if min((hits > 0).sum(), (hits < rows).sum()) < MIN_PER_FOLD * FOLDS:
        return None
    shuffled = np.random.default_rng(seed).permutation(names.size)
    dealt = np.empty(names.size, dtype=np.int64)
    dealt[np.lexsort((shuffled, hits / rows))] = np.arange(names.size) % FOLDS
    return dealt[member]
