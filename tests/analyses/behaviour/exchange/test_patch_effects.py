"""Changes by replaced activations: their numbers by definition, and what keeps them from being a finding."""

from dataclasses import replace

import numpy as np
import pytest

from provenance.analyses.behaviour.exchange.patch_effects import Patched, Replies, patch_claims, patch_effects
from provenance.analyses.results.behaviour import PatchEffect, ScaledKind
from provenance.benchmarks.readings import FAILED, HOLDS, YIELDS
from provenance.records import Verdict

KINDS: tuple[ScaledKind, ...] = ("random", "layer_matched", "activity_matched")
ITEMS = 60
PLAIN = np.random.default_rng(0).normal(0, 1, ITEMS)
NOISE = np.random.default_rng(1).normal(0, 0.1, (25, ITEMS))


def replies(log_odds: np.ndarray) -> Replies:
    read = np.where(np.isnan(log_odds), FAILED, np.where(log_odds > 0, YIELDS, HOLDS))
    return Replies(log_odds, read.astype(np.int8))


def patched(own: float, control: float = 0.0, sets: int = 20) -> Patched:
    """The H-Neurons move every item by `own` on average, control sets by `control`."""
    by_kind: dict[ScaledKind, Replies] = {"h_neurons": replies(PLAIN + own + NOISE[:1])}
    by_kind |= {kind: replies(PLAIN + control + NOISE[1 : 1 + sets]) for kind in KINDS}
    units = tuple(str(item) for item in range(ITEMS))
    moved = {kind: np.ones(len(found.log_odds)) for kind, found in by_kind.items()}
    return Patched("base", "b", units, replies(PLAIN[None]), replies(PLAIN[None] + 1), by_kind, 3, moved)


def verdict(found: Patched, **how: object) -> tuple[Verdict, list[str]]:
    """The verdict, and the conditions that do not hold."""
    about: dict[str, object] = {"problem": "", "same_tokens": True, "options": {"b": True}, **how}
    effects = {"b": patch_effects(found, seed=0)}
    [claim] = patch_claims("base", effects, **about)  # type: ignore[arg-type]
    assert claim.name == "patched_base:b"
    return claim.verdict, [reason.code for reason in claim.reasons if not reason.holds]


def by_kind(found: Patched, outcome: str) -> dict[str, PatchEffect]:
    return {each.kind: each for each in patch_effects(found, seed=0) if each.outcome == outcome}


def test_changes_are_means_over_items_against_the_unchanged_model() -> None:
    odds, share = (by_kind(patched(0.5), outcome) for outcome in ("log_odds", "share"))
    own = odds["h_neurons"]
    assert own.effect.estimate == pytest.approx(0.5 + NOISE[0].mean())
    assert (own.before, own.donor) == (pytest.approx(PLAIN.mean()), pytest.approx(PLAIN.mean() + 1))
    assert own.effect.low < own.effect.estimate < own.effect.high
    assert odds["random"].draws == pytest.approx(NOISE[1:21].mean(axis=1))
    assert odds["random"].p_value == pytest.approx(1 / 21)
    moved = (PLAIN + 0.5 + NOISE[0] > 0).mean() - (PLAIN > 0).mean()
    assert share["h_neurons"].effect.estimate == pytest.approx(moved)


def test_a_change_in_either_direction_beyond_all_sets_is_supported() -> None:
    assert verdict(patched(0.5)) == ("supported", [])
    assert verdict(patched(-0.5)) == ("supported", [])


def test_what_other_neurons_do_as_well_is_no_finding() -> None:
    """Nor in the other direction: replaced activations may move a model anywhere."""
    for control in (0.6, -0.6):
        found, failed = verdict(patched(0.5, control))
        assert found == "not distinguishable"
        assert failed == [*(f"patching.p.{kind}" for kind in KINDS), "patching.p_holm"]


def test_a_change_that_may_be_none_is_no_finding() -> None:
    found, failed = verdict(patched(0.0))
    assert found == "not distinguishable"
    assert "patching.effect" in failed


