"""Safetensors of a folder, read when asked for and not kept: whole tensors, or blocks of rows through one buffer.

One buffer, since fresh memory costs more than reading the bytes, and mapped files would count as the process's memory.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from provenance.checkpoints.headers import TORCH_DTYPES, TensorSlot, read_header
from provenance.checkpoints.weight_files import weight_files
from provenance.errors import CheckpointError
from provenance.weights.tensors import Rows


@dataclass(frozen=True)
class _Stamp:
    """Tells a file from the one that its header was read from."""

    size: int
    modified_ns: int
    """Time of the last change, as the file system gives it."""
    inode: int
    """Number in the file system; changes when a new file takes the name."""

    @classmethod
    def of(cls, status: os.stat_result) -> "_Stamp":
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class Shards:
    """Read access to all tensors of a folder of safetensors files; with an index file, only of the shards it names.

    Raises:
        CheckpointError: There are no safetensors, a shard of the index is missing, a file is truncated or has a wrong
            header, or one tensor name occurs in two files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file_of: dict[str, Path] = {}
        self._slot_of: dict[str, TensorSlot] = {}
        self._stamp_of: dict[Path, _Stamp] = {}
        for path in weight_files(folder):
            self._read_header(path)

    def _read_header(self, path: Path) -> None:
        try:
            self._stamp_of[path] = _Stamp.of(path.stat())
            slots = read_header(path)
        except OSError as error:
            raise _not_whole(path, str(error)) from error
        for name, slot in slots.items():
            if name in self._file_of:
                raise CheckpointError(
                    "every tensor in one file",
                    found=f"{name!r} in both {self._file_of[name].name} and {path.name} of {self.folder}",
                    remedy="remove the files that do not belong to this checkpoint",
                )
            self._file_of[name], self._slot_of[name] = path, slot

    def headers(self) -> dict[Path, dict[str, TensorSlot]]:
        """Tensors of each file, by name."""
        found: dict[Path, dict[str, TensorSlot]] = {path: {} for path in self._stamp_of}
        for name, path in self._file_of.items():
            found[path][name] = self._slot_of[name]
        return found

    def slots(self) -> list[TensorSlot]:
        """Places of all tensors."""
        return list(self._slot_of.values())

    def names(self) -> list[str]:
        """Names of all tensors, sorted."""
        return sorted(self._file_of)

    def __contains__(self, name: str) -> bool:
        return name in self._file_of

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header."""
        return self._slot(name).shape

    def dtype(self, name: str) -> str:
        """Storage dtype of a tensor as safetensors spells it, such as `BF16`."""
        return self._slot(name).dtype

    def read(self, name: str) -> torch.Tensor:
        """One whole tensor in its storage dtype, in memory of its own.

        Raises:
            CheckpointError: There is no such tensor, or its file has changed.
        """
        slot = self._slot(name)
        buffer = torch.empty(slot.stop - slot.start, dtype=torch.uint8)
        with ExitStack() as stack:
            self._fill(buffer, self._open(self._file_of[name], stack), slot.start, self._file_of[name])
        return buffer.view(TORCH_DTYPES[slot.dtype]).view(slot.shape)

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        """The wanted rows, one tensor after the other in the same order, in the storage dtype.

        All are views of one memory, as large as the largest, each valid until the next; each file is opened once.

        Raises:
            CheckpointError: There are no such rows, or a file has changed.
        """
        spans = self._spans(wanted)
        buffer = torch.empty(max((size for _, size in spans), default=0), dtype=torch.uint8)
        with ExitStack() as stack:
            files: dict[Path, int] = {}
            for rows, (start, size) in zip(wanted, spans, strict=True):
                path, slot = self._file_of[rows.name], self._slot_of[rows.name]
                if path not in files:
                    files[path] = self._open(path, stack)
                block = buffer[:size]
                self._fill(block, files[path], start, path)
                yield block.view(TORCH_DTYPES[slot.dtype]).view(rows.stop - rows.start, *slot.shape[1:])

    def _spans(self, wanted: Sequence[Rows]) -> list[tuple[int, int]]:
        """First byte in the file and number of bytes of each piece."""
        spans = []
        for rows in wanted:
            slot = self._slot(rows.name)
            if not slot.shape or not 0 <= rows.start <= rows.stop <= slot.shape[0]:
                raise CheckpointError(
                    f"rows {rows.start} to {rows.stop} of {rows.name!r} in {self.folder}",
                    found=f"a tensor of shape {slot.shape}",
                    remedy="check that its config belongs to its weights",
                )
            spans.append((slot.start + rows.start * slot.row_bytes, (rows.stop - rows.start) * slot.row_bytes))
        return spans

    def _slot(self, name: str) -> TensorSlot:
        if name not in self._slot_of:
            raise CheckpointError(
                f"tensor {name!r} in {self.folder}",
                found=f"{len(self._slot_of)} tensors without it",
                remedy="fetch the checkpoint again, or check that its config belongs to its weights",
            )
        return self._slot_of[name]

    def _open(self, path: Path, stack: ExitStack) -> int:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _not_whole(path, str(error)) from error
        stack.callback(os.close, handle)
        return handle

    def _fill(self, buffer: torch.Tensor, handle: int, start: int, path: Path) -> None:
        into = buffer.numpy().data
        done = 0
        try:
            while done < len(into):  # one call reads at most 2 GB
                count = os.preadv(handle, [into[done:]], start + done)
                if count == 0:
                    raise _not_whole(path, f"its end at byte {start + done:,}")
                done += count
            now = _Stamp.of(os.fstat(handle))
        except OSError as error:
            raise _not_whole(path, str(error)) from error
        if now != self._stamp_of[path]:
            raise _not_whole(path, "another size, age or place on the disk than when its header was read")


def _not_whole(path: Path, found: str) -> CheckpointError:
    return CheckpointError(
        f"a whole safetensors file at {path} that stays unchanged", found=found, remedy="fetch the file again"
    )
