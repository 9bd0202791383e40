"""A plan counts the very job: its questions, limits, samples, draws and replicates, and what each checkpoint does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from checkpoint_factory import write_questions
from comparison import Finished, Pair, invoke

from provenance.analyses.behaviour import scaled_answers
from provenance.analyses.behaviour.side_effects import MOST_TOKENS
from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import FULL, QUICK
from provenance.analyses.jobs.run_comparison import SETS_PER_TEST
from provenance.analyses.timeline.timeline_job import TimelineJob
from provenance.cli.options.planned_work import works_of, works_of_timeline
from provenance.errors import QuestionError
from provenance.plan.checkpoint_plan import see
from provenance.plan.estimates import captured_bytes
from provenance.plan.workload import CHARACTERS_PER_TOKEN, TOKENS, Workload

pytestmark = pytest.mark.usefixtures("shapes_unchecked", "machine_measured_once")

LAB = ("lab/inherited/base", "lab/inherited/instruct")


def test_a_lab_pair_is_planned_with_its_own_questions() -> None:
    """48 % and 12 % of the first set are trained on, and 40 % tested, as is all of the others."""
    works = works_of(Job(*LAB))
    assert list(works) == list(LAB)
    for work in works.values():
        assert (work.train_questions, work.test_questions) == (1075, (717, 500, 240))
        assert (work.samples, work.replicates) == (10, 1)
        assert work.draws == 3 * SETS_PER_TEST + 2 * FULL.pairs
    assert [work.other_readings for work in works.values()] == [1, 3]


def test_limits_samples_quotas_effort_and_replicates_count(tmp_path: Path) -> None:
    file = write_questions(tmp_path / "own.jsonl", known=30, unknown=20)
    sets = (str(file), "triviaqa")
    job = Job("org/base", "org/child", sets, limit=40, samples=3, train_per_class=7, test_per_class=9, effort=QUICK)
    draws = 2 * SETS_PER_TEST + 2 * QUICK.pairs
    assert works_of(job)["org/base"] == Workload(7, 9, 24, (16, 40), 3, draws, other_readings=1)
    more = works_of(replace(job, effort=FULL, replicates=5, capture_dtype="float16", design="1-vs-1"))["org/child"]
    assert (more.replicates, more.captured_item_bytes, more.other_tokens) == (5, 2, False)


def test_listed_neurons_are_not_searched_for_and_their_labels_not_shuffled() -> None:
    base, instruct = works_of(Job(*LAB, neurons=Path("list.json"))).values()
    assert (base.draws, instruct.draws) == (2 * FULL.pairs, 0)


@pytest.mark.costly
def test_benchmarks_are_counted_arm_by_arm(tmp_path: Path) -> None:
    """The same in a plan of the comparison and of a study; a factor of 1 is asked once for all sets."""
    misled, premises = tmp_path / "misled.jsonl", tmp_path / "premises.jsonl"
    rows = [
        {"id": f"m{n}", "question": "Is it so?", "context": "so " * n, "answer": "yes", "context_says": "no"}
        for n in range(1, 8)
    ]
    misled.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    premises.write_text(json.dumps({"id": "p", "question": "Why is the sun cold?", "rebuttals": []}), "utf-8")
    prose = tmp_path / "prose.txt"
    prose.write_text("A river.\n\nIt is long, and many towns lie at its banks.\n", "utf-8")
    job = Job(
        *LAB, behaviour=(str(misled), str(premises)), alphas=(0.0, 1.0, 2.0), sets=5, items=4, reply_tokens=9,
        neutral_text=(str(prose),),
    )  # fmt: skip
    tokens = 3 * (len("A river.It is long, and many towns lie at its banks.") // CHARACTERS_PER_TOKEN)
    for benchmark in job.scaling().benchmarks:
        for ways in [1, *[2 + benchmark.has_options] * (1 + 3 * 5), 2]:  # at last the neurons of negative weight
            for item in benchmark.items * ways:
                tokens += len(item.message) // CHARACTERS_PER_TOKEN + (0 if item.options else 9)
    for _ in range(3):  # plain questions under each factor, some of three sets
        tokens += 3 * 4 * (TOKENS + 9)
    works, plain = works_of(job), works_of(Job(*LAB))
    assert {ref: replace(work, scaled_tokens=0) for ref, work in works.items()} == plain
    assert [work.scaled_tokens for work in works.values()] == [tokens] * 2
    options = ("--alphas", "0,1,2", "--sets", 5, "--items", 4, "--reply-tokens", 9)
    files = ("--behaviour", misled, "--behaviour", premises, "--neutral-text", prose)
    shown = " ".join(invoke("compare", *LAB, "--dry-run", *options, *files).stdout.split())
    said = f"at most {2 * tokens:,} of them with neurons scaled"
    assert said in shown
    counts = f'sets = 5\nitems = 4\nreply_tokens = 9\nneutral_text = ["{prose}"]\n'
    text = f'[behaviour]\nbenchmarks = ["{misled}", "{premises}"]\nalphas = [0, 1, 2]\n{counts}'
    (tmp_path / "s.toml").write_text(f'{text}[[family]]\nname = "lab-inherited"', "utf-8")
    [member] = json.loads(invoke("study", tmp_path / "s.toml", "--dry-run", "--json").stdout)["members"]
    assert any(said in line for line in member["estimate"]["assumptions"])


def test_sets_of_the_hub_are_not_fetched_to_be_counted() -> None:
    work = works_of(Job("org/base", "org/child", ("triviaqa", "nq-open")))["org/base"]
    assert (work.train_questions, work.test_questions) == (None, (None, None))
    assert works_of(Job("org/base", "org/child"), unknown_sets=3)["org/base"].test_questions == (None,) * 3


def test_a_question_file_that_is_missing_is_told_before_the_job(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="does not exist"):
        works_of(Job("org/base", "org/child", (str(tmp_path / "none.jsonl"),)))


def test_scaled_neurons_and_another_model_cost_their_passes(tmp_path: Path) -> None:
    """By a loop over factors, sets of neurons, answers and questions."""
    work = works_of(Job(*LAB, causal=True))[LAB[0]]
    tokens = 0
    for _ in scaled_answers.ALPHAS:
        for sets, rows in ((scaled_answers.SETS, 100), (scaled_answers.SETS_ASKED, scaled_answers.QUESTIONS)):
            for _ in range(1 + 1 + sets + sets):  # unchanged, the H-Neurons, and two kinds of control sets
                tokens += rows * TOKENS
    assert work.scaled_tokens == tokens
    file = tmp_path / "doubted.jsonl"
    row = {"id": "a", "question": "x" * 400, "choices": {"A": "one", "B": "two"}, "answer": "A"}
    file.write_text(json.dumps(row) + "\n", "utf-8")
    scaled = works_of(Job(*LAB, behaviour=(str(file),), alphas=(0.0, 1.0, 2.0)))[LAB[0]]
    plain = 3 * 3 * 100 * (TOKENS + MOST_TOKENS)  # by three factors, 100 questions of three sets
    arms = 1 + 3 * (1 + 3 * 20) + 2  # as it is; by two factors and exchanged; H-Neurons and 20 sets of three kinds;
    # and those of negative weight by two factors
    assert 100 < (scaled.scaled_tokens - plain) / arms < 150
    base, instruct = works_of(Job(*LAB, control="unrelated")).values()
    assert (base.control_tokens, instruct.control_tokens) == (base.responses * TOKENS, 0)


def test_a_timeline_searches_its_last_checkpoint_only() -> None:
    """All others answer the test questions of one set and read the last one's answers, and so does the floor."""
    refs = ("lab/inherited/base@step-0400", *LAB)
    works = works_of_timeline(TimelineJob(refs, Job(refs[0], refs[-1])))
    first, middle, last = works.values()
    assert list(works) == list(refs)
    assert (last.train_questions, last.test_questions, last.draws) == (1075, (717,), 2 * FULL.pairs)
    assert [work.other_readings for work in (first, middle, last)] == [2, 1, 0]
    assert [work.training_responses for work in (first, middle)] == [0, 0]
    assert middle.tokens == 3 * 717 * TOKENS
    assert works_of_timeline(TimelineJob(refs, Job(refs[0], refs[-1]), floor=False))[refs[0]] == middle


