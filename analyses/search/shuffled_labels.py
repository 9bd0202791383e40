"""Null of overlap and of transfer: the same search with labels shuffled over questions.

A 3-vs-1 probe also finds neurons that fire on any answer. Checkpoints of one family share them, and one of them may
tell right answers from wrong ones. So chance is what searches with meaningless labels share and read.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.search.probe_fit import ProbeRows, fit_batches
from provenance.probe.l1_path import Fit

SHUFFLED_SEARCHES = 100  # p < 0.05 if at most 4 of them share as many; as many fits as a stability run


def shuffled_fits(
    rows: ProbeRows,
    labels: Sequence[Bool[np.ndarray, " responses"]],
    C: float,
    likely: Int[np.ndarray, " likely"] = NO_NEURONS,
) -> tuple[Fit, ...]:
    """The same search with shuffled labels, at the C of the probe under test: one fit per labelling.

    Trying `likely` neurons first changes no result.

    Raises:
        ConvergenceError: Rounding keeps a fit from its tolerance.
    """
    return tuple(fit_batches(rows, [rows.relabelled(shuffled) for shuffled in labels], C, likely))


def found_in(fit: Fit) -> Int[np.ndarray, " ranked"]:
    """The H-Neurons of a fit: flat ids of its positive weights, largest first."""
    positive = fit.weights > 0
    ids, weights = fit.ids[positive], fit.weights[positive]
    return ids[np.argsort(-weights, kind="stable")]


def shuffled_jointly(
    models: Sequence[Features], *, draws: int = SHUFFLED_SEARCHES, seed: int | Sequence[int] = 0
) -> tuple[tuple[Bool[np.ndarray, " rows"], ...], ...]:
    """Labels of several models' answers, shuffled over questions in the same way for all models.

    Models that answer the same question are mostly right on the same ones, so chance associations with the labels occur
    in both and both searches find them; separate shuffles would lose that. So the questions (or groups of questions)
    that all models answered are put into one random order, and their labels laid end to end over the rows; likewise,
    among themselves, questions that only some models answered. For a single model this shuffles labels by whole
    questions or groups. Each model has one answer per question.

    Returns:
        Labels by model in the order of its rows, one array per shuffle, with as many of each label as before. Agreement
        between models is kept if a question has as many rows in each of them, and otherwise partly lost. Labels
        determined by which models answered stay in place, so that a search finds its own neurons again: the safe side.
        Independent of the order of the rows.
    """
    names = sorted({unit for features in models for unit in features.units})
    blocks = [_blocks(features, names) for features in models]
    answered = np.array([[bool(block.size) for block in each] for each in blocks]).T  # question x model
    groups = [np.flatnonzero((answered == pattern).all(axis=1)) for pattern in np.unique(answered, axis=0)]
    rng = np.random.default_rng(seed)
    found: tuple[list[Bool[np.ndarray, " rows"]], ...] = tuple([] for _ in models)
    for _ in range(draws):
        sources = [rng.permutation(group) for group in groups]
        for features, each, labels in zip(models, blocks, found, strict=True):
            shuffled = np.empty_like(features.hallucinated)
            for group, source in zip(groups, sources, strict=True):
                rows, others = (np.concatenate([each[number] for number in order]) for order in (group, source))
                shuffled[rows] = features.hallucinated[others]
            labels.append(shuffled)
    return tuple(tuple(labels) for labels in found)


def _blocks(features: Features, names: Sequence[str]) -> list[Int[np.ndarray, " _"]]:
    """Rows of each question or group, by question id; empty if the model did not answer it."""
    rows: dict[str, list[int]] = {name: [] for name in names}
    for _, row in sorted((question, row) for row, question in enumerate(features.question_ids)):
        rows[features.units[row]].append(row)
    return [np.array(rows[name], dtype=np.int64) for name in names]
