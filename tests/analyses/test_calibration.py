"""The engine is right about planted truths and silent about nuisances, and one that is not is caught."""

import os
import signal
from typing import Any

import numpy as np
import pytest
from memory_logs import Silent
from scipy.stats import binom

from analyses.calibration import (
    CLAIMS,
    JUDGES,
    PLANTED,
    CalibrationSettings,
    Claim,
    Condition,
    Judge,
    calibrate,
    clopper_pearson,
    conditions,
    judged,
    meets,
    must_be,
    rate_of,
    searched,
)
from analyses.calibration_draws import drift_draw, overlap_draw, transfer_draw
from analyses.drift import welch_p
from analyses.overlap import overlap
from provenance.errors import InputError, JobError
from provenance.records import Verdict
from provenance.resampling import estimate_of, resampled_aurocs, resampled_weights

FEW = CalibrationSettings(draws=8, control_sets=25, resamples=100, permutations=400, shuffles=20)


def against_chance(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """A broken engine of transfer: the interval lies above 0.5, as the paper has it."""
    draw = transfer_draw(settings.small, condition.effect, condition.world, rng)  # type: ignore[arg-type]
    probe, _ = searched(draw.instruct, settings, 0, shuffles=0)
    features = draw.base_test.features
    weights = resampled_weights(features.units, draws=settings.resamples)
    scores = probe.scores(features.answer)[:, None]
    area = estimate_of(resampled_aurocs(scores, features.hallucinated, weights), len(features))
    return "supported" if area.low > 0.5 else "not distinguishable"


def against_all_neurons(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """A broken engine of drift: the paper's t-test against all other neurons."""
    draw = drift_draw(4, 512, settings.drift_k, condition.effect, condition.world, rng)  # type: ignore[arg-type]
    p_value = welch_p(draw.drift.stability_rank, draw.h_neurons)
    return "supported" if p_value is not None and p_value < 0.05 else "not distinguishable"


def against_any_neurons(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """A broken engine of overlap: the hypergeometric null alone."""
    shape = settings.shared
    draw = overlap_draw(shape, condition.effect, settings.answer_neurons, rng)
    found = [searched(answers, settings, 0, shuffles=0)[0].h_neurons for answers in (draw.base, draw.instruct)]
    p_value = overlap(found[0], found[1], shape.neurons).p_hypergeometric
    return "supported" if p_value is not None and p_value < 0.05 else "not distinguishable"


BROKEN: dict[Claim, Judge] = {
    "transfer": against_chance,
    "drift": against_all_neurons,
    "overlap": against_any_neurons,
}


def test_exact_intervals_are_those_whose_ends_leave_a_fortieth_on_either_side() -> None:
    """By the binomial distribution itself; and none or all of the draws give one-sided ones."""
    for hits, n in ((3, 20), (10, 200), (199, 200)):
        low, high = clopper_pearson(hits, n)
        assert binom.sf(hits - 1, n, low) == pytest.approx(0.025)
        assert binom.cdf(hits, n, high) == pytest.approx(0.025)
    assert clopper_pearson(0, 200) == (0.0, pytest.approx(1 - 0.025 ** (1 / 200)))
    assert clopper_pearson(200, 200)[1] == 1.0


def test_exact_intervals_cover_and_the_usual_ones_do_not() -> None:
    """Summed over all outcomes of 40 draws at a rate of 5 %; the normal interval misses far more than one in twenty."""
    outcomes, n, truth = np.arange(41), 40, 0.05
    chance = binom.pmf(outcomes, n, truth)
    exact = np.array([clopper_pearson(hits, n) for hits in outcomes.tolist()])
    assert chance[(exact[:, 0] <= truth) & (truth <= exact[:, 1])].sum() >= 0.95
    share = outcomes / n
    half = 1.96 * np.sqrt(share * (1 - share) / n)
    assert chance[np.abs(share - truth) <= half].sum() < 0.9


def test_false_alarms_are_wrong_when_shown_to_be_more_than_one_in_twenty() -> None:
    null, planted = Condition("drift", PLANTED, 0.0), Condition("drift", PLANTED, 0.5)

    def rate(condition: Condition, hits: int) -> Any:
        return rate_of(condition, ["supported"] * hits + ["no power"] * 3 + ["not distinguishable"] * (197 - hits))

    assert rate(null, 10).as_expected
    assert not rate(null, 20).as_expected
    assert rate(planted, 197).as_expected
    assert (rate(null, 20).supported, rate(null, 20).no_power, rate(null, 20).rate.estimate) == (20, 3, 0.1)


def test_every_claim_has_planted_effects_a_null_and_a_nuisance() -> None:
    found = conditions()
    assert len(set(found)) == len(found)
    for claim in JUDGES:
        own = [each for each in found if each.claim == claim]
        assert sum(not each.is_null for each in own) >= 2
        assert {each.world for each in own if each.is_null} > {PLANTED}


@pytest.mark.parametrize("claim", JUDGES)
def test_what_is_planted_is_found(claim: Claim) -> None:
    """At the largest effect of the grid nearly always; with nothing planted at most once in eight draws."""
    full, none = calibrate(
        FEW, Silent(), only=[Condition(claim, PLANTED, 1.0), Condition(claim, PLANTED, 0.0)], workers=1
    )
    assert full.supported >= 6
    assert none.supported <= 1


@pytest.mark.parametrize(
    ("claim", "world"),
    [
        ("transfer", "answer length"), ("transfer", "question text"), ("transfer", "every neuron"), ("drift", "layer"),
        ("drift", "norm"), ("overlap", "answer neurons"),
    ],
)  # fmt: skip
def test_an_engine_with_the_wrong_null_is_caught_by_the_nuisances(claim: Claim, world: str) -> None:
    """It calls nothing at all supported in most draws; the engine itself in one of eight at most."""
    nuisance = [Condition(claim, world, 0.0)]
    [broken] = calibrate(FEW, Silent(), only=nuisance, judges=BROKEN, workers=1)
    assert broken.supported >= 4
    assert not broken.as_expected
    [engine] = calibrate(FEW, Silent(), only=nuisance, workers=1)
    assert engine.supported <= 1


def test_a_draw_depends_on_its_number_alone() -> None:
    """Not on how many are made, on what else is judged, or on how many processes judge."""
    planted = Condition("drift", PLANTED, 0.25)
    numbers = [3, 0, 2, 1]
    by_hand = {number: judged(planted, number, FEW, JUDGES) for number in numbers}
    seen: list[int] = []

    def remembered(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
        seen.append(int(rng.integers(2**31)))
        return "no power"

    everything: dict[Claim, Judge] = {"transfer": remembered, "drift": remembered, "overlap": remembered}
    calibrate(CalibrationSettings(draws=3), Silent(), judges=everything, workers=1)
    assert len(set(seen)) == len(seen) == 3 * len(conditions())  # no two draws of any kind are the same
    settings = CalibrationSettings(draws=4, permutations=FEW.permutations)
    alone, shared = (calibrate(settings, Silent(), only=[planted], workers=workers) for workers in (1, 2))
    assert alone == shared
    assert alone[0].supported == sum(verdict == "supported" for verdict in by_hand.values())


def test_what_cannot_be_calibrated_is_refused() -> None:
    with pytest.raises(InputError, match="0 draws"):
        calibrate(CalibrationSettings(draws=0), Silent(), workers=1)
    with pytest.raises(InputError, match="5 shuffles"):
        calibrate(CalibrationSettings(shuffles=5), Silent(), workers=1)
    with pytest.raises(InputError, match="19 control sets"):  # the smallest p is then 1 / 20
        calibrate(CalibrationSettings(control_sets=19), Silent(), workers=1)


def test_what_lab_cases_must_be() -> None:
    """Only inherited may be supported in transfer; a control in nothing, and its transfer has to be decided."""

    def right(family: str, control: str | None, transfer: Verdict, drift: Verdict = "not distinguishable") -> bool:
        required = must_be(family, control)
        return meets(transfer, required["transfer"]) and meets(drift, required["drift"])

    assert right("inherited", None, "supported")
    assert not right("inherited", None, "no power")
    assert right("acquired", None, "no power", "supported")
    assert not right("acquired", None, "supported")
    assert right("inherited", "unrelated", "not distinguishable", "no power")
    assert not right("inherited", "unrelated", "no power")
    assert not right("acquired", "permuted-index", "not distinguishable", "supported")


def killed(*_: object) -> Verdict:
    """A process that the system ends, as for lack of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "supported"


def test_a_process_that_the_system_ends_is_said_to_be() -> None:
    with pytest.raises(JobError, match="lack of memory"):
        calibrate(FEW, Silent(), only=conditions()[:1], judges=dict.fromkeys(CLAIMS, killed), workers=2)
