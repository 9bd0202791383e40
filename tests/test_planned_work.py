"""A plan counts the very job: its questions, limits, samples, draws and replicates."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from checkpoint_factory import write_questions
from comparison import invoke

from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import FULL, QUICK
from provenance.cli.options.planned_work import work_of
from provenance.defaults import REPLY_TOKENS
from provenance.errors import QuestionError
from provenance.plan.estimates import CHARACTERS_PER_TOKEN, TOKENS, Workload

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


def test_benchmarks_are_counted_arm_by_arm(tmp_path: Path) -> None:
    """The same in a plan of the comparison and of a study; a factor of 1 is asked once for all sets."""
    misled, premises = tmp_path / "misled.jsonl", tmp_path / "premises.jsonl"
    rows = [
        {"id": f"m{n}", "question": "Is it so?", "context": "so " * n, "answer": "yes", "context_says": "no"}
        for n in range(1, 8)
    ]
    misled.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    premises.write_text(json.dumps({"id": "p", "question": "Why is the sun cold?", "rebuttals": []}), "utf-8")
    job = Job(*LAB, behaviour=(str(misled), str(premises)), alphas=(0.0, 1.0, 2.0), sets=5, items=4)
    replies = tokens = 0
    for benchmark in job.scaling().benchmarks:
        for ways in [1, *[2 + benchmark.has_options] * (1 + 3 * 5)]:
            for item in benchmark.items * ways:
                replies += 1
                tokens += len(item.message) // CHARACTERS_PER_TOKEN + (0 if item.options else REPLY_TOKENS)
    work = work_of(job)
    assert (work.arm_items, work.arm_tokens) == (replies, tokens)
    assert replace(work, arm_items=0, arm_tokens=0) == work_of(Job(*LAB))
    options = ("--alphas", "0,1,2", "--sets", 5, "--items", 4, "--behaviour", misled, "--behaviour", premises)
    shown = " ".join(invoke("compare", *LAB, "--dry-run", *options).stdout.split())
    said = f"benchmarks: {replies:,} replies of each checkpoint with activations of neurons changed, {tokens:,} of"
    assert said in shown
    text = f'[behaviour]\nbenchmarks = ["{misled}", "{premises}"]\nalphas = [0, 1, 2]\nsets = 5\nitems = 4\n'
    (tmp_path / "s.toml").write_text(f'{text}[[family]]\nname = "lab-inherited"', "utf-8")
    [member] = json.loads(invoke("study", tmp_path / "s.toml", "--dry-run", "--json").stdout)["members"]
    assert any(line.startswith(said) for line in member["estimate"]["assumptions"])


def test_responses_that_exist_are_read_once_and_not_sampled(tmp_path: Path) -> None:
    """All of them, by both models, in a plan of the comparison and of a study."""
    rows = [{"prompt": f"Why {n}?", "response": "So.", "label": ("a", "b")[n % 2], "group": f"g{n}"} for n in range(30)]
    file = tmp_path / "responses.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    work = work_of(Job(*LAB, responses=file, positive="a"))
    assert (work.training_responses, work.responses, work.tokens) == (18, 30, 30 * TOKENS)
    shown = " ".join(invoke("compare", *LAB, "--dry-run", "--responses", file, "--positive", "a").stdout.split())
    assert "responses that exist, which are read and not sampled" in shown
    text = f'responses = "{file}"\npositive = "a"\n[[family]]\nname = "lab-inherited"'
    (tmp_path / "s.toml").write_text(text, "utf-8")
    [member] = json.loads(invoke("study", tmp_path / "s.toml", "--dry-run", "--json").stdout)["members"]
    assert any("which are read and not sampled" in line for line in member["estimate"]["assumptions"])


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
