"""One comparison from two checkpoints to one report, in order.

The one idea: cheap checks of the weights come first (lineage and drift read every tensor,
so a damaged or mismatched pair fails in seconds), then everything that needs the models'
answers, then the analyses, each a pure function of what was collected. Nothing here knows
where results are kept: a `Workspace` is handed in.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from analyses.activity import activity_table
from analyses.collection import (
    Collected,
    CollectionSettings,
    Pool,
    Progress,
    Workspace,
    collect_pool,
    make_pool,
    make_task,
    paired_task,
)
from analyses.correlation import activation_correlation
from analyses.drift import check_comparable, measure_drift, summarise_drift
from analyses.identification import Identified, ProbeSettings, identify
from analyses.lineage import lineage
from analyses.mapping import map_by_index, misalignment
from analyses.overlap import overlap
from analyses.results import (
    ActivityTable,
    DriftResult,
    IdentificationResult,
    LineageResult,
    NeuronDrift,
    OriginReport,
    OverlapResult,
    TransferResult,
)
from analyses.transfer import CHANCE, overall_transfer, refit_controls, transfer, without_power
from analyses.verdicts import overall_sentence
from provenance.architectures import Layout, layout_of
from provenance.checkpoints import Checkpoint
from provenance.features import Features, remembered
from provenance.models import LoadedModel, load_model, load_tokenizer
from provenance.questions import QuestionSet, check_disjoint, normalise_question, split_questions
from provenance.records import Question, Split, Stage
from provenance.shards import Shards
from provenance.weights import MlpWeights

CORRELATION_RESPONSES = 128  # some thousand tokens: a correlation of 0.05 is then told from zero
CORRELATION_BATCH = 8
_T = TypeVar("_T")


@dataclass(frozen=True)
class Side:
    """One checkpoint of the pair, without a model."""

    stage: Stage
    """Which side."""
    checkpoint: Checkpoint
    """Where it lies and what it is."""
    layout: Layout
    """Where its MLPs lie."""
    weights: MlpWeights
    """Its tensors, read when asked for."""

    @classmethod
    def open(cls, stage: Stage, checkpoint: Checkpoint) -> "Side":
        """Read the headers of a checkpoint.

        Raises:
            ArchitectureError: Its layout is unknown, or a mixture of experts.
            CheckpointError: Its files are incomplete.
        """
        shards = Shards(checkpoint.folder)
        layout = layout_of(checkpoint.config, shards.names())
        return cls(stage, checkpoint, layout, MlpWeights(shards, layout))


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


@dataclass
class Clock:
    """Wall time by stage, in milliseconds."""

    progress: Progress
    durations_ms: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, work: Callable[[], _T]) -> _T:
        """Run one stage."""
        self.progress.stage(name)
        start = time.perf_counter()
        result = work()
        self.durations_ms[name] = self.durations_ms.get(name, 0.0) + 1000 * (time.perf_counter() - start)
        return result


class _Models:
    """Models of both sides, loaded when first asked for and dropped when no longer needed."""

    def __init__(self, sides: Mapping[Stage, Side], settings: OriginSettings) -> None:
        self._sides = sides
        self._settings = settings
        self._loaded: dict[Stage, LoadedModel] = {}

    def get(self, stage: Stage) -> LoadedModel:
        """The model of a side."""
        if stage not in self._loaded:
            side, how = self._sides[stage], self._settings.collection[stage]
            self._loaded[stage] = load_model(
                side.checkpoint.folder,
                side.layout,
                dtype=how.dtype,
                device=how.device,
                attn_implementation=how.attn_implementation,
            )
        return self._loaded[stage]

    def drop(self, stage: Stage) -> None:
        """Free a model's memory."""
        self._loaded.pop(stage, None)


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
        PairError: The MLPs have different shapes.
        NonFiniteError: A weight or an activation is NaN or infinite.
        SplitError: Question sets overlap with the training questions.
    """
    pools = question_pools(question_sets, settings)
    drift = clock.timed("drift", lambda: measure_drift(base.weights, instruct.weights))
    related = clock.timed("lineage", lambda: _lineage(base, instruct, settings.seed))
    sides: dict[Stage, Side] = {"instruct": instruct, "base": base}
    models = _Models(sides, settings)
    answers = _collect(sides, pools, settings, models, workspace, clock)
    correlation = clock.timed(
        "correlation", lambda: _correlation(sides, pools, settings, models, answers, related, workspace)
    )
    models.drop("base")
    models.drop("instruct")
    found = {
        stage: clock.timed(f"probe {stage}", partial(_identify, sides[stage], answers, settings)) for stage in sides
    }
    transfers = clock.timed("transfer", lambda: _transfers(found["instruct"], answers, base.layout, settings))
    return _report(base.layout, related, drift, found, transfers, answers, correlation, settings)


def check_pair(base: Side, instruct: Side) -> None:
    """Refuse two checkpoints whose MLPs cannot be compared neuron by neuron.

    Raises:
        PairError: Layers, neurons per layer, width or kinds of projections differ.
    """
    check_comparable(base.weights, instruct.weights)


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


def _lineage(base: Side, instruct: Side, seed: int) -> LineageResult:
    vocabularies = [load_tokenizer(side.checkpoint.folder).get_vocab() for side in (base, instruct)]
    return lineage(base.weights, instruct.weights, *vocabularies, seed=seed)


def _collect(
    sides: Mapping[Stage, Side],
    pools: Sequence[Pool],
    settings: OriginSettings,
    models: _Models,
    workspace: Workspace,
    clock: Clock,
) -> _Answers:
    """Ask and capture both checkpoints, one after the other."""
    answers = _Answers({}, {stage: {} for stage in sides})
    for stage, side in sides.items():
        for pool in pools:
            work = partial(
                collect_pool, stage, side.checkpoint, partial(models.get, stage), pool,
                settings.collection[stage], workspace, clock.progress,
            )  # fmt: skip
            collected = clock.timed(f"{stage} {pool.questions.name} {pool.split}", work)
            if pool.training:
                answers.train[stage] = collected
            else:
                answers.test[stage][pool.questions.name] = collected
    return answers


def _correlation(
    sides: Mapping[Stage, Side],
    pools: Sequence[Pool],
    settings: OriginSettings,
    models: _Models,
    answers: _Answers,
    related: LineageResult,
    workspace: Workspace,
) -> Float[np.ndarray, " neurons"] | None:
    """Neuron by neuron over the base's own answers; None where token ids mean different tokens."""
    pool = next(pool for pool in pools if not pool.training)
    responses = answers.test["base"][pool.questions.name].responses
    used = [response for response in responses if response.label != "dropped"][:CORRELATION_RESPONSES]
    if not related.same_tokenizer or not used:
        return None

    def compute() -> Float[np.ndarray, " neurons"]:
        return activation_correlation(models.get("base"), models.get("instruct"), used, CORRELATION_BATCH)

    asked = make_task("base", sides["base"].checkpoint, pool, settings.collection["base"])
    task = paired_task(asked, sides["instruct"].checkpoint, "activation correlation")
    return remembered(compute, used, workspace.captures, task.key, workspace.capture_log(task))


