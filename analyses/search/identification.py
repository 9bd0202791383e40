"""Finds the H-Neurons of one checkpoint: choice of C by cross-validation, fit, scores on held-out questions.

Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.1.3 and Table 1. Choice: by default C has the best cross-validated
accuracy, with the one-standard-error rule; the paper's rule adds the accuracy under suppression. All training and
validation answers take part in both; only the paper's rule needs validation questions of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.activity.by_label import neuron_aurocs
from provenance.analyses.asking.answer_texts import Answers
from provenance.analyses.asking.both_models import Gathered
from provenance.analyses.baselines.answer_baselines import FittedBaselines, fit_baselines, score_baselines
from provenance.analyses.controls.control_probes import control_scores
from provenance.analyses.results.probes import CurvePoint, HeldOut, IdentificationResult, PathPoint
from provenance.analyses.search.choose_c import Rule, choose_c, refuse_test_answers
from provenance.analyses.search.cross_validation import (
    REPEATS,
    Suppressed,
    left_out,
    suppressed_along,
    too_few_questions,
    walk,
)
from provenance.analyses.search.curves import curve
from provenance.analyses.search.given_probe import given_probe
from provenance.analyses.search.probe_fit import ProbeRows, probe_rows
from provenance.analyses.search.shuffled_labels import shuffled_fits
from provenance.analyses.search.stability import PAIRS, THRESHOLD, half_samples, stability
from provenance.analyses.transfer.probe_transfer import CONTROL_DRAWS
from provenance.errors import ConvergenceError, InputError
from provenance.neuron_lists.read_lists import NeuronSet
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import C_STEPS, Design, Probe
from provenance.records import Estimate, Label, Split, Stage
from provenance.statistics.bootstrap import accuracy_and_auroc, estimate_of, resampled_means, resampled_weights

LARGEST_STEP = 1e6  # multiple of alpha_max; the grid ends at 6e4, where every probe seen so far separates its rows


@dataclass(frozen=True)
class ProbeSettings:
    """Settings of the probe fits."""

    design: Design = "3-vs-1"
    intercept_penalised: bool = True
    """Whether |b| is part of the objective."""
    repeats: int = REPEATS
    """Repetitions of the cross-validation that C is chosen by."""
    steps: tuple[float, ...] = C_STEPS
    """Values of C to choose from, as multiples of alpha_max, ascending."""
    rule: Rule = "one-se"
    C: float | None = None
    """Value for the rule `fixed`."""
    pairs: int = PAIRS
    """Complementary pairs of half-samples."""
    threshold: float = THRESHOLD
    """Smallest selection frequency of a stable neuron."""
    draws: int = CONTROL_DRAWS
    """Random and layer-matched neuron sets of each kind, for baselines and for the transfer null."""
    seed: int = 0
    """Seed of random neurons, half-samples and bootstrap."""


@dataclass(frozen=True)
class Material:
    """Training and test data of one checkpoint's probe."""

    stage: Stage
    train: Answers
    """Consistent answers to training and validation questions."""
    splits: tuple[Split, ...]
    """Split of each training answer."""
    tests: Mapping[str, Answers]
    """Balanced answers to held-out questions, by question set, the in-domain one first."""
    transfers: Mapping[str, Features]
    """The base's own answers to held-out questions; empty if the checkpoint is the base."""
    layers: int
    d_m: int
    unmapped: Int[np.ndarray, " u"]
    """Flat ids of neurons that the other checkpoint lacks, excluded from control sets."""
    folder: Path
    """Folder for the scratch file of a design matrix too large for memory."""
    shuffles: Sequence[Bool[np.ndarray, " rows"]] = ()
    """Shuffled labels of `train`, under which the search is repeated."""

    @property
    def trained(self) -> Bool[np.ndarray, " rows"]:
        """Which answers are to training questions, and not to validation questions."""
        return np.array([name == "train" for name in self.splits], dtype=bool)

    @property
    def counts(self) -> dict[Label, int]:
        """Training and validation answers of each label."""
        return counts_of(self.train.features)


def material_of(gathered: Gathered, stage: Stage) -> Material:
    """The material of one model of a comparison; its neurons are in the order of the instruct checkpoint."""
    instruct = gathered.subjects["instruct"]
    from_base = stage == "instruct" and "base" in gathered.subjects
    return Material(
        stage=stage,
        train=gathered.answers[stage][0],
        splits=gathered.collected[stage][0].splits,
        tests=gathered.tests(stage),
        transfers=gathered.features("base") if from_base else {},
        layers=instruct.layout.layers,
        d_m=instruct.layout.d_m,
        unmapped=gathered.alignment.unmapped,
        folder=instruct.workspace.captures,
    )


