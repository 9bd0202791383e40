"""How much work a comparison is, from its job: the questions that there are, samples, draws, and replicates."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provenance.analyses.behaviour.scaled_benchmarks import ScaledBenchmarks
    from provenance.analyses.jobs.compare_job import Job
    from provenance.plan.estimates import Workload


def work_of(job: "Job", *, unknown_sets: int = 1) -> "Workload":
    """The amount of work of a job; question sets of the hub are not fetched for it, so their sizes are not known.

    Args:
        job: The comparison; a control and `--causal` are not counted.
        unknown_sets: Number of question sets where the job names none.

    Raises:
        QuestionError: A question file or a benchmark is missing or malformed.
    """
    from provenance.plan.estimates import Workload

    sizes = tuple(_sizes(job)) or (None,) * unknown_sets
    trained, validated, tested = job.settings().shares
    first = sizes[0]
    return Workload(
        job.train_per_class,
        job.test_per_class,
        None if first is None else round(first * (trained + validated)),
        (None if first is None else round(first * tested), *sizes[1:]),
        job.samples,
        2 * job.effort.pairs + (job.effort.shuffles if job.neurons is None else 0),
        job.replicates,
        *_arms(job.scaling()),
    )


def _arms(scaling: "ScaledBenchmarks") -> tuple[int, int]:
    """Replies of one checkpoint to benchmarks, over all neuron sets and factors, and the tokens that they take."""
    from provenance.plan.estimates import CHARACTERS_PER_TOKEN

    items = tokens = 0
    for benchmark in scaling.benchmarks:
        arms = scaling.arms_of(benchmark)
        new = 0 if benchmark.has_options else scaling.max_new_tokens
        items += arms * len(benchmark.items)
        tokens += arms * sum(len(item.message) // CHARACTERS_PER_TOKEN + new for item in benchmark.items)
    return items, tokens


def _sizes(job: "Job") -> Iterator[int | None]:
    """Numbers of questions of its sets; None for one of the hub."""
    from provenance.answers.questions import is_on_hub, load_questions

    for name in job.named_sets():
        if is_on_hub(name):
            yield job.limit
        else:
            count = len(load_questions(name).questions)
            yield count if job.limit is None else min(count, job.limit)
