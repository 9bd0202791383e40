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
from jaxtyping import Float

from analyses.activity import activity_table
from analyses.clock import Clock
from analyses.collection import CollectionSettings, Workspace
from analyses.gathered import Asking, Gathered, question_pools
from analyses.identification import Identified, Material, ProbeSettings, identify, take_given
from analyses.mapping import map_neurons
from analyses.measured import MeasuredPair, by_position, measure_pair, ranked
from analyses.overlap import overlap
from analyses.probe_results import IdentificationResult
from analyses.results import ActivityTable, Alignment, LineageResult, OriginReport, OverlapResult, TransferResult
from analyses.sides import Models, Side
from analyses.transfer import CHANCE, overall_transfer, transfer, without_power
from analyses.verdicts import overall_sentence
from provenance.architectures import Layout
from provenance.neuron_files import NeuronSet
from provenance.questions import QuestionSet
from provenance.records import Stage


@dataclass(frozen=True)
class OriginSettings:
    """Everything a user can choose about a comparison."""

    collection: dict[Stage, CollectionSettings]
    """How each side is asked and captured."""
    probe: ProbeSettings
    """How probes are fitted."""
    shares: tuple[float, float, float] = (0.48, 0.12, 0.40)
    """Of the first question set: training, validation, test."""
    permutation_draws: int = 10_000
    """Draws of the drift null."""
    seed: int = 0
    """Of splits, orders, samples, nulls and bootstraps."""


def compare(
    base: Side,
    instruct: Side,
    question_sets: Sequence[QuestionSet],
    settings: OriginSettings,
    workspace: Workspace,
    clock: Clock,
    given: NeuronSet | None = None,
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
        given: H-Neurons of the instruct checkpoint from a file; they are then not looked for.

    Raises:
        PairError: The MLPs have different shapes, and lineage does not say which neuron is which.
        NonFiniteError: A weight or an activation is NaN or infinite.
        SplitError: Question sets overlap with the training questions.
        ConvergenceError: A probe at a C that was fixed or chosen does not converge.
    """
    pools = question_pools(question_sets, settings.shares, settings.seed)
    related, measured = measure_pair(base, instruct, settings.seed, clock)
    sides: dict[Stage, Side] = {"instruct": instruct, "base": base}
    models = Models(sides, settings.collection)
    asking = Asking(sides, pools, settings.collection, models, workspace, clock)
    gathered = asking.gather(measured.alignment)
    correlation = clock.timed("correlation", lambda: asking.correlation(gathered, related, measured.alignment))
    models.drop("base")
    models.drop("instruct")
    found: dict[Stage, Identified] = {}
    for stage in sides:
        search = partial(_identify, stage, instruct.layout, asking, gathered, measured.alignment, settings, given)
        found[stage] = clock.timed(f"probe {stage}", search)
        models.drop(stage)  # the paper's rule has asked it again
    transfers = clock.timed("transfer", lambda: _transfers(found["instruct"], gathered, settings))
    return _report(base, instruct, related, measured, found, transfers, gathered, correlation, settings)


def _identify(
    stage: Stage,
    layout: Layout,
    asking: Asking,
    gathered: Gathered,
    alignment: Alignment,
    settings: OriginSettings,
    given: NeuronSet | None,
) -> Identified:
    """The search in one checkpoint, or what somebody else found in the instruct one."""
    train = gathered.answers[stage][0]
    material = Material(
        stage, train, gathered.collected[stage][0].splits, gathered.tests(stage),
        gathered.features("base") if stage == "instruct" else {}, layout.layers, layout.d_m, alignment.unmapped,
        asking.workspace.captures,
    )  # fmt: skip
    if stage == "instruct" and given is not None:
        return take_given(material, given, settings.probe)
    return identify(material, settings.probe, partial(asking.suppressed, stage, alignment))


def _transfers(found: Identified, gathered: Gathered, settings: OriginSettings) -> tuple[TransferResult, ...]:
    """The instruct probe on the base's answers to every question set, with one set of control probes for all."""
    tests = gathered.features("base")
    if found.probe is None or found.baselines is None:
        return tuple(without_power(name, features, found.result.reason) for name, features in tests.items())
    controls = found.baselines.controls
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
    gathered: Gathered,
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
        funnel=tuple(collected.funnel for stage in found for collected in gathered.collected[stage]),
        identification=found["instruct"].result,
        base_identification=found["base"].result,
        transfer=transfers,
        neuron_drift=measured.drift,
        drift=drift,
        overlap=shared,
        activity=tuple(_activity(gathered)),
        activation_correlation=correlation,
        verdict_transfer=verdict,
        verdict_drift=drift.verdict,
        verdict_overlap=shared.verdict,
        overall=sentence + _decided_by(transfers),
    )


def _overlap(found: Mapping[Stage, Identified], alignment: Alignment) -> OverlapResult:
    """Neurons that both searches found, among those that both checkpoints have."""
    instruct, base = found["instruct"].result, found["base"].result
    ceilings = {result.stage: result.stability.split_half_jaccard for result in (base, instruct) if result.stability}
    ids = np.setdiff1d(instruct.h_neurons, alignment.unmapped)
    shared = replace(
        overlap(base.h_neurons, ids, alignment.base_ids.size - alignment.unmapped.size),
        ceiling_base=ceilings.get("base"),
        ceiling_instruct=ceilings.get("instruct"),
    )
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
    """Names the question set that the transfer verdict rests on, where others differ or it is not the first."""
    tested = [result for result in transfers if result.verdict != "no power"]
    if not tested:
        return ""
    others = [
        f"{result.dataset} came out as {result.verdict}" for result in tested[1:] if result.verdict != tested[0].verdict
    ]
    why = "" if tested[0] is transfers[0] else f", since {transfers[0].dataset} had no power"
    if not others and not why:
        return ""
    return f" Transfer rests on {tested[0].dataset}{why}{'; ' if others else ''}{', '.join(others)}."


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


def _activity(gathered: Gathered) -> list[ActivityTable]:
    """One table per checkpoint and question set."""
    return [
        activity_table(stage, name, features)
        for stage in gathered.answers
        for name, features in gathered.features(stage).items()
    ]