def test_sets_that_break_the_model_count_as_the_largest_change() -> None:
    broken = patched(0.5)
    for kind in KINDS:
        broken.by_kind[kind].log_odds[0] = np.nan
    effects = by_kind(broken, "log_odds")
    assert effects["random"].p_value == pytest.approx(2 / 21)
    assert np.isfinite(effects["random"].effect.estimate)
    assert effects["random"].effect.n == 19


def test_where_the_h_neurons_break_the_model_nothing_can_be_said() -> None:
    broken = patched(0.5)
    broken.by_kind["h_neurons"].log_odds[:] = np.nan
    assert verdict(broken)[0] == "no power"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"problem": "not related"}, "pair.neurons_correspond"),
        ({"same_tokens": False}, "patching.same_tokens"),
        ({"options": {"b": False}}, "patching.options"),
    ],
)
def test_models_that_cannot_exchange_activations_have_no_power(how: dict[str, object], code: str) -> None:
    found = replace(patched(0.5), units=())
    verdict_of, failed = verdict(found, **how)
    assert verdict_of == "no power"
    assert code in failed


def test_few_sets_and_unreadable_models_have_no_power() -> None:
    assert verdict(patched(0.5, sets=19)) == ("no power", ["patching.sets", *(f"patching.p.{kind}" for kind in KINDS),
                                                           "patching.p_holm"])  # fmt: skip
    mute = patched(0.5)
    for each in (mute.plain, mute.by_kind["h_neurons"]):
        each.readings[0, :31] = FAILED
    assert verdict(mute) == ("no power", ["patching.readable"])


def test_items_that_ask_the_same_count_once() -> None:
    few = replace(patched(0.5), units=tuple(str(item % 49) for item in range(ITEMS)))
    assert verdict(few) == ("no power", ["patching.items"])


@pytest.mark.parametrize(("far", "failed"), [(0.49, ["patching.disturbance"]), (0.51, []), (1.99, []),
                                             (2.01, ["patching.disturbance"])])  # fmt: skip
def test_without_control_sets_of_like_disturbance_nothing_can_be_said(far: float, failed: list[str]) -> None:
    """The median set counts, in the kind that comes nearest."""
    found = patched(0.5)
    for kind in KINDS:
        found.disturbances[kind][:] = 30.0
    found.disturbances["random"][:] = far
    found.disturbances["random"][3] = 1.0
    assert verdict(found) == ("no power" if failed else "supported", failed)


def test_replies_that_become_unreadable_must_be_fewer_than_those_that_change() -> None:
    """In either direction; shares are compared, since what yields is not known of them."""
    moved = by_kind(patched(0.5), "share")["h_neurons"].effect
    assert moved.estimate > (moved.high - moved.low) / 2
    change = round(ITEMS * moved.estimate)
    for more, failed in ((0, []), (1, ["patching.decidable"])):
        found = patched(0.5)
        held = np.flatnonzero(found.by_kind["h_neurons"].readings[0] == HOLDS)
        assert len(held) > change
        found.by_kind["h_neurons"].readings[0, held[: change + more]] = FAILED
        assert verdict(found) == ("no power" if failed else "supported", failed)
        found.plain.readings[0, held[: change + more]] = FAILED
        assert verdict(found) == ("supported", [])
        found.by_kind["h_neurons"].readings[0, held[: change + more]] = HOLDS
        assert verdict(found) == ("no power" if failed else "supported", failed)


def test_holms_correction_is_over_the_benchmarks_of_a_model() -> None:
    """Two benchmarks, 20 sets: neither can win, which is said as power."""
    effects = {name: patch_effects(replace(patched(0.5), benchmark=name), seed=0) for name in ("b", "c")}
    claims = patch_claims("base", effects, problem="", same_tokens=True, options={"b": True, "c": True})
    assert [claim.verdict for claim in claims] == ["no power"] * 2
    holm = [reason.value for claim in claims for reason in claim.reasons if reason.code == "patching.p_holm"]
    assert holm == pytest.approx([2 / 21] * 2)
