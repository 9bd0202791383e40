"""Estimates follow from their assumptions, and the measurement of this machine is one of products and passes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.baselines.directions import CANDIDATES_C
from provenance.analyses.controls import question_folds
from provenance.errors import InputError
from provenance.models.available_memory import available_bytes
from provenance.plan import estimates, workload
from provenance.plan.estimates import Size, Traffic, captured_bytes, estimate, regression_flops
from provenance.plan.machine import Machine, measure
from provenance.plan.workload import Workload

MACHINE = Machine(
    "cpu", "float32", flops_per_s=1e9, solve_flops_per_s=float("inf"), memory_bytes_per_s=1e9, hash_bytes_per_s=1e8,
    operation_s=0.0, available_bytes=10**9,
)  # fmt: skip
"""Small operations and regressions take no time, so that forward passes are all that a comparison takes."""
KINDS = ("gate", "up", "down")
SIZE = Size(
    parameters=1000,
    neurons=48,
    layers=2,
    width=16,
    key_width=8,
    kinds=KINDS,
    drift_bytes=4 * 3 * 48 * 16,
    lineage_bytes=4 * 3 * 48 * 16 + 999,
)


def held_bytes(rows: int, *, other: bool = False, residual: bool = True) -> int:
    """Bytes of the arrays that an analysis holds of some responses."""
    values = np.zeros((rows, SIZE.neurons), dtype=np.float32)
    labels, names = np.zeros(rows, dtype=bool), ("",) * rows
    held = Features.of(values, values.copy() if other else None, labels, names, names)
    if residual:
        held = replace(held, residual=NeuronRows.of(np.zeros((rows, SIZE.layers * SIZE.width), dtype=np.float32)))
    read = [each for each in vars(held).values() if isinstance(each, NeuronRows)]
    assert len(read) == 1 + other + residual
    return sum(each.all().nbytes for each in read)


def test_captures_take_what_features_take() -> None:
    """Of training answers the other tokens too, of answers in another prompt the answer alone."""
    work = Workload(train_per_class=3, test_per_class=2, test_questions=(None, None), other_readings=3)
    tested = 2 * 2
    assert (work.training_responses, work.test_responses, work.read_again) == (2 * 3, (tested, tested), 3 * tested)
    own = held_bytes(2 * 3, other=True) + held_bytes(2 * tested)
    assert captured_bytes(SIZE, work) == own + held_bytes(3 * tested, residual=False)
    without = replace(work, other_tokens=False, other_readings=0)
    assert captured_bytes(SIZE, without) == held_bytes(2 * 3 + 2 * tested)
    halves = replace(without, captured_item_bytes=2)
    stream = 4 * without.responses * SIZE.layers * SIZE.width
    assert captured_bytes(SIZE, halves) - stream == (captured_bytes(SIZE, without) - stream) / 2


def test_tokens_counted_one_by_one() -> None:
    """The token count is that of a loop over every question of a small job."""
    work = Workload(train_per_class=2, test_per_class=3, test_questions=(None, 1000), other_readings=2)
    tokens = 0
    for _ in range(2 * 2 * workload.ASKED_PER_TRAINING_RESPONSE):
        tokens += workload.PROMPT_TOKENS + workload.SAMPLES_ON_AVERAGE * workload.ANSWER_TOKENS
    for _ in range(2 * 2 * 3 * workload.ASKED_PER_TEST_RESPONSE):
        tokens += workload.PROMPT_TOKENS + workload.ANSWER_TOKENS
    for _ in range(2 * 2 + 2 * 2 * 3 + 2 * 2 * 3):  # captured, and those of the first set twice again
        tokens += workload.PROMPT_TOKENS + workload.ANSWER_TOKENS
    assert work.tokens == tokens
    assert replace(work, scaled_tokens=70, control_tokens=5).tokens == tokens + 75


def test_no_more_is_asked_than_there_are_questions() -> None:
    """Nor captured; and no more samples are counted than are drawn."""
    few = Workload(train_questions=100, test_questions=(50, 7), samples=2)
    assert few.trained == few.training_responses == 100
    assert few.responses == 157
    per_question = workload.PROMPT_TOKENS + 2 * workload.ANSWER_TOKENS
    assert few.tokens == 100 * per_question + (57 + 157) * (workload.PROMPT_TOKENS + workload.ANSWER_TOKENS)
    said = " ".join(estimate([SIZE], Traffic(), [few], MACHINE).assumptions)
    assert "100 questions asked to train on and 50, 7 to test on, 2 question sets" in said
    assert "for up to 100 training and 50, 7 test responses of both classes together" in said
    assert "2 samples a training question on average" in said
    one = replace(few, train_questions=1, test_questions=(3,), samples=1)
    said = " ".join(estimate([SIZE], Traffic(), [one], MACHINE).assumptions)
    assert "1 question asked to train on and 3 to test on, 1 question set, for up to 1 training" in said
    assert "1 sample a training question" in said
    said = " ".join(estimate([SIZE], Traffic(), [Workload()], MACHINE).assumptions)
    assert "10,000 questions asked to train on and 6,000 to test on" in said  # as many as it takes
    assert "for up to 2,000 training and 2,000 test responses" in said
    assert "of unknown numbers of questions" in said


def test_responses_that_exist_are_read_and_no_question_is_asked() -> None:
    given = Workload(99, 99, 20, (10, 4), is_asked=False, response_tokens=30)
    assert given.tokens == 34 * 30
    said = " ".join(estimate([SIZE], Traffic(), [given], MACHINE).assumptions)
    assert "20 responses to train on and 10, 4 to test on 30 tokens a response" in said
    assert "questions" not in said


def test_what_no_product_explains_takes_its_time_on_a_machine_as_slow_as_this_one() -> None:
    """On the machine that it was measured on a start, answers, searches, draws, and captured values."""
    work = Workload(train_questions=10, test_questions=(5,), draws=50)
    slow, slower = (
        estimate([SIZE, SIZE], Traffic(), [work] * 2, replace(MACHINE, operation_s=factor * estimates.OPERATION_S))
        for factor in (1, 3)
    )
    passes = estimate([SIZE, SIZE], Traffic(), [work] * 2, MACHINE).compare_s
    values = 2 * 10 * SIZE.neurons
    search = estimates.SEARCH_S + 50 * estimates.DRAW_S + values * estimates.VALUE_S
    beside = estimates.START_S + 2 * (work.tokens * estimates.TOKEN_S + search)
    assert slow.compare_s == pytest.approx(passes + beside)
    assert slower.compare_s == pytest.approx(passes + 3 * beside)
    again = replace(work, replicates=4)
    whole = estimate([SIZE, SIZE], Traffic(), [again] * 2, replace(MACHINE, operation_s=2.5e-6))
    assert whole.compare_s == pytest.approx(4 * slow.compare_s - 3 * estimates.START_S)


def test_a_checkpoint_that_is_not_searched_takes_its_tokens_alone() -> None:
    """As those of a timeline do that only read the last one's answers."""
    followed = Workload(train_per_class=0, train_questions=0, test_questions=(5,), draws=0, other_readings=1)
    slow = replace(MACHINE, operation_s=estimates.OPERATION_S)
    taken = estimate([SIZE], Traffic(), [followed], slow).compare_s
    passes = estimate([SIZE], Traffic(), [followed], MACHINE).compare_s
    assert followed.tokens == (5 + 5 + 5) * workload.TOKENS
    assert taken == pytest.approx(passes + estimates.START_S + followed.tokens * estimates.TOKEN_S)


