"""Announces the stages of a job, and measures their time, their memory, and what they say they processed."""

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from provenance.analyses.asking.collection import Progress
from provenance.answers.prompts import Prompt
from provenance.answers.sampling import Decoding, Draw, Respondent, Sampled, Sampler
from provenance.models.devices import peak_gpu_bytes
from provenance.processes.fork_join import fork_join
from provenance.records import CaptureChunk, Response
from provenance.stages import StageTime, together
from provenance.work_log import CaptureLog

_T = TypeVar("_T")
TOKENS = "tokens"
ROWS = "rows"


@dataclass
class _Counter:
    """What a stage under way has processed."""

    processed: int | None = None
    items: str = ""


@dataclass
class Clock:
    """Time, amount and memory by stage."""

    progress: Progress
    stages: list[StageTime] = field(default_factory=list)
    """Stages that have ended, also by an error, in the order in which they ended."""
    _under_way: list[_Counter] = field(default_factory=list)

    def timed(self, name: str, work: Callable[[], _T]) -> _T:
        """Run one stage; one of a name that was there before adds to it."""
        self.progress.stage(name)
        counter, start = _Counter(), time.perf_counter()
        self._under_way.append(counter)
        try:
            return work()
        finally:
            self._under_way.pop()
            self.stages = together([*self.stages, _ended(name, start, counter)])

    def timed_at_once(self, work: Mapping[str, Sequence[Callable[[], Any]]]) -> dict[str, list[Any]]:
        """Run stages at once whose pieces of work do not depend on one another, as `fork_join` does.

        Results are by stage, in the order of its pieces. Each stage has the time of its pieces together, and the sum
        exceeds the time that passes. After an error each has the time until then.
        """
        for name in work:
            self.progress.stage(name)
        start, stages = time.perf_counter(), list[StageTime]()
        pieces = [partial(_timed_alone, name, piece) for name, each in work.items() for piece in each]
        try:
            parts = fork_join(pieces)
            stages = [stage for _, stage in parts]
        finally:
            here = [_ended(name, start, _Counter()) for name in work]  # with the peaks of this process
            own = [replace(each, seconds=0.0) for each in here] if stages else here
            self.stages = together([*self.stages, *own, *stages])
        found: dict[str, list[Any]] = {name: [] for name in work}
        for result, stage in parts:
            found[stage.name].append(result)
        return found

    def count(self, processed: int, items: str = TOKENS) -> None:
        """Add to what the stage under way has processed; nothing outside of stages."""
        if self._under_way:
            counter = self._under_way[-1]
            counter.processed, counter.items = (counter.processed or 0) + processed, items

    def asked(self, respondent: Respondent) -> Respondent:
        """What answers, with the tokens of prompts and samples counted."""
        return Respondent(respondent.lexicon, _CountedSampler(respondent.sampler, self.count))

    def captured(self, log: CaptureLog, responses: Sequence[Response]) -> CaptureLog:
        """A log of captures, with the tokens counted of responses that are read for it and were not before."""
        return _CountedCaptures(log, {each.question_id: tokens_of(each) for each in responses}, self.count)


def _timed_alone(name: str, work: Callable[[], _T]) -> tuple[_T, StageTime]:
    start = time.perf_counter()
    return work(), _ended(name, start, _Counter())


def _ended(name: str, start: float, counter: _Counter) -> StageTime:
    seconds, gpu = time.perf_counter() - start, peak_gpu_bytes()
    peaks = (peak_memory_bytes() / 1e9, None if gpu is None else gpu / 1e9)
    return StageTime.of(name, seconds, counter.processed, counter.items, *peaks)


def tokens_of(response: Response) -> int:
    """Tokens of prompt and answer."""
    return len(response.prompt_ids) + len(response.response_ids)


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True)
class _CountedSampler:
    sampler: Sampler
    count: Callable[[int], None]

    def prompted(self, prompts: Sequence[Prompt], decoding: Decoding, stop_ids: frozenset[int]) -> Draw:
        """See `Sampler`."""
        draw = self.sampler.prompted(prompts, decoding, stop_ids)
        self.count(sum(len(prompt.ids) for prompt in prompts))
        return partial(self._drawn, draw)

    def _drawn(self, draw: Draw, rows: Sequence[int], samples: range, seed: int) -> Sequence[Sequence[Sampled]]:
        found = draw(rows, samples, seed)
        self.count(sum(len(sample) for given in found for sample in given if not isinstance(sample, str)))
        return found


@dataclass(frozen=True)
class _CountedCaptures:
    log: CaptureLog
    tokens: dict[str, int]
    """By question, of those that were not read yet."""
    count: Callable[[int], None]

    def chunks(self) -> list[CaptureChunk]:
        """See `CaptureLog`."""
        return self.log.chunks()

    def append(self, chunk: CaptureChunk) -> None:
        """See `CaptureLog`."""
        self.log.append(chunk)
        # every quantity of a response is a chunk of its own, and all of them come from one reading
        self.count(sum(self.tokens.pop(question, 0) for question in chunk.question_ids))

    def discard(self, chunk: CaptureChunk) -> None:
        """See `CaptureLog`."""
        self.log.discard(chunk)
