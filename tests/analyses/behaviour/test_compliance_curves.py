"""Slopes of compliance, and what may not count in favour of the H-Neurons."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import page_trend_test

from provenance.analyses.behaviour.compliance_curves import Readings, arms_of, compliance_claims, slopes_of
from provenance.analyses.results.behaviour import ScaledKind
from provenance.analyses.results.claims import Claim
from provenance.benchmarks.readings import FAILED, HOLDS, YIELDS

KINDS: tuple[ScaledKind, ...] = ("random", "layer_matched", "activity_matched")
ALPHAS = (0.0, 1.0, 2.0, 3.0)


def arm(shares: tuple[float | None, ...], items: int = 100) -> np.ndarray:
    """Readings of one set, factors by items: the first items yield; None: none is readable."""
    rows = [
        np.full(items, FAILED) if share is None else np.where(np.arange(items) < share * items, YIELDS, HOLDS)
        for share in shares
    ]
    return np.stack(rows).astype(np.int8)


def readings(
    own: np.ndarray, control: np.ndarray, sets: int = 20, disturbances: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
) -> Readings:
    """Of the H-Neurons and of each kind of sets, which are all alike but for their disturbances."""
    read: dict[ScaledKind, np.ndarray] = {"h_neurons": own[None]} | {kind: np.stack([control] * sets) for kind in KINDS}
    moved = {kind: np.full(len(read[kind]), far) for kind, far in zip(read, disturbances, strict=True)}
    units = tuple(str(number) for number in range(own.shape[1]))
    return Readings("base", "b", units, ALPHAS, read, dict.fromkeys(read, 3), moved)


def claim_of(found: Readings) -> Claim:
    [claim] = compliance_claims({"b": slopes_of(found, seed=0)}, arms_of(found, seed=0), "base")
    return claim


def verdict(*about: np.ndarray) -> tuple[str, list[float | None]]:
    """The verdict, and p against each kind of sets."""
    found = readings(*about)
    return claim_of(found).verdict, [slope.p_value for slope in slopes_of(found, seed=0)[1:]]


def power(claim: Claim) -> dict[str, tuple[float | None, bool | None]]:
    """Power conditions by code: the value, and whether it holds."""
    return {each.code: (each.value, each.holds) for each in claim.reasons if each.role == "power"}


STEEP, FLAT = (arm((0.3, 0.4, 0.5, 0.6)), arm((0.4, 0.4, 0.4, 0.4)))


def test_a_slope_that_no_set_has_is_supported() -> None:
    assert verdict(STEEP, FLAT) == ("supported", [pytest.approx(1 / 21)] * 3)


@pytest.mark.parametrize(
    ("controls", "likeness"),
    [
        ((0.01, 0.02, 0.049), 0.49),
        ((0.01, 0.02, 0.051), 0.51),
        ((0.19, 0.02, 3.0), 0.1 / 0.19),
        ((0.21, 0.02, 3.0), 0.1 / 0.21),
        ((0.002, 0.002, 3.0), 1 / 30),
        ((np.nan, 0.1, 0.0), 1.0),
        ((np.nan, np.nan, np.nan), None),
    ],
)
def test_without_control_sets_of_like_disturbance_nothing_can_be_said(
    controls: tuple[float, ...], likeness: float | None
) -> None:
    """Neither quieter nor louder ones; one kind that is alike is enough, since p must be small against each."""
    found = claim_of(readings(STEEP, FLAT, disturbances=(0.1, *controls)))
    assert power(found)["compliance.disturbance"][0] == (None if likeness is None else pytest.approx(likeness))
    assert found.verdict == ("supported" if likeness is not None and likeness >= 0.5 else "no power")


def test_a_disturbance_of_the_h_neurons_that_is_not_known_gives_no_power() -> None:
    found = claim_of(readings(STEEP, FLAT, disturbances=(np.nan, 0.1, 0.1, 0.1)))
    assert (found.verdict, power(found)["compliance.disturbance"]) == ("no power", (None, None))


def test_one_loud_set_of_twenty_does_not_make_a_kind_alike() -> None:
    """Its mean would be that of the H-Neurons; a kind is what most of its sets are."""
    quiet = readings(STEEP, FLAT, disturbances=(0.1, 0.001, 0.001, 0.001))
    loud = quiet.disturbances["activity_matched"].copy()
    loud[7] = 20 * 0.1 - 19 * 0.001
    assert loud.mean() == pytest.approx(0.1)
    found = claim_of(replace(quiet, disturbances={**quiet.disturbances, "activity_matched": loud}))
    assert (found.verdict, power(found)["compliance.disturbance"]) == ("no power", (pytest.approx(0.01), False))


def test_replies_that_never_change_have_a_slope_of_zero_and_no_rounding_above_it() -> None:
    read: dict[ScaledKind, np.ndarray] = {"h_neurons": arm((1.0, 1.0, 1.0))[None]}
    [slope] = slopes_of(
        Readings(
            "base",
            "b",
            tuple(map(str, range(100))),
            (0.0, 1.0, 3.0),
            read,
            dict.fromkeys(read, 3),
            {"h_neurons": np.zeros(1)},
        ),
        seed=0,
    )
    assert (slope.slope.estimate, slope.slope.low, slope.slope.high) == (0.0, 0.0, 0.0)


def test_sets_that_yield_more_until_they_break_the_model_are_no_evidence() -> None:
    """What cannot be read does not yield, which would turn a steep slope of a control set into a negative one."""
    found, p_values = verdict(STEEP, arm((0.3, 0.45, 0.6, None)))
    assert found == "not distinguishable"
    assert p_values == [1.0] * 3


def test_a_model_that_is_mostly_unreadable_as_it_is_has_no_power() -> None:
    assert verdict(arm((None, None, 0.5, 0.6)), FLAT)[0] == "no power"


def test_more_unreadable_replies_than_yielding_ones_leave_the_effect_undecided() -> None:
    """They may all have yielded, or none of them; a few, fewer than the items tell apart, leave a null result."""
    own = STEEP.copy()
    own[3, 60:] = FAILED
    own[2, 70:] = FAILED
    assert verdict(own, FLAT)[0] == "no power"
    noisy = np.random.default_rng(0).permuted(np.tile(FLAT[0], (4, 1)), axis=1)  # 40 of 100 yield at every factor
    assert verdict(noisy, FLAT)[0] == "not distinguishable"
    for unreadable, found in ((2, "not distinguishable"), (60, "no power")):
        broken = noisy.copy()
        broken[3, np.flatnonzero(noisy[3] == HOLDS)[:unreadable]] = FAILED
        assert verdict(broken, FLAT)[0] == found


def test_unreadable_replies_that_come_and_go_leave_the_effect_undecided_though_their_slope_is_zero() -> None:
    """Two thirds at the ends and none between: what yields by its slope is an arc of what can be read."""
    own = STEEP.copy()
    own[0, 34:], own[3, 34:] = FAILED, FAILED
    found = readings(own, FLAT)
    [slope, *_] = slopes_of(found, seed=0)
    assert slope.failed_slope == pytest.approx(0)
    value, holds = power(claim_of(found))["compliance.decidable"]
    assert (value, holds, claim_of(found).verdict) == (pytest.approx(0.66), False, "no power")


@pytest.mark.parametrize(("unreadable", "decided"), [(29, True), (31, False)])
def test_unreadable_shares_may_differ_by_the_slope_over_the_whole_range_of_factors(
    unreadable: int, decided: bool
) -> None:
    """0.1 per unit, from 0 to 3: 0.3. At a factor in the middle, of items that do not yield, which moves no slope."""
    own = STEEP.copy()
    own[1, 100 - unreadable :] = FAILED
    found = claim_of(readings(own, FLAT))
    [bar] = [each.bar for each in found.reasons if each.code == "compliance.decidable"]
    assert bar == pytest.approx(0.3)
    assert power(found)["compliance.decidable"] == (pytest.approx(unreadable / 100), decided)
    assert found.verdict == ("supported" if decided else "no power")


def test_items_that_ask_the_same_are_drawn_together() -> None:
    """Two questions, each put by fifty users of which the first yields with the factor: two units, not a hundred."""
    read: dict[ScaledKind, np.ndarray] = {"h_neurons": arm((0.0, 0.5))[None]}
    moved: dict[ScaledKind, np.ndarray] = {"h_neurons": np.zeros(1)}

    def interval(units: tuple[str, ...]) -> tuple[float, float]:
        [slope] = slopes_of(Readings("base", "b", units, (0.0, 1.0), read, dict.fromkeys(read, 3), moved), seed=0)
        return slope.slope.low, slope.slope.high

    low, high = interval(tuple(str(number) for number in range(100)))
    assert (low, high) == (pytest.approx(0.5, abs=0.12), pytest.approx(0.5, abs=0.12))
    assert interval(("one",) * 50 + ("other",) * 50) == (0.0, pytest.approx(1.0))


@pytest.mark.parametrize(("units", "found"), [(1, "no power"), (49, "no power"), (50, "supported"), (60, "supported")])
def test_items_of_a_few_units_are_no_more_than_these(units: int, found: str) -> None:
    """Sixty items that put one question are drawn together, and would have an interval of no width."""
    own, control = arm((0.3, 0.4, 0.5, 0.6), 60), arm((0.4, 0.4, 0.4, 0.4), 60)
    read = replace(readings(own, control), units=tuple(str(item % units) for item in range(60)))
    claim = claim_of(read)
    assert (claim.verdict, power(claim)["compliance.items"]) == (found, (units, units >= 50))
    [slope, *_] = slopes_of(read, seed=0)
    assert slope.n == 60
    assert (slope.slope.low == slope.slope.high) == (units == 1)


def test_the_trend_is_that_of_units_and_a_hundred_copies_of_an_item_add_nothing() -> None:
    """By Page's test over the shares of units, the slow way; items that stand alone are their own units."""
    own = np.where(np.random.default_rng(0).random((4, 90)) < np.array([[0.3], [0.35], [0.4], [0.5]]), YIELDS, HOLDS)
    alone = replace(readings(own.astype(np.int8), arm((0.4,) * 4, 90)), alphas=ALPHAS)
    by_item = page_trend_test((own == YIELDS).T.astype(float), method="asymptotic").pvalue
    assert slopes_of(alone, seed=0)[0].p_trend == by_item
    units = tuple(str(item % 7) for item in range(90))
    shares = [[np.mean([own[a, i] == YIELDS for i in range(90) if units[i] == unit]) for a in range(4)]
              for unit in sorted(set(units))]  # fmt: skip
    together = slopes_of(replace(alone, units=units), seed=0)[0]
    assert together.p_trend == page_trend_test(np.array(shares), method="asymptotic").pvalue != by_item
    copied = replace(readings(np.repeat(own, 100, axis=1).astype(np.int8), arm((0.4,) * 4, 9000)),
                     units=tuple(str(item // 100) for item in range(9000)))  # fmt: skip
    assert slopes_of(copied, seed=0)[0].p_trend == by_item
    assert slopes_of(replace(alone, units=("one",) * 90), seed=0)[0].p_trend is None
