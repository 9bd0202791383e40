"""Drift against planted rotations, in float64; its nulls against planted effects and a layer trend."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest, ttest_ind

from analyses import drift as drift_module
from analyses.controls import layer_counts
from analyses.drift import (
    compare_rows,
    matched_mean_ranks,
    matched_moments,
    measure_drift,
    one_minus_cosine,
    rounding_floor,
    summarise_drift,
    welch_p,
)
from analyses.ranks import stability_rank
from analyses.results import NeuronDrift
from provenance.errors import ArchitectureError, NonFiniteError, PairError

Make = Callable[..., Any]


def rotated(rows: torch.Tensor, phi: float, seed: int = 0) -> torch.Tensor:
    """Each row turned by phi in the plane of itself and a random direction, norm kept; float64."""
    rows = rows.double()
    other = torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    unit = rows / rows.norm(dim=1, keepdim=True)
    other -= (other * unit).sum(dim=1, keepdim=True) * unit
    other /= other.norm(dim=1, keepdim=True)
    return rows.norm(dim=1, keepdim=True) * (math.cos(phi) * unit + math.sin(phi) * other)


def ranked(ranks: np.ndarray) -> NeuronDrift:
    """A drift of which only the ranks matter."""
    zeros = np.zeros(ranks.size)
    return NeuronDrift(None, zeros, zeros, -ranks, ranks, zeros, zeros, zeros, zeros, np.zeros(ranks.size, bool), 1e-16)


@pytest.mark.parametrize("phi", [2.0, 0.3, 1e-3, 1e-6])
def test_a_planted_rotation_gives_one_minus_cos_phi(phi: float) -> None:
    rows = torch.randn(20, 300, generator=torch.Generator().manual_seed(1)).double()
    expected = 2 * math.sin(phi / 2) ** 2  # = 1 - cos phi, without its cancellation
    # Unit vectors differ by phi with an absolute error near 1e-16, so by 2e-10 relatively at 1e-6.
    np.testing.assert_allclose(one_minus_cosine(rows, rotated(rows, phi)), expected, rtol=2e-9)


def test_float32_would_fail_at_the_smallest_rotation() -> None:
    rows = torch.randn(20, 300, generator=torch.Generator().manual_seed(1)).double()
    turned = rotated(rows, 1e-6)
    expected = 2 * math.sin(5e-7) ** 2
    in_float32 = 1 - torch.nn.functional.cosine_similarity(rows.float(), turned.float())
    assert (np.abs(in_float32.numpy() / expected - 1) > 0.5).all()
    naive_float64 = 1 - torch.nn.functional.cosine_similarity(rows, turned)
    assert np.abs(naive_float64.numpy() / expected - 1).max() > 1e-5


def test_rows_equal_the_definition_across_blocks_strides_and_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_module, "BLOCK_ELEMENTS", 50)  # three rows of 16 at a time
    generator = torch.Generator().manual_seed(2)
    a = torch.randn(16, 11, generator=generator).T  # strided, as a transposed down-projection comes
    b = torch.randn(11, 16, generator=generator).bfloat16()
    before = a.clone()
    result = compare_rows(a, b)
    u, v = a.double().numpy(), b.double().numpy()
    for j in range(11):
        norm_u, norm_v = np.sqrt(u[j] @ u[j]), np.sqrt(v[j] @ v[j])
        assert result.delta[j] == pytest.approx(1 - u[j] @ v[j] / (norm_u * norm_v), rel=1e-12)
        assert result.norm_a[j] == pytest.approx(norm_u, rel=1e-14)
        assert result.norm_b[j] == pytest.approx(norm_v, rel=1e-14)
    assert torch.equal(a, before)


def test_float64_weights_are_not_changed_by_being_compared() -> None:
    a = torch.randn(3, 4, dtype=torch.float64)
    before = a.clone()
    compare_rows(a, a * 2)
    assert torch.equal(a, before)


def test_zero_rows_have_the_distances_that_the_docstring_fixes() -> None:
    zero, one = torch.zeros(1, 3), torch.ones(1, 3)
    rows_a, rows_b = torch.cat([zero, zero, one, one]), torch.cat([zero, one, zero, one])
    result = compare_rows(rows_a, rows_b)
    assert result.delta.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert result.equal.tolist() == [True, False, False, True]


def test_opposite_rows_have_distance_two_and_scaled_ones_zero() -> None:
    a = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
    np.testing.assert_allclose(one_minus_cosine(a, a * torch.tensor([[-1.0], [2.0]])), [2.0, 0.0], atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_rounding_alone_stays_below_the_floor_and_near_it(dtype: torch.dtype) -> None:
    exact = torch.randn(200, 500, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    measured = one_minus_cosine(exact, exact.to(dtype)).mean()
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


@pytest.mark.parametrize(("layers", "d_m"), [(3, 40), (7, 5)])
def test_no_more_than_two_tensors_of_a_model_are_ever_alive(checkpoint: Make, layers: int, d_m: int) -> None:
    base, tuned = checkpoint(layers=layers, d_m=d_m), checkpoint(layers=layers, d_m=d_m, seed=1)
    measure_drift(base, tuned)
    for source in (base, tuned):
        assert len(source.reads) == 3 * layers  # each tensor once
        assert source.most_alive <= 2
        assert source.alive == 0


def test_the_count_of_live_tensors_would_see_a_hoarder(checkpoint: Make) -> None:
    source = checkpoint()
    hoard = [source.neurons("up", layer)[1:].T for layer in range(3)]  # views, as a careless caller keeps them
    assert source.most_alive == 3
    del hoard
    assert source.alive == 0


@pytest.mark.parametrize("other", [{"layers": 2}, {"d_m": 41}, {"d": 16}, {"gated": False}])
def test_pairs_of_different_shape_are_refused_with_both_shapes(checkpoint: Make, other: dict[str, Any]) -> None:
    with pytest.raises(PairError, match=r"3 layers of 40 neurons, width 32") as error:
        measure_drift(checkpoint(), checkpoint(**other))
    assert "layers of" in error.value.found


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


def test_quantised_weights_are_refused(checkpoint: Make, changed: Make) -> None:
    base = checkpoint()
    quantised = changed(base, lambda _, t: (t * 20).to(torch.int8))
    with pytest.raises(ArchitectureError, match="instruct"):
        measure_drift(base, quantised)


def test_matched_draws_equal_all_possible_sets_of_the_same_layers() -> None:
    ranks = np.random.default_rng(0).random((2, 5))
    counts = np.array([2, 1])
    every = [(a + b + c) / 3 for a, b in combinations(ranks[0], 2) for c in ranks[1]]
    drawn = matched_mean_ranks(ranks, counts, 40_000, np.random.default_rng(1))
    mean, sd = matched_moments(ranks, counts)
    assert mean == pytest.approx(np.mean(every), rel=1e-12)
    assert sd == pytest.approx(np.std(every), rel=1e-12)
    assert drawn.mean() == pytest.approx(mean, abs=5 * sd / math.sqrt(40_000))
    assert np.unique(drawn.round(9)).size == np.unique(np.round(every, 9)).size


def test_permutation_p_is_uniform_when_h_neurons_are_like_the_others() -> None:
    rng = np.random.default_rng(5)
    ranks = ranked(stability_rank(rng.random(240) + np.repeat(np.arange(4), 60)))
    p_values = []
    for repeat in range(300):
        chosen = rng.choice(240, size=12, replace=False)
        p = summarise_drift(ranks, chosen, 4, 60, draws=199, seed=repeat).p_permutation
        assert p is not None
        p_values.append(p)
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_a_planted_effect_is_found() -> None:
    rng = np.random.default_rng(6)
    h = np.arange(5, 240, 20)
    supported = 0
    for repeat in range(40):
        delta = rng.exponential(size=240)
        delta[h] *= 0.3
        result = summarise_drift(ranked(stability_rank(delta)), h, 4, 60, draws=500, seed=repeat)
        supported += result.verdict == "supported"
        assert result.effect == pytest.approx(result.mean_stability_rank - result.matched_null.mean)
    assert supported >= 36


def test_h_neurons_that_changed_most_are_not_supported() -> None:
    delta = np.random.default_rng(7).exponential(size=240)
    h = np.argsort(delta)[-12:]
    result = summarise_drift(ranked(stability_rank(delta)), h, 4, 60, draws=500)
    assert result.verdict == "not distinguishable"
    assert result.p_permutation == 1.0


def test_a_layer_trend_alone_fools_the_t_test_and_not_the_matched_one() -> None:
    rng = np.random.default_rng(8)
    delta = rng.random(400) + np.repeat([3.0, 2.0, 1.0, 0.0], 100)
    h = 300 + rng.choice(100, size=15, replace=False)  # all in the layer that changed least
    result = summarise_drift(ranked(stability_rank(delta)), h, 4, 100, draws=2000)
    assert result.p_t is not None
    assert result.p_t < 1e-6
    assert result.verdict == "not distinguishable"
    assert result.mean_stability_rank == pytest.approx(0.875, abs=0.06)
    assert "0.876 for random neurons of the same layers" in result.reason  # (300 + ... + 399) / 100 / 399


def test_the_t_test_is_the_one_sided_welch_test() -> None:
    ranks = np.random.default_rng(9).random(50)
    h = np.array([3, 8, 20, 41])
    inside, outside = ranks[h], np.delete(ranks, h)
    expected = ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue
    assert welch_p(ranks, h) == pytest.approx(expected, rel=1e-12)
    assert welch_p(ranks, h[:1]) is None
    assert welch_p(np.full(50, 0.5), h) is None


def test_power_numbers_say_what_could_have_been_found() -> None:
    ranks = stability_rank(np.random.default_rng(10).random(1000))
    h = np.arange(0, 1000, 50)
    result = summarise_drift(ranked(ranks), h, 1, 1000, draws=100)
    assert result.uniform_sd == pytest.approx(1 / math.sqrt(12 * 20))
    # Uniform ranks, drawn without replacement: SD 0.0645 * sqrt(1 - 20 / 1000), 2.486 = z(0.95) + z(0.80).
    assert result.smallest_detectable == pytest.approx(0.5 + 2.486 * 0.0639, abs=5e-4)


def test_an_effect_of_the_smallest_detectable_size_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(11)
    ranks = stability_rank(rng.random(2000))
    h = np.arange(0, 2000, 100)
    detectable = summarise_drift(ranked(ranks), h, 1, 2000, draws=100).smallest_detectable
    assert detectable is not None
    _, sd = matched_moments(ranks.reshape(1, 2000), layer_counts(h, 1, 2000))
    null = matched_mean_ranks(ranks.reshape(1, 2000), layer_counts(h, 1, 2000), 4000, rng)
    shifted = rng.normal(detectable, sd, size=4000)
    assert np.mean(shifted > np.quantile(null, 0.95)) == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(
    ("ranks", "h", "why"),
    [
        (np.linspace(0, 1, 40), [], "no H-Neurons"),
        (np.full(40, 0.5), [0, 1, 2], "even the most stable"),
        (np.linspace(0, 1, 40), list(range(10)), "even the most stable"),  # they are their whole layer
        (np.linspace(0, 1, 40), [3], "even the most stable"),  # one of ten cannot be rarer than 1 in 10
    ],
)
def test_a_test_that_could_not_succeed_has_no_power(ranks: np.ndarray, h: list[int], why: str) -> None:
    result = summarise_drift(ranked(ranks), np.array(h, dtype=np.int64), 4, 10, draws=500)
    assert result.verdict == "no power"
    assert why in result.reason


def test_share_identical_and_floor_are_passed_on() -> None:
    base = ranked(np.linspace(0, 1, 40))
    drift = replace(base, identical=np.arange(40) < 10, rounding_floor=2.5e-6)
    for h in (np.arange(4), np.empty(0, dtype=np.int64)):
        result = summarise_drift(drift, h, 4, 10, draws=50)
        assert (result.share_identical, result.rounding_floor) == (0.25, 2.5e-6)


def test_the_same_seed_gives_the_same_null_and_another_one_does_not() -> None:
    drift, h = ranked(np.linspace(0, 1, 40)), np.array([1, 15, 33])
    first, again, other = (summarise_drift(drift, h, 4, 10, draws=50, seed=s).matched_null for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_neurons_outside_the_model_are_refused() -> None:
    with pytest.raises(PairError):
        summarise_drift(ranked(np.linspace(0, 1, 40)), np.array([40]), 4, 10, draws=10)
