"""Estimates of a comparison's memory and time, from sizes and a measurement, with the assumptions in words.

Assumptions are cautious round numbers, named here and worded in the result; a run's database has actual durations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provenance.activations.batches import MOST_BYTES, MOST_TOKENS
from provenance.activations.neuron_rows import IN_MEMORY_BYTES
from provenance.activations.reading import LOGITS_AT_ONCE
from provenance.answers.collect_responses import rounds_of
from provenance.answers.sampling import SAMPLED_BYTES
from provenance.cells import so_many
from provenance.defaults import BATCH_SIZE, CORRELATION_RESPONSES, SAMPLES_PER_QUESTION
from provenance.plan.machine import Machine
from provenance.plan.workload import (
    ANSWER_TOKENS,
    ASKED_PER_TEST_RESPONSE,
    ASKED_PER_TRAINING_RESPONSE,
    CHARACTERS_PER_TOKEN,
    PROMPT_TOKENS,
    SAMPLES_ON_AVERAGE,
    TOKENS,
    Workload,
)
from provenance.probe.l1_path import ONE_THREAD

STAGES = ("asking", "reading", "scaling", "analyses")
"""Answers sampled; answers read, by the other model and by one in its place too; passes with neurons scaled; and what
runs on the processor: start, digests of local weights, searches, draws, regressions, figures."""
PASSES = 4  # time of drift and of lineage in passes over the same bytes that only sum them
STREAM_BYTES = 1 << 28  # blocks under way of both sides
SUMS_PER_NEURON = 8  # float64 numbers that drift keeps per neuron and projection
READINGS = 3  # of `compare --weights-only`: lineage, drift, and a mapping where neurons moved
SAID_BYTES = 10**8  # of scratch files: less is beside the point
NETWORK_BYTES_PER_S = 20e6  # a household's connection, for lack of anything to measure

# What no product of matrices explains, measured on two cores of a machine with this time of a small operation.
OPERATION_S = 2.5e-6
START_S = 12  # imports, and figures and report
TOKEN_S = 12e-6  # sampling, judging, reading and storing answers: the lab pair, beside its forward passes
SEARCH_S = 0.5  # a probe and what it is compared with: the lab pair
DRAW_S = 0.042  # a shuffled search or half-sample: the lab pair at full effort and at `--quick`
VALUE_S = 0.07e-6  # the same by captured value of a training response: pairs of 37 thousand to 2.3 million neurons

# Directions in the residual stream: a regression for each of five folds and penalties in each layer, and one of all.
FOLDS = 5
FITTED_SHARE = (FOLDS - 1) / FOLDS  # training responses in a fit
FITS = 28  # 25 of cross-validation, and on average three on the way to the chosen penalty
NEWTON_STEPS = 6  # of a fit that starts at the solution of the penalty before


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
    key_width: int
    """Numbers in the key of a token in a layer: heads with keys of their own, times the size of a head."""
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
    """Scratch files at once: activations of one model that the other is correlated with, or those of both searches."""
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
    stage_s: Mapping[str, float]
    """A comparison by stage, see `STAGES`."""
    compare_s: float
    """A comparison from its start to its report, without fetching: all its stages."""
    assumptions: tuple[str, ...]
    """Assumptions of these numbers, in sentences."""


def estimate(sizes: Sequence[Size], traffic: Traffic, works: Sequence[Workload], machine: Machine) -> JobEstimate:
    """Memory and time of a job on some checkpoints, each with its work; the traffic is that of all of them."""
    both = list(zip(sizes, works, strict=True))
    captured = sum(work.replicates * captured_bytes(size, work) for size, work in both)
    scratch = _scratch_bytes(both)
    drift_bytes = sum(size.drift_bytes for size in sizes)
    lineage_bytes = sum(size.lineage_bytes for size in sizes)
    sums = max((size.neurons * len(size.kinds) for size in sizes), default=0) * SUMS_PER_NEURON * 8
    hash_s = traffic.hashed_bytes / machine.hash_bytes_per_s
    stages = _stages(both, machine, hash_s)
    return JobEstimate(
        compare_memory_bytes=max((model_bytes(size, work.item_bytes) for size, work in both), default=0)
        + min(captured, IN_MEMORY_BYTES),
        captures_bytes=captured,
        scratch_bytes=scratch,
        weights_memory_bytes=min(STREAM_BYTES, lineage_bytes) + sums,
        pull_s=traffic.pull_bytes / NETWORK_BYTES_PER_S,
        drift_stream_s=traffic.drift_bytes / NETWORK_BYTES_PER_S,
        lineage_stream_s=traffic.lineage_bytes / NETWORK_BYTES_PER_S,
        hash_s=hash_s,
        drift_s=PASSES * drift_bytes / machine.memory_bytes_per_s + hash_s,
        lineage_s=PASSES * lineage_bytes / machine.memory_bytes_per_s + hash_s,
        stage_s=stages,
        compare_s=sum(stages.values()),
        assumptions=_assumptions(both, machine, captured, scratch),
    )


def _scratch_bytes(both: Sequence[tuple[Size, Workload]]) -> int:
    correlated = max((correlated_bytes(size, work.item_bytes) for size, work in both), default=0)
    return max(correlated, sum(searched_bytes(size, work) for size, work in both))


def _stages(both: Sequence[tuple[Size, Workload]], machine: Machine, hash_s: float) -> dict[str, float]:
    """Seconds by stage: forward passes, regressions, and what takes its time beside such products.

    The last grows with the time that this machine takes for a small operation.
    """
    slowness = machine.operation_s / OPERATION_S
    found = dict.fromkeys(STAGES, 0.0) | {"analyses": START_S * slowness + hash_s}
    for size, work in both:
        a_token = 2 * size.parameters / machine.flops_per_s + TOKEN_S * slowness
        for stage, tokens in (
            ("asking", work.sampled_tokens), ("reading", work.read_tokens), ("scaling", work.scaled_tokens)
        ):  # fmt: skip
            found[stage] += work.replicates * tokens * a_token
        found["analyses"] += work.replicates * _analyses_s(size, work, machine, slowness)
    return found


def _analyses_s(size: Size, work: Workload, machine: Machine, slowness: float) -> float:
    """Seconds of searches, draws and regressions of a checkpoint, all on the processor."""
    search = SEARCH_S + DRAW_S * work.draws + 2 * VALUE_S * work.training_responses * size.neurons
    regressions = regression_flops(size, work.training_responses) / machine.solve_flops_per_s
    return regressions + (search * slowness if work.training_responses else 0)


def regression_flops(size: Size, responses: int) -> float:
    """Operations of the regressions on the residual stream of all layers, see `provenance.probe.ridge`.

    With fewer rows than the stream is wide their products with one another are computed once for each fold, and a step
    solves one system of as many equations as there are rows; else a step builds and solves one as wide as the stream.
    """
    rows, width = FITTED_SHARE * responses, size.width
    if rows < width:
        return size.layers * ((FOLDS + 1) * rows**2 * width + FITS * NEWTON_STEPS * rows**3 / 3)
    return size.layers * FITS * NEWTON_STEPS * (2 * rows * width**2 + 2 * width**3 / 3)


def captured_bytes(size: Size, work: Workload) -> int:
    """Bytes of the captured vectors of a checkpoint.

    Of each response the answer's means, of training responses the other tokens' as well where they are wanted, of those
    in the checkpoint's own prompt the residual stream in float32.
    """
    means = work.responses + work.read_again + (work.training_responses if work.other_tokens else 0)
    return means * size.neurons * work.captured_item_bytes + work.responses * size.layers * size.width * 4


def model_bytes(size: Size, item_bytes: int) -> int:
    """Bytes of one model and of what it holds beside its weights: more of a batch that it reads or that it answers.

    Reading holds z of one layer twice, the captured rows of the batch until they are written, and logits; answering
    holds keys and values of a batch, and of further samples that are drawn with it.
    """
    z = 2 * MOST_TOKENS * (size.neurons // size.layers) * item_bytes
    rows = min(MOST_BYTES, MOST_TOKENS // TOKENS * (2 * size.neurons + size.layers * size.width) * 4)
    cached = 2 * BATCH_SIZE * TOKENS * size.layers * size.key_width * item_bytes
    drawn = min(SAMPLED_BYTES, max(rounds_of(SAMPLES_PER_QUESTION)) * cached)
    return size.parameters * item_bytes + max(z + rows + 4 * LOGITS_AT_ONCE, cached + drawn)


def correlated_bytes(size: Size, item_bytes: int) -> int:
    """Bytes of the activations of one model that its correlation with the other one is computed from."""
    return CORRELATION_RESPONSES * TOKENS * size.neurons * item_bytes


def searched_bytes(size: Size, work: Workload) -> int:
    """Bytes of a search's scratch files: training vectors neuron by neuron, and a copy in bfloat16, of large ones."""
    values = work.training_responses * (2 if work.other_tokens else 1) * size.neurons
    turned = values * work.captured_item_bytes
    return (turned if turned > IN_MEMORY_BYTES else 0) + (2 * values if values >= ONE_THREAD else 0)


