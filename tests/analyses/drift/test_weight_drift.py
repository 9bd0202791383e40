"""Drift against planted rotations, in float64; its nulls against planted effects and a layer trend."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest, ttest_ind

from provenance.analyses.claims.claim_conditions import judged_drift
from provenance.analyses.drift.drift_nulls import Pools, layer_strata, matched_means, pools_of
from provenance.analyses.drift.drift_tests import drift_tests
from provenance.analyses.drift.stability_ranks import combined_delta, stability_rank
from provenance.analyses.drift.weight_drift import (
    SIGNIFICANCE,
    RankTest,
    measure_drift,
    rank_test,
    rounding_floor,
    summarise_drift,
    welch_p,
)
from provenance.analyses.results.drift import NeuronDrift
from provenance.analyses.weights.row_sums import compare_rows
from provenance.errors import ArchitectureError, NonFiniteError, PairError

Make = Callable[..., Any]


def ranked(ranks: np.ndarray) -> NeuronDrift:
    """A drift of which only the ranks matter."""
    zeros = np.zeros(ranks.size)
    return NeuronDrift(None, zeros, zeros, -ranks, ranks, zeros, zeros, zeros, zeros, np.zeros(ranks.size, bool), 1e-16)


def by_layer(drift: NeuronDrift, ids: np.ndarray, d_m: int, draws: int, seed: int = 0) -> RankTest:
    """The test of ranks against neurons of the same layers."""
    found = rank_test(drift.stability_rank, ids, d_m, draws=draws, seed=seed)
    assert found is not None
    return found


def layer_pools(ranks: np.ndarray, ids: np.ndarray, d_m: int) -> Pools:
    return pools_of(layer_strata(np.isfinite(ranks), d_m).of, ids)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_rounding_alone_stays_below_the_floor_and_near_it(dtype: torch.dtype) -> None:
    exact = torch.randn(200, 500, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    measured = compare_rows(exact, exact.to(dtype)).delta.mean()
    # Mantissas between 1 and 2 divide the bound by 1 to 4, about 2.3 for Gaussian weights.
    assert rounding_floor(dtype) / 4 < measured < rounding_floor(dtype)
    assert rounding_floor(torch.float32, dtype) == rounding_floor(dtype)


def test_measured_drift_equals_the_definition_neuron_by_neuron(checkpoint: Make, changed: Make) -> None:
    base = checkpoint()
    tuned = changed(base, lambda n, t: t + 0.01 * torch.randn(t.shape, generator=torch.Generator().manual_seed(len(n))))
    result = measure_drift(base, tuned)
    flat = {
        kind: [torch.cat([m.tensors[f"{layer}.{kind}"] for layer in range(3)]).double().numpy() for m in (base, tuned)]
        for kind in base.kinds
    }
    for kind, measured in (("gate", result.delta_gate), ("up", result.delta_up), ("down", result.delta_down)):
        u, v = flat[kind]
        cosine = (u * v).sum(axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
        # 1 - cos is near 5e-5 here; the naive form is good to 1e-16 / 5e-5.
        np.testing.assert_allclose(measured, 1 - cosine, rtol=1e-10)
    up, down = result.delta_up, result.delta_down
    z_mean = ((up - up.mean()) / up.std() + (down - down.mean()) / down.std()) / 2
    np.testing.assert_allclose(result.delta, z_mean, atol=1e-12)
    assert result.stability_rank[result.delta.argmax()] == 0.0
    assert result.stability_rank[result.delta.argmin()] == 1.0
    np.testing.assert_allclose(result.norm_up_base, np.linalg.norm(flat["up"][0], axis=1), rtol=1e-12)
    np.testing.assert_allclose(result.norm_down_instruct, np.linalg.norm(flat["down"][1], axis=1), rtol=1e-12)
    assert not result.identical.any()
    assert result.rounding_floor == rounding_floor(torch.float32)


def test_identical_neurons_are_found_and_tie(checkpoint: Make, changed: Make) -> None:
    base = checkpoint(layers=2, d_m=6)

    def change(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name == "1.up":
            tensor[2:4] += 0.1 * torch.arange(tensor.shape[1])
        if name == "0.gate":
            tensor[5] *= 1.5  # same direction: no delta, and yet not identical
        return tensor

    result = measure_drift(base, changed(base, change))
    assert np.flatnonzero(~result.identical).tolist() == [5, 8, 9]
    untouched = np.delete(np.arange(12), [8, 9])
    assert np.unique(result.stability_rank[untouched]).size == 1
    assert result.stability_rank[untouched[0]] > result.stability_rank[[8, 9]].max()


def test_an_ungated_pair_has_no_gate(checkpoint: Make) -> None:
    assert measure_drift(checkpoint(gated=False), checkpoint(gated=False, seed=1)).delta_gate is None


@pytest.mark.parametrize("other", [{"layers": 2}, {"d_m": 41}, {"d": 16}, {"gated": False}])
def test_pairs_of_different_shape_are_refused_with_both_shapes(checkpoint: Make, other: dict[str, Any]) -> None:
    with pytest.raises(PairError, match=r"3 layers of 40 neurons, width 32") as error:
        measure_drift(checkpoint(), checkpoint(**other))
    assert "layers of" in error.value.found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ranks_are_those_of_the_definition_in_float64(checkpoint: Make, changed: Make, dtype: torch.dtype) -> None:
    """Neuron by neuron, also where changes are a thousandth of the weights; float32 arithmetic has another order."""
    base = changed(checkpoint(d_m=300, d=64), lambda _, t: t.to(dtype))
    noise = torch.Generator().manual_seed(21)

    def nudged(_: str, tensor: torch.Tensor) -> torch.Tensor:
        return (tensor.double() * (1 + 1e-3 * torch.randn(tensor.shape, generator=noise).double())).to(dtype)

    tuned = changed(base, nudged)

    def ranks(one_minus: Callable[[torch.Tensor, torch.Tensor], np.ndarray]) -> np.ndarray:
        deltas = [
            np.concatenate([one_minus(base.neurons(kind, n), tuned.neurons(kind, n)) for n in range(3)])
            for kind in ("up", "down")
        ]
        return stability_rank(combined_delta(*deltas))

    measured = measure_drift(base, tuned).stability_rank
    np.testing.assert_array_equal(measured, ranks(lambda a, b: compare_rows(a, b).delta))
    in_float32 = ranks(lambda a, b: 1 - torch.nn.functional.cosine_similarity(a.float(), b.float()).double().numpy())
    assert (in_float32 != measured).mean() > 0.5


def test_neurons_without_a_counterpart_have_no_drift_and_no_part_in_ranks(checkpoint: Make, changed: Make) -> None:
    """The others' ranks are those of a model that has only them."""
    base = checkpoint()
    tuned = changed(base, lambda n, t: t + 0.01 * torch.randn(t.shape, generator=torch.Generator().manual_seed(len(n))))
    lost = np.array([0, 39, 40, 77])
    base_ids = np.arange(120)
    base_ids[lost] = -1
    result, whole = measure_drift(base, tuned, base_ids), measure_drift(base, tuned)
    kept = np.delete(np.arange(120), lost)
    for values in (result.delta_gate, result.delta_up, result.delta_down, result.delta, result.norm_up_base):
        assert np.flatnonzero(np.isnan(values)).tolist() == lost.tolist()
    np.testing.assert_allclose(result.delta_up[kept], whole.delta_up[kept], rtol=1e-10)
    expected = combined_delta(whole.delta_up[kept], whole.delta_down[kept])
    np.testing.assert_allclose(result.delta[kept], expected, rtol=1e-6)
    np.testing.assert_array_equal(result.stability_rank[kept], stability_rank(expected))
    assert np.isnan(result.stability_rank[lost]).all()
    same = measure_drift(base, base, base_ids)
    assert np.flatnonzero(~same.identical).tolist() == lost.tolist()


