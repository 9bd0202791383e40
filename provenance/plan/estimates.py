"""Estimates of a comparison's memory and time, from sizes and a measurement, with the assumptions in words.

Assumptions are cautious round numbers, named here and worded in the result; a run's database has actual durations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from provenance.activations.batches import MOST_BYTES, MOST_TOKENS
from provenance.activations.neuron_rows import IN_MEMORY_BYTES
from provenance.activations.reading import LOGITS_AT_ONCE
from provenance.defaults import BATCH_SIZE, CORRELATION_RESPONSES, PER_CLASS, SAMPLES_PER_QUESTION
from provenance.plan.machine import Machine

PROMPT_TOKENS = 48  # a short question in a chat template
ANSWER_TOKENS = 12  # most short answers have ended by then
CHARACTERS_PER_TOKEN = 4  # of English
TOKENS = PROMPT_TOKENS + ANSWER_TOKENS
ASKED_PER_TRAINING_RESPONSE = 5  # questions for one that all samples agree on
ASKED_PER_TEST_RESPONSE = 3  # one of the two classes fills up late
SAMPLES_ON_AVERAGE = 3  # most questions are given up at an early disagreement
PASSES = 4  # time of drift and of lineage in passes over the same bytes that only sum them
STREAM_BYTES = 1 << 28  # blocks under way of both sides
SUMS_PER_NEURON = 8  # float64 numbers that drift keeps per neuron and projection
READINGS = 3  # of `compare --weights-only`: lineage, drift, and a mapping where neurons moved
NETWORK_BYTES_PER_S = 20e6  # a household's connection, for lack of anything to measure

# What no product of matrices explains, measured on two cores of a machine with this time of a small operation.
OPERATION_S = 2.5e-6
START_S = 15  # imports, and figures and report
TOKEN_S = 35e-6  # sampling, judging and storing answers: the lab pair, beside its forward passes
SEARCHES_S = 16  # both probes and what they are compared with: the lab pair
DRAW_S = 0.084  # a shuffled search or half-sample in both models: the lab pair at full effort and at `--quick`
VALUE_S = 0.28e-6  # the same by captured value of a training response: a pair of 270 million parameters


@dataclass(frozen=True)
class Workload:
    """Amount of work of a comparison."""

    train_per_class: int = PER_CLASS
    """Consistent training responses wanted of each class."""
    test_per_class: int = PER_CLASS
    """Test responses wanted of each class and question set."""
    train_questions: int | None = None
    """Questions that there are to train on; None where it is not known, and as many are asked as are needed."""
    test_questions: tuple[int | None, ...] = (None,)
    """The same of each question set that is tested on."""
    samples: int = SAMPLES_PER_QUESTION
    """Samples of a training question that all agree."""
    draws: int = 0
    """Shuffled searches and half-samples of each model."""
    replicates: int = 1
    """Times that all of it is done."""
    arm_items: int = 0
    """Items of benchmarks, each as often as it is asked of one checkpoint with activations of neurons changed."""
    arm_tokens: int = 0
    """Tokens that these take."""
    item_bytes: int = 4
    """Bytes of a number in the forward passes."""

    @property
    def trained(self) -> int:
        """Training questions asked of one checkpoint."""
        return _at_most(self.train_questions, ASKED_PER_TRAINING_RESPONSE * 2 * self.train_per_class)

    @property
    def training_responses(self) -> int:
        """Captured training responses of one checkpoint."""
        return _at_most(self.train_questions, 2 * self.train_per_class)

    @property
    def responses(self) -> int:
        """Captured responses of one checkpoint."""
        tested = (_at_most(count, 2 * self.test_per_class) for count in self.test_questions)
        return self.training_responses + sum(tested)

    @property
    def tokens(self) -> int:
        """Tokens read or sampled by one checkpoint, captures included."""
        wanted = ASKED_PER_TEST_RESPONSE * 2 * self.test_per_class
        tested = sum(_at_most(count, wanted) for count in self.test_questions)
        samples = min(self.samples, SAMPLES_ON_AVERAGE)
        asked = self.trained * (PROMPT_TOKENS + samples * ANSWER_TOKENS) + (tested + self.responses) * TOKENS
        return asked + self.arm_tokens


def _at_most(known: int | None, wanted: int) -> int:
    return wanted if known is None else min(known, wanted)


@dataclass(frozen=True)
class Size:
    """Sizes of a checkpoint that decide memory and time."""

    parameters: int
    """Numbers in all its tensors."""
    neurons: int
    """Neurons in all layers."""
    layers: int
    width: int
    """Hidden size: weights of a neuron in each projection."""
    kinds: tuple[str, ...]
    """Projections of a neuron."""
    drift_bytes: int
    """Bytes of the neurons' tensors, which drift reads."""
    lineage_bytes: int
    """Bytes of all tensors, which lineage reads."""


