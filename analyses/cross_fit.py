"""Whether a score adds to others, asked on answers that took no part in weighing them.

The one idea: on the answers that the classifiers were fitted on, their scores look better than they are, and
a model that weighs them there would trust them too much. So the weighing is fitted on the scored
answers themselves, question by question in parts, and every answer is scored by weights from the other parts.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from analyses.plain_classifiers import fit_columns

FOLDS = 5
MIN_PER_FOLD = 2  # questions of each class: what a fold leaves out must leave both classes in


def folds(units: Sequence[str], positive: Bool[np.ndarray, " rows"], seed: int) -> Int[np.ndarray, " rows"] | None:
    """A part for every row, whole units together, both classes in the same proportion in each part.

    Units are dealt out in the order of their share of positive rows, at random where it is the same, so
    parts differ by a unit at most, in size and in either class.

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


def without_and_with(
    others: Float[np.ndarray, "rows columns"],
    score: Float[np.ndarray, " rows"],
    positive: Bool[np.ndarray, " rows"],
    units: Sequence[str],
    *,
    seed: int = 0,
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]] | None:
    """Out-of-fold decision values of a logistic regression on some scores, without and with one more.

    Choice: decision values of all folds are compared with one another. Their intercepts could shift them (a fold
    with fewer positive rows is scored by a fit on more of them, which pulls a pooled AUROC below 0.5 where nothing
    is known); so folds have the same proportion of classes, and both classes weigh the same in every fit, whose
    intercept then is that of even odds. Columns are standardised on the rows that a fold's weights are fitted on.

    Choice: the score's direction is part of what is claimed for it. Where a fold's fit turns it round, which it
    does for a score that points the wrong way, that fold's rows keep the values they have without it.

    Args:
        others: Columns to be added to.
        score: Higher is claimed to be more likely positive.
        positive: Label of each row.
        units: For each row its question, or group of questions.
        seed: Of the folds.

    Returns:
        Both per row, higher = more likely positive; None where there are too few questions for folds.

    Raises:
        FitError: A number that is not finite.
    """
    part = folds(units, positive, seed)
    if part is None:
        return None
    both = np.column_stack([others, score])
    without, joined = np.empty(positive.size), np.empty(positive.size)
    # Sums of the same rows in another order differ in the last digits; sorted, they are the same sums.
    order = np.lexsort((*both.T, positive, np.asarray(units, dtype=str)))
    for fold in range(FOLDS):
        train, test = order[part[order] != fold], part == fold
        less, more = (fit_columns(columns[train], positive[train]) for columns in (others, both))
        without[test] = less(others[test])
        joined[test] = more(both[test]) if more.weights[-1] > 0 else without[test]
    return without, joined
