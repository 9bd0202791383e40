"""Probes on given neurons, fitted as well as the rows allow: the null of neuron sets.

Only its neurons may make a null weak: L1 would shrink such probes, an unpenalised fit follows noise; so ridge.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NO_NEURONS, NeuronRows, picked
from provenance.analyses.controls.question_folds import FOLDS, folds
from provenance.errors import FitError
from provenance.probe.ridge import ridge_path
from provenance.probe.sparse_probe import Probe, design_rows, training_rows
from provenance.processes.blas_threads import blas_threads
from provenance.processes.fork_join import fork_join
from provenance.statistics.auroc import auroc

T = TypeVar("T")

# In units of standardised columns the penalty |theta|^2 / (2 C) weighs as one row among hundreds; it only gives
# separable and repeated columns a finite solution.
WEAK_C = 100.0
CANDIDATES_C = (WEAK_C, 1.0, 0.1, 0.01, 0.001)  # between 100 and 1 held-out AUROCs differ in the third digit
PLENTY_OF_ROWS = 20  # per neuron: the penalty then moves held-out AUROCs in the third digit only
PILOT_SETS = 5  # used to choose the one penalty of all sets, with 5 folds each
LARGE = 10**10  # products of two numbers in a step of all fits together: seconds, which processes are begun for
BATCH_BYTES = 1 << 27  # of columns read together; one read of a mapped file then serves dozens of sets


@dataclass(frozen=True)
class ControlProbe:
    """A probe on a control set of neurons."""

    columns: Int[np.ndarray, " k"]
    """Flat ids of the neurons."""
    probe: Probe
    """Its weights are in the order of `columns`."""


def fit_controls(train: Features, sets: Iterable[Int[np.ndarray, " _"]], design: str) -> tuple[ControlProbe, ...]:
    """One probe for each set of neurons (flat ids), all with the penalty of `chosen_penalty`, in the order of the sets.

    Raises:
        FitError: One class only, or values that are not finite.
    """
    members = list(sets)
    # Products this small are slower on several threads, twenty times so on a busy machine.
    with blas_threads(1):
        most = BATCH_BYTES // max(1, 4 * 2 * len(train))
        C = chosen_penalty(train, members, design)
        return tuple(
            control
            for batch in batches(members, np.size, most)
            for control in _fitted_together(train, batch, design, C)
        )


def chosen_penalty(train: Features, sets: Sequence[Int[np.ndarray, " _"]], design: str) -> float:
    """The C of `fit_given` with the highest AUROC of held-out training questions, over the first few sets.

    One of `CANDIDATES_C`, by mean AUROC of answers over sets and folds of questions; the weakest penalty among equals,
    and the weakest of all with at least `PLENTY_OF_ROWS` rows per neuron, or too few questions for folds. Choice: one
    penalty for all sets, since the null as a whole must be as strong as possible, not each set.
    """
    rows = len(design_rows(train, design)[1])
    if rows >= PLENTY_OF_ROWS * max(map(np.size, sets), default=0):
        return WEAK_C
    part = folds(train.units, train.hallucinated, 0)
    if part is None:
        return WEAK_C
    pilots = [training_rows(train, design, ids) for ids in sets[:PILOT_SETS]]
    areas = np.mean([_held_out(*pilot, part, design) for pilot in pilots], axis=0)
    return CANDIDATES_C[int(np.argmax(areas))]


def _held_out(
    rows: Float[np.ndarray, "rows k"], labels: Bool[np.ndarray, " rows"], part: Int[np.ndarray, " answers"], design: str
) -> Float[np.ndarray, " candidates"]:
    """AUROC of held-out answers with each of `CANDIDATES_C`, as a mean over folds."""
    of_row = np.tile(part, labels.size // part.size)  # the answers, then the design's other rows of each response
    areas = np.empty((FOLDS, len(CANDIDATES_C)))
    for fold in range(FOLDS):
        answers, fitted = np.flatnonzero(part == fold), of_row != fold
        probes = fit_along(rows[fitted], labels[fitted], design=design, Cs=CANDIDATES_C[::-1])
        areas[fold] = [auroc(probe.scores(rows[answers]), labels[answers]) for probe in probes][::-1]
    return np.asarray(areas.mean(axis=0))


def batches(sets: Iterable[T], columns: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Sets of neurons to read together: as many as `most` neurons allow, at least one; `columns` gives a set's size."""
    batch: list[T] = []
    held = 0
    for each in sets:
        if batch and held + columns(each) > most:
            yield batch
            batch, held = [], 0
        batch.append(each)
        held += columns(each)
    if batch:
        yield batch