@dataclass(frozen=True)
class Identified:
    """Result of an identification, with the probe if there is one."""

    result: IdentificationResult
    probe: Probe | None
    """Fitted on training and validation rows; None if `result.reason` says why."""
    baselines: FittedBaselines | None
    """Baselines fitted on the same rows; None without a probe."""
    shuffled: tuple[Fit, ...] = ()
    """The same search under each shuffle of the material; empty if one of them does not converge."""
    halves: tuple[Fit, ...] = ()
    """The probe on halves of the training questions; empty without a search."""


def identify(material: Material, settings: ProbeSettings, suppressed: Suppressed | None = None) -> Identified:
    """Chooses C, fits the probe, and scores held-out questions; `suppressed` is needed by the paper's rule only.

    The result has no probe if a class has fewer than 10 questions or no C of the grid gives a positive weight.

    Raises:
        SplitError: Test answers are among those that C is chosen on.
        InputError: A fixed C is far too large.
        ConvergenceError: At a fixed or chosen C.
    """
    _refuse_test_answers(material)
    features = material.train.features
    masks = left_out(features, settings.repeats, settings.seed)
    obstacle = _obstacle(features, "training and validation")
    if settings.rule == "paper":
        obstacle = obstacle or _obstacle(features.take(material.trained), "training")
    if masks is None and settings.rule != "fixed":
        obstacle = obstacle or too_few_questions(features)
    if obstacle:
        return _without_probe(material, settings, obstacle, (), None)
    with probe_rows(
        features, settings.design, material.folder, intercept_penalised=settings.intercept_penalised
    ) as rows:
        return _searched(material, settings, suppressed, rows, masks or [])


def _searched(
    material: Material,
    settings: ProbeSettings,
    suppressed: Suppressed | None,
    rows: ProbeRows,
    masks: Sequence[Bool[np.ndarray, " rows"]],
) -> Identified:
    everything = np.ones(len(material.splits), dtype=bool)
    [lowest] = rows.path([rows.problem(everything)]).starts()
    if not np.isfinite(lowest):
        return _without_probe(material, settings, "no neuron varies with the label of the training answers", (), None)
    fixed = settings.C if settings.rule == "fixed" else None
    _check_fixed(fixed, lowest)
    grid = _grid(lowest, settings.steps, fixed)
    walked = walk(rows, material.train.features.hallucinated, grid, masks, fixed)
    path = walked.points
    if settings.rule == "paper" and suppressed is not None:
        path = suppressed_along(path, rows, material.trained, suppressed)
    chosen = choose_c(settings.rule, path, material.counts, fixed)
    along = [(fit, rows.probe(fit)) for fit, _ in walked.fits]
    place = next((place for place, (fit, _) in enumerate(along) if chosen == fit.C), None)
    if place is None or not len(along[place][1].h_neurons):
        reason = f"no C of the path from alpha_max = {lowest:.3g} leaves a neuron with a positive weight"
        if fixed is not None:
            reason = f"C = {fixed:.3g} leaves no neuron with a positive weight; alpha_max = {lowest:.3g}"
        return _without_probe(material, settings, reason, path, lowest)
    (fit, probe), (_, likely) = along[place], walked.fits[place]
    features = material.train.features
    halves = half_samples(rows, features, probe.C, likely, pairs=settings.pairs, seed=settings.seed)
    shuffled = _shuffled(rows, material, probe.C, likely)
    baselines = _baselines(material, probe, settings, shuffled)
    result = IdentificationResult(
        material.stage, probe.weights, probe.intercept, chosen, lowest, settings.design, settings.intercept_penalised,
        path, material.counts, probe.h_neurons, _held_out(material, baselines, settings.seed), "", settings.rule,
        fit.gap, fit.violation, _curve(material, along, settings.seed),
        stability(halves, features, probe, threshold=settings.threshold), neuron_aurocs(features),
    )  # fmt: skip
    return Identified(result, probe, baselines, shuffled, halves)


def take_given(material: Material, given: NeuronSet, settings: ProbeSettings) -> Identified:
    """Scores held-out questions with listed H-Neurons and weights, without a search; a probe is fitted if weights lack.

    Raises:
        SplitError: Test answers are among the training answers.
    """
    _refuse_test_answers(material)
    obstacle = _obstacle(material.train.features, "training")
    if obstacle:
        return _without_probe(material, settings, obstacle, (), None, given)
    probe = given_probe(given, material.train.features, settings.design, material.layers * material.d_m)
    baselines = _baselines(material, probe, settings)
    result = IdentificationResult(
        material.stage, probe.weights, probe.intercept, None, None, settings.design, False, (), material.counts,
        given.h_ids, _held_out(material, baselines, settings.seed), "", "given", None, None, (), None,
        neuron_aurocs(material.train.features), given.source,
    )  # fmt: skip
    return Identified(result, probe, baselines)


