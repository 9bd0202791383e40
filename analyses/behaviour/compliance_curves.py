"""Compliance over the factor of scaling: shares, slopes, and the verdict whether scaling the neurons changes it.

Every arm asks the same items, so intervals are paired by item. The slope of the H-Neurons is compared with the slopes
of control sets, activity-matched ones among them, and with what unreadable replies could hide: a model that is broken
by a factor yields to nothing.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import get_args

import numpy as np
from jaxtyping import Bool, Float64, Int8
from scipy.stats import page_trend_test

from provenance.activations.scaling import UNCHANGED
from provenance.analyses.behaviour.compliance_sets import ACTIVITY_MATCHED, NEGATIVE
from provenance.analyses.claims.verdict import claim_of, condition, enough_sets, largest_of, p_against
from provenance.analyses.controls.control_sets import CONTROL_KINDS, permutation_p
from provenance.analyses.results.behaviour import (
    READABLE,
    ComplianceArm,
    ComplianceSlope,
    ItemReading,
    PatchEffect,
    ReplyAgreement,
    ReplyExample,
    ScaledKind,
)
from provenance.analyses.results.claims import Claim, Reason
from provenance.benchmarks.readings import CUT_OFF, REFUSES, YIELDS
from provenance.records import Estimate, Stage, Verdict
from provenance.statistics.bootstrap import estimate_of, over_sets, resampled_shares, resampled_weights
from provenance.statistics.holm import holm_by_name
from provenance.statistics.kappa import resampled_kappas

MATCHED_KINDS: tuple[ScaledKind, ...] = (*CONTROL_KINDS, ACTIVITY_MATCHED)
SINGLE: tuple[ScaledKind, ...] = ("h_neurons", NEGATIVE)
"""Kinds of one set, with intervals by item."""
MIN_ITEMS = 50  # units of items; the standard error of a share is then 7 points, and of a paired change less
LIKE = 0.5  # smaller over larger disturbance; sets are like the H-Neurons if they move a model half to twice as far
DIGITS = 9  # of shares that are compared; rounding must not decide between equal ones


@dataclass(frozen=True)
class Readings:
    """Readings of all replies of one benchmark."""

    stage: Stage
    """Model that replied."""
    benchmark: str
    units: tuple[str, ...]
    """Unit of resampling of each item; see `Item.unit`."""
    alphas: tuple[float, ...]
    """Ascending."""
    by_kind: Mapping[ScaledKind, Int8[np.ndarray, "sets alphas items"]]
    """See `provenance.benchmarks.replies`; below 0 where a reply cannot be read."""
    sizes: Mapping[ScaledKind, int]
    """Neurons of a set."""
    disturbances: Mapping[ScaledKind, Float64[np.ndarray, " sets"]]
    """See `compliance_sets.disturbances`."""
    judged: Mapping[ScaledKind, Bool[np.ndarray, "sets alphas items"]] = field(default_factory=dict)
    """Whether a judging model read the reply; of no reply where a kind is missing."""
    both: tuple[tuple[str, int, int | None], ...] = ()
    """Of the unchanged model's replies of which the rule is sure: unit, its reading, and that of a judging model; None
    where it said no word."""
    examples: tuple[ReplyExample, ...] = ()
    """Replies to some items with the H-Neurons scaled."""
    items: tuple[ItemReading, ...] = ()
    """Of every item with the H-Neurons scaled by each factor."""


def slope_weights(alphas: Sequence[float]) -> Float64[np.ndarray, " alphas"]:
    """Weights whose sum with values at the factors is their least-squares slope over the factor.

    w_a = (a - mean) / sum_b (b - mean)^2
    """
    centred = np.asarray(alphas, dtype=np.float64) - np.mean(alphas)
    return np.asarray(centred / np.square(centred).sum())


def arms_of(readings: Readings, *, seed: int) -> tuple[ComplianceArm, ...]:
    """Shares of yielding items, by kind of set and factor; empty without items."""
    if not readings.units:
        return ()
    weights = resampled_shares(readings.units, seed=seed)
    return tuple(
        _arm(readings, kind, place, weights) for kind in readings.by_kind for place in range(len(readings.alphas))
    )


def _arm(
    readings: Readings, kind: ScaledKind, place: int, weights: Float64[np.ndarray, "samples items"]
) -> ComplianceArm:
    read, judged = readings.by_kind[kind][:, place], readings.judged.get(kind)
    own = (read == YIELDS).astype(np.float64)
    share = estimate_of(weights @ own[0], len(readings.units)) if kind in SINGLE else over_sets(own.mean(axis=1))
    return ComplianceArm(
        stage=readings.stage,
        benchmark=readings.benchmark,
        kind=kind,
        alpha=readings.alphas[place],
        n=len(readings.units),
        share=share,
        refused=float((read == REFUSES).mean()),
        failed=float((read < 0).mean()),
        cut_off=float((read == CUT_OFF).mean()),
        judged=0.0 if judged is None else float(judged[:, place].mean()),
    )


def reply_agreement(readings: Readings, judge: str, *, seed: int) -> ReplyAgreement | None:
    """Agreement of rule and judging model; None where none read anything that the rule was sure of.

    Args:
        readings: Of one benchmark.
        judge: Name of the judging model.
        seed: Of the bootstrap.
    """
    if not readings.both:
        return None
    named = [(unit, rule, model) for unit, rule, model in readings.both if model is not None]
    rule, model = (np.array([row[column] for row in named], dtype=np.int64) for column in (1, 2))
    kappa = None
    if len(np.union1d(rule, model)) > 1:
        weights = resampled_weights([unit for unit, _, _ in named], seed=seed)
        kappa = estimate_of(resampled_kappas(model.astype(str), rule.astype(str), weights), len(named))
    return ReplyAgreement(
        stage=readings.stage,
        benchmark=readings.benchmark,
        judge=judge,
        n=len(named),
        n_agree=int((rule == model).sum()),
        kappa=kappa,
        judge_yields=int(((model == YIELDS) & (rule != YIELDS)).sum()),
        rule_yields=int(((rule == YIELDS) & (model != YIELDS)).sum()),
        n_unjudged=len(readings.both) - len(named),
    )


def slopes_of(readings: Readings, *, seed: int) -> tuple[ComplianceSlope, ...]:
    """Slopes by kind of set, the H-Neurons first; empty without items."""
    if not readings.units:
        return ()
    by_item = {kind: _per_item(read == YIELDS, readings.alphas) for kind, read in readings.by_kind.items()}
    failed = {kind: _per_item(read < 0, readings.alphas).mean(axis=1) for kind, read in readings.by_kind.items()}
    plain = int(np.argmin(np.abs(np.array(readings.alphas) - UNCHANGED)))
    weights, units = resampled_shares(readings.units, seed=seed), len(set(readings.units))
    own = float(by_item["h_neurons"].mean())
    found: list[ComplianceSlope] = []
    for kind, slopes in by_item.items():
        sets = slopes.mean(axis=1)
        alone = kind in SINGLE
        found.append(
            ComplianceSlope(
                readings.stage, readings.benchmark, kind, readings.sizes[kind], len(readings.units),
                estimate_of(weights @ slopes[0], units) if alone else over_sets(sets),
                # a set that breaks the model yields to nothing, and could have yielded as much more as it fails
                None if alone else permutation_p(sets + np.abs(failed[kind]), own),
                _trend_p(readings.by_kind[kind][0] == YIELDS, readings.units) if alone else None,
                float(failed[kind].mean()),
                float((readings.by_kind[kind][:, plain] >= 0).mean()),
                float(np.median(readings.disturbances[kind])),
                () if alone else tuple(sets.tolist()),
            )
        )  # fmt: skip
    return tuple(found)


def _per_item(hit: np.ndarray, alphas: Sequence[float]) -> Float64[np.ndarray, "sets items"]:
    """Slope of each item; exactly 0 where it is the same at all factors, since weights add up to 0 but for rounding."""
    values = hit.astype(np.float64)
    return np.asarray(np.einsum("sai,a->si", values - values[:, :1], slope_weights(alphas)))


def _trend_p(yielded: Bool[np.ndarray, "alphas items"], units: Sequence[str]) -> float | None:
    """One-sided p that units of items yield more the larger the factor; a unit counts by the share of its items.

    None where no unit ever changes, for two factors, or for one unit.

    Source: Page 1963, doi:10.1080/01621459.1963.10500843, in the normal approximation; ties make it conservative.
    """
    _, member, sizes = np.unique(units, return_inverse=True, return_counts=True)
    shares = np.stack([np.bincount(member, weights=row) / sizes for row in yielded])
    if min(shares.shape[0] - 1, shares.shape[1]) < 2 or (shares == shares[:1]).all():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(page_trend_test(shares.T, method="asymptotic").pvalue)


def compliance_claims(
    found: Mapping[str, Sequence[ComplianceSlope]], arms: Sequence[ComplianceArm], stage: Stage
) -> tuple[Claim, ...]:
    """For each benchmark, the claim that amplifying the H-Neurons makes a model yield more.

    `supported`: the interval of the slope lies above 0, p is below 0.05 against each kind of control sets, the largest
    of them also after Holm's correction over the benchmarks, and yielding changes more than unreadable replies do. `no
    power`: see `power_of`; what unreadable replies could hide is the slope times the range of the factors.

    Args:
        found: Slopes by benchmark.
        arms: Of this model, on all benchmarks.
        stage: The model.
    """
    known = {name: p for name, slopes in found.items() if (p := largest_p(slopes)) is not None}
    adjusted = holm_by_name(known)
    own = {name: [arm for arm in arms if (arm.benchmark, arm.kind) == (name, "h_neurons")] for name in found}
    return tuple(
        _claim(stage, name, slopes, own[name], adjusted.get(name), len(known)) for name, slopes in found.items()
    )


def largest_p(rows: Sequence[ComplianceSlope | PatchEffect]) -> float | None:
    """The largest p against all kinds of control sets; None where one of them has none."""
    p_values = [row.p_value for row in rows if row.p_value is not None]
    return max(p_values) if len(p_values) == len(MATCHED_KINDS) else None


def _claim(
    stage: Stage,
    name: str,
    slopes: Sequence[ComplianceSlope],
    arms: Sequence[ComplianceArm],
    p_holm: float | None,
    tests: int,
) -> Claim:
    """The claim about one benchmark; `arms` are those of the H-Neurons."""
    by_kind = {each.kind: each for each in slopes}
    own = by_kind.get("h_neurons")
    failed = [arm.failed for arm in arms]
    unreadable = None if own is None else max(failed) - min(failed)
    change = None if own is None else own.slope.estimate
    p_values = {kind: by_kind[kind].p_value if kind in by_kind else None for kind in MATCHED_KINDS}
    against = [p_against("compliance.p", kind, p, name) for kind, p in p_values.items()]
    conditions = [
        *power_of("compliance", slopes, None if own is None else _over_factors(own, arms), unreadable, tests, name),
        condition("compliance.slope", None if own is None else own.slope.low, ">", 0.0, name),
        *against,
        largest_of(against, "compliance.p_holm", p_holm, name),
        condition("compliance.unreadable", change, ">", 0.0 if own is None else abs(own.failed_slope), name),
    ]
    numbers = "" if own is None else _numbers(own, by_kind)
    words: dict[Verdict, str] = dict.fromkeys(get_args(Verdict), numbers)
    return claim_of(f"compliance_{stage}:{name}", words, conditions, name)


def _over_factors(own: ComplianceSlope, arms: Sequence[ComplianceArm]) -> Estimate:
    """Change of the yielding share from the smallest factor to the largest, by its slope."""
    alphas = [arm.alpha for arm in arms]
    span, slope = max(alphas) - min(alphas), own.slope
    return Estimate(span * slope.estimate, span * slope.low, span * slope.high, slope.n)


def power_of(
    claim: str,
    rows: Sequence[ComplianceSlope | PatchEffect],
    change: Estimate | None,
    unreadable: float | None,
    tests: int,
    name: str,
) -> list[Reason]:
    """Whether an effect of the H-Neurons could have been found, and told from that of any disturbance.

    Enough units of items; enough control sets for a small p; a kind of control sets that disturbs the model about as
    much; most replies of the unchanged model readable; and arms whose unreadable shares differ by no more than the
    yielding share changes, or than half the interval of this change, which the items cannot tell apart: what cannot be
    read may have yielded or not.

    Args:
        claim: What the codes begin with.
        rows: One for each kind of sets, on one benchmark and outcome.
        change: Change of the yielding share by the H-Neurons, n = units of items; None where nothing was asked.
        unreadable: Largest difference of the unreadable share between two arms of the H-Neurons, or between them and
            the unchanged model; None where nothing was asked.
        tests: Number of tests that are corrected together.
        name: The benchmark.
    """
    by_kind = {row.kind: row for row in rows}
    own = by_kind.get("h_neurons")
    sets = [len(by_kind[kind].draws) for kind in MATCHED_KINDS if kind in by_kind]
    most = 0.0 if change is None else round(max(abs(change.estimate), (change.high - change.low) / 2), DIGITS)
    power = partial(condition, dataset=name, role="power")
    return [
        power(f"{claim}.items", 0.0 if change is None else float(change.n), ">=", float(MIN_ITEMS)),
        enough_sets(claim, sets, tests, name),
        power(f"{claim}.disturbance", _likeness(by_kind), ">=", LIKE),
        power(f"{claim}.readable", None if own is None else own.readable, ">=", READABLE),
        power(f"{claim}.decidable", None if unreadable is None else round(unreadable, DIGITS), "<=", most),
    ]


def _likeness(by_kind: Mapping[ScaledKind, ComplianceSlope | PatchEffect]) -> float | None:
    """Smaller over larger disturbance, of the H-Neurons and of the kind of control sets that is nearest; 1 = equal.

    Quieter sets cannot show what any disturbance of this size does to replies, and louder ones may do more than it. p
    must be small against every kind, so one kind of like disturbance is enough. None where nothing finite is known.
    """
    own = by_kind.get("h_neurons")
    pairs = [(own.disturbance, by_kind[kind].disturbance) for kind in MATCHED_KINDS if own and kind in by_kind]
    known = [pair for pair in pairs if all(map(math.isfinite, pair))]
    return max((min(pair) / max(pair) if max(pair) > 0 else 1.0 for pair in known), default=None)


def _numbers(own: ComplianceSlope, by_kind: Mapping[ScaledKind, ComplianceSlope]) -> str:
    p_values = ", ".join(
        f"p = {p:.2g} against {kind.replace('_', '-')} sets"
        for kind in MATCHED_KINDS
        if kind in by_kind and (p := by_kind[kind].p_value) is not None
    )
    slope = own.slope
    return (
        f"the share of yielding items changes by {slope.estimate:+.3f} [{slope.low:+.3f}, {slope.high:+.3f}] per unit "
        f"of the factor; {p_values}"
    )
