"""Estimates follow from their assumptions, and the measurement of this machine is one of products and passes."""

import numpy as np
import pytest
import torch

from provenance import estimates
from provenance.errors import InputError
from provenance.estimates import Size, Workload, captured_bytes, estimate
from provenance.features import Features
from provenance.measure import Machine, available_bytes, measure

MACHINE = Machine("cpu", "float32", flops_per_s=1e9, memory_bytes_per_s=1e9, available_bytes=10**9)
SIZE = Size(parameters=1000, neurons=48, kinds=3, drift_bytes=4 * 3 * 48 * 16)


def test_captures_take_what_features_take() -> None:
    """The bytes of the captured vectors are those of the arrays that the analyses hold."""
    rows = Workload(train_per_class=3, test_per_class=2, question_sets=2).responses
    assert rows == 2 * 3 + 2 * 2 * 2
    values = np.zeros((rows, SIZE.neurons), dtype=np.float32)
    held = Features(values, values.copy(), np.zeros(rows, dtype=bool), ("",) * rows, ("",) * rows)
    assert captured_bytes(SIZE.neurons, rows) == held.answer.nbytes + held.other.nbytes


def test_tokens_counted_one_by_one() -> None:
    """The token count is that of a loop over every question of a small job."""
    work = Workload(train_per_class=2, test_per_class=3, question_sets=2)
    tokens = 0
    for _ in range(2 * 2 * estimates.ASKED_PER_TRAINING_RESPONSE):
        tokens += estimates.PROMPT_TOKENS + estimates.SAMPLES_PER_QUESTION * estimates.ANSWER_TOKENS
    for _ in range(2 * 2 * 3 * estimates.ASKED_PER_TEST_RESPONSE):
        tokens += estimates.PROMPT_TOKENS + estimates.ANSWER_TOKENS
    for _ in range(2 * 2 + 2 * 2 * 3):  # captured
        tokens += estimates.PROMPT_TOKENS + estimates.ANSWER_TOKENS
    assert work.tokens == tokens


def test_time_and_memory_grow_with_their_causes() -> None:
    """Twice the parameters take twice the compute, half the bytes a number half the model, and a pull its bytes."""
    work = Workload()
    one = estimate([SIZE], 10**6, 10**5, work, MACHINE)
    two = estimate([SIZE, SIZE], 10**6, 10**5, work, MACHINE)
    assert two.compare_s == 2 * one.compare_s == pytest.approx(2 * 2 * 1000 * work.tokens / 1e9)
    assert two.drift_s == 2 * one.drift_s
    assert (one.pull_s, one.stream_s) == (10**6 / estimates.NETWORK_BYTES_PER_S, 10**5 / estimates.NETWORK_BYTES_PER_S)
    half = estimate([SIZE], 0, 0, Workload(item_bytes=2), MACHINE)
    assert one.compare_memory_bytes - half.compare_memory_bytes == 2 * SIZE.parameters
    assert any("1 GFLOP/s" in line for line in one.assumptions)


def test_streaming_does_not_grow_with_the_checkpoint() -> None:
    """However many bytes drift reads, its memory is that of blocks and of sums per neuron."""
    huge = Size(parameters=7 * 10**10, neurons=48, kinds=3, drift_bytes=10**11)
    taken = estimate([huge, huge], 0, 0, Workload(), MACHINE).drift_memory_bytes
    assert taken < 600e6


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_measurement_of_this_machine(dtype: str) -> None:
    """A rate between that of a pocket calculator and that of a computing centre, and no more memory than there is."""
    measured = measure(dtype, "cpu")
    assert 1e6 < measured.flops_per_s < 1e15
    assert 1e6 < measured.memory_bytes_per_s < 1e13
    assert 0 < measured.available_bytes < 1e14
    assert (measured.device, measured.dtype) == ("cpu", dtype)


def test_memory_without_a_list_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Where the system does not say what is available, what is built in counts, which is no less."""
    from pathlib import Path

    available = available_bytes()
    monkeypatch.setattr("provenance.measure.MEMINFO", Path(str(tmp_path)) / "none")
    assert available_bytes() >= available


@pytest.mark.parametrize(("dtype", "device"), [("float31", "cpu"), ("int8", "cpu"), ("Tensor", "cpu"),
                                               ("float32", "cuda:7"), ("float32", "toaster")])  # fmt: skip
def test_what_cannot_be_measured(dtype: str, device: str) -> None:
    """An unknown dtype or a device that is not there is bad input, with a remedy."""
    if device.startswith("cuda") and torch.cuda.is_available() and torch.cuda.device_count() > 7:
        pytest.skip("this machine has it")
    with pytest.raises(InputError) as caught:
        measure(dtype, device)
    assert "--" in caught.value.remedy