def test_regressions_grow_with_the_rows_cubed_and_with_the_width_only_once() -> None:
    """By a count of each operation of 25 fits in five folds; and they take their time on the processor."""
    wide = replace(SIZE, width=8192, layers=3)
    rows = 400  # of 500 in a fit
    products = (estimates.FOLDS + 1) * rows * rows * 8192
    steps = estimates.FITS * estimates.NEWTON_STEPS * rows**3 / 3
    assert regression_flops(wide, 500) == pytest.approx(3 * (products + steps))
    assert regression_flops(replace(wide, width=16384), 500) < 1.9 * regression_flops(wide, 500)
    narrow = regression_flops(SIZE, 500)
    assert narrow == pytest.approx(2 * estimates.FITS * estimates.NEWTON_STEPS * (2 * 400 * 16**2 + 2 * 16**3 / 3))
    work = Workload(train_questions=500)
    slow = estimate([wide], Traffic(), [work], replace(MACHINE, solve_flops_per_s=1e9)).compare_s
    assert slow - estimate([wide], Traffic(), [work], MACHINE).compare_s == pytest.approx(
        regression_flops(wide, 500) / 1e9
    )


def test_as_many_regressions_are_counted_as_are_fitted() -> None:
    assert estimates.FOLDS == question_folds.FOLDS
    crossed = question_folds.FOLDS * len(CANDIDATES_C)
    assert crossed + 1 <= estimates.FITS <= crossed + len(CANDIDATES_C)


