"""Conditions of a claim, and the verdict that follows from them.

The one idea: a verdict is a function of its conditions and of nothing else. Conditions of power say whether an effect
could have been found, shown ones whether it was found, and parts spell out what a shown condition sums up.
"""

import math
from collections.abc import Mapping, Sequence

from provenance.analyses.results.claims import Claim, Reason, Relation, Role
from provenance.records import Verdict

CORRESPOND = "pair.neurons_correspond"


def condition(
    code: str, value: float | None, relation: Relation, bar: float, dataset: str = "", *, role: Role = "shown"
) -> Reason:
    """A condition and whether it holds; None where the value is missing or not a number."""
    if value is None or math.isnan(value):
        return Reason(code, dataset, value, relation, bar, None, role)
    outcomes = {"<": value < bar, "<=": value <= bar, ">": value > bar, ">=": value >= bar}
    return Reason(code, dataset, value, relation, bar, outcomes[relation], role)


def reachable(code: str, smallest: float | None, most: float) -> Reason:
    """Whether any possible outcome would be found with 80 % power; `smallest` is None where none would."""
    holds = smallest is not None and smallest <= most
    return Reason(code, "", smallest, "<=", most, holds, "power")


def corresponding(problem: str) -> Reason:
    """Whether it is known which neuron of one checkpoint is which of the other: 1 yes, 0 no."""
    return condition(CORRESPOND, 0.0 if problem else 1.0, ">=", 1.0, role="power")


def verdict_of(conditions: Sequence[Reason]) -> Verdict:
    """The verdict that conditions amount to, whatever their order.

    Returns:
        `no power` where a condition of power does not hold or was not measured, where a shown condition was not
        measured, and where there is none; `supported` where all shown conditions hold; else `not distinguishable`.
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
