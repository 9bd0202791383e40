"""Putting a comparison together: pools that share nothing, pairs that fit, models that are not kept."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_factory import (
    local_checkpoint,
    make_checkpoint,
    make_speaker,
    permuted_copy,
    tuned_copy,
    write_questions,
)
from forked_cli import FEW_DRAWS
from loads import Loads
from memory_logs import MemoryWorkspace, Silent
from synthetic import both_scaled, report_of
from synthetic_evidence import with_compliance
from yielder import contexts

from provenance.analyses.asking.both_models import question_pools
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.models import OpenCheckpoint, check_pair
from provenance.analyses.behaviour.scaled_benchmarks import ScaledBenchmarks
from provenance.analyses.claims.combined_claims import combined_claims
from provenance.analyses.drift.pair import measure_pair
from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import Effort
from provenance.analyses.jobs.intervene_job import InterveneJob
from provenance.analyses.jobs.run_comparison import OriginSettings, _decided_by, compare
from provenance.analyses.results.probes import CurvePoint
from provenance.analyses.results.reports import OriginReport
from provenance.analyses.results.transfer import TransferResult
from provenance.analyses.summary.report import summary_of
from provenance.answers.questions import QuestionSet, load_questions
from provenance.errors import PairError, SplitError
from provenance.processes.fork_join import at_most
from provenance.records import Estimate, Question, Stage, Verdict

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

FEW = Effort(**FEW_DRAWS)
"""Draws of every kind, for tests that look at numbers and not at levels."""
SHARES = Job("b", "i").settings().shares
SUPPORTED = TransferResult("set", Estimate(0.9, 0.8, 1.0, 40), 20, 20, "supported", "AUROC 0.9")


def make_set(name: str, start: int, count: int = 40) -> QuestionSet:
    numbers = range(start, start + count)
    return QuestionSet.of(name, "test", [Question(f"{name}{i}", f"What {i}?", ("a",), f"what {i}") for i in numbers])


def side(stage: Stage, folder: Path) -> OpenCheckpoint:
    return OpenCheckpoint.open(stage, local_checkpoint(folder))


def test_pools_share_no_question() -> None:
    pools = question_pools([make_set("first", 0), make_set("second", 100)], SHARES, 0)
    assert [(p.questions.name, p.split, len(p.entries)) for p in pools] == [
        ("first", "train", 24), ("first", "test", 16), ("second", "test", 40)
    ]  # fmt: skip
    texts = [question.text for pool in pools for question, _ in pool.entries]
    assert len(set(texts)) == len(texts)
    assert {split for _, split in pools[0].entries} == {"train", "validation"}


def test_a_second_set_that_repeats_training_questions_is_refused() -> None:
    with pytest.raises(SplitError):
        question_pools([make_set("first", 0), make_set("second", 30)], SHARES, 0)


def test_pairs_of_another_width_are_refused_at_once(tiny_llama: Path, tmp_path: Path) -> None:
    other = make_checkpoint(tmp_path / "other", hidden_size=32)
    with pytest.raises(PairError, match="width 16"):
        check_pair(side("base", tiny_llama), side("instruct", other))


def test_strangers_with_another_number_of_neurons_are_refused_before_anything_is_asked(
    tiny_llama: Path, tmp_path: Path
) -> None:
    wider = make_checkpoint(tmp_path / "wider", seed=5, intermediate_size=32)
    with pytest.raises(PairError, match="24 neurons"):
        measure_pair(side("base", tiny_llama), side("instruct", wider), 0, Clock(Silent()))


def numbers_of(curve: tuple[CurvePoint, ...]) -> list[float]:
    """Numbers of neurons and estimates of every point."""
    estimates = [(p.accuracy, p.auroc, p.transfer) for p in curve]
    counted = [number for p in curve for number in (p.positive, p.nonzero)]
    return [*counted, *(e.estimate for row in estimates for e in row if e is not None)]


@pytest.mark.costly
def test_one_model_is_in_memory_at_a_time_and_each_is_loaded_twice_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that runs a model: answers, readings, the correlation, silenced and scaled neurons."""
    base = make_speaker(tmp_path / "base", chat=False)
    child = tuned_copy(base, tmp_path / "child")
    questions = load_questions(str(write_questions(tmp_path / "cities.jsonl", known=40, unknown=40)))
    few = Effort(repeats=1, pairs=1, control_sets=3, shuffles=3, foldings=1, permutations=9)
    job = Job("b", "i", samples=2, max_new_tokens=4, batch_size=16, effort=few, select="paper", causal=True)
    loads = Loads(monkeypatch)
    report = compare(
        side("base", base), side("instruct", child), [questions], job.settings(),
        MemoryWorkspace(tmp_path / "captures"), Clock(Silent()),
    )  # fmt: skip
    assert loads.most_alive == 1
    assert loads.folders == [child, base, child, base]
    assert report.identification.rule == "paper"
    assert {effect.stage for effect in report.evidence.causal} == {"base", "instruct"}
    assert report.activation_correlation is not None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
