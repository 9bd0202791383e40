"""The probe: its objective, its rows, a planted neuron, and where its path begins."""

import numpy as np
import pytest
from scipy.optimize import minimize

from provenance.errors import ConvergenceError, FitError
from provenance.features import Features
from provenance.probe import C_STEPS, alpha_max, fit_probe, training_rows

D = 40
PLANTED = 7


def make_features(rows: int = 200, seed: int = 0, strength: float = 0.03) -> Features:
    """CETT-like positive numbers; one neuron is more active in hallucinated answers."""
    rng = np.random.default_rng(seed)
    answer = rng.gamma(2.0, 0.01, (rows, D)).astype(np.float32)
    other = rng.gamma(2.0, 0.01, (rows, D)).astype(np.float32)
    hallucinated = np.arange(rows) % 2 == 0
    answer[hallucinated, PLANTED] += strength
    names = tuple(f"q{i}" for i in range(rows))
    return Features(answer, other, hallucinated, names, names)


def test_three_vs_one_rows() -> None:
    features = make_features(4)
    rows, labels = training_rows(features, "3-vs-1")
    np.testing.assert_array_equal(rows, np.concatenate([features.answer, features.other]))
    assert labels.tolist() == [True, False, True, False, False, False, False, False]
    rows, labels = training_rows(features, "1-vs-1", np.array([3, 5]))
    np.testing.assert_array_equal(rows, features.answer[:, [3, 5]])
    assert labels.tolist() == [True, False, True, False]


@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_the_planted_neuron_is_found_and_nothing_without_it(design: str) -> None:
    rows, labels = training_rows(make_features(), design)
    probe = fit_probe(rows, labels, C=1.5 * alpha_max(rows, labels), design=design)
    assert probe.h_neurons.tolist() == [PLANTED]
    flat, labels = training_rows(make_features(strength=0.0), design)
    assert PLANTED not in fit_probe(flat, labels, C=1.5 * alpha_max(flat, labels), design=design).h_neurons


@pytest.mark.parametrize("penalised", [True, False])
def test_weights_minimise_the_objective(penalised: bool) -> None:
    """Against a general optimiser on the smooth form theta = u - v, u, v >= 0."""
    features = make_features(60).answer[:, :6]
    labels = make_features(60).hallucinated
    features = np.concatenate([features, make_features(60).answer[:, [PLANTED]]], axis=1).astype(np.float64)
    C, d = 300.0, features.shape[1]
    signs = np.where(labels, 1.0, -1.0)

    def objective(theta: np.ndarray, b: float) -> float:
        losses = np.logaddexp(0, -signs * (features @ theta + b)).sum()
        return float(C * losses + np.abs(theta).sum() + penalised * abs(b))

    def split(x: np.ndarray) -> tuple[np.ndarray, float]:
        return x[:d] - x[d : 2 * d], x[2 * d] - x[2 * d + 1]

    def smooth(x: np.ndarray) -> float:
        theta, b = split(x)
        penalty = x[: 2 * d].sum() + penalised * x[2 * d :].sum()
        return float(C * np.logaddexp(0, -signs * (features @ theta + b)).sum() + penalty)

    best = minimize(smooth, np.zeros(2 * d + 2), bounds=[(0, None)] * (2 * d + 2), method="L-BFGS-B",
                    options={"maxiter": 20_000, "maxfun": 10**6, "ftol": 1e-13})  # fmt: skip
    probe = fit_probe(features, labels, C=C, design="1-vs-1", intercept_penalised=penalised)
    ours = objective(probe.weights, probe.intercept)
    assert ours == pytest.approx(objective(*split(best.x)), rel=2e-4)  # liblinear stops at 1e-4 of its first gradient
    assert ours < objective(probe.weights * 1.05, probe.intercept)
    assert ours < objective(probe.weights, probe.intercept + 0.1)


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_alpha_max_is_where_the_first_weight_appears(design: str, penalised: bool) -> None:
    rows, labels = training_rows(make_features(), design)
    first = alpha_max(rows, labels, intercept_penalised=penalised)
    below = fit_probe(rows, labels, C=0.97 * first, design=design, intercept_penalised=penalised)
    above = fit_probe(rows, labels, C=1.06 * first, design=design, intercept_penalised=penalised)
    assert len(below.nonzero) == 0
    assert len(above.nonzero) >= 1


def test_alpha_max_without_any_signal_is_infinite() -> None:
    assert alpha_max(np.zeros((4, 3)), np.array([True, False, True, False])) == float("inf")


def test_scores_are_log_odds() -> None:
    features = make_features()
    rows, labels = training_rows(features, "3-vs-1")
    probe = fit_probe(rows, labels, C=100.0, design="3-vs-1")
    np.testing.assert_allclose(
        probe.scores(features.answer), features.answer.astype(float) @ probe.weights + probe.intercept, rtol=1e-9
    )


@pytest.mark.parametrize("harm", ["nan", "inf", "one class"])
def test_rows_that_cannot_be_fitted_are_refused(harm: str) -> None:
    rows, labels = training_rows(make_features(10), "1-vs-1")
    rows = rows.copy()
    if harm == "one class":
        labels = np.ones_like(labels)
    else:
        rows[3, 2] = float(harm)
    with pytest.raises(FitError, match="wanted"):
        fit_probe(rows, labels, C=1.0, design="1-vs-1")


def test_running_out_of_iterations_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provenance.probe.MAX_ITERATIONS", 1)
    rows, labels = training_rows(make_features(), "3-vs-1")
    with pytest.raises(ConvergenceError, match="1 iterations"):
        fit_probe(rows, labels, C=1e4, design="3-vs-1")


def test_the_steps_ascend_from_above_one() -> None:
    assert list(C_STEPS) == sorted(C_STEPS)
    assert C_STEPS[0] > 1
