"""Conditions of a claim, and the verdict, which depends on them alone.

Power conditions: could an effect have been found; shown ones: was it; parts: the components of a shown condition.
"""

import math
from collections.abc import Mapping, Sequence

from provenance.analyses.results.claims import Claim, Reason, Relation, Role
from provenance.records import Verdict

CORRESPOND = "pair.neurons_correspond"


def condition(
    code: str, value: float | None, relation: Relation, bar: float, dataset: str = "", *, role: Role = "shown"
) -> Reason:
    """A condition and whether it holds; None if the value is missing or NaN."""
    if value is None or math.isnan(value):
        return Reason(code, dataset, value, relation, bar, None, role)
    outcomes = {"<": value < bar, "<=": value <= bar, ">": value > bar, ">=": value >= bar}
    return Reason(code, dataset, value, relation, bar, outcomes[relation], role)


def reachable(code: str, smallest: float | None, most: float) -> Reason:
    """Whether any possible outcome has 80 % power; `smallest` is None if none has."""
    holds = smallest is not None and smallest <= most
    return Reason(code, "", smallest, "<=", most, holds, "power")


def corresponding(problem: str) -> Reason:
    """Whether the neurons of both checkpoints are matched: 1 yes, 0 no."""
    return condition(CORRESPOND, 0.0 if problem else 1.0, ">=", 1.0, role="power")


def verdict_of(conditions: Sequence[Reason]) -> Verdict:
    """`no power` if a power condition does not hold or was not measured, or a shown one was not measured or is absent.

    `supported` if all shown conditions hold; else `not distinguishable`. Conditions may be in any order.
    """
    shown = [each.holds for each in conditions if each.role == "shown"]
    powered = all(each.holds for each in conditions if each.role == "power")
    if not shown or not powered or None in shown:
        return "no power"
    return "supported" if all(shown) else "not distinguishable"


def claim_of(name: str, words: Mapping[Verdict, str], conditions: Sequence[Reason], dataset: str = "") -> Claim:
    """A claim with the verdict of its conditions, and the words of that verdict."""
    verdict = verdict_of(conditions)
    return Claim(name, verdict, dataset, words[verdict], tuple(conditions))


def failed(claim: Claim) -> frozenset[str]:
    """Codes of the conditions that do not hold, or were not measured."""
    return frozenset(reason.code for reason in claim.reasons if not reason.holds)
