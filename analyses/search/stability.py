"""Dependence of a probe's neurons on the questions of its fit: half-samples, split halves, clusters.

An L1 weight is not importance, since L1 picks one of several correlated neurons. Fits on complementary halves of the
questions give each neuron's selection frequency; the overlap of two halves is a reference for agreement within one
model (at half of the data, so no bound); neurons that can replace one another form clusters.
Source: Meinshausen and Buehlmann 2010, doi:10.1111/j.1467-9868.2010.00740.x; Shah and Samworth 2013,
doi:10.1111/j.1467-9868.2011.01034.x (complementary pairs, 50 of them, and the bound).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from provenance.activations.features import Features
from provenance.analyses.results.probes import StabilityResult
from provenance.analyses.search.probe_fit import ProbeRows, fit_batches
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import Probe

LIKELY = 256  # neurons that half-samples try first
PAIRS = 50  # Shah and Samworth 2013, Sec. 4
THRESHOLD = 0.75  # Meinshausen and Buehlmann 2010: 0.6 to 0.9 give similar results
CLUSTER_CORRELATION = 0.7  # half of the variance shared
MOST_CLUSTERED = 4096  # the most often selected neurons; their correlations take 134 MB


def half_samples(
    rows: ProbeRows,
    features: Features,
    C: float,
    likely: Int[np.ndarray, " likely"],
    *,
    pairs: int = PAIRS,
    seed: int = 0,
) -> tuple[Fit, ...]:
    """Fits on complementary halves of the questions, pair after pair; none if no half can hold both classes.

    Halves use twice the given C, that of a probe on all rows, so that their loss over half as many rows has the same
    weight against the penalty. `likely` neurons are tried first, which changes no result. Source: see the module.
    """
    halves = complementary_halves(features, pairs, seed)
    return () if halves is None else tuple(fit_batches(rows, [rows.problem(half) for half in halves], C * 2, likely))


def stability(
    fits: Sequence[Fit], features: Features, probe: Probe, *, threshold: float = THRESHOLD
) -> StabilityResult | None:
    """How far a probe's neurons depend on its questions, given the fits on halves of them; None without any.

    Neurons are stable from the selection frequency `threshold` on. Choice: selected means a positive weight, an
    H-Neuron of that half.
    """
    if not fits:
        return None
    neurons = probe.weights.size
    chosen = [fit.ids[fit.weights > 0] for fit in fits]
    counts = np.bincount(np.concatenate(chosen), minlength=neurons)
    frequency = counts / len(fits)
    often = np.argsort(-counts, kind="stable")[:MOST_CLUSTERED]
    clustered = np.union1d(probe.nonzero, often[counts[often] > 0])
    cluster = clusters(features, clustered)
    of_cluster = dict(zip(clustered.tolist(), cluster.tolist(), strict=True))
    by_cluster = [  # neurons selected too seldom form clusters of their own
        np.unique([of_cluster.get(neuron, -1 - neuron) for neuron in ids.tolist()]).astype(np.int64) for ids in chosen
    ]
    mean_selected = float(counts.sum() / len(fits))
    k_low, k_high = np.quantile([ids.size for ids in chosen], [0.025, 0.975]).tolist()
    return StabilityResult(
        C=fits[0].C,
        half_samples=len(fits),
        threshold=threshold,
        frequency=frequency,
        stable=np.flatnonzero(frequency >= threshold),
        mean_selected=mean_selected,
        k_low=k_low,
        k_high=k_high,
        false_bound=false_bound(mean_selected, threshold, neurons),
        split_half_shared=float(np.mean([np.intersect1d(a, b).size for a, b in _paired(chosen)])),
        split_half_jaccard=mean_jaccard(_paired(chosen)),
        split_half_clusters=mean_jaccard(_paired(by_cluster)),
        cluster_correlation=CLUSTER_CORRELATION,
        clustered=clustered,
        cluster=cluster,
    )


def complementary_halves(features: Features, pairs: int, seed: int) -> list[Bool[np.ndarray, " responses"]] | None:
    """Masks of responses: a random half of the questions, its complement, the next half, ...

    Questions (or groups) stay whole and are split per label, so a half has both classes; None with fewer than 2 of one.
    """
    names, unit = np.unique(np.asarray(features.units, dtype=str), return_inverse=True)
    # a group of questions with both labels counts by its more frequent one
    share = np.bincount(unit, weights=features.hallucinated, minlength=names.size) / np.bincount(unit)
    strata = [np.flatnonzero(share > 0.5), np.flatnonzero(share <= 0.5)]
    if min(stratum.size for stratum in strata) < 2:
        return None
    rng = np.random.default_rng(seed)
    halves: list[Bool[np.ndarray, " responses"]] = []
    for _ in range(pairs):
        first = np.zeros(names.size, dtype=bool)
        for number, stratum in enumerate(strata):
            # with an odd number, the extra one goes to either side in turn
            size = (stratum.size + (len(halves) // 2 + number) % 2) // 2
            first[rng.permutation(stratum)[:size]] = True
        halves += [first[unit], ~first[unit]]
    return halves


def _paired(sets: Sequence[Int[np.ndarray, " _"]]) -> list[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]:
    return list(zip(sets[::2], sets[1::2], strict=True))


def mean_jaccard(pairs: Sequence[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]) -> float | None:
    """Mean of intersection over union; pairs of empty sets are left out, None if all are empty."""
    unions = [(np.intersect1d(a, b).size, np.union1d(a, b).size) for a, b in pairs]
    values = [shared / union for shared, union in unions if union]
    return float(np.mean(values)) if values else None


def false_bound(mean_selected: float, threshold: float, neurons: int) -> float | None:
    """Upper bound of the expected number of stable neurons that are selected no more often than by chance.

        q^2 / ((2 tau - 1) D),   q neurons selected in one half-sample, tau the threshold, D neurons in all

    None for a threshold of at most one half, where there is no bound. Source: Shah and Samworth 2013, Theorem 1, for
    neurons selected by a half-sample with probability at most q / D.
    """
    return mean_selected**2 / ((2 * threshold - 1) * neurons) if threshold > 0.5 else None


def clusters(features: Features, ids: Int[np.ndarray, " k"]) -> Int[np.ndarray, " k"]:
    """Cluster numbers of neurons that all correlate pairwise above `CLUSTER_CORRELATION` over training answers.

    Complete linkage on 1 - r (signed: negatively correlated neurons are no substitutes); from 1, by first neuron.
    """
    if ids.size < 2:
        return np.ones(ids.size, dtype=np.int64)
    values = features.answer.columns(ids).astype(np.float64)
    centred = values - values.sum(axis=0) / max(1, len(values))
    norms = np.linalg.norm(centred, axis=0)
    unit = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
    distance = np.clip(1 - unit.T @ unit, 0, 2)
    np.fill_diagonal(distance, 0)
    found = fcluster(linkage(squareform(distance, checks=False), "complete"), 1 - CLUSTER_CORRELATION, "distance")
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse] + 1, dtype=np.int64)
