"""One verdict from several replicates of the same comparison."""

from collections.abc import Sequence
from statistics import median

from provenance.analyses.claims.sentences import claim_words
from provenance.analyses.claims.verdict import condition, verdict_of
from provenance.analyses.drift.weight_drift import SIGNIFICANCE
from provenance.analyses.results.claims import Claim, Reason
from provenance.statistics.replicates import over_draws, p_over_draws


def combined_claims(replicates: Sequence[Sequence[Claim]]) -> tuple[Claim, ...]:
    """All claims of the replicates, with conditions and verdicts over all of them.

    A p-value becomes twice the median, which is valid however the replicates depend on one another; every other number
    and bar becomes its median, and power is there if it is in most of them. A replicate that lacks a claim, or whose
    claim rests on another question set than the first one's, measured nothing: p = 1. A condition that most replicates
    do not have is left out.
    """
    names = dict.fromkeys(claim.name for claims in replicates for claim in claims)
    return tuple(_combined(name, replicates) for name in names)


def _combined(name: str, replicates: Sequence[Sequence[Claim]]) -> Claim:
    made = [claim for claims in replicates for claim in claims if claim.name == name]
    same = [claim for claim in made if claim.dataset == made[0].dataset]
    codes = dict.fromkeys(reason.code for claim in same for reason in claim.reasons)
    found = [[reason for claim in same for reason in claim.reasons if reason.code == code] for code in codes]
    usual = len(same) / 2  # a condition of half of them or fewer is left out
    reasons = tuple(_over_replicates(each, len(replicates), len(same)) for each in found if len(each) > usual)
    verdict = verdict_of(reasons)
    return Claim(name, verdict, made[0].dataset, claim_words(name, verdict, codes), reasons)


def _over_replicates(reasons: Sequence[Reason], replicates: int, same: int) -> Reason:
    first, draws = reasons[0], len(reasons) + replicates - same
    values = [each.value for each in reasons]
    value = p_over_draws(values, draws) if is_p_value(first) else over_draws(values, draws)
    bar = median(each.bar for each in reasons)
    if first.role == "power":
        holds = 2 * sum(bool(each.holds) for each in reasons) > draws
        return Reason(first.code, first.dataset, value, first.relation, bar, holds, first.role)
    return condition(first.code, value, first.relation, bar, first.dataset, role=first.role)


def is_p_value(reason: Reason) -> bool:
    """Whether a condition is a test at the level of significance."""
    return (reason.relation, reason.bar) == ("<", SIGNIFICANCE)
