"""Strata hold like neurons of one layer; draws, mean and SD over them equal going through every possible set."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import norm, rankdata, spearmanr

from provenance.analyses.drift.drift_nulls import (
    drift_strata,
    finest_strata,
    layer_strata,
    matched_means,
    matched_moments,
    normal_scores,
    pools_of,
    quantile_bins,
)
from provenance.analyses.results.drift import NeuronDrift
from provenance.errors import PairError


def every_set(values: np.ndarray, strata: np.ndarray, ids: np.ndarray) -> list[float]:
    """Mean of every set that has as many neurons of each stratum as the given one, one after the other."""
    parts = []
    for stratum in np.unique(strata[ids]):
        members = np.flatnonzero(strata == stratum).tolist()
        parts.append(list(combinations(members, int((strata[ids] == stratum).sum()))))
    return [float(np.mean(values[[j for part in chosen for j in part]])) for chosen in product(*parts)]


def test_draws_mean_and_deviation_equal_all_possible_sets() -> None:
    rng = np.random.default_rng(0)
    values, strata = rng.random(14), np.array([3, 3, 3, 3, 3, -1, 0, 0, 0, 0, 5, 5, -1, 5])
    ids = np.array([7, 1, 10, 4])
    every, pools = every_set(values, strata, ids), pools_of(strata, ids)
    drawn = matched_means(values, pools, 40_000, np.random.default_rng(1))
    mean, sd = matched_moments(values, pools)
    assert len(every) == 10 * 4 * 3
    assert mean == pytest.approx(np.mean(every), rel=1e-12)
    assert sd == pytest.approx(np.std(every), rel=1e-12)
    assert drawn.mean() == pytest.approx(mean, abs=5 * sd / math.sqrt(40_000))
    assert np.unique(drawn.round(9)).size == np.unique(np.round(every, 9)).size
    unmatched = pools_of(np.zeros(14, dtype=np.int64), ids)
    assert matched_moments(values, unmatched)[0] != pytest.approx(mean, rel=1e-3)  # the check can fail


def test_pools_are_the_strata_of_the_set_and_nothing_else() -> None:
    pools = pools_of(np.array([2, 0, 2, -1, 9, 0, 4]), np.array([6, 2, 0]))
    assert [members.tolist() for members in pools.members] == [[0, 2], [6]]
    assert pools.counts.tolist() == [2, 1]
    assert pools.k == 3


def test_a_set_without_neurons_has_no_mean() -> None:
    pools = pools_of(np.zeros(4, dtype=np.int64), np.empty(0, dtype=np.int64))
    assert pools.k == 0
    assert np.isnan(matched_means(np.ones(4), pools, 3, np.random.default_rng(0))).all()
    assert all(math.isnan(value) for value in matched_moments(np.ones(4), pools))


def test_a_neuron_without_a_stratum_cannot_be_matched() -> None:
    with pytest.raises(PairError, match="neuron 3"):
        pools_of(np.array([0, 0, 0, -1]), np.array([1, 3]))


@pytest.mark.parametrize(("d_m", "bins"), [(1, 1), (79, 1), (80, 2), (640, 5), (2000, 10), (2048, 10), (28672, 10)])
def test_bins_are_deciles_where_a_layer_is_wide_enough(d_m: int, bins: int) -> None:
    """A cell holds about 20 neurons: (bins)^2 cells of a layer, and never fewer than that where there are several."""
    assert quantile_bins(d_m) == bins
    assert bins == 1 or d_m / bins**2 >= 20


def slow_cells(norm: np.ndarray, activity: np.ndarray, d_m: int, bins: int) -> np.ndarray:
    """Layer by layer, bin by bin: the share of a group's neurons below a value, plus half of its ties."""

    def cut(values: np.ndarray) -> np.ndarray:
        below = (values[:, None] > values[None, :]).sum(axis=1)
        ties = (values[:, None] == values[None, :]).sum(axis=1)
        return np.floor(bins * (below + ties / 2) / values.size).astype(int)

    cells = np.full(norm.size, -1)
    for layer in range(norm.size // d_m):
        members = np.arange(layer * d_m, (layer + 1) * d_m)
        members = members[~np.isnan(norm[members]) & ~np.isnan(activity[members])]
        by_norm = cut(norm[members])
        for one in np.unique(by_norm):
            inside = members[by_norm == one]
            cells[inside] = (layer * bins + one) * bins + cut(activity[inside])
    return cells


def test_cells_are_quantiles_of_activity_within_quantiles_of_norm_within_layers() -> None:
    rng = np.random.default_rng(2)
    norm, activity = rng.random(960), rng.random(960).round(2)  # activities tie
    norm[[3, 500]], activity[[4, 900]] = np.nan, np.nan
    found = finest_strata(norm, activity, 320)
    assert found.matching == "layer_norm_activity"
    np.testing.assert_array_equal(found.of, slow_cells(norm, activity, 320, 4))
    assert np.flatnonzero(found.of < 0).tolist() == [3, 4, 500, 900]
    sizes = np.bincount(found.of[found.of >= 0])
    assert sizes.size == 3 * 16
    assert sizes.min() >= 15  # 20 by design; ties and missing neurons move a few
    for cell in range(0, sizes.size, 7):
        assert np.unique(np.flatnonzero(found.of == cell) // 320).size == 1


def test_without_activity_neurons_are_matched_on_norm() -> None:
    found = finest_strata(np.arange(160.0), None, 80)
    assert found.matching == "layer_norm"
    np.testing.assert_array_equal(found.of, np.repeat([0, 1, 2, 3], 40))


def test_the_balance_of_norms_is_a_covariate_and_cuts_no_cell() -> None:
    """Neurons of one product of norms differ in how it is divided; 0 and unknown norms disturb no other."""
    rng = np.random.default_rng(4)
    up, down = rng.random(120), rng.random(120)
    up[3], down[3], up[5] = 0.0, 0.0, np.nan
    drift = drift_with(up, down)
    finest = drift_strata(drift, None, 120)[1]
    np.testing.assert_array_equal(finest.of, finest_strata(up * down, None, 120).of)
    norm, balance = finest.covariates
    known = [row for row in range(120) if row not in (3, 5)]
    assert spearmanr(balance[known], up[known] / down[known])[0] > 0.99
    assert spearmanr(norm[known], (up * down)[known])[0] > 0.99
    assert np.isfinite(balance[3])
    assert np.isnan([norm[5], balance[5]]).all()
    activity = rng.random(120)
    assert len(drift_strata(drift, activity, 120)[1].covariates) == 3
    assert len(drift_strata(drift, activity, 60)) == 1  # too narrow to hold a quadratic of three


def drift_with(up: np.ndarray, down: np.ndarray) -> NeuronDrift:
    """Neurons with these norms in the base, half of which moved."""
    delta = np.where(np.isnan(up * down), np.nan, np.arange(up.size) % 2.0)
    same = np.zeros(up.size, dtype=bool)
    return NeuronDrift(None, delta, delta, delta, np.ones(up.size), up, up, down, down, same, 1e-16)


def test_equal_values_share_a_bin_whatever_their_order() -> None:
    norm = np.concatenate([np.full(60, 2.0), np.arange(20.0) + 3])
    order = np.random.default_rng(3).permutation(80)
    there = finest_strata(norm[order], None, 80).of
    np.testing.assert_array_equal(there, finest_strata(norm, None, 80).of[order])
    assert np.unique(there[np.flatnonzero(norm[order] == 2.0)]).size == 1


def test_a_layer_whose_neurons_are_all_alike_or_all_unknown_does_not_disturb_the_others() -> None:
    norm = np.concatenate([np.full(80, np.nan), np.ones(80), np.arange(80.0)])
    found = finest_strata(norm, None, 80)
    assert (found.of[:80] == -1).all()
    assert np.unique(found.of[80:160]).size == 1
    np.testing.assert_array_equal(found.of[160:], np.repeat([4, 5], 40))
    assert (finest_strata(np.full(80, np.nan), None, 80).of == -1).all()


def test_layers_are_strata_of_the_neurons_that_have_a_counterpart() -> None:
    found = layer_strata(np.array([True, False, True, True]), 2)
    assert (found.matching, found.of.tolist()) == ("layer", [0, -1, 1, 1])


def test_normal_scores_are_those_of_each_group_and_share_ties() -> None:
    values, groups = np.array([3.0, 1.0, 1.0, 9.0, 5.0, np.nan]), np.array([0, 0, 0, 2, 2, -1])
    found = normal_scores(values, groups)
    np.testing.assert_allclose(found[:3], norm.ppf((rankdata(values[:3]) - 0.5) / 3))
    np.testing.assert_allclose(found[3:5], norm.ppf([0.75, 0.25]))
    assert found[1] == found[2]
    assert np.isnan(found[5])
    assert np.isnan(normal_scores(np.ones(2), np.array([-1, -1]))).all()
