"""The values of C to choose from, each scored by repeated cross-validation over whole questions.

A single split of a few hundred answers makes the choice a lottery: the same answers, split ten times, gave 6 to 38
H-Neurons. All folds, and the fit on all answers, go along the path together, each from its own last solution, and share
passes over the neurons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median_low

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.activations.features import Features
from provenance.analyses.controls.question_folds import FOLDS, MIN_PER_FOLD, folds, questions_per_class
from provenance.analyses.results.probes import PathPoint
from provenance.analyses.search.probe_fit import ProbeRows
from provenance.analyses.search.stability import LIKELY
from provenance.errors import ConvergenceError
from provenance.probe.l1_path import Fit
from provenance.statistics.auroc import auroc

REPEATS = 4  # of all folds: repeated six times, the choice then was the same in both lab families
Suppressed = Callable[[list[Int[np.ndarray, " _"]]], Float[np.ndarray, " sets"]]
"""Accuracy of the model on validation questions with each set of neurons silenced."""


def left_out(features: Features, repeats: int, seed: int) -> list[Bool[np.ndarray, " responses"]] | None:
    """Masks of the responses that each fit leaves out, repetition after repetition; None with too few questions.

    Every response is left out once a repetition.
    """
    masks: list[Bool[np.ndarray, " responses"]] = []
    for repeat in range(repeats):
        dealt = folds(features.units, features.hallucinated, [seed, repeat])
        if dealt is None:
            return None
        masks += [np.asarray(dealt == fold) for fold in range(FOLDS)]
    return masks


@dataclass(frozen=True)
class Walked:
    """A path of ascending values of C."""

    points: tuple[PathPoint, ...]
    """Scores of left-out responses; empty if none were left out."""
    fits: tuple[tuple[Fit, Int[np.ndarray, " likely"]], ...]
    """The fit on all responses, and the neurons with the largest gradients there."""


def walk(
    rows: ProbeRows,
    hallucinated: Bool[np.ndarray, " responses"],
    grid: Sequence[float],
    masks: Sequence[Bool[np.ndarray, " responses"]],
    wanted: float | None,
) -> Walked:
    """The fits on all responses and without each of the masked parts, with their scores of it, along ascending C.

    A fit without a part uses C times (all responses / its responses), so that its penalty per row is that of a fit on
    all of them. Choice: the path ends where most of these fits have H-Neurons and separate their rows (as any larger C
    does), though not before `wanted`; and where rounding ends convergence, behind which only `wanted` is fitted.

    Raises:
        ConvergenceError: All responses at the wanted C.
    """
    whole, parts = rows.problem(np.ones_like(hallucinated)), [~mask for mask in masks]
    path = rows.path([whole, *(rows.problem(part) for part in parts)])
    scale = [part.size / int(part.sum()) for part in parts]
    points: list[PathPoint] = []
    found: list[tuple[Fit, Int[np.ndarray, " likely"]]] = []
    for C in grid if masks else ():
        try:
            fit, *fits = path.fit([C, *(C * factor for factor in scale)])
        except ConvergenceError:
            break
        found.append((fit, path.steepest(LIKELY)))
        points.append(_point(C, fits, rows, hallucinated, masks))
        done = sum(fit.separates and bool((fit.weights > 0).any()) for fit in fits)
        if 2 * done > len(fits) and (wanted is None or wanted <= C):
            break
    if wanted is not None and wanted not in [fit.C for fit, _ in found]:
        alone = rows.path([whole])
        found.append((alone.fit([wanted])[0], alone.steepest(LIKELY)))
    return Walked(tuple(points), tuple(found))


def _point(
    C: float,
    fits: Sequence[Fit],
    rows: ProbeRows,
    hallucinated: Bool[np.ndarray, " responses"],
    masks: Sequence[Bool[np.ndarray, " responses"]],
) -> PathPoint:
    """Accuracy over all left-out answers together, AUROC as the mean over fits: their scores have no common scale."""
    right: list[Bool[np.ndarray, " answers"]] = []
    areas: list[float] = []
    for fit, mask in zip(fits, masks, strict=True):
        scores = rows.answer_scores(fit, mask)
        right.append((scores > 0) == hallucinated[mask])
        areas.append(auroc(scores, hallucinated[mask]))
    labels = np.concatenate([hallucinated[mask] for mask in masks])
    sizes = [int((fit.weights > 0).sum()) for fit in fits]
    return PathPoint(
        C=C,
        positive=median_low(sizes),
        fewest=min(sizes),
        most=max(sizes),
        nonzero=median_low([fit.ids.size for fit in fits]),
        validation_accuracy=balanced_accuracy(np.concatenate(right), labels),
        validation_auroc=float(np.mean(areas)),
        suppressed_accuracy=None,
        gap=max(fit.gap for fit in fits),
        violation=max(fit.violation for fit in fits),
    )


def balanced_accuracy(right: Bool[np.ndarray, " rows"], positive: Bool[np.ndarray, " rows"]) -> float:
    """Mean of both classes' shares of right predictions, which is the accuracy on a balanced set."""
    return float((right[positive].mean() + right[~positive].mean()) / 2)


def too_few_questions(features: Features) -> str:
    """Why there are no folds, in words."""
    counts = " and ".join(f"{n} independent groups with {label}" for label, n in questions_per_class(features).items())
    return (
        f"{counts} training answers; the choice of C needs at least {MIN_PER_FOLD * FOLDS} of each: give more questions"
    )


def suppressed_along(
    path: Sequence[PathPoint], rows: ProbeRows, used: Bool[np.ndarray, " responses"], suppressed: Suppressed
) -> tuple[PathPoint, ...]:
    """Adds the model's accuracy without the H-Neurons of a fit on some responses, at each C.

    These are responses to training questions, so that the validation questions asked had no part in the fit. None for a
    fit without H-Neurons, and from where rounding ends convergence on.
    """
    fits, factor = rows.path([rows.problem(used)]), used.size / int(used.sum())
    sets: list[Int[np.ndarray, " _"]] = []
    for point in path:
        try:
            [fit] = fits.fit([point.C * factor])
        except ConvergenceError:
            break
        sets.append(fit.ids[fit.weights > 0])
    asked = [number for number, ids in enumerate(sets) if ids.size]
    accuracies = dict(zip(asked, suppressed([sets[number] for number in asked]).tolist(), strict=True))
    return tuple(replace(point, suppressed_accuracy=accuracies.get(place)) for place, point in enumerate(path))
