"""Proximal Newton on a few columns: the optimum, from wherever it starts, and an error where digits run out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from l1_cases import KINDS, by_liblinear, by_splitting, kkt, make, objective

from provenance.errors import ConvergenceError
from provenance.probe import l1_newton
from provenance.probe.l1_newton import Point, solve_columns, violations
from provenance.probe.l1_objective import residuals


def solved(
    x: np.ndarray, labels: np.ndarray, C: float, penalised: bool, start: tuple | None = None, tolerance: float = 1e-7
) -> Point:
    nothing = (np.zeros(x.shape[1]), 0.0)
    return solve_columns(
        np.ascontiguousarray(x.T, np.float64), labels, C, start or nothing,
        intercept_penalised=penalised, tolerance=tolerance,
    )  # fmt: skip


def test_violations_are_distances_from_the_conditions() -> None:
    """|g - sign(theta)| with a weight, what |g| has beyond 1 without one."""
    g, weights = np.array([1.0, -1.2, 0.3, 1.5, -0.9, 1.0]), np.array([2.0, -1.0, 0.0, 0.0, 0.0, -1.0])
    np.testing.assert_allclose(violations(g, weights), [0, 0.2, 0, 0.5, 0, 2])


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("C", [0.5, 20.0, 1000.0])
def test_the_optimum_is_reached_and_described(kind: str, penalised: bool, C: float) -> None:
    """Conditions hold as computed from scratch, no other solver does better, and residuals are its own."""
    x, labels = make(kind, rows=60, neurons=8)
    point = solved(x, labels, C, penalised)
    worst = kkt(x, labels, point.weights, point.intercept, C, penalised)
    assert worst <= 1e-7 * 1.01
    assert worst == pytest.approx(point.violation, abs=1e-10 * C)  # rounding of sums of residuals up to C
    scores = x.astype(np.float64) @ point.weights + point.intercept
    np.testing.assert_allclose(point.r, residuals(scores, labels, C), atol=1e-12 * C)
    ours = objective(x, labels, point.weights, point.intercept, C, penalised)
    theirs = by_liblinear(x, labels, C) if penalised else by_splitting(x, labels, C, penalised)
    assert ours <= objective(x, labels, *theirs, C, penalised) * (1 + 1e-9)
    assert kkt(x, labels, point.weights + 0.01, point.intercept, C, penalised) > 1e-5


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 1e3]), st.booleans())
def test_the_start_and_the_scale_change_only_the_way(seed: int, scale: float, penalised: bool) -> None:
    """From any weights, also of the wrong sign; and columns in other units have weights in other units."""
    x, labels = make("dense", rows=50, neurons=6, seed=seed % 1000)
    rng = np.random.default_rng(seed)
    C = 0.3 / scale
    plain = solved(x * scale, labels, C, penalised)
    start = (rng.normal(size=6) / scale, float(rng.normal()))
    other = solved(x * scale, labels, C, penalised, start)
    tolerance = 1e-5 * max(1e-3, np.abs(plain.weights).max() * scale) / scale
    np.testing.assert_allclose(other.weights, plain.weights, rtol=0, atol=tolerance)
    assert kkt(x * scale, labels, other.weights, other.intercept, C, penalised) <= 1.01e-7


def test_no_columns_leave_the_intercept() -> None:
    """Free it is the log-odds, penalised it is pulled towards zero, and at a small C to exactly zero."""
    labels = np.arange(12) % 4 == 0
    nothing = np.empty((12, 0))
    assert solved(nothing, labels, 10.0, False).intercept == pytest.approx(np.log(3 / 9), rel=1e-6)
    assert -np.log(3) < solved(nothing, labels, 10.0, True).intercept < -0.5
    assert solved(nothing, labels, 0.3, True).intercept == 0
    assert solved(nothing, labels, 0.3, True, (np.empty(0), 2.0)).intercept == 0


def test_equal_and_opposite_columns_share_what_one_alone_would_carry() -> None:
    """Repeated columns leave the optimum open, not its value, and never two weights against each other."""
    x, labels = make("dense", rows=60, neurons=3)
    repeated = np.hstack([x, x, -x])
    alone, together = solved(x, labels, 1.0, True), solved(repeated, labels, 1.0, True)
    signed = together.weights * np.repeat([1, 1, -1], 3)
    np.testing.assert_allclose(signed.reshape(3, 3).sum(axis=0), alone.weights, atol=1e-6)
    assert np.abs(together.weights).sum() == pytest.approx(np.abs(alone.weights).sum(), rel=1e-6)


def test_a_constant_column_takes_the_place_of_a_dearer_intercept() -> None:
    """Three times as large, it costs a third: coordinate descent alone would need thousands of sweeps."""
    labels = np.arange(81) % 4 == 0
    point = solved(np.full((81, 1), 3.0), labels, 1e3, True)
    free = solved(np.empty((81, 0)), labels, 1e3, False)
    assert point.intercept == 0
    assert 3 * point.weights[0] == pytest.approx(free.intercept, rel=1e-3)  # the penalty pulls by about 1 / (C n)


@pytest.mark.parametrize("sweeps", [1, 1000])
def test_coordinate_descent_that_stops_early_costs_steps_only(sweeps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outer loop repeats what an inexact step leaves; a step that does nothing at all is noticed."""
    x, labels = make("factors", rows=80, neurons=12)
    monkeypatch.setattr(l1_newton, "SWEEPS", sweeps)
    assert solved(x, labels, 300.0, True).violation <= 1e-7

    def idle(*args: object, coef_init: np.ndarray, **kwargs: object) -> tuple:
        return kwargs["alphas"], coef_init[:, None], None

    monkeypatch.setattr(l1_newton, "lasso_path", idle)
    with pytest.raises(ConvergenceError, match="no further step helped"):
        solved(x, labels, 300.0, True)


