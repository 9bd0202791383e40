"""Cross-validation over questions, against each fit by itself, and the choice of C that it steadies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import planted, whole_rows
from reference import accuracy, fit_probe

from provenance.activations.features import Features
from provenance.analyses.controls.question_folds import FOLDS
from provenance.analyses.results.probes import PathPoint
from provenance.analyses.search.cross_validation import balanced_accuracy, left_out, suppressed_along, walk
from provenance.analyses.search.probe_fit import ProbeRows, probe_rows
from provenance.errors import ConvergenceError
from provenance.probe.l1_path import Fit, L1Path
from provenance.statistics.auroc import auroc

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

WEAK = 0.02
STRONG = 5.0


@contextmanager
def rows_of(features: Features, folder: Path, design: str = "1-vs-1") -> Iterator[ProbeRows]:
    with probe_rows(features, design, folder, intercept_penalised=True) as rows:
        yield rows


def masks_of(features: Features, repeats: int = 1, seed: int = 0) -> list[np.ndarray]:
    found = left_out(features, repeats, seed)
    assert found is not None
    return found


def path_of(
    features: Features, folder: Path, grid: Sequence[float], wanted: float | None = None, design: str = "1-vs-1"
) -> tuple[PathPoint, ...]:
    with rows_of(features, folder, design) as rows:
        return walk(rows, features.hallucinated, grid, masks_of(features), wanted).points


def test_every_question_is_left_out_once_a_repetition_and_groups_stay_whole() -> None:
    features = planted(90, 0)
    grouped = replace(features, units=tuple(f"group {i // 4}" for i in range(90)))
    masks = masks_of(grouped, repeats=3)
    assert len(masks) == 3 * FOLDS
    for repeat in range(3):
        assert (np.sum(masks[repeat * FOLDS : (repeat + 1) * FOLDS], axis=0) == 1).all()
    units = np.array(grouped.units)
    for mask in masks:
        assert not set(units[mask]) & set(units[~mask])
    assert not np.array_equal(masks[0], masks[FOLDS])  # the repetitions differ
    assert all(np.array_equal(a, b) for a, b in zip(masks, masks_of(grouped, repeats=3), strict=True))
    assert not np.array_equal(masks[0], masks_of(grouped, seed=1)[0])
    assert left_out(planted(18, 0), 2, 0) is None


@pytest.mark.parametrize("design", ["3-vs-1", "1-vs-1"])
def test_a_point_is_what_each_fit_by_itself_says_of_the_answers_that_it_left_out(tmp_path: Path, design: str) -> None:
    features = planted(120, 0, WEAK)
    for point in path_of(features, tmp_path, (30.0, 120.0), design=design):
        right, labels, areas, sizes = [], [], [], []
        for mask in masks_of(features):
            slow = fit_probe(*whole_rows(features.take(~mask), design), C=point.C * 120 / (~mask).sum(), design=design)
            held = features.take(mask)
            scores = slow.scores(held.answer)
            right.append((scores > 0) == held.hallucinated)
            labels.append(held.hallucinated)
            areas.append(auroc(scores, held.hallucinated))
            sizes.append(slow.h_neurons.size)
        assert (point.fewest, point.positive, point.most) == (min(sizes), sorted(sizes)[len(sizes) // 2], max(sizes))
        assert point.fewest < point.most  # the range says something
        scored = np.where(np.concatenate(right), 1.0, -1.0) * np.where(np.concatenate(labels), 1, -1)
        assert point.validation_accuracy == pytest.approx(accuracy(scored, np.concatenate(labels)))  # it is balanced
        assert point.validation_auroc == pytest.approx(np.mean(areas), abs=1e-3)
        assert point.suppressed_accuracy is None


def test_balanced_accuracy_is_the_accuracy_of_a_balanced_set() -> None:
    right = np.array([True, True, True, True, True, False])
    positive = np.array([True, True, False, False, False, True])
    assert balanced_accuracy(right, positive) == pytest.approx((2 / 3 + 1) / 2)


def test_the_accuracy_that_decides_depends_little_on_how_answers_are_split(tmp_path: Path) -> None:
    """By one fifth it varies three times as much over eight ways to split, and the choice of C with it."""
    features = planted(240, 0, 0.012, neurons=tuple(range(3, 400, 40)))
    alone, together = [], []
    with rows_of(features, tmp_path) as rows:
        start = rows.path([rows.problem(np.ones(240, dtype=bool))]).starts()[0]
        for seed in range(8):
            masks = masks_of(features, repeats=2, seed=seed)
            for found, some in ((alone, masks[:1]), (together, masks)):
                point = walk(rows, features.hallucinated, [4 * start], some, None).points[0]
                found.append(point.validation_accuracy)
    assert np.std(together) < np.std(alone) / 3


def test_the_path_ends_where_most_fits_separate_their_rows(tmp_path: Path) -> None:
    """A larger C would only scale the weights; without separation the whole path is walked."""
    grid = (1.0, 10.0, 100.0, 1000.0, 1e5)
    assert 0 < len(path_of(planted(160, 0, STRONG), tmp_path, grid)) < len(grid)
    assert len(path_of(planted(160, 0, 0.0), tmp_path, grid[:2])) == 2


def test_a_path_does_not_end_before_it_has_h_neurons(tmp_path: Path) -> None:
    """Neurons that only speak against hallucination separate these rows early; the path goes on for H-Neurons."""
    against = planted(60, 0, STRONG)
    turned = replace(against, hallucinated=~against.hallucinated)
    with rows_of(turned, tmp_path) as rows:
        start = rows.path([rows.problem(np.ones(60, dtype=bool))]).starts()[0]
    points = path_of(turned, tmp_path, [start * step for step in (2.0, 8.0, 32.0, 128.0)])
    assert [point.most for point in points] == [0] * 4
    assert points[1].validation_accuracy == 1.0


def test_a_wanted_c_is_reached_even_behind_the_point_that_separates(tmp_path: Path) -> None:
    grid = [1.0, 10.0, 100.0, 1000.0]
    features = planted(60, 0, STRONG)
    ended, wanted = (path_of(features, tmp_path, grid, C) for C in (None, 1000.0))
    assert ended[-1].C < wanted[-1].C == 1000.0


def test_rounding_ends_a_path_and_a_wanted_c_behind_it_is_fitted_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, features = [10.0, 20.0, 40.0], planted(60, 0)
    original = L1Path.fit

    def fit(self: L1Path, Cs: list[float], likely: np.ndarray | None = None) -> list[Fit]:
        if Cs[0] > 30.0 and len(Cs) > 1:
            raise ConvergenceError("a probe", found="rounding", remedy="a smaller C")
        return original(self, Cs, likely)

    with rows_of(features, tmp_path) as rows:
        [alone] = rows.path([rows.problem(np.ones(60, dtype=bool))]).fit([40.0])
        monkeypatch.setattr(L1Path, "fit", fit)
        for wanted, fitted in ((None, grid[:2]), (10.0, grid[:2]), (40.0, grid)):
            walked = walk(rows, features.hallucinated, grid, masks_of(features), wanted)
            assert [point.C for point in walked.points] == grid[:2]
            assert [fit.C for fit, _ in walked.fits] == fitted
        np.testing.assert_array_equal(walked.fits[-1][0].weights, alone.weights)


def test_fits_on_all_answers_go_along(tmp_path: Path) -> None:
    """Each is the fit that a path of its own gives, with the neurons of the largest gradients; also without folds."""
    features = planted(160, 0, WEAK)
    with rows_of(features, tmp_path) as rows:
        alone = rows.path([rows.problem(np.ones(160, dtype=bool))])
        grid = [alone.starts()[0] * step for step in (2.0, 4.0, 8.0)]
        own = [alone.fit([C])[0] for C in grid]
        walked = walk(rows, features.hallucinated, grid, masks_of(features), None)
        without = walk(rows, features.hallucinated, grid, [], grid[1])
    assert len(walked.points) == 3
    assert without.points == ()
    for (found, steepest), expected in zip((*walked.fits, *without.fits), (*own, own[1]), strict=True):
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-3)
        assert found.objective == pytest.approx(expected.objective, rel=1e-8)
        assert set(found.ids) <= set(steepest)


def test_the_sets_to_suppress_are_those_of_fits_on_the_given_responses(tmp_path: Path) -> None:
    """Of the other responses none takes part, and a C without H-Neurons is not asked about."""
    features = planted(120, 0, WEAK)
    used = np.arange(120) < 90
    asked: list[list[np.ndarray]] = []

    def suppressed(sets: list[np.ndarray]) -> np.ndarray:
        asked.append(sets)
        return np.linspace(0.5, 0.6, len(sets))

    with rows_of(features, tmp_path) as rows:
        start = rows.path([rows.problem(used)]).starts()[0]
        grid = [start / 2, 4 * start, 8 * start]
        path = walk(rows, features.hallucinated, grid, masks_of(features), None).points
        found = suppressed_along(path, rows, used, suppressed)
    assert [point.suppressed_accuracy for point in found] == [None, 0.5, 0.6]
    [sets] = asked
    for point, ids in zip(found[1:], sets, strict=True):
        slow = fit_probe(*whole_rows(features.take(used), "1-vs-1"), C=point.C * 120 / 90, design="1-vs-1")
        np.testing.assert_array_equal(ids, slow.h_neurons)
