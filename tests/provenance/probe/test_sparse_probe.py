"""The probe: its objective, its rows, a planted neuron, and where its path begins."""

import numpy as np
import pytest
from l1_cases import by_liblinear, objective
from reference import alpha_max, fit_probe

from provenance.activations.features import Features
from provenance.errors import ConvergenceError, FitError
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import C_STEPS, design_rows, probe_of, training_rows

D = 40
ALL = np.arange(D)
PLANTED = 7


def make_features(rows: int = 200, seed: int = 0, strength: float = 0.03) -> Features:
    """CETT-like positive numbers; one neuron is more active in hallucinated answers."""
    rng = np.random.default_rng(seed)
    answer = rng.gamma(2.0, 0.01, (rows, D)).astype(np.float32)
    other = rng.gamma(2.0, 0.01, (rows, D)).astype(np.float32)
    hallucinated = np.arange(rows) % 2 == 0
    answer[hallucinated, PLANTED] += strength
    names = tuple(f"q{i}" for i in range(rows))
    return Features.of(answer, other, hallucinated, names, names)


def test_rows_and_labels_of_a_design() -> None:
    """Answers of all responses, then the others; only answers of hallucinated responses are True."""
    features = make_features(4)
    rows, labels = training_rows(features, "3-vs-1", ALL)
    np.testing.assert_array_equal(rows, np.concatenate([features.answer.all(), features.other.all()]))
    assert labels.tolist() == [True, False, True, False, False, False, False, False]
    rows, labels = training_rows(features, "1-vs-1", np.array([3, 5]))
    np.testing.assert_array_equal(rows, features.answer.all()[:, [3, 5]])
    assert labels.tolist() == [True, False, True, False]
    parts, labels = design_rows(features, "3-vs-1")
    assert [part is kept for part, kept in zip(parts, (features.answer, features.other), strict=True)] == [True, True]
    assert labels.tolist() == [True, False, True, False, False, False, False, False]


def test_unknown_designs_are_refused() -> None:
    """With the name that was given."""
    with pytest.raises(FitError, match="'2-vs-1'"):
        design_rows(make_features(4), "2-vs-1")


@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_the_planted_neuron_is_found_and_nothing_without_it(design: str) -> None:
    rows, labels = training_rows(make_features(), design, ALL)
    probe = fit_probe(rows, labels, C=1.5 * alpha_max(rows, labels), design=design)
    assert probe.h_neurons.tolist() == [PLANTED]
    flat, labels = training_rows(make_features(strength=0.0), design, ALL)
    assert PLANTED not in fit_probe(flat, labels, C=1.5 * alpha_max(flat, labels), design=design).h_neurons


@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_a_fit_is_what_the_published_code_would_find(design: str) -> None:
    """Scikit-learn's liblinear, run to convergence, has the same objective, neurons and weights."""
    rows, labels = training_rows(make_features(60), design, ALL)
    for step in (1.5, 10.0, 100.0):
        C = step * alpha_max(rows, labels)
        probe = fit_probe(rows, labels, C=C, design=design)
        theta, b = by_liblinear(rows, labels, C)
        ours = objective(rows, labels, probe.weights, probe.intercept, C, penalised=True)
        assert ours == pytest.approx(objective(rows, labels, theta, b, C, penalised=True), rel=1e-6)
        assert probe.nonzero.tolist() == np.flatnonzero(theta).tolist()
        # 1e-6 of the conditions on both sides leaves about this much along flat directions
        np.testing.assert_allclose(probe.weights, theta, atol=1e-3 * np.abs(theta).max())
        free = fit_probe(rows, labels, C=C, design=design, intercept_penalised=False)
        assert np.abs(free.weights - theta).max() > 1e-3 * np.abs(theta).max()


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_alpha_max_is_where_the_first_weight_appears(design: str, penalised: bool) -> None:
    rows, labels = training_rows(make_features(), design, ALL)
    first = alpha_max(rows, labels, intercept_penalised=penalised)
    below = fit_probe(rows, labels, C=0.9999 * first, design=design, intercept_penalised=penalised)
    above = fit_probe(rows, labels, C=1.0001 * first, design=design, intercept_penalised=penalised)
    assert len(below.nonzero) == 0
    assert len(above.nonzero) >= 1


def test_alpha_max_without_any_signal_is_infinite() -> None:
    assert alpha_max(np.zeros((4, 3)), np.array([True, False, True, False])) == float("inf")


def test_scores_are_log_odds() -> None:
    features = make_features()
    rows, labels = training_rows(features, "3-vs-1", ALL)
    probe = fit_probe(rows, labels, C=100.0, design="3-vs-1")
    np.testing.assert_allclose(
        probe.scores(features.answer), features.answer.all().astype(float) @ probe.weights + probe.intercept, rtol=1e-9
    )


@pytest.mark.parametrize("harm", ["nan", "inf", "one class"])
def test_rows_that_cannot_be_fitted_are_refused(harm: str) -> None:
    rows, labels = training_rows(make_features(10), "1-vs-1", ALL)
    rows = rows.copy()
    if harm == "one class":
        labels = np.ones_like(labels)
    else:
        rows[3, 2] = float(harm)
    with pytest.raises(FitError, match="wanted"):
        fit_probe(rows, labels, C=1.0, design="1-vs-1")


@pytest.mark.parametrize("C", [0.0, -1.0, float("nan"), float("inf")])
def test_a_c_that_means_nothing_is_refused(C: float) -> None:
    """Not answered with an empty probe."""
    rows, labels = training_rows(make_features(10), "1-vs-1", ALL)
    with pytest.raises(FitError, match="values of C"):
        fit_probe(rows, labels, C=C, design="1-vs-1")


def test_a_c_beyond_the_digits_of_float64_is_an_error() -> None:
    """Every row separated and a C of 1e25: rounding is all that is left, and the error says so."""
    rows, labels = training_rows(make_features(20), "1-vs-1", ALL)
    with pytest.raises(ConvergenceError, match="leave the largest C out"):
        fit_probe(rows, labels, C=1e25, design="1-vs-1")
    probe = fit_probe(rows, labels, C=1e6, design="1-vs-1")
    assert ((probe.scores(rows) > 0) == labels).all()


def test_a_point_of_a_path_becomes_a_probe_over_all_neurons() -> None:
    """Weights at their neurons, zeros elsewhere, and what the fit was made with beside them."""
    fit = Fit(3.0, np.array([2, 5]), np.array([0.5, -1.0]), 0.25, 1.0, 0.0, 0.0, False)
    probe = probe_of(fit, 7, design="1-vs-1", intercept_penalised=False)
    assert probe.weights.tolist() == [0, 0, 0.5, 0, 0, -1, 0]
    assert (probe.intercept, probe.C, probe.design, probe.intercept_penalised) == (0.25, 3.0, "1-vs-1", False)
    assert (probe.h_neurons.tolist(), probe.nonzero.tolist()) == ([2], [2, 5])


def test_the_steps_ascend_from_above_one() -> None:
    assert list(C_STEPS) == sorted(C_STEPS)
    assert C_STEPS[0] > 1
