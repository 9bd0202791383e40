"""The ridge fit reaches the optimum that a general solver reaches, on any columns."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from provenance.probe.ridge import balanced, fit_ridge, ridge_path, standardising

CS = (1e-4, 1e-2, 1.0, 100.0)


def drawn(rows: int, columns: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Standardised columns, and labels that the first one tells with a strength in SD of their noise."""
    rng = np.random.default_rng(rows + columns)
    X = rng.standard_normal((rows, columns))
    return X, X[:, 0] * strength + rng.standard_normal(rows) > 0.3


@pytest.mark.parametrize("C", [100.0, 1.0, 0.001])
@pytest.mark.parametrize("shape", [(60, 5, 0.1), (300, 20, 1.0), (200, 3, 30.0), (60, 90, 1.0), (400, 150, 1.0)])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_optimum_is_that_of_a_general_solver(shape: tuple[int, int, float], C: float, balanced: bool) -> None:
    """Also with more columns than rows, with a hundred and more, and where one column separates the classes."""
    X, y = drawn(*shape)
    weights = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean())) if balanced else None
    class_weight = "balanced" if balanced else None
    model = LogisticRegression(solver="newton-cholesky", C=C, tol=1e-9, class_weight=class_weight).fit(X, y)
    theta, b = fit_ridge(X, y, C, weights)
    np.testing.assert_allclose(theta, model.coef_[0], rtol=1e-5, atol=1e-7)
    assert b == pytest.approx(model.intercept_[0], rel=1e-5, abs=1e-7)


def test_the_gradient_of_the_stated_objective_is_zero() -> None:
    """By central differences; a step of a thousandth in any direction is worse."""
    X, y = drawn(150, 4, 1.0)
    theta, b = fit_ridge(X, y, 2.0)

    def objective(v: np.ndarray) -> float:
        return float(2.0 * np.logaddexp(0, -np.where(y, 1, -1) * (X @ v[:-1] + v[-1])).sum() + v[:-1] @ v[:-1] / 2)

    best = np.append(theta, b)
    for direction in np.eye(5) * 1e-3:
        ahead, behind = objective(best + direction), objective(best - direction)
        assert min(ahead, behind) > objective(best)
        assert (ahead - behind) / 2e-3 == pytest.approx(0, abs=1e-4)


def test_columns_that_are_constant_repeated_or_huge_have_a_finite_fit() -> None:
    X, y = drawn(80, 2, 1.0)
    awkward = np.column_stack([X, X[:, :1], np.zeros(80), X[:, :1] * 1e6])
    theta, b = fit_ridge(awkward, y, 100.0)
    assert np.isfinite(theta).all()
    assert np.isfinite(b)
    assert theta[3] == 0.0
    assert theta[0] == pytest.approx(theta[2])


def test_digits_that_a_hessian_in_float32_lacks_cost_steps_only() -> None:
    """Columns that are nearly alike, and a penalty far below the rounding of their products."""
    X, y = drawn(400, 110, 1.0)
    rng = np.random.default_rng(0)
    X = np.concatenate([X, X + 1e-3 * rng.standard_normal(X.shape)], axis=1)
    theta, b = fit_ridge(X, y, 1e6)
    lacking = y - 1 / (1 + np.exp(-(X @ theta + b)))
    assert np.abs(X.T @ lacking - theta / 1e6).max() < 1e-6 * len(y)
    assert abs(lacking.sum()) < 1e-6 * len(y)


def alike(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised columns that vary together, as those of a residual stream do, and labels that some of them tell."""
    rng = np.random.default_rng(rows)
    y = rng.permutation(np.arange(rows) % 3 == 0)
    parts = rng.standard_normal((rows, min(rows, columns))) / np.arange(1, min(rows, columns) + 1)
    parts[:, 3:20] += np.outer(y, 0.5 / np.arange(4, 21))
    X = parts @ rng.standard_normal((len(parts.T), columns))
    mean, inverse = standardising(X)
    return (X - mean) * inverse, y


@pytest.mark.parametrize("columns", [30, 79, 80, 81, 700])
def test_every_optimum_of_a_path_is_that_of_a_general_solver(columns: int) -> None:
    """With fewer columns than the 80 rows, and with more, where the fits are made in the space of rows."""
    X, y = alike(80, columns)
    for C, (theta, b) in zip(CS, ridge_path(X, y, CS, balanced(y)), strict=True):
        model = LogisticRegression(solver="newton-cholesky", C=C, tol=1e-10, max_iter=500, class_weight="balanced")
        model.fit(X, y)
        np.testing.assert_allclose(theta, model.coef_[0], rtol=1e-4, atol=1e-6 * np.abs(theta).max())
        assert b == pytest.approx(model.intercept_[0], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("columns", [20, 300])
def test_the_gradient_by_every_column_is_zero_where_a_path_ends(columns: int) -> None:
    """By the definition: theta / C is the sum of the rows, each by its weight and by what its label lacks."""
    X, y = alike(60, columns)
    v = np.random.default_rng(0).uniform(0.5, 2.0, 60)
    for C, (theta, b) in zip(CS, ridge_path(X, y, CS, v), strict=True):
        lacking = v * (y - 1 / (1 + np.exp(-(X @ theta + b))))
        # A fit ends where float64 sees the objective fall no more, which is the root of its precision off in gradient.
        np.testing.assert_allclose(theta / C, X.T @ lacking, atol=1e-7 * v.sum())
        assert lacking.sum() == pytest.approx(0, abs=1e-7 * v.sum())


def test_columns_without_a_say_change_nothing_when_they_turn_the_fit_to_the_space_of_rows() -> None:
    X, y = alike(60, 40)
    wide = np.concatenate([X, np.zeros((60, 50))], axis=1)
    for (theta, b), (padded, c) in zip(ridge_path(X, y, CS), ridge_path(wide, y, CS), strict=True):
        np.testing.assert_allclose(padded[:40], theta, rtol=1e-6, atol=1e-9)
        assert not padded[40:].any()
        assert c == pytest.approx(b, rel=1e-6, abs=1e-9)


def test_rows_that_a_weak_penalty_separates_have_a_finite_fit_in_the_space_of_rows() -> None:
    X, y = alike(40, 200)
    *_, (theta, b) = ridge_path(X, y, (1.0, 1e4, 1e8))
    assert np.isfinite(theta).all()
    assert ((X @ theta + b > 0) == y).all()
