"""A signal at another scale is found once magnitudes are put right; where there is none, no scale brings it out."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from planted import whole_rows

from provenance.activations.features import Features
from provenance.analyses.activity.by_label import neuron_aurocs
from provenance.analyses.controls.control_probes import ControlProbe, control_scores, fit_controls, fit_given
from provenance.analyses.controls.control_sets import ControlSetKind, neuron_sets
from provenance.analyses.results.transfer import ScaleControl, ScaleKind
from provenance.analyses.transfer import magnitudes as module
from provenance.analyses.transfer.magnitudes import (
    MOVES,
    moved_scores,
    quantile_mapped,
    scales,
    sign_agreement,
    z_scored,
)
from provenance.analyses.transfer.probe_transfer import refit_controls
from provenance.analyses.transfer.two_by_two import NO_PROBE, SAME_SCORE
from provenance.probe.sparse_probe import Probe, training_rows
from provenance.statistics.auroc import auroc

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

Make = Callable[..., Features]
Controls = dict[ControlSetKind, tuple[ControlProbe, ...]]
LAYERS, D_M = 3, 40
NEURONS = LAYERS * D_M
PLANTED = [3, 17, 50, 51, 88, 110]
KINDS: tuple[ScaleKind, ...] = get_args(ScaleKind)
EMPTY = Features.of(np.empty((0, 0), dtype=np.float32), np.empty((0, 0), dtype=np.float32), np.zeros(0, bool), (), ())


def probe_on(ids: list[int], weight: float = 300.0) -> Probe:
    weights = np.zeros(NEURONS)
    weights[ids] = weight
    return Probe(weights, -1.0, 1.0, "3-vs-1", True)


def rescaled(features: Features, power: float = 1.0) -> Features:
    """Every neuron at a scale of its own, from a thousandth to a thousandfold, and shifted; the order of rows stays."""
    rng = np.random.default_rng(77)
    factor, shift = 10.0 ** rng.uniform(-3, 3, NEURONS), rng.uniform(0, 10, NEURONS)
    answer = ((features.answer.all() / 0.01) ** power * factor + shift).astype(np.float32)
    return Features.of(answer, answer, features.hallucinated, features.units, features.question_ids)


class World:
    """Two models whose planted neurons carry the same signal, the base's at scales of their own."""

    def __init__(self, make: Make, strength: float = 0.7, power: float = 1.0) -> None:
        self.probe = probe_on(PLANTED)
        self.train = make(NEURONS, PLANTED, strength=1.5, seed=1)
        self.base_train = rescaled(make(NEURONS, PLANTED, strength=strength, seed=2), power)
        self.tests = {"trivia": make(NEURONS, PLANTED, strength=1.5, seed=3)}
        self.base_tests = {
            name: rescaled(make(NEURONS, PLANTED, strength=strength, faithful=n, hallucinated=n, seed=4), power)
            for name, n in (("trivia", 150), ("nature", 60))
        }
        self.controls: Controls = refit_controls(self.probe, self.train, LAYERS, D_M, draws=20)

    def rows(self, **changes: object) -> dict[tuple[str, ScaleKind], ScaleControl]:
        """What scales are worth, by question set and kind."""
        given = {
            "probe": self.probe,
            "base_probe": self.probe,
            "controls": self.controls,
            "base_controls": self.controls,
        }
        given |= {"instruct_train": self.train, "base_train": self.base_train}
        given |= {"instruct_tests": self.tests, "base_tests": self.base_tests}
        found = scales(**(given | changes))  # type: ignore[arg-type]
        return {(row.dataset, row.kind): row for row in found}


def area(row: ScaleControl) -> float:
    assert row.auroc is not None
    return row.auroc.estimate


def test_a_signal_at_other_scales_is_missed_by_raw_weights_and_found_by_the_others(features: Make) -> None:
    rows = World(features).rows()
    assert list(rows) == [("trivia", kind) for kind in KINDS] + [("nature", k) for k in KINDS if k != "forward"]
    for name in ("trivia", "nature"):
        missed = area(rows[name, "raw"])
        for kind in ("z_score", "rank", "refit"):
            row = rows[name, kind]
            assert row.auroc is not None
            assert row.random_p95 is not None
            assert row.layer_matched_p95 is not None
            assert row.auroc.low > max(missed, row.random_p95, row.layer_matched_p95)
            assert row.reason == ""


def test_where_magnitudes_are_bent_as_well_ranks_are_what_stays(features: Make) -> None:
    """The eighth power makes moments those of a few large values; order is not touched by it."""
    straight, bent = World(features).rows(), World(features, power=8.0).rows()
    assert area(bent["trivia", "rank"]) == pytest.approx(area(straight["trivia", "rank"]), abs=2e-3)
    assert area(bent["trivia", "z_score"]) < area(bent["trivia", "rank"]) - 0.02