@dataclass(frozen=True)
class Traffic:
    """Bytes to fetch or hash before anything is computed."""

    pull_bytes: int = 0
    """Fetched by `pull`."""
    drift_bytes: int = 0
    """Fetched by drift when it streams."""
    lineage_bytes: int = 0
    """Fetched by lineage when it streams."""
    hashed_bytes: int = 0
    """Local weights without a known digest; every job hashes them."""


@dataclass(frozen=True)
class JobEstimate:
    """Memory and time of a job."""

    compare_memory_bytes: int
    """Peak of `compare`: the larger model with a batch that it reads, and a fit's share of the captured vectors."""
    captures_bytes: int
    """Captured vectors of both checkpoints on disk, in float32."""
    scratch_bytes: int
    """Activations of one model on disk while the other one is correlated with it."""
    weights_memory_bytes: int
    """Peak of analyses of weights alone."""
    pull_s: float
    """Fetching missing files."""
    drift_stream_s: float
    """Streaming the tensors that drift reads, if not local."""
    lineage_stream_s: float
    """Streaming all tensors, if not local."""
    hash_s: float
    """Hashing local weights; part of the three below."""
    drift_s: float
    """Reading the neurons' weights."""
    lineage_s: float
    """Reading all weights."""
    compare_s: float
    """A comparison from its start to its report, without fetching."""
    assumptions: tuple[str, ...]
    """Assumptions of these numbers, in sentences."""


def estimate(sizes: Sequence[Size], traffic: Traffic, workload: Workload, machine: Machine) -> JobEstimate:
    """Memory and time of a job on some checkpoints; the traffic is that of all of them."""
    captured = workload.replicates * sum(captured_bytes(size, workload.responses) for size in sizes)
    drift_bytes = sum(size.drift_bytes for size in sizes)
    lineage_bytes = sum(size.lineage_bytes for size in sizes)
    sums = max((size.neurons * len(size.kinds) for size in sizes), default=0) * SUMS_PER_NEURON * 8
    hash_s = traffic.hashed_bytes / machine.hash_bytes_per_s
    return JobEstimate(
        compare_memory_bytes=max((model_bytes(size, workload.item_bytes) for size in sizes), default=0)
        + min(captured, IN_MEMORY_BYTES),
        captures_bytes=captured,
        scratch_bytes=max((scratch_bytes(size, workload.item_bytes) for size in sizes), default=0),
        weights_memory_bytes=min(STREAM_BYTES, lineage_bytes) + sums,
        pull_s=traffic.pull_bytes / NETWORK_BYTES_PER_S,
        drift_stream_s=traffic.drift_bytes / NETWORK_BYTES_PER_S,
        lineage_stream_s=traffic.lineage_bytes / NETWORK_BYTES_PER_S,
        hash_s=hash_s,
        drift_s=PASSES * drift_bytes / machine.memory_bytes_per_s + hash_s,
        lineage_s=PASSES * lineage_bytes / machine.memory_bytes_per_s + hash_s,
        compare_s=_compare_s(sizes, workload, machine) + hash_s,
        assumptions=_assumptions(workload, machine, captured),
    )


