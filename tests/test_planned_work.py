"""A plan counts the very job: its questions, limits, samples, draws and replicates."""

from dataclasses import replace
from pathlib import Path

import pytest
from checkpoint_factory import write_questions
from comparison import invoke
from yielder import contexts

from provenance.analyses.behaviour.scaled_benchmarks import ALPHAS
from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import FULL, QUICK
from provenance.benchmarks.items import read_benchmark
from provenance.cli.options.planned_work import work_of
from provenance.defaults import REPLY_TOKENS
from provenance.errors import QuestionError
from provenance.plan.estimates import Workload

LAB = ("lab/inherited/base", "lab/inherited/instruct")


def test_a_lab_pair_is_planned_with_its_own_questions() -> None:
    """48 % and 12 % of the first set are trained on, and 40 % tested, as is all of the others."""
    work = work_of(Job(*LAB))
    assert (work.train_questions, work.test_questions) == (1075, (717, 500, 240))
    assert (work.samples, work.draws, work.replicates) == (10, FULL.shuffles + 2 * FULL.pairs, 1)


def test_limits_samples_quotas_effort_and_replicates_count(tmp_path: Path) -> None:
    file = write_questions(tmp_path / "own.jsonl", known=30, unknown=20)
    sets = (str(file), "triviaqa")
    job = Job("org/base", "org/child", sets, limit=40, samples=3, train_per_class=7, test_per_class=9, effort=QUICK)
    assert work_of(job) == Workload(7, 9, 24, (16, 40), 3, QUICK.shuffles + 2 * QUICK.pairs, 1)
    assert work_of(replace(job, effort=FULL, replicates=5)).replicates == 5


def test_benchmarks_are_counted_by_items_arms_and_tokens(tmp_path: Path) -> None:
    """As it is, scaled by all factors but 1, and with the other model's activations where replies are options."""
    options, free = contexts(tmp_path / "misled.jsonl", 30), tmp_path / "premise.jsonl"
    free.write_text('{"id": "1", "question": "Why do fish fly?", "rebuttals": []}', "utf-8")
    own = str(write_questions(tmp_path / "own.jsonl", known=30, unknown=20))
    job = Job("org/base", "org/child", (own,), behaviour=(str(options), str(free)), alphas=(0.0, 1.0, 3.0))
    before, work = work_of(replace(job, behaviour=(), alphas=ALPHAS)), work_of(job)
    sets = 1 + 3 * 40
    assert work.arm_items == 30 * (1 + sets * 3) + (1 + sets * 2)
    lengths = {len(item.message) // 4 for item in read_benchmark(options).items}
    assert work.arm_tokens == 30 * lengths.pop() * (1 + sets * 3) + (4 + REPLY_TOKENS) * (1 + sets * 2)
    assert work.tokens == before.tokens + work.arm_tokens
    said = invoke("compare", *LAB, "--dry-run", "--behaviour", options, "--alphas", "0,1,3").stdout
    assert "benchmarks: 5,520 replies" in " ".join(said.split())


def test_sets_of_the_hub_are_not_fetched_to_be_counted() -> None:
    work = work_of(Job("org/base", "org/child", ("triviaqa", "nq-open")))
    assert (work.train_questions, work.test_questions) == (None, (None, None))
    assert work_of(Job("org/base", "org/child"), unknown_sets=3).test_questions == (None,) * 3


def test_a_question_file_that_is_missing_is_told_before_the_job(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="does not exist"):
        work_of(Job("org/base", "org/child", (str(tmp_path / "none.jsonl"),)))


def test_a_dry_run_says_what_is_asked_and_a_quick_one_takes_less() -> None:
    """`plan` of the same pair says the same as a dry run without options."""
    whole, quick, planned = (
        invoke(*command).stdout
        for command in (
            ("compare", *LAB, "--dry-run"),
            ("compare", *LAB, "--dry-run", "--quick", "--limit", 100),
            ("plan", *LAB),
        )
    )
    asked = "3 question set(s), 1,075 questions to train on and 717, 500, 240 to test on"
    assert asked in " ".join(whole.split())
    assert asked in " ".join(planned.split())
    assert "60 questions to train on and 40, 100, 100 to test on" in " ".join(quick.split())
