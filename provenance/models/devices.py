"""Devices and dtypes of forward passes, and work that does not fit the memory of a device.

Choice: `auto` depends on what there is and not on a measurement, which another program could change: the same command
must find its finished work again.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from provenance.defaults import AUTO
from provenance.errors import CheckpointError, InputError, JobError, LostDeviceError

T = TypeVar("T")
R = TypeVar("R")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
REMEDY = "give a smaller --batch-size, --dtype bfloat16 or --offload, a device with more memory, or --weights-only"
REMEDY_FOR_ONE = "give --dtype bfloat16, leave out the longest questions, or use a device with more memory"
_REFUSED = ("can't allocate memory", "Cannot allocate memory", "out of memory", "ALLOC_FAILED")
"""Parts of messages of a CPU, of its mapped files, of CUDA and MPS, and of cuBLAS, some without their own exception."""
_OF_GPU = ("CUDA error", "CUDA driver error", "HIP error", "CUBLAS_STATUS_", "CUDNN_STATUS_", "cuDNN error")
"""Of errors of a GPU: in releases of torch before its AcceleratorError they tell it alone."""
_NEVER_DONE = ("no kernel image", "invalid device", "NOT_SUPPORTED", "ARCH_MISMATCH", "not supported")
"""Of those that come back however often it is asked."""


def found_device(wanted: str) -> str:
    """A device by name; for `auto` the first GPU of CUDA or ROCm, or else the CPU.

    Raises:
        InputError: There is none of that name, or it cannot compute.
    """
    device = wanted if wanted != AUTO else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.ones(1, device=device, dtype=torch.float64).sum().item()  # "meta" cannot compute, and MPS not in float64
    except (RuntimeError, AssertionError, ImportError, AttributeError, TypeError) as error:
        raise InputError(
            f"a device that torch can use, not {device!r}",
            found=(str(error) or type(error).__name__).splitlines()[0][:300],
            remedy="give --device cpu",
        ) from error
    return device


def found_dtype(wanted: str, device: str, stored: Collection[str] = ()) -> str:
    """A dtype of forward passes by name; for `auto` float32 on a CPU.

    On another device, `auto` is the dtype of two bytes that the checkpoints are stored in: float16 if all of them are,
    and otherwise bfloat16. `stored` are names as safetensors spells them, such as `F16`.

    Raises:
        InputError: There is none of that name.
    """
    if wanted == AUTO:
        if torch.device(device).type == "cpu":
            return "float32"
        return "float16" if set(stored) == {"F16"} else "bfloat16"
    if wanted not in DTYPES:
        raise InputError(
            f"a dtype out of {AUTO}, {', '.join(DTYPES)}", found=repr(wanted), remedy="give --dtype one of these"
        )
    return wanted


def gpu_bytes(device: torch.device) -> int:
    """Memory of a GPU of CUDA or ROCm that is there, in use or not; 0 for other devices."""
    there = device.type == "cuda" and torch.cuda.is_available()
    return int(torch.cuda.get_device_properties(device).total_memory) if there else 0


def peak_gpu_bytes() -> int | None:
    """Largest memory that this process has had allocated on one GPU of CUDA or ROCm; None if it used none."""
    if not torch.cuda.is_available() or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None
    return max(torch.cuda.max_memory_allocated(number) for number in range(torch.cuda.device_count()))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the device or of the machine was refused."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in _REFUSED)


def _is_of_gpu(error: BaseException) -> bool:
    """Whether it was raised by a GPU or its driver, for want of anything but memory."""
    known = isinstance(error, RuntimeError) and any(part in str(error) for part in _OF_GPU)
    return known and not is_out_of_memory(error)


def _is_lost(error: RuntimeError) -> bool:
    """Whether the GPU that raised an error of `_is_of_gpu` has ended its work: a tiny product fails there too."""
    if any(part in str(error) for part in _NEVER_DONE):
        return False
    used = [each for each in range(torch.cuda.device_count()) if torch.cuda.memory_reserved(each)]
    try:
        for each in used or [0]:
            ones = torch.ones((2, 2), device=f"cuda:{each}")
            (ones @ ones).sum().item()
    except (RuntimeError, AssertionError) as failed:  # the second where torch was built without CUDA
        return not is_out_of_memory(failed)
    return False


@contextmanager
def lasting_device(dtype: str | None = None) -> Iterator[None]:
    """Turns errors of a GPU into ours, which say how to go on.

    Args:
        dtype: Of forward passes, by name, so that another device goes on in the same; None where there are none.

    Raises:
        LostDeviceError: It computes no more.
        JobError: It does, but not what was asked.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_of_gpu(error):
            raise
        found = str(error).splitlines()[0][:300]
        if not _is_lost(error):
            raise JobError(
                "a GPU that can do what this build of torch asks of it",
                found=f"{found}; it still does other work",
                remedy="install a torch that is built for this GPU and its driver, or give --device cpu",
            ) from error
        same = f" with --dtype {dtype} (--device cpu --dtype {dtype} keeps what was finished)" if dtype else ""
        raise LostDeviceError(
            "a GPU that keeps working",
            found=found,
            remedy="see whether it is still there (nvidia-smi); the same command then goes on with what was finished, "
            f"and so it does on another --device{same}",
        ) from error


def in_halves(work: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]) -> list[R]:
    """Results of all items together, or of one half after the other where memory is not enough for all at once.

    Raises:
        JobError: Memory is not enough for one.
    """
    try:
        return list(work(items))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(items) == 1:
            raise out_of_memory("one row of a batch", error, REMEDY_FOR_ONE) from error
    # after the block, since the error holds the tensors of the failed attempt
    middle = len(items) // 2
    return [*in_halves(work, items[:middle]), *in_halves(work, items[middle:])]


def out_of_memory(work: str, error: BaseException, remedy: str = REMEDY) -> JobError:
    """The error for work that does not fit."""
    found = (str(error) or type(error).__name__).splitlines()[0][:300]
    return JobError(f"memory for {work}", found=found, remedy=remedy)


@contextmanager
def enough_memory(work: str) -> Iterator[None]:
    """Turns memory that is refused into an error that says what to lower.

    Raises:
        JobError: There is not enough.
    """
    try:
        yield
    except (RuntimeError, MemoryError, CheckpointError) as error:
        # memory that ends while a checkpoint is opened says nothing about its files
        refused = error.__cause__ if isinstance(error, CheckpointError) else error
        if refused is None or not is_out_of_memory(refused):
            raise
        raise out_of_memory(work, refused) from error
