"""One comparison from two checkpoints to one report, in order.

The one idea: cheap checks of the weights come first (lineage, alignment and drift read every
tensor, so a damaged or mismatched pair fails in seconds), then everything that needs the models'
answers, then the analyses, each a pure function of what was collected. Nothing here knows
where results are kept: a `Workspace` is handed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from analyses.activity import activity_table
from analyses.clock import Clock
from analyses.collection import (
    Collected,
    CollectionSettings,
    Pool,
    Workspace,
    collect_pool,
    make_pool,
    make_task,
    paired_task,
)
from analyses.correlation import activation_correlation
from analyses.identification import Identified, ProbeSettings, identify
from analyses.mapping import map_neurons
from analyses.measured import MeasuredPair, by_position, measure_pair, ranked
from analyses.overlap import overlap
from analyses.results import (
    ActivityTable,
    Alignment,
    IdentificationResult,
    LineageResult,
    OriginReport,
    OverlapResult,
    TransferResult,
)
from analyses.sides import Models, Side
from analyses.transfer import CHANCE, overall_transfer, refit_controls, transfer, without_power
from analyses.verdicts import overall_sentence
from provenance.architectures import Layout
from provenance.features import Features, remembered
from provenance.questions import QuestionSet, check_disjoint, normalise_question, split_questions
from provenance.records import Question, Split, Stage

CORRELATION_RESPONSES = 128  # some thousand tokens: a correlation of 0.05 is then told from zero
CORRELATION_BATCH = 8


@dataclass(frozen=True)
class OriginSettings:
    """Everything a user can choose about a comparison."""

    collection: dict[Stage, CollectionSettings]
    """How each side is asked and captured."""
    probe: ProbeSettings
    """How probes are fitted."""
    shares: tuple[float, float, float] = (0.48, 0.12, 0.40)
    """Of the first question set: training, validation, test."""
    null_draws: int = 100
    """Neuron sets per kind in the transfer nulls."""
    permutation_draws: int = 10_000
    """Draws of the drift null."""
    seed: int = 0
    """Of splits, orders, samples, nulls and bootstraps."""


@dataclass(frozen=True)
class _Answers:
    """Everything collected from both checkpoints."""

    train: dict[Stage, Collected]
    """Consistent responses to the first set's training and validation questions."""
    test: dict[Stage, dict[str, Collected]]
    """Balanced single responses, by question set, the first set's test questions first."""

    def features(self, stage: Stage) -> dict[str, Features]:
        """Test features by question set."""
        return {name: collected.features for name, collected in self.test[stage].items()}


def compare(
    base: Side,
    instruct: Side,
    question_sets: Sequence[QuestionSet],
    settings: OriginSettings,
    workspace: Workspace,
    clock: Clock,
) -> OriginReport:
    """Run every analysis of one pair.

    Args:
        base: The checkpoint said to be the ancestor.
        instruct: The tuned checkpoint, whose H-Neurons are looked for.
        question_sets: The first is split into training, validation and test questions; the
            others are only used for testing.
        settings: What the user chose.
        workspace: Where finished work is remembered.
        clock: Measures the stages.

    Raises:
        PairError: The MLPs have different shapes, and lineage does not say which neuron is which.
        NonFiniteError: A weight or an activation is NaN or infinite.
        SplitError: Question sets overlap with the training questions.
    """
    pools = question_pools(question_sets, settings)
    related, measured = measure_pair(base, instruct, settings.seed, clock)
    sides: dict[Stage, Side] = {"instruct": instruct, "base": base}
    models = Models(sides, settings.collection)
    answers = _collect(sides, pools, settings, models, measured.alignment, workspace, clock)
    correlation = clock.timed(
        "correlation",
        lambda: _correlation(sides, pools, settings, models, answers, related, measured.alignment, workspace),
    )
    models.drop("base")
    models.drop("instruct")
    found = {
        stage: clock.timed(f"probe {stage}", partial(_identify, stage, instruct.layout, answers, settings))
        for stage in sides
    }
    transfers = clock.timed(
        "transfer",
        lambda: _transfers(found["instruct"], answers, instruct.layout, measured.alignment.unmapped, settings),
    )
    return _report(base, instruct, related, measured, found, transfers, answers, correlation, settings)


