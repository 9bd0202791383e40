"""A short measurement of this machine: how fast it multiplies matrices and goes through memory, and what memory it has.

The one idea: published peak numbers say little about a laptop on battery or a shared node, so an estimate of
hours rests on a fraction of a second of the very operation that those hours are made of.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from provenance.errors import InputError

ROWS = 128  # a batch of answers is sampled token by token, so its products have as many rows as the batch
WIDTHS = (256, 512, 1024, 2048, 4096)
BUDGET_S = 0.3  # for all products; slow arithmetic is measured on narrow ones only
REPEATS = 3  # the fastest counts: whatever else runs here only ever makes it slower
PASS_BYTES = 1 << 26  # more than caches hold
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Machine:
    """What was measured."""

    device: str
    """Where the products were computed, as torch names it."""
    dtype: str
    """Of the products."""
    flops_per_s: float
    """Multiplications and additions per second in products of 128 rows."""
    memory_bytes_per_s: float
    """Bytes per second in a pass over main memory that only sums."""
    available_bytes: int
    """Memory that a new process could take: of the device for an accelerator, else of the machine."""


def measure(dtype: str, device: str) -> Machine:
    """Measure this machine; takes a fraction of a second.

    Raises:
        InputError: A dtype or device that is not there.
    """
    wanted = getattr(torch, dtype, None)
    if not isinstance(wanted, torch.dtype) or not wanted.is_floating_point:
        raise InputError(
            "a floating-point dtype of torch", found=repr(dtype), remedy="give --dtype float32, bfloat16 or float16"
        )
    try:
        flops = _flops_per_s(wanted, device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise InputError(
            f"products of {dtype} matrices on {device!r}",
            found=(str(error) or type(error).__name__).splitlines()[0],
            remedy="give --device cpu, or another --dtype",
        ) from error
    return Machine(device, dtype, flops, _memory_bytes_per_s(), available_bytes(device))


def _flops_per_s(dtype: torch.dtype, device: str) -> float:
    """The best rate over products of growing width, of which narrow ones measure mostly their overhead."""
    best, started = 0.0, time.perf_counter()
    for width in WIDTHS:
        rows, weight = (torch.ones(shape, dtype=dtype, device=device) for shape in ((ROWS, width), (width, width)))

        def product(rows: torch.Tensor = rows, weight: torch.Tensor = weight) -> float:
            return float((rows @ weight)[0, 0])  # to a number, so that an accelerator is waited for

        best = max(best, 2 * ROWS * width**2 / _fastest(product))
        if time.perf_counter() - started > BUDGET_S:
            break
    return best


def _memory_bytes_per_s() -> float:
    values = torch.ones(PASS_BYTES // 4)
    return PASS_BYTES / _fastest(lambda: float(values.sum()))


def _fastest(work: Callable[[], float]) -> float:
    """Seconds of the fastest of a few runs, after one that warms up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return max(min(seconds), 1e-9)


def available_bytes(device: str = "cpu") -> int:
    """Memory that a new process could take, of a CUDA device or of this machine."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    if MEMINFO.is_file():
        fields = dict(line.split(":", 1) for line in MEMINFO.read_text("utf-8").splitlines() if ":" in line)
        if "MemAvailable" in fields:
            return int(fields["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # macOS says only how much is built in
