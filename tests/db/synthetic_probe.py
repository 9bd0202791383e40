"""Probes made by hand: a path, curves, baselines and stability whose every number is known."""

import numpy as np

from provenance.analyses.controls.control_sets import SET_KINDS
from provenance.analyses.results.probes import (
    Baseline,
    CurvePoint,
    HeldOut,
    IdentificationResult,
    PathPoint,
    StabilityResult,
)
from provenance.records import Estimate
from provenance.words import DIRECTIONS

CURVE = ((0.01, 0), (0.1, 2), (1.0, 6), (10.0, 20))
"""C and how many H-Neurons it keeps; the third is chosen."""
BASELINES = (*SET_KINDS, "answer_length", "question_text", "answer_text", "answer_log_probability", *DIRECTIONS)


def around(estimate: float, width: float = 0.03, n: int = 400) -> Estimate:
    return Estimate(estimate, estimate - width, estimate + width, n)


def baselines_of(draws: tuple[float, ...] = (0.58, 0.6, 0.62)) -> tuple[Baseline, ...]:
    """Nine things to beat, the sixth of which has no probabilities to threshold."""
    return tuple(
        Baseline(
            kind,
            None if kind == "answer_text" else around(0.55 + i / 50),
            around(0.6 + i / 50),
            around(0.28 - i / 50, 0.04),
            draws if kind in SET_KINDS else (),
        )
        for i, kind in enumerate(BASELINES)
    )


def curve_of(sets: tuple[str, ...], *, transfers: bool) -> tuple[CurvePoint, ...]:
    """A curve that rises to the chosen C and falls behind it."""
    heights = (0.5, 0.7, 0.81, 0.78)
    return tuple(
        CurvePoint(
            C, k, k + (k > 0), name, around(height), around(height + 0.07 * (k > 0)),
            around(height - 0.05 * (k > 0), 0.05) if transfers else None,
        )
        for (C, k), height in zip(CURVE, heights, strict=True)
        for name in sets
    )  # fmt: skip


def stability_of(h_neurons: np.ndarray, size: int) -> StabilityResult:
    """All H-Neurons are stable but the last, in whose place half-samples pick a neuron of its cluster."""
    frequency = np.zeros(size)
    frequency[h_neurons] = np.linspace(1.0, 0.7, h_neurons.size)
    others = np.setdiff1d(np.arange(size), h_neurons)
    clustered = np.union1d(h_neurons, [(h_neurons[0] + 1) % size] if h_neurons.size else [])
    if h_neurons.size > 1:
        frequency[h_neurons[-1]], frequency[others[-1]], frequency[others[0]] = 0.2, 0.8, 0.1
        clustered = np.union1d(clustered, others[[0, -1]])
    clustered = clustered.astype(np.int64)
    cluster = np.arange(1, clustered.size + 1)
    if h_neurons.size > 1:
        cluster[clustered == others[-1]] = cluster[clustered == h_neurons[-1]]
    return StabilityResult(
        C=0.5,
        half_samples=100,
        threshold=0.6,
        frequency=frequency,
        stable=np.flatnonzero(frequency >= 0.6),
        mean_selected=float(frequency.sum()),
        k_low=float(h_neurons.size) / 2,
        k_high=float(h_neurons.size) + 1.5,
        false_bound=0.75 if h_neurons.size else None,
        split_half_shared=float(h_neurons.size) / 2,
        split_half_jaccard=0.31 if h_neurons.size else None,
        split_half_clusters=0.55 if h_neurons.size else None,
        cluster_correlation=0.9,
        clustered=clustered,
        cluster=cluster,
    )


def neuron_aurocs(size: int) -> np.ndarray:
    """Of single neurons; the first was never active."""
    return np.concatenate([[np.nan], np.linspace(0.4, 0.9, size - 1)])


def path_of(*, suppressed: bool) -> tuple[PathPoint, ...]:
    scores = (0.5, 0.7, 0.8, 0.79)
    return tuple(
        PathPoint(
            C,
            k,
            max(0, k - 1),
            k + 2,
            k + (k > 0),
            score,
            score + 0.05,
            score - 0.1 if suppressed else None,
            1e-9,
            3e-7,
        )
        for (C, k), score in zip(CURVE, scores, strict=True)
    )


def identification_of(stage: str, h_neurons: np.ndarray, size: int, sets: tuple[str, ...]) -> IdentificationResult:
    weights = np.zeros(size)
    weights[h_neurons] = 1.5
    weights[(h_neurons[:1] + 1) % size] = -0.5
    held = tuple(
        HeldOut(
            name,
            Estimate(0.81, 0.78, 0.84, 400),
            Estimate(0.88, 0.85, 0.9, 400),
            Estimate(0.6, 0.57, 0.63, 400),
            200,
            200,
            baselines_of(),
            Estimate(0.85, 0.8, 0.9, 200),
            Estimate(0.55, 0.5, 0.6, 200),
        )
        for name in sets
    )
    return IdentificationResult(
        stage=stage,
        weights=weights,
        intercept=-0.25,
        C=1.0,
        alpha_max=0.01,
        design="3-vs-1",
        intercept_penalised=True,
        path=path_of(suppressed=stage == "instruct"),
        n_train={"faithful": 300, "hallucinated": 299},
        h_neurons=h_neurons,
        test=held,
        reason="",
        gap=2e-9,
        violation=3e-7,
        curve=curve_of(sets, transfers=stage == "instruct"),
        stability=stability_of(h_neurons, size),
        neuron_auroc=neuron_aurocs(size),
    )
