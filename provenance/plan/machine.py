"""A short measurement of this machine: speed of products, hashing and memory passes, and available memory.

The job's own operations are timed briefly: published peak numbers mislead for a laptop on battery or a shared node.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from provenance.models.available_memory import available_bytes
from provenance.models.devices import DTYPES, enough_memory, found_device, found_dtype

ROWS = 128  # a batch of answers is sampled token by token, so its products have as many rows as the batch
WIDTHS = (256, 512, 1024, 2048, 4096)
BUDGET_S = 0.3  # for all products; slow arithmetic is measured on narrow ones only
REPEATS = 3  # the fastest counts: other processes only slow it down
PASS_BYTES = 1 << 26  # more than caches hold
HASH_BYTES = 1 << 24  # about a hundredth of a second
OPERATIONS = 200  # half a thousandth of a second, in which others seldom interrupt


@dataclass(frozen=True)
class Machine:
    """Measured speeds and memory."""

    device: str
    """Device of the products, as torch names it."""
    dtype: str
    flops_per_s: float
    """Multiplications and additions per second in products of 128 rows."""
    solve_flops_per_s: float
    """The same in float64 on the processor, on which analyses run."""
    memory_bytes_per_s: float
    """Bytes per second in a pass over main memory that only sums."""
    hash_bytes_per_s: float
    """Bytes per second of SHA-256, from memory."""
    operation_s: float
    """Seconds of one small operation: the interpreter's time, and that of starting it."""
    available_bytes: int
    """Memory available to a new process: of the device for an accelerator, else of the machine or its container."""


def measure(dtype: str, device: str) -> Machine:
    """Measure this machine; takes a fraction of a second. For `auto` see `provenance.models.devices`.

    Raises:
        InputError: The dtype or device does not exist.
        JobError: The device is full.
    """
    device = found_device(device)
    dtype = found_dtype(dtype, device)
    with enough_memory("a measurement of this machine"):
        flops, solving = _flops_per_s(DTYPES[dtype], device), _flops_per_s(torch.float64, "cpu")
        operation = _operation_s(device)
    rates = (flops, solving, _memory_bytes_per_s(), _hash_bytes_per_s(), operation)
    return Machine(device, dtype, *rates, available_bytes(device))


def _flops_per_s(dtype: torch.dtype, device: str) -> float:
    """The best rate over products of growing width; narrow ones measure mostly their overhead."""
    best, started = 0.0, time.perf_counter()
    for width in WIDTHS:
        rows, weight = (torch.ones(shape, dtype=dtype, device=device) for shape in ((ROWS, width), (width, width)))

        def product(rows: torch.Tensor = rows, weight: torch.Tensor = weight) -> float:
            return float((rows @ weight)[0, 0])  # to a number, so that an accelerator is waited for

        best = max(best, 2 * ROWS * width**2 / _fastest(product))
        if time.perf_counter() - started > BUDGET_S:
            break
    return best


def _operation_s(device: str) -> float:
    """Seconds of one of many small sums, each of which waits for the one before."""
    start = torch.ones((ROWS, ROWS), device=device)

    def sums() -> float:
        found = start
        for _ in range(OPERATIONS):
            found = found + start
        return float(found[0, 0])

    return _fastest(sums) / OPERATIONS


def _memory_bytes_per_s() -> float:
    values = torch.ones(PASS_BYTES // 4)
    return PASS_BYTES / _fastest(lambda: float(values.sum()))


def _hash_bytes_per_s() -> float:
    values = bytes(HASH_BYTES)
    return HASH_BYTES / _fastest(lambda: float(hashlib.sha256(values).digest()[0]))


def _fastest(work: Callable[[], float]) -> float:
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return max(min(seconds), 1e-9)
