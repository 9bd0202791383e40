"""How much work a job is for each of its checkpoints: the questions that there are, samples, draws, and replicates."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provenance.analyses.behaviour.scaled_benchmarks import ScaledBenchmarks
    from provenance.analyses.jobs.compare_job import Job
    from provenance.analyses.jobs.given_answers import GivenAnswers
    from provenance.analyses.timeline.timeline_job import TimelineJob
    from provenance.plan.workload import Workload
    from provenance.records import Stage
    from provenance.responses.response_rows import GivenRow

# How often each model reads the test answers of the first set, beside its own in its own prompt: the base those of the
# instruct model; the instruct model those of the base in either prompt, and its own in the base's.
READINGS: "Mapping[Stage, int]" = {"base": 1, "instruct": 3}


def works_of(job: "Job", *, unknown_sets: int = 1) -> "dict[str, Workload]":
    """The work of base and instruct checkpoint, by reference; question sets of the hub are not fetched to be counted.

    Args:
        job: The comparison.
        unknown_sets: Number of question sets where the job names none.

    Raises:
        QuestionError: A file of questions or a benchmark is missing or malformed.
        InputError: So is a file of responses, or a neutral text.
    """
    from provenance.analyses.jobs.run_comparison import SETS_PER_TEST

    given, scaling = job.given_answers(), job.scaling()
    places: dict[Stage, str] = {"base": job.base, "instruct": job.instruct}
    found = (
        {stage: _given(job, given, stage, ref) for stage, ref in places.items()}
        if given
        else dict.fromkeys(places, _asked(job, unknown_sets))
    )
    works = {}
    for stage, ref in places.items():
        work = found[stage]
        searched = stage == "base" or job.neurons is None
        shuffles = max(job.effort.shuffles, SETS_PER_TEST * len(work.test_questions)) if job.neurons is None else 0
        work = replace(
            work,
            draws=shuffles + 2 * job.effort.pairs if searched else 0,
            other_readings=READINGS[stage],
            other_tokens=job.settings().collection[stage].other_tokens is not None,
            captured_item_bytes=4 if job.capture_dtype == "float32" else 2,
            replicates=job.replicates,
        )
        works[ref] = replace(work, scaled_tokens=_scaled_tokens(job, work, scaling))
    if job.control == "unrelated":  # another model, as large as the base, reads what the base has said
        base = works[job.base]
        works[job.base] = replace(base, control_tokens=base.responses * base.response_tokens)
    return works


def works_of_timeline(job: "TimelineJob") -> "dict[str, Workload]":
    """The work of every checkpoint of a timeline, by reference: neurons are searched for in the last one only.

    The others answer the test questions, and read the last one's answers; so does a randomly initialised model, which
    counts with the first one, whose size it has.

    Raises:
        QuestionError: See `works_of`.
    """
    found = works_of(job.how)[job.how.instruct]
    last = replace(
        found,
        test_questions=found.test_questions[:1],
        draws=2 * job.how.effort.pairs,
        other_readings=0,
        scaled_tokens=0,
    )
    others = replace(last, train_questions=0, train_per_class=0, draws=0, other_readings=1)
    works = dict.fromkeys(job.refs, others) | {job.refs[-1]: last}
    if job.floor:
        works[job.refs[0]] = replace(works[job.refs[0]], other_readings=works[job.refs[0]].other_readings + 1)
    return works


def _asked(job: "Job", unknown_sets: int) -> "Workload":
    """The work of a model that is asked."""
    from provenance.plan.workload import Workload

    sizes = tuple(_sizes(job)) or (None,) * unknown_sets
    first = sizes[0]
    trained, validated, tested = job.settings().shares
    return Workload(
        job.train_per_class,
        job.test_per_class,
        None if first is None else round(first * (trained + validated)),
        (None if first is None else round(first * tested), *sizes[1:]),
        job.samples,
    )


def _sizes(job: "Job") -> Iterator[int | None]:
    """Numbers of questions of its sets; None for one of the hub."""
    from provenance.answers.questions import is_on_hub, load_questions

    for name in job.named_sets():
        if is_on_hub(name):
            yield job.limit
        else:
            count = len(load_questions(name).questions)
            yield count if job.limit is None else min(count, job.limit)


def _given(job: "Job", given: "GivenAnswers", stage: "Stage", ref: str) -> "Workload":
    """The work of a model whose responses exist: as many of each label are read as there are of the rarer one."""
    from provenance.plan.workload import CHARACTERS_PER_TOKEN, Workload

    sets = [[row for row in given.rows(questions) if row.is_read_by(stage, ref)] for questions in given.sets]
    first, later = sets[0], sets[1:]
    if given.file.names_splits:
        trained, tested = (_balanced([row for row in first if (row.split == "test") == test]) for test in (False, True))
    else:
        *shares, _ = job.settings().shares
        both = _balanced(first)
        trained = round(both * sum(shares))
        tested = both - trained
    rows = [row for each in sets for row in each]
    characters = sum(len(row.text) + len(row.response) for row in rows) / max(len(rows), 1)
    return Workload(
        len(rows),
        len(rows),
        trained,
        (tested, *map(_balanced, later)),
        is_asked=False,
        response_tokens=max(round(characters / CHARACTERS_PER_TOKEN), 1),
    )


def _balanced(rows: "Sequence[GivenRow]") -> int:
    """Rows of both labels, as many of each as of the rarer one; all where there is one label only."""
    counts = Counter(row.label for row in rows).values()
    return len(counts) * min(counts, default=0)


def _scaled_tokens(job: "Job", work: "Workload", scaling: "ScaledBenchmarks") -> int:
    """Tokens that a model reads or samples while its neurons are scaled, for `--causal` and `--behaviour`."""
    asked = _plain_tokens(work, scaling) + _text_tokens(scaling) if scaling.benchmarks else 0
    return (_causal_tokens(work) if job.causal else 0) + _behaviour_tokens(scaling) + asked


def _plain_tokens(work: "Workload", scaling: "ScaledBenchmarks") -> int:
    """Some questions of each set, answered with the H-Neurons scaled by each factor, and read once more."""
    from provenance.analyses.behaviour.side_effects import MOST_TOKENS
    from provenance.plan.workload import TOKENS

    limits = (
        scaling.plain_items if asked is None else min(scaling.plain_items, asked) for asked in work.test_questions
    )
    return len(scaling.factors) * sum(limits) * (TOKENS + min(scaling.max_new_tokens, MOST_TOKENS))


def _text_tokens(scaling: "ScaledBenchmarks") -> int:
    """Every text, read with the H-Neurons scaled by each factor."""
    from provenance.plan.workload import CHARACTERS_PER_TOKEN

    characters = sum(len(passage) for text in scaling.texts for passage in text.passages)
    return len(scaling.factors) * (characters // CHARACTERS_PER_TOKEN)


def _causal_tokens(work: "Workload") -> int:
    """Its own answers, read with every set of neurons scaled by every factor, and validation questions, asked so."""
    from provenance.analyses.behaviour.scaled_answers import ALPHAS, ANSWERS_PER_CLASS, QUESTIONS, SETS, SETS_ASKED
    from provenance.analyses.controls.control_sets import CONTROL_KINDS
    from provenance.plan.workload import TOKENS

    read, asked = (2 + len(CONTROL_KINDS) * sets for sets in (SETS, SETS_ASKED))  # and the H-Neurons, and none at all
    answers = min(2 * ANSWERS_PER_CLASS, work.test_responses[0])
    return len(ALPHAS) * (read * answers * work.response_tokens + asked * min(QUESTIONS, work.trained) * TOKENS)


def _behaviour_tokens(scaling: "ScaledBenchmarks") -> int:
    """Every item of every benchmark, as often as a model is asked it."""
    from provenance.plan.workload import CHARACTERS_PER_TOKEN

    tokens = 0
    for benchmark in scaling.benchmarks:
        replied = 0 if benchmark.has_options else scaling.max_new_tokens
        read = sum((len(item.message) + len(item.doubt)) // CHARACTERS_PER_TOKEN for item in benchmark.items)
        tokens += scaling.arms_of(benchmark) * (read + replied * len(benchmark.items))
    return tokens
