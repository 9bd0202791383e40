"""One comparison, from two checkpoints to one report.

Checks of the weights come first (lineage, alignment and drift read every tensor, so a damaged or mismatched pair fails
in seconds), then both models' answers, then the analyses as pure functions. A `Workspace` hides where results are kept.
A negative control is the same comparison with one link broken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import numpy as np
from jaxtyping import Bool, Int

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.analyses.activity.by_label import NO_ROWS, activity_table
from provenance.analyses.asking.both_models import (
    TEST_POOL,
    Gathered,
    correlation_of,
    gather,
    own_ids,
    question_pools,
    suppressed,
)
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import CollectionSettings, Pool, Workspace
from provenance.analyses.asking.cross_reading import Forced, cells_read_by
from provenance.analyses.asking.engines import ALL_HERE, HERE, Reached, ServedModels
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.asking.subject import InMemory, Subject
from provenance.analyses.baselines.cross_fit import Folding
from provenance.analyses.baselines.ladder import word_dealings
from provenance.analyses.behaviour.exchange.patching import Exchanged, exchanged
from provenance.analyses.behaviour.scaled_answers import intervened
from provenance.analyses.behaviour.scaled_benchmarks import (
    NOT_ASKED,
    Compliance,
    ScaledBenchmarks,
    asked_freely,
    compliance_of,
)
from provenance.analyses.claims.claim_conditions import decisive, pair_drift
from provenance.analyses.claims.sentences import overall_sentence, patch_words, yield_words
from provenance.analyses.drift.drift_tests import finest_matching
from provenance.analyses.drift.pair import MeasuredPair
from provenance.analyses.jobs.effort import FULL
from provenance.analyses.jobs.evidence import Scaled, Shown, evidence_of, overlap_of, transferred
from provenance.analyses.jobs.negative_controls import NegativeControl, controlled, in_place_of, measure_controlled
from provenance.analyses.jobs.neuron_cards import carded, top_answers, vocabulary_of
from provenance.analyses.lineage.mapping import map_neurons
from provenance.analyses.results.answers import ActivityTable
from provenance.analyses.results.behaviour import CausalEffect
from provenance.analyses.results.cards import NeuronAnswer, NeuronVocabulary
from provenance.analyses.results.claims import Claim
from provenance.analyses.results.lineage import LineageResult
from provenance.analyses.results.reports import OriginReport
from provenance.analyses.results.transfer import TransferResult
from provenance.analyses.search.identification import Identified, ProbeSettings, identify, material_of, take_given
from provenance.analyses.search.shuffled_labels import shuffled_jointly
from provenance.answers.collect_responses import Judge, by_rule
from provenance.answers.questions import QuestionSet, limit
from provenance.benchmarks.reply_judge import ReplyJudge
from provenance.neuron_lists.read_lists import NeuronSet
from provenance.processes.fork_join import fork_join
from provenance.records import Stage

LARGE = 1 << 27  # values of all answers: tables of them take seconds, which processes are begun for
# The smallest p against probes of a null, 1 / (1 + probes), must survive Holm's correction over all question sets.
# Replicates double it: 2 m / (1 + 40 m) stays below 0.05 for m sets.
SETS_PER_TEST = 40  # control sets of each kind, and searches with shuffled labels, for every question set


@dataclass(frozen=True)
class OriginSettings:
    """User settings of a comparison."""

    collection: dict[Stage, CollectionSettings]
    """Settings for asking and capturing each model."""
    probe: ProbeSettings
    shares: tuple[float, float, float] = (0.48, 0.12, 0.40)
    """Shares of training, validation and test in the first question set."""
    shuffles: int = FULL.shuffles
    """Minimum of searches with shuffled labels in each model; many question sets need more."""
    foldings: int = FULL.foldings
    """Partitions of the scored answers, for nested models."""
    permutation_draws: int = FULL.permutations
    """Draws of the drift null."""
    seed: int = 0
    """Seed of splits, orders, samples, nulls and bootstraps."""
    causal: bool = False
    """Whether the H-Neurons of both models are scaled."""


def compare(
    base: OpenCheckpoint,
    instruct: OpenCheckpoint,
    question_sets: Sequence[QuestionSet],
    settings: OriginSettings,
    workspace: Workspace,
    clock: Clock,
    given: NeuronSet | None = None,
    control: NegativeControl | None = None,
    judge: Judge = by_rule,
    served: ServedModels = ALL_HERE,
    scaling: ScaledBenchmarks = NOT_ASKED,
    pools: tuple[Pool, ...] | None = None,
    reply_judge: ReplyJudge | None = None,
    there: Reached = HERE,
) -> OriginReport:
    """Runs every analysis of one pair.

    Args:
        question_sets: The first is split into training, validation and test questions; the others are only tested.
        workspace: Cache of finished work.
        given: H-Neurons of the instruct checkpoint from a file, in place of a search.
        control: The broken link of a negative control.
        judge: Labels the answers; the one that the settings name.
        served: Models that answer at servers.
        scaling: Benchmarks that both models are asked while the H-Neurons are scaled.
        pools: Split question sets with responses that exist; None where the models are asked.
        reply_judge: The judging model that `scaling` names.
        there: The place of these models, which may also read weights.

    Raises:
        PairError: The MLPs have different shapes, and lineage does not match their neurons.
        NonFiniteError: A weight or an activation is NaN or infinite.
        SplitError: Question sets overlap with the training questions.
        ConvergenceError: A probe does not converge at a fixed or chosen C.
    """
    pools = question_pools(question_sets, settings.shares, settings.seed) if pools is None else pools
    with there.weights(base, instruct) as who:
        related, measured = measure_controlled(base, instruct, control, settings.seed, clock, who)
    sides: dict[Stage, OpenCheckpoint] = {"instruct": instruct, "base": base}
    asked = partial(Subject, pools=pools, workspace=workspace, clock=clock, judge=judge, memory=InMemory())
    subjects = {
        stage: asked(side, settings.collection[stage], served=served.get(side.checkpoint.digest))
        for stage, side in sides.items()
    }
    collected = {stage: subject.collect_all() for stage, subject in subjects.items()}
    gathered = controlled(gather(subjects, collected, measured.alignment), control)
    # in this order each model is loaded twice at most: the base is in memory, then the instruct checkpoint again
    cells = cells_read_by("base", gathered)
    correlation = clock.timed("correlation", partial(correlation_of, gathered, related))
    forced = Forced(gathered.names[TEST_POOL], cells | cells_read_by("instruct", gathered))
    found, dealt, scaled = _found(gathered, settings, given, scaling, reply_judge, same_tokens=related.same_tokenizer)
    read = partial(transferred, found["instruct"], gathered, dealt, measured.alignment.reason, settings.seed)
    carried = clock.timed("transfer", read)
    shown = Shown(found, gathered, forced, correlation, carried, scaled)
    work = partial(_report, in_place_of(base, control), instruct, related, measured, shown, settings)
    report = replace(clock.timed("evidence", work), control="" if control is None else control.kind)
    return clock.timed("neuron cards", partial(_with_cards, report, gathered))


def _with_cards(report: OriginReport, gathered: Gathered) -> OriginReport:
    """The report with what is kept of every single H-Neuron."""
    ids, size = carded(report.identification.h_neurons, report.identification.weights), report.neurons_per_layer
    places: dict[Stage, Int[np.ndarray, " k"]] = {"base": report.alignment.base_ids[ids], "instruct": ids}
    written: list[NeuronVocabulary] = []
    strongest: list[NeuronAnswer] = []
    for stage, own in places.items():
        subject = gathered.subjects[stage]
        written += vocabulary_of(subject.side, subject.tokenizer, ids, own, size)
        strongest += top_answers(stage, gathered.tests(stage), ids[own >= 0], size)
    return replace(report, vocabulary=tuple(written), top_answers=tuple(strongest))


def _found(
    gathered: Gathered,
    settings: OriginSettings,
    given: NeuronSet | None,
    scaling: ScaledBenchmarks,
    reply_judge: ReplyJudge | None,
    *,
    same_tokens: bool,
) -> tuple[dict[Stage, Identified], dict[str, list[Folding]], Scaled]:
    """The search in both checkpoints, partitions of the base's answers by question set, and what scaling did.

    The instruct checkpoint's H-Neurons are scaled in both models, if that is asked for. A model that is in memory stays
    there only where it will run: probes take minutes, and may not hold a GPU meanwhile.
    """
    stages = tuple(gathered.subjects)
    trained = [gathered.answers[stage][0].features for stage in stages]
    draws = 0 if given else max(settings.shuffles, SETS_PER_TEST * _tested_sets(gathered))
    shuffles = dict(zip(stages, shuffled_jointly(trained, seed=settings.seed, draws=draws), strict=True))
    searches = {
        f"probe {stage}": partial(_identify, gathered, stage, settings, given, shuffles[stage]) for stage in stages
    }
    clock = gathered.subjects["instruct"].clock
    if not (settings.causal or scaling.benchmarks or settings.probe.rule == "paper"):
        gathered.drop()
        # the longest come first, and the many short ones fill the time that one search takes longer
        at_once, dealt = _with_words({name: [search] for name, search in searches.items()}, gathered, settings)
        return {stage: at_once[name][0] for stage, name in zip(stages, searches, strict=True)}, dealt, Scaled()
    found: dict[Stage, Identified] = {}
    effects: list[CausalEffect] = []
    compliance: list[Compliance] = []
    own: dict[Stage, Int[np.ndarray, " _"]] = {}
    for stage, (name, search) in zip(stages, searches.items(), strict=True):
        found[stage] = clock.timed(name, search)
        ids = found["instruct"].result.h_neurons
        if settings.causal:
            effects += intervened(gathered, stage, ids, seed=settings.seed)
        if scaling.benchmarks:
            unknown = stage == "base" and gathered.alignment.reason
            own[stage], negative = (
                NO_NEURONS if unknown else own_ids(stage, each, gathered.alignment)
                for each in (ids, given.negative_ids if given else found["instruct"].result.negative)
            )
            subject = gathered.subjects[stage]
            asked = replace(scaling, plain=_held_out(subject, scaling))
            scaled = compliance_of(asked_freely(subject, scaling), own[stage], asked, reply_judge, negative=negative)
            compliance.append(scaled)
        if not (scaling.benchmarks and stage == stages[-1]):  # the last one lends its activations first
            gathered.subjects[stage].drop()
    swapped = Exchanged()
    if scaling.benchmarks:
        swapped = exchanged(
            gathered.subjects, own, gathered.alignment, scaling, same_tokens=same_tokens, judge=reply_judge
        )
        gathered.drop()
    _, dealt = _with_words({}, gathered, settings)
    return found, dealt, Scaled(tuple(effects), tuple(compliance), swapped)


def _with_words(
    stages: Mapping[str, Sequence[Callable[[], Identified]]], gathered: Gathered, settings: OriginSettings
) -> tuple[dict[str, list[Identified]], dict[str, list[Folding]]]:
    """Results of stages, and beside them partitions of the base's answers with their words, by question set."""
    dealings = word_dealings(gathered.tests("base"), foldings=settings.foldings, seed=settings.seed)
    words = {name: f"words {name}" for name in dealings}
    clock = gathered.subjects["instruct"].clock
    done = clock.timed_at_once({**stages, **{words[name]: pieces for name, pieces in dealings.items()}})
    return {name: done[name] for name in stages}, {name: done[stage] for name, stage in words.items()}