def test_time_and_memory_grow_with_their_causes() -> None:
    """Twice the parameters take twice the compute, half the bytes a number half the model, and a pull its bytes."""
    work = Workload()
    one = estimate([SIZE], Traffic(10**6, 10**4, 10**5), [work], MACHINE)
    two = estimate([SIZE, SIZE], Traffic(10**6, 10**4, 10**5), [work] * 2, MACHINE)
    assert two.compare_s == 2 * one.compare_s == pytest.approx(2 * 2 * 1000 * work.tokens / 1e9)
    assert two.drift_s == 2 * one.drift_s
    assert one.lineage_s / one.drift_s == pytest.approx(SIZE.lineage_bytes / SIZE.drift_bytes)
    times = [one.pull_s, one.drift_stream_s, one.lineage_stream_s]
    assert times == [count / estimates.NETWORK_BYTES_PER_S for count in (10**6, 10**4, 10**5)]
    half = estimate([SIZE], Traffic(), [Workload(item_bytes=2)], MACHINE)
    assert one.scratch_bytes == 2 * half.scratch_bytes == 128 * 60 * 48 * 4
    saved = one.compare_memory_bytes - half.compare_memory_bytes
    assert saved == 2 * SIZE.parameters + 2 * 2 * 4096 * 24  # a number of the weights, and of z of one layer twice
    assert any("1 GFLOP/s" in line for line in one.assumptions)


def test_memory_is_that_of_the_larger_model_and_not_of_both() -> None:
    larger = replace(SIZE, parameters=5 * 10**9)
    taken = [estimate(sizes, Traffic(), [Workload()], MACHINE).compare_memory_bytes for sizes in ([larger], [SIZE])]
    both = estimate([SIZE, larger], Traffic(), [Workload()] * 2, MACHINE).compare_memory_bytes
    captured = captured_bytes(SIZE, Workload())
    assert both == taken[0] + captured  # of the other one's answers too
    assert taken[0] > taken[1] + 4 * 4 * 10**9


def test_a_model_of_70_billion_takes_its_weights_and_little_more() -> None:
    """Llama-3.3-70B in bfloat16: 80 layers of 28,672 neurons."""
    size = Size(
        parameters=70_553_706_496, neurons=80 * 28_672, layers=80, width=8192, key_width=1024, kinds=KINDS,
        drift_bytes=0, lineage_bytes=0,
    )  # fmt: skip
    weights = 2 * size.parameters
    assert weights < estimates.model_bytes(size, 2) < 1.05 * weights
    assert 30e9 < estimates.correlated_bytes(size, 2) < 40e9


@pytest.mark.parametrize(("neurons", "item_bytes", "expected"), [
    (1_000, 4, 0), (20_000, 4, 2), (50_000, 4, 2), (50_000, 2, 2), (100_000, 4, 6), (100_000, 2, 2), (200_000, 2, 4),
])  # fmt: skip
def test_searches_write_scratch_files_of_what_is_too_much_for_memory(
    neurons: int, item_bytes: int, expected: int
) -> None:
    """Bytes a value: of more than 67 million a copy of two, of more than a gibibyte the vectors too; of both models."""
    size = replace(SIZE, neurons=neurons)
    work = Workload(captured_item_bytes=item_bytes)
    assert estimates.searched_bytes(size, work) == expected * 4_000 * neurons
    both = estimate([size, size], Traffic(), [work] * 2, MACHINE).scratch_bytes
    assert both == max(2 * expected * 4_000 * neurons, estimates.correlated_bytes(size, 4))


def test_streaming_does_not_grow_with_the_checkpoint() -> None:
    """However many bytes drift reads, its memory is that of blocks and of sums per neuron."""
    huge = replace(SIZE, parameters=7 * 10**10, drift_bytes=10**11, lineage_bytes=2 * 10**11)
    taken = estimate([huge, huge], Traffic(), [Workload()] * 2, MACHINE).weights_memory_bytes
    assert taken < 600e6


