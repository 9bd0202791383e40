"""Classifiers of an answer's words, or of a few numbers about it; vocabulary and scaling come from training answers."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from provenance.analyses.controls.control_probes import WEAK_C
from provenance.errors import FitError
from provenance.probe.ridge import balanced, fit_ridge, standardising

TextScorer = Callable[[Sequence[str]], Float[np.ndarray, " rows"]]
"""Maps texts to decision values: the log-odds of `hallucinated`."""
RowScorer = Callable[[Int[np.ndarray, " rows"]], Float[np.ndarray, "rows models"]]
"""The same for rows of texts whose words were counted, one column per classifier."""

WORD = r"(?u)\b\w+\b"  # scikit-learn's own pattern drops words of one character: "5", and much of Chinese
NGRAMS = (1, 2)  # "how many" and "in which" say more about a question's kind than their words alone
TEXT_C = 1.0  # TF-IDF rows of all texts have length 1, so scikit-learn's default means the same everywhere
DENSE: Mapping[str, Any] = {"max_iter": 1000}  # L-BFGS takes 10 to 50 on rows of length 1
SPARSE: Mapping[str, Any] = {"max_iter": 1000, "solver": "liblinear", "l1_ratio": 1.0, "random_state": 0}


@dataclass(frozen=True)
class ColumnScorer:
    """Maps rows of numbers to decision values."""

    mean: Float[np.ndarray, " columns"]
    """Mean over training answers."""
    inverse: Float[np.ndarray, " columns"]
    """1 / SD over training answers; 0 for a constant column."""
    weights: Float[np.ndarray, " columns"]
    """Log-odds of `hallucinated` per SD."""
    intercept: float
    """Log-odds at the mean."""

    def __call__(self, unseen: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " rows"]:
        """Log-odds of `hallucinated` at equal class frequencies."""
        # A sum per row, not a matrix product: equal rows must tie, wherever they stand.
        return np.asarray(((unseen - self.mean) * self.inverse * self.weights).sum(axis=1) + self.intercept)


def fit_text(texts: Sequence[str], labels: Bool[np.ndarray, " rows"], *, sparse: bool = False) -> TextScorer:
    """Logistic regression on TF-IDF of words and pairs of words.

        min_{theta, b}  TEXT_C * sum_i v_i log(1 + exp(-y_i (theta . u_i + b))) + |theta|_2^2 / 2
        sparse:                                                                 ... + |theta|_1 (and |b|)

    u_i is the TF-IDF row of a training text with sublinear counts (1 + log count: a repeated word is no second piece of
    evidence) and length 1; v_i gives both classes equal weight, since test sets are balanced and training answers need
    not be. A text without a known word gets b; if no training text has any word, all get 0.

    `sparse`: few words with a weight instead of small weights for all. A single telling word then makes up nearly the
    whole decision (correlation 0.98 instead of 0.88, over 160 short texts with 25 uninformative words), so that no
    other score can add to it by knowing that word better.

    Raises:
        FitError: One class only.
    """
    _check_classes(labels)
    counter, counts = _counted(texts)
    if not counts.shape[1]:
        return _undecided
    return partial(_decide, counter, _fit_counts(counts, labels, (sparse,), TEXT_C))


def _undecided(texts: Sequence[str]) -> Float[np.ndarray, " rows"]:
    return np.zeros(len(texts))


def _decide(counter: CountVectorizer, score: "CountScorer", texts: Sequence[str]) -> Float[np.ndarray, " rows"]:
    return score(counter.transform(texts))[:, 0] if texts else np.empty(0)


@dataclass(frozen=True)
class CountedTexts:
    """Texts whose words and pairs of words are counted once, for fits on any of their rows."""

    counts: csr_matrix
    """[texts, terms]; terms in the order of the alphabet."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> "CountedTexts":
        """Counts the words of each text."""
        return cls(_counted(texts)[1])

    def fit_twice(
        self, rows: Int[np.ndarray, " train"], labels: Bool[np.ndarray, " train"], *, stand_for: int
    ) -> RowScorer:
        """`fit_text` and its sparse form on the texts of some rows, one column for each.

        The penalty is that of a set of `stand_for` texts of which these are a part, so that fits on parts of different
        sizes keep similar numbers of words and the same scale.

        Raises:
            FitError: One class only.
        """
        _check_classes(labels)
        train = self.counts[rows]
        known = np.flatnonzero(train.getnnz(axis=0))
        if not known.size:
            return lambda unseen: np.zeros((len(unseen), 2))
        score = _fit_counts(train[:, known], labels, (False, True), TEXT_C * stand_for / len(rows))
        return lambda unseen: score(self.counts[unseen][:, known])


def _counted(texts: Sequence[str]) -> tuple[CountVectorizer, csr_matrix]:
    """What counts words that these texts have, and their counts; without a column where none has any."""
    counter = CountVectorizer(token_pattern=WORD, ngram_range=NGRAMS, dtype=np.float64)
    words_of = counter.build_analyzer()
    if not any(words_of(text) for text in texts):
        return counter, csr_matrix((len(texts), 0))
    counts = counter.fit_transform(texts)
    counts.sort_indices()  # as in counts of later texts: sums in another order differ in the last digits
    return counter, counts


@dataclass(frozen=True)
class CountScorer:
    """Maps counted words to decision values, one column per classifier."""

    weighting: TfidfTransformer
    models: Sequence[LogisticRegression]

    def __call__(self, counts: csr_matrix) -> Float[np.ndarray, "rows models"]:
        """Log-odds of `hallucinated` at equal class frequencies."""
        if not counts.shape[0]:
            return np.empty((0, len(self.models)))
        rows = self.weighting.transform(counts)
        return np.stack([model.decision_function(rows) for model in self.models], axis=1).astype(np.float64)


def _fit_counts(counts: csr_matrix, labels: Bool[np.ndarray, " rows"], sparse: Sequence[bool], C: float) -> CountScorer:
    weighting = TfidfTransformer(sublinear_tf=True)
    rows = weighting.fit_transform(counts)
    models = [LogisticRegression(C=C, class_weight="balanced", **(SPARSE if each else DENSE)) for each in sparse]
    with warnings.catch_warnings():
        # Liblinear may never converge in the last digits: decisions after 1,000 and 100,000 rounds are the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for model in models:
            model.fit(rows, labels)
    return CountScorer(weighting, models)


def fit_columns(columns: Float[np.ndarray, "rows columns"], labels: Bool[np.ndarray, " rows"]) -> ColumnScorer:
    """Nearly unregularised logistic regression on a few numbers, with equal weight of both classes.

    Columns are standardised with their own mean and SD; a column that is constant in training has no weight.

    Raises:
        FitError: One class only, or a number that is not finite.
    """
    _check_classes(labels)
    if not np.isfinite(columns).all():
        raise FitError("finite numbers about the training answers", found="NaN or infinity", remedy="recompute them")
    wide = columns.astype(np.float64)
    mean, inverse = standardising(wide)
    return ColumnScorer(mean, inverse, *fit_ridge((wide - mean) * inverse, labels, WEAK_C, balanced(labels)))


def _check_classes(labels: Bool[np.ndarray, " rows"]) -> None:
    if labels.all() or not labels.any():
        raise FitError(
            "faithful and hallucinated training answers",
            found=f"{int(labels.sum())} hallucinated of {labels.size}",
            remedy="ask more questions, or easier and harder ones",
        )
