"""Captured values of one task on disk: growing `.npy` files, readable by numpy at any time.

    KEY.answer.npy, KEY.other.npy      (rows, D), C order, little-endian float32 or float16
    KEY.log-probability.npy            (rows, 1), float64
    KEY.residual.npy                   (rows, layers x d), little-endian float32

The log decides which rows count, and whose they are. The bytes of a chunk of rows are written to their place and synced
to disk, then the header counts them (numpy leaves room for a longer number), then the log gets the chunk with a digest
of its bytes. Chunks that do not match their digest are forgotten and their rows written again at a place that is free,
so a killed run or a damaged file costs only those chunks, and an array grows by whatever else is captured.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from provenance.errors import CaptureError, NonFiniteError
from provenance.files import storing
from provenance.records import CaptureChunk
from provenance.work_log import CaptureLog

CaptureDtype = Literal["float32", "float16"]
_DESCR = {"float64": "<f8", "float32": "<f4", "float16": "<f2"}
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<f[248])', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n", re.DOTALL
)


@dataclass(frozen=True)
class CaptureArray:
    """One array of a task, on disk.

    float16 halves it. Rounding is then 2^-11 of the value from 6.1e-5 upwards and 3e-8 below; values under half of
    the smallest subnormal, 6e-8, become 0.
    """

    path: Path
    """Its file, whose name is its key in the log."""
    dtype: CaptureDtype | Literal["float64"]

    def intact(self, log: CaptureLog) -> dict[str, int]:
        """Row of every question that need not be captured again; the log forgets this file's other chunks.

        Without any such row the file is removed, since its shape may differ.

        Raises:
            StoreError: The file cannot be read or removed.
        """
        rows: dict[str, int] = {}
        for chunk in log.chunks():
            if chunk.file != self.path.name:
                continue
            places = range(chunk.first_row, chunk.first_row + len(chunk.question_ids))
            apart = rows.keys().isdisjoint(chunk.question_ids) and set(places).isdisjoint(rows.values())
            if apart and self._found(places[0], chunk.question_ids) == chunk.sha256:
                rows.update(zip(chunk.question_ids, places, strict=True))
            else:
                log.discard(chunk)
        if not rows:
            with storing(f"to begin {self.path} anew"):
                self.path.unlink(missing_ok=True)
        return rows

    def write(
        self, start: int, values: Float[np.ndarray, "rows numbers"], question_ids: tuple[str, ...]
    ) -> CaptureChunk:
        """Write some rows to their place and sync them to disk; returns their entry for the log.

        Raises:
            NonFiniteError: A value is NaN or infinite, or too large for float16.
            CaptureError: The file has another number of neurons.
            StoreError: The file cannot be written; it is as long as before.
        """
        stored = self._converted(values, question_ids)
        with storing(f"to write {stored.nbytes} bytes to {self.path}"):
            _put(self.path, start, stored)
        digest = _digest(question_ids, _DESCR[self.dtype], stored.shape[1], (row.tobytes() for row in stored))
        return CaptureChunk(self.path.name, digest, question_ids, start)

    def opened(self, rows: int) -> Float[np.ndarray, "rows numbers"]:
        """The array, memory-mapped for reading; the file is truncated after so many rows.

        Raises:
            StoreError: The file cannot be written or mapped.
        """
        with storing(f"{rows} rows of captured values in {self.path}"):
            _end_at(self.path, rows)
            return np.asarray(np.load(self.path, mmap_mode="r"))

    def _converted(
        self, values: Float[np.ndarray, "rows numbers"], question_ids: Sequence[str]
    ) -> Float[np.ndarray, "rows numbers"]:
        with np.errstate(over="ignore"):  # infinities are refused below
            stored = np.ascontiguousarray(values, dtype=_DESCR[self.dtype])
        for number, question_id in enumerate(question_ids):  # by row: a mask of the whole chunk is large itself
            if not np.isfinite(stored[number]).all():
                largest = float(np.abs(values[number]).max())
                raise NonFiniteError(
                    f"finite CETT that {self.dtype} can hold (up to {np.finfo(self.dtype).max:g})",
                    found=f"{largest:g} in the response to question {question_id!r}",
                    remedy="give --capture-dtype float32, and --dtype float32 or bfloat16 where it is NaN or infinite",
                )
        return stored

    def _found(self, start: int, question_ids: Sequence[str]) -> str:
        """Digest of a chunk as the file has it; empty if the file cannot contain it."""
        header = self._header()
        if header is None:
            return ""
        with storing(f"to read {self.path}"):
            rows = _rows_of(self.path, start, len(question_ids))
            return _digest(question_ids, header.descr, header.width, rows)

    def _header(self) -> "_Header | None":
        with storing(f"to read {self.path}"):
            if not self.path.exists():
                return None
            with self.path.open("rb") as file:
                header = _Header.of(file)
        return header if header is not None and header.descr == _DESCR[self.dtype] else None


def first_free(taken: Collection[int], rows: int) -> int:
    """First place of so many rows side by side, beside those that are taken."""
    start = 0
    for place in sorted(taken):
        if place - start >= rows:
            break
        start = place + 1
    return start


@dataclass(frozen=True)
class _Header:
    descr: str
    """Dtype, as numpy writes it."""
    rows: int
    width: int
    """Numbers per row."""

    @classmethod
    def of(cls, file: io.BufferedIOBase) -> "_Header | None":
        """Header of an open file; None if it is of another form."""
        file.seek(0)
        found = _HEADER.match(file.read(256))
        return None if found is None else cls(found[1].decode(), int(found[2]), int(found[3]))

    @property
    def content(self) -> bytes:
        """Header as numpy writes it, of the same length for any number of rows."""
        content = io.BytesIO()
        fields = {"descr": self.descr, "fortran_order": False, "shape": (self.rows, self.width)}
        np.lib.format.write_array_header_1_0(content, fields)
        return content.getvalue()

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.width * np.dtype(self.descr).itemsize

    def row_at(self, row: int) -> int:
        """Offset of a row in the file."""
        return len(self.content) + row * self.row_bytes


def _digest(question_ids: Sequence[str], descr: str, width: int, rows: Iterable[bytes]) -> str:
    """SHA-256 over question ids, storage format and row bytes."""
    digest = hashlib.sha256(json.dumps([*question_ids, descr, width]).encode())
    for row in rows:
        digest.update(row)
    return digest.hexdigest()


def _rows_of(path: Path, start: int, count: int) -> Iterator[bytes]:
    """Bytes of some rows, one by one (a row of a 70B checkpoint is megabytes); fewer if the file ends."""
    with path.open("rb") as file:
        header = _Header.of(file)
        if header is not None:
            file.seek(header.row_at(start))
            for _ in range(count):
                yield file.read(header.row_bytes)


def _put(path: Path, start: int, values: Float[np.ndarray, "rows neurons"]) -> None:
    """Write rows at their place, then count them in the header; a failure leaves the length as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    length = path.stat().st_size  # of a new file 0
    wanted = _Header(values.dtype.str, 0, values.shape[1])
    try:
        with path.open("r+b") as file:
            header = _Header.of(file)
            if header is not None and (header.descr, header.width) != (wanted.descr, wanted.width):
                raise CaptureError(
                    f"{header.width} numbers a row ({header.descr}), as in {path}",
                    found=f"{wanted.width} ({wanted.descr})",
                    remedy="remove the file, and give the command again",
                )
            file.seek(wanted.row_at(start))
            file.write(values.data)
            _synced(file)
            whole = (max(length, wanted.row_at(start + len(values))) - wanted.row_at(0)) // wanted.row_bytes
            file.seek(0)
            file.write(_Header(wanted.descr, whole, wanted.width).content)
            _synced(file)
    except OSError:
        if length:
            os.truncate(path, length)
        else:
            path.unlink()
        raise


def _end_at(path: Path, rows: int) -> None:
    with path.open("r+b") as file:
        header = _Header.of(file)
        if header is None:
            raise OSError("not an array of captured values any more")
        end = header.row_at(rows)
        if header.rows == rows and path.stat().st_size == end:
            return
        file.seek(0)
        file.write(_Header(header.descr, rows, header.width).content)
        file.truncate(end)
        _synced(file)


def _synced(file: io.BufferedRandom) -> None:
    file.flush()
    os.fsync(file.fileno())