def test_hashing_weights_of_this_machine_takes_its_time() -> None:
    """At the measured rate, in every job; weights that nobody hashes take none."""
    without, with_hash = (estimate([SIZE], Traffic(hashed_bytes=count), [Workload()], MACHINE) for count in (0, 10**9))
    assert (without.hash_s, with_hash.hash_s) == (0, 10**9 / 1e8)
    for job in ("drift_s", "lineage_s", "compare_s"):
        assert getattr(with_hash, job) == pytest.approx(getattr(without, job) + 10)
    assert any("SHA-256" in line for line in with_hash.assumptions)


def test_the_assumptions_say_how_often_weights_are_read() -> None:
    """Streaming all of `compare --weights-only` fetches more than a pull would, and a user has to know."""
    lines = [
        line for line in estimate([SIZE], Traffic(), [Workload()], MACHINE).assumptions if "--weights-only" in line
    ]
    assert len(lines) == 1
    assert "3 times" in lines[0]
    assert "--stream" in lines[0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_measurement_of_this_machine(dtype: str) -> None:
    """A rate between that of a pocket calculator and that of a computing centre, and no more memory than there is."""
    measured = measure(dtype, "cpu")
    assert 1e6 < measured.flops_per_s < 1e15
    assert 1e6 < measured.solve_flops_per_s < 1e15
    assert 1e6 < measured.memory_bytes_per_s < 1e13
    assert 1e6 < measured.hash_bytes_per_s < 1e12
    assert 1e-8 < measured.operation_s < 1e-2
    assert 0 < measured.available_bytes < 1e14
    assert (measured.device, measured.dtype) == ("cpu", dtype)


def test_memory_without_a_list_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the system does not say what is available, what is built in counts, which is no less."""
    monkeypatch.setattr("provenance.models.available_memory.OWN_CGROUPS", tmp_path / "none")
    available = available_bytes()
    monkeypatch.setattr("provenance.models.available_memory.MEMINFO", tmp_path / "none")
    assert available_bytes() >= available


LIMIT, USED, CACHE = 10**8, 6 * 10**7, 10**7


@pytest.mark.parametrize("where", ["job/inner", "job", "."])
@pytest.mark.parametrize("version", [1, 2])
def test_limits_of_a_container_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: int, where: str) -> None:
    """What the limit leaves, on whichever level it is set; what files occupy in memory can be dropped."""
    names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
             2: ("memory.max", "memory.current", "inactive_file")}[version]  # fmt: skip
    root = tmp_path / "memory" if version == 1 else tmp_path
    for level in (".", "job", "job/inner"):
        folder = root / level
        folder.mkdir(exist_ok=True, parents=True)
        no_limit = "max" if version == 2 else str(2**63 - 4096)
        (folder / names[0]).write_text(f"{LIMIT if level == where else no_limit}\n")
        (folder / names[1]).write_text(f"{USED}\n")
        (folder / "memory.stat").write_text(f"active_file 5\n{names[2]} {CACHE}\n")
    own = tmp_path / "own"
    own.write_text("9:cpu:/elsewhere\n4:memory:/job/inner\n" if version == 1 else "0::/job/inner\n")
    monkeypatch.setattr("provenance.models.available_memory.CGROUPS", tmp_path)
    monkeypatch.setattr("provenance.models.available_memory.OWN_CGROUPS", own)
    assert available_bytes() == LIMIT - USED + CACHE
    own.write_text("")
    assert available_bytes() > LIMIT


@pytest.mark.parametrize(("dtype", "device"), [("float31", "cpu"), ("int8", "cpu"), ("Tensor", "cpu"),
                                               ("float32", "cuda:7"), ("float32", "toaster")])  # fmt: skip
def test_what_cannot_be_measured(dtype: str, device: str) -> None:
    """An unknown dtype or a device that is not there is bad input, with a remedy."""
    if device.startswith("cuda") and torch.cuda.is_available() and torch.cuda.device_count() > 7:
        pytest.skip("this machine has it")
    with pytest.raises(InputError) as caught:
        measure(dtype, device)
    assert "--" in caught.value.remedy