def _identify(side: Side, answers: _Answers, settings: OriginSettings) -> Identified:
    collected = answers.train[side.stage]
    return identify(
        side.stage,
        collected.part("train"),
        collected.part("validation"),
        answers.features(side.stage),
        layers=side.layout.layers,
        d_m=side.layout.d_m,
        settings=settings.probe,
    )


def _transfers(
    found: Identified, answers: _Answers, layout: Layout, settings: OriginSettings
) -> tuple[TransferResult, ...]:
    """The instruct probe on the base's answers to every question set, with one set of control probes for all."""
    tests = answers.features("base")
    if found.probe is None:
        return tuple(without_power(name, features, found.result.reason) for name, features in tests.items())
    train = answers.train["instruct"].features
    sizes = {"layers": layout.layers, "d_m": layout.d_m}
    controls = refit_controls(found.probe, train, **sizes, draws=settings.null_draws, seed=settings.seed)
    return tuple(
        transfer(found.probe, train, features, name, **sizes, seed=settings.seed, controls=controls)
        for name, features in tests.items()
    )


def _report(
    layout: Layout,
    related: LineageResult,
    neuron_drift: NeuronDrift,
    found: Mapping[Stage, Identified],
    transfers: tuple[TransferResult, ...],
    answers: _Answers,
    correlation: Float[np.ndarray, " neurons"] | None,
    settings: OriginSettings,
) -> OriginReport:
    """The analyses that need no model, and the verdicts."""
    instruct, base = found["instruct"].result, found["base"].result
    drift, shared = _drift_and_overlap(layout, related, neuron_drift, found, settings)
    transfers, drift, shared = _as_far_as_aligned(related, transfers, drift, shared)
    verdict = overall_transfer(transfers)
    return OriginReport(
        layers=layout.layers,
        neurons_per_layer=layout.d_m,
        lineage=related,
        funnel=tuple(
            collected.funnel for stage in found for collected in (answers.train[stage], *answers.test[stage].values())
        ),
        identification=instruct,
        base_identification=base,
        transfer=transfers,
        neuron_drift=neuron_drift,
        drift=drift,
        overlap=shared,
        activity=tuple(_activity(answers)),
        activation_correlation=correlation,
        verdict_transfer=verdict,
        verdict_drift=drift.verdict,
        verdict_overlap=shared.verdict,
        overall=overall_sentence(related, verdict, drift.verdict, shared.verdict) + _decided_by(transfers),
    )