def _fitted_together(
    train: Features, sets: list[Int[np.ndarray, " _"]], design: str, C: float
) -> Iterator[ControlProbe]:
    """A probe for each set; every neuron is read once, and many large sets are fitted at once."""
    union, places = _together(sets)
    rows, labels = training_rows(train, design, union)
    fits = [partial(_fitted_at, rows, place, labels, design, C) for place in places]
    large = len(rows) * sum(place.size**2 for place in places) >= LARGE
    yield from map(ControlProbe, sets, fork_join(fits, at_once=large))


def _fitted_at(
    rows: Float[np.ndarray, "rows union"],
    place: Int[np.ndarray, " k"],
    labels: Bool[np.ndarray, " rows"],
    design: str,
    C: float,
) -> Probe:
    return fit_given(rows[:, place], labels, design=design, C=C)


def control_scores(
    controls: Sequence[ControlProbe], rows: NeuronRows | Float[np.ndarray, "rows neurons"]
) -> Float[np.ndarray, "rows sets"]:
    """Decision values of rows over all neurons, one column per control probe; every neuron is read once."""
    union, places = _together([control.columns for control in controls])
    values = picked(rows, union)
    return np.stack(
        [control.probe.scores(values[:, place]) for control, place in zip(controls, places, strict=True)], axis=1
    )


def _together(
    sets: Sequence[Int[np.ndarray, " _"]],
) -> tuple[Int[np.ndarray, " union"], list[Int[np.ndarray, " _"]]]:
    union = np.unique(np.concatenate(sets)) if sets else NO_NEURONS
    return union, [np.searchsorted(union, ids) for ids in sets]


def fit_given(
    rows: Float[np.ndarray, "rows k"], labels: Bool[np.ndarray, " rows"], *, design: str, C: float = WEAK_C
) -> Probe:
    """The probe of `fit_along` at one penalty, by default nearly none."""
    return next(fit_along(rows, labels, design=design, Cs=(C,)))


def fit_along(
    rows: Float[np.ndarray, "rows k"], labels: Bool[np.ndarray, " rows"], *, design: str, Cs: Sequence[float]
) -> Iterator[Probe]:
    """Logistic regressions on all columns (mean CETT of given neurons), with ridge penalties, best in ascending order.

        min_{theta, b}  C * sum_i log(1 + exp(-y_i (theta . u_i + b))) + |theta|^2 / 2,
        u_i = (x_i - mean) / SD

    True labels: hallucinated. Weights and intercept are for unstandardised rows, float64; 0 for constant columns.

    Raises:
        FitError: One class only, or values that are not finite.
    """
    if labels.all() or not labels.any() or not np.isfinite(rows).all():
        raise FitError(
            "finite rows of both classes to fit control probes on",
            found=f"{int(labels.sum())} of {labels.size} rows labelled hallucinated",
            remedy="fit the probe itself first; its error says more",
        )
    wide = rows.astype(np.float64, order="C")  # sums of another layout would differ in the last digit
    mean, spread = wide.mean(axis=0), wide.std(axis=0)
    varies = np.ptp(wide, axis=0) > 0
    spread = np.where(varies, spread, 1.0)
    fits = ridge_path(np.where(varies, (wide - mean) / spread, 0.0), labels, Cs)
    for C, (standardised, intercept) in zip(Cs, fits, strict=True):
        weights = np.where(varies, standardised / spread, 0.0)
        yield Probe(weights, float(intercept - weights @ mean), C, design, False)
