"""Captured vectors of one task on disk: a growing `.npy` file per region that anybody can open and map.

    KEY.answer.npy, KEY.other.npy      (rows, D), C order, little-endian float32 or float16

The one idea: the log is the truth. A chunk's bytes go to the place of its rows and reach the
disk, then the header counts them (numpy leaves room in it for a longer number), then the log
gets the chunk's row with a digest of its bytes. What is not in the log is overwritten, what no
longer has its digest is written again at the same place, so a run killed or a file harmed
anywhere costs the chunks in question and nothing else.
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

    float16 halves them. Rounding is then 2^-11 of the value from 6.1e-5 upwards and 3e-8 below; what is under
    half of the smallest subnormal, 6e-8, becomes 0.
    """

    folder: Path
    """Where they lie."""
    stem: str
    """Of their names, and what the log calls them."""
    dtype: CaptureDtype
    """Of the values."""

    @property
    def paths(self) -> tuple[Path, Path]:
        """Of the answer means and of the other means."""
        answer, other = (self.folder / f"{self.stem}.{region}.npy" for region in REGIONS)
        return answer, other

    def intact(self, starts: Mapping[tuple[str, ...], int], log: CaptureLog) -> set[tuple[str, ...]]:
        """Chunks that need not be captured again; the log forgets the others.

        Args:
            starts: First row of every chunk that is wanted, by its question ids.
            log: Says which chunks were written, and their digests.

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
        """Remove what earlier runs left, when none of it counts.

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
        """Put a chunk's rows in their place and see to it that they are on the disk.

        Args:
            start: Row of the first response.
            answer: Means over answer tokens.
            other: Means over the other tokens.
            question_ids: Of the responses.

        Returns:
            What to log.

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
        """Both arrays, memory-mapped for reading, when all rows are written; what lies behind them is cut off.

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
        """The digest of a chunk as the files have it; empty where they cannot have it."""
        headers = [self._header(path) for path in self.paths]
        if headers[0] is None or headers[1] is None or headers[0].width != headers[1].width:
            return ""
        rows = (row for path in self.paths for row in _rows_of(path, start, len(question_ids)))
        with storing(f"to read {self.paths[0]} and {self.paths[1].name}"):
            return _digest(question_ids, headers[0].descr, headers[0].width, rows)

    def _header(self, path: Path) -> "_Header | None":
        """The header of a file; None where it is not there or not one of this task."""
        with storing(f"to read {path}"):
            if not path.exists():
                return None
            with path.open("rb") as file:
                header = _Header.of(file)
        return header if header is not None and header.descr == _DESCR[self.dtype] else None


@dataclass(frozen=True)
class _Header:
    """What stands at the beginning of a file."""

    descr: str
    """Of the dtype, as numpy writes it."""
    rows: int
    """Rows that it counts."""
    width: int
    """Numbers a row."""

    @classmethod
    def of(cls, file: io.BufferedIOBase) -> "_Header | None":
        """The header of an open file; None where it is not one of ours."""
        file.seek(0)
        found = _HEADER.match(file.read(256))
        return None if found is None else cls(found[1].decode(), int(found[2]), int(found[3]))

    @property
    def content(self) -> bytes:
        """As numpy writes it: of one length, whatever the number of rows."""
        content = io.BytesIO()
        fields = {"descr": self.descr, "fortran_order": False, "shape": (self.rows, self.width)}
        np.lib.format.write_array_header_1_0(content, fields)
        return content.getvalue()

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.width * np.dtype(self.descr).itemsize

    def row_at(self, row: int) -> int:
        """Where a row begins."""
        return len(self.content) + row * self.row_bytes


def _digest(question_ids: Sequence[str], descr: str, width: int, rows: Iterable[bytes]) -> str:
    """SHA-256 over whose rows they are, how they are stored, and their bytes, answer means first."""
    digest = hashlib.sha256(json.dumps([*question_ids, descr, width]).encode())
    for row in rows:
        digest.update(row)
    return digest.hexdigest()


def _rows_of(path: Path, start: int, count: int) -> Iterator[bytes]:
    """The bytes of some rows, one by one: of a 70B checkpoint a row is megabytes. Fewer where the file ends."""
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
    """Let a file hold exactly so many rows, where it has more or counts them wrongly."""
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
