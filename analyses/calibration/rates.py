"""Hit rates and false alarms of the verdicts over simulated pairs with a known truth.

The functions that judge real pairs judge hundreds of draws with a planted effect, with none, and with only a nuisance.
Source: Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404, for the intervals.
"""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Int
from joblib import cpu_count
from scipy.stats import beta
from sklearn import config_context

from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.asking.collection import Progress
from provenance.analyses.baselines.answer_baselines import fit_baselines
from provenance.analyses.baselines.ladder import corrected, ladder, words_dealt
from provenance.analyses.calibration.made_up_pairs import (
    TOLD,
    AnswerDraw,
    DriftNuisance,
    Shape,
    TransferNuisance,
    drift_draw,
    overlap_draw,
    transfer_draw,
)
from provenance.analyses.claims.claim_conditions import (
    beyond_confidence_claim,
    decided,
    drift_claim,
    overlap_claim,
    transfer_claim,
)
from provenance.analyses.drift.drift_nulls import finest_strata, layer_strata
from provenance.analyses.drift.drift_tests import drift_tests
from provenance.analyses.drift.weight_drift import SIGNIFICANCE
from provenance.analyses.overlap.overlap_nulls import overlap_nulls
from provenance.analyses.overlap.shared_neurons import overlap
from provenance.analyses.results.transfer import Rung, TransferResult
from provenance.analyses.search.probe_fit import ProbeRows, probe_rows
from provenance.analyses.search.shuffled_labels import found_in, shuffled_fits, shuffled_jointly
from provenance.analyses.search.stability import half_samples
from provenance.analyses.transfer.probe_transfer import transfer
from provenance.defaults import SELFTEST_DRAWS
from provenance.errors import InputError, JobError
from provenance.lab.doubts import DOUBTED
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import Probe
from provenance.processes.blas_threads import blas_threads
from provenance.processes.fork_join import alone
from provenance.records import Estimate, Verdict
from provenance.statistics.bootstrap import CONFIDENCE

ClaimName = Literal["transfer", "beyond_confidence", "drift", "overlap"]
Required = Literal["supported", "not supported", "not distinguishable", "anything"]
CLAIMS: tuple[ClaimName, ...] = get_args(ClaimName)
FALSE_ALARMS = 0.05  # bound on the false-alarm rate of every claim
EFFECTS: Mapping[ClaimName, tuple[float, ...]] = {
    "transfer": (0.0, 0.25, 0.5, 1.0),
    "beyond_confidence": (0.0, 0.5, 1.0),
    "drift": (0.0, 0.25, 0.5, 1.0),
    "overlap": (0.0, 0.5, 1.0),
}
"""SD of log CETT between the labels (both transfer claims); SD of log change; share of common carriers."""
PLANTED = "planted"
BEYOND_NUISANCES: tuple[TransferNuisance, ...] = ("confidence", "noise of confidence")
TRANSFER_NUISANCES = tuple(name for name in TOLD if name not in ("none", *BEYOND_NUISANCES))
DRIFT_NUISANCES: tuple[DriftNuisance, ...] = ("layer", "norm", "activity", "balance")
ANSWER_NEURONS, SAME_QUESTIONS = "answer neurons", "same questions"


@dataclass(frozen=True)
class CalibrationSettings:
    """Number and cost of draws; decision rules are those of a comparison."""

    draws: int = SELFTEST_DRAWS
    """Per condition."""
    seed: int = 0
    """Seed of everything; draw i of a condition does not depend on the number or order of draws."""
    control_sets: int = 40
    """Refitted neuron sets of each kind."""
    resamples: int = 200
    """Bootstrap samples of questions in tests of transfer."""
    foldings: int = 2
    """Partitions of answers for nested models: enough for a rate, though not for one p."""
    permutations: int = 2000
    """In tests of drift."""
    shuffles: int = 50
    """Searches with shuffled labels in each model."""
    pairs: int = 5
    """Complementary pairs of half-samples, for the spread of transfer over training sets."""
    step: float = 10**0.75
    """Fixed C of every search, as a multiple of alpha_max."""
    small: Shape = field(default_factory=Shape)
    """Shape of draws for transfer."""
    shared: Shape = field(default_factory=lambda: Shape(layers=2, d_m=180, carriers=40))
    """Shape of draws for overlap. Sharing a neuron by chance must be likely, or there is no power, and a layer wide
    enough for 3 bins of activity, since an L1 probe on raw CETT prefers loud neurons, which both models share.
    """
    answer_neurons: int = 60
    """Neurons that fire on any answer, in the overlap draws that have them in both models."""
    alike: float = 0.9
    """Correlation of the two models' log CETT on one answer, in overlap draws with the same questions."""
    alike_carriers: int = 10
    """Neurons that carry the label in these draws: few, so that many neurons are found by chance."""
    drift_layers: int = 4
    drift_d_m: int = 512
    """Neurons per layer of a draw for drift: enough for 5 x 5 bins of norm and activity."""
    drift_k: int = 24
    """H-Neurons of a draw for drift."""