def test_no_scale_finds_a_signal_that_is_not_there(features: Make) -> None:
    rows = World(features, strength=0.0).rows()
    for kind in ("raw", "z_score", "rank", "refit"):
        row = rows["trivia", kind]  # type: ignore[index]
        assert row.auroc is not None
        assert row.random_p95 is not None
        assert row.auroc.low < 0.5
        assert row.auroc.estimate < row.random_p95


def test_the_same_model_keeps_its_transfer_at_any_scale(features: Make) -> None:
    """A neuron moved onto its own scale stays where it is."""
    world = World(features)
    rows = world.rows(base_train=world.train, base_tests=world.tests)
    assert area(rows["trivia", "z_score"]) == pytest.approx(area(rows["trivia", "raw"]), abs=1e-6)
    assert area(rows["trivia", "rank"]) == pytest.approx(area(rows["trivia", "raw"]), abs=5e-3)  # ends are cut off


def test_moments_are_those_of_the_instruct_model() -> None:
    rng = np.random.default_rng(0)
    base, instruct = rng.gamma(2.0, 3.0, (80, 4)), rng.normal(5.0, 2.0, (70, 4))
    moved = z_scored(base, base, instruct)
    np.testing.assert_allclose(moved.mean(axis=0), instruct.mean(axis=0))
    np.testing.assert_allclose(moved.std(axis=0), instruct.std(axis=0))
    value = np.array([[1.0, 2.0, 3.0, 4.0]])
    slow = [
        (value[0, j] - base[:, j].mean()) / base[:, j].std() * instruct[:, j].std() + instruct[:, j].mean()
        for j in range(4)
    ]
    np.testing.assert_allclose(z_scored(value, base, instruct)[0], slow)


def test_quantiles_are_those_of_the_instruct_model() -> None:
    """The i-th smallest of n becomes the i-th smallest of n; ties go to the middle; outside is the outermost."""
    rng = np.random.default_rng(0)
    base, instruct = rng.gamma(2.0, 3.0, (60, 3)), rng.normal(5.0, 2.0, (60, 3))
    moved = quantile_mapped(base, base, instruct)
    for column in range(3):
        np.testing.assert_allclose(np.sort(moved[:, column]), np.sort(instruct[:, column]))
        np.testing.assert_array_equal(np.argsort(moved[:, column]), np.argsort(base[:, column]))
    known = np.array([[0.0], [0.0], [0.0], [10.0]])  # quantile 3/8 for the zeros, 7/8 for the ten
    target = np.array([[100.0], [200.0], [300.0], [400.0]])  # at 1/8, 3/8, 5/8, 7/8
    values = np.array([[-5.0], [0.0], [5.0], [10.0], [11.0]])
    np.testing.assert_allclose(quantile_mapped(values, known, target)[:, 0], [200, 200, 300, 400, 400])
    slow = np.interp(np.linspace(0.02, 0.98, 20), (np.arange(60) + 0.5) / 60, np.sort(instruct[:, 0]))
    wanted = np.interp(np.linspace(0.02, 0.98, 20), (np.arange(60) + 0.5) / 60, np.sort(base[:, 0]))
    np.testing.assert_allclose(quantile_mapped(wanted[:, None], base[:, :1], instruct[:, :1])[:, 0], slow)


@pytest.mark.parametrize("kind", MOVES)
def test_neurons_that_do_not_vary_are_put_in_the_middle(kind: ScaleKind) -> None:
    """In the base: where the instruct model's middle is, even a value unlike the constant; in the other: constant."""
    rng = np.random.default_rng(0)
    base, instruct = rng.random((30, 2)), rng.random((31, 2))
    base[:, 0], instruct[:, 1] = 7.0, 4.0
    moved = MOVES[kind](np.array([[7.0, 0.5], [9.0, 3.0]]), base, instruct)
    middle = instruct[:, 0].mean() if kind == "z_score" else np.median(instruct[:, 0])
    np.testing.assert_allclose(moved, [[middle, 4.0], [middle, 4.0]])


