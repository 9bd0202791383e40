"""The probe on refusals: planted kinds of a probe come out as what they are, and too few are said."""

from collections.abc import Callable

import numpy as np
import pytest

from provenance.activations.features import Features
from provenance.analyses.transfer.refusals import refusal_contrast
from provenance.probe.sparse_probe import Probe
from provenance.statistics.auroc import auroc

MISSING, INVENTED, NEURONS = 3, 8, 12
"""A neuron that is active where knowledge is missing, and one that is active where something is invented."""


def refused(count: int) -> Features:
    rng = np.random.default_rng(1)
    answer = rng.gamma(4.0, 0.0025, size=(count, NEURONS))
    answer[:, MISSING] += 0.03
    ids = tuple(f"r{i}" for i in range(count))
    values = answer.astype(np.float32)
    return Features.of(values, values, np.zeros(count, dtype=bool), ids, ids)


def probe_of(neuron: int) -> Probe:
    weights = np.zeros(NEURONS)
    weights[neuron] = 100.0
    return Probe(weights, -2.0, 1.0, "3-vs-1", True)


@pytest.mark.parametrize(
    ("neuron", "hard"), [(MISSING, "hallucinated"), (INVENTED, "faithful"), (0, "hallucinated and faithful")]
)
def test_a_probe_of_missing_knowledge_takes_refusals_for_hallucinations_and_one_of_invention_does_not(
    features: Callable[..., Features], neuron: int, hard: str
) -> None:
    answers = features(NEURONS, [MISSING, INVENTED], strength=3.0, faithful=40, hallucinated=50)
    refusals, probe = refused(30), probe_of(neuron)
    found = refusal_contrast("instruct", "trivia", "test", probe, answers, refusals)
    assert (found.n_refusal, found.n_faithful, found.n_hallucinated) == (30, 40, 50)
    assert (found.finding, found.reason) == (hard, "")
    said, told = probe.scores(answers.answer), probe.scores(refusals.answer)
    assert found.from_hallucinated is not None
    assert found.from_faithful is not None
    assert found.detected is not None
    above = auroc(np.concatenate([said[answers.hallucinated], told]), np.arange(80) < 50)
    below = auroc(np.concatenate([told, said[~answers.hallucinated]]), np.arange(70) < 30)
    assert found.from_hallucinated.estimate == pytest.approx(above, abs=1e-12)
    assert found.from_faithful.estimate == pytest.approx(below, abs=1e-12)
    for area in (found.from_hallucinated, found.from_faithful):
        assert area.low <= area.estimate <= area.high
    assert found.detected.estimate == (told > 0).mean()
    base = refusal_contrast("base", "trivia", "test", probe, answers, refusals)
    assert (base.detected, base.from_faithful) == (None, found.from_faithful)


def test_too_few_refusals_answers_or_no_probe_are_said(features: Callable[..., Features]) -> None:
    many = features(NEURONS, [MISSING], strength=3.0, faithful=40, hallucinated=40)
    few = features(NEURONS, [MISSING], strength=3.0, faithful=9, hallucinated=40)
    cases = {
        "3 refused questions (10 needed)": (probe_of(0), many, refused(3)),
        "0 refused questions (10 needed)": (probe_of(0), many, many.take([])),
        "9 faithful questions (10 needed)": (probe_of(0), few, refused(30)),
        "there is no probe": (None, many, refused(30)),
        "every answer gets the same score, so no power": (
            Probe(np.zeros(NEURONS), 0.0, 1.0, "3-vs-1", True),
            many,
            refused(30),
        ),
    }
    for reason, (probe, answers, refusals) in cases.items():
        found = refusal_contrast("instruct", "trivia", "train", probe, answers, refusals)
        assert (found.reason, found.from_faithful) == (reason, None)
    assert refusal_contrast("instruct", "t", "test", probe_of(0), few, refused(30)).from_hallucinated is not None
