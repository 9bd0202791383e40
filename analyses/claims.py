"""What may be said of a pair, claim by claim, each with the conditions it had to meet.

The one idea: a verdict is decided where its numbers are computed; here its conditions are laid out in one
form, so that a reader, or a program, sees which of them held and which decided. A condition that could not be
measured is neither met nor failed, and says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from analyses.drift import SIGNIFICANCE
from analyses.drift_tests import MOST_COMPARED, MOST_RECOGNISED, compared, finest_matching
from analyses.evidence_results import Claim, DriftTest, LabelAgreement, OverlapNull, Reason, Rung
from analyses.ladder import ALL_TOGETHER
from analyses.overlap import MAX_P_ZERO
from analyses.probe_results import IdentificationResult
from analyses.results import DriftResult, OverlapResult, TransferResult
from analyses.transfer import CHANCE, DECIDING_KINDS, MIN_PER_CLASS, highest_other
from analyses.verdicts import BEYOND_WORDS, LABEL_WORDS, OVERLAP_WORDS, TRANSFER_WORDS, drift_words
from provenance.records import Verdict

Relation = Literal["<", "<=", ">", ">="]


def reachable(code: str, smallest: float | None, most: float) -> Reason:
    """Whether something that can come out at all would be found with 80 % power; None: nothing would."""
    found = condition(code, smallest, "<=", most)
    return replace(found, holds=bool(found.holds))


def condition(code: str, value: float | None, relation: Relation, bar: float, dataset: str = "") -> Reason:
    """A condition and whether it holds; None where nothing was measured, or what was is not a number."""
    if value is None or math.isnan(value):
        return Reason(code, dataset, value, relation, bar, None)
    outcomes = {"<": value < bar, "<=": value <= bar, ">": value > bar, ">=": value >= bar}
    return Reason(code, dataset, value, relation, bar, outcomes[relation])


def corresponding(problem: str) -> Reason:
    """Whether neuron j of one checkpoint is neuron j, or a known other one, of the other: 1 yes, 0 no."""
    return condition("pair.neurons_correspond", 0.0 if problem else 1.0, ">=", 1.0)


def decisive(transfers: Sequence[TransferResult]) -> TransferResult | None:
    """The question set that transfer rests on: the first with power, else the first; None without any."""
    return next((result for result in transfers if result.verdict != "no power"), transfers[0] if transfers else None)


def transfer_claim(
    transfers: Sequence[TransferResult],
    rungs: Sequence[Rung],
    verdict: Verdict,
    problem: str,
    questions: Mapping[str, float],
) -> Claim:
    """Readable in the base: the probe beats chance, neuron sets, length and texts on the base's own answers.

    Args:
        transfers: By question set, the in-domain one first.
        rungs: What each was held against.
        verdict: Over the question sets.
        problem: Why neurons of the two cannot be put side by side; or empty.
        questions: By question set, how many have an answer of the rarer label.
    """
    result = decisive(transfers)
    if result is None:
        return Claim("transfer", verdict, "", TRANSFER_WORDS[verdict], (corresponding(problem),))
    name = result.dataset
    highest = highest_other(result, rungs)
    p_values = {"chance": result.p_chance} | {rung.kind: rung.p_value for rung in rungs if rung.dataset == name}
    conditions = [
        corresponding(problem),
        condition(
            "transfer.questions_per_class",
            questions.get(name),
            ">=",
            float(MIN_PER_CLASS),
            name,
        ),
        condition("transfer.others_auroc", None if highest is None else highest[1], "<", 1.0, name),
        *(
            condition(f"transfer.p.{kind}", p_values.get(kind), "<", SIGNIFICANCE, name)
            for kind in ("chance", *DECIDING_KINDS)
        ),
        condition("transfer.p_holm", result.p_holm, "<", SIGNIFICANCE, name),
    ]
    return Claim("transfer", verdict, name, TRANSFER_WORDS[verdict], tuple(conditions))


def beyond_confidence_claim(transfers: Sequence[TransferResult], rungs: Sequence[Rung]) -> Claim:
    """The probe reads the base, and adds to what an answer's length, words and log-probability say together.

    Choice: adding is asked for, not doing better alone. A probe of a few neurons that is not as good as the model's
    own confidence may still know something that confidence does not. Only of a transfer that is shown, though: a
    score that knows no label adds to others by taking noise out of them. Where the others are right already on every
    pair of answers there is nothing to add, and no power.
    """
    result = decisive(transfers)
    name = "" if result is None else result.dataset
    rung = next((rung for rung in rungs if (rung.dataset, rung.kind) == (name, ALL_TOGETHER)), None)
    verdict: Verdict = "no power"
    room = rung is not None and rung.auroc is not None and rung.auroc.estimate < 1
    if room and rung is not None and rung.p_holm is not None and result is not None and result.verdict != "no power":
        shown = rung.p_holm < SIGNIFICANCE and result.verdict == "supported"
        verdict = "supported" if shown else "not distinguishable"
    gain = None if rung is None or rung.gain is None else rung.gain.estimate
    alone = None if rung is None or rung.auroc is None else rung.auroc.estimate
    conditions = (
        _transfer_shown("beyond_confidence", result),
        condition("beyond_confidence.others_auroc", alone, "<", 1.0, name),
        condition("beyond_confidence.gain", gain, ">", 0.0, name),
        condition("beyond_confidence.p_holm", None if rung is None else rung.p_holm, "<", SIGNIFICANCE, name),
    )
    return Claim("beyond_confidence", verdict, name, BEYOND_WORDS[verdict], conditions)


def own_labels_claim(transfers: Sequence[TransferResult], agreement: Sequence[LabelAgreement]) -> Claim:
    """Where the two models' labels differ, the probe on the base's neurons follows the base's own labels.

    Choice: only a transfer that is shown can follow anybody's labels. On these few questions 0.5 is all that the
    score is held against, and a length or a word that goes with the base's labels would beat that. It is asked of the
    one question set that decides transfer, so there is nothing to correct for.
    """
    result = decisive(transfers)
    name = "" if result is None else result.dataset
    found = next((row for row in agreement if row.dataset == name), None)
    area = None if found is None else found.auroc_disagree
    verdict: Verdict = "no power"
    if area is not None and not math.isnan(area.low) and result is not None and result.verdict != "no power":
        shown = area.low > CHANCE and result.verdict == "supported"
        verdict = "supported" if shown else "not distinguishable"
    conditions = (
        _transfer_shown("own_labels", result),
        condition("own_labels.auroc_low", None if area is None else area.low, ">", CHANCE, name),
    )
    return Claim("own_labels", verdict, name, LABEL_WORDS[verdict], conditions)


def _transfer_shown(claim: str, result: TransferResult | None) -> Reason:
    """Transfer on the question set that decides, as a condition of another claim."""
    p_holm, name = (None, "") if result is None else (result.p_holm, result.dataset)
    return condition(f"{claim}.transfer_p_holm", p_holm, "<", SIGNIFICANCE, name)


def drift_claim(result: DriftResult, tests: Sequence[DriftTest], problem: str, recognised: float | None) -> Claim:
    """Tuning changed the H-Neurons' weights less than those of neurons like them.

    Args:
        result: Drift.
        tests: What it was held against.
        problem: Why neurons of the two cannot be put side by side; or empty.
        recognised: Share of the H-Neurons that are still the same neuron, by `analyses.measured.recognised`.
    """
    own = [test for test in tests if (test.side, test.measure) == ("hallucinated", "delta")]
    conditions = [
        corresponding(problem),
        condition("drift.recognised", recognised, ">", MOST_RECOGNISED),
        condition("drift.compared", compared(own), ">", MOST_COMPARED),
        *(condition(f"drift.p.{test.matching}", test.p_more_stable, "<", SIGNIFICANCE) for test in own),
        *(reachable(f"drift.detectable.{test.matching}", test.smallest_detectable, 1.0) for test in own),
    ]
    return Claim("drift", result.verdict, "", drift_words(result.verdict, finest_matching(tests)), tuple(conditions))


def overlap_claim(
    result: OverlapResult, nulls: Sequence[OverlapNull], probes: Sequence[IdentificationResult], problem: str
) -> Claim:
    """An independent search in the base ends at more of the same neurons than chance.

    Args:
        result: Of both sets.
        nulls: What it was held against.
        probes: Both searches; a probe that does not read its own model's held-out answers found no H-Neurons.
        problem: Why neurons of the two cannot be put side by side; or empty.
    """
    zero = {null.kind: null.p_zero for null in nulls}.get("hypergeometric")
    conditions = [
        corresponding(problem),
        *(condition(f"overlap.reads.{probe.stage}", own_auroc_low(probe), ">", CHANCE) for probe in probes),
        condition("overlap.p_zero", zero, "<=", MAX_P_ZERO),
        *(condition(f"overlap.p.{null.kind}", null.p_value, "<", SIGNIFICANCE) for null in nulls),
        reachable("overlap.detectable", _hardest(nulls), float(min(result.k_base, result.k_instruct))),
    ]
    return Claim("overlap", result.verdict, "", OVERLAP_WORDS[result.verdict], tuple(conditions))


def _hardest(nulls: Sequence[OverlapNull]) -> float | None:
    """Shared neurons that are needed under the strictest null; None where none would do."""
    needed = [null.smallest_detectable for null in nulls]
    known = [number for number in needed if number is not None]
    return max(known, default=None) if len(known) == len(needed) else None


def own_auroc_low(probe: IdentificationResult) -> float | None:
    """Lower end of a probe's AUROC on its own model's held-out in-domain answers."""
    held = next(iter(probe.test), None)
    return None if held is None or held.auroc is None else held.auroc.low