def _compare_s(sizes: Sequence[Size], workload: Workload, machine: Machine) -> float:
    """Forward passes, and what takes its time beside them, scaled by how fast this machine is at small operations."""
    passes = sum(2 * size.parameters * workload.tokens for size in sizes) / machine.flops_per_s
    answers = TOKEN_S * (workload.tokens - workload.arm_tokens) * len(sizes)
    values = sum(2 * workload.training_responses * size.neurons for size in sizes)
    analyses = SEARCHES_S + DRAW_S * workload.draws + VALUE_S * values
    slowness = machine.operation_s / OPERATION_S
    return workload.replicates * passes + slowness * (START_S + workload.replicates * (answers + analyses))


def captured_bytes(size: Size, responses: int) -> int:
    """Bytes of the captured vectors in float32: of each response, answer means and other means, and its residuals."""
    return responses * (size.neurons * 2 + size.layers * size.width) * 4


def model_bytes(size: Size, item_bytes: int) -> int:
    """Bytes of one model and of what it holds beside its weights: more of a batch that it reads or that it answers.

    Reading holds z of one layer twice, the captured rows of the batch until they are written, and logits; answering
    holds keys and values, here those of as many heads as the hidden size has room for.
    """
    z = 2 * MOST_TOKENS * (size.neurons // size.layers) * item_bytes
    rows = min(MOST_BYTES, captured_bytes(size, MOST_TOKENS // TOKENS))
    cached = 2 * BATCH_SIZE * TOKENS * size.layers * size.width * item_bytes
    return size.parameters * item_bytes + max(z + rows + 4 * LOGITS_AT_ONCE, cached)


def scratch_bytes(size: Size, item_bytes: int) -> int:
    """Bytes of the activations of one model that its correlation with the other one is computed from."""
    return CORRELATION_RESPONSES * TOKENS * size.neurons * item_bytes


def _assumptions(workload: Workload, machine: Machine, captured: int) -> tuple[str, ...]:
    wanted = f"{workload.train_per_class:,} training and {workload.test_per_class:,} test responses of each class"
    samples = min(workload.samples, SAMPLES_ON_AVERAGE)
    return (
        f"{machine.flops_per_s / 1e9:,.0f} GFLOP/s, measured on {machine.device} in {machine.dtype}",
        f"{machine.memory_bytes_per_s / 1e9:,.1f} GB/s through memory, measured",
        f"{machine.hash_bytes_per_s / 1e9:,.1f} GB/s of SHA-256 over weights of this machine, measured from memory",
        f"{machine.operation_s * 1e6:,.1f} µs for a small operation, measured",
        f"{wanted}, {len(workload.test_questions)} question set(s), {_questions(workload)}",
        f"{ASKED_PER_TRAINING_RESPONSE} questions asked per training response, {ASKED_PER_TEST_RESPONSE} per test one",
        f"{samples} sample(s) a training question on average; {workload.draws} shuffled searches and half-samples",
        f"{PROMPT_TOKENS} tokens a prompt, {ANSWER_TOKENS} an answer: {workload.tokens:,} tokens a checkpoint",
        *_arms(workload),
        "2 floating-point operations a token and parameter",
        "answers, searches and figures as in runs that were measured, by the time of a small operation",
        f"drift and lineage as {PASSES} passes over the bytes they read, from memory; a cold disk is slower",
        f"`compare --weights-only` reads weights up to about {READINGS} times, and with --stream fetches them as often",
        "those times are lineage (all tensors), drift, and a mapping where neurons moved",
        f"captured vectors take {captured / 1e9:,.1f} GB of the database's disk, half with --capture-dtype float16",
        "one model in memory at a time, beside a batch that it reads or answers",
        f"a connection of {NETWORK_BYTES_PER_S / 1e6:.0f} MB/s",
    )


def _arms(workload: Workload) -> tuple[str, ...]:
    """Of benchmarks in words."""
    if not workload.arm_items:
        return ()
    said = f"benchmarks: {workload.arm_items:,} replies of each checkpoint with activations of neurons changed"
    return (f"{said}, {workload.arm_tokens:,} of these tokens",)


def _questions(workload: Workload) -> str:
    """Numbers of questions in words."""
    known = (workload.train_questions, *workload.test_questions)
    if None in known:
        return "of unknown numbers of questions"
    return f"{known[0]:,} questions to train on and {', '.join(f'{count:,}' for count in known[1:])} to test on"