@dataclass(frozen=True)
class Condition:
    """One kind of draw."""

    claim: ClaimName
    world: str
    """`planted`, or the nuisance that moves the number without an effect."""
    effect: float
    """SD of log CETT or of log change, for overlap the share of common carriers; 0 = no effect."""

    @property
    def is_null(self) -> bool:
        """Whether `supported` would be a false alarm."""
        return self.effect == 0


@dataclass(frozen=True)
class Rate:
    """Number of draws of one condition, and of those with each verdict."""

    condition: Condition
    draws: int
    supported: int
    no_power: int
    rate: Estimate
    """supported / draws with its exact 95 % interval."""

    @property
    def as_expected(self) -> bool:
        """False if the interval of a false-alarm rate lies above 5 %; hit rates are not checked."""
        return not self.condition.is_null or self.rate.low <= FALSE_ALARMS


Judge = Callable[[Condition, np.random.Generator, CalibrationSettings], Verdict]
"""Makes one draw of a condition and returns the verdict that a comparison would give."""


def conditions() -> tuple[Condition, ...]:
    """All conditions: each claim by effect size, then its nuisances."""
    planted = [Condition(claim, PLANTED, effect) for claim in CLAIMS for effect in EFFECTS[claim]]
    nuisances: list[tuple[ClaimName, str]] = [
        *(("transfer", name) for name in TRANSFER_NUISANCES),
        *(("beyond_confidence", name) for name in BEYOND_NUISANCES),
        *(("drift", name) for name in DRIFT_NUISANCES),
        ("overlap", ANSWER_NEURONS),
        ("overlap", SAME_QUESTIONS),
    ]
    return (*planted, *(Condition(claim, name, 0.0) for claim, name in nuisances))


