"""Spread of a transfer AUROC over training sets, from the probes of half-samples, and intervals that include it.

The bootstrap over test questions takes the probe as given. Another set of training questions would have given another
probe: the probes of random halves of the training questions show how different its transfer would be.

    variance = (d_1^2 + ... + d_H^2) / H,   d_h = AUROC of half h on the base's answers, minus the mean over halves

the delete-half jackknife. Source: Shao and Wu 1989, doi:10.1214/aos/1176347263, whose factor (n - d) / d is 1 for
d = n / 2; half-samples are for statistics as little smooth as the answers of an L1 probe. With few questions it
overstates the spread (up to twice in a made-up world of 160), since the AUROC still rises with their number.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from provenance.activations.features import Features
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import fit_scores
from provenance.statistics.auroc import aurocs


def half_deviations(halves: Sequence[Fit], answers: Features) -> Float[np.ndarray, " halves"]:
    """The d_h of the module, on some answers; empty without halves, or with one class of answers."""
    positive = answers.hallucinated
    if not halves or positive.all() or not positive.any():
        return np.empty(0)
    areas = aurocs(fit_scores(halves, answers.answer), positive)
    return np.asarray(areas - areas.mean(), dtype=np.float64)


def training_sd(deviations: Float[np.ndarray, " halves"]) -> float | None:
    """Standard deviation over training sets; None without halves."""
    return float(np.sqrt(np.mean(deviations**2))) if deviations.size else None


def over_training_sets(
    samples: Float[np.ndarray, " samples"], deviations: Float[np.ndarray, " halves"], seed: int
) -> Float[np.ndarray, " samples"]:
    """An AUROC in resampled questions, each sample moved by the deviation of a half drawn at random.

    Test and training questions are different ones, so both spreads add up. The first sample, that of the original
    questions, stays as it is. Without halves nothing changes.
    """
    if not deviations.size:
        return samples
    drawn = np.random.default_rng([seed, deviations.size]).integers(deviations.size, size=samples.size - 1)
    return np.concatenate([samples[:1], np.clip(samples[1:] + deviations[drawn], 0, 1)])