def test_responses_that_exist_are_counted_and_not_asked_for(tmp_path: Path) -> None:
    """As many of each label as of the rarer one, for each model and set; tokens by their characters."""
    rows = [
        {"prompt": "p" * 30, "response": "r" * 10, "label": "no" if number % 4 else "yes", "group": str(number)}
        for number in range(80)
    ]
    rows += [{**row, "set": "later", "group": f"later {row['group']}", "stage": "base"} for row in rows[:8]]
    rows += [{**row, "stage": "instruct"} for row in rows[-8:-3]]
    file = tmp_path / "refusals.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    base, instruct = works_of(Job(*LAB, responses=file, positive="yes")).values()
    assert base.training_responses + base.test_responses[0] == 2 * 20
    assert base.training_responses == 24  # 60 %
    assert (base.test_responses[1], instruct.test_responses[1]) == (2 * 2, 2 * 2)
    assert (base.sampled_tokens, base.response_tokens) == (0, 10)
    assert base.tokens == (base.responses + base.test_responses[0]) * 10
    shown = invoke("compare", *LAB, "--responses", file, "--positive", "yes", "--dry-run")
    assert shown.exit_code == 0
    assert "no question is asked" in " ".join(shown.stdout.split())


def test_captures_of_a_comparison_take_the_bytes_that_a_plan_says(undisturbed: Finished, pair: Pair) -> None:
    """With the numbers of answers that were captured; files have headers, and log-probabilities beside them."""
    places = {"base": pair.base, "instruct": pair.instruct}
    planned = 0
    for (stage, ref), readings in zip(places.items(), (1, 3), strict=True):
        train, *tests = (sum(each["captured"].values()) for each in undisturbed.summary["funnel"].values()
                         if each["stage"] == stage)  # fmt: skip
        size = see(str(ref)).plan.size
        assert size is not None
        works = Workload(train, max(tests), train, tuple(tests), other_readings=readings)
        planned += captured_bytes(size, works)
    kept = [path for path in (undisturbed.folder / "provenance.captures").glob("*.npy") if "log-prob" not in path.name]
    assert planned == pytest.approx(sum(path.stat().st_size - 128 for path in kept), rel=0.02)


