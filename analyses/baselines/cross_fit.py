"""Whether a score adds to other scores, tested on answers that had no part in the fit of the weights.

Weights fitted on answers that the classifiers were fitted on would trust them too much. So weights are fitted on the
scored answers, in folds by question, and word classifiers cross-fitted once more within the other folds: no label of a
scored fold reaches anything that its weights were fitted on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.analyses.baselines.plain_classifiers import CountedTexts, fit_columns
from provenance.analyses.controls.question_folds import FOLDS, folds
from provenance.processes.blas_threads import blas_threads

FOLDINGS = 10  # averaged, as p of 25 single foldings of one set of answers lay between 0.024 and 0.072


@dataclass(frozen=True)
class Folding:
    """One partition of the answers into folds."""

    part: Int[np.ndarray, " rows"]
    """Fold of each answer."""
    words: Float[np.ndarray, "folds rows columns"]
    """Per fold, log-odds of `positive` from word classifiers that saw none of its labels. The fold's own rows are
    scored by classifiers of all other folds, rows of another fold by classifiers of the remaining ones. Two columns per
    kind of text: dense and sparse.
    """

    def without_words(self) -> "Folding":
        """The same partition for scores that no words are added to."""
        return replace(self, words=self.words[:, :, :0])


def dealings(
    texts: Sequence[Sequence[str]],
    positive: Bool[np.ndarray, " rows"],
    units: Sequence[str],
    *,
    count: int = FOLDINGS,
    seed: int = 0,
) -> list[Callable[[], Folding]]:
    """Partitions of answers into folds, each fold's texts scored with classifiers of the others; a piece of work each.

    One fit per pair of folds leaves both out: it scores the rows of one where the other is the scored fold. `texts` has
    every row's text for each kind; `units` are questions, or groups of questions. Independent of the order of the rows;
    empty with too few questions for folds.
    """
    # Sorted, because sums of the same rows in another order differ in the last digits.
    order = np.lexsort((*(np.asarray(text, dtype=str) for text in texts), positive, np.asarray(units, dtype=str)))
    parts = [part for number in range(count) if (part := folds(units, positive, [seed, number])) is not None]
    counted = [CountedTexts.of(text) for text in texts] if parts else []
    return [partial(_scored_in, part, counted, positive, order) for part in parts]


@blas_threads(1)
def _scored_in(
    part: Int[np.ndarray, " rows"],
    counted: Sequence[CountedTexts],
    positive: Bool[np.ndarray, " rows"],
    order: Int[np.ndarray, " rows"],
) -> Folding:
    """A partition with the words of each fold scored; classifiers are fitted on rows in this order."""
    words = np.empty((FOLDS, positive.size, 2 * len(counted)))
    for left_out in combinations_with_replacement(range(FOLDS), 2):
        train = order[~np.isin(part[order], left_out)]
        for column, each in enumerate(counted):
            judge = each.fit_twice(train, positive[train], stand_for=positive.size)
            for scored, other in {left_out, left_out[::-1]}:
                rows = np.flatnonzero(part == other)
                words[scored, rows, 2 * column : 2 * column + 2] = judge(rows)
    return Folding(part, words)


def without_and_with(
    others: Float[np.ndarray, "rows columns"],
    score: Float[np.ndarray, " rows"],
    positive: Bool[np.ndarray, " rows"],
    units: Sequence[str],
    dealt: Sequence[Folding],
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Out-of-fold decision values of a logistic regression on words and other scores, without and with one more score.

    Choice: decision values of all folds are pooled. Intercepts could shift folds against each other (a fold with fewer
    positive rows is scored by a fit on more of them, which pulls a pooled AUROC below 0.5 where nothing is known). So
    folds have equal proportions of classes, and both classes weigh the same in every fit, for an intercept of even
    odds. Columns are standardised on the rows of the fit. Word scores of these rows come from fits on fewer rows than
    the scored fold's; the latter are clipped to the range of the former, so that words found only in the larger part do
    not turn into noise.

    Choice: the direction of the score is part of its claim. If a fold's fit reverses it, the rows of that fold keep
    their values without the score.

    Args:
        others: Columns of the other scores; the words of `dealt` are added.
        score: Claimed to be higher for more likely positive rows.
        dealt: By `dealings` of the same rows, at least one.

    Returns:
        Both per row, higher = more likely positive, averaged over partitions.

    Raises:
        FitError: A number that is not finite.
    """
    total = np.zeros((2, positive.size))
    for folding in dealt:
        total += _folded(others, score, positive, units, folding)
    without, joined = total / len(dealt)
    return without, joined


def _folded(
    others: Float[np.ndarray, "rows columns"],
    score: Float[np.ndarray, " rows"],
    positive: Bool[np.ndarray, " rows"],
    units: Sequence[str],
    folding: Folding,
) -> Float[np.ndarray, "2 rows"]:
    without, joined = np.empty(positive.size), np.empty(positive.size)
    for fold, words in enumerate(folding.words):
        test = folding.part == fold
        seen = words[~test]
        plain = np.column_stack([others, np.clip(words, seen.min(axis=0), seen.max(axis=0))])
        both = np.column_stack([plain, score])
        # Sorted, because sums of the same rows in another order differ in the last digits.
        order = np.lexsort((*both.T, positive, np.asarray(units, dtype=str)))
        train = order[~test[order]]
        less, more = (fit_columns(columns[train], positive[train]) for columns in (plain, both))
        without[test] = less(plain[test])
        joined[test] = more(both[test]) if more.weights[-1] > 0 else without[test]
    return np.stack([without, joined])