def _held_out(subject: Subject, scaling: ScaledBenchmarks) -> tuple[QuestionSet, ...]:
    """Held-out questions of a model, some of each set."""
    return tuple(
        replace(
            pool.questions,
            questions=limit([question for question, _ in pool.entries], scaling.plain_items, scaling.seed),
        )
        for pool in subject.pools
        if not pool.training
    )


def _tested_sets(gathered: Gathered) -> int:
    """Number of question sets that transfer may be tested on: those with base answers of both classes."""
    return sum(test.both_classes for test in gathered.tests("base").values())


def _identify(
    gathered: Gathered,
    stage: Stage,
    settings: OriginSettings,
    given: NeuronSet | None,
    shuffles: Sequence[Bool[np.ndarray, " rows"]],
) -> Identified:
    """The search in one checkpoint; the listed neurons if the instruct checkpoint has a list."""
    material = replace(material_of(gathered, stage), shuffles=shuffles)
    probe = replace(settings.probe, draws=max(settings.probe.draws, SETS_PER_TEST * len(material.tests)))
    if stage == "instruct" and given is not None:
        return take_given(material, given, probe)
    return identify(material, probe, partial(suppressed, gathered.subjects[stage], gathered.alignment))


def _report(
    base: OpenCheckpoint,
    instruct: OpenCheckpoint,
    related: LineageResult,
    measured: MeasuredPair,
    shown: Shown,
    settings: OriginSettings,
) -> OriginReport:
    """The analyses that need no model, and the verdicts."""
    layout, alignment, found = instruct.layout, measured.alignment, shown.found
    h_neurons = found["instruct"].result.h_neurons
    activity = tuple(_activity(shown.gathered))
    drifted = pair_drift(
        measured, instruct, shown.sides, settings.seed, probes=shown.searched, draws=settings.permutation_draws,
        activity=shown.base_activity(activity), correlation=shown.correlation,
    )  # fmt: skip
    overlapping = overlap_of(shown, measured, activity, layout.d_m)
    evidence = evidence_of(shown, alignment.reason, drifted, overlapping, layout, settings.foldings, settings.seed)
    report = OriginReport(
        layers=layout.layers,
        neurons_per_layer=layout.d_m,
        lineage=related,
        alignment=alignment,
        mapped=map_neurons(h_neurons, alignment, base.weights, instruct.weights),
        funnel=tuple(collected.funnel for stage in found for collected in shown.gathered.collected[stage]),
        identification=found["instruct"].result,
        base_identification=found["base"].result,
        transfer=shown.carried.results,
        neuron_drift=measured.drift,
        drift=drifted[0],
        overlap=overlapping[0],
        activity=activity,
        activation_correlation=shown.correlation,
        evidence=evidence,
    )
    return judged_by(report, evidence.claims)