@pytest.mark.parametrize(
    "base_ids", [np.arange(119), np.full(120, 120), np.full(120, -2)], ids=["too few", "too large", "negative"]
)
def test_a_mapping_of_another_pair_is_refused(checkpoint: Make, base_ids: np.ndarray) -> None:
    with pytest.raises(PairError, match="each of 120 neurons"):
        measure_drift(checkpoint(), checkpoint(seed=1), base_ids)


def test_a_mapping_between_widths_is_refused(checkpoint: Make) -> None:
    with pytest.raises(PairError, match="width 16"):
        measure_drift(checkpoint(), checkpoint(d=16), np.arange(120))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", ["base", "instruct"])
def test_weights_that_are_not_finite_are_refused_by_name(
    checkpoint: Make, changed: Make, value: float, side: str
) -> None:
    good = checkpoint()

    def spoil(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name == "1.down":
            tensor[7, 3] = value
        return tensor

    bad = changed(good, spoil)
    with pytest.raises(NonFiniteError, match=rf"down weights of layer 1 \({side}"):
        measure_drift(*((bad, good) if side == "base" else (good, bad)))


@pytest.mark.parametrize("mapped", [False, True])
def test_weights_too_large_to_square_are_refused_for_what_they_are(
    checkpoint: Make, changed: Make, mapped: bool
) -> None:
    """Finite numbers of a float64 file whose squares are not."""
    good = changed(checkpoint(), lambda _, t: t.double())
    bad = changed(good, lambda name, t: t.index_fill(1, torch.tensor([3]), 1e200) if name == "1.down" else t)
    ids = np.arange(bad.layers * bad.d_m) if mapped else None
    with pytest.raises(NonFiniteError, match=r"down weights of layer 1 \(instruct(.|\n)*weights up to 1e\+200"):
        measure_drift(good, bad, ids)


def test_quantised_weights_are_refused(checkpoint: Make, changed: Make) -> None:
    base = checkpoint()
    quantised = changed(base, lambda _, t: (t * 20).to(torch.int8))
    with pytest.raises(ArchitectureError, match="instruct"):
        measure_drift(base, quantised)


def test_permutation_p_is_uniform_when_h_neurons_are_like_the_others() -> None:
    rng = np.random.default_rng(5)
    ranks = ranked(stability_rank(rng.random(240) + np.repeat(np.arange(4), 60)))
    p_values = []
    for repeat in range(300):
        chosen = rng.choice(240, size=12, replace=False)
        p_values.append(by_layer(ranks, chosen, 60, draws=199, seed=repeat).p_more_stable)
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_a_planted_effect_is_found() -> None:
    rng = np.random.default_rng(6)
    h = np.arange(5, 240, 20)
    supported = 0
    for repeat in range(40):
        delta = rng.exponential(size=240)
        delta[h] *= 0.3
        result = by_layer(ranked(stability_rank(delta)), h, 60, draws=500, seed=repeat)
        supported += result.p_more_stable < SIGNIFICANCE
        assert result.effect.estimate == pytest.approx(result.mean_rank - result.null_mean)
    assert supported >= 36


def test_h_neurons_that_changed_most_are_not_supported() -> None:
    delta = np.random.default_rng(7).exponential(size=240)
    h = np.argsort(delta)[-12:]
    result = by_layer(ranked(stability_rank(delta)), h, 60, draws=500)
    assert result.p_more_stable == 1.0


def test_a_layer_trend_alone_fools_the_t_test_and_not_the_matched_one() -> None:
    rng = np.random.default_rng(8)
    delta = rng.random(400) + np.repeat([3.0, 2.0, 1.0, 0.0], 100)
    h = 300 + rng.choice(100, size=15, replace=False)  # all in the layer that changed least
    drift = ranked(stability_rank(delta))
    p_t = summarise_drift(drift, h, 4, 100).p_t
    assert p_t is not None
    assert p_t < 1e-6
    result = by_layer(drift, h, 100, draws=2000)
    assert result.p_more_stable >= SIGNIFICANCE
    assert result.mean_rank == pytest.approx(0.875, abs=0.06)
    assert result.null_mean == pytest.approx(0.876, abs=0.005)  # (300 + ... + 399) / 100 / 399


def test_the_t_test_is_the_one_sided_welch_test() -> None:
    ranks = np.random.default_rng(9).random(50)
    h = np.array([3, 8, 20, 41])
    inside, outside = ranks[h], np.delete(ranks, h)
    expected = ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue
    assert welch_p(ranks, h) == pytest.approx(expected, rel=1e-12)
    assert welch_p(ranks, h[:1]) is None
    assert welch_p(np.full(50, 0.5), h) is None


def test_the_papers_test_is_of_similarities_and_the_one_of_ranks_stands_beside_it() -> None:
    rng = np.random.default_rng(14)
    up, down = rng.exponential(size=(2, 400)) / 100
    h = np.array([3, 90, 200, 333])
    drift = replace(changed_by(up), delta_up=up, delta_down=down)
    similarity = 1 - (up + down) / 2
    result = summarise_drift(drift, h, 4, 100, draws=50)
    for found, values in ((result.p_t_similarity, similarity), (result.p_t, drift.stability_rank)):
        expected = ttest_ind(values[h], np.delete(values, h), equal_var=False, alternative="greater").pvalue
        assert found == pytest.approx(expected, rel=1e-12)
    assert result.p_t != pytest.approx(result.p_t_similarity, rel=1e-3)


def test_the_uniform_sd_is_that_of_a_mean_of_k_ranks() -> None:
    ranks = stability_rank(np.random.default_rng(10).random(1000))
    h = np.arange(0, 1000, 50)
    assert summarise_drift(ranked(ranks), h, 1, 1000).uniform_sd == pytest.approx(1 / math.sqrt(12 * 20))


def changed_by(delta: np.ndarray) -> NeuronDrift:
    """A drift in which up and down changed by as much."""
    return replace(ranked(stability_rank(delta)), delta_up=delta, delta_down=delta, delta=delta)


@pytest.mark.parametrize(
    ("delta", "h", "why"),
    [
        (np.linspace(1, 2, 40), [], "no H-Neurons"),
        (np.full(40, 0.5), [0, 1, 2], "no difference from those would be detected"),
        (np.linspace(1, 2, 40), list(range(10)), "no H-Neuron has others of its layer"),  # they are their whole layer
        (np.linspace(1, 2, 40), [3], "no difference from those would be detected"),  # one of ten is no rarer than 0.1
    ],
)
def test_a_test_that_could_not_succeed_has_no_power(delta: np.ndarray, h: list[int], why: str) -> None:
    drift, ids = changed_by(delta), np.array(h, dtype=np.int64)
    tests = drift_tests(drift, {"hallucinated": ids}, None, None, 4, 10, draws=500)
    assert all(test.smallest_detectable is None for test in tests if test.measure == "delta")
    result, claim = judged_drift(summarise_drift(drift, ids, 4, 10), tests, "", 1.0)
    assert result.verdict == claim.verdict == "no power"
    assert why in result.reason


def unmapped(ranks: np.ndarray, lost: list[int]) -> NeuronDrift:
    """A drift in which some neurons have no counterpart, and the others are ranked without them."""
    kept = np.delete(np.arange(ranks.size), lost)
    left = np.full(ranks.size, np.nan)
    left[kept] = stability_rank(-ranks[kept])
    return ranked(left)


def test_unmapped_neurons_are_in_no_control_and_are_counted() -> None:
    """The result is that of the same layers without them, and says how many H-Neurons are missing."""
    rng = np.random.default_rng(12)
    lost, h = [1, 2, 3, 13, 27], np.array([2, 5, 11, 33])
    drift = unmapped(rng.random(40), lost)
    ranks = drift.stability_rank
    result, layer = summarise_drift(drift, h, 4, 10), by_layer(drift, h, 10, draws=4000)
    assert result.reason == "1 of 4 H-Neurons have no counterpart in the base"
    assert result.k == 3
    assert (result.mean_rank, result.null_mean) == (layer.mean_rank, layer.null_mean)
    assert layer.mean_rank == pytest.approx(ranks[[5, 11, 33]].mean())
    layer_means = [np.delete(ranks, lost)[start:stop].mean() for start, stop in ((0, 7), (7, 16), (25, 35))]
    assert layer.null_mean == pytest.approx(np.mean(layer_means), rel=1e-12)
    everyone = np.delete(np.arange(40), [*lost, 5, 11, 33])
    expected = ttest_ind(ranks[[5, 11, 33]], ranks[everyone], equal_var=False, alternative="greater").pvalue
    assert result.p_t == pytest.approx(expected, rel=1e-12)
    pools = layer_pools(ranks, np.array([5, 11, 33]), 10)
    drawn = matched_means(ranks, pools, 4000, rng)
    assert np.mean(drawn) == pytest.approx(layer.null_mean, abs=0.02)
    assert layer.null_sd == pytest.approx(np.std(drawn), rel=0.05)


def test_h_neurons_that_are_all_unmapped_leave_nothing_to_test() -> None:
    drift, h = unmapped(np.linspace(0, 1, 40), [4, 5]), np.array([4, 5])
    result = summarise_drift(drift, h, 4, 10)
    assert result.k == 0
    assert rank_test(drift.stability_rank, h, 10, draws=50) is None
    judged, _ = judged_drift(result, (), "", 0.0)
    assert judged.verdict == "no power"
    assert judged.reason.startswith("there are no H-Neurons to compare; 2 of 2 H-Neurons have no")


def test_share_identical_counts_mapped_neurons_only() -> None:
    drift = replace(unmapped(np.linspace(0, 1, 40), list(range(20))), identical=np.arange(40) >= 30)
    assert summarise_drift(drift, np.array([25]), 4, 10).share_identical == 0.5


def test_share_identical_and_floor_are_passed_on() -> None:
    base = ranked(np.linspace(0, 1, 40))
    drift = replace(base, identical=np.arange(40) < 10, rounding_floor=2.5e-6)
    for h in (np.arange(4), np.empty(0, dtype=np.int64)):
        result = summarise_drift(drift, h, 4, 10)
        assert (result.share_identical, result.rounding_floor) == (0.25, 2.5e-6)


def test_the_same_seed_gives_the_same_null_and_another_one_does_not() -> None:
    drift, h = ranked(np.random.default_rng(13).random(40)), np.array([1, 15, 33])
    first, again, other = (by_layer(drift, h, 10, draws=50, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_neurons_outside_the_model_are_refused() -> None:
    with pytest.raises(PairError):
        summarise_drift(ranked(np.linspace(0, 1, 40)), np.array([40]), 4, 10)
