"""Whether a score adds to others, asked on answers that took no part in weighing them.

The one idea: on the answers that the classifiers were fitted on, their scores look better than they are, and
a model that weighs them there would trust them too much. So the weighing is fitted on the scored
answers themselves, question by question in parts, and every answer is scored by weights from the other parts.
What words say in these answers is learnt in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int

from analyses.plain_classifiers import fit_columns, fit_text
from analyses.question_folds import FOLDS, folds

FOLDINGS = 10  # of 25 foldings of one set of answers, p lay between 0.024 and 0.072; which it was must not be chance


@dataclass(frozen=True)
class Folding:
    """One way of dealing the answers into parts."""

    part: Int[np.ndarray, " rows"]
    """Of each answer."""
    words: Float[np.ndarray, "rows columns"]
    """What two classifiers of the other parts' texts say, log-odds of `positive`: for each kind of text one that gives
    every word a little weight, and for each a sparse one."""


def dealt_out(
    texts: Sequence[Sequence[str]],
    positive: Bool[np.ndarray, " rows"],
    units: Sequence[str],
    *,
    count: int = FOLDINGS,
    seed: int = 0,
) -> tuple[Folding, ...]:
    """Deal answers into parts, several times, and let each part's texts be judged by the others.

    Args:
        texts: For each kind of text, that of every row.
        positive: Label of each row.
        units: For each row its question, or group of questions.
        count: How many times.
        seed: Of the dealing.

    Returns:
        Independent of the order of the rows; empty where there are too few questions for parts.
    """
    # A fit sums over rows, and sums of the same rows in another order differ in the last digits.
    order = np.lexsort((*(np.asarray(text, dtype=str) for text in texts), positive, np.asarray(units, dtype=str)))
    dealt: list[Folding] = []
    for number in range(count):
        part = folds(units, positive, [seed, number])
        if part is None:
            return ()
        words = np.empty((positive.size, 2 * len(texts)))
        for fold, (column, (sparse, text)) in product(range(FOLDS), enumerate(product((False, True), texts))):
            train, test = order[part[order] != fold], np.flatnonzero(part == fold)
            seen, unseen = ([text[row] for row in rows.tolist()] for rows in (train, test))
            words[test, column] = fit_text(seen, positive[train], sparse=sparse)(unseen)
        dealt.append(Folding(part, words))
    return tuple(dealt)


def without_and_with(
    others: Float[np.ndarray, "rows columns"],
    score: Float[np.ndarray, " rows"],
    positive: Bool[np.ndarray, " rows"],
    units: Sequence[str],
    dealt: Sequence[Folding],
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Out-of-fold decision values of a logistic regression on some scores and on words, without and with one more.

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
        dealt: From `dealt_out` of the same rows, at least one; its words are further columns to be added to.

    Returns:
        Both per row, higher = more likely positive, the mean over foldings.

    Raises:
        FitError: A number that is not finite.
    """
    total = np.zeros((2, positive.size))
    for folding in dealt:
        total += _folded(np.column_stack([others, folding.words]), score, positive, units, folding.part)
    without, joined = total / len(dealt)
    return without, joined


def _folded(
    others: Float[np.ndarray, "rows columns"],
    score: Float[np.ndarray, " rows"],
    positive: Bool[np.ndarray, " rows"],
    units: Sequence[str],
    part: Int[np.ndarray, " rows"],
) -> Float[np.ndarray, "2 rows"]:
    """Of one folding: values without the score, and with it."""
    both = np.column_stack([others, score])
    without, joined = np.empty(positive.size), np.empty(positive.size)
    # Sums of the same rows in another order differ in the last digits; sorted, they are the same sums.
    order = np.lexsort((*both.T, positive, np.asarray(units, dtype=str)))
    for fold in range(FOLDS):
        train, test = order[part[order] != fold], part == fold
        less, more = (fit_columns(columns[train], positive[train]) for columns in (others, both))
        without[test] = less(others[test])
        joined[test] = more(both[test]) if more.weights[-1] > 0 else without[test]
    return np.stack([without, joined])