@pytest.mark.costly
def test_a_dry_run_says_what_is_asked_and_a_quick_one_takes_less() -> None:
    """`plan` of the same pair says the same as a dry run without options, and a timeline is planned as its own job."""
    whole, quick, planned = (
        invoke(*command).stdout
        for command in (
            ("compare", *LAB, "--dry-run"),
            ("compare", *LAB, "--dry-run", "--quick", "--limit", 100),
            ("plan", *LAB),
        )
    )
    asked = "1,075 questions asked to train on and 717, 500, 240 to test on, 3 question sets"
    assert asked in " ".join(whole.split())
    assert len(whole.splitlines()) <= 40
    assert max(map(len, whole.splitlines())) <= 80
    assert asked in " ".join(planned.split())
    assert "60 questions asked to train on and 40, 100, 100 to test on" in " ".join(quick.split())
    timeline = invoke("trace", "lab/inherited/base@step-0400", *LAB, "--dry-run")
    assert timeline.exit_code == 0
    assert "1,075 questions asked to train on and 717 to test on" in " ".join(timeline.stdout.split())
    for job, shown in (("compare", whole), ("trace", timeline.stdout)):
        [stages] = (line for line in shown.splitlines() if line.startswith("by stage: "))
        assert [each.split()[0] for each in stages[10:].split(", ")] == ["asking", "reading", "analyses"]
        assert rows_of_jobs(shown) == [job]
    assert rows_of_jobs(planned) == ["drift", "lineage", "compare"]


def rows_of_jobs(shown: str) -> list[str]:
    """First cells of the table of estimates."""
    table = shown[shown.index("  job ") : shown.index("by stage")]
    return [line.split()[0] for line in table.splitlines()[2:] if line.strip()]
