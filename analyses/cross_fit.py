"""Whether a score adds to others, asked on answers that took no part in weighing them.

The one idea: on the answers that the classifiers were fitted on, their scores look better than they are, and
a model that weighs them there would trust them too much. So the weighing is fitted on the scored
answers themselves, question by question in parts, and every answer is scored by weights from the other parts.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from analyses.plain_classifiers import fit_columns
from analyses.question_folds import FOLDS, folds


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
