"""The clock of a job: what a stage took is kept however it ends, and counts belong to the stage under way."""

import os
import time
from collections.abc import Sequence
from functools import partial

import pytest
from memory_logs import MemoryCaptures, Silent
from synthetic import response_of

from provenance.analyses.asking import clock as module
from provenance.analyses.asking.clock import ROWS, Clock
from provenance.answers.prompts import Prompt
from provenance.answers.sampling import Decoding, Draw, Respondent, Sampled
from provenance.models.loading import LoadedModel
from provenance.processes.fork_join import at_most
from provenance.records import CaptureChunk


def test_a_stage_that_fails_is_kept_with_what_it_processed() -> None:
    clock = Clock(Silent())

    def failing() -> None:
        clock.count(30)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        clock.timed("ask", failing)
    [stage] = clock.stages
    assert (stage.name, stage.processed, stage.items) == ("ask", 30, "tokens")
    assert stage.seconds > 0
    assert stage.per_second == pytest.approx(30 / stage.seconds)


def test_counts_go_to_the_innermost_stage_and_nowhere_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "peak_memory_bytes", lambda: 3_000_000_000)
    monkeypatch.setattr(module, "peak_gpu_bytes", lambda: 500_000_000)
    clock = Clock(Silent())
    clock.count(5)

    def outer() -> None:
        clock.timed("inner", lambda: clock.count(7, ROWS))
        clock.count(2)

    clock.timed("outer", outer)
    clock.timed("inner", lambda: clock.count(1, ROWS))
    found = {
        stage.name: (stage.processed, stage.items, stage.peak_memory_gb, stage.peak_gpu_gb) for stage in clock.stages
    }
    assert found == {"inner": (8, "rows", 3.0, 0.5), "outer": (2, "tokens", 3.0, 0.5)}


def test_stages_at_once_each_have_their_own_time_and_no_smaller_peak_than_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "peak_gpu_bytes", lambda: 500_000_000 if os.getpid() == here else None)
    clock, here = Clock(Silent()), os.getpid()
    clock.timed("before", lambda: None)
    with at_most(2):
        work = {"one": [partial(str.upper, "a")], "two": [partial(str.upper, each) for each in "bcd"], "three": []}
        found = clock.timed_at_once(work)
    assert found == {"one": ["A"], "two": ["B", "C", "D"], "three": []}
    assert [stage.name for stage in clock.stages] == ["before", "one", "two", "three"]
    assert all((stage.seconds > 0) == (stage.name != "three") for stage in clock.stages)
    assert all(stage.peak_gpu_gb == 0.5 for stage in clock.stages)
    memory = [stage.peak_memory_gb for stage in clock.stages]
    assert all(peak and peak >= memory[0] for peak in memory)


@pytest.mark.parametrize("processes", [1, 2])
def test_stages_at_once_of_which_one_fails_are_kept(processes: int) -> None:
    def failing() -> None:
        raise ValueError("no more")

    clock = Clock(Silent())
    with at_most(processes), pytest.raises(ValueError, match="no more"):
        clock.timed_at_once({"one": [failing], "two": [partial(time.sleep, 0.01)]})
    assert [stage.name for stage in clock.stages] == ["one", "two"]
    assert all(stage.seconds > 0 for stage in clock.stages)


class Fixed:
    """A `Sampler` whose samples have three tokens, the last of each row only text."""

    def prompted(self, prompts: Sequence[Prompt], decoding: Decoding, stop_ids: frozenset[int]) -> Draw:
        return self.draw

    def draw(self, rows: Sequence[int], samples: range, seed: int) -> list[list[Sampled]]:
        return [[*[[1, 2, 3] for _ in samples[1:]], "lost"] for _ in rows]


def test_tokens_are_those_of_prompts_once_and_of_all_samples_with_ids(loaded_llama: LoadedModel) -> None:
    clock = Clock(Silent())

    def work() -> None:
        asked = clock.asked(Respondent(loaded_llama.lexicon, Fixed()))
        draw = asked.sampler.prompted([Prompt("", (1, 2), ()), Prompt("", (1,), ())], Decoding(), frozenset())
        assert draw([0, 1], range(4), 0) == Fixed().draw([0, 1], range(4), 0)

    clock.timed("ask", work)
    assert clock.stages[0].processed == 2 + 1 + 2 * 3 * 3


def test_captures_that_were_there_are_not_counted_again() -> None:
    clock, kept = Clock(Silent()), MemoryCaptures()
    responses = [response_of(number) for number in range(4)]
    old, new = (CaptureChunk("file", "digest", ids) for ids in (("q0", "q1"), ("q2", "q3")))
    kept.append(old)

    def work() -> None:
        log = clock.captured(kept, responses)
        assert log.chunks() == [old]
        log.append(new)

    clock.timed("capture", work)
    assert kept.chunks() == [old, new]
    assert clock.stages[0].processed == 2 * (3 + 2)