def question_pools(question_sets: Sequence[QuestionSet], settings: OriginSettings) -> tuple[Pool, ...]:
    """The training pool and one test pool per question set.

    Questions of further sets that also occur among the training questions are an error, not dropped.
    """
    first = question_sets[0]
    splits = split_questions(first.questions, shares=settings.shares, seed=settings.seed)
    others = [question for later in question_sets[1:] for question in later.questions]
    trained_on = (*splits["train"], *splits["validation"])
    check_disjoint({"train": _by_text(trained_on), "test": _by_text(others)})
    training: dict[Split, Sequence[Question]] = {name: splits[name] for name in ("train", "validation")}
    tests = [(first, splits["test"]), *((later, later.questions) for later in question_sets[1:])]
    return (
        make_pool(first, training, settings.seed, training=True),
        *(make_pool(origin, {"test": members}, settings.seed, training=False) for origin, members in tests),
    )


def _by_text(questions: Sequence[Question]) -> list[Question]:
    """Questions whose unit is their normalised text: the groups of one file mean nothing in another."""
    return [replace(question, unit=normalise_question(question.text)) for question in questions]


def _collect(
    sides: Mapping[Stage, Side],
    pools: Sequence[Pool],
    settings: OriginSettings,
    models: Models,
    alignment: Alignment,
    workspace: Workspace,
    clock: Clock,
) -> _Answers:
    """Ask and capture both checkpoints, one after the other.

    The base's vectors are put into the order of the instruct checkpoint's neurons, so that everything after
    this knows one order only.
    """
    answers = _Answers({}, {stage: {} for stage in sides})
    for stage, side in sides.items():
        for pool in pools:
            work = partial(
                collect_pool, stage, side.checkpoint, partial(models.get, stage), pool,
                settings.collection[stage], workspace, clock.progress,
            )  # fmt: skip
            collected = clock.timed(f"{stage} {pool.questions.name} {pool.split}", work)
            if stage == "base" and not alignment.is_identity:
                collected = replace(collected, features=collected.features.mapped(alignment.base_ids))
            if pool.training:
                answers.train[stage] = collected
            else:
                answers.test[stage][pool.questions.name] = collected
    return answers


def _correlation(
    sides: Mapping[Stage, Side],
    pools: Sequence[Pool],
    settings: OriginSettings,
    models: Models,
    answers: _Answers,
    related: LineageResult,
    alignment: Alignment,
    workspace: Workspace,
) -> Float[np.ndarray, " neurons"] | None:
    """Neuron by neuron over the base's own answers; None where token ids mean different tokens."""
    pool = next(pool for pool in pools if not pool.training)
    responses = answers.test["base"][pool.questions.name].responses
    used = [response for response in responses if response.label != "dropped"][:CORRELATION_RESPONSES]
    if not related.same_tokenizer or not used:
        return None
    ids = None if alignment.is_identity else alignment.base_ids

    def compute() -> Float[np.ndarray, " neurons"]:
        return activation_correlation(models.get("base"), models.get("instruct"), used, CORRELATION_BATCH, ids)

    asked = make_task("base", sides["base"].checkpoint, pool, settings.collection["base"])
    task = paired_task(
        asked,
        sides["instruct"].checkpoint,
        "activation correlation" if ids is None else "activation correlation, mapped",
    )
    return remembered(compute, used, workspace.captures, task.key, workspace.capture_log(task))


def _identify(stage: Stage, layout: Layout, answers: _Answers, settings: OriginSettings) -> Identified:
    collected = answers.train[stage]
    return identify(
        stage,
        collected.part("train"),
        collected.part("validation"),
        answers.features(stage),
        layers=layout.layers,
        d_m=layout.d_m,
        settings=settings.probe,
    )


