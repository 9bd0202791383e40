"""Estimates of a comparison's memory and time, from sizes and a measurement, with the assumptions in words.

Assumptions are cautious round numbers, named here and worded in the result; a run's database has actual durations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from provenance.activations.batches import MOST_BYTES, MOST_TOKENS
from provenance.activations.neuron_rows import IN_MEMORY_BYTES
from provenance.activations.reading import LOGITS_AT_ONCE
from provenance.defaults import BATCH_SIZE, CORRELATION_RESPONSES, PER_CLASS
from provenance.plan.machine import Machine

PROMPT_TOKENS = 48  # a short question in a chat template
ANSWER_TOKENS = 12  # most short answers have ended by then
TOKENS = PROMPT_TOKENS + ANSWER_TOKENS
ASKED_PER_TRAINING_RESPONSE = 5  # questions for one that all samples agree on
ASKED_PER_TEST_RESPONSE = 3  # one of the two classes fills up late
SAMPLES_ON_AVERAGE = 3  # most questions are given up at an early disagreement
PASSES = 4  # time of drift and of lineage in passes over the same bytes that only sum them
STREAM_BYTES = 1 << 28  # blocks under way of both sides
SUMS_PER_NEURON = 8  # float64 numbers that drift keeps per neuron and projection
READINGS = 3  # of `compare --weights-only`: lineage, drift, and a mapping where neurons moved
NETWORK_BYTES_PER_S = 20e6  # a household's connection, for lack of anything to measure


@dataclass(frozen=True)
class Workload:
    """Amount of work of a comparison."""

    train_per_class: int = PER_CLASS
    """Consistent training responses wanted of each class."""
    test_per_class: int = PER_CLASS
    """Test responses wanted of each class and question set."""
    question_sets: int = 1
    item_bytes: int = 4
    """Bytes of a number in the forward passes."""

    @property
    def responses(self) -> int:
        """Captured responses of one checkpoint."""
        return 2 * (self.train_per_class + self.question_sets * self.test_per_class)

    @property
    def tokens(self) -> int:
        """Tokens read or sampled by one checkpoint, captures included."""
        trained = ASKED_PER_TRAINING_RESPONSE * 2 * self.train_per_class
        tested = ASKED_PER_TEST_RESPONSE * 2 * self.question_sets * self.test_per_class
        training_tokens = trained * (PROMPT_TOKENS + SAMPLES_ON_AVERAGE * ANSWER_TOKENS)
        return training_tokens + (tested + self.responses) * TOKENS


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
    """Forward passes of both checkpoints."""
    assumptions: tuple[str, ...]
    """Assumptions of these numbers, in sentences."""


def estimate(sizes: Sequence[Size], traffic: Traffic, workload: Workload, machine: Machine) -> JobEstimate:
    """Memory and time of a job on some checkpoints; the traffic is that of all of them."""
    parameters = sum(size.parameters for size in sizes)
    captured = sum(captured_bytes(size, workload.responses) for size in sizes)
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
        compare_s=2 * parameters * workload.tokens / machine.flops_per_s + hash_s,
        assumptions=_assumptions(workload, machine, captured),
    )


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
    return (
        f"{machine.flops_per_s / 1e9:,.0f} GFLOP/s, measured on {machine.device} in {machine.dtype}",
        f"{machine.memory_bytes_per_s / 1e9:,.1f} GB/s through memory, measured",
        f"{machine.hash_bytes_per_s / 1e9:,.1f} GB/s of SHA-256 over weights of this machine, measured from memory",
        f"{wanted}, {workload.question_sets} question set(s)",
        f"{ASKED_PER_TRAINING_RESPONSE} questions asked per training response, {ASKED_PER_TEST_RESPONSE} per test one",
        f"{SAMPLES_ON_AVERAGE} samples a training question on average",
        f"{PROMPT_TOKENS} tokens a prompt, {ANSWER_TOKENS} an answer: {workload.tokens:,} tokens a checkpoint",
        "2 floating-point operations a token and parameter",
        f"drift and lineage as {PASSES} passes over the bytes they read, from memory; a cold disk is slower",
        f"`compare --weights-only` reads weights up to about {READINGS} times, and with --stream fetches them as often",
        "those times are lineage (all tensors), drift, and a mapping where neurons moved",
        f"captured vectors take {captured / 1e9:,.1f} GB of the database's disk, half with --capture-dtype float16",
        "one model in memory at a time, beside a batch that it reads or answers",
        f"a connection of {NETWORK_BYTES_PER_S / 1e6:.0f} MB/s",
    )
