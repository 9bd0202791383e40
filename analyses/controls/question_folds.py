"""Cross-validation folds of answers by question, in the order of labels so that each fold has both classes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from provenance.activations.features import Features
from provenance.records import Label

FOLDS = 5
MIN_PER_FOLD = 2  # questions of each class, so that the other folds keep both classes


def folds(
    units: Sequence[str], positive: Bool[np.ndarray, " rows"], seed: int | Sequence[int]
) -> Int[np.ndarray, " rows"] | None:
    """A fold (0 to FOLDS - 1) for every row, whole units (questions or groups of them) together.

    Units are dealt in the order of their share of positive rows, at random among equals, so folds differ by one unit at
    most, in all and in units of either class; in rows by more if units differ in size. The fold of a unit depends on
    its name, not on its place among the rows. None if a class has fewer than two questions per fold.
    """
    names, member = np.unique(np.asarray(units, dtype=str), return_inverse=True)
    rows, hits = (np.bincount(member, weights=w, minlength=names.size) for w in (np.ones(len(units)), positive))
    if min((hits > 0).sum(), (hits < rows).sum()) < MIN_PER_FOLD * FOLDS:
        return None
    shuffled = np.random.default_rng(seed).permutation(names.size)
    dealt = np.empty(names.size, dtype=np.int64)
    dealt[np.lexsort((shuffled, hits / rows))] = np.arange(names.size) % FOLDS
    return dealt[member]


def questions_per_class(answers: Features) -> dict[Label, int]:
    """Questions with an answer of each label. Questions count, not rows: rows of one question are not independent."""
    said = list(zip(answers.units, answers.hallucinated.tolist(), strict=True))
    return {
        "faithful": len({unit for unit, hallucinated in said if not hallucinated}),
        "hallucinated": len({unit for unit, hallucinated in said if hallucinated}),
    }
