"""What the same search finds where there is nothing to find: the probe with its labels shuffled over questions.

The one idea: a 3-vs-1 probe tells answers from other tokens as well as labels, and neurons that fire on any answer
serve the first whatever the labels are. Two checkpoints of one family have those in common, so what two searches share
by chance is what they share when the labels mean nothing, not what two random sets of neurons share.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from analyses.probe_fit import ProbeRows, fit_batches
from provenance.features import Features
from provenance.l1_path import Fit
from provenance.neuron_rows import NO_NEURONS

SHUFFLES = 50  # of each model: p < 0.05 where fewer than 3 % of pairs share as many; as many fits as a stability run


def shuffled_sets(
    rows: ProbeRows,
    features: Features,
    C: float,
    likely: Int[np.ndarray, " likely"] = NO_NEURONS,
    *,
    draws: int = SHUFFLES,
    seed: int | Sequence[int] = 0,
) -> tuple[Int[np.ndarray, " _"], ...]:
    """H-Neurons of the same search with the labels of its answers shuffled over questions.

    Args:
        rows: Of all training responses.
        features: The same responses.
        C: Of the probe whose neurons are to be judged.
        likely: Neurons to look at first; changes no result.
        draws: Shuffles.
        seed: Of the shuffles.

    Returns:
        Flat ids of the neurons with a positive weight, one array for each shuffle, the heaviest first.

    Raises:
        ConvergenceError: Rounding keeps a fit from its tolerance.
    """
    rng = np.random.default_rng(seed)
    problems = [rows.relabelled(shuffled_labels(features.hallucinated, features.units, rng)) for _ in range(draws)]
    return tuple(_heaviest_first(fit) for fit in fit_batches(rows, problems, C, likely))


def shuffled_labels(
    hallucinated: Bool[np.ndarray, " rows"], units: tuple[str, ...], rng: np.random.Generator
) -> Bool[np.ndarray, " rows"]:
    """The labels of whole questions (or groups of questions), given to other questions.

    The labels of each question stay together: they are laid end to end in a random order of the questions, over the
    rows in the order of the questions' names. Where every question has as many rows, as is the rule, each one has the
    labels of one other or its own.

    Returns:
        As many of each label as before; which depends on the names of the questions and not on the order of the rows.
    """
    _, unit, sizes = np.unique(np.asarray(units, dtype=str), return_inverse=True, return_counts=True)
    by_unit = np.argsort(unit, kind="stable")
    starts = np.cumsum(sizes) - sizes
    order = rng.permutation(sizes.size)
    laid = [by_unit[starts[number] : starts[number] + sizes[number]] for number in order]
    shuffled = np.empty_like(hallucinated)
    shuffled[by_unit] = hallucinated[np.concatenate(laid)] if laid else hallucinated
    return shuffled


def _heaviest_first(fit: Fit) -> Int[np.ndarray, " k"]:
    """Neurons with a positive weight by falling weight, ties by id."""
    positive = fit.weights > 0
    ids, weights = fit.ids[positive], fit.weights[positive]
    return np.asarray(ids[np.argsort(-weights, kind="stable")])