def test_running_out_of_steps_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names C, how far it came, and what to do; the same problem is solved with the usual number of steps."""
    x, labels = make("factors", rows=80, neurons=12)
    assert solved(x, labels, 300.0, True).violation <= 1e-7
    monkeypatch.setattr(l1_newton, "MAX_STEPS", 1)
    with pytest.raises(ConvergenceError, match=r"(?s)wanted: a probe at C = 300 .*remedy: leave the largest C"):
        solved(x, labels, 300.0, True)


@pytest.mark.parametrize("penalised", [True, False])
def test_a_small_violation_is_mended_in_any_units(penalised: bool) -> None:
    """A weight that should just appear does: it gains the square of the violation, in any unit of the columns."""
    x, labels = make("separable", rows=80, neurons=5, balanced=True)
    for scale in (1e-4, 1.0, 1e3, 1e6):
        unit = x.astype(np.float64) * scale
        p = 0.5  # balanced classes keep the intercept at zero
        first = 1 / np.abs(unit.T @ (labels - p)).max()
        point = solved(unit, labels, float(first) * 1.0001, penalised, tolerance=1e-6)
        assert np.count_nonzero(point.weights) == 1


@pytest.mark.parametrize("penalised", [True, False])
def test_columns_that_are_nearly_alike_need_more_digits_than_a_hessian_in_float32_has(penalised: bool) -> None:
    """600 copies of 8 columns that differ by 1e-7, from a start with weights on most of them."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(400) < 150
    few = rng.gamma(2.0, 0.01, (400, 8))
    few[labels, :3] += 0.004
    x = few[:, rng.integers(0, 8, 600)] * (1 + 1e-7 * rng.normal(size=(400, 600)))
    point = solved(x, labels, 300.0, penalised, (rng.normal(size=600), 0.1), tolerance=1e-6)
    assert kkt(x, labels, point.weights, point.intercept, 300.0, penalised) <= 1.01e-6
