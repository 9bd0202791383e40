"""Draws hold what they were asked to hold: planted effects, nuisances that explain, and nothing else."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.baselines.plain_classifiers import fit_columns, fit_text
from provenance.analyses.calibration.made_up_pairs import (
    ANSWER_EFFECT,
    SPREAD,
    Shape,
    TransferNuisance,
    drift_draw,
    overlap_draw,
    transfer_draw,
)
from provenance.statistics.auroc import auroc, aurocs

SHAPE = Shape()
LARGE = Shape(train=400, test=400)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def log_cett(answers: Answers) -> np.ndarray:
    return np.log(answers.features.answer.all().astype(np.float64))


@pytest.mark.parametrize("effect", [0.0, 0.5, 1.0])
def test_the_planted_effect_is_the_difference_between_labels_in_sd(effect: float) -> None:
    """On the base's carriers, and on no other neuron; the instruct model's carriers always have theirs."""
    draw = transfer_draw(LARGE, effect, "none", rng())
    values, labels = log_cett(draw.base_test), draw.base_test.features.hallucinated
    difference = (values[labels].mean(axis=0) - values[~labels].mean(axis=0)) / values[~labels].std(axis=0)
    others = np.setdiff1d(np.arange(SHAPE.neurons), draw.carriers)
    assert difference[draw.carriers].mean() == pytest.approx(effect, abs=0.15)  # SE of six neurons: 0.04, clustered
    assert difference[others].mean() == pytest.approx(0, abs=0.05)
    own = aurocs(draw.instruct.features.answer.all(), draw.instruct.features.hallucinated)
    assert own[draw.carriers].min() > 0.75 > own[others].max()


def test_answers_of_a_unit_are_alike_and_share_a_label() -> None:
    """Correlation of 0.5 within units, none between: a row-level bootstrap would believe too much."""
    draw = transfer_draw(LARGE, 0.0, "none", rng(1))
    values, units = log_cett(draw.base), np.array(draw.base.features.units)
    first, second = values[::2], values[1::2]
    np.testing.assert_array_equal(units[::2], units[1::2])
    np.testing.assert_array_equal(draw.base.features.hallucinated[::2], draw.base.features.hallucinated[1::2])
    scaled = [(half - values.mean(axis=0)) / values.std(axis=0) for half in (first, second)]
    assert (scaled[0] * scaled[1]).mean() == pytest.approx(0.5, abs=0.02)
    assert (scaled[0][1:] * scaled[1][:-1]).mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("nuisance", ["answer length", "question text"])
def test_a_nuisance_explains_what_its_neurons_say(nuisance: TransferNuisance) -> None:
    """The base's carriers tell its labels apart, and what anybody can see of an answer does so at least as well."""
    draw = transfer_draw(LARGE, 0.0, nuisance, rng(2))
    labels = draw.base_test.features.hallucinated
    carried = auroc(log_cett(draw.base_test)[:, draw.carriers].mean(axis=1), labels)
    train = draw.instruct.features.hallucinated
    if nuisance == "answer length":
        seen = fit_columns(draw.instruct.tokens[:, None].astype(float), train)(draw.base_test.tokens[:, None] * 1.0)
    else:
        seen = fit_text(draw.instruct.questions, train)(draw.base_test.questions)
    assert carried > 0.7
    assert auroc(seen, labels) > carried - 0.01
    plain = transfer_draw(LARGE, 0.0, "none", rng(2)).base_test  # the check can fail: without it neither says anything
    assert abs(auroc(log_cett(plain)[:, draw.carriers].mean(axis=1), plain.features.hallucinated) - 0.5) < 0.1
    assert abs(np.corrcoef(plain.tokens, plain.features.hallucinated)[0, 1]) < 0.1


def test_a_nuisance_of_every_neuron_is_read_by_any_of_them() -> None:
    draw = transfer_draw(LARGE, 0.0, "every neuron", rng(3))
    areas = aurocs(draw.base_test.features.answer.all(), draw.base_test.features.hallucinated)
    assert areas.min() > 0.6
    others = np.setdiff1d(np.arange(LARGE.neurons), draw.carriers)
    assert areas[draw.carriers].mean() == pytest.approx(areas[others].mean(), abs=0.03)


def test_shared_carriers_are_as_many_as_asked_and_otherwise_what_chance_gives() -> None:
    shape = Shape(layers=2, d_m=180, carriers=40)
    for share, expected in ((1.0, 40.0), (0.5, 20 + 20 * 20 / 340), (0.0, 40 * 40 / 360)):
        draws = [overlap_draw(shape, share, 0, rng(seed)) for seed in range(10)]
        counts = [np.intersect1d(draw.carriers, draw.base_carriers).size for draw in draws]
        assert np.mean(counts) == pytest.approx(expected, abs=2.5)
        assert all(draw.base_carriers.size == 40 for draw in draws)


def test_answer_neurons_fire_on_answers_of_both_models_whatever_the_label() -> None:
    """Louder there by as many SD as planted, the same neurons in both, and no better at labels than others."""
    draw = overlap_draw(LARGE, 0.0, 20, rng(4))
    found = []
    for answers in (draw.instruct, draw.base):
        features = answers.features
        louder = np.log(features.answer.all() / features.other.all()).mean(axis=0) / SPREAD
        found.append(np.flatnonzero(louder > ANSWER_EFFECT / 2))
        assert louder[found[-1]].mean() == pytest.approx(ANSWER_EFFECT, abs=0.05)
        silent = np.setdiff1d(found[-1], np.union1d(draw.carriers, draw.base_carriers))
        assert np.abs(aurocs(features.answer.all(), features.hallucinated)[silent] - 0.5).max() < 0.1
    np.testing.assert_array_equal(*found)
    assert found[0].size == 20


def test_stable_neurons_changed_less_and_others_did_not() -> None:
    """One SD of log change moves the mean rank of a normal one to Phi(1 / sqrt 2) = 0.76."""
    ranks = {effect: drift_draw(4, 512, 400, effect, "none", rng(5)) for effect in (0.0, 1.0)}
    means = {effect: draw.drift.stability_rank[draw.h_neurons].mean() for effect, draw in ranks.items()}
    assert means[0.0] == pytest.approx(0.5, abs=0.05)
    assert means[1.0] == pytest.approx(0.72, abs=0.05)  # 400 of 2,048 neurons move against one another as well


@pytest.mark.parametrize("nuisance", ["layer", "norm", "activity"])
def test_a_trend_makes_its_neurons_stable_and_likelier_to_be_in_the_set(nuisance: str) -> None:
    draw = drift_draw(4, 512, 400, 0.0, nuisance, rng(6))  # type: ignore[arg-type]
    drift = draw.drift
    trend = {
        "layer": np.repeat(np.arange(4), 512),
        "norm": drift.norm_up_base * drift.norm_down_base,
        "activity": draw.activity,
    }
    assert spearmanr(trend[nuisance], drift.stability_rank)[0] > 0.3
    assert drift.stability_rank[draw.h_neurons].mean() > 0.55  # the number that is reported does move
    for other in set(trend) - {nuisance}:
        assert abs(spearmanr(trend[other], drift.stability_rank)[0]) < 0.1


def test_the_same_seed_gives_the_same_draw() -> None:
    first, again, other = (transfer_draw(SHAPE, 0.5, "none", rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(log_cett(first.base), log_cett(again.base))
    assert first.base_test.questions == again.base_test.questions
    assert not np.array_equal(log_cett(first.base), log_cett(other.base))