def judged_by(report: OriginReport, claims: Sequence[Claim]) -> OriginReport:
    """The report with these claims, and what they say as one sentence."""
    said = {claim.name: claim.verdict for claim in claims}
    stages: tuple[Stage, ...] = get_args(Stage)
    scaled = {stage: found for stage in stages if (found := _scaled_words(report, claims, stage))}
    matching = finest_matching(report.evidence.drift)
    overall = overall_sentence(report.lineage.verdict, report.alignment.reason, said, matching, scaled)
    return replace(
        report,
        overall=overall + _decided_by(report.transfer),
        evidence=replace(report.evidence, claims=tuple(claims)),
    )


def _scaled_words(report: OriginReport, claims: Sequence[Claim], stage: Stage) -> str:
    """What changing activations of neurons did in a model; empty if none were changed."""
    asked, lent = (
        {claim.dataset: claim.verdict for claim in claims if claim.name.startswith(f"{kind}_{stage}:")}
        for kind in ("compliance", "patched")
    )
    measured = any(slope.stage == stage for slope in report.evidence.compliance_slopes)
    acted = [claim.words for claim in claims if claim.name == f"function_{stage}"]
    said = [*acted, *([yield_words(stage, asked)] if measured else []), patch_words(stage, lent)]
    return "; ".join(filter(None, said))


def _decided_by(transfers: Sequence[TransferResult]) -> str:
    """Names the question set behind the transfer verdict if others differ or it is not the first."""
    first = decisive(transfers)
    if first is None or first.verdict == "no power":
        return ""
    others = [
        f"{result.dataset} came out as {result.verdict}"
        for result in transfers
        if result.verdict not in ("no power", first.verdict)
    ]
    why = "" if first is transfers[0] else f", since {transfers[0].dataset} had no power"
    if not others and not why:
        return ""
    return f" Transfer rests on {first.dataset}{why}{'; ' if others else ''}{', '.join(others)}."


def _activity(gathered: Gathered) -> list[ActivityTable]:
    """One table per checkpoint and question set, many at once where they are large."""
    work: list[Callable[[], ActivityTable]] = []
    values = 0
    for stage in gathered.answers:
        refused = {pool.questions.name: rows.answer for pool, rows in gathered.refusals(stage) if not pool.training}
        for name, features in gathered.features(stage).items():
            work.append(partial(activity_table, stage, name, features, refused.get(name, NO_ROWS)))
            values += int(np.prod(features.answer.shape))
    return fork_join(work, at_once=values >= LARGE)