@pytest.mark.parametrize("kind", MOVES)
def test_sets_are_scored_as_if_every_neuron_had_been_moved(
    features: Make, kind: ScaleKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are moved at a time."""
    world = World(features)
    sets = [control for members in world.controls.values() for control in members]
    rows, base, instruct = (each.answer for each in (world.base_tests["nature"], world.base_train, world.train))
    whole = MOVES[kind](*(part.all().astype(np.float64) for part in (rows, base, instruct)))
    found = moved_scores(MOVES[kind], sets, rows, base, instruct)
    np.testing.assert_allclose(found, control_scores(sets, whole), rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    np.testing.assert_allclose(moved_scores(MOVES[kind], sets, rows, base, instruct), found, rtol=1e-9, atol=1e-9)
    row = world.rows()["nature", kind]
    areas = [auroc(column, world.base_tests["nature"].hallucinated) for column in found[:, :20].T]
    assert row.random_p95 == pytest.approx(np.quantile(areas, 0.95), abs=1e-9)


def test_refitted_neurons_are_those_of_the_probe_on_the_bases_rows(features: Make) -> None:
    world = World(features)
    test = world.base_tests["trivia"]
    rows, labels = training_rows(world.base_train, "3-vs-1", np.array(PLANTED))
    fitted = fit_given(rows, labels, design="3-vs-1")
    row = world.rows()["trivia", "refit"]
    assert area(row) == pytest.approx(auroc(fitted.scores(test.answer.columns(np.array(PLANTED))), test.hallucinated))
    sets = fit_controls(world.base_train, [c.columns for c in world.controls["random"]], "3-vs-1")
    areas = [auroc(column, test.hallucinated) for column in control_scores(sets, test.answer).T]
    assert row.random_p95 == pytest.approx(np.quantile(areas, 0.95))


def test_the_bases_probe_is_read_on_both_models_with_its_own_neuron_sets(features: Make) -> None:
    world = World(features)
    base_probe = probe_on([5, 6, 7], -10.0)
    sets = neuron_sets(
        "random", base_probe.nonzero, LAYERS, D_M, K=9, rng=np.random.default_rng(0), excluded=np.empty(0, dtype=int)
    )
    base_controls: Controls = {"random": fit_controls(world.base_train, list(sets), "3-vs-1"), "layer_matched": ()}
    rows = world.rows(base_probe=base_probe, base_controls=base_controls)
    for kind, test in (("forward", world.tests["trivia"]), ("base_probe", world.base_tests["trivia"])):
        row = rows["trivia", kind]  # type: ignore[index]
        assert area(row) == pytest.approx(auroc(base_probe.scores(test.answer), test.hallucinated))
        areas = [auroc(column, test.hallucinated) for column in control_scores(base_controls["random"], test.answer).T]
        assert row.random_p95 == pytest.approx(np.quantile(areas, 0.95))
        assert row.layer_matched_p95 is None


def test_rows_without_a_number_say_why(features: Make) -> None:
    """No probe of either model; no training answers, or of one class; test answers of one class, or none."""
    world = World(features)
    for which, kinds in (("probe", KINDS[:4]), ("base_probe", KINDS[4:])):
        rows = world.rows(**{which: None})
        assert {kind for (name, kind), row in rows.items() if row.auroc is None and name == "trivia"} == set(kinds)
        assert {row.reason for row in rows.values() if row.auroc is None} == {NO_PROBE}
    rows = world.rows(base_train=EMPTY)
    assert {kind for (_, kind), row in rows.items() if row.auroc is None} == {"z_score", "rank", "refit"}
    one = world.base_train.take(world.base_train.hallucinated)
    rows = world.rows(base_train=one)
    assert {kind for (_, kind), row in rows.items() if row.auroc is None} == {"refit"}  # scales need no labels
    test = world.base_tests["trivia"]
    rows = world.rows(base_tests={"trivia": test.take(test.hallucinated), "nature": EMPTY}, instruct_tests={})
    assert len(rows) == 10
    assert all(row.auroc is row.random_p95 is row.layer_matched_p95 is None for row in rows.values())
    assert all("no power" in row.reason for row in rows.values())
    rows = world.rows(base_tests={"nature": EMPTY}, instruct_tests={})
    assert all("no power" in row.reason for row in rows.values())


def test_a_probe_whose_neurons_the_base_lacks_has_no_power(features: Make) -> None:
    """Unmapped neurons are zero in every row of the base."""
    world = World(features)
    ids = np.arange(NEURONS)
    ids[PLANTED] = -1
    tests = {name: test.mapped(ids) for name, test in world.base_tests.items()}
    rows = world.rows(base_train=world.base_train.mapped(ids), base_tests=tests)
    for kind in KINDS[:4]:
        assert rows["trivia", kind].reason == SAME_SCORE
    silent = world.rows(probe=replace(world.probe, weights=np.zeros(NEURONS)), controls={})
    assert {silent["trivia", kind].reason for kind in KINDS[:4]} == {SAME_SCORE}


def test_a_probe_that_was_fitted_reads_the_base_at_its_own_scale(features: Make) -> None:
    """As found and not as planted: weights of different sizes, the third of them negative."""
    world = World(features)
    X, y = whole_rows(world.train, "1-vs-1")
    fitted = fit_given(X[:, PLANTED], y, design="1-vs-1")
    weights = np.zeros(NEURONS)
    weights[PLANTED] = fitted.weights
    rows = world.rows(probe=Probe(weights, fitted.intercept, 1.0, "1-vs-1", False))
    assert area(rows["trivia", "z_score"]) > area(rows["trivia", "raw"]) + 0.05


def flipped(features: Features, ids: list[int]) -> Features:
    """Some neurons less active where they were more active."""
    answer = features.answer.all()
    answer[:, ids] = 1 - answer[:, ids]
    return Features.of(answer, answer, features.hallucinated, features.units, features.question_ids)


def test_signs_of_planted_neurons_agree_and_those_of_flipped_ones_do_not(features: Make) -> None:
    train, base = (features(NEURONS, PLANTED, strength=1.5, seed=seed) for seed in (1, 2))
    found = sign_agreement(probe_on(PLANTED), train, base, LAYERS, D_M)
    assert (found.k, found.agree, found.share, found.n_base, found.n_instruct) == (6, 6, 1.0, 300, 300)
    assert found.p_value is not None
    assert found.p_value < 0.05
    areas = neuron_aurocs(train), neuron_aurocs(base)
    assert sign_agreement(probe_on(PLANTED), train, base, LAYERS, D_M, areas) == found
    assert sign_agreement(probe_on(PLANTED), train, base, LAYERS, D_M, (areas[0], 1 - areas[1])).agree == 0
    against = sign_agreement(probe_on(PLANTED), train, flipped(base, PLANTED), LAYERS, D_M)
    assert (against.agree, against.share, against.p_value) == (0, 0.0, 1.0)
    some = sign_agreement(probe_on(PLANTED), train, flipped(base, PLANTED[:2]), LAYERS, D_M)
    assert some.agree == 4


def test_the_null_of_signs_is_that_of_drawn_neurons_of_the_same_layers(features: Make) -> None:
    """10,000 draws, each neuron's AUROC taken by itself; p within four standard errors of the drawn share."""
    train, base = features(NEURONS, [], strength=0, seed=1), features(NEURONS, [], strength=0, seed=2)
    ids = [0, 1, 2, 3, 4, 45, 46, 90, 91, 92]
    found = sign_agreement(probe_on(ids), train, base, LAYERS, D_M)
    areas = [[auroc(column, each.hallucinated) for column in each.answer.all().T] for each in (train, base)]
    agree = (np.array(areas[0]) > 0.5) == (np.array(areas[1]) > 0.5)
    assert found.agree == agree[ids].sum()
    sets = neuron_sets(
        "layer_matched",
        np.array(ids),
        LAYERS,
        D_M,
        K=10_000,
        rng=np.random.default_rng(0),
        excluded=np.empty(0, dtype=int),
    )
    drawn = agree[sets].sum(axis=1)
    assert found.expected == pytest.approx(drawn.mean() / 10, abs=0.01)
    slow = float((drawn >= found.agree).mean())
    assert found.p_value == pytest.approx(slow, abs=4 * np.sqrt(slow * (1 - slow) / 10_000))
    assert abs(slow - 0.5) < 0.49  # where it would be 0 or 1, agreement would show nothing


def test_p_of_signs_is_uniform_at_most_under_the_null(features: Make) -> None:
    """Over random probes, p at or below 5 % occurs at most in 5 % of them and a bit: three standard errors."""
    train, base = features(NEURONS, [], strength=0, seed=1), features(NEURONS, [], strength=0, seed=2)
    rng = np.random.default_rng(5)
    values = []
    for _ in range(150):
        found = sign_agreement(probe_on(sorted(rng.permutation(NEURONS)[:12].tolist())), train, base, LAYERS, D_M)
        assert found.p_value is not None
        values.append(found.p_value)
    assert np.mean(np.array(values) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert np.mean(np.array(values) <= 0.6) > 0.3  # nor is it stuck at one


def test_neurons_without_a_side_are_not_counted(features: Make) -> None:
    """Constant ones, such as those that the base lacks; with one class, without answers or weights there are none."""
    train, base = (features(NEURONS, PLANTED, strength=1.5, seed=seed) for seed in (1, 2))
    ids = np.arange(NEURONS)
    ids[PLANTED[:2]] = -1
    assert sign_agreement(probe_on(PLANTED), train, base.mapped(ids), LAYERS, D_M).k == 4
    one = base.take(base.hallucinated)
    for probe, other in ((probe_on(PLANTED), one), (probe_on(PLANTED), EMPTY), (probe_on([]), base)):
        found = sign_agreement(probe, train, other, LAYERS, D_M)
        assert (found.k, found.agree, found.share, found.expected, found.p_value) == (0, 0, None, None, None)
