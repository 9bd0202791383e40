"""The change of a set beside like neurons is the planted one, and nothing that neurons are alike in passes for it."""

from itertools import product

import numpy as np
import pytest

from provenance.analyses.controls.control_sets import permutation_p
from provenance.analyses.drift.drift_nulls import Strata, finest_strata, layer_strata
from provenance.analyses.drift.relative_change import RelativeChange, log_change, relative_change
from provenance.analyses.drift.stability_ranks import stability_rank

LAYERS, D_M = 2, 400
D = LAYERS * D_M
EVERYONE = layer_strata(np.ones(D, dtype=bool), D_M)


def like_neurons(seed: int = 0) -> tuple[Strata, np.ndarray, np.ndarray]:
    """Strata of random norms, balances and activities, and the first and last of these."""
    norm, balance, activity = np.random.default_rng(seed).lognormal(size=(3, D))
    return finest_strata(norm, activity, D_M, balance=balance), norm, activity


def compared(logs: np.ndarray, strata: Strata, ids: np.ndarray, draws: int = 500, seed: int = 0) -> RelativeChange:
    found = relative_change(logs, strata, ids, D_M, draws=draws, seed=seed)
    assert found is not None
    return found


def p_less(found: RelativeChange) -> float:
    return permutation_p(-found.drawn, -found.observed)


def slowly(logs: np.ndarray, strata: Strata, ids: np.ndarray) -> tuple[list[float], list[float], float]:
    """Residuals, effects and the fit's SD by the definition: layer by layer, products of powers written out."""
    powers = [each for each in product(range(4), repeat=len(strata.covariates)) if sum(each) <= 3]
    residual, variance = {}, 0.0
    for layer in range(LAYERS):
        members = [j for j in range(layer * D_M, (layer + 1) * D_M) if strata.of[j] >= 0 and np.isfinite(logs[j])]
        others, own = ([j for j in members if (j in ids) == inside] for inside in (False, True))
        row = {
            j: np.array([np.prod([s[j] ** p for s, p in zip(strata.covariates, each, strict=True)]) for each in powers])
            for j in members
        }
        X = np.stack([row[j] for j in others])
        weights = np.linalg.lstsq(X, logs[others], rcond=None)[0]
        left = logs[others] - X @ weights
        freedom = len(others) - len(powers)
        x = np.zeros(len(powers))
        for stratum in {int(strata.of[j]) for j in own}:
            mine, theirs = ([j for j in part if strata.of[j] == stratum] for part in (own, others))
            share = len(theirs) / (len(mine) + len(theirs))
            x += (
                len(mine)
                * share
                * (np.mean([row[j] for j in mine], axis=0) - np.mean([row[j] for j in theirs], axis=0))
            )
        variance += (left @ left) / freedom * (x @ np.linalg.inv(X.T @ X) @ x)
        residual |= dict(zip(others, left * np.sqrt(len(others) / freedom), strict=True))
        residual |= {j: logs[j] - row[j] @ weights for j in own}
    beside = {
        j: [value for other, value in residual.items() if strata.of[other] == strata.of[j] and other not in ids]
        for j in ids.tolist()
    }
    return (
        [residual[j] for j in ids.tolist()],
        [residual[j] - np.mean(beside[j]) for j in ids.tolist()],
        float(np.sqrt(variance)) / ids.size,
    )


def test_numbers_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    strata, _, _ = like_neurons()
    logs, ids = rng.normal(size=D), np.sort(rng.choice(D, 12, replace=False))
    logs[np.setdiff1d(np.arange(0, D, 50), ids)] = np.nan
    found = compared(logs, strata, ids)
    residuals, effects, fit_sd = slowly(logs, strata, ids)
    assert found.observed == pytest.approx(np.mean(residuals), rel=1e-9)
    np.testing.assert_allclose(found.effects, effects, rtol=1e-9, atol=1e-12)
    assert found.fit_sd == pytest.approx(fit_sd, rel=1e-9)
    assert found.drawn.std() == pytest.approx(found.sd, rel=0.15)  # the set is like the others here
    bare = compared(logs, EVERYONE, ids)
    assert bare.observed != pytest.approx(found.observed, rel=1e-3)  # the check can fail


