"""The request for a timeline, as a value: equal jobs are the same run, and share collected answers with `compare`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import Pool, Workspace, identity_digest
from provenance.analyses.asking.engines import ALL_HERE, HERE, Reached, ServedModels, reached
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.asking.opening import open_each
from provenance.analyses.claims.combined_results import kept_results
from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.given_answers import GivenAnswers
from provenance.analyses.jobs.opened_job import OpenedJob
from provenance.analyses.jobs.replicates import drawn_in_turn, without_arrays
from provenance.analyses.results.reports import TimelineReport
from provenance.analyses.timeline.timeline import FLOOR_POSITION, Stop, trace
from provenance.analyses.weights.weight_source import mlp_shape, shape_words
from provenance.answers.collect_responses import Judge, by_rule
from provenance.answers.questions import QuestionSet
from provenance.checkpoints.names import CheckpointRef, checkpoint_at, require_tokenizer
from provenance.errors import InputError, PairError
from provenance.models.random_model import RANDOM_REF, random_for_now
from provenance.records import Stage

FORMAT = 1  # version of the results; raised whenever the same job would give other numbers


@dataclass(frozen=True)
class TimelineJob:
    """One requested timeline."""

    refs: tuple[str, ...]
    """References of the checkpoints, earliest first."""
    how: Job
    """Settings, as of a comparison of the first with the last."""
    tuned: int = 1
    """Number of tuned checkpoints, at the end, which get the instruct prompt format."""
    floor: bool = True
    """Whether a randomly initialised model is measured as well."""

    @contextmanager
    def opened(self, clock: Clock, folder: Path) -> Iterator[OpenedJob]:  # noqa: ARG002 - same signature as other jobs
        """Checks checkpoints and questions; see `AnyJob`.

        Raises:
            InputError, CheckpointError, PairError, JobError, SplitError: See `open`, `questions`,
                `GivenAnswers.timeline_pools`, `Job.judging`, `Job.place`, `reached` and `Reached`.
        """
        judge = self.how.judging()
        with reached(self.how.place()) as there:
            devices = there.devices(self.how.device)
            stops, answers = self.open(), self.how.given_answers()
            questions = self.questions(answers)
            sides = tuple(stop.side for stop in stops)
            pools = None if answers is None else self.given_pools(answers, sides)
            job = replace(self, how=self.how.on(devices, sides))
            served = there.models(sides, job.how.settings().collection["instruct"], devices.of_models)
            yield OpenedJob(
                command="trace",
                key=job.key(stops, questions, served, answers),
                settings=job.recorded(served, answers),
                seed=self.how.seed,
                sides=sides,
                run=partial(job.run, stops, questions, judge=judge, served=served, pools=pools, there=there),
                questions=(questions,),
                about=lambda: {"quick": self.how.is_quick, **({} if answers is None else answers.told())},
            )

    def open(self) -> tuple[Stop, ...]:
        """Opens and checks all checkpoints; downloads those of the hub.

        Raises:
            InputError: Fewer than two, one of them twice, fewer than the number of tuned ones, or a prompt that cannot
                be rendered (a base checkpoint among the tuned ones has no chat template).
            CheckpointError: One is missing, incomplete, not trusted, or has no tokenizer.
            PairError: One has another shape than the last.
        """
        _check_refs(self.refs, self.tuned)
        bases = len(self.refs) - self.tuned
        stages: list[Stage] = ["base" if position < bases else "instruct" for position in range(len(self.refs))]
        sides = open_each(list(zip(stages, self.refs, strict=True)))
        stops = tuple(
            Stop(side, ref, position) for position, (side, ref) in enumerate(zip(sides, self.refs, strict=True))
        )
        _check_contents(stops)
        for side in sides:
            require_tokenizer(side.checkpoint.folder)
        self.how.check_prompts(sides)
        for side in sides:  # of many checkpoints
            side.forget_tokenizer()
        return stops

    def questions(self, answers: GivenAnswers | None = None) -> QuestionSet:
        """The set for search and test: the named one, that of the responses that exist, or the lab family's first.

        Raises:
            InputError: There are several, or none was named and the last checkpoint brings none.
        """
        named = self.how.questions if answers is None else [each.name for each in answers.sets]
        if len(named) > 1:
            raise InputError(
                "one question set, which the H-Neurons are found and tested on",
                found=", ".join(named),
                remedy="name one set; compare tests transfer to further sets",
            )
        return self.how.question_sets()[0] if answers is None else answers.sets[0]

    def given_pools(self, answers: GivenAnswers, sides: Sequence[OpenCheckpoint]) -> tuple[tuple[Pool, ...], ...]:
        """The pools of each checkpoint with its responses; see `GivenAnswers.timeline_pools`."""
        answers.check_checkpoints(sides)
        return answers.timeline_pools(sides, self.how.settings().shares, self.how.seed)

    def recorded(self, served: ServedModels = ALL_HERE, answers: GivenAnswers | None = None) -> dict[str, Any]:
        """Every setting that changes a number."""
        how = self.how.recorded(served=served, answers=answers)
        return {**how, "trace_format": FORMAT, "tuned": self.tuned, "floor": self.floor}

    def key(
        self,
        stops: Sequence[Stop],
        questions: QuestionSet,
        served: ServedModels = ALL_HERE,
        answers: GivenAnswers | None = None,
    ) -> str:
        """Digest of contents and settings: the identity of the run."""
        digests = [stop.side.checkpoint.digest for stop in stops]
        return identity_digest(["trace", digests, [questions.name, questions.digest], self.recorded(served, answers)])

    def run(
        self,
        stops: Sequence[Stop],
        questions: QuestionSet,
        workspace: Workspace,
        clock: Clock,
        judge: Judge = by_rule,
        served: ServedModels = ALL_HERE,
        pools: Sequence[Sequence[Pool]] | None = None,
        there: Reached = HERE,
    ) -> TimelineReport:
        """Measures every checkpoint, and the floor if requested, once or as often as there are replicates.

        `pools` as of `trace`.
        """

        def once(how: Job) -> TimelineReport:
            with self._floor(stops[0], how.seed, workspace, clock) as floor:
                return trace(
                    stops, floor, questions, how.settings(), workspace, clock, judge, served, pools, there
                )  # fmt: skip

        if self.how.replicates == 1:
            return once(self.how)
        draws = [(how.seed, partial(once, how)) for how in self.how.each_replicate()]
        reports = drawn_in_turn(draws, clock, _light)
        return replace(reports[0], replicate_results=kept_results(report.points for report in reports))

    @contextmanager
    def _floor(self, first: Stop, seed: int, workspace: Workspace, clock: Clock) -> Iterator[Stop | None]:
        """The randomly initialised model of one replicate, if requested."""
        with ExitStack() as made:
            random = floor_stop(first.side, seed, workspace.captures)
            yield clock.timed("random initialisation", lambda: made.enter_context(random)) if self.floor else None


def _light(report: TimelineReport) -> TimelineReport:
    return replace(report, identification=without_arrays(report.identification))


@contextmanager
def floor_stop(first: OpenCheckpoint, seed: int, folder: Path) -> Iterator[Stop]:
    """A random model shaped like `first`, in a temporary sub-folder; a seed gives one digest, so cached captures match.

    Raises:
        CheckpointError, StoreError: See `provenance.models.random_model.random_for_now`.
    """
    with random_for_now(first.checkpoint, seed, folder) as made:
        checkpoint = checkpoint_at(CheckpointRef("local", RANDOM_REF), made)
        yield Stop(OpenCheckpoint.open(first.stage, checkpoint), RANDOM_REF, FLOOR_POSITION)


def _check_refs(refs: Sequence[str], tuned: int) -> None:
    if len(refs) < 2:
        raise InputError(
            "two or more checkpoints, earliest first",
            found=", ".join(refs) or "none",
            remedy="name the base, its later revisions, and the tuned checkpoint last",
        )
    twice = [ref for ref, count in Counter(refs).items() if count > 1]
    if twice:
        raise InputError("each checkpoint once", found=f"{twice[0]} more than once", remedy="leave the repetition out")
    if not 1 <= tuned <= len(refs):
        raise InputError(
            f"between 1 and {len(refs)} tuned checkpoints, the last of those named",
            found=f"--tuned {tuned}",
            remedy="say how many of the last checkpoints are asked in the instruct prompt format",
        )


def _check_contents(stops: Sequence[Stop]) -> None:
    last, seen = stops[-1], dict[str, str]()
    for stop in stops:
        digest = stop.side.checkpoint.digest
        if digest in seen:
            raise InputError(
                "different checkpoints",
                found=f"{seen[digest]} and {stop.ref}, which have the same content",
                remedy="leave one of them out",
            )
        seen[digest] = stop.ref
        if mlp_shape(stop.side.weights) != mlp_shape(last.side.weights):
            raise PairError(
                f"checkpoints shaped like the last one, {last.ref}: {shape_words(last.side.weights)}",
                found=f"{stop.ref}: {shape_words(stop.side.weights)}",
                remedy="leave it out: a timeline compares neurons by position",
            )
