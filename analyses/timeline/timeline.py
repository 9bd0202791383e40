"""Origin of the H-Neurons' signal over training: ordered checkpoints, each measured with the last one's probe.

It scores each checkpoint's own answers, and its activations over the last one's answers, the same texts and labels
throughout. A randomly initialised model as the floor shows what texts and architecture alone give away. One model is in
memory at a time; neurons are compared by position.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from jaxtyping import Float

from provenance.activations.features import Features
from provenance.analyses.activity.token_correlation import RecordedActivations
from provenance.analyses.asking.both_models import (
    CORRELATION_BATCH,
    TEST_POOL,
    Gathered,
    gather,
    kept_responses,
    question_pools,
    suppressed,
)
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import Collected, Pool, Workspace, paired_task
from provenance.analyses.asking.cross_reading import read_answers
from provenance.analyses.asking.engines import ALL_HERE, HERE, Reached, ServedModels
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.asking.subject import Subject
from provenance.analyses.drift.pair import measured_with
from provenance.analyses.jobs.run_comparison import OriginSettings
from provenance.analyses.results.drift import NeuronDrift
from provenance.analyses.results.lineage import Alignment
from provenance.analyses.results.reports import TimelineReport
from provenance.analyses.results.timeline import TimelinePoint
from provenance.analyses.search.identification import Identified, identify, material_of
from provenance.analyses.timeline.points import Alike, Moved, Scored, alike, joined_reason, moved, score, unscored
from provenance.answers.collect_responses import Judge, by_rule
from provenance.answers.foreign_answers import Placing, Reading, usual_lead
from provenance.answers.questions import QuestionSet
from provenance.records import Stage, Task
from provenance.responses.placing import GivenReading

FLOOR_POSITION = -1
NOT_ASKED = "a randomly initialised model is not asked, since it is right by chance alone"
OTHER_TOKENS = "its tokenizer has other tokens, so the same ids would be another text"
NONE_GIVEN = "the file has no responses of its own to test on"
NOTHING_SAID = "the last checkpoint has no answers to read"
LAST = Moved(None, None, None, None, None, "")
ITSELF = Alike(None, None, "")


@dataclass(frozen=True)
class Stop:
    """One checkpoint of a timeline."""

    side: OpenCheckpoint
    """The open checkpoint; its stage is its prompt format."""
    ref: str
    """As the user wrote it."""
    position: int
    """From 0 in the given order; -1 for the floor."""

    @property
    def is_floor(self) -> bool:
        """Whether it is the randomly initialised model."""
        return self.position == FLOOR_POSITION

    @property
    def prompt(self) -> Stage:
        """Its prompt format."""
        return self.side.stage


@dataclass(frozen=True)
class Ruler:
    """The last checkpoint, with which all others are measured."""

    stop: Stop
    gathered: Gathered
    """Its model, with its answers and activations."""
    found: Identified
    words: Mapping[str, int] | None
    """Its vocabulary."""

    @property
    def subject(self) -> Subject:
        """Its model."""
        return self.gathered.subjects[self.stop.prompt]

    @property
    def test(self) -> Collected:
        """Its answers to the test questions."""
        return self.gathered.collected[self.stop.prompt][TEST_POOL]

    @property
    def task(self) -> Task:
        """Cache key of its answers."""
        return self.subject.task(self.subject.held_out)

    def recorded(self) -> RecordedActivations:
        """What it reads in its first answers, for the correlations of all others with it."""
        folder = self.subject.workspace.captures_of(self.task)
        return RecordedActivations(self.subject.model(), kept_responses(self.test), CORRELATION_BATCH, folder)


def trace(
    stops: Sequence[Stop],
    floor: Stop | None,
    questions: QuestionSet,
    settings: OriginSettings,
    workspace: Workspace,
    clock: Clock,
    judge: Judge = by_rule,
    served: ServedModels = ALL_HERE,
    given: Sequence[Sequence[Pool]] | None = None,
    there: Reached = HERE,
) -> TimelineReport:
    """Finds the H-Neurons of the last checkpoint and measures every other one with their probe.

    Args:
        stops: Earliest first, all of one shape; the last is the tuned checkpoint.
        floor: A randomly initialised model of that shape; None leaves it out.
        questions: Split into training, validation and test questions, as `compare` splits its first set.
        judge: Labels the answers; the one that the settings name.
        served: Models that answer at servers.
        given: The pools of each checkpoint with its responses that exist, in place of asking.
        there: Their place, which may also read weights.

    Raises:
        PairError: A checkpoint has another shape than the last.
        NonFiniteError: A weight or an activation is NaN or infinite.
        ConvergenceError: A probe does not converge at a fixed or chosen C.
    """
    asked = question_pools([questions], settings.shares, settings.seed) if given is None else ()
    pools = [asked] * len(stops) if given is None else [tuple(each) for each in given]
    others = (*stops[:-1], *([floor] if floor else []))
    # Weights are read first, so that a damaged checkpoint ends the job within seconds.
    drifts = {stop.position: _drift(stop, stops[-1], clock, HERE if stop.is_floor else there) for stop in others}
    last = stops[-1]
    at_server = served.get(last.side.checkpoint.digest)
    subject = Subject(last.side, settings.collection[last.prompt], pools[-1], workspace, clock, judge, at_server)
    ruler = _ruler(last, subject, settings)
    with ExitStack() as scratch:
        recorded = cache(lambda: scratch.enter_context(closing(ruler.recorded())))
        if subject.is_in_memory and kept_responses(ruler.test):
            recorded()  # while it is in memory anyway
        tracing = Tracing(stops[0], ruler, drifts, settings, served, recorded, pools)
        points = [*(tracing.point(stop) for stop in others), tracing.last()]
    layout = ruler.stop.side.layout
    return TimelineReport(
        points=tuple(sorted(points, key=lambda point: point.position)),
        identification=ruler.found.result,
        dataset=questions.name,
        layers=layout.layers,
        neurons_per_layer=layout.d_m,
        target=ruler.stop.ref,
    )


def _drift(stop: Stop, last: Stop, clock: Clock, there: Reached) -> NeuronDrift:
    with there.weights(stop.side, last.side) as who:
        return measured_with(stop.side, last.side, _by_position(last.side), clock, who).drift


def _by_position(side: OpenCheckpoint) -> Alignment:
    return Alignment("index", np.arange(side.layout.layers * side.layout.d_m), "")


def _ruler(stop: Stop, subject: Subject, settings: OriginSettings) -> Ruler:
    stage, clock, alignment = stop.prompt, subject.clock, _by_position(stop.side)
    gathered = gather({stage: subject}, {stage: subject.collect_all()}, alignment)
    silent = partial(suppressed, subject, alignment)
    search = partial(identify, material_of(gathered, stage), settings.probe, silent)
    return Ruler(stop, gathered, clock.timed(f"{stop.ref} probe", search), stop.side.vocabulary())


@dataclass(frozen=True)
class Tracing:
    """Measures checkpoints one by one with the same ruler."""

    first: Stop
    """The earliest checkpoint, whose prompt format the floor uses."""
    ruler: Ruler
    drifts: Mapping[int, NeuronDrift]
    """Weight change from each other checkpoint to the last, by position."""
    settings: OriginSettings
    served: ServedModels
    """Models that answer at servers."""
    recorded: Callable[[], RecordedActivations]
    """What the last checkpoint reads in its own answers, read once for all points."""
    pools: Sequence[tuple[Pool, ...]]
    """Of each checkpoint, by position."""

    def point(self, stop: Stop) -> TimelinePoint:
        """All numbers of one checkpoint; its model and tokenizer are dropped afterwards."""
        subject = self._subject(stop)
        timed = subject.clock.timed
        own, given = unscored(NOT_ASKED if stop.is_floor else NONE_GIVEN), subject.held_out.given
        if not stop.is_floor and (given is None or given[stop.prompt].responses):
            said = timed(f"{stop.ref} own answers", partial(subject.collect, subject.held_out))
            own = self._scored(said.features)
        forced = timed(f"{stop.ref} reads the last one's answers", partial(self._forced, stop, subject))
        similar = timed(f"{stop.ref} correlation", partial(self._alike, subject))
        stop.side.forget_tokenizer()
        return _point(stop, own, forced, self._moved(stop), similar)

    def last(self) -> TimelinePoint:
        """The last checkpoint itself, whose own answers all others read."""
        own = self._scored(self.ruler.test.features)
        return _point(self.ruler.stop, own, own, LAST, ITSELF)

    def _subject(self, stop: Stop) -> Subject:
        settings, served = self.settings.collection[stop.prompt], self.served.get(stop.side.checkpoint.digest)
        pools = self.pools[max(stop.position, self.first.position)]  # the floor has no responses of its own
        return replace(self.ruler.subject, side=stop.side, settings=settings, pools=pools, served=served)

    def _forced(self, stop: Stop, subject: Subject) -> Scored:
        reading = self._placing(self.first if stop.is_floor else stop, subject)
        said, questions = self.ruler.gathered.used(self.ruler.stop.prompt), subject.held_out.questions.questions
        features, read = read_answers(subject, self.ruler.task, said, questions, reading, f"{stop.ref} reads")
        dropped = len(said) - len(read)
        note = f"{dropped} of {len(said)} answers could not be placed in its prompt" if dropped else ""
        return self._scored(features, note)

    def _placing(self, stop: Stop, reader: Subject) -> Placing:
        """The prompts of a checkpoint for the last one's answers, with the white space that its own begin with."""
        own, last = reader.held_out.given, self.ruler.subject.held_out.given
        if own is None or last is None:
            subject = self._subject(stop)
            lead = usual_lead(subject.workspace.response_log(subject.task(subject.held_out)).responses())
            return Reading(reader.settings.prompt, lead)
        theirs = last[self.ruler.stop.prompt]
        mine = own[stop.prompt]
        return GivenReading(mine, theirs, usual_lead(mine.responses or theirs.responses))

    def _scored(self, features: Features, note: str = "") -> Scored:
        found = self.ruler.found
        if found.probe is None or found.baselines is None:
            return unscored(found.result.reason, features)
        return score(found.probe, found.baselines.controls, features, seed=self.settings.seed, note=note)

    def _alike(self, subject: Subject) -> Alike:
        ruler = self.ruler
        if subject.side.vocabulary() != ruler.words:
            return Alike(None, None, OTHER_TOKENS)
        read = kept_responses(ruler.test)
        if not read:
            return Alike(None, None, NOTHING_SAID)
        task = paired_task(ruler.task, subject.checkpoint, "activation correlation")

        def compute() -> Float[np.ndarray, " neurons"]:
            return self.recorded().correlation(subject.model())

        return alike(subject.remembered(task, compute, read), ruler.found.result.h_neurons)

    def _moved(self, stop: Stop) -> Moved:
        h_neurons, layout = self.ruler.found.result.h_neurons, self.ruler.stop.side.layout
        draws, seed = self.settings.permutation_draws, self.settings.seed
        return moved(self.drifts[stop.position], h_neurons, layout, draws=draws, seed=seed)


def _point(stop: Stop, own: Scored, forced: Scored, change: Moved, similar: Alike) -> TimelinePoint:
    reasons = {
        "own answers": own.reason,
        "the last one's answers": forced.reason,
        "weights": change.reason,
        "activations": similar.reason,
    }
    return TimelinePoint(
        position=stop.position,
        ref=stop.ref,
        digest=stop.side.checkpoint.digest,
        is_floor=stop.is_floor,
        prompt=stop.prompt,
        own=own.auroc,
        own_random_p95=own.random_p95,
        own_layer_matched_p95=own.layer_matched_p95,
        n_faithful=own.n_faithful,
        n_hallucinated=own.n_hallucinated,
        forced=forced.auroc,
        forced_random_p95=forced.random_p95,
        forced_layer_matched_p95=forced.layer_matched_p95,
        mean_stability_rank=change.mean_stability_rank,
        null_mean=change.null_mean,
        p_value=change.p_value,
        change_h=change.change_h,
        change_all=change.change_all,
        correlation_h=similar.correlation_h,
        correlation_all=similar.correlation_all,
        reason=joined_reason(reasons),
    )