def test_neurons_without_a_change_or_a_property_are_left_out() -> None:
    strata, _, _ = like_neurons()
    logs = np.random.default_rng(1).normal(size=D)
    logs[3], strata.of[7] = np.nan, -1
    assert compared(logs, strata, np.array([3, 5, 7, 500])).ids.tolist() == [5, 500]
    assert relative_change(logs, strata, np.array([3, 7]), D_M, draws=9, seed=0) is None


@pytest.mark.parametrize("factor", [0.5, 0.1, 0.01])
def test_a_set_that_changes_by_a_factor_is_said_to_though_it_was_stable_before(factor: float) -> None:
    """Five busy neurons of a kind that hardly changes: ranks are at their upper end, and say nothing more."""
    strata, _, activity = like_neurons()
    rng = np.random.default_rng(2)
    change = activity**-2.0 * np.exp(0.3 * rng.normal(size=D))
    ids = np.concatenate([layer * D_M + np.argsort(activity[layer * D_M :][:D_M])[[-9, -5, -3]] for layer in (0, 1)])
    before = compared(np.log(change), strata, ids)
    change[ids] *= factor
    after = compared(np.log(change), strata, ids, draws=2000)
    assert after.effects.mean() - before.effects.mean() == pytest.approx(np.log(factor), abs=1e-9)
    assert p_less(before) > 0.05
    assert p_less(after) <= 0.001
    ranks = stability_rank(change)
    by_rank = relative_change(-ranks, strata, ids, D_M, draws=2000, seed=0)
    assert by_rank is not None
    assert p_less(by_rank) > 0.001  # the former statistic


def ends(seed: int, k: int, trend: str) -> tuple[np.ndarray, Strata, np.ndarray]:
    """Sets that lean towards the busiest neurons, which change less by a trend that a cubic does not hold."""
    rng = np.random.default_rng([seed, k])
    place = rng.random(D)
    shape = {"bend": -1.5 * np.clip((place - 0.9) / 0.1, 0, 1), "step": -10.0 * (place > 0.75)}[trend]
    odds = (0.02 + place) ** 8
    ids = np.sort(rng.choice(D, k, replace=False, p=odds / odds.sum()))
    strata = finest_strata(rng.random(D), place, D_M, balance=rng.random(D))
    return shape + rng.normal(size=D), strata, ids


@pytest.mark.parametrize("trend", ["bend", "step"])
def test_sets_at_the_end_of_their_layers_are_not_taken_for_stable(trend: str) -> None:
    """At one-sided 5 %; by layers alone most of them are."""
    found = [compared(*ends(seed, 40, trend), draws=199, seed=seed) for seed in range(60)]
    assert np.mean([p_less(each) < 0.05 for each in found]) <= 0.12  # 5 %, three standard errors above
    by_layer = [
        compared(logs, EVERYONE, ids, draws=199) for logs, _, ids in (ends(seed, 40, trend) for seed in range(20))
    ]
    assert np.mean([p_less(each) < 0.05 for each in by_layer]) >= 0.5


def test_without_covariates_the_fit_adds_no_noise_and_the_test_is_a_plain_permutation() -> None:
    """The mean of the others is in the set's residuals and in every random set's alike."""
    logs = np.random.default_rng(8).normal(size=D)
    found = compared(logs, EVERYONE, np.arange(0, D, 3))
    assert found.fit_sd == 0.0
    assert found.sd == pytest.approx(np.sqrt(267 * (1 - 267 / 800)) / 267, rel=0.1)


def test_the_sd_is_that_of_sets_like_the_others_at_the_end_of_the_layers() -> None:
    """And the set's own effect is not part of it, since power is not looked up after the fact."""
    found = [compared(*like_ends(seed), draws=19, seed=seed) for seed in range(150)]
    centred = [each.observed - np.mean(each.drawn) for each in found]
    # T less its mean over random sets, of which the set itself is a part
    assert np.std(centred) == pytest.approx(np.mean([each.sd for each in found]), rel=0.25)
    logs, strata, ids = like_ends(0)
    lower = logs.copy()
    lower[ids] -= 9.0
    assert compared(lower, strata, ids).sd == pytest.approx(compared(logs, strata, ids).sd, rel=1e-9)


