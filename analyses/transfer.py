"""Does the instruct model's probe, weights unchanged, read the base model's own answers?

The one idea: 0.5 is the wrong null. Any handful of neurons carries something about an answer
(its length, its frequency), so the probe must beat probes on other neurons that were fitted
on the same instruct rows and carried over the same way.

Source: Gao et al. 2025, arXiv:2512.01797, Sec. 4.1 and 6.3.1 (transfer by AUROC, since magnitudes shift).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from analyses.controls import CONTROL_KINDS, ControlKind, excluded_from_controls, neuron_sets, null_distribution
from analyses.refit import ControlProbe, control_scores, fit_controls
from analyses.results import NullDistribution, TransferResult
from provenance.features import Features
from provenance.intervals import Estimate, aurocs
from provenance.probe import Probe
from provenance.records import Verdict
from provenance.resampling import estimate_of, resampled_aurocs, resampled_weights

CONTROL_DRAWS = 100  # the 95th percentile then has five draws above it
# With 10 + 10 answers the standard error of an AUROC near 0.5 is 0.13: only a near-perfect
# probe (0.76 and more) could be told from chance, and with fewer not even that one reliably.
MIN_PER_CLASS = 10
CHANCE = 0.5
NONE: Int[np.ndarray, " none"] = np.empty(0, dtype=np.int64)


def refit_controls(
    probe: Probe,
    train: Features,
    layers: int,
    d_m: int,
    *,
    unmapped: Int[np.ndarray, " u"] = NONE,
    draws: int = CONTROL_DRAWS,
    seed: int = 0,
) -> dict[ControlKind, tuple[ControlProbe, ...]]:
    """Probes on random and on layer-matched neuron sets, one set of probes for all question sets.

    Args:
        probe: The instruct probe; control sets have as many neurons as it has non-zero weights on mapped neurons.
        train: The instruct rows that it was fitted on.
        layers: Layers of the model.
        d_m: Neurons per layer.
        unmapped: Flat ids of neurons without a counterpart in the base; no control set holds one.
        draws: Sets of each kind.
        seed: Of the sets.

    Returns:
        By kind. The fits are weakly regularised, so that shrinkage cannot weaken a null. Sets leave the
        probe's own neurons out, unless they fill more than half of a layer: in a small model chance would
        otherwise put some of them into every tenth set, and the null would measure the probe itself.
        Empty for a probe without a weight on a mapped neuron, which `transfer` does not test.
    """
    rng = np.random.default_rng(seed)
    own = np.setdiff1d(probe.nonzero, unmapped)
    if own.size == 0:
        return dict.fromkeys(CONTROL_KINDS, ())
    excluded = excluded_from_controls(own, unmapped, layers, d_m)
    controls: dict[ControlKind, tuple[ControlProbe, ...]] = {}
    for kind in CONTROL_KINDS:
        sets = neuron_sets(kind, own, layers, d_m, K=draws, rng=rng, excluded=excluded)
        controls[kind] = fit_controls(train, sets, probe.design)
    return controls


def transfer(
    probe: Probe,
    base: Features,
    dataset: str,
    controls: Mapping[ControlKind, Sequence[ControlProbe]],
    *,
    seed: int = 0,
) -> TransferResult:
    """Score the base model's own answers with the instruct probe, and with its controls.

    Args:
        probe: The instruct probe.
        base: The base model's own responses with its own labels, balanced.
        dataset: Name of the question set.
        controls: From `refit_controls`, shared between question sets.
        seed: Of the bootstrap.

    Returns:
        `supported`: the 95 % interval lies above 0.5 and above both controls' 95th percentile.
        `no power`: fewer than 10 questions of a class, or every answer gets the same score.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.1. Choice: the nulls, and that the interval's
    lower end has to clear them.
    """
    positive = base.hallucinated
    scores = probe.scores(base.answer)
    obstacle = _obstacle(scores, base)
    estimate = _estimate(scores, positive, base.units, seed)
    if obstacle or estimate is None:
        return without_power(dataset, base, obstacle, auroc=estimate)
    baselines = {kind: _baseline(kind, probes, base, estimate) for kind, probes in controls.items()}
    verdict, reason = _decide(estimate, baselines)
    return TransferResult(
        dataset=dataset,
        auroc=estimate,
        n_faithful=int((~positive).sum()),
        n_hallucinated=int(positive.sum()),
        baselines={str(kind): null for kind, null in baselines.items()},
        verdict=verdict,
        reason=reason,
    )


def without_power(dataset: str, base: Features, reason: str, *, auroc: Estimate | None = None) -> TransferResult:
    """The result where transfer cannot be tested, also for when there is no probe at all."""
    return TransferResult(
        dataset=dataset,
        auroc=auroc,
        n_faithful=int((~base.hallucinated).sum()),
        n_hallucinated=int(base.hallucinated.sum()),
        baselines={},
        verdict="no power",
        reason=reason,
    )


def _obstacle(scores: Float[np.ndarray, " rows"], base: Features) -> str:
    """Why nothing could be concluded, whatever the scores; empty when there is no such reason."""
    # Questions count, not rows: rows of one question are not independent.
    questions = {
        label: len({unit for unit, y in zip(base.units, base.hallucinated, strict=True) if y == wanted})
        for label, wanted in (("faithful", False), ("hallucinated", True))
    }
    if min(questions.values()) < MIN_PER_CLASS:
        counts = " and ".join(f"{n} with {label}" for label, n in questions.items())
        return f"{counts} answers of the base model; at least {MIN_PER_CLASS} questions of each are needed"
    if np.ptp(scores) == 0:
        return "the instruct probe has no weight on a neuron of the base, so every answer gets the same score"
    return ""


def _estimate(
    scores: Float[np.ndarray, " rows"], positive: Bool[np.ndarray, " rows"], units: Sequence[str], seed: int
) -> Estimate | None:
    """AUROC with its interval by question; None with one class."""
    if positive.all() or not positive.any():
        return None
    weights = resampled_weights(units, seed=seed)  # the samples of held-out scores and curves, whatever the row order
    return estimate_of(resampled_aurocs(scores[:, None], positive, weights), positive.size)


def _baseline(
    kind: ControlKind, probes: Sequence[ControlProbe], base: Features, observed: Estimate
) -> NullDistribution:
    """AUROC of every control probe on the same base answers."""
    areas = aurocs(control_scores(probes, base.answer), base.hallucinated)
    return null_distribution(kind, areas, observed.estimate)


def _decide(estimate: Estimate, baselines: Mapping[ControlKind, NullDistribution]) -> tuple[Verdict, str]:
    """The verdict of a test that had power, with the numbers that decided."""
    bars = ", ".join(f"{null.p95:.3f} ({kind.replace('_', '-')})" for kind, null in baselines.items())
    numbers = (
        f"AUROC {estimate.estimate:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]; "
        f"95th percentile of refitted control sets: {bars}"
    )
    bar = max([CHANCE, *(null.p95 for null in baselines.values())])
    return ("supported" if estimate.low > bar else "not distinguishable"), numbers


def overall_transfer(results: Sequence[TransferResult]) -> Verdict:
    """The transfer verdict over question sets: that of the first one that has power.

    Choice: the order is fixed before anything is computed, with the in-domain set (the one the probe was
    identified on) first, and whether a set has power depends on its label counts, not on the outcome. So
    one test decides, and no correction for several is needed. Taking any supported set would let each
    further set add a chance of a false claim; a majority would let sets of 20 answers outvote one of
    1,000. The other sets are reported beside it as they are.

    Returns:
        `no power` when no set has any, or none was given.
    """
    return next((result.verdict for result in results if result.verdict != "no power"), "no power")
