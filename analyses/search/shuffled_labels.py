"""What the same search finds where there is nothing to find: the probe with its labels shuffled over questions.

The one idea: a 3-vs-1 probe tells answers from other tokens as well as labels, and neurons that fire on any answer
serve the first whatever the labels are. Two checkpoints of one family have those in common, so what two searches share
by chance is what they share when the labels mean nothing, not what two random sets of neurons share.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.search.probe_fit import ProbeRows, fit_batches

SHUFFLED_SEARCHES = 100  # p < 0.05 where at most 4 of them share as many; as many fits as a stability run


def shuffled_sets(
    rows: ProbeRows,
    labels: Sequence[Bool[np.ndarray, " responses"]],
    C: float,
    likely: Int[np.ndarray, " likely"] = NO_NEURONS,
) -> tuple[Int[np.ndarray, " _"], ...]:
    """H-Neurons of the same search with other labels.

    Args:
        rows: Of all training responses.
        labels: Of the same responses, shuffled, an array for each search.
        C: Of the probe whose neurons are to be judged.
        likely: Neurons to look at first; changes no result.

    Returns:
        Flat ids of the neurons with a positive weight, one array for each search, the heaviest first.

    Raises:
        ConvergenceError: Rounding keeps a fit from its tolerance.
    """
    problems = [rows.relabelled(shuffled) for shuffled in labels]
    probes = (rows.probe(fit) for fit in fit_batches(rows, problems, C, likely))
    return tuple(heaviest_first(probe.h_neurons, probe.weights) for probe in probes)


def shuffled_jointly(
    models: Sequence[Features], *, draws: int = SHUFFLED_SEARCHES, seed: int | Sequence[int] = 0
) -> tuple[tuple[Bool[np.ndarray, " rows"], ...], ...]:
    """Labels of several models' answers, given to other questions, the same ones in all models.

    Two models that answer the same question do alike things, and are mostly right on the same questions. Whatever
    goes with the labels by chance then does so in both, and both searches find it. Labels that were shuffled in each
    model by itself would lose that. So the questions (or groups of questions) that all models answered are put into a
    random order, the same for all, and their labels laid end to end over their rows; likewise those that only some
    answered, among themselves.

    Args:
        models: Answers of each, one to a question. Of one model alone these are labels shuffled by whole questions (or
            groups of them).
        draws: Shuffles.
        seed: Of the shuffles.

    Returns:
        For each model its labels in the order of its rows, an array for each shuffle; as many of each label as before.
        Models agree on as many questions as before where a question has as many rows in each of them; where it has
        not, rows fall out of step, and agreement is lost in part. Labels that go entirely with which models answered
        stay where they are, so that a search finds its own neurons again: the safe side. Depends on the names of
        questions alone, and not on the order of the rows.
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
    """The rows of each question, or group of questions, by question id; none where the model did not answer it."""
    rows: dict[str, list[int]] = {name: [] for name in names}
    for _, row in sorted((question, row) for row, question in enumerate(features.question_ids)):
        rows[features.units[row]].append(row)
    return [np.array(rows[name], dtype=np.int64) for name in names]


def heaviest_first(
    ids: Int[np.ndarray, " k"], weights: Float[np.ndarray, " neurons"] | None
) -> Int[np.ndarray, " ranked"]:
    """Neurons by falling probe weight, ties in the order that they come in; none without weights."""
    return ids[:0] if weights is None else np.asarray(ids[np.argsort(-weights[ids], kind="stable")])