def like_ends(seed: int) -> tuple[np.ndarray, Strata, np.ndarray]:
    """The sets of `ends`, whose changes follow no trend."""
    _, strata, ids = ends(seed, 60, "bend")
    return np.random.default_rng([seed, 99]).normal(size=D), strata, ids


def test_a_layer_that_did_not_move_says_nothing_and_does_no_harm() -> None:
    """As when only some layers have adapters: all its neurons are bit-identical."""
    strata, _, _ = like_neurons()
    change = np.random.default_rng(4).exponential(size=D)
    change[:D_M] = 0.0
    ids = np.array([5, 9, 500, 555, 610, 700])
    found = compared(log_change(change), strata, ids)
    np.testing.assert_array_equal(found.effects[:2], 0.0)
    alone = compared(log_change(change), strata, ids[2:])
    assert found.effects.mean() == pytest.approx(alone.effects.mean() * 4 / 6, rel=1e-12)
    still = compared(log_change(np.zeros(D)), strata, ids)
    assert (still.sd, p_less(still)) == (0.0, 1.0)


def test_identical_neurons_count_as_the_least_changed_and_vanished_ones_as_the_most_changed() -> None:
    found = log_change(np.array([0.0, 1e-12, 1e-3, np.nan, np.inf]))
    np.testing.assert_allclose(found, [np.log(1e-12), np.log(1e-12), np.log(1e-3), np.nan, np.log(1e-3)])
    np.testing.assert_array_equal(log_change(np.zeros(3)), 0.0)


def test_change_below_the_floor_of_storage_is_change() -> None:
    """Tuning by a thousandth in bfloat16: all of 1 - cos lies below the 2.5e-6 that rounding can cause."""
    strata, _, _ = like_neurons()
    change = 3e-7 * np.random.default_rng(9).exponential(size=D)
    ids = np.array([3, 90, 200, 444, 700])
    change[ids] *= 0.1
    found = compared(log_change(change), strata, ids, draws=2000)
    assert p_less(found) < 0.02
    assert np.exp(found.effects.mean()) < 0.4


@pytest.mark.parametrize("floor", [4.0e-8, 2.5e-6])
def test_half_of_the_neurons_identical_is_no_obstacle(floor: float) -> None:
    """A short tuning in float16 or bfloat16 leaves many rows as they were; a set like the others is like the others."""
    strata, _, _ = like_neurons()
    p_values = []
    for seed in range(60):
        rng = np.random.default_rng([seed, 7])
        change = np.where(rng.random(D) < 0.5, 0.0, 10 * floor * rng.exponential(size=D))
        found = compared(log_change(change), strata, rng.choice(D, 15, replace=False), draws=199, seed=seed)
        p_values.append(p_less(found))
    assert np.mean(np.array(p_values) < 0.05) <= 0.14
    assert 0.3 < np.mean(p_values) < 0.7


def test_a_neuron_without_another_of_its_stratum_is_left_out() -> None:
    logs = np.random.default_rng(5).normal(size=D)
    whole = Strata("layer", np.where(np.arange(D) < 3, 0, 1))
    assert relative_change(logs, whole, np.array([0, 1, 2]), D_M, draws=9, seed=0) is None
    assert compared(logs, whole, np.array([0, 1, 2, 9])).ids.tolist() == [9]


def test_the_lowest_set_is_the_one_of_the_least_changed_neurons() -> None:
    logs = np.random.default_rng(6).normal(size=D)
    of_ten = compared(logs, Strata("layer", np.arange(D) // 10), np.array([4, 77]), draws=4000)
    first, second = (logs[start : start + 10] for start in (0, 70))
    layer = np.delete(logs[:D_M], [4, 77]).mean()
    assert of_ten.lowest == pytest.approx((first.min() + second.min()) / 2 - layer, abs=0.02)
    assert permutation_p(-of_ten.drawn, -of_ten.lowest) == pytest.approx(0.01, abs=0.006)  # one in ten, twice
