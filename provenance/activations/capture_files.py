"""Captured vectors of one task on disk: a growing `.npy` file per region, readable by numpy at any time.

    KEY.answer.npy, KEY.other.npy      (rows, D), C order, little-endian float32 or float16

The log decides which chunks count. A chunk's bytes are written to the place of its rows and synced to disk, then the
header counts them (numpy leaves room for a longer number), then the log gets the chunk with a digest of its bytes.
Chunks that are not in the log or do not match their digest are written again, so a killed run or a damaged file costs
only those chunks.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from provenance.activations.neuron_rows import Stored
from provenance.errors import CaptureError, NonFiniteError
from provenance.files import storing
from provenance.records import CaptureChunk
from provenance.work_log import CaptureLog

CaptureDtype = Literal["float32", "float16"]
REGIONS = ("answer", "other")
_DESCR = {"float32": "<f4", "float16": "<f2"}
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<f[24])', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n", re.DOTALL
)


@dataclass(frozen=True)
class CaptureFiles:
    """The arrays of one task.

    float16 halves them. Rounding is then 2^-11 of the value from 6.1e-5 upwards and 3e-8 below; values under half of
    the smallest subnormal, 6e-8, become 0.
    """

    folder: Path
    stem: str
    """Stem of their names, and their key in the log."""
    dtype: CaptureDtype

    @property
    def paths(self) -> tuple[Path, Path]:
        """Files of the answer means and of the other means."""
        answer, other = (self.folder / f"{self.stem}.{region}.npy" for region in REGIONS)
        return answer, other

    def intact(self, starts: Mapping[tuple[str, ...], int], log: CaptureLog) -> set[tuple[str, ...]]:
        """Chunks that need not be captured again; the log forgets the others.

        `starts` has the first row of every wanted chunk, by its question ids.

        Raises:
            StoreError: A file cannot be read.
        """
        found: set[tuple[str, ...]] = set()
        for chunk in log.chunks():
            ids = chunk.question_ids
            known = chunk.file == self.stem and ids in starts and ids not in found
            if known and self._found(starts[ids], ids) == chunk.sha256:
                found.add(ids)
            else:
                log.discard(chunk)
        return found

    def clear(self) -> None:
        """Remove the files of earlier runs when none of their chunks counts.

        Raises:
            StoreError: A file cannot be removed.
        """
        for path in self.paths:
            with storing(f"to begin {path} anew"):
                path.unlink(missing_ok=True)

    def write(
        self,
        start: int,
        answer: Float32[np.ndarray, "rows neurons"],
        other: Float32[np.ndarray, "rows neurons"],
        question_ids: tuple[str, ...],
    ) -> CaptureChunk:
        """Write a chunk's rows to their place and sync them to disk; returns its entry for the log.

        Raises:
            NonFiniteError: A value is NaN or infinite, or too large for float16.
            CaptureError: The file has another number of neurons.
            StoreError: The files cannot be written; they are as long as before.
        """
        arrays = [self._converted(values, question_ids) for values in (answer, other)]
        for path, values in zip(self.paths, arrays, strict=True):
            with storing(f"to write {values.nbytes} bytes to {path}"):
                _put(path, start, values)
        rows = (row.tobytes() for values in arrays for row in values)
        digest = _digest(question_ids, _DESCR[self.dtype], arrays[0].shape[1], rows)
        return CaptureChunk(self.stem, digest, question_ids)

    def opened(self, rows: int) -> tuple[Stored, Stored]:
        """Both arrays, memory-mapped for reading, once all rows are written; the files are truncated after them.

        Raises:
            StoreError: A file cannot be written or mapped.
        """
        return self._opened(self.paths[0], rows), self._opened(self.paths[1], rows)

    def _opened(self, path: Path, rows: int) -> Stored:
        with storing(f"{rows} rows of captured vectors in {path}"):
            _end_at(path, rows)
            return np.asarray(np.load(path, mmap_mode="r"))

    def _converted(
        self, values: Float32[np.ndarray, "rows neurons"], question_ids: Sequence[str]
    ) -> Float[np.ndarray, "rows neurons"]:
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
        """Digest of a chunk as the files have it; empty if the files cannot contain it."""
        headers = [self._header(path) for path in self.paths]
        if headers[0] is None or headers[1] is None or headers[0].width != headers[1].width:
            return ""
        rows = (row for path in self.paths for row in _rows_of(path, start, len(question_ids)))
        with storing(f"to read {self.paths[0]} and {self.paths[1].name}"):
            return _digest(question_ids, headers[0].descr, headers[0].width, rows)

    def _header(self, path: Path) -> "_Header | None":
        with storing(f"to read {path}"):
            if not path.exists():
                return None
            with path.open("rb") as file:
                header = _Header.of(file)
        return header if header is not None and header.descr == _DESCR[self.dtype] else None


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
    """SHA-256 over question ids, storage format and row bytes, answer means first."""
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
                    f"{header.width} neurons a row ({header.descr}), as in {path}",
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
            raise OSError("not an array of captured vectors any more")
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
