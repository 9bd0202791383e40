"""The fitted trend is the least-squares one of each layer, and takes out what norm and activity explain."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from provenance.analyses.drift.adjusted_ranks import expected_ranks, normal_scores

D_M = 300


def scores(values: np.ndarray) -> np.ndarray:
    return np.asarray(norm.ppf((rankdata(values) - 0.5) / values.size))


def expected(ranks: np.ndarray, covariates: Sequence[np.ndarray], d_m: int = D_M) -> np.ndarray:
    """From the covariates themselves, scored within layers among the neurons that have all of them."""
    known = ~np.isnan(np.stack(covariates)).any(axis=0)
    layer = np.where(known, np.arange(ranks.size) // d_m, -1)
    return expected_ranks(ranks, [normal_scores(values, layer) for values in covariates], d_m)


def slowly(ranks: np.ndarray, covariates: list[np.ndarray], powers: int) -> np.ndarray:
    """Layer by layer, with numpy's least squares on every product of powers written out."""
    out = np.full(ranks.size, np.nan)
    for layer in range(ranks.size // D_M):
        members = np.arange(layer * D_M, (layer + 1) * D_M)
        members = members[~np.isnan(np.stack(covariates)[:, members]).any(axis=0)]
        s = [scores(values[members]) for values in covariates]
        ranked = ~np.isnan(ranks[members])
        members, s = members[ranked], [values[ranked] for values in s]
        t = s[1] if len(s) == 2 else np.ones(members.size)
        highest = powers if len(s) == 2 else 0
        basis = [s[0] ** a * t**b for a in range(powers + 1) for b in range(highest + 1) if a + b <= powers]
        fit, *_ = np.linalg.lstsq(np.stack(basis, axis=1), ranks[members], rcond=None)
        out[members] = np.clip(np.stack(basis, axis=1) @ fit, 0, 1)
    return out


@pytest.mark.parametrize("count", [1, 2])
def test_the_fit_is_the_least_squares_one(count: int) -> None:
    rng = np.random.default_rng(0)
    ranks, covariates = rng.random(2 * D_M), list(rng.lognormal(size=(count, 2 * D_M)).round(1))
    ranks[7], covariates[0][400] = np.nan, np.nan
    found = expected(ranks, covariates)
    np.testing.assert_allclose(found, slowly(ranks, covariates, 5), atol=1e-9)
    assert np.flatnonzero(np.isnan(found)).tolist() == [7, 400]
    assert not np.allclose(found, slowly(ranks, covariates, 2), atol=1e-3, equal_nan=True)  # the check can fail


def test_a_trend_is_taken_out_to_its_very_end_and_only_the_order_of_values_matters() -> None:
    rng = np.random.default_rng(1)
    size, activity = rng.lognormal(size=(2, 2 * D_M))
    ranks = norm.cdf(np.log(size) + np.log(activity) / 2 + rng.normal(size=2 * D_M) / 4)
    left = ranks - expected(ranks, [size, activity])
    top = np.argsort(size)[-12:]
    assert ranks[top].mean() - ranks.mean() > 0.3
    assert abs(left[top].mean()) < 0.05
    np.testing.assert_allclose(expected(ranks, [np.log(size), activity**3]), ranks - left, atol=1e-9)


@pytest.mark.parametrize(
    ("d_m", "terms"), [(9, 1), (29, 1), (30, 3), (60, 6), (100, 10), (150, 15), (210, 21), (900, 21)]
)
def test_there_are_ten_neurons_for_every_fitted_number(d_m: int, terms: int) -> None:
    """As many dimensions as terms are fitted: random ranks leave n - terms of their squares, on average."""
    rng = np.random.default_rng(2)
    values = rng.random((2, d_m))
    fitted = [expected(row, list(values), d_m) for row in 0.5 + 1e-3 * rng.normal(size=(d_m, d_m))]
    assert np.linalg.matrix_rank(np.array(fitted), tol=1e-9) == terms


def test_covariates_that_do_not_vary_and_layers_without_neurons_do_no_harm() -> None:
    ranks = np.random.default_rng(3).random(2 * D_M)
    ranks[:D_M] = np.nan
    found = expected(ranks, [np.ones(2 * D_M), np.ones(2 * D_M)])
    assert np.isnan(found[:D_M]).all()
    np.testing.assert_allclose(found[D_M:], ranks[D_M:].mean(), rtol=1e-9)
    assert np.isnan(expected(np.full(D_M, np.nan), [np.ones(D_M)])).all()


def test_normal_scores_are_those_of_each_group_and_share_ties() -> None:
    values, groups = np.array([3.0, 1.0, 1.0, 9.0, 5.0, np.nan]), np.array([0, 0, 0, 2, 2, -1])
    found = normal_scores(values, groups)
    np.testing.assert_allclose(found[:3], scores(values[:3]))
    np.testing.assert_allclose(found[3:5], scores(values[3:5]))
    assert found[1] == found[2]
    assert np.isnan(found[5])
    assert np.isnan(normal_scores(np.ones(2), np.array([-1, -1]))).all()
