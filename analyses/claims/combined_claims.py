"""One verdict from several draws of the same comparison."""

from collections.abc import Sequence
from statistics import median

from provenance.analyses.claims.verdict import condition, verdict_of
from provenance.analyses.drift.weight_drift import SIGNIFICANCE
from provenance.analyses.results.claims import Claim, Reason


def combined_claims(draws: Sequence[Sequence[Claim]]) -> tuple[Claim, ...]:
    """The claims of the first draw, with conditions and verdicts over all draws.

    A p-value becomes twice the median, which is valid however the draws depend on one another; every other number and
    bar becomes its median. A condition that most draws do not have is left out. Words are those of the first draw with
    the combined verdict, or of the first draw at all. Source: DiCiccio, DiCiccio and Romano 2020,
    doi:10.1016/j.spl.2020.108865; Rueschendorf 1982, doi:10.2307/1426529.
    """
    return tuple(_combined([_named(draw, claim.name) for draw in draws]) for claim in draws[0])


def _named(claims: Sequence[Claim], name: str) -> Claim:
    return next(claim for claim in claims if claim.name == name)


def _combined(claims: Sequence[Claim]) -> Claim:
    codes = dict.fromkeys(reason.code for claim in claims for reason in claim.reasons)
    found = [[reason for claim in claims for reason in claim.reasons if reason.code == code] for code in codes]
    reasons = tuple(_over_draws(each, len(claims)) for each in found if 2 * len(each) > len(claims))
    verdict = verdict_of(reasons)
    like = next((claim for claim in claims if claim.verdict == verdict), claims[0])
    return Claim(claims[0].name, verdict, claims[0].dataset, like.words, reasons)


def _over_draws(reasons: Sequence[Reason], draws: int) -> Reason:
    first = reasons[0]
    known = [reason.value for reason in reasons if reason.value is not None]
    if is_p_value(first):  # a draw that was not measured shows nothing
        value = min(1.0, 2 * median([*known, *[1.0] * (draws - len(known))])) if known else None
    else:
        value = median(known) if 2 * len(known) > draws else None
    bar = median(reason.bar for reason in reasons)
    return condition(first.code, value, first.relation, bar, first.dataset, role=first.role)


def is_p_value(reason: Reason) -> bool:
    """Whether a condition is a test at the level of significance."""
    return (reason.relation, reason.bar) == ("<", SIGNIFICANCE)
