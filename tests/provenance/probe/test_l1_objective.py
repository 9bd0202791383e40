"""The L1 probe's objective, its dual, and where its path begins, each against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from l1_cases import by_liblinear, kkt, make, objective
from scipy.optimize import minimize_scalar

from provenance.probe.l1_objective import dual_value, first_weights, loss, null_intercept, null_probability, residuals

labels_of_both_classes = st.lists(st.booleans(), min_size=2, max_size=30).filter(lambda t: 0 < sum(t) < len(t))


def test_loss_is_the_sum_of_log_odds_penalties() -> None:
    """The loss is the negative log-likelihood, and stays finite where a naive formula overflows."""
    scores, labels = np.array([-2.0, 0.0, 3.0]), np.array([True, False, True])
    p = 1 / (1 + np.exp(-scores))
    assert loss(scores, labels) == pytest.approx(-(np.log(p[0]) + np.log(1 - p[1]) + np.log(p[2])))
    assert loss(np.array([-1e4, 1e4]), np.array([True, False])) == pytest.approx(2e4)
    assert loss(scores, ~labels) != pytest.approx(loss(scores, labels))


def test_residuals_are_the_downhill_slope_of_the_loss() -> None:
    """r_i is minus the derivative of C times the loss in the score of row i."""
    rng = np.random.default_rng(0)
    scores, labels, C, h = rng.normal(size=7), rng.random(7) < 0.5, 3.0, 1e-6
    slopes = [
        C * (loss(scores - h * unit, labels) - loss(scores + h * unit, labels)) / (2 * h) for unit in np.identity(7)
    ]
    np.testing.assert_allclose(residuals(scores, labels, C), slopes, atol=1e-8)  # h^2 and rounding / h
    assert np.abs(residuals(scores, ~labels, C) - slopes).max() > 0.1
    extreme = residuals(np.array([1e5, -1e5]), np.array([True, True]), C)
    np.testing.assert_array_equal(extreme, [0.0, C])


def test_dual_is_below_the_objective_everywhere_and_meets_it_at_the_optimum() -> None:
    """Weak duality holds for any weights, and scaling residuals that are not feasible is what makes it hold."""
    x, labels = make("factors", rows=50, neurons=8)
    C, rng = 20.0, np.random.default_rng(1)
    theta, b = by_liblinear(x, labels, C)
    best = objective(x, labels, theta, b, C, penalised=True)
    r = residuals(x @ theta + b, labels, C)
    steepest = max(float(np.abs(x.astype(float).T @ r).max()), abs(float(r.sum())))
    assert dual_value(r, C, steepest) == pytest.approx(best, rel=1e-6)  # liblinear's own stop
    loose = 0
    for _ in range(20):
        r = residuals(x @ rng.normal(size=8) + float(rng.normal()), labels, C)
        g = np.append(np.abs(x.astype(float).T @ r), abs(r.sum()))
        assert dual_value(r, C, float(g.max())) <= best * (1 + 1e-9)
        loose += dual_value(r, C, 1.0) > best
    assert loose > 0


@settings(deadline=None, max_examples=50)
@given(labels_of_both_classes, st.floats(1e-3, 1e3))
def test_null_probability_minimises_the_objective_without_weights(flags: list[bool], C: float) -> None:
    """With theta = 0 no other intercept does better, penalised or free."""
    labels, nothing = np.array(flags), np.zeros((len(flags), 1))
    for penalised in (True, False):
        b = null_intercept(labels, C, intercept_penalised=penalised)

        def value(b: float, penalised: bool = penalised) -> float:
            return objective(nothing, labels, np.zeros(1), b, C, penalised)

        found = minimize_scalar(value, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9})
        assert value(b) <= found.fun * (1 + 1e-12)
        assert value(b + 0.5) > value(b)
    assert null_probability(labels, C) == pytest.approx(
        1 / (1 + np.exp(-null_intercept(labels, C, intercept_penalised=True)))
    )


def test_null_intercept_rests_at_exactly_zero() -> None:
    """Balanced labels, or a C too small for |b|, leave the intercept at 0, not near it."""
    balanced = np.arange(10) % 2 == 0
    uneven = np.arange(12) % 4 == 0
    assert null_intercept(balanced, 1e6, intercept_penalised=True) == 0
    assert null_intercept(uneven, 1 / 3, intercept_penalised=True) == 0
    assert null_intercept(uneven, 0.4, intercept_penalised=True) < 0
    assert null_intercept(~uneven, 0.4, intercept_penalised=True) > 0


def sums(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x[labels].sum(axis=0), x.sum(axis=0)


def null_kkt(x: np.ndarray, labels: np.ndarray, C: float, penalised: bool) -> float:
    b = null_intercept(labels, C, intercept_penalised=penalised)
    return kkt(x, labels, np.zeros(x.shape[1]), b, C, penalised)


@settings(deadline=None, max_examples=100)
@given(labels_of_both_classes, st.integers(0, 2**32 - 1), st.sampled_from([0.01, 1.0, 3.0]), st.booleans())
def test_first_weights_are_where_the_empty_probe_stops_being_optimal(
    flags: list[bool], seed: int, mean: float, penalised: bool
) -> None:
    """No weights are optimal at every C below, and not just above; also where a large mean makes |g| fall again."""
    labels = np.array(flags)
    x = np.random.default_rng(seed).normal(mean, 0.3 * mean, (labels.size, 2))
    first = float(first_weights(*sums(x, labels), labels, intercept_penalised=penalised).min())
    # rounding: of sums, relative to the difference of the class means, which can be small
    assert max(null_kkt(x, labels, share * first, penalised) for share in (0.01, 0.3, 0.7, 0.9, 1 - 1e-6)) < 1e-9
    assert null_kkt(x, labels, first * (1 + 1e-6), penalised) > 1e-8


def test_the_first_of_several_passings_counts() -> None:
    """A neuron with a large mean and an effect of the other sign passes the bound, returns, and passes it again."""
    labels = np.arange(40) % 4 == 0
    x = np.where(labels, 1.5, 1.2)[:, None]
    first = float(first_weights(*sums(x, labels), labels, intercept_penalised=True)[0])
    returned = [C for C in first * np.geomspace(1.01, 100, 200) if null_kkt(x, labels, float(C), True) == 0]
    assert returned  # so a root search between far bounds could end at any of the three
    assert max(null_kkt(x, labels, float(C), True) for C in np.linspace(0.01, 0.999, 50) * first) == 0


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("constant", [0.0, 0.3, np.float32(0.1), 0.999])
@pytest.mark.parametrize("rows", [80, 81])
def test_what_does_not_vary_never_gets_a_weight(constant: float, rows: int, penalised: bool) -> None:
    """A constant below 1 waits for ever: the intercept is cheaper."""
    labels = np.arange(rows) % 2 == 0
    x = np.full((rows, 1), constant, dtype=np.float64)
    assert first_weights(*sums(x, labels), labels, intercept_penalised=penalised)[0] == np.inf
    x[labels] += 1e-3
    assert first_weights(*sums(x, labels), labels, intercept_penalised=penalised)[0] < np.inf