def test_several_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provenance.analyses.jobs.run_comparison.LARGE", 0)  # tables of activity at once as well
    base = make_speaker(tmp_path / "base", chat=False)
    child = tuned_copy(base, tmp_path / "child")
    sets = [
        load_questions(str(write_questions(tmp_path / "cities.jsonl", known=40, unknown=40))),
        load_questions(str(write_questions(tmp_path / "towns.jsonl", known=14, unknown=14, about="Peru"))),
    ]
    job = Job("b", "i", samples=2, max_new_tokens=4, batch_size=16, effort=FEW)
    workspace, found = MemoryWorkspace(tmp_path / "captures"), []
    for processes in (1, 3):
        clock = Clock(Silent())
        with at_most(processes):
            report = compare(side("base", base), side("instruct", child), sets, job.settings(), workspace, clock)
        assert report.identification.h_neurons.size  # so that there is something to compare
        assert {"probe instruct", "probe base"} <= {stage.name for stage in clock.stages}
        found.append(summary_of(report))
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_base_with_its_neurons_in_another_order_gives_the_same_results(tmp_path: Path) -> None:
    """Transfer, drift and overlap follow the neurons, wherever they sit."""
    base = make_speaker(tmp_path / "base", chat=False)
    child = tuned_copy(base, tmp_path / "child")
    shuffled = permuted_copy(base, tmp_path / "shuffled")
    questions = load_questions(str(write_questions(tmp_path / "cities.jsonl", known=40, unknown=40)))
    job = Job("b", "i", samples=2, max_new_tokens=4, batch_size=16, effort=FEW)
    reports: list[OriginReport] = [
        compare(
            side("base", folder), side("instruct", child), [questions], job.settings(),
            MemoryWorkspace(tmp_path / f"captures-{folder.name}"), Clock(Silent()),
        )
        for folder in (base, shuffled)
    ]  # fmt: skip
    plain, mapped = reports
    assert plain.identification.h_neurons.size  # so that there is something to compare
    assert plain.transfer[0].auroc is not None
    assert (plain.alignment.method, mapped.alignment.method) == ("index", "assignment")
    assert not mapped.alignment.is_identity
    assert mapped.alignment.unmapped.size == 0
    assert mapped.identification.h_neurons.tolist() == plain.identification.h_neurons.tolist()
    for a, b in zip(plain.transfer, mapped.transfer, strict=True):
        assert (a.auroc, a.verdict) == (b.auroc, b.verdict)
    plain_sets, mapped_sets = (
        np.concatenate([rung.set_aurocs for rung in report.evidence.ladder]) for report in (plain, mapped)
    )
    assert plain_sets.size
    np.testing.assert_allclose(plain_sets, mapped_sets, atol=1e-3)
    np.testing.assert_allclose(mapped.neuron_drift.delta_up, plain.neuron_drift.delta_up, rtol=1e-9)
    np.testing.assert_array_equal(mapped.neuron_drift.stability_rank, plain.neuron_drift.stability_rank)
    assert mapped.base_identification.h_neurons.tolist() == plain.base_identification.h_neurons.tolist()
    assert mapped.overlap == plain.overlap
    for a, b in (
        (plain.identification, mapped.identification),
        (plain.base_identification, mapped.base_identification),
    ):
        assert a.stability is not None
        assert b.stability is not None
        assert a.curve
        # the order of neurons changes the order of sums inside the models, so captured values differ in the last digits
        assert a.stability.stable.tolist() == b.stability.stable.tolist()
        np.testing.assert_allclose(a.stability.frequency, b.stability.frequency, atol=0.05)
        assert a.stability.mean_selected == pytest.approx(b.stability.mean_selected, rel=0.02)
        np.testing.assert_allclose(numbers_of(a.curve), numbers_of(b.curve), atol=0.02)
        np.testing.assert_allclose(a.neuron_auroc, b.neuron_auroc, atol=1e-3)
    assert mapped.activation_correlation is not None
    np.testing.assert_allclose(mapped.activation_correlation, plain.activation_correlation, atol=1e-6)
    by_position = mapped.mapped.base_ids != mapped.mapped.ids
    assert by_position.any()  # so that a comparison by position would have looked at other neurons


