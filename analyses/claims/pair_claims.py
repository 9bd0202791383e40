"""The claims about a pair, each as the list of conditions that its verdict is made of.

The one idea: a new condition is one more line of a list here. Results of transfer, drift and overlap hold numbers;
their verdict and the sentence beside it are those of their claim, put in by `judged` and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, get_args

import numpy as np
from jaxtyping import Float, Int

from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.baselines.ladder import ALL_TOGETHER
from provenance.analyses.claims.conditions import claim_of, condition, corresponding, reachable
from provenance.analyses.claims.reasons import drift_reason, overlap_reason, transfer_reason
from provenance.analyses.claims.sentences import BEYOND_WORDS, LABEL_WORDS, OVERLAP_WORDS, TRANSFER_WORDS, drift_words
from provenance.analyses.drift.drift_tests import (
    MOST_COMPARED,
    MOST_RECOGNISED,
    compared,
    drift_tests,
    finest_matching,
    of_delta,
)
from provenance.analyses.drift.pair import MeasuredPair, recognised
from provenance.analyses.drift.weight_drift import PERMUTATIONS, SIGNIFICANCE, summarise_drift
from provenance.analyses.overlap.shared_neurons import MAX_P_ZERO
from provenance.analyses.results.claims import Claim
from provenance.analyses.results.drift import DriftResult, DriftTest, ProbeSide
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.probes import IdentificationResult
from provenance.analyses.results.transfer import LabelAgreement, Rung, TransferResult
from provenance.analyses.transfer.probe_transfer import CHANCE, DECIDING_KINDS, MIN_PER_CLASS, highest_other, jointly
from provenance.records import Verdict

Result = TypeVar("Result", TransferResult, DriftResult, OverlapResult)


def judged(result: Result, claim: Claim, reason: str, problem: str) -> Result:
    """A result with the verdict of its claim.

    Args:
        result: Numbers.
        claim: About them.
        reason: The numbers that decided, in words.
        problem: Why it is not known which neuron is which; or empty. Numbers by position decide nothing.
    """
    words = f"{problem}; by position alone: {reason}" if problem else reason
    return replace(result, verdict=claim.verdict, reason=words)


def decided(results: Sequence[TransferResult], rungs: Sequence[Rung], problem: str = "") -> tuple[TransferResult, ...]:
    """Transfer to all question sets together, judged.

    Args:
        results: From `provenance.analyses.transfer.probe_transfer.transfer`, a question set each.
        rungs: From `provenance.analyses.baselines.ladder.ladder`, of the same answers.
        problem: Why it is not known which neuron is which; or empty.
    """
    joined = jointly(results, rungs)
    tests = sum(result.p_holm is not None for result in joined)
    judgements = [(result, dataset_claim(result, rungs, problem)) for result in joined]
    return tuple(
        judged(result, claim, transfer_reason(result, rungs, claim, tests), problem) for result, claim in judgements
    )


def decisive(transfers: Sequence[TransferResult]) -> TransferResult | None:
    """The question set that transfer rests on: the first with power, else the first; None without any.

    Choice: the order is fixed before anything is computed, with the in-domain set (the one the probe was
    identified on) first, and whether a set has power depends on its label counts and on what has to be beaten, never
    on how well the probe does (a probe that gives all answers of a set one score says nothing on it). So one test
    decides, which is corrected for the others all the same, since each of them is reported with a
    verdict of its own. Taking any supported set would say where transfer is seen and not where it was looked
    for; a majority would let sets of 20 answers outvote one of 1,000.
    """
    return next((result for result in transfers if result.verdict != "no power"), transfers[0] if transfers else None)


def transfer_claim(transfers: Sequence[TransferResult], rungs: Sequence[Rung], problem: str) -> Claim:
    """Readable in the base, on the question set that decides.

    Args:
        transfers: From `decided`, the in-domain question set first.
        rungs: Baselines of each.
        problem: Why it is not known which neuron is which; or empty.
    """
    result = decisive(transfers)
    if result is None:
        return claim_of("transfer", TRANSFER_WORDS, [corresponding(problem)])
    return dataset_claim(result, rungs, problem)


def dataset_claim(result: TransferResult, rungs: Sequence[Rung], problem: str) -> Claim:
    """The probe beats chance, neuron sets, length and texts on the base's own answers to one question set.

    A baseline that could not be computed does not decide; where one is right on every pair of answers already, no
    probe could be shown to be better.
    """
    name, highest = result.dataset, highest_other(result, rungs)
    p_values = {"chance": result.p_chance} | {rung.kind: rung.p_value for rung in rungs if rung.dataset == name}
    questions = None if result.questions is None else float(result.questions)
    most = None if highest is None else highest[1]
    conditions = [
        corresponding(problem),
        condition("transfer.questions_per_class", questions, ">=", float(MIN_PER_CLASS), name, role="power"),
        condition("transfer.others_auroc", most, "<", 1.0, name, role="power"),
        *(
            condition(f"transfer.p.{kind}", p_values.get(kind), "<", SIGNIFICANCE, name, role="part")
            for kind in ("chance", *DECIDING_KINDS)
        ),
        condition("transfer.p_holm", result.p_holm, "<", SIGNIFICANCE, name),
    ]
    return claim_of("transfer", TRANSFER_WORDS, conditions, name)


def beyond_confidence_claim(transfers: Sequence[TransferResult], rungs: Sequence[Rung], problem: str = "") -> Claim:
    """The probe reads the base, and adds to what an answer's length, words and log-probability say together.

    Choice: adding is asked for, not doing better alone. A probe of a few neurons that is not as good as the model's
    own confidence may still know something that confidence does not. Only of a transfer that is shown, though: a
    score that knows no label adds to others by taking noise out of them. Where the others are right already on every
    pair of answers there is nothing to add, and no power.
    """
    result = decisive(transfers)
    name, p_holm = ("", None) if result is None else (result.dataset, result.p_holm)
    rung = next((rung for rung in rungs if (rung.dataset, rung.kind) == (name, ALL_TOGETHER)), None)
    gain = None if rung is None or rung.gain is None else rung.gain.estimate
    alone = None if rung is None or rung.auroc is None else rung.auroc.estimate
    adds = None if rung is None else rung.p_holm
    conditions = [
        corresponding(problem),
        condition("beyond_confidence.transfer_p_holm", p_holm, "<", SIGNIFICANCE, name),
        condition("beyond_confidence.others_auroc", alone, "<", 1.0, name, role="power"),
        condition("beyond_confidence.gain", gain, ">", 0.0, name, role="part"),
        condition("beyond_confidence.p_holm", adds, "<", SIGNIFICANCE, name),
    ]
    return claim_of("beyond_confidence", BEYOND_WORDS, conditions, name)


def own_labels_claim(
    transfers: Sequence[TransferResult], agreement: Sequence[LabelAgreement], problem: str = ""
) -> Claim:
    """Where the two models' labels differ, the probe on the base's neurons follows the base's own labels.

    Choice: only a transfer that is shown can follow anybody's labels. On these few questions the score has to beat
    0.5 alone, and a length or a word that goes with the base's labels would beat that. It is asked of the
    one question set that decides transfer, so there is nothing to correct for.
    """
    result = decisive(transfers)
    name, p_holm = ("", None) if result is None else (result.dataset, result.p_holm)
    area = next((row.auroc_disagree for row in agreement if row.dataset == name), None)
    conditions = [
        corresponding(problem),
        condition("own_labels.transfer_p_holm", p_holm, "<", SIGNIFICANCE, name),
        condition("own_labels.auroc_low", None if area is None else area.low, ">", CHANCE, name),
    ]
    return claim_of("own_labels", LABEL_WORDS, conditions, name)


def drift_claim(tests: Sequence[DriftTest], problem: str, recognised: float | None) -> Claim:
    """Tuning changed the H-Neurons' weights less than those of neurons like them.

    Args:
        tests: From `provenance.analyses.drift.drift_tests.drift_tests`; those of the H-Neurons' Delta decide.
        problem: Why it is not known which neuron is which; or empty.
        recognised: Share of the H-Neurons that are still the same neuron, by
            `provenance.analyses.drift.pair.recognised`. Where
            most of them became others altogether, their ranks among others that did say nothing about stability.
    """
    own = of_delta(tests)
    conditions = [
        corresponding(problem),
        condition("drift.recognised", recognised, ">", MOST_RECOGNISED),
        condition("drift.compared", compared(own), ">", MOST_COMPARED, role="power"),
        *(condition(f"drift.p.{test.matching}", test.p_more_stable, "<", SIGNIFICANCE) for test in own),
        *(reachable(f"drift.detectable.{test.matching}", test.smallest_detectable, 1.0) for test in own),
    ]
    words: dict[Verdict, str] = {verdict: drift_words(verdict, finest_matching(own)) for verdict in get_args(Verdict)}
    return claim_of("drift", words, conditions)


def judged_drift(
    result: DriftResult, tests: Sequence[DriftTest], problem: str, recognised: float | None
) -> tuple[DriftResult, Claim]:
    """Drift with its verdict, and the claim: arguments are the numbers of `summarise_drift`, and of `drift_claim`."""
    claim = drift_claim(tests, problem, recognised)
    return judged(result, claim, drift_reason(result, tests, claim, recognised), problem), claim


def pair_drift(
    measured: MeasuredPair,
    instruct: OpenCheckpoint,
    sides: Mapping[ProbeSide, Int[np.ndarray, " _"]],
    seed: int,
    *,
    draws: int = PERMUTATIONS,
    activity: Float[np.ndarray, " neurons"] | None = None,
    correlation: Float[np.ndarray, " neurons"] | None = None,
) -> tuple[DriftResult, tuple[DriftTest, ...], Claim]:
    """The H-Neurons' drift against neurons like them, judged.

    Args:
        measured: The pair.
        instruct: Its instruct checkpoint.
        sides: Flat ids in the instruct checkpoint; the H-Neurons are those of `hallucinated`.
        seed: Of the permutations.
        draws: Permutations.
        activity: Mean CETT of every neuron in the base, where answers were captured.
        correlation: Of every neuron's activations in both models, where both were run.

    Returns:
        The main result, every set by every measure against every kind of matched neurons, and the claim.
    """
    layers, d_m = instruct.layout.layers, instruct.layout.d_m
    drift = summarise_drift(measured.drift, sides["hallucinated"], layers, d_m)
    tests = drift_tests(measured.drift, sides, activity, correlation, layers, d_m, draws=draws, seed=seed)
    kept = recognised(measured.drift, instruct.layout, sides["hallucinated"])
    result, claim = judged_drift(drift, tests, measured.alignment.reason, kept)
    return result, tests, claim


def overlap_claim(
    result: OverlapResult, nulls: Sequence[OverlapNull], probes: Sequence[IdentificationResult], problem: str
) -> Claim:
    """An independent search in the base ends at more of the same neurons than chance.

    Args:
        result: Of both sets.
        nulls: From `provenance.analyses.overlap.overlap_nulls.overlap_nulls`; none where a set is empty.
        probes: Both searches; a probe that does not read its own model's held-out answers found no H-Neurons. Where
            every null is beaten but none is of searches with shuffled labels, one is asked for. Empty for sets that
            nobody searched for.
        problem: Why it is not known which neuron is which; or empty.
    """
    p_values: dict[str, float | None] = {null.kind: null.p_value for null in nulls}
    beaten = [condition(f"overlap.p.{kind}", p_value, "<", SIGNIFICANCE) for kind, p_value in p_values.items()]
    if probes and beaten and "shuffled_labels" not in p_values and all(each.holds for each in beaten):
        beaten.append(condition("overlap.p.shuffled_labels", None, "<", SIGNIFICANCE))
    zero = {null.kind: null.p_zero for null in nulls}.get("hypergeometric")
    conditions = [
        corresponding(problem),
        *(condition(f"overlap.reads.{each.stage}", own_auroc_low(each), ">", CHANCE, role="power") for each in probes),
        condition("overlap.p_zero", zero, "<=", MAX_P_ZERO, role="power"),
        *beaten,
        reachable("overlap.detectable", _hardest(nulls), float(min(result.k_base, result.k_instruct))),
    ]
    return claim_of("overlap", OVERLAP_WORDS, conditions)


def judged_overlap(
    result: OverlapResult, nulls: Sequence[OverlapNull], probes: Sequence[IdentificationResult], problem: str
) -> tuple[OverlapResult, Claim]:
    """Overlap with its verdict, and the claim: arguments as for `overlap_claim`."""
    claim = overlap_claim(result, nulls, probes, problem)
    return judged(result, claim, overlap_reason(result, nulls, claim), problem), claim


def _hardest(nulls: Sequence[OverlapNull]) -> float | None:
    """Shared neurons that are needed under the strictest null; None where none would do."""
    needed = [null.smallest_detectable for null in nulls]
    known = [number for number in needed if number is not None]
    return max(known, default=None) if len(known) == len(needed) else None


def own_auroc_low(probe: IdentificationResult) -> float | None:
    """Lower end of a probe's AUROC on its own model's held-out in-domain answers."""
    held = next(iter(probe.test), None)
    return None if held is None or held.auroc is None else held.auroc.low
