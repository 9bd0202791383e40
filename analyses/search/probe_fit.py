"""A probe's design matrix, and fits of many problems on its rows.

The matrix is built once, neuron by neuron, and masked by row for folds, refit, half-samples and shuffled labels alike.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int16

from provenance.activations.features import Features
from provenance.activations.neuron_rows import joined_blocks, neuron_major
from provenance.errors import StoreError
from provenance.probe.l1_path import ONE_THREAD, Fit, L1Path, Problem
from provenance.probe.rounded_copy import RoundedCopy, multiplies_bfloat16, rounded_blocks
from provenance.probe.sparse_probe import Probe, design_rows, probe_of

logger = logging.getLogger(__name__)
BATCH_BYTES = 1 << 29  # gradients: three float32 values per neuron and problem


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
    rounded: RoundedCopy | None = None
    """A copy of the matrix for fast passes, of a large one on a processor with products in bfloat16."""

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
        return L1Path(self.matrix, problems, rounded=self.rounded, intercept_penalised=self.intercept_penalised)

    def answer_scores(self, fit: Fit, responses: Bool[np.ndarray, " responses"]) -> Float[np.ndarray, " answers"]:
        """Decision values of the answers of some responses."""
        answers = np.flatnonzero(responses)  # answers come first in every design
        return np.asarray(fit.weights @ self.matrix[fit.ids][:, answers] + fit.intercept, dtype=np.float64)

    def probe(self, fit: Fit) -> Probe:
        """A point of a path as a probe."""
        return probe_of(fit, self.matrix.shape[0], design=self.design, intercept_penalised=self.intercept_penalised)


@contextmanager
def probe_rows(features: Features, design: str, folder: Path, *, intercept_penalised: bool) -> Iterator[ProbeRows]:
    """Builds the design matrix; a scratch file in `folder`, if memory is too small, is deleted when the block ends."""
    parts, labels = design_rows(features, design)
    response = np.tile(np.arange(len(features)), len(parts))
    with neuron_major(parts, folder) as matrix, _rounded(matrix, folder) as rounded:
        yield ProbeRows(matrix, labels, response, design, intercept_penalised, rounded)


@contextmanager
def _rounded(matrix: Float[np.ndarray, "neurons rows"], folder: Path) -> Iterator[RoundedCopy | None]:
    """A copy for fast passes, in a scratch file; none where it would not pay, or the disk has no room for it."""
    kept: list[Float32[np.ndarray, "3 block"]] = []

    def blocks() -> Iterator[Int16[np.ndarray, "block rows"]]:
        for bits, of_neurons in rounded_blocks(matrix):
            kept.append(of_neurons)
            yield bits

    with ExitStack() as stack:
        rounded = None
        if matrix.size >= ONE_THREAD and multiplies_bfloat16():
            stored = joined_blocks(blocks(), matrix.shape, np.dtype(np.int16), folder, limit_bytes=0)
            try:
                rounded = RoundedCopy(stack.enter_context(stored), *np.concatenate(kept, axis=1))
            except StoreError as error:
                logger.warning("no scratch file for a copy in bfloat16, a search takes longer: %s", error.found)
        yield rounded


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
