"""How much work a comparison is, from its job: questions or responses, samples, draws, replicates, and benchmarks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provenance.analyses.jobs.compare_job import Job
    from provenance.plan.estimates import Workload

CHARACTERS_A_TOKEN = 4  # of English, in vocabularies of 30,000 tokens and more
TEMPLATE_TOKENS = 20


def work_of(job: "Job", *, unknown_sets: int = 1) -> "Workload":
    """The amount of work of a job; question sets of the hub are not fetched for it, so their sizes are not known.

    Args:
        job: The comparison; a control and `--causal` are not counted.
        unknown_sets: Number of question sets where the job names none.

    Raises:
        QuestionError: A question file or benchmark is missing or malformed.
        InputError: So is a file of responses.
    """
    from provenance.plan.estimates import Workload

    answers = job.given_answers()
    known = _sizes(job) if answers is None else (len(each.questions) for each in answers.sets)
    sizes = tuple(known) or (None,) * unknown_sets
    trained, validated, tested = job.settings().shares
    first = sizes[0]
    read = None if answers is None else len(answers.file.rows)  # of responses that exist, all are
    return Workload(
        job.train_per_class if read is None else read,
        job.test_per_class if read is None else read,
        None if first is None else round(first * (trained + validated)),
        (None if first is None else round(first * tested), *sizes[1:]),
        job.samples,
        2 * job.effort.pairs + (job.effort.shuffles if job.neurons is None else 0),
        job.replicates,
        given=answers is not None,
        scaled_tokens=_scaled_tokens(job),
    )


def _scaled_tokens(job: "Job") -> int:
    """Tokens that a model reads, and at most writes, over all arms of all benchmarks."""
    scaling = job.scaling()
    items = [item for benchmark in scaling.benchmarks for item in benchmark.items]
    read = sum((len(item.message) + len(item.doubt)) // CHARACTERS_A_TOKEN + TEMPLATE_TOKENS for item in items)
    written = sum(not item.options for item in items) * scaling.max_new_tokens
    return scaling.arms * (read + written)


def _sizes(job: "Job") -> Iterator[int | None]:
    """Numbers of questions of its sets; None for one of the hub."""
    from provenance.answers.questions import is_on_hub, load_questions

    for name in job.named_sets():
        if is_on_hub(name):
            yield job.limit
        else:
            count = len(load_questions(name).questions)
            yield count if job.limit is None else min(count, job.limit)