def _drift_and_overlap(
    layout: Layout,
    related: LineageResult,
    neuron_drift: NeuronDrift,
    found: Mapping[Stage, Identified],
    settings: OriginSettings,
) -> tuple[DriftResult, OverlapResult]:
    """Drift of the H-Neurons, and their overlap with the base's own, by the mapping that lineage allows."""
    instruct, base = found["instruct"].result, found["base"].result
    mapped = map_by_index(instruct.h_neurons, related)
    drift = summarise_drift(
        neuron_drift, mapped.base_ids, layout.layers, layout.d_m, draws=settings.permutation_draws, seed=settings.seed
    )
    shared = overlap(base.h_neurons, mapped.base_ids, layout.layers * layout.d_m)
    blind = [result.stage for result in (base, instruct) if not _reads(result)]
    if blind and shared.verdict != "no power":
        reason = (
            f"the probe of {' and of '.join(blind)} does not read its own model's held-out answers; {shared.reason}"
        )
        shared = replace(shared, verdict="no power", reason=reason)
    return drift, shared


def _decided_by(transfers: Sequence[TransferResult]) -> str:
    """Names the question set that the transfer verdict rests on, where it is not the first one."""
    deciding = next((result for result in transfers if result.verdict != "no power"), None)
    if deciding is None or deciding is transfers[0]:
        return ""
    return f" Transfer rests on {deciding.dataset}, since {transfers[0].dataset} had no power."


def _reads(result: IdentificationResult) -> bool:
    """Whether a probe tells its own model's held-out answers apart; if not, its neurons are not H-Neurons."""
    return any(held.auroc is not None and held.auroc.low > CHANCE for held in result.test[:1])


def _as_far_as_aligned(
    related: LineageResult, transfers: tuple[TransferResult, ...], drift: DriftResult, shared: OverlapResult
) -> tuple[tuple[TransferResult, ...], DriftResult, OverlapResult]:
    """The results as they are, or without verdicts where index j names another neuron in each checkpoint."""
    problem = misalignment(related)
    if not problem:
        return transfers, drift, shared

    def reason(result: TransferResult | DriftResult | OverlapResult) -> str:
        return f"{problem}; by position alone: {result.reason}"

    return (
        tuple(replace(result, verdict="no power", reason=reason(result)) for result in transfers),
        replace(drift, verdict="no power", reason=reason(drift)),
        replace(shared, verdict="no power", reason=reason(shared)),
    )


def _activity(answers: _Answers) -> list[ActivityTable]:
    """One table per checkpoint and question set."""
    return [
        activity_table(stage, name, features)
        for stage in answers.test
        for name, features in answers.features(stage).items()
    ]
