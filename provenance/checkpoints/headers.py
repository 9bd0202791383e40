"""Headers of safetensors files, checked before any offset is used.

Tensors are read by offset, so a header's claims are checked against the file's size, against each other (no gap, no
overlap) and against the shapes. Format: eight bytes with the header's length, the header as JSON, then the tensors
without a gap to the end.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import torch

from provenance.errors import CheckpointError

LENGTH_BYTES = 8
"""Bytes of the length at the start of a safetensors file, little-endian."""
HEADER_LIMIT = 100_000_000  # limit of the safetensors library, against headers made to fill memory
METADATA = "__metadata__"
LFS_POINTER = b"version "
"""Start of the text that git-lfs leaves in place of a file it did not fetch."""

TORCH_DTYPES: dict[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "F32": torch.float32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
    "C64": torch.complex64,
}
"""Supported storage dtypes, by safetensors' spelling."""
ITEM_BYTES: dict[str, int] = {name: dtype.itemsize for name, dtype in TORCH_DTYPES.items()}
"""Bytes of one element."""


@dataclass(frozen=True)
class TensorSlot:
    """Location of a tensor in a file."""

    name: str
    dtype: str
    """Storage dtype by safetensors' spelling, such as `BF16`."""
    shape: tuple[int, ...]
    """Its shape; empty for a scalar."""
    start: int
    """First byte, from the start of the file."""
    stop: int
    """Byte after the last one."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row along the first axis; of the whole for a scalar."""
        return math.prod(self.shape[1:]) * ITEM_BYTES[self.dtype]


def read_header(path: Path) -> dict[str, TensorSlot]:
    """Tensors of a local safetensors file, in file order.

    Raises:
        CheckpointError: It is truncated, too long, or its header is invalid.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        count = header_length(file.read(LENGTH_BYTES), size, str(path))
        return parse_header(file.read(count), count, size, str(path))


def header_length(start: bytes, file_size: int, where: str) -> int:
    """Length of the header, from the file's first eight bytes.

    Raises:
        CheckpointError: It is longer than the file or than `HEADER_LIMIT`, or this is no safetensors file.
    """
    if start[:LENGTH_BYTES] == LFS_POINTER:
        _refuse(where, "a git-lfs pointer", "run `git lfs pull` in the folder")
    count = int.from_bytes(start[:LENGTH_BYTES], "little")
    if len(start) < LENGTH_BYTES or count == 0:
        _refuse(where, f"{file_size:,} bytes, and no header")
    if count > file_size - LENGTH_BYTES:
        _refuse(where, f"{file_size:,} bytes, less than its header says it has")
    if count > HEADER_LIMIT:
        _refuse(where, f"a header of {count:,} bytes; {HEADER_LIMIT:,} is the most that is read")
    return count


def parse_header(head: bytes, header_bytes: int, file_size: int, where: str) -> dict[str, TensorSlot]:
    """Tensors that a header names, in file order, after all checks.

    `head` is the header itself, after the file's first eight bytes; `header_bytes` is its length by those bytes.

    Raises:
        CheckpointError: The header is cut, no JSON object of tensors, or names offsets that leave the file, a gap or an
            overlap, or do not fit shape and dtype.
    """
    if len(head) != header_bytes:
        _refuse(where, f"{len(head):,} of the header's {header_bytes:,} bytes")
    if header_bytes > HEADER_LIMIT:
        _refuse(where, f"a header of {header_bytes:,} bytes; {HEADER_LIMIT:,} is the most that is read")
    entries = _entries(head, where)
    data_start = LENGTH_BYTES + header_bytes
    slots = sorted(
        (_slot(name, entry, data_start, where) for name, entry in entries.items() if name != METADATA),
        key=lambda slot: (slot.start, slot.stop),
    )
    _check_cover(slots, data_start, file_size, where)
    return {slot.name: slot for slot in slots}


def _entries(head: bytes, where: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            _refuse(where, f"the key {twice!r} twice in one object of its header")
        return found

    try:
        entries = json.loads(head.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        _refuse(where, f"no safetensors header ({error})", cause=error)
    if not isinstance(entries, dict):
        _refuse(where, f"no safetensors header (JSON of type {type(entries).__name__}, no object)")
    return entries


def _slot(name: str, entry: object, data_start: int, where: str) -> TensorSlot:
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        _refuse(
            where, f"dtype {dtype!r} of {name!r}", f"convert it to one of {', '.join(ITEM_BYTES)}, or fetch it again"
        )
    if not _are_counts(shape):
        _refuse(where, f"shape {shape!r} of {name!r}")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _refuse(where, f"offsets {offsets!r} of {name!r}")
    expected = math.prod(shape) * ITEM_BYTES[dtype]
    if offsets[1] - offsets[0] != expected:
        _refuse(
            where, f"{offsets[1] - offsets[0]:,} bytes for {name!r}, where {dtype} of shape {shape} takes {expected:,}"
        )
    return TensorSlot(name, dtype, tuple(shape), data_start + offsets[0], data_start + offsets[1])


def _are_counts(value: Any) -> TypeGuard[list[int]]:
    """Whether it is a list of whole numbers from zero; `true` is refused, though Python counts it as 1."""
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_cover(slots: list[TensorSlot], data_start: int, file_size: int, where: str) -> None:
    end = max((slot.stop for slot in slots), default=data_start)
    if file_size != end:
        _refuse(where, f"{file_size:,} of {end:,} bytes")
    reached, before = data_start, "its header"
    for slot in slots:
        if slot.start < reached:
            _refuse(where, f"{slot.name!r} overlaps {before} by {reached - slot.start:,} bytes")
        if slot.start > reached:
            _refuse(where, f"a hole of {slot.start - reached:,} bytes between {before} and {slot.name!r}")
        reached, before = slot.stop, repr(slot.name)


def _refuse(
    where: str, found: str, remedy: str = "it is damaged or cut short: fetch it again", cause: Exception | None = None
) -> NoReturn:
    raise CheckpointError(f"a whole safetensors file at {where}", found=found, remedy=remedy) from cause