def judge_transfer(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """Verdict of transfer: search in the instruct model, baselines, ladder, and decision on the base's own answers."""
    return transfer_claim(*carried_over(condition, rng, settings), "").verdict


def judge_beyond_confidence(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """The same for the claim that the probe adds to the base's log-probabilities."""
    return beyond_confidence_claim(*carried_over(condition, rng, settings)).verdict


def carried_over(
    condition: Condition, rng: np.random.Generator, settings: CalibrationSettings
) -> tuple[tuple[TransferResult, ...], tuple[Rung, ...]]:
    """Transfer on one draw, decided, and its baselines."""
    nuisance: TransferNuisance = next((name for name in TOLD if name == condition.world), "none")
    draw = transfer_draw(settings.small, condition.effect, nuisance, rng)
    seed = int(rng.integers(2**31))
    probe, halves, shuffled = searched_by_halves(draw.instruct, settings, seed)
    shape = settings.small
    fitted = fit_baselines(
        probe, draw.instruct, shape.layers, shape.d_m, shuffled, draws=settings.control_sets, seed=seed
    )
    result = transfer(probe, draw.base_test.features, "drawn", halves, resamples=settings.resamples, seed=seed)
    tests = {"drawn": draw.base_test}
    dealt = words_dealt(tests, foldings=settings.foldings, seed=seed)
    rungs = ladder(fitted, tests, draw.base, dealt, halves, resamples=settings.resamples, seed=seed)
    after = decided([result], rungs)
    return after, corrected(rungs, after)


def judge_drift(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """Verdict of drift: mean stability rank against neurons of the same layers and against matched ones."""
    nuisance: DriftNuisance = next((name for name in DRIFT_NUISANCES if name == condition.world), "none")
    layers, d_m = settings.drift_layers, settings.drift_d_m
    draw = drift_draw(layers, d_m, settings.drift_k, condition.effect, nuisance, rng)
    seed = int(rng.integers(2**31))
    tests = drift_tests(
        draw.drift, {"hallucinated": draw.h_neurons}, draw.activity, None, layers, d_m, draws=settings.permutations,
        seed=seed,
    )  # fmt: skip
    return drift_claim(tests, "", 1.0, settings.drift_k).verdict


def judge_overlap(condition: Condition, rng: np.random.Generator, settings: CalibrationSettings) -> Verdict:
    """Verdict of overlap: searches in both models with true and with shuffled labels."""
    draw, shape = overlap_world(condition, rng, settings)
    seed = int(rng.integers(2**31))
    models = (draw.instruct, draw.base)
    labels = shuffled_jointly([answers.features for answers in models], draws=settings.shuffles, seed=seed)
    (instruct, instruct_sets), (base, base_sets) = (
        searched(answers, settings, shuffled) for answers, shuffled in zip(models, labels, strict=True)
    )
    activity = draw.base.features.answer.columns(np.arange(shape.neurons)).astype(np.float64).mean(axis=0)
    known = np.ones(shape.neurons, dtype=bool)
    strata = (layer_strata(known, shape.d_m), finest_strata(rng.random(shape.neurons), activity, shape.d_m))
    nulls = overlap_nulls(base.h_neurons, instruct.h_neurons, shape.neurons, strata, (base_sets, instruct_sets))
    result = overlap(base.h_neurons, instruct.h_neurons, shape.neurons, nulls=nulls)
    return overlap_claim(result, nulls, (), "").verdict


def overlap_world(
    condition: Condition, rng: np.random.Generator, settings: CalibrationSettings
) -> tuple[AnswerDraw, Shape]:
    """One draw of a condition for overlap, and its shape."""
    if condition.world == SAME_QUESTIONS:
        shape = replace(settings.shared, carriers=settings.alike_carriers)
        return overlap_draw(shape, condition.effect, 0, rng, alike=settings.alike), shape
    answer_neurons = settings.answer_neurons if condition.world == ANSWER_NEURONS else 0
    return overlap_draw(settings.shared, condition.effect, answer_neurons, rng), settings.shared


JUDGES: Mapping[ClaimName, Judge] = {
    "transfer": judge_transfer,
    "beyond_confidence": judge_beyond_confidence,
    "drift": judge_drift,
    "overlap": judge_overlap,
}
"""The judge of each claim."""


def searched_by_halves(
    answers: Answers, settings: CalibrationSettings, seed: int
) -> tuple[Probe, tuple[Fit, ...], tuple[Fit, ...]]:
    """The probe of one model at the calibration's C, on halves of its questions, and with shuffled labels."""
    [labels] = shuffled_jointly([answers.features], draws=settings.shuffles, seed=seed)
    with _fitted(answers, settings) as (rows, probe):
        likely, features = probe.nonzero, answers.features
        halves = half_samples(rows, features, probe.C, likely, pairs=settings.pairs, seed=settings.seed)
        return probe, halves, shuffled_fits(rows, labels, probe.C, likely)


def searched(
    answers: Answers, settings: CalibrationSettings, shuffles: Sequence[Bool[np.ndarray, " rows"]] = ()
) -> tuple[Probe, tuple[Int[np.ndarray, " _"], ...]]:
    """The probe of one model at the calibration's C, and H-Neurons under shuffled labels."""
    with _fitted(answers, settings) as (rows, probe):
        return probe, tuple(map(found_in, shuffled_fits(rows, shuffles, probe.C)))


@contextmanager
def _fitted(answers: Answers, settings: CalibrationSettings) -> Iterator[tuple[ProbeRows, Probe]]:
    """The rows of one model's probe, and the probe at the calibration's C."""
    features = answers.features
    with probe_rows(features, "3-vs-1", Path(tempfile.gettempdir()), intercept_penalised=True) as rows:
        whole = rows.path([rows.problem(np.ones(len(features), dtype=bool))])
        yield rows, rows.probe(whole.fit([whole.starts()[0] * settings.step])[0])


def judged(
    condition: Condition, number: int, settings: CalibrationSettings, judges: Mapping[ClaimName, Judge]
) -> Verdict:
    """The verdict of one draw; depends only on condition, number and seed."""
    place = [CLAIMS.index(condition.claim), *f"{condition.world} {condition.effect!r}".encode()]
    rng = np.random.default_rng([settings.seed, number, *place])
    # Small products are slower on several threads, and input checks take longer than the fits.
    with (
        blas_threads(1),
        config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        return judges[condition.claim](condition, rng, settings)


def calibrate(
    settings: CalibrationSettings,
    progress: Progress,
    *,
    only: Sequence[Condition] | None = None,
    judges: Mapping[ClaimName, Judge] = JUDGES,
    workers: int | None = None,
) -> tuple[Rate, ...]:
    """Judges every draw of every condition, in the order of conditions; independent of the number of workers.

    `only` limits the conditions; `workers` are processes, by default one for each processor (1 starts none).

    Raises:
        InputError: Fewer than one draw, or too few control sets or shuffles for any `supported`.
        JobError: A process was ended from outside.
    """
    _check(settings)
    rates: list[Rate] = []
    with _mapped(workers or int(cpu_count())) as mapped:
        for condition in conditions() if only is None else only:
            name = f"calibrate {condition.claim}: {condition.world} {condition.effect:g}"
            judge = partial(judged, condition, settings=settings, judges=judges)
            verdicts: list[Verdict] = []
            for verdict in mapped(judge, range(settings.draws)):
                verdicts.append(verdict)
                progress.step(name, len(verdicts), settings.draws, "")
            rates.append(rate_of(condition, verdicts))
    return tuple(rates)


COMPLIANCE = tuple(f"compliance_{stage}:{DOUBTED}" for stage in ("base", "instruct"))
SUPPORTED_IN: Mapping[str, tuple[str, ...]] = {
    "inherited": ("transfer", "beyond_confidence", "own_labels", "drift", "overlap"),
    "acquired": (),
    "functional": ("function_base", "function_instruct"),
    "yielding": COMPLIANCE,
    "idle": (),
}
"""Claims that each lab pair is made for (`provenance.lab.recipes`)."""
FALSE_IN: Mapping[str, Mapping[str, Required]] = {
    "acquired": dict.fromkeys(
        ("transfer", "beyond_confidence", "own_labels", "function_base", "function_instruct"), "not supported"
    ),
    "idle": dict.fromkeys(COMPLIANCE, "not distinguishable"),
}
"""Claims that are false in a family, and what is said of them, with power where it is there by construction; of all
others it says nothing.
"""


def must_be(family: str, control: str | None, claims: Iterable[str]) -> dict[str, Required]:
    """Required verdict of each claim about a lab family, or about a negative control of it."""
    if control is not None:
        return {claim: "not distinguishable" if claim == "transfer" else "not supported" for claim in claims}
    required: dict[str, Required] = dict(FALSE_IN.get(family, {}))
    required |= dict.fromkeys(SUPPORTED_IN[family], "supported")
    return {claim: required.get(claim, "anything") for claim in claims}


def meets(verdict: Verdict, required: Required) -> bool:
    """Whether a verdict is the required one."""
    if required in ("anything", "not supported"):
        return required == "anything" or verdict != "supported"
    return verdict == required


def rate_of(condition: Condition, verdicts: Sequence[Verdict]) -> Rate:
    """Counts of one condition."""
    hits, n = sum(verdict == "supported" for verdict in verdicts), len(verdicts)
    low, high = clopper_pearson(hits, n)
    silent = sum(verdict == "no power" for verdict in verdicts)
    return Rate(condition, n, hits, silent, Estimate(hits / n, low, high, n))


def clopper_pearson(hits: int, n: int) -> tuple[float, float]:
    """Exact 95 % interval of a share, which covers at least 95 % for any share.

        low = B(tail; hits, n - hits + 1),   high = B(1 - tail; hits + 1, n - hits)

    B is the quantile function of the beta distribution. Source: Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


def _check(settings: CalibrationSettings) -> None:
    fewest = min(settings.control_sets, settings.shuffles)
    if settings.draws < 1 or 1 / (1 + fewest) >= SIGNIFICANCE:
        raise InputError(
            "at least 1 draw of each condition, and 20 control sets and shuffles in each",
            found=f"{settings.draws} draws, {settings.control_sets} control sets and {settings.shuffles} shuffles",
            remedy="ask for more; 200 draws are needed to tell a rate of 5 % from one of 10 %",
        )


Mapped = Callable[[Callable[[int], Verdict], Sequence[int]], Iterator[Verdict]]


@contextmanager
def _mapped(workers: int) -> Iterator[Mapped]:
    """A `map` over processes, spawned because a fork of a process with threads (progress bar, torch) may hang."""
    if workers == 1:
        yield map
        return
    try:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=alone) as pool:
            yield partial(pool.map, chunksize=4)
    except BrokenProcessPool as error:
        raise JobError(
            f"{workers} processes that judge made-up pairs",
            found="one of them was ended by the system, usually for lack of memory",
            remedy="free some memory and run the same command again",
        ) from error
