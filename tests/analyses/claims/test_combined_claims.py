"""One verdict from several draws: by hand, and by false alarms of draws that depend on one another."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from synthetic import both_scaled

from provenance.analyses.claims.combined_claims import combined_claims
from provenance.analyses.claims.sentences import TRANSFER_WORDS, claim_words, patch_words
from provenance.analyses.claims.verdict import claim_of, condition, corresponding, reachable
from provenance.analyses.results.claims import Claim
from provenance.records import Verdict

WORDS = TRANSFER_WORDS


def claim(p: float | None, questions: float = 20.0, auroc: float | None = 0.7, problem: str = "") -> Claim:
    conditions = [
        corresponding(problem),
        condition("transfer.questions_per_class", questions, ">=", 10.0, "set", role="power"),
        condition("transfer.low", auroc, ">", 0.5, "set"),
        condition("transfer.p_holm", p, "<", 0.05, "set"),
    ]
    return claim_of("transfer", WORDS, conditions, "set")


def values(found: Claim) -> dict[str, float | None]:
    return {reason.code: reason.value for reason in found.reasons}


def test_p_is_twice_the_median_and_other_numbers_are_medians() -> None:
    [found] = combined_claims([[claim(0.001, 11.0, 0.6)], [claim(0.02, 30.0, 0.7)], [claim(0.5, 20.0, 0.9)]])
    assert values(found) == {
        "pair.neurons_correspond": 1.0,
        "transfer.questions_per_class": 20.0,
        "transfer.low": 0.7,
        "transfer.p_holm": 0.04,
    }
    assert (found.verdict, found.words, found.dataset) == ("supported", WORDS["supported"], "set")


def test_one_lucky_draw_among_three_supports_nothing_and_neither_does_one_unlucky_one_refute() -> None:
    lucky = combined_claims([[claim(0.001)], [claim(0.2)], [claim(0.3)]])
    unlucky = combined_claims([[claim(0.3)], [claim(0.001)], [claim(0.002)]])
    assert (lucky[0].verdict, lucky[0].words) == ("not distinguishable", WORDS["not distinguishable"])
    assert (unlucky[0].verdict, unlucky[0].words) == ("supported", WORDS["supported"])


def test_draws_of_the_same_p_are_twice_that_p() -> None:
    """Three times the same draw are no evidence beyond one, and cost the factor."""
    [same] = combined_claims([[claim(0.03)]] * 3)
    assert (same.verdict, same.words) == ("not distinguishable", WORDS["not distinguishable"])  # though none says so
    assert combined_claims([[claim(0.02)]] * 3)[0].verdict == "supported"


@pytest.mark.parametrize(("sets", "verdict"), [(20, "no power"), (39, "no power"), (40, "supported")])
def test_twice_as_many_control_sets_are_needed_since_the_least_p_is_doubled(sets: int, verdict: str) -> None:
    """By hand: the least p of 20 sets is 1/21, twice that is above 0.05; of 40 sets it is 2/41."""
    drawn = [both_scaled(0.1, sets)[0].claims for _ in range(3)]
    assert {claim.verdict for [claim] in drawn} == {"supported"}
    [found] = combined_claims(drawn)
    assert found.verdict == verdict
    bars = {reason.code: reason.bar for reason in found.reasons}
    assert (bars["compliance.sets"], bars["compliance.items"]) == (40.0, 50.0)
    assert values(found)["compliance.p_holm"] == pytest.approx(2 / (sets + 1))


def test_a_claim_about_scaled_neurons_is_said_in_the_words_of_its_verdict_over_all() -> None:
    """Those of a single draw are its numbers, which are not those over all."""
    [found] = combined_claims([both_scaled(slope)[0].claims for slope in (0.1, 0.1, 0.0)])
    assert found.name == "compliance_instruct:misled"
    assert found.words == (
        "amplifying them makes the instruct model yield more, and more than amplifying other neurons does, on misled"
    )
    verdicts: dict[Verdict, str] = {
        verdict: claim_words("patched_base:b", verdict, ()) for verdict in get_args(Verdict)
    }
    assert verdicts["supported"] == patch_words("base", {"b": "supported"})
    assert len(set(verdicts.values())) == 3
    assert all("the base yields on b" in words for words in verdicts.values())


def test_a_draw_that_measured_nothing_counts_against_the_claim() -> None:
    assert values(combined_claims([[claim(0.001)], [claim(None)]])[0])["transfer.p_holm"] == 1.0
    assert combined_claims([[claim(0.001)], [claim(0.002)], [claim(None)]])[0].verdict == "supported"
    assert combined_claims([[claim(None)], [claim(None)], [claim(0.001)]])[0].verdict == "not distinguishable"
    assert combined_claims([[claim(None)]] * 3)[0].verdict == "no power"


def test_power_is_that_of_most_draws() -> None:
    assert combined_claims([[claim(0.001, 5.0)], [claim(0.001, 6.0)], [claim(0.001, 40.0)]])[0].verdict == "no power"
    assert combined_claims([[claim(0.001, 5.0)], [claim(0.001, 12.0)], [claim(0.001, 40.0)]])[0].verdict == "supported"
    assert combined_claims([[claim(0.001, problem="strangers")]] * 2)[0].verdict == "no power"


def test_a_condition_of_a_minority_of_draws_is_left_out_and_one_out_of_reach_stays_so() -> None:
    zero = condition("overlap.p_zero", 0.99, "<=", 0.5, role="power")
    more = replace(claim(0.001), reasons=(*claim(0.001).reasons, zero))
    assert "overlap.p_zero" not in values(combined_claims([[claim(0.001)], [claim(0.001)], [more]])[0])
    assert combined_claims([[claim(0.001)], [more], [more]])[0].verdict == "no power"
    never = claim_of("transfer", WORDS, [*claim(0.001).reasons, reachable("overlap.detectable", None, 5.0)])
    assert combined_claims([[never], [never]])[0].verdict == "no power"


def test_a_replicate_without_the_claim_or_with_another_question_set_measured_nothing() -> None:
    other = replace(claim(0.001), dataset="elsewhere")
    assert combined_claims([[claim(0.001)], [], []])[0].verdict == "no power"
    assert combined_claims([[], [claim(0.001)], [claim(0.002)]])[0].verdict == "supported"
    assert values(combined_claims([[claim(0.9)], [other], [other]])[0])["transfer.p_holm"] == 1.0
    assert combined_claims([[claim(0.001)], [other], [other]])[0].verdict != "supported"


def test_a_number_that_is_not_one_counts_as_unmeasured_in_any_order() -> None:
    orders = ((float("nan"), 0.9, 0.001), (0.001, float("nan"), 0.9), (0.9, 0.001, float("nan")))
    found = {values(combined_claims([[claim(p)] for p in order])[0])["transfer.p_holm"] for order in orders}
    assert found == {1.0}


@pytest.mark.slow
@pytest.mark.parametrize("together", [0.0, 0.5, 1.0])
def test_false_alarms_of_dependent_draws_stay_below_the_level(together: float) -> None:
    """Draws share a part of their noise; of 2,000 nulls with three draws each, at most 5 % are supported."""
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(2000):
        noise = np.sqrt(together) * rng.standard_normal() + np.sqrt(1 - together) * rng.standard_normal(3)
        p_values = [0.5 * (1 - np.tanh(z * 0.8)) for z in noise]  # near the normal tail, and a little heavier
        alarms += combined_claims([[claim(float(p))] for p in p_values])[0].verdict == "supported"
    assert alarms / 2000 <= 0.05
