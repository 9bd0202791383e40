"""Probes from neurons of others: what the file has is left alone, what it lacks is fitted."""

import numpy as np
import pytest
from planted import D_M, LAYERS, PLANTED, planted
from scipy.optimize import minimize_scalar

from provenance.analyses.controls.control_probes import fit_given
from provenance.analyses.search.given_probe import best_intercept, given_probe
from provenance.neuron_lists.read_lists import NeuronSet
from provenance.probe.sparse_probe import training_rows

IDS = np.array([7, *PLANTED], dtype=np.int64)
WEIGHTS = np.array([-5.0, 40.0, 35.5, 20.0])
TRAIN = planted(120, 0)


def listed(weights: np.ndarray | None, intercept: float | None) -> NeuronSet:
    return NeuronSet(IDS // D_M, IDS % D_M, weights, IDS, "theirs.json", "digest", intercept=intercept)


def test_weights_and_intercept_of_a_file_are_used_unchanged() -> None:
    probe = given_probe(listed(WEIGHTS, -1.25), TRAIN, "3-vs-1", LAYERS * D_M)
    assert probe.weights.shape == (LAYERS * D_M,)
    np.testing.assert_array_equal(probe.weights[IDS], WEIGHTS)
    assert np.count_nonzero(probe.weights) == IDS.size
    assert probe.intercept == -1.25
    assert np.isnan(probe.C)
    assert probe.h_neurons.tolist() == list(PLANTED)


@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_a_missing_intercept_is_that_of_the_smallest_loss_given_the_weights(design: str) -> None:
    probe = given_probe(listed(WEIGHTS, None), TRAIN, design, LAYERS * D_M)
    rows, labels = training_rows(TRAIN, design, IDS)
    scores, sign = rows.astype(np.float64) @ WEIGHTS, np.where(labels, 1.0, -1.0)

    def loss(b: float) -> float:
        return float(np.logaddexp(0, -sign * (scores + b)).sum())

    grid = np.linspace(-30, 30, 6001)  # brute force, then refined around the best of it
    near = grid[np.argmin([loss(b) for b in grid])]
    assert probe.intercept == pytest.approx(near, abs=0.0101)
    refined = minimize_scalar(loss, bounds=(near - 0.02, near + 0.02), method="bounded", options={"xatol": 1e-9})
    # a minimum of a smooth function is only seen to the root of the precision
    assert probe.intercept == pytest.approx(refined.x, abs=1e-5)
    assert loss(probe.intercept + 0.01) > loss(probe.intercept)
    np.testing.assert_array_equal(probe.weights[IDS], WEIGHTS)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([1e6, -1e6, 0.0], [True, False, True]),
        ([3.0, 3.0, 3.0], [True, False, False]),
        ([-5.0, -4.0, 4.0, 5.0], [False, False, True, True]),  # separated: the middle of the gap
        ([1e-300, 2e-300], [True, False]),
    ],
)
def test_extreme_scores_have_an_intercept(scores: list[float], labels: list[bool]) -> None:
    f, y = np.array(scores), np.array(labels)
    b = best_intercept(f, y)
    sign = np.where(y, 1.0, -1.0)
    losses = [float(np.logaddexp(0, -sign * (f + b + d)).sum()) for d in (-0.1, 0.0, 0.1)]
    assert np.isfinite(b)
    assert losses[1] <= min(losses) + 1e-12


def test_bare_positions_get_the_probe_that_controls_get() -> None:
    """The same next-to-free fit on these columns, so that no control is fitted better or worse."""
    probe = given_probe(listed(None, None), TRAIN, "3-vs-1", LAYERS * D_M)
    slow = fit_given(*training_rows(TRAIN, "3-vs-1", IDS), design="3-vs-1")
    np.testing.assert_array_equal(probe.weights[IDS], slow.weights)
    assert probe.intercept == slow.intercept
    assert set(np.flatnonzero(probe.weights)) <= set(IDS)
    assert probe.weights[list(PLANTED)].min() > 5 * abs(probe.weights[7])  # the planted ones carry it
