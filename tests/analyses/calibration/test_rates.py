"""The engine is right about planted truths and silent about nuisances, and one that is not is caught."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from memory_logs import Silent
from scipy.stats import binom

from provenance.analyses.baselines.ladder import ALL_TOGETHER
from provenance.analyses.calibration import rates
from provenance.analyses.calibration.made_up_pairs import drift_draw, transfer_draw
from provenance.analyses.calibration.rates import (
    CLAIMS,
    COMPLIANCE,
    JUDGES,
    PLANTED,
    SAME_QUESTIONS,
    SUPPORTED_IN,
    CalibrationSettings,
    ClaimName,
    Condition,
    Judge,
    calibrate,
    clopper_pearson,
    conditions,
    judged,
    meets,
    must_be,
    overlap_world,
    rate_of,
    searched,
)
from provenance.analyses.claims.claim_conditions import decided, drift_claim, overlap_claim, transfer_claim
from provenance.analyses.controls.control_sets import SHUFFLED_LABELS
from provenance.analyses.drift.drift_tests import drift_tests
from provenance.analyses.drift.weight_drift import welch_p
from provenance.analyses.overlap.overlap_nulls import overlap_nulls
from provenance.analyses.overlap.shared_neurons import overlap
from provenance.analyses.results.drift import ProbeSide
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.analyses.search.shuffled_labels import shuffled_jointly
from provenance.analyses.transfer.probe_transfer import DECIDING_KINDS, LENGTHS_AND_TEXTS
from provenance.errors import InputError, JobError
from provenance.lab.recipes import RECIPES
from provenance.records import Verdict
from provenance.statistics.bootstrap import estimate_of, resampled_aurocs, resampled_weights

pytestmark = pytest.mark.usefixtures("shapes_unchecked")
FEW = CalibrationSettings(draws=8, control_sets=25, resamples=100, foldings=1, permutations=400, shuffles=20)
QUICKLY_JUDGED = ("drift", "overlap")
"""Claims of which a draw takes no probe; slow tests judge the others."""


@pytest.fixture(scope="module", autouse=True)
def _carried_over_once() -> Iterator[None]:
    """What an engine and a broken one make of the same draw is worked out once."""
    kept: dict[object, tuple[tuple[TransferResult, ...], tuple[Rung, ...]]] = {}
    original = rates.carried_over

    def remembered(
        condition: Condition, rng: np.random.Generator, settings: CalibrationSettings
    ) -> tuple[tuple[TransferResult, ...], tuple[Rung, ...]]:
        key = (condition, str(rng.bit_generator.state), settings)
        if key not in kept:
            kept[key] = original(condition, rng, settings)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "carried_over", remembered)
        yield


def against_chance(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """A broken engine of transfer: the interval lies above 0.5, as the paper has it."""
    draw = transfer_draw(settings.small, condition.effect, condition.world, rng)  # type: ignore[arg-type]
    probe, _ = searched(draw.instruct, settings)
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
    draw, shape = overlap_world(condition, rng, settings)
    found = [searched(answers, settings)[0].h_neurons for answers in (draw.base, draw.instruct)]
    p_value = overlap(found[0], found[1], shape.neurons).p_hypergeometric
    return "supported" if p_value is not None and p_value < 0.05 else "not distinguishable"


def without_own_words(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """A broken engine of transfer: neither what words say in the base's own answers, nor shuffled labels."""
    _, rungs = rates.carried_over(condition, rng, settings)
    left_out = (LENGTHS_AND_TEXTS, SHUFFLED_LABELS)
    known = [rung.p_value for rung in rungs if rung.kind in DECIDING_KINDS and rung.kind not in left_out]
    return "supported" if max(p_value or 0.0 for p_value in known) < 0.05 else "not distinguishable"


