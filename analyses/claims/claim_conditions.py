"""The claims about a pair, each as the list of conditions that make its verdict; `judged` adds it to the results."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, get_args

import numpy as np
from jaxtyping import Float, Int

from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.baselines.ladder import ALL_TOGETHER
from provenance.analyses.claims.reasons import drift_reason, overlap_reason, transfer_reason
from provenance.analyses.claims.sentences import BEYOND_WORDS, LABEL_WORDS, OVERLAP_WORDS, TRANSFER_WORDS, drift_words
from provenance.analyses.claims.verdict import (
    INHERITED,
    claim_of,
    condition,
    corresponding,
    largest_of,
    p_against,
    reachable,
)
from provenance.analyses.controls.control_sets import SHUFFLED_LABELS
from provenance.analyses.drift.drift_tests import (
    LEAST_COMPARED,
    LEAST_RECOGNISED,
    compared,
    drift_tests,
    finest_matching,
    of_delta,
)
from provenance.analyses.drift.pair import MeasuredPair, recognised
from provenance.analyses.drift.weight_drift import PERMUTATIONS, SIGNIFICANCE, summarise_drift
from provenance.analyses.overlap.shared_neurons import MAX_P_ZERO
from provenance.analyses.results.claims import Claim, Reason, Role
from provenance.analyses.results.drift import DriftResult, DriftTest, ProbeSide
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.probes import IdentificationResult
from provenance.analyses.results.transfer import LabelAgreement, Rung, TransferResult
from provenance.analyses.transfer.probe_transfer import CHANCE, DECIDING_KINDS, MIN_PER_CLASS, highest_other, jointly
from provenance.records import Verdict

Result = TypeVar("Result", TransferResult, DriftResult, OverlapResult)


def judged(result: Result, claim: Claim, reason: str, problem: str) -> Result:
    """A result with the verdict of its claim, and the numbers that decided, in words.

    `problem`: why neurons have no known counterparts, or empty; numbers by position decide nothing.
    """
    words = f"{problem}; by position alone: {reason}" if problem else reason
    return replace(result, verdict=claim.verdict, reason=words)


def decided(
    results: Sequence[TransferResult], rungs: Sequence[Rung], problem: str = "", *, searched: bool = False
) -> tuple[TransferResult, ...]:
    """Transfer to all question sets, judged; rungs and results are of the same answers, `problem` as for `judged`.

    `searched`: whether the probe is of a search, which must then be compared with searches on shuffled labels.
    """
    joined = jointly(results, rungs)
    tests = sum(result.p_holm is not None for result in joined)
    judgements = [(result, dataset_claim(result, rungs, problem, searched=searched)) for result in joined]
    return tuple(
        judged(result, claim, transfer_reason(result, rungs, claim, tests), problem) for result, claim in judgements
    )


def decisive(transfers: Sequence[TransferResult]) -> TransferResult | None:
    """The question set that decides transfer: the first with power, else the first; None without any.

    Choice: the order is fixed beforehand, with the in-domain set (on which the probe was identified) first, and power
    depends on label counts and baselines, not on the probe's success (equal scores for all answers say nothing). So one
    test decides, corrected for the others, which have their own verdicts. Any supported set would report where transfer
    is seen, not where it was tested; a majority lets sets of 20 answers outvote one of 1,000.
    """
    return next((result for result in transfers if result.verdict != "no power"), transfers[0] if transfers else None)


def transfer_claim(
    transfers: Sequence[TransferResult], rungs: Sequence[Rung], problem: str, *, searched: bool = False
) -> Claim:
    """Readable in the base, on the question set that decides (of `decided` results, the in-domain set first)."""
    result = decisive(transfers)
    if result is None:
        return claim_of("transfer", TRANSFER_WORDS, [corresponding(problem)])
    return dataset_claim(result, rungs, problem, searched=searched)


def dataset_claim(result: TransferResult, rungs: Sequence[Rung], problem: str, *, searched: bool = False) -> Claim:
    """The probe beats chance, neuron sets, length and texts on the base's own answers to one question set.

    A baseline that could not be computed does not decide, but for shuffled labels if the probe is of a search; one that
    is right on every pair of answers cannot be beaten.
    """
    name, highest = result.dataset, highest_other(result, rungs)
    p_values = {"chance": result.p_chance} | {rung.kind: rung.p_value for rung in rungs if rung.dataset == name}
    questions = None if result.questions is None else float(result.questions)
    best, most = ("", None) if highest is None else highest
    unknown = searched and p_values.get(SHUFFLED_LABELS) is None
    needed: dict[str, Role] = {SHUFFLED_LABELS: "shown"} if unknown else {}
    tests = [
        p_against("transfer.p", kind, p_values.get(kind), name, role=needed.get(kind, "part"))
        for kind in ("chance", *DECIDING_KINDS)
    ]
    conditions = [
        corresponding(problem),
        condition("transfer.questions_per_class", questions, ">=", float(MIN_PER_CLASS), name, role="power"),
        condition("transfer.others_auroc", most, "<", 1.0, name, role="power", against=best),
        *tests,
        largest_of(tests, "transfer.p_holm", result.p_holm, name),
    ]
    return claim_of("transfer", TRANSFER_WORDS, conditions, name)


def beyond_confidence_claim(transfers: Sequence[TransferResult], rungs: Sequence[Rung], problem: str = "") -> Claim:
    """The probe reads the base, and adds to an answer's length, words and log-probability together.

    Choice: the probe must add, not do better alone; a few neurons may know something that the model's confidence does
    not. This requires transfer to be shown, since a score without label knowledge can add by reducing noise. If the
    others are already right on every pair of answers, nothing can be added: no power.
    """
    result = decisive(transfers)
    name = "" if result is None else result.dataset
    rung = next((rung for rung in rungs if (rung.dataset, rung.kind) == (name, ALL_TOGETHER)), None)
    gain = None if rung is None or rung.gain is None else rung.gain.estimate
    alone = None if rung is None or rung.auroc is None else rung.auroc.estimate
    adds = None if rung is None else rung.p_holm
    conditions = [
        corresponding(problem),
        _transferred("beyond_confidence", result),
        condition("beyond_confidence.others_auroc", alone, "<", 1.0, name, role="power", against=ALL_TOGETHER),
        condition("beyond_confidence.gain", gain, ">", 0.0, name, role="part", against=ALL_TOGETHER),
        condition("beyond_confidence.p_holm", adds, "<", SIGNIFICANCE, name, against=ALL_TOGETHER),
    ]
    return claim_of("beyond_confidence", BEYOND_WORDS, conditions, name)


def own_labels_claim(
    transfers: Sequence[TransferResult], agreement: Sequence[LabelAgreement], problem: str = ""
) -> Claim:
    """If the two models' labels differ, the probe on the base's neurons follows the base's own labels.

    Choice: requires transfer to be shown. On these few questions the score is compared with 0.5 only, which a length or
    a word that goes with the base's labels would also beat. Uncorrected: only the deciding question set is tested.
    """
    result = decisive(transfers)
    name = "" if result is None else result.dataset
    area = next((row.auroc_disagree for row in agreement if row.dataset == name), None)
    conditions = [
        corresponding(problem),
        _transferred("own_labels", result),
        condition("own_labels.auroc_low", None if area is None else area.low, ">", CHANCE, name, against="chance"),
    ]
    return claim_of("own_labels", LABEL_WORDS, conditions, name)


def _transferred(claim: str, result: TransferResult | None) -> Reason:
    """Whether transfer is shown, which other claims need."""
    name, p_holm, hardest = ("", None, None) if result is None else (result.dataset, result.p_holm, result.decided_by)
    return condition(f"{claim}{INHERITED}", p_holm, "<", SIGNIFICANCE, name, against=hardest or "")


def drift_claim(
    tests: Sequence[DriftTest],
    problem: str,
    recognised: float | None,
    k: int,
    probes: Sequence[IdentificationResult] = (),
) -> Claim:
    """Tuning changed the H-Neurons' weights less than those of matched neurons; the tests of their Delta decide.

    If most of the `k` H-Neurons no longer match their base neuron (`recognised`, a share), drift is not supported. A
    probe that does not read its own model's held-out answers found no H-Neurons; `probes` is empty for a list.
    """
    own = of_delta(tests)
    conditions = [
        corresponding(problem),
        *_reading("drift", probes),
        condition("drift.recognised", recognised, ">", LEAST_RECOGNISED),
        condition("drift.compared", compared(own, k), ">", LEAST_COMPARED, role="power"),
        *(p_against("drift.p", test.matching, test.p_more_stable) for test in own),
        *(_detectable(test) for test in own),
    ]
    words: dict[Verdict, str] = {verdict: drift_words(verdict, finest_matching(own)) for verdict in get_args(Verdict)}
    return claim_of("drift", words, conditions)


def _detectable(test: DriftTest) -> Reason:
    """Whether any difference from matched neurons would be found."""
    code, factor = f"drift.detectable.{test.matching}", test.smallest_detectable or 0.0
    return condition(code, factor, ">", 0.0, role="power", against=test.matching)


def _reading(name: str, probes: Sequence[IdentificationResult]) -> list[Reason]:
    """Whether each probe reads its own model's held-out answers."""
    return [condition(f"{name}.reads.{each.stage}", own_auroc_low(each), ">", CHANCE, role="power") for each in probes]


