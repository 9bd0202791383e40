"""Putting a comparison together: pools that share nothing, pairs that fit, models that are not kept."""

from pathlib import Path

import pytest
from checkpoint_factory import make_checkpoint, tuned_copy
from memory_logs import MemoryWorkspace, Silent

from analyses.job import Job
from analyses.origin import Clock, Side, check_pair, compare, question_pools
from provenance.checkpoints import CheckpointRef, resolve
from provenance.errors import PairError, SplitError
from provenance.questions import QuestionSet
from provenance.records import Question, Stage


def make_set(name: str, start: int, count: int = 40) -> QuestionSet:
    numbers = range(start, start + count)
    return QuestionSet.of(name, "test", [Question(f"{name}{i}", f"What {i}?", ("a",), f"what {i}") for i in numbers])


def side(stage: Stage, folder: Path) -> Side:
    return Side.open(stage, resolve(CheckpointRef.parse(str(folder))))


def test_pools_share_no_question() -> None:
    pools = question_pools([make_set("first", 0), make_set("second", 100)], Job("b", "i").settings())
    assert [(p.questions.name, p.split, len(p.entries)) for p in pools] == [
        ("first", "train", 24), ("first", "test", 16), ("second", "test", 40)
    ]  # fmt: skip
    texts = [question.text for pool in pools for question, _ in pool.entries]
    assert len(set(texts)) == len(texts)
    assert {split for _, split in pools[0].entries} == {"train", "validation"}


def test_a_second_set_that_repeats_training_questions_is_refused() -> None:
    with pytest.raises(SplitError):
        question_pools([make_set("first", 0), make_set("second", 30)], Job("b", "i").settings())


def test_pairs_of_other_shape_are_refused(tiny_llama: Path, tmp_path: Path) -> None:
    wider = make_checkpoint(tmp_path / "wider", intermediate_size=32)
    with pytest.raises(PairError, match="24 neurons"):
        check_pair(side("base", tiny_llama), side("instruct", wider))


def test_a_base_with_one_class_ends_in_no_power(tiny_llama: Path, tmp_path: Path) -> None:
    """Random models are never right: every claim is without power, and nothing breaks."""
    child = tuned_copy(tiny_llama, tmp_path / "child")
    job = Job("b", "i", max_new_tokens=6, batch_size=8, samples=2)
    questions = QuestionSet.of(
        "set", "test", [Question(f"q{i}", f"What is {i}?", ("unreachable words",), f"what is {i}") for i in range(40)]
    )
    progress = Silent()
    clock = Clock(progress)
    report = compare(
        side("base", tiny_llama),
        side("instruct", child),
        [questions],
        job.settings(),
        MemoryWorkspace(tmp_path / "captures"),
        clock,
    )
    assert (report.verdict_transfer, report.verdict_drift, report.verdict_overlap) == ("no power",) * 3
    assert report.identification.weights is None
    assert "0 faithful" in report.identification.reason
    assert report.lineage.verdict == "descendant"
    assert report.activation_correlation is not None
    assert [table.n_faithful for table in report.activity] == [0, 0]
    assert "no power" in report.overall or "could not be tested" in report.overall
    assert {"drift", "lineage", "transfer", "instruct set train"} <= set(clock.durations_ms)
    assert progress.stages[0] == "drift"