def test_every_replicate_scales_with_a_seed_of_its_own_and_twice_as_many_control_sets(tmp_path: Path) -> None:
    """The same seed as everything else of it has; 40 sets of each kind a benchmark, unless the user says a number."""
    benchmark = contexts(tmp_path / "misled.jsonl")
    job = Job("b", "i", behaviour=(str(benchmark),), seed=3, replicates=3)
    drawn: list[tuple[int, ScaledBenchmarks]] = []

    def one(settings: OriginSettings, *_: object, scaling: ScaledBenchmarks) -> OriginReport:
        drawn.append((settings.seed, scaling))
        return with_compliance(report_of(seed=settings.seed), *both_scaled(0.1))

    report = job.run_of(one, job.scaling())(MemoryWorkspace(tmp_path), Clock(Silent()))
    assert [(seed, scaling.seed) for seed, scaling in drawn] == [(3, 3), (4, 4), (5, 5)]
    assert {scaling.sets_of_each_kind for _, scaling in drawn} == {40}
    assert report.verdict("compliance_instruct:misled") == "supported"
    assert "Numbers of scaled neurons are medians; all others are of the first one, seed 3." in report.overall
    assert replace(job, sets=7).scaling().sets_of_each_kind == 7
    once = replace(job, replicates=1)
    assert once.scaling().sets_of_each_kind == 20
    assert once.recorded(scaling=once.scaling())["behaviour"]["sets"] == 20
    assert job.recorded(scaling=job.scaling())["behaviour"]["sets"] == 40


def test_a_runs_key_has_the_content_of_a_text_and_not_its_folder(tmp_path: Path) -> None:
    """As that of an intervention has it."""
    benchmark, keys = contexts(tmp_path / "misled.jsonl"), {}
    texts = {
        "one": "A river.\n\nIt is long.",
        "same": "A river.\r\n\r\n\r\nIt is long.\n",
        "other": "A lake.\n\nIt is long.",
    }
    for folder, words in texts.items():
        path = tmp_path / folder / "prose.txt"
        path.parent.mkdir()
        path.write_bytes(words.encode())
        job = Job("b", "i", behaviour=(str(benchmark),), neutral_text=(str(path),))
        keys[folder] = job.key((), (), scaling=job.scaling())
        alone = InterveneJob("i", Path("list.csv"), (benchmark,), texts=(path,)).scaling().recorded()["texts"]
        assert job.recorded(scaling=job.scaling())["behaviour"]["texts"] == alone
    assert keys["one"] == keys["same"] != keys["other"]
    without = replace(job, neutral_text=())
    assert without.key((), (), scaling=without.scaling()) not in keys.values()


