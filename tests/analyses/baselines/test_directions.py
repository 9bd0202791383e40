"""Directions in the residual stream: planted ones are found in their layer, and those that turn do not transfer."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from reference import bootstrap_by_unit
from sklearn.linear_model import LogisticRegression
from telling import D_M, LAYERS, make_answers, make_probe, take, with_stream

from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.baselines.answer_baselines import FittedBaselines, fit_baselines
from provenance.analyses.baselines.carried_directions import FittedSide, carried_directions
from provenance.analyses.baselines.directions import CANDIDATES_C, Direction, Directions, fit_directions
from provenance.analyses.controls.question_folds import FOLDS, folds
from provenance.analyses.results.transfer import DirectionLayer, DirectionTransfer
from provenance.records import Stage
from provenance.statistics.auroc import auroc
from provenance.words import DIRECTIONS

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

WIDTH, PLANTED = 12, 2
AXIS = np.random.default_rng(11).normal(size=WIDTH)
AXIS /= np.linalg.norm(AXIS)


def along(answers: Answers, strength: float, seed: int, layer: int = PLANTED) -> Answers:
    """Noise behind every block, and behind one of them hallucinated answers further along `AXIS`, or against it."""
    rng = np.random.default_rng(seed)
    stream = rng.normal(size=(len(answers.features), LAYERS, WIDTH)) * np.linspace(0.5, 2, WIDTH)
    stream[:, layer] += strength * 2 * np.outer(answers.features.hallucinated, AXIS)
    return with_stream(answers, stream)


def columns(answers: Answers, layer: int) -> np.ndarray:
    stream = answers.features.residual
    assert stream is not None
    return stream.all().astype(np.float64).reshape(len(stream), LAYERS, -1)[:, layer]


def areas(directions: Directions, answers: Answers) -> list[float]:
    stream = answers.features.residual
    assert stream is not None
    return [auroc(scores, answers.features.hallucinated) for scores in directions.scores(stream).T]


@pytest.fixture(scope="module")
def trained() -> Answers:
    return along(make_answers(400), 1.0, 1)


@pytest.fixture(scope="module")
def found(trained: Answers) -> Mapping[str, Directions]:
    return fit_directions(trained.features, LAYERS)


@pytest.mark.parametrize("kind", DIRECTIONS)
def test_a_planted_direction_is_found_in_its_layer_and_in_no_other(
    found: Mapping[str, Directions], trained: Answers, kind: str
) -> None:
    directions = found[kind]
    assert [each.layer for each in directions.by_layer] == list(range(LAYERS))
    assert directions.chosen.layer == PLANTED
    unseen = areas(directions, along(make_answers(400, seed=1), 1.0, 2))
    assert unseen[PLANTED] > 0.75
    assert max(area for layer, area in enumerate(unseen) if layer != PLANTED) < 0.62
    assert directions.chosen.left_out == pytest.approx(unseen[PLANTED], abs=0.08)
    assert auroc(directions.chosen.scores(trained.features.residual), trained.features.hallucinated) > 0.75


def test_the_difference_of_means_is_one(found: Mapping[str, Directions], trained: Answers) -> None:
    """Its weights, the plane halfway, and AUROC of left-out questions, by a loop over answers and folds."""
    label = trained.features.hallucinated
    part = folds(trained.features.units, label, 0)
    assert part is not None
    for direction in found["mean_difference"].by_layer:
        rows = columns(trained, direction.layer)
        upper = sum(row for row, told in zip(rows, label, strict=True) if told) / label.sum()
        lower = sum(row for row, told in zip(rows, label, strict=True) if not told) / (~label).sum()
        np.testing.assert_allclose(direction.weights, upper - lower, atol=1e-12)
        assert (upper + lower) / 2 @ direction.weights + direction.intercept == pytest.approx(0, abs=1e-9)
        slow = []
        for fold in range(FOLDS):
            seen = part != fold
            line = rows[seen & label].mean(axis=0) - rows[seen & ~label].mean(axis=0)
            slow.append(auroc(rows[~seen] @ line, label[~seen]))
        assert direction.left_out == pytest.approx(np.mean(slow), abs=1e-12)
        assert direction.C is None


def test_the_regression_is_that_of_another_solver_from_scratch(
    found: Mapping[str, Directions], trained: Answers
) -> None:
    """Every fit by itself and from nought, on columns standardised by hand: the same weights, layer and penalty."""
    label = trained.features.hallucinated
    part = folds(trained.features.units, label, 0)
    assert part is not None

    def plainly(rows: np.ndarray, told: np.ndarray, C: float) -> tuple[np.ndarray, float]:
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        model = LogisticRegression(C=C, class_weight="balanced", solver="newton-cholesky", tol=1e-10)
        model.fit((rows - mean) / spread, told)
        weights = model.coef_[0] / spread
        return weights, model.intercept_[0] - weights @ mean

    for direction in found["residual_regression"].by_layer:
        rows = columns(trained, direction.layer)
        left_out = []
        for C in CANDIDATES_C:
            by_fold = []
            for fold in range(FOLDS):
                weights, _ = plainly(rows[part != fold], label[part != fold], C)
                by_fold.append(auroc(rows[part == fold] @ weights, label[part == fold]))
            left_out.append(np.mean(by_fold))
        assert direction.left_out == pytest.approx(max(left_out), abs=1e-9)
        assert CANDIDATES_C[int(np.argmax(left_out))] == direction.C
        weights, intercept = plainly(rows, label, direction.C or 0)
        np.testing.assert_allclose(direction.weights, weights, rtol=1e-5, atol=1e-7 * np.abs(weights).max())
        assert direction.intercept == pytest.approx(intercept, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DIRECTIONS)
def test_what_only_tells_questions_apart_is_not_chosen(kind: str) -> None:
    """Answers to one question share a vector behind block 0, so that folds by answer would find it perfect."""
    answers = along(make_answers(400), 0.8, 3, layer=3)
    stream = answers.features.residual.all().reshape(400, LAYERS, WIDTH)
    wide = np.concatenate([stream, np.zeros((400, LAYERS, 300 - WIDTH))], axis=2)
    wide[:, 0] = np.repeat(np.random.default_rng(4).normal(size=(200, 300)), 2, axis=0)
    known = fit_directions(with_stream(answers, wide).features, LAYERS)[kind]
    alone = replace(with_stream(answers, wide).features, units=answers.features.question_ids)
    assert known.chosen.layer == 3
    assert known.by_layer[0].left_out < 0.65
    assert fit_directions(alone, LAYERS)[kind].by_layer[0].left_out > 0.7


def test_coordinates_that_never_vary_have_no_weight_and_scale_no_say(trained: Answers) -> None:
    stream = trained.features.residual.all().reshape(400, LAYERS, WIDTH)
    stream[:, :, 3] = 7e4
    found = fit_directions(with_stream(trained, stream).features, LAYERS)["residual_regression"]
    assert found.chosen.weights[3] == 0
    stream[:, :, 5] *= 1e4
    larger = fit_directions(with_stream(trained, stream).features, LAYERS)["residual_regression"]
    assert larger.chosen.left_out == pytest.approx(found.chosen.left_out, abs=2e-3)


def test_equal_answers_tie_wherever_they_stand(found: Mapping[str, Directions], trained: Answers) -> None:
    repeated = take(trained, np.tile(np.arange(7), 31))
    for directions in found.values():
        scores = directions.chosen.scores(repeated.features.residual)
        assert len(set(scores.tolist())) == 7


def test_the_order_of_answers_does_not_matter(trained: Answers, found: Mapping[str, Directions]) -> None:
    turned = fit_directions(take(trained, np.random.default_rng(0).permutation(400)).features, LAYERS)
    for kind in DIRECTIONS:
        for one, other in zip(turned[kind].by_layer, found[kind].by_layer, strict=True):
            assert (one.left_out, one.C) == (other.left_out, other.C)
            np.testing.assert_array_equal(one.weights, other.weights)


def test_without_a_stream_or_enough_questions_there_are_no_directions(trained: Answers) -> None:
    assert fit_directions(replace(trained.features, residual=None), LAYERS) == {}
    assert fit_directions(take(trained, range(24)).features, LAYERS) == {}


def test_the_first_layer_counts_among_equals() -> None:
    lines = [Direction(layer, np.ones(1), 0.0, None, area) for layer, area in enumerate((0.6, 0.8, 0.8))]
    assert Directions(tuple(lines)).chosen.layer == 1


def sides(strengths: Mapping[Stage, float]) -> tuple[dict[Stage, FittedSide], dict[Stage, dict[str, Answers]]]:
    """Both models with the same neurons; their directions have the given strengths along one axis."""
    fitted: dict[Stage, FittedSide] = {}
    tests: dict[Stage, dict[str, Answers]] = {}
    for number, (stage, strength) in enumerate(strengths.items()):
        own = along(make_answers(240, seed=20 + number), strength, 30 + number)
        fitted[stage] = FittedSide(fit_baselines(make_probe(own), own, LAYERS, D_M, draws=2), ())
        test = along(make_answers(200, seed=40 + number), strength, 50 + number)
        tests[stage] = {"trivia": test, "silent": take(test, np.flatnonzero(test.features.hallucinated))}
    return fitted, tests


def both(strengths: Mapping[Stage, float]) -> tuple[list[DirectionTransfer], list[DirectionLayer]]:
    carried, layers = carried_directions(*sides(strengths), resamples=200, foldings=2)
    return list(carried), list(layers)


@pytest.fixture(scope="module")
def alike() -> tuple[list[DirectionTransfer], list[DirectionLayer]]:
    return both({"instruct": 1.0, "base": 1.0})


@pytest.fixture(scope="module")
def turned() -> tuple[list[DirectionTransfer], list[DirectionLayer]]:
    return both({"instruct": 1.0, "base": -1.0})


def test_a_direction_that_both_models_share_transfers_both_ways(
    alike: tuple[list[DirectionTransfer], list[DirectionLayer]],
) -> None:
    carried, _ = alike
    ways = [(row.dataset, row.fitted_on, row.answers, row.kind) for row in carried]
    assert ways == [
        ("trivia", one, other, kind)
        for one, other in (("instruct", "base"), ("base", "instruct"))
        for kind in DIRECTIONS
    ]  # one class says nothing
    for row in carried:
        assert row.layer == PLANTED
        assert row.auroc.low > 0.6


def test_a_direction_that_tuning_turned_round_reads_its_own_model_and_not_the_other(
    turned: tuple[list[DirectionTransfer], list[DirectionLayer]],
) -> None:
    carried, layers = turned
    for row in carried:
        assert row.auroc.high < 0.35
        assert row.gain.low > 0.3
        assert row.p_value is not None
        assert row.p_value < 0.05
    own = [row for row in layers if row.fitted_on == row.answers and row.layer == PLANTED]
    assert len(own) == 4
    assert min(row.auroc.low for row in own) > 0.65


def test_layers_of_both_models_are_read_on_the_answers_of_both(
    alike: tuple[list[DirectionTransfer], list[DirectionLayer]],
) -> None:
    carried, layers = alike
    assert len(layers) == 2 * 2 * len(DIRECTIONS) * LAYERS
    for row in carried:
        [same] = [
            each
            for each in layers
            if (each.dataset, each.fitted_on, each.answers, each.kind, each.layer)
            == (row.dataset, row.fitted_on, row.answers, row.kind, row.layer)
        ]
        assert (same.auroc, same.left_out) == (row.auroc, row.left_out)


def test_the_gain_of_the_probe_is_paired_by_question() -> None:
    """The difference of both AUROCs, draw by draw on the same questions."""
    fitted, tests = sides({"instruct": 0.4, "base": 0.4})
    carried, _ = carried_directions(fitted, tests, foldings=2)
    row = next(row for row in carried if (row.fitted_on, row.kind) == ("base", "mean_difference"))
    test, side = tests["instruct"]["trivia"], fitted["base"].baselines
    positive, units = test.features.hallucinated, list(test.features.units)
    own = side.probe.scores(test.features.answer)
    rival = side.directions["mean_difference"].chosen.scores(test.features.residual)
    assert row.auroc == bootstrap_by_unit(lambda r: auroc(rival[r], positive[r]), units)
    assert row.gain == bootstrap_by_unit(lambda r: auroc(own[r], positive[r]) - auroc(rival[r], positive[r]), units)


def test_neurons_add_to_a_direction_what_it_does_not_know() -> None:
    """Neurons and stream tell apart from each other; then the stream holds the probe's score, and nothing is added."""
    fitted, tests = sides({"instruct": 0.5, "base": 0.5})
    carried, _ = carried_directions(fitted, tests, resamples=300, foldings=2)
    for row in carried:
        assert row.added is not None
        assert row.added.low > 0.02
        assert row.p_added is not None
        assert row.p_added < 0.05
    side = fitted["instruct"].baselines
    copied = {stage: {"trivia": _copying(side, found["trivia"])} for stage, found in tests.items()}
    line = Direction(0, np.eye(1, WIDTH)[0], 0.0, None, 0.9)
    knowing = replace(side, directions={"mean_difference": Directions((line,))})
    [row], _ = carried_directions({"instruct": FittedSide(knowing, ())}, copied, resamples=300, foldings=2)
    assert row.p_added is not None
    assert row.p_added > 0.05


def _copying(side: FittedBaselines, answers: Answers) -> Answers:
    stream = np.zeros((len(answers.features), LAYERS, WIDTH))
    stream[:, 0, 0] = side.probe.scores(answers.features.answer)
    return with_stream(answers, stream)


def test_too_few_questions_for_folds_say_nothing_of_what_is_added() -> None:
    fitted, tests = sides({"instruct": 1.0, "base": 1.0})
    few = {stage: {"trivia": take(found["trivia"], range(20))} for stage, found in tests.items()}
    carried, _ = carried_directions(fitted, few, resamples=50, foldings=2)
    assert [(row.added, row.p_added) for row in carried] == [(None, None)] * 4
    assert all(row.gain.high > 0 for row in carried)


def test_streams_in_another_dtype_or_on_disk_are_read_alike(found: Mapping[str, Directions], trained: Answers) -> None:
    half = NeuronRows.of(trained.features.residual.all().astype(np.float16))
    for directions in found.values():
        exact = directions.scores(trained.features.residual)
        np.testing.assert_allclose(directions.scores(half), exact, atol=0.01 * np.abs(exact).max())
