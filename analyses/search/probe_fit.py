"""A probe's design matrix and the fits on it: the path that C is chosen from, and the same path on all training rows.

The one idea: the matrix is put together once, neuron by neuron, and every fit says by a mask which rows take part, so
choosing C, refitting, half-samples and shuffled labels share the matrix and the passes over it.
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

BATCH_BYTES = 1 << 28  # of gradients, three float32 values for every neuron and problem


@dataclass(frozen=True)
class ProbeRows:
    """The rows of a probe's design, ready to be fitted on."""

    matrix: Float[np.ndarray, "neurons rows"]
    """Mean CETT, each neuron's rows contiguous; in memory or in a mapped scratch file."""
    labels: Bool[np.ndarray, " rows"]
    """True for answers of hallucinated responses."""
    response: Int[np.ndarray, " rows"]
    """Which response each row comes from."""
    design: str
    """`3-vs-1` or `1-vs-1`."""
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
        """Their paths."""
        return L1Path(self.matrix, problems, intercept_penalised=self.intercept_penalised)

    def probe(self, fit: Fit) -> Probe:
        """A point of a path as a probe."""
        return probe_of(fit, self.matrix.shape[0], design=self.design, intercept_penalised=self.intercept_penalised)


@contextmanager
def probe_rows(features: Features, design: str, folder: Path, *, intercept_penalised: bool) -> Iterator[ProbeRows]:
    """Put the design matrix together; a scratch file goes when the block ends.

    Args:
        features: Of training responses.
        design: Which rows.
        folder: Of the scratch file, where the matrix is too large for memory.
        intercept_penalised: Of the fits.
    """
    parts, labels = design_rows(features, design)
    response = np.tile(np.arange(len(features)), len(parts))
    with neuron_major(parts, folder) as matrix:
        yield ProbeRows(matrix, labels, response, design, intercept_penalised)


def fit_batches(
    rows: ProbeRows, problems: Sequence[Problem], C: float, likely: Int[np.ndarray, " likely"]
) -> list[Fit]:
    """Many problems at one C, as many at a time as memory allows, each batch in few passes.

    Args:
        rows: The design matrix.
        problems: On its rows.
        C: Of all of them.
        likely: Neurons to look at first; changes no result.

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
    """The fits of a single problem along ascending values of C.

    Choice: the path ends at the first fit with H-Neurons that separates all its rows, as any larger C does too, and
    where rounding ends convergence; but not before a C that has to be there.

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
    """What C is chosen by, for each point of the path on the training rows.

    Args:
        probes: Fits and probes along the path.
        validation: Validation answers.
        suppressed: Gives the model's accuracy on validation questions with each set of neurons silent, asked for points
            with H-Neurons; None where that plays no part.
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
    """Mean of the accuracies of both classes at probability 0.5: accuracy on a balanced set."""
    right = (scores > 0) == positive
    return float((right[positive].mean() + right[~positive].mean()) / 2)
