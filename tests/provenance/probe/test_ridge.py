"""The ridge fit reaches the optimum that a general solver reaches, on any columns."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from provenance.probe.ridge import fit_ridge


def drawn(rows: int, columns: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Standardised columns, and labels that the first one tells with a strength in SD of their noise."""
    rng = np.random.default_rng(rows + columns)
    X = rng.standard_normal((rows, columns))
    return X, X[:, 0] * strength + rng.standard_normal(rows) > 0.3


@pytest.mark.parametrize("C", [100.0, 1.0, 0.001])
@pytest.mark.parametrize("shape", [(60, 5, 0.1), (300, 20, 1.0), (200, 3, 30.0), (60, 90, 1.0)])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_optimum_is_that_of_a_general_solver(shape: tuple[int, int, float], C: float, balanced: bool) -> None:
    """Also with more columns than rows, and where one column separates the classes."""
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
