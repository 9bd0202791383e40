"""Rules that choose C: by cross-validation, by the paper's rule, or fixed. Test answers never take part."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from provenance.analyses.results.probes import PathPoint
from provenance.errors import SplitError
from provenance.records import Label, Split

Rule = Literal["one-se", "paper", "fixed"]


def choose_c(rule: Rule, path: Sequence[PathPoint], answers: Mapping[Label, int], fixed: float | None) -> float | None:
    """C chosen from path points, C ascending; None if no point has a positive weight, unless C is fixed."""
    if rule == "fixed":
        return fixed
    usable = [point for point in path if point.positive > 0]
    if rule == "paper":
        usable = [point for point in usable if point.suppressed_accuracy is not None] or usable
    if not usable:
        return None
    return sparsest_within_one_se(usable, answers) if rule == "one-se" else best_by_paper(usable)


def sparsest_within_one_se(path: Sequence[PathPoint], answers: Mapping[Label, int]) -> float:
    """The smallest C whose balanced cross-validated accuracy is within one standard error of the best.

        SE = sqrt(p (1 - p) (1 / n_faithful + 1 / n_hallucinated) / 4),   p the accuracy in both classes

    A few hundred answers cannot distinguish such probes; the maximum would select ten times as many neurons.
    Points have H-Neurons, C ascending. Source: the one-standard-error rule of Breiman et al. 1984, Sec. 3.4.3. Choice:
    answers count as independent, also within a group of questions; the rule needs a scale, not an interval.
    """
    best = max(point.validation_accuracy for point in path)
    spread = sum(1 / n for n in answers.values()) / 4
    bar = best - float(np.sqrt(best * (1 - best) * spread))
    return next(point.C for point in path if point.validation_accuracy >= bar)


def best_by_paper(path: Sequence[PathPoint]) -> float:
    """The C with the largest sum of held-out accuracy and model accuracy with these H-Neurons suppressed.

    Points have H-Neurons and suppressed accuracies, C ascending; the smallest C wins ties. Source: Gao et al. 2025,
    arXiv:2512.01797, Sec. 6.1.3. Choice: the first cross-validated, the second on validation questions.
    """

    def score(point: PathPoint) -> float:
        if point.suppressed_accuracy is None:
            raise ValueError("the paper's rule needs the accuracy with each probe's H-Neurons suppressed")
        return point.validation_accuracy + point.suppressed_accuracy

    best = max(score(point) for point in path)
    return next(point.C for point in path if score(point) == best)


def refuse_test_answers(splits: Iterable[Split], chosen_by: Iterable[str], tested: Iterable[str]) -> None:
    """Refuses to choose C on test answers, given the splits and units used, and the units of held-out answers.

    Raises:
        SplitError: A test answer is among them, or a question is on both sides.
    """
    strange = sorted(set(splits) - {"train", "validation"})
    if strange:
        raise SplitError(
            "training and validation answers to fit and choose C by",
            found=f"answers of the split {strange[0]!r}",
            remedy="leave out test answers, which must not choose C",
        )
    shared = sorted(set(chosen_by) & set(tested))
    if shared:
        raise SplitError(
            "test questions that had no part in choosing C",
            found=f"{len(shared)} questions on both sides, {shared[0]!r} among them",
            remedy="split by question before anything is fitted (`split_questions`)",
        )