@pytest.mark.slow
def test_replicates_draw_everything_again_and_the_first_is_the_run_without_them(tmp_path: Path) -> None:
    """Two draws of other questions: each has the numbers of a run with its seed, and the claims are over both."""
    base = make_speaker(tmp_path / "base", chat=False)
    child = tuned_copy(base, tmp_path / "child")
    questions = load_questions(str(write_questions(tmp_path / "cities.jsonl", known=40, unknown=40)))
    found: list[OriginReport] = []

    def one(*given: Any, **how: Any) -> OriginReport:
        found.append(compare(side("base", base), side("instruct", child), [questions], *given, **how))
        return found[-1]

    job = Job("b", "i", samples=2, max_new_tokens=4, batch_size=16, effort=FEW, seed=3, replicates=2)
    both = job.run_of(one)(MemoryWorkspace(tmp_path / "captures"), Clock(Silent()))
    first, second = found
    assert [row.seed for row in both.replicates] == [3, 4]
    assert [row.auroc for row in both.replicates] == [first.transfer[0].auroc, second.transfer[0].auroc]
    assert first.transfer[0].auroc != second.transfer[0].auroc
    assert (both.transfer, both.overlap) == (first.transfer, first.overlap)
    assert both.evidence.claims == combined_claims([first.evidence.claims, second.evidence.claims])
    assert (first.replicates, first.variance) == ((), ())
    sources = {"test questions", "training questions", "C", "between replicates, observed"}
    assert {part.source for part in both.variance} == sources


@pytest.mark.costly
def test_a_base_with_one_class_ends_in_no_power(tiny_llama: Path, tmp_path: Path) -> None:
    """Random models are never right: every claim is without power, and nothing breaks."""
    child = tuned_copy(tiny_llama, tmp_path / "child")
    job = Job("b", "i", max_new_tokens=6, batch_size=8, samples=2, effort=FEW)
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
    assert {report.verdict(claim) for claim in ("transfer", "drift", "overlap")} == {"no power"}
    assert report.identification.weights is None
    assert "0 faithful" in report.identification.reason
    assert report.lineage.verdict == "descendant"
    assert report.activation_correlation is not None
    assert [table.n_faithful for table in report.activity] == [0, 0]
    assert "no power" in report.overall or "could not be tested" in report.overall
    assert {"drift", "lineage", "transfer", "instruct set train"} <= {stage.name for stage in clock.stages}
    assert progress.stages[0] == "lineage"


@pytest.mark.costly
def test_strangers_of_one_shape_keep_their_numbers_and_lose_every_verdict(tmp_path: Path) -> None:
    """By position something may be readable, but other neurons sit there."""
    base = make_speaker(tmp_path / "base", chat=False)
    stranger = make_speaker(tmp_path / "stranger", seed=4)
    questions = load_questions(str(write_questions(tmp_path / "cities.jsonl", known=40, unknown=40)))
    report = compare(
        side("base", base), side("instruct", stranger), [questions],
        Job("b", "i", samples=2, max_new_tokens=4, batch_size=16, effort=FEW).settings(),
        MemoryWorkspace(tmp_path / "captures"), Clock(Silent()),
    )  # fmt: skip
    assert report.lineage.verdict == "unrelated"
    assert {report.verdict(claim) for claim in ("transfer", "drift", "overlap")} == {"no power"}
    assert report.transfer[0].auroc is not None
    assert "by position alone" in report.drift.reason
    assert report.overall.startswith("Nothing can be said")


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
    assert len(question_pools([first, second], SHARES, 0)) == 3


def test_the_sentence_names_the_deciding_set_where_others_came_out_otherwise() -> None:
    def result(name: str, verdict: Verdict) -> TransferResult:
        return TransferResult(name, None, 5, 5, verdict, "")

    agreeing = [result("a", "supported"), result("b", "supported"), result("c", "no power")]
    assert _decided_by(agreeing) == ""
    assert _decided_by([result("a", "supported"), result("b", "not distinguishable")]) == (
        " Transfer rests on a; b came out as not distinguishable."
    )
    assert _decided_by([result("a", "no power"), result("b", "supported")]) == (
        " Transfer rests on b, since a had no power."
    )
    assert _decided_by([result("a", "no power")]) == ""
