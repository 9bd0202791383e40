"""Devices by name, dtypes that go with them, and work that is halved until it fits."""

import re
from collections.abc import Sequence

import pytest
import torch

from provenance.checkpoints.opening import opening
from provenance.errors import CheckpointError, InputError, JobError, LostDeviceError
from provenance.models.devices import enough_memory, found_device, found_dtype, in_halves, lasting_device

REFUSED = (
    "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried",
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "MPS backend out of memory (MPS allocated: 9 GB)",
    "unable to mmap 619167800 bytes from file <model.safetensors>: Cannot allocate memory (12)",
)


@pytest.mark.parametrize("there", [True, False])
def test_auto_is_a_gpu_where_torch_has_one(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch, "ones", lambda *_shape, device, dtype: torch.zeros(1))  # noqa: ARG005 - as torch names it
    assert found_device("auto") == ("cuda" if there else "cpu")
    assert found_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["cuda:7", "toaster", "meta", ""])
def test_a_device_that_is_not_there_or_cannot_compute_is_refused(device: str) -> None:
    with pytest.raises(InputError, match="--device cpu"):
        found_device(device)


@pytest.mark.parametrize(
    ("device", "stored", "dtype"),
    [
        ("cpu", ("BF16",), "float32"),
        ("cuda", ("BF16",), "bfloat16"),
        ("cuda:1", ("F16",), "float16"),
        ("cuda", ("F16", "BF16"), "bfloat16"),
        ("cuda", ("F32",), "bfloat16"),
        ("cuda", (), "bfloat16"),
    ],
)
def test_auto_is_float32_on_a_cpu_and_two_bytes_elsewhere(device: str, stored: Sequence[str], dtype: str) -> None:
    assert found_dtype("auto", device, stored) == dtype
    assert found_dtype("float32", device, stored) == "float32"


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(InputError, match="--dtype"):
        found_dtype("float31", "cpu")


class Room:
    """A device that holds so many rows at a time."""

    def __init__(self, rows: int, error: Exception) -> None:
        self.rows = rows
        self.error = error
        self.tried: list[int] = []

    def squares(self, items: Sequence[int]) -> list[int]:
        self.tried.append(len(items))
        if len(items) > self.rows:
            raise self.error
        return [item * item for item in items]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), MemoryError(), *map(RuntimeError, REFUSED)])
def test_work_is_halved_until_it_fits_and_keeps_its_order(error: Exception) -> None:
    room = Room(3, error)
    assert in_halves(room.squares, range(11)) == [item * item for item in range(11)]
    assert room.tried == [11, 5, 2, 3, 6, 3, 3]


def test_one_row_that_does_not_fit_is_an_error_that_says_what_to_lower() -> None:
    with pytest.raises(JobError, match="one row of a batch"):
        in_halves(Room(0, torch.OutOfMemoryError("CUDA out of memory")).squares, range(4))


def test_other_errors_are_not_tried_again() -> None:
    room = Room(0, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        in_halves(room.squares, range(4))
    assert room.tried == [4]
    with pytest.raises(RuntimeError, match="shapes differ"), enough_memory("work"):
        room.squares(range(4))


def test_memory_that_ends_while_a_checkpoint_is_opened_does_not_accuse_its_files() -> None:
    with pytest.raises(JobError, match="--batch-size"), enough_memory("compare"), opening("a model", "fetch it again"):
        raise RuntimeError(REFUSED[0])
    with (
        pytest.raises(CheckpointError, match="fetch it again"),
        enough_memory("compare"),
        opening("a", "fetch it again"),
    ):
        raise RuntimeError("shapes differ")


def test_memory_that_ends_elsewhere_is_an_error_of_the_tree() -> None:
    with pytest.raises(JobError, match="memory for compare"), enough_memory("compare"):
        raise torch.OutOfMemoryError


LOST = (
    "CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later",
    "CUDA error: uncorrectable ECC error encountered",
    "HIP error: the operation cannot be performed in the present state",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`",
)

NEVER_DONE = (
    "CUDA error: no kernel image is available for execution on the device",
    "CUDA error: invalid device ordinal",
    "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
)


@pytest.mark.parametrize("said", LOST)
def test_a_device_that_vanishes_is_an_error_that_says_how_to_go_on(said: str) -> None:
    """It is asked nothing again, in halves or whole. Where models run, their dtype belongs to going on elsewhere."""
    for dtype in (None, "bfloat16"):
        room = Room(0, RuntimeError(said))
        with pytest.raises(LostDeviceError, match="a GPU that keeps working") as lost, lasting_device(dtype):
            in_halves(room.squares, range(4))
        assert room.tried == [4]
        assert lost.value.found == said.split("\n", maxsplit=1)[0]
        assert "same command" in lost.value.remedy
        assert ("--device cpu --dtype bfloat16 keeps" in lost.value.remedy) == (dtype is not None)


@pytest.fixture
def working_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products that are asked of a GPU are computed, on the CPU."""
    ones = torch.ones

    def on_cpu(*shape: tuple[int, int], device: str) -> torch.Tensor:
        assert device == "cuda:0"
        return ones(*shape)

    monkeypatch.setattr(torch, "ones", on_cpu)


@pytest.mark.usefixtures("working_gpu")
@pytest.mark.parametrize("said", [*LOST, *NEVER_DONE])
def test_an_error_of_a_gpu_that_still_computes_is_one_of_software(said: str) -> None:
    with pytest.raises(JobError, match="--device cpu") as failed, lasting_device():
        raise RuntimeError(said)
    assert not isinstance(failed.value, LostDeviceError)


@pytest.mark.parametrize("said", NEVER_DONE)
def test_what_a_gpu_can_never_do_is_no_loss_though_nothing_else_works_either(said: str) -> None:
    with pytest.raises(JobError, match="this build of torch") as failed, lasting_device():
        raise RuntimeError(said)
    assert not isinstance(failed.value, LostDeviceError)


@pytest.mark.parametrize("said", [*REFUSED, "shapes differ"])
def test_memory_that_ends_and_mistakes_of_ours_are_no_lost_device(said: str) -> None:
    with pytest.raises(RuntimeError, match=re.escape(said)), lasting_device():
        raise RuntimeError(said)