def _transfers(
    found: Identified, answers: _Answers, layout: Layout, unmapped: Int[np.ndarray, " u"], settings: OriginSettings
) -> tuple[TransferResult, ...]:
    """The instruct probe on the base's answers to every question set, with one set of control probes for all."""
    tests = answers.features("base")
    if found.probe is None:
        return tuple(without_power(name, features, found.result.reason) for name, features in tests.items())
    controls = refit_controls(
        found.probe,
        answers.train["instruct"].features,
        layout.layers,
        layout.d_m,
        unmapped=unmapped,
        draws=settings.null_draws,
        seed=settings.seed,
    )
    return tuple(
        transfer(found.probe, features, name, controls, seed=settings.seed) for name, features in tests.items()
    )


def _report(
    base: Side,
    instruct: Side,
    related: LineageResult,
    measured: MeasuredPair,
    found: Mapping[Stage, Identified],
    transfers: tuple[TransferResult, ...],
    answers: _Answers,
    correlation: Float[np.ndarray, " neurons"] | None,
    settings: OriginSettings,
) -> OriginReport:
    """The analyses that need no model, and the verdicts."""
    layout, h_neurons = instruct.layout, found["instruct"].result.h_neurons
    mapped = map_neurons(h_neurons, measured.alignment, base.weights, instruct.weights)
    drift = ranked(measured, instruct, h_neurons, settings.seed, settings.permutation_draws)
    shared = _overlap(found, measured.alignment)
    transfers = _as_far_as_aligned(measured.alignment.reason, transfers)
    verdict = overall_transfer(transfers)
    sentence = overall_sentence(related.verdict, measured.alignment.reason, verdict, drift.verdict, shared.verdict)
    return OriginReport(
        layers=layout.layers,
        neurons_per_layer=layout.d_m,
        lineage=related,
        alignment=measured.alignment,
        mapped=mapped,
        funnel=tuple(
            collected.funnel for stage in found for collected in (answers.train[stage], *answers.test[stage].values())
        ),
        identification=found["instruct"].result,
        base_identification=found["base"].result,
        transfer=transfers,
        neuron_drift=measured.drift,
        drift=drift,
        overlap=shared,
        activity=tuple(_activity(answers)),
        activation_correlation=correlation,
        verdict_transfer=verdict,
        verdict_drift=drift.verdict,
        verdict_overlap=shared.verdict,
        overall=sentence + _decided_by(transfers),
    )


def _overlap(found: Mapping[Stage, Identified], alignment: Alignment) -> OverlapResult:
    """Neurons that both searches found, among those that both checkpoints have."""
    instruct, base = found["instruct"].result, found["base"].result
    ids = np.setdiff1d(instruct.h_neurons, alignment.unmapped)
    shared = overlap(base.h_neurons, ids, alignment.base_ids.size - alignment.unmapped.size)
    if alignment.reason:
        return replace(shared, verdict="no power", reason=by_position(alignment.reason, shared.reason))
    blind = [result.stage for result in (base, instruct) if not _reads(result)]
    if blind and shared.verdict != "no power":
        reason = (
            f"the probe of {' and of '.join(blind)} does not read its own model's held-out answers; {shared.reason}"
        )
        shared = replace(shared, verdict="no power", reason=reason)
    return shared


def _decided_by(transfers: Sequence[TransferResult]) -> str:
    """Names the question set that the transfer verdict rests on, where it is not the first one."""
    deciding = next((result for result in transfers if result.verdict != "no power"), None)
    if deciding is None or deciding is transfers[0]:
        return ""
    return f" Transfer rests on {deciding.dataset}, since {transfers[0].dataset} had no power."


def _reads(result: IdentificationResult) -> bool:
    """Whether a probe tells its own model's held-out answers apart; if not, its neurons are not H-Neurons."""
    return any(held.auroc is not None and held.auroc.low > CHANCE for held in result.test[:1])


def _as_far_as_aligned(problem: str, transfers: tuple[TransferResult, ...]) -> tuple[TransferResult, ...]:
    """The results as they are, or without verdicts where index j names another neuron in each checkpoint."""
    if not problem:
        return transfers
    return tuple(
        replace(result, verdict="no power", reason=by_position(problem, result.reason)) for result in transfers
    )


def _activity(answers: _Answers) -> list[ActivityTable]:
    """One table per checkpoint and question set."""
    return [
        activity_table(stage, name, features)
        for stage in answers.test
        for name, features in answers.features(stage).items()
    ]
