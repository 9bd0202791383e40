"""Claims say which conditions held, which did not, and which could not be measured."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from provenance.analyses.claims.claim_conditions import (
    beyond_confidence_claim,
    decided,
    decisive,
    drift_claim,
    judged_drift,
    judged_overlap,
    overlap_claim,
    own_labels_claim,
    transfer_claim,
)
from provenance.analyses.claims.verdict import condition, deciding, largest_of, p_against, verdict_of
from provenance.analyses.results.claims import Reason, Role
from provenance.analyses.results.drift import DriftResult, DriftTest
from provenance.analyses.results.overlap import OverlapNull, OverlapResult
from provenance.analyses.results.probes import HeldOut, IdentificationResult
from provenance.analyses.results.transfer import LabelAgreement, Rung, TransferResult
from provenance.analyses.transfer.probe_transfer import DECIDING_KINDS
from provenance.records import Estimate, Stage, Verdict

AREA = Estimate(0.8, 0.7, 0.9, 40)
P_VALUES: dict[Verdict, float | None] = {"supported": 0.01, "not distinguishable": 0.2, "no power": None}


def scored(dataset: str, verdict: Verdict, questions: int = 20) -> TransferResult:
    p_holm = P_VALUES[verdict]
    return TransferResult(
        dataset, AREA, 20, 20, verdict, "", p_value=p_holm, p_holm=p_holm, p_chance=0.001, questions=questions
    )


def rungs_of(dataset: str, **p_values: float | None) -> list[Rung]:
    return [Rung(dataset, kind, AREA, AREA, p, p, 0) for kind, p in p_values.items()]


def by_code(reasons: tuple[Reason, ...]) -> dict[str, Reason]:
    return {reason.code: reason for reason in reasons}


@pytest.mark.parametrize(("relation", "holds"), [("<", False), ("<=", True), (">", False), (">=", True)])
def test_a_condition_holds_as_its_relation_says(relation: str, holds: bool) -> None:
    assert condition("code", 0.5, relation, 0.5).holds is holds


@pytest.mark.parametrize("relation", ["<", "<=", ">", ">="])
def test_what_was_not_measured_neither_holds_nor_fails(relation: str) -> None:
    assert condition("code", None, relation, 0.5).holds is None
    assert condition("code", float("nan"), relation, 0.5).holds is None


def of_role(role: Role, *outcomes: bool | None) -> list[Reason]:
    return [Reason("code", "", None, "<", 1.0, holds, role) for holds in outcomes]


@pytest.mark.parametrize(
    ("power", "shown", "verdict"),
    [
        ([True], [True, True], "supported"),
        ([], [True], "supported"),
        ([True], [True, False], "not distinguishable"),
        ([False], [True], "no power"),
        ([None], [False], "no power"),
        ([True], [None, False], "no power"),
        ([True], [], "no power"),
        ([], [], "no power"),
    ],
)
def test_a_verdict_is_that_of_its_conditions(
    power: list[bool | None], shown: list[bool | None], verdict: Verdict
) -> None:
    """Whatever came out is `no power` where it could not have been found or was not measured; parts decide nothing."""
    conditions = [*of_role("power", *power), *of_role("shown", *shown)]
    assert verdict_of(conditions) == verdict_of(conditions[::-1]) == verdict
    assert verdict_of([*conditions, *of_role("part", False, None)]) == verdict


def decided_by(*conditions: Reason) -> str:
    found = deciding(conditions)
    return "" if found is None else found.code


def test_what_decided_is_the_first_condition_that_took_the_verdict_away_or_the_largest_p_of_those_met() -> None:
    power, blind = (condition("power", value, ">", 0.0, role="power") for value in (1.0, None))
    met, least = condition("met", 0.01, "<", 0.05), condition("least", 0.04, "<", 0.05)
    missed, later, unknown = (
        condition("missed", 0.3, "<", 0.05),
        condition("later", 0.9, "<", 0.05),
        condition("unknown", None, "<", 0.05),
    )
    part = condition("part", None, "<", 0.05, role="part")
    inherited = condition("beyond_confidence.transfer_p_holm", 0.049, "<", 0.05)
    assert decided_by(power, part, met, least, met) == "least"
    assert decided_by(inherited, met, least) == "least"
    assert decided_by(inherited) == inherited.code
    assert decided_by(condition("low", 0.9, ">", 0.5), met) == "met"
    assert decided_by(power, part, met, missed, later) == "missed"
    assert decided_by(missed, unknown, met) == "unknown"  # no power: what was not measured decides, not what failed
    assert decided_by(missed, blind, unknown) == "power"
    assert decided_by(power, part) == decided_by() == ""


def test_the_largest_p_is_that_of_the_baseline_it_names_whatever_was_not_measured() -> None:
    tests = [
        p_against("x.p", kind, p)
        for kind, p in (("a", 0.01), ("b", float("nan")), ("c", 0.04), ("d", None), ("c", 0.02), ("a", 0.03))
    ]
    assert largest_of(tests, "x.p_holm", 0.08).against == "c"
    assert largest_of(tests[1:2], "x.p_holm", None).against == ""


def test_each_deciding_condition_names_what_it_stands_against() -> None:
    p_values = dict.fromkeys(DECIDING_KINDS, 0.001) | {"question_text": 0.02}
    rungs = [*rungs_of("one", **p_values), *rungs_of("one", all_together=0.01)]
    [result] = decided([scored("one", "supported")], rungs)
    claims = [transfer_claim([result], rungs, ""), beyond_confidence_claim([result], rungs)]
    assert [by_code(claim.reasons)[claim.decided_by].against for claim in claims] == ["question_text", "all_together"]
    assert [claim.not_met for claim in claims] == [0, 0]
    lost = [replace(rung, p_value=0.5) if rung.kind == "answer_text" else rung for rung in rungs]
    [result] = decided([scored("one", "supported")], lost)
    claims = [transfer_claim([result], lost, ""), beyond_confidence_claim([result], lost)]
    assert [by_code(claim.reasons)[claim.decided_by].against for claim in claims] == ["answer_text", "answer_text"]
    assert claims[1].decided_by == "beyond_confidence.transfer_p_holm"


def test_transfer_rests_on_the_first_question_set_with_power() -> None:
    results = [scored("one", "no power"), scored("two", "supported"), scored("three", "not distinguishable")]
    found = decisive(results)
    assert found is not None
    assert found.dataset == "two"
    assert decisive([]) is None
    weak = decisive(results[:1])
    assert weak is not None
    assert weak.dataset == "one"


def test_the_transfer_claim_lists_every_condition_of_its_question_set_and_no_other() -> None:
    rungs = [*rungs_of("two", **dict.fromkeys(DECIDING_KINDS, 0.2)), *rungs_of("one", random=0.9)]
    rungs = [replace(rung, p_value=0.01) if rung.kind == "random" and rung.dataset == "two" else rung for rung in rungs]
    claim = transfer_claim([scored("one", "no power"), scored("two", "not distinguishable", questions=9)], rungs, "")
    reasons = by_code(claim.reasons)
    assert claim.dataset == "two"
    assert reasons["transfer.questions_per_class"].value == 9.0
    assert reasons["transfer.questions_per_class"].holds is False  # questions, however many answers there are
    assert reasons["pair.neurons_correspond"].holds
    assert reasons["transfer.p.random"].holds
    assert not reasons["transfer.p.question_text"].holds
    assert reasons["transfer.p.question_text"].value == 0.2
    assert not reasons["transfer.p_holm"].holds
    kinds = {"chance", *DECIDING_KINDS}
    assert {code for code in reasons if code.startswith("transfer.p.")} == {f"transfer.p.{kind}" for kind in kinds}
    assert reasons["transfer.p.chance"].holds


def test_a_pair_that_does_not_fit_is_the_first_reason() -> None:
    claim = transfer_claim([scored("one", "no power")], [], "they are strangers")
    assert claim.reasons[0].code == "pair.neurons_correspond"
    assert claim.reasons[0].holds is False
    assert by_code(claim.reasons)["transfer.p.random"].holds is None


@pytest.mark.parametrize(
    ("p_holm", "transfer", "verdict"),
    [
        (0.01, "supported", "supported"),
        (0.2, "supported", "not distinguishable"),
        (None, "supported", "no power"),
        (0.01, "no power", "no power"),
    ],
)
def test_adding_to_confidence_is_decided_by_the_nested_model(
    p_holm: float | None, transfer: Verdict, verdict: Verdict
) -> None:
    claim = beyond_confidence_claim([scored("one", transfer)], rungs_of("one", all_together=p_holm, random=0.9))
    assert claim.verdict == verdict


def test_a_score_that_reads_nothing_may_add_to_confidence_and_is_not_supported() -> None:
    """It takes noise out of the others. Only what is shown to transfer is said to know more than they do."""
    claim = beyond_confidence_claim([scored("one", "not distinguishable")], rungs_of("one", all_together=0.001))
    assert claim.verdict == "not distinguishable"
    assert by_code(claim.reasons)["beyond_confidence.p_holm"].holds
    assert by_code(claim.reasons)["beyond_confidence.transfer_p_holm"].holds is False


def test_where_the_others_are_right_on_every_pair_nothing_can_be_added() -> None:
    """A gain of 0 over an AUROC of 1 says nothing about the neurons."""
    perfect = [replace(rung, auroc=Estimate(1.0, 1.0, 1.0, 40)) for rung in rungs_of("one", all_together=1.0)]
    claim = beyond_confidence_claim([scored("one", "supported")], perfect)
    assert claim.verdict == "no power"
    assert by_code(claim.reasons)["beyond_confidence.others_auroc"].holds is False


def test_without_the_nested_model_nothing_is_said_of_confidence() -> None:
    assert beyond_confidence_claim([scored("one", "supported")], []).verdict == "no power"
    assert beyond_confidence_claim([], []).verdict == "no power"


@pytest.mark.parametrize(
    ("area", "verdict"),
    [
        (Estimate(0.7, 0.6, 0.8, 40), "supported"),
        (Estimate(0.55, 0.45, 0.65, 40), "not distinguishable"),
        (Estimate(0.2, 0.1, 0.3, 40), "not distinguishable"),
        (None, "no power"),
    ],
)
def test_whose_labels_the_score_follows_is_read_off_disagreeing_questions(
    area: Estimate | None, verdict: Verdict
) -> None:
    row = LabelAgreement("one", 40, 20, AREA, AREA, area, "")
    assert own_labels_claim([scored("one", "supported")], [row]).verdict == verdict


def test_a_score_that_is_not_shown_to_transfer_follows_nobodys_labels() -> None:
    """Neurons that follow the length of an answer can be right on every question where labels differ."""
    row = LabelAgreement("one", 40, 20, AREA, AREA, Estimate(0.9, 0.8, 1.0, 40), "")
    assert own_labels_claim([scored("one", "supported")], [row]).verdict == "supported"
    claim = own_labels_claim([scored("one", "not distinguishable")], [row])
    assert claim.verdict == "not distinguishable"
    assert by_code(claim.reasons)["own_labels.transfer_p_holm"].holds is False


def test_a_null_that_nothing_could_beat_is_a_condition_that_was_not_met() -> None:
    """So that `no power` and `not distinguishable` can be told apart by their reasons."""
    result = OverlapResult(5, 5, 3, 0.4, 0.1, 0.001, 0.4, "no power", "")
    nulls = [OverlapNull("hypergeometric", 0.1, 0.3, 0.001, 0.4, 2.0, 0)]
    found = by_code(overlap_claim(result, nulls, [], "").reasons)["overlap.detectable"]
    assert (found.value, found.bar, found.holds) == (2.0, 5.0, True)
    beyond = [*nulls, replace(nulls[0], kind="layer", smallest_detectable=None)]
    assert by_code(overlap_claim(result, beyond, [], "").reasons)["overlap.detectable"].holds is False
    test = replace(drift_row("layer", 0.01), smallest_detectable=None)
    assert by_code(drift_claim([test], "", 1.0, 5).reasons)["drift.detectable.layer"].holds is False
    assert not [reason for reason in drift_claim([], "", 1.0, 5).reasons if "detectable" in reason.code]


def drift_row(matching: str, p: float) -> DriftTest:
    return DriftTest("hallucinated", "delta", matching, 5, AREA, p, 1 - p, 0.8, 0.1, 0.9, None, None)


def test_the_drift_claim_names_the_matching_that_decided() -> None:
    other = replace(drift_row("layer", 0.9), side="faithful")
    claim = drift_claim([drift_row("layer", 0.01), drift_row("layer_norm_activity", 0.3), other], "", 0.25, 5)
    reasons = by_code(claim.reasons)
    assert claim.verdict == "not distinguishable"
    assert reasons["drift.p.layer"].holds
    assert reasons["drift.p.layer_norm_activity"].holds is False
    assert reasons["drift.recognised"].holds is False
    assert reasons["drift.compared"].value == 1.0
    assert len(claim.reasons) == 7  # and correspondence, two matchings, their power; the faithful side decides nothing


def test_weights_of_neurons_whose_probe_reads_nothing_are_no_finding() -> None:
    """A search on shuffled labels ends at some neuron, and tuning may have left just that one alone."""
    tests = [drift_row("layer", 0.01), drift_row("layer_norm_activity", 0.01)]
    assert drift_claim(tests, "", 1.0, 5).verdict == "supported"  # of a list nothing else is asked
    for low, verdict in ((0.6, "supported"), (0.5, "no power"), (0.3, "no power"), (None, "no power")):
        claim = drift_claim(tests, "", 1.0, 5, [probe("instruct", low)])
        assert claim.verdict == verdict
        assert by_code(claim.reasons)["drift.reads.instruct"].value == low
    result = DriftResult(5, 0.6, 0.5, 0.1, None, 0.2, 0.2, 0.3, 0.1, 0.0, 1e-6, "no power", "")
    judged, _ = judged_drift(result, tests, "", 1.0, [probe("instruct", 0.3)])
    assert judged.reason.startswith(
        "the probe of instruct is not shown to read its own model's held-out answers; the 5"
    )


def probe(stage: Stage, low: float | None) -> IdentificationResult:
    area = None if low is None else Estimate(0.8, low, 0.9, 40)
    held = (HeldOut("one", None, area, None, 20, 20),)
    return IdentificationResult(stage, None, None, None, None, "3-vs-1", True, (), {}, np.array([1, 2]), held, "")


def test_the_overlap_claim_lists_its_nulls_and_whether_both_probes_read() -> None:
    result = OverlapResult(5, 5, 3, 0.4, 0.1, 0.001, 0.4, "not distinguishable", "")
    nulls = [
        OverlapNull("hypergeometric", 0.1, 0.3, 0.001, 0.4, 2.0, 0),
        OverlapNull("shuffled_labels", 2.5, 1.0, 0.4, 0.05, None, 625),
    ]
    claim = overlap_claim(result, nulls, [probe("instruct", 0.6), probe("base", None)], "")
    reasons = by_code(claim.reasons)
    assert reasons["overlap.reads.instruct"].holds
    assert reasons["overlap.reads.base"].holds is None
    assert "overlap.p_zero" not in reasons
    apart = overlap_claim(replace(result, shared=0), nulls, [], "")
    assert by_code(apart.reasons)["overlap.p_zero"].holds
    assert reasons["overlap.p.hypergeometric"].holds
    assert reasons["overlap.p.shuffled_labels"].holds is False


def test_every_verdict_of_every_claim_has_words() -> None:
    for verdict in get_args(Verdict):
        assert transfer_claim([scored("one", verdict)], [], "").words
        assert own_labels_claim([scored("one", verdict)], []).words
        assert beyond_confidence_claim([scored("one", verdict)], []).words


def test_an_interval_without_bounds_shows_nobodys_labels() -> None:
    nan = float("nan")
    row = LabelAgreement("one", 40, 20, AREA, AREA, replace(AREA, low=nan), "")
    claim = own_labels_claim([scored("one", "supported")], [row])
    assert claim.verdict == "no power"
    assert by_code(claim.reasons)["own_labels.auroc_low"].holds is None


NULLS = [OverlapNull("hypergeometric", 0.1, 0.3, 0.001, 0.4, 2.0, 0)]


@pytest.mark.parametrize(
    ("low", "p_value", "verdict", "words"),
    [
        (0.6, 0.001, "no power", "there is no search on shuffled labels"),
        (0.6, 0.2, "not distinguishable", "no more than chance"),
        (0.4, 0.2, "no power", "the probe of instruct and of base is not shown to read"),
        (None, 0.001, "no power", "the probe of instruct and of base is not shown to read"),
    ],
)
def test_without_shuffled_searches_overlap_can_be_refused_and_not_supported(
    low: float | None, p_value: float, verdict: Verdict, words: str
) -> None:
    result, probes = OverlapResult(5, 5, 3, 0.4, 0.1, p_value, 0.4), [probe("instruct", low), probe("base", low)]
    judged, claim = judged_overlap(result, [replace(NULLS[0], p_value=p_value)], probes, "")
    assert judged.verdict == claim.verdict == verdict
    assert words in judged.reason


def test_claims_about_neurons_by_position_have_no_power() -> None:
    results, rungs = decided([scored("one", "supported")], [], "strangers"), rungs_of("one", all_together=0.01)
    row = LabelAgreement("one", 40, 20, AREA, AREA, AREA, "")
    assert results[0].verdict == "no power"
    assert results[0].reason.startswith("strangers; by position alone: AUROC 0.800")
    for claim in (
        transfer_claim(results, rungs, "strangers"),
        beyond_confidence_claim(results, rungs, "strangers"),
        own_labels_claim(results, [row], "strangers"),
        drift_claim([drift_row("layer", 0.01), drift_row("layer_norm", 0.01)], "strangers", 1.0, 5),
        overlap_claim(OverlapResult(5, 5, 3, 0.4, 0.1, 0.001, 0.4), NULLS, (), "strangers"),
    ):
        assert claim.verdict == "no power"
        assert claim.reasons[0].holds is False
