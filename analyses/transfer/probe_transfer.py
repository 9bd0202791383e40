"""Does the instruct model's probe, weights unchanged, read the base model's own answers?

The one idea: 0.5 is the wrong null. Any handful of neurons carries something about an answer
(its length, its frequency), and so do its words, so the probe must beat probes on other neurons, and
classifiers of lengths and texts, that were fitted on the same instruct rows and carried over the same way.
It is shown only when every one of them is beaten, and after correction for the number of question sets.

Source: Gao et al. 2025, arXiv:2512.01797, Sec. 4.1 and 6.3.1 (transfer by AUROC, since magnitudes shift).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.controls.control_probes import ControlProbe, fit_controls
from provenance.analyses.controls.control_sets import CONTROL_KINDS, ControlSetKind, excluded_from_controls, neuron_sets
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.probe.sparse_probe import Probe
from provenance.records import Label
from provenance.statistics.auroc import BOOTSTRAP_DRAWS, Estimate
from provenance.statistics.bootstrap import (
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
# Kinds of `Rung` that all have to be beaten, beside chance. What the model's own confidence knows is a claim of its
# own: neurons that are readable in the base may well be where its confidence comes from.
DECIDING_KINDS = (*CONTROL_KINDS, "answer_length", "question_text", "answer_text", LENGTHS_AND_TEXTS)


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
        By kind. Their penalty is chosen so that it cannot weaken a null
        (`provenance.analyses.controls.control_probes`). Sets leave the
        probe's own neurons out, unless they fill more than half of a layer: in a small model chance would
        otherwise put some of them into every tenth set, and the null would measure the probe itself.
        Empty for a probe without a weight on a mapped neuron, which `transfer` does not test.
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
    probe: Probe, base: Features, dataset: str, *, resamples: int = BOOTSTRAP_DRAWS, seed: int = 0
) -> TransferResult:
    """Score the base model's own answers with the instruct probe.

    Args:
        probe: The instruct probe.
        base: The base model's own responses with its own labels, balanced.
        dataset: Name of the question set.
        resamples: Of questions.
        seed: Of the bootstrap.

    Returns:
        Numbers of this question set alone, not yet judged. No p, but a reason, with fewer than 10 questions of a class,
        or where every answer gets the same score.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.3.1.
    """
    positive = base.hallucinated
    scores = probe.scores(base.answer)
    problem = _obstacle(scores, base)
    if positive.all() or not positive.any():
        return untested(dataset, base, problem)
    # The samples of held-out scores and curves, whatever the row order.
    own = resampled_aurocs(scores[:, None], positive, resampled_weights(base.units, draws=resamples, seed=seed))
    estimate = estimate_of(own, positive.size)
    p_chance = p_not_above(own, CHANCE)
    if problem or p_chance is None:
        return untested(dataset, base, problem or "its AUROC is not a number", auroc=estimate)
    return replace(untested(dataset, base, "", auroc=estimate), p_chance=p_chance)


def jointly(results: Sequence[TransferResult], rungs: Sequence[Rung]) -> tuple[TransferResult, ...]:
    """p-values of all question sets together, against everything that has to be beaten.

        p(set) = max(p_chance, p_random, p_layer_matched, p_answer_length, p_question_text, p_answer_text,
                     p_lengths_and_texts)

    An intersection-union test: that it beats all of them is shown at 5 % when each is beaten at 5 %. Holm's
    correction over the question sets that have power then makes it 5 % that any set is wrongly said to be
    supported. What is not tested here: `answer_log_probability` and `all_together` are a claim of their own.

    Args:
        results: From `transfer`, a question set each.
        rungs: From `provenance.analyses.baselines.ladder.ladder`, of the same answers.

    Returns:
        The results with `p_value`, `p_holm` and `decided_by`; a baseline that could not be computed does not count.
        None of these where one of them is right on every pair of answers already, so that no probe could be shown to
        be better.

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
    """The highest AUROC among all that has to be beaten on a question set, and whose it is; None without any.

    Of neuron sets it is the 95th percentile: where one in twenty of them is right on every pair, p stays at 0.05.
    """
    found = {
        rung.kind: rung.auroc.estimate if rung.sets_p95 is None else rung.sets_p95
        for rung in rungs
        if rung.dataset == result.dataset and rung.kind in DECIDING_KINDS and rung.auroc is not None
    }
    return max(found.items(), key=lambda item: item[1], default=None)


def known_p_values(result: TransferResult, rungs: Sequence[Rung]) -> dict[str, float]:
    """What is known of one question set: chance, and then in the order of `DECIDING_KINDS`."""
    found = {} if result.p_chance is None else {"chance": result.p_chance}
    found |= {rung.kind: rung.p_value for rung in rungs if rung.dataset == result.dataset and rung.p_value is not None}
    return {kind: found[kind] for kind in ("chance", *DECIDING_KINDS) if kind in found}


def _with_p(result: TransferResult, p_values: Mapping[str, float], p_holm: float | None) -> TransferResult:
    """One question set with the largest of its p-values, and what that becomes after correction; none without any."""
    decisive = max(p_values, key=lambda kind: p_values[kind], default="")
    return replace(result, p_value=p_values.get(decisive), p_holm=p_holm, decided_by=decisive)


def untested(dataset: str, base: Features, reason: str, *, auroc: Estimate | None = None) -> TransferResult:
    """The result where transfer cannot be tested, also for when there is no probe at all."""
    return TransferResult(
        dataset=dataset,
        auroc=auroc,
        n_faithful=int((~base.hallucinated).sum()),
        n_hallucinated=int(base.hallucinated.sum()),
        reason=reason,
        questions=min(questions_per_class(base).values()),
    )


def questions_per_class(answers: Features) -> dict[Label, int]:
    """Questions with an answer of each label; they count, not rows, since rows of one question are not independent."""
    said = list(zip(answers.units, answers.hallucinated.tolist(), strict=True))
    return {
        "faithful": len({unit for unit, hallucinated in said if not hallucinated}),
        "hallucinated": len({unit for unit, hallucinated in said if hallucinated}),
    }


def _obstacle(scores: Float[np.ndarray, " rows"], base: Features) -> str:
    """Why nothing could be concluded, whatever the scores; empty when there is no such reason.

    Args:
        scores: The instruct probe's decision values.
        base: The answers that they are of.
    """
    questions = questions_per_class(base)
    if min(questions.values()) < MIN_PER_CLASS:
        counts = " and ".join(f"{n} with {label}" for label, n in questions.items())
        return f"{counts} answers of the base model; at least {MIN_PER_CLASS} questions of each are needed"
    if np.ptp(scores) == 0:
        return "the instruct probe has no weight on a neuron that varies in these answers, so all get the same score"
    return ""
