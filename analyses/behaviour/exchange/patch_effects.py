"""What the other model's activations of neurons do to how a model yields, and the verdict whether they do anything.

Every set of neurons gets the same items, so intervals are paired by item. The change by the H-Neurons is compared with
the change by control sets, activity-matched ones among them, whose activations are replaced in the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Float64, Int8

from provenance.analyses.behaviour.compliance_curves import MATCHED_KINDS, largest_p, power_of
from provenance.analyses.claims.verdict import (
    claim_of,
    condition,
    corresponding,
    largest_of,
    p_against,
)
from provenance.analyses.controls.control_sets import permutation_p
from provenance.analyses.results.behaviour import PatchEffect, PatchOutcome, ScaledKind
from provenance.analyses.results.claims import Claim, Reason
from provenance.benchmarks.readings import FAILED, YIELDS
from provenance.records import Estimate, Stage, Verdict
from provenance.statistics.bootstrap import estimate_of, over_sets, resampled_shares
from provenance.statistics.holm import holm_by_name

DECIDING: PatchOutcome = "log_odds"
"""Choice: known of every item, where the share changes only by items whose reply becomes another one."""


@dataclass(frozen=True)
class Replies:
    """How a model replies to the items of a benchmark, by set of neurons."""

    log_odds: Float64[np.ndarray, "sets items"]
    """Of yielding, in nats; NaN where scores are not finite."""
    readings: Int8[np.ndarray, "sets items"]
    """`YIELDS`, `HOLDS` or `FAILED`."""

    def of(self, outcome: PatchOutcome) -> Float64[np.ndarray, "sets items"]:
        """Values whose mean over items is the outcome."""
        return self.log_odds if outcome == "log_odds" else (self.readings == YIELDS).astype(np.float64)


@dataclass(frozen=True)
class Patched:
    """Replies of one model to one benchmark, with the activations of sets replaced by those of the other model."""

    stage: Stage
    """Model that replies."""
    benchmark: str
    units: tuple[str, ...]
    """Unit of resampling of each item; see `Item.unit`."""
    plain: Replies
    """Of the model as it is."""
    donor: Replies
    """Of the other model, on the same tokens."""
    by_kind: Mapping[ScaledKind, Replies]
    k: int
    """Neurons of a set."""
    disturbances: Mapping[ScaledKind, Float64[np.ndarray, " sets"]]
    """See `compliance_sets.disturbances`."""

    @property
    def readable(self) -> float:
        """Share of readable replies of the model as it is."""
        return float((self.plain.readings != FAILED).mean())


def patch_effects(found: Patched, *, seed: int) -> tuple[PatchEffect, ...]:
    """Change of each outcome by each kind of sets, the H-Neurons first; empty without items."""
    if not found.units:
        return ()
    weights = resampled_shares(found.units, seed=seed)
    return tuple(_effect(found, outcome, kind, weights) for outcome in get_args(PatchOutcome) for kind in found.by_kind)


def _effect(
    found: Patched, outcome: PatchOutcome, kind: ScaledKind, weights: Float64[np.ndarray, "samples items"]
) -> PatchEffect:
    plain, donor = found.plain.of(outcome)[0], found.donor.of(outcome)[0]
    changes = {each: replies.of(outcome) - plain for each, replies in found.by_kind.items()}
    own = estimate_of(weights @ changes["h_neurons"][0], len(set(found.units)))
    sets, is_own = changes[kind].mean(axis=1), kind == "h_neurons"
    return PatchEffect(
        stage=found.stage,
        benchmark=found.benchmark,
        outcome=outcome,
        kind=kind,
        k=found.k,
        n=len(found.units),
        before=float(plain.mean()),
        donor=float(donor.mean()),
        effect=own if is_own else _over_finite(sets),
        p_value=None if is_own else _p_of(sets, own.estimate),
        readable=found.readable,
        failed=float((found.by_kind[kind].readings == FAILED).mean()),
        disturbance=float(np.median(found.disturbances[kind])),
        draws=() if is_own else tuple(sets.tolist()),
    )


def _over_finite(values: Float64[np.ndarray, " sets"]) -> Estimate:
    finite = values[np.isfinite(values)]
    return over_sets(finite) if finite.size else Estimate(np.nan, np.nan, np.nan, 0)


def _p_of(sets: Float64[np.ndarray, " sets"], own: float) -> float | None:
    """Two-sided; a set that breaks the model changes it more than anything else does."""
    if np.isnan(own):
        return None
    return permutation_p(np.where(np.isnan(sets), np.inf, np.abs(sets)), abs(own))


def patch_claims(
    stage: Stage,
    found: Mapping[str, Sequence[PatchEffect]],
    *,
    problem: str,
    same_tokens: bool,
    options: Mapping[str, bool],
) -> tuple[Claim, ...]:
    """For each benchmark, the claim that the other model's activations of the H-Neurons change how a model yields.

    `supported`: the interval of the change of the log-odds excludes 0, p is below 0.05 against each kind of control
    sets, the largest of them also after Holm's correction over the benchmarks. `no power`: neurons or token ids of the
    two models do not correspond, replies are free text, or as in `compliance_curves.power_of`, where unreadable replies
    are compared with the change of the share: log-odds are known of every reply, but say little of unreadable ones.

    Args:
        stage: The model whose activations are replaced.
        found: By benchmark, in order; nothing where there was nothing to replace.
        problem: Why neurons of the two models cannot be matched; empty if they can.
        same_tokens: Whether token ids mean the same in both.
        options: By benchmark, whether its replies are options.
    """
    deciding = {name: [each for each in rows if each.outcome == DECIDING] for name, rows in found.items()}
    largest = {name: p for name, rows in deciding.items() if (p := largest_p(rows)) is not None}
    adjusted = holm_by_name(largest)
    claims: list[Claim] = []
    for name, rows in deciding.items():
        conditions = [
            corresponding(problem),
            condition("patching.same_tokens", float(same_tokens), ">=", 1.0, name, role="power"),
            condition("patching.options", float(options[name]), ">=", 1.0, name, role="power"),
            *power_of("patching", rows, *_of_share(found[name]), len(largest), name),
            *_shown(rows, name, adjusted.get(name)),
        ]
        words: dict[Verdict, str] = dict.fromkeys(get_args(Verdict), _numbers(rows))
        claims.append(claim_of(f"patched_{stage}:{name}", words, conditions, name))
    return tuple(claims)


def _of_share(rows: Sequence[PatchEffect]) -> tuple[Estimate | None, float | None]:
    """Change of the yielding share by the H-Neurons, and how far that of unreadable replies changes, either way."""
    own = next((row for row in rows if (row.outcome, row.kind) == ("share", "h_neurons")), None)
    if own is None:
        return None, None
    return own.effect, abs(own.failed - (1 - own.readable))


def _shown(rows: Sequence[PatchEffect], name: str, p_holm: float | None) -> list[Reason]:
    by_kind = {row.kind: row for row in rows}
    own = by_kind.get("h_neurons")
    nearest = None if own is None else max(own.effect.low, -own.effect.high)
    p_values = {kind: by_kind[kind].p_value if kind in by_kind else None for kind in MATCHED_KINDS}
    tests = [p_against("patching.p", kind, p, name) for kind, p in p_values.items()]
    effect = condition("patching.effect", nearest, ">", 0.0, name)
    return [effect, *tests, largest_of(tests, "patching.p_holm", p_holm, name)]


def _numbers(rows: Sequence[PatchEffect]) -> str:
    own = next((row for row in rows if row.kind == "h_neurons"), None)
    if own is None:
        return ""
    against = [(row.kind.replace("_", "-"), row.p_value) for row in rows if row.p_value is not None]
    p_values = ", ".join(f"p = {p:.2g} against {kind} sets" for kind, p in against)
    change = own.effect
    return (
        f"the log-odds of yielding change by {change.estimate:+.3f} [{change.low:+.3f}, {change.high:+.3f}] nats, from "
        f"{own.before:+.3f}, where those of the other model are {own.donor:+.3f}; {p_values}"
    )
