"""Standard deviations are those of the nulls, and what is called detectable is detected in four of five cases."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from provenance.activations.features import Features
from provenance.analyses.claims.power import DETECTABLE_SDS, chance_sd, drift_power, overlap_power, transfer_power
from provenance.analyses.results.claims import Power
from provenance.analyses.results.drift import DriftTest
from provenance.analyses.results.overlap import OverlapNull
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.records import Estimate
from provenance.statistics.auroc import auroc

KNOWN = {"trivia": 0.07}


def result(n_faithful: int, n_hallucinated: int, dataset: str = "trivia") -> TransferResult:
    return TransferResult(dataset, None, n_faithful, n_hallucinated, "not distinguishable", "")


def rung(kind: str, area: float | None, gain_sd: float | None, dataset: str = "trivia") -> Rung:
    estimate = None if area is None else Estimate(area, area - 0.05, area + 0.05, 70)
    return Rung(dataset, kind, estimate, estimate, 0.1, 0.1, 0, gain_sd=gain_sd)


def drift_test(**changes: object) -> DriftTest:
    plain = DriftTest(
        "hallucinated", "delta", "layer", 5, Estimate(0.8, 0.6, 1.1, 5), 0.2, 0.8, 0.74, 0.12, 0.6, None, None
    )
    return replace(plain, **changes)


def answers(positive: np.ndarray, per_question: int = 1) -> Features:
    """Answers with these labels, so many of each question, and one neuron that says nothing."""
    rows, nothing = range(positive.size), np.ones((positive.size, 1), dtype=np.float32)
    units = tuple(f"q{row // per_question}" for row in rows)
    return Features.of(nothing, nothing, positive, units, tuple(f"r{row}" for row in rows))


def test_the_sd_against_chance_is_that_of_hanley_and_mcneil_where_each_question_has_one_answer() -> None:
    found = chance_sd(np.random.default_rng(0).normal(size=70), answers(np.arange(70) < 30), draws=4000)
    assert found == pytest.approx(np.sqrt(71 / (12 * 40 * 30)), rel=0.04)  # 4,000 draws: 1.1 %
    [row] = transfer_power([result(40, 30)], [], 5, {"trivia": 0.07})
    assert row == Power("transfer", "chance", "trivia", 5, 70, 0.07, row.smallest_detectable, "AUROC")
    assert row.smallest_detectable == pytest.approx(0.5 + 2.4865 * 0.07, abs=1e-4)


def test_answers_of_one_question_that_belong_together_make_the_sd_larger() -> None:
    """Four answers of each of 30 questions with one score: as many independent ones as there are questions."""
    scores, labels = np.repeat(np.random.default_rng(0).normal(size=30), 4), np.repeat(np.arange(30) < 15, 4)
    found = chance_sd(scores, answers(labels, 4), draws=2000)
    assert found == pytest.approx(np.sqrt(31 / (12 * 15 * 15)), rel=0.05)
    by_row = chance_sd(scores, answers(labels), draws=2000)  # what counting rows would say
    assert found > 1.8 * by_row


def test_a_signal_of_the_smallest_detectable_size_is_found_in_four_of_five_cases() -> None:
    rng = np.random.default_rng(1)
    sd = chance_sd(rng.normal(size=120), answers(np.arange(120) < 60))
    [row] = transfer_power([result(60, 60)], [], 5, {"trivia": sd})
    assert row.smallest_detectable is not None

    def found(area: float) -> float:
        positive, shift = np.arange(120) < 60, np.sqrt(2) * norm.ppf(area)
        areas = np.array([auroc(rng.normal(size=120) + shift * positive, positive) for _ in range(1500)])
        return float((areas > 0.5 + norm.ppf(0.95) * row.sd).mean())

    assert found(row.smallest_detectable) == pytest.approx(0.8, abs=0.04)
    assert found((0.5 + row.smallest_detectable) / 2) < 0.5
    assert found(0.5) == pytest.approx(0.05, abs=0.02)


def test_against_a_baseline_it_is_the_baseline_and_the_spread_of_the_gain() -> None:
    rungs = [rung("random", 0.6, 0.04), rung("answer_text", None, None), rung("question_text", 0.9, 0.05)]
    elsewhere = rung("random", 0.6, 0.04, dataset="other")
    chance, random, question = transfer_power([result(40, 30)], [*rungs, elsewhere], 5, KNOWN)
    assert (chance.test, random.test, question.test) == ("chance", "random", "question_text")
    assert (random.k, random.n, random.sd) == (5, 70, 0.04)
    assert random.smallest_detectable == pytest.approx(0.6 + 2.486 * 0.04, abs=1e-4)
    assert question.smallest_detectable is None  # 1.02


def test_a_perfect_baseline_leaves_nothing_to_detect() -> None:
    _, row = transfer_power([result(40, 30)], [rung("all_together", 1.0, 0.0)], 5, KNOWN)
    assert (row.sd, row.smallest_detectable) == (0.0, None)


@pytest.mark.parametrize(("faithful", "hallucinated"), [(0, 30), (30, 0), (0, 0)])
def test_one_class_has_no_row_and_two_answers_detect_nothing(faithful: int, hallucinated: int) -> None:
    labels = np.arange(faithful + hallucinated) < hallucinated
    assert chance_sd(np.arange(labels.size) * 1.0, answers(labels)) is None
    assert transfer_power([result(faithful, hallucinated)], [], 5, {"trivia": None}) == ()
    assert transfer_power([result(40, 30)], [], 5, {}) == ()
    two = chance_sd(np.arange(2.0), answers(np.array([True, False])))
    [row] = transfer_power([result(1, 1)], [], 5, {"trivia": two})
    assert row.smallest_detectable is None


def test_what_cannot_vary_has_no_sd() -> None:
    """Otherwise 0 would be printed as: found from 0.50 on."""
    labels = np.arange(40) < 20
    assert chance_sd(np.zeros(40), answers(labels)) is None
    for seed in range(40):
        assert chance_sd(np.random.default_rng(seed).normal(size=40), answers(labels, 40)) is None
    assert chance_sd(np.where(np.arange(40) == 3, np.nan, 1.0 * np.arange(40)), answers(labels)) is None
    assert chance_sd(np.arange(40.0), answers(labels)) is not None


def test_drift_has_a_row_for_each_test_and_one_for_ranks_without_layers() -> None:
    tests = [
        drift_test(),
        drift_test(matching="layer_norm", sd=0.1, smallest_detectable=None),
        drift_test(side="faithful", measure="gate", k=3),
    ]
    rows = drift_power(tests)
    assert [row.test for row in rows] == [
        "uniform", "delta/layer", "delta/layer_norm", "faithful/uniform", "faithful/gate/layer",
    ]  # fmt: skip
    assert [(row.k, row.n) for row in rows] == [(5, 0), (5, 0), (5, 0), (3, 0), (3, 0)]
    ranks = np.random.default_rng(0).random((20_000, 5)).mean(axis=1)
    assert rows[0].sd == pytest.approx(ranks.std(), rel=0.03)
    assert rows[0].smallest_detectable == pytest.approx(0.5 + 2.4865 / np.sqrt(60), abs=1e-4)
    assert [(row.sd, row.smallest_detectable) for row in rows[1:3]] == [(0.12, 0.74), (0.1, None)]
    assert [row.unit == "mean stability rank" for row in rows] == [row.test.endswith("uniform") for row in rows]
    assert {row.unit for row in rows} == {"mean stability rank", "factor of change"}


def test_no_neuron_has_no_power_row_and_one_neuron_detects_nothing() -> None:
    assert drift_power([]) == ()
    assert drift_power([drift_test(k=1)])[0].smallest_detectable is None  # 1.22


def test_overlap_has_a_row_for_each_null() -> None:
    nulls = [
        OverlapNull("hypergeometric", 0.3, 0.5, 0.1, 0.7, 3.2, 0),
        OverlapNull("layer", 1.0, 0.9, 0.2, 0.4, None, 0),
    ]
    rows = overlap_power(nulls, 31, 24)
    assert [(row.test, row.k, row.sd, row.smallest_detectable) for row in rows] == [
        ("hypergeometric", 24, 0.5, 3.2),
        ("layer", 24, 0.9, None),
    ]
    assert overlap_power([], 31, 24) == ()
    assert abs(DETECTABLE_SDS - (1.6449 + 0.8416)) < 1e-4
