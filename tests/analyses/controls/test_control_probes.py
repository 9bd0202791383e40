"""Control probes are as good as their neurons allow, on any column that a model may produce."""

from collections.abc import Callable

import numpy as np
import pytest
from planted import whole_rows
from reference import fit_probe
from scipy.optimize import minimize

from provenance.activations.features import Features
from provenance.analyses.controls.control_probes import (
    CANDIDATES_C,
    WEAK_C,
    chosen_penalty,
    control_scores,
    fit_controls,
    fit_given,
)
from provenance.errors import FitError
from provenance.probe.sparse_probe import training_rows
from provenance.processes.fork_join import at_most
from provenance.statistics.auroc import auroc

Make = Callable[..., Features]


def test_the_fit_minimises_the_stated_objective(features: Make) -> None:
    X, y = whole_rows(features(3, [0, 2], strength=1.0), "3-vs-1")
    mean, spread = X.astype(float).mean(axis=0), X.astype(float).std(axis=0)
    u, sign = (X - mean) / spread, np.where(y, 1.0, -1.0)

    def objective(v: np.ndarray) -> float:
        return float(WEAK_C * np.logaddexp(0, -sign * (u @ v[:3] + v[3])).sum() + v[:3] @ v[:3] / 2)

    best = minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-3}).x
    fitted = fit_given(X, y, design="3-vs-1")
    np.testing.assert_allclose(fitted.weights * spread, best[:3], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(fitted.scores(X), u @ best[:3] + best[3], atol=2e-3)


def test_unseen_answers_are_ranked_as_by_liblinear_at_a_large_c(features: Make) -> None:
    X, y = whole_rows(features(12, list(range(6)), strength=0.5, seed=1), "3-vs-1")
    unseen = features(12, list(range(6)), strength=0.5, seed=2)
    slow = fit_probe(X, y, C=1e4, design="3-vs-1").scores(unseen.answer)
    fast = fit_given(X, y, design="3-vs-1").scores(unseen.answer)
    assert auroc(fast, unseen.hallucinated) == pytest.approx(auroc(slow, unseen.hallucinated), abs=0.003)
    assert auroc(fast, unseen.hallucinated) > 0.7


def test_the_scale_of_cett_does_not_shrink_a_control(features: Make) -> None:
    X, y = whole_rows(features(5, [1], strength=1.0), "3-vs-1")
    small = fit_given(X * np.float32(2**-20), y, design="3-vs-1")  # a power of two changes no digit
    np.testing.assert_allclose(
        small.scores(X * np.float32(2**-20)), fit_given(X, y, design="3-vs-1").scores(X), rtol=1e-6, atol=1e-9
    )


def test_dead_repeated_and_separating_columns_have_a_finite_fit(features: Make) -> None:
    X, y = whole_rows(features(4, [0], strength=50.0), "1-vs-1")
    awkward = np.concatenate([X, X[:, :1], np.zeros((len(X), 1)), np.full((len(X), 1), 0.1)], axis=1)
    fitted = fit_given(awkward, y, design="1-vs-1")
    assert np.isfinite(fitted.weights).all()
    assert fitted.weights[[5, 6]].tolist() == [0.0, 0.0]
    assert ((fitted.scores(awkward) > 0) == y).all()


@pytest.mark.parametrize("spoil", ["one class", "nan"])
def test_rows_that_cannot_be_fitted_are_refused(features: Make, spoil: str) -> None:
    X, y = whole_rows(features(3, [], strength=0.0), "1-vs-1")
    if spoil == "nan":
        X[3, 1] = np.nan
    else:
        y = np.zeros_like(y)
    with pytest.raises(FitError):
        fit_given(X, y, design="1-vs-1")


def test_a_control_scores_rows_of_all_neurons_by_its_own_columns(features: Make) -> None:
    data = features(9, [4, 7], strength=1.0)
    (control,) = fit_controls(data, [np.array([7, 4])], "3-vs-1")
    X, y = training_rows(data, "3-vs-1", np.array([7, 4]))
    expected = fit_given(X, y, design="3-vs-1").scores(data.answer.all()[:, [7, 4]])
    np.testing.assert_allclose(control_scores([control], data.answer)[:, 0], expected, rtol=1e-12)
    np.testing.assert_allclose(control_scores([control], data.answer.all())[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("constant", ["BATCH_BYTES", "LARGE"])
def test_sets_that_are_read_in_several_batches_or_fitted_at_once_get_the_same_probes(
    constant: str, features: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = features(40, [3], strength=1.0, faithful=30, hallucinated=30)
    sets = [np.array([3, 9]), np.array([1, 2, 30]), np.array([9])]
    together = fit_controls(data, sets, "3-vs-1")
    monkeypatch.setattr(f"provenance.analyses.controls.control_probes.{constant}", 1)
    with at_most(2):
        alone = fit_controls(data, sets, "3-vs-1")
    assert len(together) == len(alone) == len(sets)
    for one, other, ids in zip(together, alone, sets, strict=True):
        assert one.columns.tolist() == other.columns.tolist() == ids.tolist()
        np.testing.assert_array_equal(one.probe.weights, other.probe.weights)


def weak_evidence(make: Make, seed: int, answers: int = 60) -> Features:
    """Every one of a hundred neurons tells a tenth of an SD."""
    return make(200, list(range(100)), strength=0.05, faithful=answers, hallucinated=answers, seed=seed)


@pytest.mark.costly
@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_many_neurons_on_few_answers_are_no_weaker_for_being_many(features: Make, design: str) -> None:
    """Without a penalty a fit on a hundred neurons follows the noise: a null that is beaten for nothing."""
    train, unseen = weak_evidence(features, 1), weak_evidence(features, 2, answers=500)
    sets = [np.arange(first, first + 90) for first in range(10)]
    rows = [training_rows(train, design, ids) for ids in sets]

    def reached(scores: np.ndarray) -> float:
        return float(np.mean([auroc(column, unseen.hallucinated) for column in scores.T]))

    chosen = reached(control_scores(fit_controls(train, sets, design), unseen.answer))
    by_C = {
        C: reached(
            np.stack([
                fit_given(*given, design=design, C=C).scores(unseen.answer.columns(ids))
                for given, ids in zip(rows, sets, strict=True)
            ], axis=1)
        )
        for C in CANDIDATES_C
    }  # fmt: skip
    assert chosen > by_C[WEAK_C] + 0.03
    assert chosen > max(by_C.values()) - 0.01
    assert by_C[chosen_penalty(train, sets, design)] == chosen


def test_a_penalty_is_chosen_only_where_rows_are_few(features: Make) -> None:
    train, few = weak_evidence(features, 1), weak_evidence(features, 1, answers=9)
    assert chosen_penalty(train, [np.arange(90)], "3-vs-1") < 1
    assert chosen_penalty(train, [np.arange(12)], "3-vs-1") == WEAK_C  # 240 rows
    assert chosen_penalty(few, [np.arange(90)], "3-vs-1") == WEAK_C  # no folds
    assert chosen_penalty(train, [], "3-vs-1") == WEAK_C


def test_the_penalty_is_chosen_without_regard_to_the_order_of_answers(features: Make) -> None:
    train = weak_evidence(features, 1)
    turned = train.take(np.random.default_rng(0).permutation(len(train)))
    sets = [np.arange(90)]
    assert chosen_penalty(train, sets, "3-vs-1") == chosen_penalty(turned, sets, "3-vs-1")
    one, other = (control_scores(fit_controls(each, sets, "3-vs-1"), train.answer) for each in (train, turned))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
