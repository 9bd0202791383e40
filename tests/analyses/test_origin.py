"""Putting a comparison together: pools that share nothing, pairs that fit, models that are not kept."""

from dataclasses import replace
from pathlib import Path

import pytest
from checkpoint_factory import make_checkpoint, tuned_copy
from memory_logs import MemoryWorkspace, Silent

from analyses.job import Job
from analyses.origin import Clock, Side, _as_far_as_aligned, _decided_by, check_pair, compare, question_pools
from analyses.results import DriftResult, LineageResult, OverlapResult, TransferResult
from provenance.checkpoints import CheckpointRef, resolve
from provenance.errors import PairError, SplitError
from provenance.intervals import Estimate
from provenance.questions import QuestionSet
from provenance.records import Question, Stage

PERMUTED = LineageResult("descendant, neurons permuted", 0.5, 10, (), (), {"up": 0.1}, 0.0, 0.99, 8, True, 1.0)
SUPPORTED = TransferResult("set", Estimate(0.9, 0.8, 1.0, 40), 20, 20, {}, "supported", "AUROC 0.9")
STABLE = DriftResult(5, 0.9, None, 0.4, 0.01, 0.01, 0.1, 0.7, 0.0, 1e-6, "supported", "p = 0.01")
SHARED = OverlapResult(5, 5, 4, 0.7, 0.1, 0.001, 0.4, "supported", "4 shared")


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


def test_verdicts_stand_only_where_an_index_names_the_same_neuron() -> None:
    """A permuted pair keeps its numbers and loses its verdicts, each with the reason."""
    transfers, drift, shared = _as_far_as_aligned(PERMUTED, (SUPPORTED,), STABLE, SHARED)
    assert {transfers[0].verdict, drift.verdict, shared.verdict} == {"no power"}
    assert transfers[0].auroc == SUPPORTED.auroc
    assert "another order" in drift.reason
    aligned = replace(PERMUTED, verdict="descendant")
    assert _as_far_as_aligned(aligned, (SUPPORTED,), STABLE, SHARED) == ((SUPPORTED,), STABLE, SHARED)


def test_the_sentence_names_the_set_that_decided_when_it_is_not_the_first() -> None:
    silent = replace(SUPPORTED, dataset="first", verdict="no power")
    assert _decided_by((silent, SUPPORTED)) == " Transfer rests on set, since first had no power."
    assert _decided_by((SUPPORTED, silent)) == ""
    assert _decided_by((silent,)) == ""


def test_groups_of_different_files_do_not_collide() -> None:
    first, second = make_set("first", 0), make_set("second", 100)
    first, second = (
        QuestionSet.of(s.name, "test", [replace(q, unit=str(i)) for i, q in enumerate(s.questions)])
        for s in (first, second)
    )
    assert len(question_pools([first, second], Job("b", "i").settings())) == 3
