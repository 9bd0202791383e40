"""Finding the H-Neurons of one checkpoint: choose C, fit, and look at held-out questions.

The one idea: C is chosen on validation questions, the probe is then refitted on training
and validation together, and the test questions are only ever scored. Beside every
accuracy stands that of probes on as many random neurons, fitted on the same rows.

Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.1.3 and Table 1. Choice: balanced
accuracy on the validation answers alone decides (the paper adds an accuracy under suppression), with the
one-standard-error rule: the smallest C, which is the sparsest probe, whose accuracy is
within one standard error of the best. A few hundred validation answers cannot tell such
probes apart, and the plain maximum picks ten times as many neurons for nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from analyses.controls import excluded_from_controls, neuron_sets
from analyses.refit import fit_controls
from analyses.results import HeldOut, IdentificationResult
from provenance.errors import ConvergenceError
from provenance.features import Features
from provenance.intervals import Estimate, accuracy, auroc, bootstrap_by_unit
from provenance.probe import (
    C_STEPS,
    Design,
    Probe,
    alpha_max,
    fit_probe,
    training_rows,
)
from provenance.records import Label, Stage

RANDOM_DRAWS = 20  # enough for a mean; transfer draws its own 100 for a tail


@dataclass(frozen=True)
class ProbeSettings:
    """How probes are fitted."""

    design: Design = "3-vs-1"
    """Rows of the fit."""
    intercept_penalised: bool = True
    """Whether |b| is part of the objective."""
    steps: tuple[float, ...] = C_STEPS
    """Values of C to choose from, as multiples of alpha_max, ascending."""
    other: Literal["all"] = "all"
    """Tokens of the `other` mean: all that are not answer tokens, prompt and template included."""
    seed: int = 0
    """Of the solver, the random neurons and the bootstrap."""


@dataclass(frozen=True)
class Identified:
    """The numbers of an identification, and the probe itself where there is one."""

    result: IdentificationResult
    """What is reported and stored."""
    probe: Probe | None
    """Refitted on training and validation rows; None where `result.reason` says why."""


def identify(
    stage: Stage,
    train: Features,
    validation: Features,
    tests: Mapping[str, Features],
    *,
    layers: int,
    d_m: int,
    settings: ProbeSettings,
) -> Identified:
    """Choose C, fit the probe, and score held-out questions.

    Args:
        stage: Which checkpoint the features come from.
        train: Consistent responses of training questions.
        validation: Consistent responses of validation questions.
        tests: Balanced responses of held-out questions, by question set, the in-domain one first.
        layers: Layers of the model.
        d_m: Neurons per layer.
        settings: How to fit.

    Returns:
        A result without a probe where a class is missing or no C of the grid gives a weight.
    """
    both = _joined(train, validation)
    counts = counts_of(both)
    obstacle = _obstacle(train, "training") or _obstacle(validation, "validation")
    if obstacle:
        return Identified(_without_probe(stage, settings, counts, obstacle, (), None), None)
    rows, labels = training_rows(both, settings.design)
    lowest = alpha_max(rows, labels, intercept_penalised=settings.intercept_penalised)
    path = _path(train, validation, settings, lowest)
    chosen = choose_c(path, counts_of(validation))
    probe = None if chosen is None else _fitted(rows, labels, chosen, settings)
    if chosen is None or probe is None or not len(probe.h_neurons):
        reason = f"no C of the path from alpha_max = {lowest:.3g} leaves a neuron with a positive weight"
        return Identified(_without_probe(stage, settings, counts, reason, path, lowest), None)
    held_out = tuple(_held_out(probe, both, tests[name], name, layers, d_m, settings) for name in tests)
    result = IdentificationResult(
        stage, probe.weights, probe.intercept, chosen, lowest, settings.design, settings.intercept_penalised,
        path, counts, probe.h_neurons, held_out, "",
    )  # fmt: skip
    return Identified(result, probe)


def counts_of(features: Features) -> dict[Label, int]:
    """Rows of each label."""
    hallucinated = int(features.hallucinated.sum())
    return {"faithful": len(features.units) - hallucinated, "hallucinated": hallucinated}


def choose_c(path: tuple[tuple[float, int, int, float], ...], n_validation: Mapping[Label, int]) -> float | None:
    """The smallest C whose balanced validation accuracy is within one standard error of the best.

    Args:
        path: (C, positive weights, non-zero weights, validation accuracy), C ascending.
        n_validation: Validation answers of each class. With the same share p right in both, the standard
            error of the balanced accuracy is sqrt(p (1 - p) (1 / n_faithful + 1 / n_hallucinated) / 4).

    Returns:
        None where no probe of the path has a positive weight.

    Source: the one-standard-error rule of Breiman et al. 1984, Sec. 3.4.3.
    """
    usable = [(c, score) for c, positive, _, score in path if positive > 0]
    if not usable:
        return None
    best = max(score for _, score in usable)
    spread = sum(1 / n for n in n_validation.values()) / 4
    bar = best - float(np.sqrt(best * (1 - best) * spread))
    return next(c for c, score in usable if score >= bar)


def _joined(a: Features, b: Features) -> Features:
    return Features(
        np.concatenate([a.answer, b.answer]),
        np.concatenate([a.other, b.other]),
        np.concatenate([a.hallucinated, b.hallucinated]),
        a.units + b.units,
        a.question_ids + b.question_ids,
    )


def _obstacle(features: Features, name: str) -> str:
    """Why no probe can be fitted or chosen; empty when it can."""
    hallucinated = int(features.hallucinated.sum())
    faithful = len(features.units) - hallucinated
    if hallucinated and faithful:
        return ""
    return f"{faithful} faithful and {hallucinated} hallucinated {name} responses; both classes are needed"


def _fitted(
    rows: Float[np.ndarray, "rows neurons"], labels: Bool[np.ndarray, " rows"], C: float, settings: ProbeSettings
) -> Probe:
    return fit_probe(
        rows, labels, C=C, design=settings.design, intercept_penalised=settings.intercept_penalised, seed=settings.seed
    )


def _path(
    train: Features, validation: Features, settings: ProbeSettings, lowest: float
) -> tuple[tuple[float, int, int, float], ...]:
    """One probe per C from alpha_max on, with its balanced accuracy on the validation answers.

    The path ends early where the probe separates all training rows, since a larger C then only
    scales the weights, and where liblinear stops converging.
    """
    rows, labels = training_rows(train, settings.design)
    path: list[tuple[float, int, int, float]] = []
    if not np.isfinite(lowest):
        return ()
    for C in (lowest * step for step in settings.steps):
        try:
            probe = _fitted(rows, labels, C, settings)
        except ConvergenceError:
            break
        score = balanced_accuracy(probe.scores(validation.answer), validation.hallucinated)
        path.append((C, len(probe.h_neurons), len(probe.nonzero), score))
        if bool(((probe.scores(rows) > 0) == labels).all()):
            break
    return tuple(path)


def balanced_accuracy(scores: Float[np.ndarray, " rows"], positive: np.ndarray) -> float:
    """Mean of the accuracies of both classes at probability 0.5: accuracy on a balanced set."""
    right = (scores > 0) == positive
    return float((right[positive].mean() + right[~positive].mean()) / 2)


def _held_out(
    probe: Probe, train: Features, test: Features, name: str, layers: int, d_m: int, settings: ProbeSettings
) -> HeldOut:
    """Accuracy and AUROC of the probe and of random neurons on one balanced set."""
    positive = test.hallucinated
    n = {"n_faithful": int((~positive).sum()), "n_hallucinated": int(positive.sum())}
    if positive.all() or not positive.any():
        return HeldOut(name, None, None, None, (), **n)
    units = list(test.units)
    scores = probe.scores(test.answer)
    draws = _random_scores(probe, train, test, layers, d_m, settings)

    def interval(statistic: Callable[[Int[np.ndarray, " drawn"]], float]) -> Estimate:
        return bootstrap_by_unit(statistic, units, seed=settings.seed)

    right = ((draws > 0) == positive[None, :]).mean(axis=0)
    return HeldOut(
        name,
        interval(lambda rows: accuracy(scores[rows], positive[rows])),
        interval(lambda rows: auroc(scores[rows], positive[rows])),
        interval(lambda rows: float(right[rows].mean())),
        tuple(float(((row > 0) == positive).mean()) for row in draws),
        **n,
    )


def _random_scores(
    probe: Probe, train: Features, test: Features, layers: int, d_m: int, settings: ProbeSettings
) -> Float[np.ndarray, "draws rows"]:
    """Decision values of probes on as many random neurons, refitted on the same rows."""
    own: Int[np.ndarray, " k"] = probe.nonzero
    sets = neuron_sets(
        "random",
        own,
        layers,
        d_m,
        K=RANDOM_DRAWS,
        rng=np.random.default_rng(settings.seed),
        excluded=excluded_from_controls(own, np.empty(0, dtype=np.int64), layers, d_m),
    )
    return np.stack([control.scores(test.answer) for control in fit_controls(train, sets, probe.design)])


def _without_probe(
    stage: Stage,
    settings: ProbeSettings,
    counts: dict[Label, int],
    reason: str,
    path: tuple[tuple[float, int, int, float], ...],
    lowest: float | None,
) -> IdentificationResult:
    nothing = np.empty(0, dtype=np.int64)
    return IdentificationResult(
        stage,
        None,
        None,
        None,
        lowest,
        settings.design,
        settings.intercept_penalised,
        path,
        counts,
        nothing,
        (),
        reason,
    )
