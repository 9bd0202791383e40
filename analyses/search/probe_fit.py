"""A probe's design matrix and its fits: the path that C is chosen from, and the path on all training rows.

The matrix is built once, neuron by neuron, and masked by row for path, refit, half-samples and shuffled labels alike.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.activations.features import Features
from provenance.activations.neuron_rows import neuron_major
from provenance.analyses.results.probes import PathPoint
from provenance.errors import ConvergenceError
from provenance.probe.l1_path import Fit, L1Path, Problem
from provenance.probe.sparse_probe import Probe, design_rows, probe_of
from provenance.statistics.auroc import auroc

BATCH_BYTES = 1 << 28  # gradients: three float32 values per neuron and problem


@dataclass(frozen=True)
class ProbeRows:
    """Rows of a probe's design, ready to fit."""

    matrix: Float[np.ndarray, "neurons rows"]
    """Mean CETT, each neuron's rows contiguous; in memory or in a mapped scratch file."""
    labels: Bool[np.ndarray, " rows"]
    """True for answers of hallucinated responses."""
    response: Int[np.ndarray, " rows"]
    """Index of the response of each row."""
    design: str
    intercept_penalised: bool
    """Whether |b| is part of the objective."""

    def problem(self, responses: Bool[np.ndarray, " responses"]) -> Problem:
        """All rows of some responses."""
        return Problem(self.labels, responses[self.response])

    def relabelled(self, hallucinated: Bool[np.ndarray, " responses"]) -> Problem:
        """All rows, with other labels of the responses' answers; the rows of other tokens stay negative."""
        labels = np.zeros_like(self.labels)
        labels[: hallucinated.size] = hallucinated  # answers come first in every design
        return Problem(labels, np.ones_like(labels))

    def path(self, problems: Sequence[Problem]) -> L1Path:
        """The L1 paths of problems."""
        return L1Path(self.matrix, problems, intercept_penalised=self.intercept_penalised)

    def probe(self, fit: Fit) -> Probe:
        """A point of a path as a probe."""
        return probe_of(fit, self.matrix.shape[0], design=self.design, intercept_penalised=self.intercept_penalised)


@contextmanager
def probe_rows(features: Features, design: str, folder: Path, *, intercept_penalised: bool) -> Iterator[ProbeRows]:
    """Builds the design matrix; a scratch file in `folder`, if memory is too small, is deleted when the block ends."""
    parts, labels = design_rows(features, design)
    response = np.tile(np.arange(len(features)), len(parts))
    with neuron_major(parts, folder) as matrix:
        yield ProbeRows(matrix, labels, response, design, intercept_penalised)


def fit_batches(
    rows: ProbeRows, problems: Sequence[Problem], C: float, likely: Int[np.ndarray, " likely"]
) -> list[Fit]:
    """Fits many problems at one C, in batches as large as memory allows; `likely` neurons are only tried first.

    Raises:
        ConvergenceError: Rounding keeps a solution from the tolerance.
    """
    size = max(2, BATCH_BYTES // (12 * rows.matrix.shape[0]))
    fits: list[Fit] = []
    for start in range(0, len(problems), size):
        batch = problems[start : start + size]
        fits += rows.path(batch).fit([C] * len(batch), likely)
    return fits


def fit_grid(path: L1Path, grid: Sequence[float], wanted: float | None) -> list[Fit]:
    """Fits of a single problem along ascending values of C.

    Choice: the path ends at the first fit with H-Neurons that separates all its rows (as any larger C does) or where
    rounding ends convergence, but never before `wanted`.

    Raises:
        ConvergenceError: At or before the wanted C.
    """
    fits: list[Fit] = []
    for C in grid:
        try:
            fits += path.fit([C])
        except ConvergenceError:
            if wanted is not None and wanted >= C:
                raise
            break
        if fits[-1].separates and (fits[-1].weights > 0).any() and (wanted is None or wanted <= C):
            break
    return fits


def path_points(
    probes: Sequence[tuple[Fit, Probe]],
    validation: Features,
    suppressed: Callable[[list[Int[np.ndarray, " _"]]], Float[np.ndarray, " sets"]] | None,
) -> tuple[PathPoint, ...]:
    """Values that C is chosen by, for each point of the path on the training rows.

    `suppressed`: model accuracy with neurons silenced, for points with H-Neurons; None if the rule does not need it.
    """
    silent: list[float | None] = [None] * len(probes)
    if suppressed is not None and probes:
        asked = [number for number, (_, probe) in enumerate(probes) if probe.h_neurons.size]
        for number, value in zip(asked, suppressed([probes[number][1].h_neurons for number in asked]), strict=True):
            silent[number] = float(value)
    points = []
    for (fit, probe), accuracy in zip(probes, silent, strict=True):
        scores = probe.scores(validation.answer)
        points.append(
            PathPoint(
                fit.C, int((fit.weights > 0).sum()), fit.ids.size, balanced_accuracy(scores, validation.hallucinated),
                auroc(scores, validation.hallucinated), accuracy, fit.gap, fit.violation,
            )
        )  # fmt: skip
    return tuple(points)


def balanced_accuracy(scores: Float[np.ndarray, " rows"], positive: Bool[np.ndarray, " rows"]) -> float:
    """Mean of both classes' accuracies at probability 0.5, which is the accuracy on a balanced set."""
    right = (scores > 0) == positive
    return float((right[positive].mean() + right[~positive].mean()) / 2)