def _assumptions(
    both: Sequence[tuple[Size, Workload]], machine: Machine, captured: int, scratch: int
) -> tuple[str, ...]:
    """What the numbers rest on; the last checkpoint has most work, since the neurons are its own."""
    work = both[-1][1] if both else Workload()
    tokens = " + ".join(f"{each.tokens:,}" for _, each in both)
    scaled = sum(each.scaled_tokens for _, each in both)
    regressions = sum(regression_flops(size, each.training_responses) for size, each in both)
    return (
        _measured(machine),
        *(_asked(work) if work.is_asked else _given(work)),
        f"{tokens} tokens by checkpoint" + (f", at most {scaled:,} of them with neurons scaled" if scaled else ""),
        f"2 operations a token and parameter; {regressions / 1e9:,.0f} GFLOP of regressions on residual streams",
        f"{work.draws} shuffled searches and half-samples; the rest as in measured runs",
        f"drift and lineage: {PASSES} passes over their bytes, from memory, not from a cold disk",
        f"compare --weights-only: up to {READINGS} times lineage’s bytes, also with --stream",
        f"captured vectors: {captured / 1e9:,.1f} GB beside the database{_about_half(work)}",
        *([f"scratch files: at most {scratch / 1e9:,.1f} GB at once"] if scratch >= SAID_BYTES else []),
        f"one model in memory at a time, with a batch; a connection of {NETWORK_BYTES_PER_S / 1e6:.0f} MB/s",
    )


