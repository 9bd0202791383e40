"""The exact L1 path: its optimum against other solvers, its certificates, and what must not change a result."""

from pathlib import Path

import numpy as np
import pytest
from l1_cases import KINDS, by_liblinear, by_splitting, everything, kkt, make, objective, path_of, weights_of

from provenance.errors import ConvergenceError, FitError
from provenance.probe import block_products, l1_path
from provenance.probe.l1_objective import residuals
from provenance.probe.l1_path import Fit, L1Path, Problem
from provenance.processes.blas_threads import blas_threads
from provenance.processes.fork_join import at_most

STEPS = (1.01, 3.0, 30.0, 1000.0)  # multiples of alpha_max, from just above it to where every row is separated


def along(path: L1Path, steps: tuple[float, ...] = STEPS) -> list[Fit]:
    first = path.starts()[0]
    return [path.fit([step * first])[0] for step in steps]


def assert_same(fits: list[Fit], others: list[Fit], rtol: float = 1e-5) -> None:
    """Weights are flat directions of the objective: 1e-8 of the conditions leaves about 1e-6 of the largest weight."""
    for one, other in zip(fits, others, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        np.testing.assert_allclose(one.weights, other.weights, rtol=0, atol=rtol * np.abs(other.weights).max())
        assert one.intercept == pytest.approx(other.intercept, abs=rtol * max(1, abs(other.intercept)))
        assert one.objective == pytest.approx(other.objective, rel=1e-7)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_same_optimum_as_liblinear_run_to_convergence(kind: str, balanced: bool) -> None:
    """The product's solver and the published code's agree on the objective and, where it is unique, on the support."""
    x, labels = make(kind, rows=80, neurons=30, balanced=balanced)
    for fit in along(path_of(x, labels), (1.01, 3.0, 30.0)):
        theta, b = by_liblinear(x, labels, fit.C)
        theirs = objective(x, labels, theta, b, fit.C, penalised=True)
        assert fit.objective == pytest.approx(theirs, rel=1e-6)
        assert fit.objective <= theirs * (1 + 1e-9)
        if kind != "duplicated":
            assert fit.ids.tolist() == np.flatnonzero(theta).tolist()
        worse = objective(x, labels, 1.05 * weights_of(fit, 30), fit.intercept, fit.C, penalised=True)
        assert worse > theirs * (1 + 1e-9)


def test_penalised_intercept_rests_at_exactly_zero_where_it_should() -> None:
    """On symmetric data nothing pulls the intercept; one more row on one side does."""
    x, _ = make("dense", rows=40, neurons=5)
    x, labels = np.concatenate([x, -x]), np.arange(80) < 40
    assert [fit.intercept for fit in along(path_of(x, labels))] == [0.0] * len(STEPS)
    assert along(path_of(x[10:], labels[10:]), (30.0,))[0].intercept != 0


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_no_general_optimiser_finds_anything_better(kind: str, penalised: bool) -> None:
    """Both intercepts against a smooth reformulation, started from nothing and from our own optimum."""
    x, labels = make(kind, rows=60, neurons=6)
    for fit in along(path_of(x, labels, intercept_penalised=penalised), (1.01, 4.0, 40.0)):
        theta = weights_of(fit, 6)
        ours = objective(x, labels, theta, fit.intercept, fit.C, penalised)
        assert fit.objective == pytest.approx(ours, rel=1e-12)
        theirs = objective(x, labels, *by_splitting(x, labels, fit.C, penalised), fit.C, penalised)
        assert ours == pytest.approx(theirs, rel=1e-6)  # where the general optimiser stops
        start = (theta, fit.intercept)
        polished = objective(x, labels, *by_splitting(x, labels, fit.C, penalised, start), fit.C, penalised)
        assert (1 - fit.gap) * ours <= polished * (1 + 1e-12)
        assert ours <= polished * (1 + 1e-6)


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_neuron_meets_the_optimality_conditions(kind: str, penalised: bool) -> None:
    """Computed from scratch in float64 over all neurons; the reported violation is no smaller and the gap is true."""
    x, labels = make(kind, rows=150, neurons=1000)
    for fit in along(path_of(x, labels, intercept_penalised=penalised, pool_bytes=0)):
        theta = weights_of(fit, 1000)
        worst = kkt(x, labels, theta, fit.intercept, fit.C, penalised)
        assert worst <= l1_path.TOLERANCE * 1.001
        assert worst == pytest.approx(fit.violation, abs=1e-9)  # rounding of sums over rows
        assert 0 <= fit.gap < 1e-5
        scores = x.astype(np.float64) @ theta + fit.intercept
        assert fit.separates == bool(((scores > 0) == labels).all())
        assert kkt(x, labels, 1.001 * theta, fit.intercept, fit.C, penalised) > 1e-5


@pytest.mark.parametrize("penalised", [True, False])
def test_gap_bounds_how_far_a_loose_solution_is_from_the_optimum(penalised: bool) -> None:
    """A fit to a tolerance of 0.3 is far from the optimum, and its gap says at least how far.

    A quarter more of C leaves a solution within such a tolerance, so that it is not improved.
    """
    x, labels = make("factors", rows=150, neurons=300)
    options = {"intercept_penalised": penalised}
    steps = (3.0, 3.8, 10.0, 12.5, 30.0, 37.0)
    loose = along(path_of(x, labels, tolerance=0.3, **options), steps)
    exact = along(path_of(x, labels, tolerance=1e-8, **options), steps)
    shortfall = [one.objective / other.objective - 1 for one, other in zip(loose, exact, strict=True)]
    assert max(shortfall) > 1e-4
    assert all((1 - one.gap) * one.objective <= other.objective for one, other in zip(loose, exact, strict=True))
    assert all(fit.violation <= 0.3 for fit in loose)


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_the_path_starts_at_alpha_max(kind: str, penalised: bool, scale: float) -> None:
    """Just below it every weight is zero, just above it one is not."""
    x, labels = make(kind, neurons=40)
    path = path_of((x * scale).astype(np.float32), labels, intercept_penalised=penalised)
    first = path.starts()[0]
    below, above = path.fit([0.9999 * first])[0], path.fit([1.0001 * first])[0]
    assert below.ids.size == 0
    assert above.ids.size >= 1


def test_a_neuron_that_passes_the_bound_and_returns_starts_the_path_early() -> None:
    """With a mean beyond 1 it stands in for the intercept; the first passing is alpha_max, not the last."""
    labels = np.arange(40) % 4 == 0
    x = (np.where(labels, 1.5, 1.2) + np.random.default_rng(0).normal(0, 0.01, 40))[:, None].astype(np.float32)
    path = path_of(x, labels)
    first = path.starts()[0]
    assert path.fit([0.999 * first])[0].ids.size == 0
    fit = path.fit([1.01 * first])[0]
    assert fit.ids.size == 1
    assert kkt(x, labels, np.zeros(1), 0.0, fit.C, True) > 1e-3


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_path_never_starts_where_nothing_varies(value: float, penalised: bool) -> None:
    """Constant neurons have no weight at any C, and no neurons at all are as good; one that varies is found."""
    labels = np.arange(81) % 4 == 0
    for x in (np.full((81, 3), value, np.float32), np.empty((81, 0), np.float32)):
        path = path_of(x, labels, intercept_penalised=penalised)
        assert path.starts() == [np.inf]
        fit = path.fit([1e3])[0]
        assert fit.ids.size == 0
        assert fit.violation < 1e-6
    x = np.full((81, 3), value, np.float32)
    x[labels, 1] += 0.1
    fit = along(path_of(x, labels, intercept_penalised=penalised), (2.0,))[0]
    assert fit.ids.tolist() == [1]


X, LABELS = make("factors", rows=120, neurons=400)
FAST = {"tolerance": 1e-8}  # tight, so that two ways to one optimum end at the same weights


@pytest.fixture(scope="module")
def reference() -> list[Fit]:
    return along(path_of(X, LABELS, **FAST))


@pytest.mark.parametrize("block_bytes", [1, 4 * 120 * 7, 1 << 30])
@pytest.mark.parametrize("pool_bytes", [0, 1 << 30])
def test_cutting_changes_nothing(block_bytes: int, pool_bytes: int, reference: list[Fit]) -> None:
    """Neuron by neuron or all at once, from a small pool again and again or from a large one."""
    path = path_of(X, LABELS, block_bytes=block_bytes, pool_bytes=pool_bytes, **FAST)
    assert_same(along(path), reference)
    assert (path.passes > 1 + len(STEPS)) == (pool_bytes == 0)


@pytest.mark.parametrize("storage", ["float64", "float16", "mapped float32", "mapped float16"])
def test_storage_changes_nothing(storage: str, tmp_path: Path) -> None:
    """What is stored in 16 bits is solved as exactly as the same values in 64 bits, from memory or a mapped file."""
    values = X.astype(np.float16) if storage.endswith("float16") else X
    stored = np.ascontiguousarray(values.T, dtype=storage.removeprefix("mapped "))
    if storage.startswith("mapped"):
        np.save(tmp_path / "matrix.npy", stored)
        stored = np.load(tmp_path / "matrix.npy", mmap_mode="r")
    fits = along(L1Path(stored, [everything(LABELS)], **FAST))
    expected = along(path_of(values.astype(np.float64), LABELS, **FAST))
    assert_same(fits, expected)
    if storage.endswith("float16"):
        assert along(path_of(X, LABELS, **FAST), (3.0,))[0].objective != pytest.approx(fits[1].objective, rel=1e-7)


def test_order_of_rows_and_neurons_changes_nothing(reference: list[Fit]) -> None:
    """Permuted rows give the same probe, permuted neurons the same one renumbered."""
    rng = np.random.default_rng(3)
    rows, neurons = rng.permutation(120), rng.permutation(400)
    assert_same(along(path_of(X[rows], LABELS[rows], **FAST)), reference)
    turned = along(path_of(X[:, neurons], LABELS, **FAST))
    for one, other in zip(turned, reference, strict=True):
        np.testing.assert_allclose(
            weights_of(one, 400)[np.argsort(neurons)], weights_of(other, 400), atol=1e-5 * np.abs(other.weights).max()
        )


def test_rows_repeated_are_a_larger_c(reference: list[Fit]) -> None:
    """Every row twice is every row once at twice the C."""
    path = path_of(np.concatenate([X, X]), np.concatenate([LABELS, LABELS]), **FAST)
    assert path.starts()[0] == pytest.approx(reference[0].C / STEPS[0] / 2, rel=1e-9)
    assert_same(along(path), reference)


def test_any_order_of_c_and_any_likely_neurons_give_the_same(reference: list[Fit]) -> None:
    """A warm start and a hint change the way, not the end."""
    rng = np.random.default_rng(0)
    for wanted in reference[1:]:
        hint = rng.choice(400, 30, replace=False)
        fresh = path_of(X, LABELS, **FAST).fit([wanted.C], likely=hint)
        assert_same(fresh, [wanted])


def test_several_problems_at_once_are_what_each_is_alone() -> None:
    """Halves of the rows, other labels, and another C for each, on shared passes."""
    rng = np.random.default_rng(1)
    half = rng.random(120) < 0.5
    whole = np.ones(120, dtype=bool)
    problems = [Problem(LABELS, half), Problem(LABELS, ~half), Problem(rng.permutation(LABELS), whole)]
    together = L1Path(np.ascontiguousarray(X.T), problems, **FAST)
    starts = together.starts()
    rounds = [together.fit([step * start for start in starts]) for step in STEPS]
    for i, problem in enumerate(problems):
        alone = path_of(X[problem.rows], problem.labels[problem.rows], **FAST)
        assert starts[i] == pytest.approx(alone.starts()[0], rel=1e-9)
        assert_same([fits[i] for fits in rounds], along(alone))
    assert rounds[1][0].ids.tolist() != rounds[1][1].ids.tolist()


def test_problems_of_a_large_matrix_solved_in_several_processes_are_those_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(l1_path, "ONE_THREAD", 0)
    rng = np.random.default_rng(2)
    problems = [Problem(rng.permutation(LABELS), np.ones(120, dtype=bool)) for _ in range(5)]
    found: list[list[Fit]] = []
    for processes in (1, 3):
        path = L1Path(np.ascontiguousarray(X.T), problems, **FAST)
        with at_most(processes), blas_threads(1):  # two threads round otherwise
            found.append([fit for step in STEPS[:3] for fit in path.fit([step * start for start in path.starts()])])
    for one, other in zip(*found, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        assert (one.weights == other.weights).all()
        assert (one.intercept, one.objective, one.violation) == (other.intercept, other.objective, other.violation)


def test_steepest_are_those_with_the_largest_gradient(reference: list[Fit]) -> None:
    """The gradients that the path remembers are those of its last solution."""
    path = path_of(X, LABELS, **FAST)
    fit = along(path)[1]
    path = path_of(X, LABELS, **FAST)
    path.fit([fit.C])
    r = residuals(X.astype(np.float64) @ weights_of(fit, 400) + fit.intercept, LABELS, fit.C)
    steepness = np.abs(X.astype(np.float64).T @ r)
    assert set(fit.ids) <= set(path.steepest(fit.ids.size + 2).tolist())
    np.testing.assert_allclose(np.sort(steepness[path.steepest(20)]), np.sort(steepness)[-20:], rtol=1e-5)  # float32


def _flattest(path: L1Path, state: l1_path._State, C: float) -> np.ndarray:
    return np.argsort(state.steepness, kind="stable")[:3]


def test_the_check_mends_what_screening_leaves_out(monkeypatch: pytest.MonkeyPatch, reference: list[Fit]) -> None:
    """Screening that keeps the least promising neurons costs passes, not exactness; without the check it would."""
    monkeypatch.setattr(L1Path, "_screened", _flattest)
    path = path_of(X, LABELS, **FAST)
    assert_same(along(path), reference)
    assert path.passes > 1 + len(STEPS)
    monkeypatch.setattr(block_products, "TERM", -1e30)
    blind = along(path_of(X, LABELS, **FAST))[1]
    assert blind.objective > reference[1].objective * 1.01
    assert kkt(X, LABELS, weights_of(blind, 400), blind.intercept, blind.C, True) > 0.1


def test_rounding_in_float32_hides_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neuron whose float32 gradient rounds to below the bound is looked at again, in proportion to its size."""
    x, labels = make("dense", rows=200, neurons=20)
    fit = path_of(x, labels, intercept_penalised=False).fit([100.0])[0]
    r = residuals(x.astype(np.float64) @ weights_of(fit, 20) + fit.intercept, labels, fit.C)
    noise = np.random.default_rng(0).normal(size=200)
    level = np.column_stack([np.ones(200), r])
    noise -= level @ np.linalg.lstsq(level, noise, rcond=None)[0]  # no part in the gradient
    r -= r.mean()
    hidden = 3e3 + 5 * noise + 1.05 * r / float(r @ r)
    wide = np.column_stack([x.astype(np.float64), hidden])

    def rounded_down(matrix: np.ndarray, vectors: np.ndarray, block_bytes: int) -> np.ndarray:
        exact = matrix @ vectors
        lost = 1e-7 * (np.abs(matrix) @ np.abs(vectors))  # what `products` may lose
        return (np.sign(exact) * np.maximum(np.abs(exact) - lost, 0)).astype(np.float32)

    monkeypatch.setattr(block_products, "products", rounded_down)
    monkeypatch.setattr(L1Path, "_screened", lambda *_: np.arange(20))
    options = {"intercept_penalised": False}
    found = path_of(wide, labels, **options).fit([100.0])[0]
    assert 20 in found.ids
    monkeypatch.setattr(block_products, "TERM", 0.0)
    assert 20 not in path_of(wide, labels, **options).fit([100.0])[0].ids


def test_permuted_labels_predict_at_chance() -> None:
    """The signal that true labels give on held-out rows is not there when the training labels are shuffled."""
    x, labels = make("dense", rows=1200, neurons=300, balanced=True)
    train = np.arange(1200) < 400
    shuffled = labels.copy()
    shuffled[train] = np.random.default_rng(0).permutation(labels[train])
    accuracies = []
    for known in (labels, shuffled):
        path = L1Path(np.ascontiguousarray(x.T), [Problem(known, train)])
        fit = along(path, (1.5,))[0]
        scores = x[~train].astype(np.float64) @ weights_of(fit, 300) + fit.intercept
        accuracies.append(float(((scores > 0) == labels[~train]).mean()))
    assert accuracies[0] > 0.65
    assert abs(accuracies[1] - 0.5) < 4 * 0.5 / 800**0.5  # four standard errors of a coin on 800 rows


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_refused(value: float) -> None:
    """One bad value anywhere, also in a neuron that no probe would use."""
    x = X.copy()
    x[5, 399] = value
    with pytest.raises(FitError, match="NaN or infinity"):
        path_of(x, LABELS)


@pytest.mark.parametrize("labels", [np.ones(120, dtype=bool), np.zeros(120, dtype=bool)])
def test_one_class_is_refused(labels: np.ndarray) -> None:
    """Among all rows, and among those that take part."""
    with pytest.raises(FitError, match="both classes"):
        path_of(X, labels)
    with pytest.raises(FitError, match="both classes"):
        L1Path(np.ascontiguousarray(X.T), [Problem(LABELS, LABELS)])


@pytest.mark.parametrize("C", [0.0, -1.0, np.nan, np.inf, 1e-300, 1e300])
def test_values_of_c_that_mean_nothing_are_refused(C: float) -> None:
    """Nothing is computed from them, least of all an empty probe."""
    with pytest.raises(FitError, match="values of C"):
        path_of(X, LABELS).fit([C])


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("C", [1e-12, 1e6, 1e12])
def test_extreme_c_is_solved(C: float, penalised: bool) -> None:
    """On separable data, where weights grow without bound as C does."""
    x, labels = make("separable", neurons=30)
    fit = path_of(x, labels, intercept_penalised=penalised).fit([C])[0]
    assert kkt(x, labels, weights_of(fit, 30), fit.intercept, C, penalised) <= 1.01e-6
    assert fit.separates == (C > 1)


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("C", [1e22, 1e29])
def test_a_c_beyond_the_digits_of_float64_is_an_error(C: float, penalised: bool) -> None:
    """Residuals are then rounding alone: said, not returned as a probe; the path before it is still good."""
    x, labels = make("separable", neurons=30)
    path = path_of(x, labels, intercept_penalised=penalised)
    with pytest.raises(ConvergenceError, match="no further step"):
        path.fit([C])
    fit = path.fit([100.0])[0]
    assert kkt(x, labels, weights_of(fit, 30), fit.intercept, 100.0, penalised) <= 1.01e-6


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("mean", [0.1, 1.0])
def test_large_means_beside_small_differences_are_solved(mean: float, penalised: bool) -> None:
    """Neurons that hardly vary, and a constant one cheaper than the intercept, are told apart in the end."""
    x, labels = make("duplicated", rows=200, neurons=60)
    x = np.column_stack([x + mean * np.linspace(0.5, 1, 60), np.full(200, 3 * mean), np.zeros(200)]).astype(np.float32)
    for fit in along(path_of(x, labels, intercept_penalised=penalised), (1.01, 30.0, 1000.0)):
        assert kkt(x, labels, weights_of(fit, 62), fit.intercept, fit.C, penalised) <= 1.01e-6


def test_groups_of_columns_that_differ_by_a_hundredth_are_solved_far_along_a_path() -> None:
    """Weights change their signs many times there: steps that stopped at the first change took 200 and gave up."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(300) < 150
    few = rng.gamma(2.0, 0.01, (300, 8))
    few[labels, :3] += 0.004
    x = few[:, rng.integers(0, 8, 400)] * (1 + 1e-2 * rng.normal(size=(300, 400)))
    fits = along(path_of(x, labels), tuple(10 ** (quarter / 4) for quarter in range(1, 14)))
    assert max(fit.violation for fit in fits) <= l1_path.TOLERANCE
    assert max(fit.gap for fit in fits) < 1e-5
