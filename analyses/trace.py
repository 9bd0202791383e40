"""How what the H-Neurons carry came to be: ordered checkpoints, each seen with the probe of the last one.

The one idea: the last checkpoint is the ruler. Its probe scores what each checkpoint says itself, and what each one's
neurons do while it reads the last one's answers: the same texts with the same labels all along, so those points can be
compared. A randomly initialised model reads them as well, and says what texts and architecture give away alone.

One model is in memory at a time, beside the last checkpoint's; neurons are compared by their position.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from analyses.answers import captured_responses
from analyses.clock import Clock
from analyses.collection import Collected, Pool, Workspace, collect_pool, make_task, paired_task
from analyses.correlation import activation_correlation
from analyses.evidence_results import TracePoint
from analyses.forced import TEST_POOL, forced_features, forced_task
from analyses.gathered import CORRELATION_BATCH, CORRELATION_RESPONSES, Asking, question_pools
from analyses.identification import Identified, Material, identify
from analyses.measured import measured_with
from analyses.origin import OriginSettings
from analyses.results import Alignment, NeuronDrift
from analyses.sides import Models, Side
from analyses.trace_points import Alike, Moved, Scored, alike, joined_reason, moved, score, unscored
from analyses.trace_results import TraceReport
from provenance.features import Features, remembered
from provenance.forcing import Reading, usual_lead
from provenance.models import LoadedModel, load_tokenizer, vocabulary
from provenance.neuron_rows import NO_NEURONS
from provenance.questions import QuestionSet
from provenance.records import Response, Stage, Task

FLOOR_POSITION = -1
NOT_ASKED = "a randomly initialised model is not asked, since it is right by chance alone"
OTHER_TOKENS = "its tokenizer has other tokens, so the same ids would be another text"
NOTHING_SAID = "the last checkpoint has no answers to read"
LAST = Moved(None, None, None, None, None, "")
ITSELF = Alike(None, None, "")


@dataclass(frozen=True)
class Stop:
    """One checkpoint of a timeline."""

    side: Side
    """Where it lies and what it is; its stage is the prompt format that it is asked in."""
    ref: str
    """As the user wrote it."""
    position: int
    """From 0 in the order that was given; -1 for the floor."""

    @property
    def is_floor(self) -> bool:
        """Whether it is the randomly initialised model."""
        return self.position == FLOOR_POSITION

    @property
    def prompt(self) -> Stage:
        """Which prompt format it is asked in."""
        return self.side.stage


@dataclass(frozen=True)
class Ruler:
    """The last checkpoint: what every other one is measured with."""

    stop: Stop
    """Which it is."""
    found: Identified
    """Its H-Neurons and their probe."""
    features: Features
    """Its captured answers to the test questions."""
    said: tuple[Response, ...]
    """What it said in them, row by row."""
    read: tuple[Response, ...]
    """The first of its kept test answers, over whose tokens activations are correlated."""
    words: Mapping[str, int] | None
    """Its vocabulary."""
    model: Callable[[], LoadedModel]
    """Loads it when first asked for."""


def trace(
    stops: Sequence[Stop],
    floor: Stop | None,
    questions: QuestionSet,
    settings: OriginSettings,
    workspace: Workspace,
    clock: Clock,
) -> TraceReport:
    """Find the H-Neurons of the last checkpoint, and see every other one with their probe.

    Args:
        stops: Earliest first, all of one shape; the last is the tuned checkpoint.
        floor: A randomly initialised model of that shape; None leaves it out.
        questions: Split into training, validation and test questions, as `compare` splits its first set.
        settings: As for `compare`: how checkpoints are asked in either prompt format, and how the probe is fitted.
        workspace: Where finished work is remembered; what `compare` has asked and captured is found there.
        clock: Measures the stages.

    Raises:
        PairError: A checkpoint has another shape than the last.
        NonFiniteError: A weight or an activation is NaN or infinite.
        ConvergenceError: A probe at a C that was fixed or chosen does not converge.
    """
    pools = question_pools([questions], settings.shares, settings.seed)
    others = (*stops[:-1], *([floor] if floor else []))
    # Reading weights comes first: a damaged checkpoint then ends the job in seconds and not in the middle of it.
    drifts = {stop.position: _drift(stop, stops[-1], clock) for stop in others}
    ruler = _ruler(stops[-1], pools, settings, workspace, clock)
    tracing = Tracing(stops[0], ruler, drifts, pools[TEST_POOL], settings, workspace, clock)
    points = [*(tracing.point(stop) for stop in others), tracing.last()]
    layout = ruler.stop.side.layout
    return TraceReport(
        points=tuple(sorted(points, key=lambda point: point.position)),
        identification=ruler.found.result,
        dataset=questions.name,
        layers=layout.layers,
        neurons_per_layer=layout.d_m,
        target=ruler.stop.ref,
    )


def _drift(stop: Stop, last: Stop, clock: Clock) -> NeuronDrift:
    """How far every neuron is from the one of the same position in the last checkpoint."""
    return measured_with(stop.side, last.side, _by_position(last.side), clock).drift


def _by_position(side: Side) -> Alignment:
    """Every neuron is the one of the same layer and index."""
    return Alignment("index", np.arange(side.layout.layers * side.layout.d_m), "")


def _ruler(stop: Stop, pools: tuple[Pool, ...], settings: OriginSettings, workspace: Workspace, clock: Clock) -> Ruler:
    """Ask and capture the last checkpoint, and find its H-Neurons."""
    stage, side = stop.prompt, stop.side
    models = Models({stage: side}, settings.collection)
    asking = Asking({stage: side}, pools, settings.collection, models, workspace, clock)
    alignment = _by_position(side)
    gathered = asking.gather(alignment)
    train, test = gathered.collected[stage][0], gathered.collected[stage][TEST_POOL]
    material = Material(
        stage, gathered.answers[stage][0], train.splits, gathered.tests(stage), {}, side.layout.layers,
        side.layout.d_m, NO_NEURONS, workspace.captures,
    )  # fmt: skip
    search = partial(identify, material, settings.probe, partial(asking.suppressed, stage, alignment))
    return Ruler(
        stop=stop,
        found=clock.timed(f"{stop.ref} probe", search),
        features=test.features,
        said=captured_responses(test.features, test.responses),
        read=tuple(said for said in test.responses if said.label != "dropped")[:CORRELATION_RESPONSES],
        words=vocabulary(side.tokenizer_folder),
        model=partial(models.get, stage),
    )


@dataclass(frozen=True)
class Tracing:
    """Measures checkpoints, one after the other, with one ruler."""

    first: Stop
    """The earliest checkpoint; the floor reads as it does."""
    ruler: Ruler
    """The last checkpoint."""
    drifts: Mapping[int, NeuronDrift]
    """Weight change from each other checkpoint to it, by position."""
    pool: Pool
    """The test questions."""
    settings: OriginSettings
    """What the user chose."""
    workspace: Workspace
    """Where finished work is remembered."""
    clock: Clock
    """Measures the stages."""

    def point(self, stop: Stop) -> TracePoint:
        """Everything about one checkpoint; its model is gone afterwards."""
        models = Models({stop.prompt: stop.side}, self.settings.collection)
        load = partial(models.get, stop.prompt)
        own = unscored(NOT_ASKED) if stop.is_floor else self._own(stop, load)
        forced = self.clock.timed(f"{stop.ref} reads the last one's answers", lambda: self._forced(stop, load))
        similar = self.clock.timed(f"{stop.ref} correlation", lambda: self._alike(stop, load))
        return _point(stop, own, forced, self._moved(stop), similar)

    def last(self) -> TracePoint:
        """The last checkpoint itself: its own answers are the ones that all others read."""
        own = self._scored(self.ruler.features)
        return _point(self.ruler.stop, own, own, LAST, ITSELF)

    def _own(self, stop: Stop, load: Callable[[], LoadedModel]) -> Scored:
        """The probe on what a checkpoint says itself, with its own labels."""

        def collected() -> Collected:
            return collect_pool(
                stop.prompt, stop.side.checkpoint, load, self.pool, self.settings.collection[stop.prompt],
                self.workspace, self.clock.progress,
            )  # fmt: skip

        return self._scored(self.clock.timed(f"{stop.ref} own answers", collected).features)

    def _forced(self, stop: Stop, load: Callable[[], LoadedModel]) -> Scored:
        """The probe on what a checkpoint's neurons do on the last one's answers, in its own prompt format."""
        how = self.settings.collection[stop.prompt]
        reading = Reading(how.prompt, self._lead(self.first if stop.is_floor else stop))
        task = forced_task(self._asked(self.ruler.stop), stop.side.checkpoint, reading, how)

        def captured(done: int, total: int) -> None:
            self.clock.progress.step(f"{stop.ref} reads", done, total, "")

        features, read = forced_features(
            load, load_tokenizer(stop.side.tokenizer_folder), reading, self.ruler.said,
            self.pool.questions.questions, task, self.workspace, captured, how.capture_dtype,
        )  # fmt: skip
        dropped = len(self.ruler.said) - len(read)
        note = f"{dropped} of {len(self.ruler.said)} answers could not be placed in its prompt" if dropped else ""
        return self._scored(features, note)

    def _lead(self, stop: Stop) -> str:
        """White space that a checkpoint's own answers begin with; it has been asked by now."""
        return usual_lead(self.workspace.response_log(self._asked(stop)).responses())

    def _asked(self, stop: Stop) -> Task:
        """What a checkpoint's own answers to the test questions are remembered under."""
        return make_task(stop.prompt, stop.side.checkpoint, self.pool, self.settings.collection[stop.prompt])

    def _scored(self, features: Features, note: str = "") -> Scored:
        found = self.ruler.found
        if found.probe is None or found.baselines is None:
            return unscored(found.result.reason, features)
        return score(found.probe, found.baselines.controls, features, seed=self.settings.seed, note=note)

    def _alike(self, stop: Stop, load: Callable[[], LoadedModel]) -> Alike:
        """Correlation of activations with the last checkpoint's, over the same tokens of its answers."""
        if vocabulary(stop.side.tokenizer_folder) != self.ruler.words:
            return Alike(None, None, OTHER_TOKENS)
        if not self.ruler.read:
            return Alike(None, None, NOTHING_SAID)
        task = paired_task(self._asked(self.ruler.stop), stop.side.checkpoint, "activation correlation")

        def compute() -> Float[np.ndarray, " neurons"]:
            return activation_correlation(load(), self.ruler.model(), self.ruler.read, CORRELATION_BATCH)

        log, folder = self.workspace.capture_log(task), self.workspace.captures
        correlation = remembered(compute, self.ruler.read, folder, task.key, log)
        return alike(correlation, self.ruler.found.result.h_neurons)

    def _moved(self, stop: Stop) -> Moved:
        """The way of the weights from here to the last checkpoint."""
        h_neurons, layout = self.ruler.found.result.h_neurons, self.ruler.stop.side.layout
        draws, seed = self.settings.permutation_draws, self.settings.seed
        return moved(self.drifts[stop.position], h_neurons, layout, draws=draws, seed=seed)


def _point(stop: Stop, own: Scored, forced: Scored, change: Moved, similar: Alike) -> TracePoint:
    """All numbers of one checkpoint in one row."""
    reasons = {
        "own answers": own.reason,
        "the last one's answers": forced.reason,
        "weights": change.reason,
        "activations": similar.reason,
    }
    return TracePoint(
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