def _measured(machine: Machine) -> str:
    speeds = (
        f"{machine.flops_per_s / 1e9:,.0f} GFLOP/s on {machine.device} in {machine.dtype}",
        f"{machine.solve_flops_per_s / 1e9:,.0f} on the processor in float64",
        f"{machine.memory_bytes_per_s / 1e9:,.1f} GB/s through memory",
        f"{machine.hash_bytes_per_s / 1e9:,.1f} GB/s of SHA-256",
        f"{machine.operation_s * 1e6:,.1f} µs for a small operation",
    )
    return f"measured here: {', '.join(speeds)}"


def _asked(work: Workload) -> tuple[str, ...]:
    """How many questions are asked, in words."""
    sets = so_many(len(work.test_questions), "question set")
    asked = f"{so_many(work.trained, 'question')} asked to train on and {_each(work.tested_of)} to test on, {sets}"
    kept = f"for up to {work.training_responses:,} training and {_each(work.test_responses)} test responses"
    many = f"{ASKED_PER_TRAINING_RESPONSE} questions for a training response and {ASKED_PER_TEST_RESPONSE} for a test "
    many += f"one, {'while there are any' if _known(work) else 'of unknown numbers of questions'}"
    samples = so_many(min(work.samples, SAMPLES_ON_AVERAGE), "sample")
    return (
        f"{asked}, {kept} of both classes together",
        f"{many}; {samples} a training question on average; {PROMPT_TOKENS} tokens a prompt, {ANSWER_TOKENS} an answer",
    )


def _given(work: Workload) -> tuple[str, ...]:
    """How many responses that exist are read, in words."""
    return (
        "no question is asked: the responses exist, and as many of each label are read",
        f"{work.training_responses:,} responses to train on and {_each(work.test_responses)} to test on",
        f"{work.response_tokens:,} tokens a response with its prompt: {CHARACTERS_PER_TOKEN} characters a token",
    )


def _about_half(work: Workload) -> str:
    return ", about half in float16" if work.captured_item_bytes == 4 else ""


def _known(work: Workload) -> bool:
    """Whether the numbers of all questions are known."""
    return None not in (work.train_questions, *work.test_questions)


def _each(counts: Sequence[int]) -> str:
    return ", ".join(f"{count:,}" for count in counts)
