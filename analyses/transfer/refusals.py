"""Refusals beside answers: whether the instruct probe tells "I don't know" from an invented and from a faithful answer.

A probe of hallucination may see that knowledge is missing, or only that something is invented. A refusal is the control
that separates the two, since the model lacks the answer and invents nothing. Refusals are never among the rows that a
probe is fitted to or tested on.

Source: none in Gao et al. 2025, who drop refusals. Choice: all of this.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from provenance.activations.features import Features
from provenance.analyses.results.answers import RefusalContrast
from provenance.analyses.transfer.probe_transfer import CHANCE, MIN_PER_CLASS
from provenance.analyses.transfer.two_by_two import NO_PROBE, SAME_SCORE
from provenance.probe.sparse_probe import Probe
from provenance.records import Estimate, Stage
from provenance.statistics.bootstrap import estimate_of, resampled_aurocs, resampled_means, resampled_weights

Contrast = tuple[Estimate | None, str]
"""An AUROC, or the reason why there is none."""


def refusal_contrast(
    stage: Stage, dataset: str, split: str, probe: Probe | None, answers: Features, refusals: Features, *, seed: int = 0
) -> RefusalContrast:
    """The instruct probe on refusals of one model, and on its test answers to the same question set.

    AUROC with intervals by question; none with fewer than 10 questions of either kind. The share above 0 is of the
    instruct model alone, since magnitudes shift between models.

    Args:
        probe: The instruct checkpoint's, over the neurons of the features; None without one.
        answers: Balanced test answers.
        refusals: In the same order of neurons; their labels are ignored.
    """
    scores = None if probe is None else (probe.scores(answers.answer), probe.scores(refusals.answer))
    by_label: Mapping[str, Bool[np.ndarray, " rows"]] = {
        "hallucinated": answers.hallucinated, "faithful": ~answers.hallucinated,
    }  # fmt: skip
    found: dict[str, Contrast] = {}
    for label, rows in by_label.items():
        units = tuple(np.asarray(answers.units, dtype=str)[rows].tolist())
        reason = _too_few(label, units, refusals.units)
        if scores is None or reason:
            found[label] = None, reason or NO_PROBE
        else:
            found[label] = _auroc(scores[0][rows], scores[1], (*units, *refusals.units), seed)
    above, below = found["hallucinated"], _turned(found["faithful"])
    return RefusalContrast(
        stage=stage,
        dataset=dataset,
        split=split,
        n_refusal=len(refusals),
        n_faithful=int((~answers.hallucinated).sum()),
        n_hallucinated=int(answers.hallucinated.sum()),
        from_hallucinated=above[0],
        from_faithful=below[0],
        detected=_detected(scores[1], refusals, seed) if scores is not None and stage == "instruct" else None,
        finding=" and ".join(label for label, (area, _) in found.items() if area is not None and _covers_chance(area)),
        reason="; ".join(dict.fromkeys(reason for _, reason in found.values() if reason)),
    )


def _too_few(label: str, units: tuple[str, ...], refused: tuple[str, ...]) -> str:
    counts = {label: len(set(units)), "refused": len(set(refused))}
    few = [f"{count} {name} questions" for name, count in counts.items() if count < MIN_PER_CLASS]
    return f"{' and '.join(few)} ({MIN_PER_CLASS} needed)" if few else ""


def _auroc(
    answers: Float[np.ndarray, " answers"], refusals: Float[np.ndarray, " refusals"], units: tuple[str, ...], seed: int
) -> Contrast:
    """Answers above refusals."""
    values = np.concatenate([answers, refusals])
    if np.ptp(values) == 0:
        return None, SAME_SCORE
    positive = np.arange(values.size) < answers.size
    areas = resampled_aurocs(values[:, None], positive, resampled_weights(units, seed=seed))
    return estimate_of(areas, values.size), ""


def _turned(found: Contrast) -> Contrast:
    """The AUROC with the classes exchanged."""
    area, reason = found
    return (None if area is None else Estimate(1 - area.estimate, 1 - area.high, 1 - area.low, area.n)), reason


def _detected(scores: Float[np.ndarray, " refusals"], refusals: Features, seed: int) -> Estimate | None:
    """Share of refusals that the probe takes for hallucinated."""
    if not scores.size:
        return None
    above = (scores > 0).astype(np.float64)
    return estimate_of(resampled_means(above, resampled_weights(refusals.units, seed=seed)), scores.size)


def _covers_chance(area: Estimate) -> bool:
    """Whether the interval holds 0.5, so that the two are hard to tell apart."""
    return area.low <= CHANCE <= area.high