def whatever_transfers(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """A broken engine of beyond_confidence: what adds to the others need not read the base."""
    _, rungs = rates.carried_over(condition, rng, settings)
    p_value = next(rung.p_holm for rung in rungs if rung.kind == ALL_TOGETHER)
    return "supported" if p_value is not None and p_value < 0.05 else "not distinguishable"


def whatever_it_adds(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """A broken engine of beyond_confidence: what transfers is taken to be more than confidence, whatever the labels."""
    results, rungs = rates.carried_over(condition, rng, settings)
    some = [rung for rung in rungs if rung.kind != SHUFFLED_LABELS]  # they read confidence as well
    return transfer_claim(decided(results, some), some, "").verdict


def of_sums(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """A broken engine of drift: changes of up and down are added, and like neurons have one product of norms.

    The larger change rules a sum, so neurons whose norms are alike in both seem to change less.
    """
    draw = drift_draw(4, 512, settings.drift_k, condition.effect, condition.world, rng)  # type: ignore[arg-type]
    drift = draw.drift
    total, product_of_norms = drift.delta_up + drift.delta_down, drift.norm_up_base * drift.norm_down_base
    same = replace(
        drift, delta_up=total, delta_down=total, norm_up_base=product_of_norms, norm_down_base=np.ones(4 * 512)
    )
    sides: dict[ProbeSide, np.ndarray] = {"hallucinated": draw.h_neurons}
    tests = drift_tests(same, sides, draw.activity, None, 4, 512, draws=settings.permutations)
    return drift_claim(tests, "", 1.0, settings.drift_k).verdict


def shuffled_apart(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """A broken engine of overlap: labels are shuffled in each model by itself."""
    draw, shape = overlap_world(condition, rng, settings)
    found = []
    for seed, answers in enumerate((draw.base, draw.instruct)):
        [labels] = shuffled_jointly([answers.features], draws=settings.shuffles, seed=seed)
        found.append(searched(answers, settings, labels))
    (base, base_sets), (instruct, instruct_sets) = found
    every = tuple(zip(*product(base_sets, instruct_sets), strict=True))
    nulls = overlap_nulls(base.h_neurons, instruct.h_neurons, shape.neurons, (), (every[0], every[1]))
    result = overlap(base.h_neurons, instruct.h_neurons, shape.neurons, nulls=nulls)
    return overlap_claim(result, nulls, (), "").verdict


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


@pytest.mark.costly
@pytest.mark.parametrize(
    "claim", [each if each in QUICKLY_JUDGED else pytest.param(each, marks=pytest.mark.slow) for each in JUDGES]
)
def test_what_is_planted_is_found(claim: ClaimName) -> None:
    """At the largest effect of the grid nearly always; with nothing planted at most once in eight draws."""
    full, none = calibrate(
        FEW, Silent(), only=[Condition(claim, PLANTED, 1.0), Condition(claim, PLANTED, 0.0)], workers=1
    )
    assert full.supported >= 6
    assert none.supported <= 1


@pytest.mark.costly
@pytest.mark.parametrize(
    ("claim", "world", "broken"),
    [
        pytest.param("transfer", "answer length", against_chance, marks=pytest.mark.slow),
        pytest.param("transfer", "question text", against_chance, marks=pytest.mark.slow),
        pytest.param("transfer", "every neuron", against_chance, marks=pytest.mark.slow),
        pytest.param("transfer", "question text, base alone", without_own_words, marks=pytest.mark.slow),
        pytest.param("transfer", "answer length, base alone", without_own_words, marks=pytest.mark.slow),
        pytest.param("transfer", "question length, base alone", without_own_words, marks=pytest.mark.slow),
        ("beyond_confidence", "confidence", whatever_it_adds),
        pytest.param("beyond_confidence", "noise of confidence", whatever_transfers, marks=pytest.mark.slow),
        ("drift", "layer", against_all_neurons),
        pytest.param("drift", "norm", against_all_neurons, marks=pytest.mark.slow),
        ("overlap", "answer neurons", against_any_neurons),
    ],
)
def test_an_engine_with_the_wrong_null_is_caught_by_the_nuisances(claim: ClaimName, world: str, broken: Judge) -> None:
    """It calls nothing at all supported in three draws of eight and more; the engine itself in one at most."""
    nuisance = [Condition(claim, world, 0.0)]
    [caught] = calibrate(FEW, Silent(), only=nuisance, judges={**JUDGES, claim: broken}, workers=1)
    assert caught.supported >= 3
    assert not caught.as_expected
    [engine] = calibrate(FEW, Silent(), only=nuisance, workers=1)
    assert engine.supported <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claim", "world", "broken", "draws"),
    [("drift", "balance", of_sums, 100), ("overlap", SAME_QUESTIONS, shuffled_apart, 20)],
)
def test_an_engine_that_is_fooled_now_and_then_is_caught_by_more_draws(
    claim: ClaimName, world: str, broken: Judge, draws: int
) -> None:
    """It calls clearly more than one in twenty supported; the engine itself does not."""
    settings, nuisance = replace(FEW, draws=draws), [Condition(claim, world, 0.0)]
    [caught] = calibrate(settings, Silent(), only=nuisance, judges={**JUDGES, claim: broken}, workers=1)
    assert not caught.as_expected
    [engine] = calibrate(settings, Silent(), only=nuisance, workers=1)
    assert engine.as_expected
    assert engine.supported < caught.supported


@pytest.mark.slow
def test_a_draw_depends_on_its_number_alone() -> None:
    """Not on how many are made, on what else is judged, or on how many processes judge."""
    planted = Condition("drift", PLANTED, 0.25)
    numbers = [3, 0, 2, 1]
    by_hand = {number: judged(planted, number, FEW, JUDGES) for number in numbers}
    seen: list[int] = []

    def remembered(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
        seen.append(int(rng.integers(2**31)))
        return "no power"

    calibrate(CalibrationSettings(draws=3), Silent(), judges=dict.fromkeys(CLAIMS, remembered), workers=1)
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
    """A family must be supported in what it is made for; a control in nothing, and its transfer has to be decided."""

    def right(family: str, control: str | None, transfer: Verdict, drift: Verdict = "not distinguishable") -> bool:
        required = must_be(family, control, ["transfer", "drift", "own_labels"])
        return meets(transfer, required["transfer"]) and meets(drift, required["drift"])

    assert right("inherited", None, "supported", "supported")
    assert not right("inherited", None, "no power", "supported")
    assert not right("inherited", None, "supported")
    assert not meets("no power", must_be("inherited", None, ["overlap"])["overlap"])
    assert right("acquired", None, "no power", "supported")
    assert not right("acquired", None, "supported")
    assert right("inherited", "unrelated", "not distinguishable", "no power")
    assert not right("inherited", "unrelated", "no power")
    assert not right("acquired", "permuted-index", "not distinguishable", "supported")
    assert not meets("supported", must_be("inherited", "unrelated", ["function_base"])["function_base"])
    assert not meets("supported", must_be("acquired", None, ["beyond_confidence"])["beyond_confidence"])
    assert not meets("not distinguishable", must_be("functional", None, ["function_base"])["function_base"])
    assert not meets("supported", must_be("functional", "unrelated", ["transfer"])["transfer"])
    assert not meets("supported", must_be("functional", "permuted-labels", ["transfer"])["transfer"])
    assert meets("supported", must_be("inherited", None, ["beyond_confidence"])["beyond_confidence"])
    assert set(SUPPORTED_IN) == {family for family, recipe in RECIPES.items() if recipe.has_base}
    for claim in COMPLIANCE:
        assert meets("supported", must_be("yielding", None, COMPLIANCE)[claim])
        assert not meets("not distinguishable", must_be("yielding", None, COMPLIANCE)[claim])
        assert meets("not distinguishable", must_be("idle", None, COMPLIANCE)[claim])
        assert not meets("supported", must_be("idle", None, COMPLIANCE)[claim])
        assert not meets("no power", must_be("idle", None, COMPLIANCE)[claim])  # it has yielding to lose and to gain


def killed(*_: object) -> Verdict:
    """A process that the system ends, as for lack of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "supported"


@pytest.mark.slow
def test_a_process_that_the_system_ends_is_said_to_be() -> None:
    with pytest.raises(JobError, match="lack of memory"):
        calibrate(FEW, Silent(), only=conditions()[:1], judges=dict.fromkeys(CLAIMS, killed), workers=2)