def _shuffled(rows: ProbeRows, material: Material, C: float, likely: Int[np.ndarray, " likely"]) -> tuple[Fit, ...]:
    """The same search on shuffled labels; empty if a fit does not converge, which costs its null and not the probe."""
    try:
        return shuffled_fits(rows, material.shuffles, C, likely)
    except ConvergenceError:
        return ()


def _refuse_test_answers(material: Material) -> None:
    """Checks the in-domain set only: groups of questions have no meaning across files."""
    first = next(iter(material.tests.values()), None)
    refuse_test_answers(material.splits, material.train.features.units, () if first is None else first.features.units)


def counts_of(features: Features) -> dict[Label, int]:
    """Rows of each label."""
    hallucinated = int(features.hallucinated.sum())
    return {"faithful": len(features) - hallucinated, "hallucinated": hallucinated}


def _check_fixed(fixed: float | None, lowest: float) -> None:
    """Refuses a C so large that the penalty is a rounding error of the loss."""
    if fixed is not None and fixed > LARGEST_STEP * lowest:
        raise InputError(
            f"C of at most {LARGEST_STEP:g} x alpha_max = {LARGEST_STEP * lowest:.3g}",
            found=f"{fixed:g}",
            remedy="give a smaller --C, or leave it out to have one chosen",
        )


def _grid(lowest: float, steps: Sequence[float], fixed: float | None) -> list[float]:
    return sorted({*(lowest * step for step in steps), *([] if fixed is None else [fixed])})


def _obstacle(features: Features, name: str) -> str:
    counts = counts_of(features)
    if all(counts.values()):
        return ""
    faithful, hallucinated = counts["faithful"], counts["hallucinated"]
    return f"{faithful} faithful and {hallucinated} hallucinated {name} responses; both classes are needed"


def _baselines(
    material: Material, probe: Probe, settings: ProbeSettings, shuffled: Sequence[Fit] = ()
) -> FittedBaselines:
    return fit_baselines(
        probe, material.train, material.layers, material.d_m, shuffled, unmapped=material.unmapped,
        draws=settings.draws, seed=settings.seed,
    )  # fmt: skip


def _held_out(material: Material, fitted: FittedBaselines, seed: int) -> tuple[HeldOut, ...]:
    return tuple(_held_out_set(name, fitted, test, seed) for name, test in material.tests.items())


def _held_out_set(name: str, fitted: FittedBaselines, test: Answers, seed: int) -> HeldOut:
    counts, positive = counts_of(test.features), test.features.hallucinated
    scores, random = fitted.probe.scores(test.features.answer), fitted.controls.get("random", ())
    held = HeldOut(
        name, None, None, None, counts["faithful"], counts["hallucinated"],
        detection=_detection(scores[:, None], test.features, seed),
        random_detection=_detection(control_scores(random, test.features.answer), test.features, seed)
        if random
        else None,
    )  # fmt: skip
    if not test.both_classes:
        return held
    weights = resampled_weights(test.features.units, seed=seed)
    accuracy, area = accuracy_and_auroc(scores, positive, weights)
    baselines = score_baselines(fitted, test, seed=seed)
    of_random = next((baseline.accuracy for baseline in baselines if baseline.kind == "random"), None)
    return replace(held, accuracy=accuracy, auroc=area, random_accuracy=of_random, baselines=baselines)


def _detection(scores: Float[np.ndarray, "rows probes"], features: Features, seed: int) -> Estimate | None:
    """Share of the hallucinated answers that probes call so, mean over probes; None without such answers."""
    rows = np.flatnonzero(features.hallucinated)
    if not rows.size:
        return None
    weights = resampled_weights([features.units[row] for row in rows.tolist()], seed=seed)
    return estimate_of(resampled_means((scores[rows] > 0).mean(axis=1), weights), rows.size)


def _curve(material: Material, along: Sequence[tuple[Fit, Probe]], seed: int) -> tuple[CurvePoint, ...]:
    tests = {name: test.features for name, test in material.tests.items()}
    return curve(along, tests, material.transfers, seed=seed)


def _without_probe(
    material: Material,
    settings: ProbeSettings,
    reason: str,
    path: tuple[PathPoint, ...],
    lowest: float | None,
    given: NeuronSet | None = None,
) -> Identified:
    result = IdentificationResult(
        material.stage, None, None, None, lowest, settings.design, settings.intercept_penalised, path, material.counts,
        NO_NEURONS if given is None else given.h_ids, (), reason, settings.rule if given is None else "given",
        source="" if given is None else given.source,
    )  # fmt: skip
    return Identified(result, None, None)