def judged_drift(
    result: DriftResult,
    tests: Sequence[DriftTest],
    problem: str,
    recognised: float | None,
    probes: Sequence[IdentificationResult] = (),
) -> tuple[DriftResult, Claim]:
    """Drift (from `summarise_drift`) with its verdict, and the claim; arguments as for `drift_claim`."""
    claim = drift_claim(tests, problem, recognised, result.k, probes)
    return judged(result, claim, drift_reason(result, tests, claim, recognised), problem), claim


def pair_drift(
    measured: MeasuredPair,
    instruct: OpenCheckpoint,
    sides: Mapping[ProbeSide, Int[np.ndarray, " _"]],
    seed: int,
    *,
    probes: Sequence[IdentificationResult] = (),
    draws: int = PERMUTATIONS,
    activity: Float[np.ndarray, " neurons"] | None = None,
    correlation: Float[np.ndarray, " neurons"] | None = None,
) -> tuple[DriftResult, tuple[DriftTest, ...], Claim]:
    """The H-Neurons' drift, every set by every measure against every kind of matched neurons, and the claim.

    Args:
        sides: Flat ids in the instruct checkpoint; the H-Neurons are those of `hallucinated`.
        probes: That of the instruct checkpoint, if it was searched for.
        draws: Permutations, which `seed` makes repeatable.
        activity: Mean CETT of every neuron in the base, where answers were captured.
        correlation: Of every neuron's activations in both models, where both were run.
    """
    layers, d_m = instruct.layout.layers, instruct.layout.d_m
    drift = summarise_drift(measured.drift, sides["hallucinated"], layers, d_m, draws=draws, seed=seed)
    tests = drift_tests(measured.drift, sides, activity, correlation, layers, d_m, draws=draws, seed=seed)
    kept = recognised(measured.drift, instruct.layout, sides["hallucinated"])
    result, claim = judged_drift(drift, tests, measured.alignment.reason, kept, probes)
    return result, tests, claim


