"""Directions of each model on the held-out answers of both, by layer, and what neurons add to them where they transfer.

Both ways: directions fitted on the instruct checkpoint's training answers read the base's own answers as the instruct
probe does, and those of the base the instruct checkpoint's. Nothing here decides a verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain

import numpy as np
from jaxtyping import Float

from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.baselines.answer_baselines import FittedBaselines
from provenance.analyses.baselines.cross_fit import FOLDINGS, Folding, dealings, without_and_with
from provenance.analyses.results.transfer import DirectionLayer, DirectionTransfer
from provenance.analyses.transfer.training_variance import half_deviations, over_training_sets
from provenance.probe.l1_path import Fit
from provenance.processes.blas_threads import blas_threads
from provenance.processes.fork_join import fork_join
from provenance.records import Stage
from provenance.statistics.bootstrap import (
    BOOTSTRAP_DRAWS,
    estimate_of,
    p_not_above,
    resampled_aurocs,
    resampled_column_aurocs,
    resampled_weights,
)


@dataclass(frozen=True)
class FittedSide:
    """What was fitted on one model's training answers."""

    baselines: FittedBaselines
    """Its probe and its directions."""
    halves: Sequence[Fit]
    """The probe on halves of the training questions; empty without a search."""


@dataclass(frozen=True)
class _Read:
    """Answers of one model to one question set, both classes, as the directions of a side read them."""

    dataset: str
    fitted_on: Stage
    answers: Stage
    side: FittedSide
    test: Answers
    stream: NeuronRows
    resamples: int
    seed: int

    @cached_property
    def weights(self) -> Float[np.ndarray, "samples rows"]:
        """Resamples of questions, the same for every score."""
        return resampled_weights(self.test.features.units, draws=self.resamples, seed=self.seed)


def carried_directions(
    sides: Mapping[Stage, FittedSide],
    tests: Mapping[Stage, Mapping[str, Answers]],
    *,
    resamples: int = BOOTSTRAP_DRAWS,
    foldings: int = FOLDINGS,
    seed: int = 0,
) -> tuple[tuple[DirectionTransfer, ...], tuple[DirectionLayer, ...]]:
    """Chosen directions on the other model's answers, and those of all layers on the answers of both models.

    Args:
        sides: By the model that they were fitted on; models without a probe are missing.
        tests: Held-out answers of each model by question set, with neurons in the order of the probes'.

    Returns:
        By question set; none for answers without both classes, or where the residual stream was not read. Intervals:
        95 %, by question; gains also vary with the probe's training set, as those of the ladder do with this seed.
    """

    def of(read: _Read) -> tuple[list[DirectionTransfer], list[DirectionLayer]]:
        with blas_threads(1):
            other = read.fitted_on != read.answers
            return list(_carried(read, foldings)) if other else [], list(_by_layer(read))

    found = fork_join([partial(of, read) for read in _readings(sides, tests, resamples, seed)])
    carried, layers = zip(*found, strict=True) if found else ((), ())
    return tuple(chain.from_iterable(carried)), tuple(chain.from_iterable(layers))


def _readings(
    sides: Mapping[Stage, FittedSide], tests: Mapping[Stage, Mapping[str, Answers]], resamples: int, seed: int
) -> Iterator[_Read]:
    for dataset in next(iter(tests.values())):
        for fitted_on, side in sides.items():
            for answers, found in tests.items():
                test = found[dataset]
                stream = test.features.residual
                if stream is not None and test.both_classes:
                    yield _Read(dataset, fitted_on, answers, side, test, stream, resamples, seed)


def _by_layer(read: _Read) -> Iterator[DirectionLayer]:
    positive = read.test.features.hallucinated
    for kind, directions in read.side.baselines.directions.items():
        areas = resampled_column_aurocs(directions.scores(read.stream), positive, read.weights)
        for each, samples in zip(directions.by_layer, areas.T, strict=True):
            yield DirectionLayer(
                read.dataset, read.fitted_on, read.answers, kind, each.layer, each.left_out,
                estimate_of(samples, positive.size),
            )  # fmt: skip


def _carried(read: _Read, foldings: int) -> Iterator[DirectionTransfer]:
    features = read.test.features
    positive, units, n = features.hallucinated, features.units, len(features)
    probe = read.side.baselines.probe.scores(features.answer)
    given = resampled_aurocs(probe[:, None], positive, read.weights)
    own = over_training_sets(given, half_deviations(read.side.halves, features), read.seed)
    dealt = [dealing() for dealing in dealings((), positive, units, count=foldings, seed=read.seed)]
    for kind, directions in read.side.baselines.directions.items():
        chosen = directions.chosen
        scores = chosen.scores(read.stream)
        areas = resampled_aurocs(scores[:, None], positive, read.weights)
        added = _added(scores, probe, read, dealt)
        yield DirectionTransfer(
            read.dataset, read.fitted_on, read.answers, kind, chosen.layer, chosen.C, chosen.left_out,
            auroc=estimate_of(areas, n),
            gain=estimate_of(own - areas, n),
            p_value=p_not_above(own - areas),
            added=None if added is None else estimate_of(added, n),
            p_added=None if added is None else p_not_above(added),
        )  # fmt: skip


def _added(
    scores: Float[np.ndarray, " rows"], probe: Float[np.ndarray, " rows"], read: _Read, dealt: Sequence[Folding]
) -> Float[np.ndarray, " samples"] | None:
    """AUROC of direction and probe together minus the direction's, in each sample; None with too few questions."""
    if not dealt:
        return None
    features = read.test.features
    values = without_and_with(scores[:, None], probe, features.hallucinated, features.units, dealt)
    areas = resampled_column_aurocs(np.stack(values, axis=1), features.hallucinated, read.weights)
    return np.asarray(areas[:, 1] - areas[:, 0])
