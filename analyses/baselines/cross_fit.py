"""Whether a score adds to others, asked on answers that took no part in weighing them.

The one idea: on the answers that the classifiers were fitted on, their scores look better than they are, and
a model that weighs them there would trust them too much. So the weighing is fitted on the scored
answers themselves, question by question in parts, and every answer is scored by weights from the other parts.
What words say in these answers is learnt in the same way, and within the other parts once more: where a part is
scored, none of its labels has reached anything that its weights were fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.analyses.baselines.plain_classifiers import fit_columns, fit_text_twice
from provenance.analyses.controls.question_folds import FOLDS, folds

FOLDINGS = 10  # of 25 foldings of one set of answers, p lay between 0.024 and 0.072; which it was must not be chance


@dataclass(frozen=True)
class Folding:
    """One way of dealing the answers into parts."""

    part: Int[np.ndarray, " rows"]
    """Of each answer."""
    words: Float[np.ndarray, "folds rows columns"]
    """For each part what texts say to classifiers that know none of its labels, log-odds of `positive`: its own rows to
    those fitted on all other parts, rows of another part to those fitted on the remaining ones. Two for each
    kind of text, one that gives every word a little weight and a sparse one."""


def dealt_out(
    texts: Sequence[Sequence[str]],
    positive: Bool[np.ndarray, " rows"],
    units: Sequence[str],
    *,
    count: int = FOLDINGS,
    seed: int = 0,
) -> tuple[Folding, ...]:
    """Deal answers into parts, several times, and let each part's texts be judged by the others.

    One fit for each pair of parts leaves both out: it judges the rows of one where the other is to be scored.

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
        words = np.empty((FOLDS, positive.size, 2 * len(texts)))
        for left_out in combinations_with_replacement(range(FOLDS), 2):
            train = order[~np.isin(part[order], left_out)]
            for column, text in enumerate(texts):
                seen = [text[row] for row in train.tolist()]
                judge = fit_text_twice(seen, positive[train], stand_for=positive.size)
                for scored, other in {left_out, left_out[::-1]}:
                    rows = np.flatnonzero(part == other)
                    words[scored, rows, 2 * column : 2 * column + 2] = judge([text[row] for row in rows.tolist()])
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
    Word scores of these rows are by fits on fewer rows than those of the fold itself; where the latter lie beyond all
    of the former, the most extreme of the former is taken, or a classifier that found no word in the smaller part would
    make noise of any that it finds in the larger.

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
    """Of one folding: values without the score, and with it."""
    without, joined = np.empty(positive.size), np.empty(positive.size)
    for fold, words in enumerate(folding.words):
        test = folding.part == fold
        seen = words[~test]
        plain = np.column_stack([others, np.clip(words, seen.min(axis=0), seen.max(axis=0))])
        both = np.column_stack([plain, score])
        # Sums of the same rows in another order differ in the last digits; sorted, they are the same sums.
        order = np.lexsort((*both.T, positive, np.asarray(units, dtype=str)))
        train = order[~test[order]]
        less, more = (fit_columns(columns[train], positive[train]) for columns in (plain, both))
        without[test] = less(plain[test])
        joined[test] = more(both[test]) if more.weights[-1] > 0 else without[test]
    return np.stack([without, joined])