def overlap_claim(
    result: OverlapResult, nulls: Sequence[OverlapNull], probes: Sequence[IdentificationResult], problem: str
) -> Claim:
    """An independent search in the base finds more of the same neurons than chance.

    A probe that does not read its own model's held-out answers found no H-Neurons; `probes` is empty for sets without a
    search, `nulls` if a set is empty. If all nulls are beaten but none has shuffled labels, that one is required.

    No power where even full agreement would not reach p < 0.05, and where nothing is shared though chance, too, would
    likely share nothing. The latter limits what an overlap of zero proves, and nothing else: identical sets of a
    hundred neurons among a million have p = 1e-300, and P(none shared) = 0.99.
    """
    p_values: dict[str, float | None] = {null.kind: null.p_value for null in nulls}
    beaten = [p_against("overlap.p", kind, p_value) for kind, p_value in p_values.items()]
    if probes and beaten and SHUFFLED_LABELS not in p_values and all(each.holds for each in beaten):
        beaten.append(p_against("overlap.p", SHUFFLED_LABELS, None))
    zero = {null.kind: null.p_zero for null in nulls}.get("hypergeometric")
    conditions = [
        corresponding(problem),
        *_reading("overlap", probes),
        *([] if result.shared else [condition("overlap.p_zero", zero, "<=", MAX_P_ZERO, role="power")]),
        *beaten,
        reachable("overlap.detectable", _hardest(nulls), float(min(result.k_base, result.k_instruct))),
    ]
    return claim_of("overlap", OVERLAP_WORDS, conditions)


def judged_overlap(
    result: OverlapResult, nulls: Sequence[OverlapNull], probes: Sequence[IdentificationResult], problem: str
) -> tuple[OverlapResult, Claim]:
    """Overlap with its verdict, and the claim; arguments as for `overlap_claim`."""
    claim = overlap_claim(result, nulls, probes, problem)
    return judged(result, claim, overlap_reason(result, nulls, claim), problem), claim


def _hardest(nulls: Sequence[OverlapNull]) -> float | None:
    needed = [null.smallest_detectable for null in nulls]
    known = [number for number in needed if number is not None]
    return max(known, default=None) if len(known) == len(needed) else None


def own_auroc_low(probe: IdentificationResult) -> float | None:
    """Lower bound of the probe's AUROC on its own model's in-domain held-out answers; None if unknown."""
    held = next(iter(probe.test), None)
    return None if held is None or held.auroc is None else held.auroc.low
