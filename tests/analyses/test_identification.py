"""Choosing C, fitting, and held-out numbers, on features with planted neurons."""

import numpy as np
import pytest

from analyses.identification import ProbeSettings, balanced_accuracy, choose_c, identify
from provenance.features import Features
from provenance.records import Label

LAYERS, D_M = 4, 100
EVEN: dict[Label, int] = {"faithful": 50, "hallucinated": 50}
PLANTED = (13, 261)
SETTINGS = ProbeSettings(steps=(1.5, 4.0, 12.0))


def planted(rows: int, seed: int, strength: float = 0.04, *, one_class: bool = False) -> Features:
    rng = np.random.default_rng(seed)
    answer = rng.gamma(2.0, 0.01, (rows, LAYERS * D_M)).astype(np.float32)
    other = rng.gamma(2.0, 0.01, (rows, LAYERS * D_M)).astype(np.float32)
    hallucinated = np.zeros(rows, dtype=bool) if one_class else np.arange(rows) % 2 == 0
    for neuron in PLANTED:
        answer[hallucinated, neuron] += strength
    names = tuple(f"{seed}-{i}" for i in range(rows))
    return Features(answer, other, hallucinated, names, names)


def test_planted_neurons_are_found_and_beat_random_ones() -> None:
    found = identify(
        "instruct",
        planted(300, 0),
        planted(100, 1),
        {"in-domain": planted(200, 2)},
        layers=LAYERS,
        d_m=D_M,
        settings=SETTINGS,
    )
    result = found.result
    assert found.probe is not None
    assert set(PLANTED) <= set(result.h_neurons.tolist())
    assert result.n_train == {"faithful": 200, "hallucinated": 200}
    held = result.test[0]
    assert held.auroc is not None
    assert held.accuracy is not None
    assert held.random_accuracy is not None
    assert held.auroc.low > 0.8
    assert held.random_accuracy.high < held.accuracy.low
    assert len(held.random_draws) == 20
    assert held.random_accuracy.estimate == pytest.approx(np.mean(held.random_draws))


def test_test_rows_take_no_part_in_the_fit() -> None:
    """Whatever the test set holds, the probe and its C are the same."""
    fits = [
        identify("base", planted(200, 0), planted(80, 1), {"a": planted(60, seed, strength)}, layers=LAYERS, d_m=D_M,
                 settings=SETTINGS).result
        for seed, strength in ((2, 0.04), (3, -0.02))
    ]  # fmt: skip
    assert fits[0].C == fits[1].C
    np.testing.assert_array_equal(fits[0].weights, fits[1].weights)


@pytest.mark.parametrize("missing", ["training", "validation"])
def test_a_missing_class_gives_a_reason_and_no_probe(missing: str) -> None:
    parts = {name: planted(60, 0, one_class=name == missing) for name in ("training", "validation")}
    found = identify("base", parts["training"], parts["validation"], {}, layers=LAYERS, d_m=D_M, settings=SETTINGS)
    assert found.probe is None
    assert missing in found.result.reason
    assert found.result.h_neurons.size == 0


def test_no_responses_at_all_give_a_reason() -> None:
    empty = planted(60, 0).take([])
    found = identify("base", empty, empty, {}, layers=LAYERS, d_m=D_M, settings=SETTINGS)
    assert "0 faithful and 0 hallucinated" in found.result.reason


def test_a_one_class_test_set_has_no_numbers() -> None:
    found = identify(
        "base",
        planted(100, 0),
        planted(60, 1),
        {"fabricated": planted(20, 2, one_class=True)},
        layers=LAYERS,
        d_m=D_M,
        settings=SETTINGS,
    )
    held = found.result.test[0]
    assert (held.accuracy, held.auroc, held.random_accuracy) == (None, None, None)
    assert (held.n_faithful, held.n_hallucinated) == (20, 0)


def test_the_smallest_c_within_one_standard_error_wins() -> None:
    path = ((0.1, 0, 0, 0.5), (1.0, 3, 3, 0.79), (10.0, 9, 12, 0.85), (100.0, 30, 60, 0.88), (1000.0, 90, 200, 0.87))
    assert choose_c(path, EVEN) == 10.0  # 0.88 - sqrt(0.88 * 0.12 / 100) = 0.8475
    assert choose_c(path, {"faithful": 5, "hallucinated": 5}) == 1.0
    assert choose_c(path, {"faithful": 95, "hallucinated": 3}) == 1.0  # the small class decides the error
    assert choose_c(path, {"faithful": 10**6, "hallucinated": 10**6}) == 100.0
    assert choose_c(((0.1, 0, 2, 0.9),), EVEN) is None  # negative weights only: no H-Neurons


def test_balanced_accuracy_is_the_accuracy_of_a_balanced_set() -> None:
    scores = np.array([1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    positive = np.array([True, True, False, False, False, True])
    assert balanced_accuracy(scores, positive) == pytest.approx((2 / 3 + 1) / 2)


def test_the_path_ends_where_the_training_rows_are_separated() -> None:
    """A larger C would only scale the weights; without separation the whole path is walked."""
    grid = (1.0, 10.0, 100.0, 1000.0, 1e5)
    separable, noisy = (
        identify("base", planted(60, 0, strength), planted(60, 1, strength), {}, layers=LAYERS, d_m=D_M,
                 settings=ProbeSettings(design="1-vs-1", steps=grid if strength else grid[:2])).result
        for strength in (5.0, 0.0)
    )  # fmt: skip
    assert len(separable.path) < len(grid)
    assert len(noisy.path) == 2


def test_a_probe_that_loses_its_neurons_in_the_refit_is_none() -> None:
    """Training and validation that contradict each other leave nothing, and a reason."""
    train, against = planted(80, 0, 5.0), planted(80, 1, 5.0)
    turned = Features(against.answer, against.other, ~against.hallucinated, against.units, against.question_ids)
    both = ProbeSettings(design="1-vs-1", steps=(1.5,))
    found = identify("base", train, turned, {}, layers=LAYERS, d_m=D_M, settings=both)
    assert found.probe is None or len(found.probe.h_neurons)
    assert found.result.reason or found.result.h_neurons.size
