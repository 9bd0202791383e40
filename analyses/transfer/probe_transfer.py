"""Tests whether the instruct model's probe, weights unchanged, reads the base model's own answers.

0.5 is the wrong null, because almost any neurons, and words, tell something about an answer. The probe must beat each
of the other neurons and text classifiers fitted on the same instruct rows, corrected for the number of question sets.
Source: Gao et al. 2025, arXiv:2512.01797, Sec. 4.1 and 6.3.1 (transfer by AUROC, since magnitudes shift).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.controls.control_probes import ControlProbe, fit_controls
from provenance.analyses.controls.control_sets import (
    CONTROL_KINDS,
    SET_KINDS,
    ControlSetKind,
    excluded_from_controls,
    neuron_sets,
)
from provenance.analyses.controls.question_folds import questions_per_class
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.analyses.transfer.training_variance import half_deviations, over_training_sets, training_sd
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import Probe
from provenance.statistics.bootstrap import (
    BOOTSTRAP_DRAWS,
    estimate_of,
    p_not_above,
    resampled_aurocs,
    resampled_weights,
)
from provenance.statistics.holm import holm

CONTROL_DRAWS = 200  # the smallest p-value is then 1 / 201, which Holm's correction leaves below 0.05 for ten tests
# With 10 + 10 answers the standard error of an AUROC near 0.5 is 0.13: only a near-perfect
# probe (0.76 and more) could be told from chance, and with fewer not even that one reliably.
MIN_PER_CLASS = 10
CHANCE = 0.5
LENGTHS_AND_TEXTS = "lengths_and_texts"
# Kinds of `Rung` that the probe must beat, beside chance. The model's own confidence is a separate claim:
# neurons that are readable in the base may well be the source of its confidence.
DECIDING_KINDS = (*SET_KINDS, "answer_length", "question_text", "answer_text", LENGTHS_AND_TEXTS)


def refit_controls(
    probe: Probe,
    train: Features,
    layers: int,
    d_m: int,
    *,
    unmapped: Int[np.ndarray, " u"] = NO_NEURONS,
    draws: int = CONTROL_DRAWS,
    seed: int = 0,
) -> dict[ControlSetKind, tuple[ControlProbe, ...]]:
    """Probes on random and on layer-matched neuron sets by kind, for all question sets; empty without a mapped weight.

    The penalty cannot weaken a null (`provenance.analyses.controls.control_probes`). Sets exclude the probe's own
    neurons, unless these fill more than half of a layer: in a small model, chance would put some into every tenth set,
    and the null would measure the probe.

    Args:
        probe: The instruct probe; sets have as many neurons as it has non-zero weights on mapped neurons.
        train: Its training rows.
        unmapped: Flat ids of neurons without a counterpart in the base, excluded from control sets.
    """
    rng = np.random.default_rng(seed)
    own = np.setdiff1d(probe.nonzero, unmapped)
    if own.size == 0:
        return dict.fromkeys(CONTROL_KINDS, ())
    excluded = excluded_from_controls(own, unmapped, layers, d_m)
    controls: dict[ControlSetKind, tuple[ControlProbe, ...]] = {}
    for kind in CONTROL_KINDS:
        sets = neuron_sets(kind, own, layers, d_m, K=draws, rng=rng, excluded=excluded)
        controls[kind] = fit_controls(train, sets, probe.design)
    return controls


def transfer(
    probe: Probe,
    base: Features,
    dataset: str,
    halves: Sequence[Fit] = (),
    *,
    resamples: int = BOOTSTRAP_DRAWS,
    seed: int = 0,
) -> TransferResult:
    """Scores the base model's own answers, balanced by its own labels, with the instruct probe; not yet judged.

    Interval and p are over resampled questions and over training sets (`halves`: the probe on halves of its training
    questions), the interval over questions alone is beside them. A reason in place of p with under 10 questions of a
    class, or equal scores. Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.1.
    """
    positive = base.hallucinated
    scores = probe.scores(base.answer)
    problem = _obstacle(scores, base)
    if positive.all() or not positive.any():
        return untested(dataset, base, problem)
    # The same samples as for held-out scores and curves, in any row order.
    own = resampled_aurocs(scores[:, None], positive, resampled_weights(base.units, draws=resamples, seed=seed))
    deviations = half_deviations(halves, base)
    either = over_training_sets(own, deviations, seed)
    p_chance = p_not_above(either, CHANCE)
    problem = problem or ("" if p_chance is not None else "its AUROC is not a number")
    return replace(
        untested(dataset, base, problem),
        auroc=estimate_of(either, positive.size),
        given_probe=estimate_of(own, positive.size),
        training_sd=training_sd(deviations),
        p_chance=None if problem else p_chance,
    )


def jointly(results: Sequence[TransferResult], rungs: Sequence[Rung]) -> tuple[TransferResult, ...]:
    """p-values of all question sets, each the largest p over chance and all deciding baselines.

        p(set) = max(p_chance, p_random, p_layer_matched, p_shuffled_labels, p_answer_length, p_question_text,
                     p_answer_text, p_lengths_and_texts)

    An intersection-union test: the probe beats all of them at 5 % if it beats each at 5 %. Holm's correction over the
    question sets with power bounds the chance of any false "supported" by 5 %. `answer_log_probability` and
    `all_together` are a separate claim and not tested here. Baselines without a number do not count; `p_value`,
    `p_holm` and `decided_by` are None if a baseline ranks every pair of answers correctly, since no probe can beat it.
    Source: Berger 1982, Technometrics 24, 295-300, for the largest of several p-values; Holm 1979.
    """
    highests = [highest_other(result, rungs) for result in results]
    p_values = {
        place: known_p_values(result, rungs)
        for place, (result, highest) in enumerate(zip(results, highests, strict=True))
        if result.p_chance is not None and (highest is None or highest[1] < 1)
    }
    corrected = holm(np.array([max(found.values()) for found in p_values.values()], dtype=np.float64))
    after = dict(zip(p_values, corrected.tolist(), strict=True))
    return tuple(_with_p(result, p_values.get(place, {}), after.get(place)) for place, result in enumerate(results))


def highest_other(result: TransferResult, rungs: Sequence[Rung]) -> tuple[str, float] | None:
    """Name and AUROC of the strongest deciding baseline on a question set; None if there is none.

    Neuron sets count with their 95th percentile: if one in twenty ranks every pair correctly, p stays at 0.05.
    """
    found = {
        rung.kind: rung.auroc.estimate if rung.sets_p95 is None else rung.sets_p95
        for rung in rungs
        if rung.dataset == result.dataset and rung.kind in DECIDING_KINDS and rung.auroc is not None
    }
    return max(found.items(), key=lambda item: item[1], default=None)


def known_p_values(result: TransferResult, rungs: Sequence[Rung]) -> dict[str, float]:
    """p-values of one question set: chance, then in the order of `DECIDING_KINDS`; kinds without a p are left out."""
    found = {} if result.p_chance is None else {"chance": result.p_chance}
    found |= {rung.kind: rung.p_value for rung in rungs if rung.dataset == result.dataset and rung.p_value is not None}
    return {kind: found[kind] for kind in ("chance", *DECIDING_KINDS) if kind in found}


def _with_p(result: TransferResult, p_values: Mapping[str, float], p_holm: float | None) -> TransferResult:
    decisive = max(p_values, key=lambda kind: p_values[kind], default=None)
    p_value = None if decisive is None else p_values[decisive]
    return replace(result, p_value=p_value, p_holm=p_holm, decided_by=decisive)


def untested(dataset: str, base: Features, reason: str) -> TransferResult:
    """The result if transfer cannot be tested, also without a probe."""
    return TransferResult(
        dataset=dataset,
        auroc=None,
        n_faithful=int((~base.hallucinated).sum()),
        n_hallucinated=int(base.hallucinated.sum()),
        reason=reason,
        questions=min(questions_per_class(base).values()),
    )


def _obstacle(scores: Float[np.ndarray, " rows"], base: Features) -> str:
    questions = questions_per_class(base)
    if min(questions.values()) < MIN_PER_CLASS:
        counts = " and ".join(f"{n} with {label}" for label, n in questions.items())
        return f"{counts} answers of the base model; at least {MIN_PER_CLASS} independent groups of each are needed"
    if np.ptp(scores) == 0:
        return "the instruct probe has no weight on a neuron that varies in these answers, so all get the same score"
    return ""
