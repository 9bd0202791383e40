"""Directions in the residual stream that tell hallucinated answers: the usual linear rival of sparse neurons.

    mean_difference       w_l = mean of r_l over hallucinated answers - mean over faithful ones
    residual_regression   min_{w,b}  C * sum_i v_i log(1 + exp(-y_i (w . u_i + b))) + |w|^2 / 2,
                          u_i = (r_l,i - mean) / SD by coordinate, v_i: both classes weigh the same

r_l is an answer's mean residual stream behind block l (`provenance.activations.reading.Reader`). Fitted on one model's
training answers and carried over as the probe is: weights unchanged, for r_l as it is. Choice: layer and C are those
with the highest AUROC of left-out training questions, the mean over folds; among equals the first layer and the
strongest penalty. No test answer, and no answer of the other model, has a part in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.controls.question_folds import FOLDS, folds
from provenance.probe.ridge import balanced, ridge_path, standardising
from provenance.processes.blas_threads import blas_threads
from provenance.statistics.auroc import auroc
from provenance.words import DIRECTIONS

# In units of standardised coordinates, of which there are more than answers: weaker penalties all separate the classes.
CANDIDATES_C = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
SMALL = 1 << 21  # numbers of a layer; products of fewer are slower on several threads, twenty times on a busy machine
MEAN_DIFFERENCE, RESIDUAL_REGRESSION = DIRECTIONS


@dataclass(frozen=True)
class Direction:
    """A line in the residual stream of one layer."""

    layer: int
    """Block behind which it is read, from 0."""
    weights: Float64[np.ndarray, " d"]
    """Per unit of the residual stream; higher = more likely hallucinated."""
    intercept: float
    """Makes decision values of 0 even odds on training answers."""
    C: float | None
    """Inverse strength of the penalty; None without one."""
    left_out: float
    """AUROC on left-out training questions, mean over folds."""

    def scores(self, stream: NeuronRows) -> Float64[np.ndarray, " rows"]:
        """Decision values of answers, by their residual stream behind all blocks."""
        size = self.weights.size
        values = stream.stored(slice(self.layer * size, (self.layer + 1) * size))
        # A sum per row, not a matrix product: equal rows must tie, wherever they stand.
        return np.asarray((values * self.weights).sum(axis=1) + self.intercept, dtype=np.float64)


@dataclass(frozen=True)
class Directions:
    """Directions of one kind, one a layer."""

    by_layer: tuple[Direction, ...]

    @property
    def chosen(self) -> Direction:
        """The one that tells left-out training questions best, the first among equals."""
        return max(self.by_layer, key=lambda each: each.left_out)

    def scores(self, stream: NeuronRows) -> Float64[np.ndarray, "rows layers"]:
        """Decision values of answers, one column a layer."""
        return np.stack([each.scores(stream) for each in self.by_layer], axis=1)


def fit_directions(train: Features, layers: int) -> Mapping[str, Directions]:
    """Directions of both kinds behind each block, by kind; none where the stream was not read or questions are too few.

    Args:
        train: Training answers of the model, both classes.
        layers: Blocks of the model.
    """
    part = folds(train.units, train.hallucinated, 0)
    if train.residual is None or part is None:
        return {}
    # By name, because sums of the same rows in another order differ in the last digits.
    order = np.argsort(np.asarray(train.question_ids, dtype=str), kind="stable")
    stream, labels, part = train.residual.take(order), train.hallucinated[order], part[order]
    size = stream.shape[1] // layers
    found: dict[str, list[Direction]] = {kind: [] for kind in DIRECTIONS}
    with blas_threads(1 if len(stream) * size < SMALL else None):
        for layer in range(layers):
            rows = stream.stored(slice(layer * size, (layer + 1) * size)).astype(np.float64)
            found[MEAN_DIFFERENCE].append(_difference(layer, rows, labels, part))
            found[RESIDUAL_REGRESSION].append(_regression(layer, rows, labels, part))
    return {kind: Directions(tuple(each)) for kind, each in found.items()}


def _difference(
    layer: int, rows: Float64[np.ndarray, "rows d"], labels: Bool[np.ndarray, " rows"], part: Int[np.ndarray, " rows"]
) -> Direction:
    areas = [auroc(rows[~seen] @ _between(rows[seen], labels[seen])[0], labels[~seen]) for seen in _kept(part)]
    return Direction(layer, *_between(rows, labels), C=None, left_out=float(np.mean(areas)))


def _between(
    rows: Float64[np.ndarray, "rows d"], labels: Bool[np.ndarray, " rows"]
) -> tuple[Float64[np.ndarray, " d"], float]:
    """Difference of the class means, and the intercept of the plane halfway between them."""
    upper, lower = rows[labels].mean(axis=0), rows[~labels].mean(axis=0)
    weights = upper - lower
    return weights, float(-weights @ (upper + lower) / 2)


def _regression(
    layer: int, rows: Float64[np.ndarray, "rows d"], labels: Bool[np.ndarray, " rows"], part: Int[np.ndarray, " rows"]
) -> Direction:
    areas = np.empty((FOLDS, len(CANDIDATES_C)))
    for fold, seen in enumerate(_kept(part)):
        for place, (weights, _) in enumerate(_penalised(rows[seen], labels[seen], CANDIDATES_C)):
            areas[fold, place] = auroc(rows[~seen] @ weights, labels[~seen])
    means = areas.mean(axis=0)
    best = int(means.argmax())
    *_, last = _penalised(rows, labels, CANDIDATES_C[: best + 1])
    return Direction(layer, *last, C=CANDIDATES_C[best], left_out=float(means[best]))


def _kept(part: Int[np.ndarray, " rows"]) -> Iterator[Bool[np.ndarray, " rows"]]:
    """Rows of all folds but one, for each fold."""
    yield from (part != fold for fold in range(FOLDS))


def _penalised(
    rows: Float64[np.ndarray, "rows d"], labels: Bool[np.ndarray, " rows"], Cs: Sequence[float]
) -> Iterator[tuple[Float64[np.ndarray, " d"], float]]:
    """Weights and intercept for rows as they are at each C, ascending; each fit starts at the solution before it."""
    mean, inverse = standardising(rows)
    for theta, intercept in ridge_path((rows - mean) * inverse, labels, Cs, balanced(labels)):
        weights = theta * inverse
        yield weights, float(intercept - weights @ mean)
