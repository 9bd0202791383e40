"""Read-only views of captured vectors that do not fit in memory, over arrays in memory or mapped from disk.

Rows and neurons are small tables of integers, so selecting, joining and mapping copy nothing; values are read by
columns, as float32 for every storage dtype. Solvers that need each neuron's values side by side use `neuron_major`.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float16, Float32, Int, Shaped

from provenance.errors import PairError
from provenance.files import storing

Stored = Float32[np.ndarray, "rows neurons"] | Float16[np.ndarray, "rows neurons"]
"""Array in memory or mapped from disk."""

NO_NEURONS: Int[np.ndarray, " none"] = np.empty(0, dtype=np.int64)
"""Empty array of flat ids."""

# 2,000 rows then give 4 KiB of a row at a time and more: whole pages, and a block is small beside any model.
READ_BYTES = 1 << 24
CACHED_ROWS = 64  # turned at a time: their values fill the lines of a cache that they are written to
# A machine that has just run a checkpoint has this to spare. Above it a scratch file is as fast where memory is
# free, since the system keeps the file there, and gives way where it is not.
IN_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Source:
    """One array that rows are read from."""

    values: Float[np.ndarray, "held stored"]
    """In memory or memory-mapped; never written."""
    ids: Int[np.ndarray, " neurons"] | None
    """Column of every neuron, -1 for an absent neuron (zeros); None: columns as they are."""

    @property
    def width(self) -> int:
        """Number of neurons."""
        return int(self.values.shape[1]) if self.ids is None else self.ids.size

    def mapped(self, ids: Int[np.ndarray, " mapped"]) -> "Source":
        """The same array with other neurons, by their position here; -1 for none."""
        known = np.arange(self.width) if self.ids is None else self.ids
        return Source(self.values, np.where(ids < 0, -1, known[ids]))

    def read(self, rows: Int[np.ndarray, " rows"], span: slice) -> Float[np.ndarray, "rows columns"]:
        """Copy of some rows of a span of neurons; reads nothing else of the array."""
        if self.ids is None:
            return np.asarray(self.values[:, span][rows])
        columns = self.ids[span]
        values = np.asarray(self.values[rows[:, None], np.maximum(columns, 0)])
        values[:, columns < 0] = 0
        return values


@dataclass(frozen=True, eq=False)
class NeuronRows:
    """Vectors (rows, D), read when asked for."""

    sources: tuple[Source, ...]
    """Arrays of the rows, all over the same neurons."""
    places: Int[np.ndarray, "rows 2"]
    """Source of every row, and its position there."""

    @classmethod
    def of(cls, values: Stored) -> "NeuronRows":
        """All rows of an array, without a copy."""
        rows = np.arange(values.shape[0])
        return cls((Source(values, None),), np.stack([np.zeros_like(rows), rows], axis=1))

    def __len__(self) -> int:
        return int(self.places.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and neurons."""
        return len(self), self.sources[0].width

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Storage dtype; the widest if sources differ."""
        return np.result_type(*(source.values.dtype for source in self.sources))

    def take(self, rows: Sequence[int] | Int[np.ndarray, " taken"] | Bool[np.ndarray, " rows"]) -> "NeuronRows":
        """The given rows, in the given order, repetitions included.

        Raises:
            IndexError: There is no such row.
        """
        return NeuronRows(self.sources, self.places[row_numbers(rows, len(self))])

    def stacked(self, other: "NeuronRows") -> "NeuronRows":
        """These rows, then those of `other` over the same neurons.

        Raises:
            PairError: The other one has another number of neurons.
        """
        if not len(self) or not len(other):
            return self if len(self) else other  # an empty one has no neurons
        if self.shape[1] != other.shape[1]:
            raise PairError(
                "rows over the same neurons",
                found=f"{self.shape[1]} and {other.shape[1]} neurons",
                remedy="put both into the order of one checkpoint's neurons first",
            )
        sources = self.sources + tuple(source for source in other.sources if source not in self.sources)
        number = np.array([sources.index(source) for source in other.sources])
        places = np.stack([number[other.places[:, 0]], other.places[:, 1]], axis=1)
        return NeuronRows(sources, np.concatenate([self.places, places]))

    def mapped(self, ids: Int[np.ndarray, " mapped"]) -> "NeuronRows":
        """The neurons with the given numbers, in the given order; zeros for -1.

        Raises:
            IndexError: There is no such neuron.
        """
        if not len(self):
            return NeuronRows.of(np.empty((0, ids.size), dtype=np.float32))
        return NeuronRows(tuple(source.mapped(ids) for source in self.sources), self.places)

    def columns(self, ids: Int[np.ndarray, " k"]) -> Float32[np.ndarray, "rows k"]:
        """Copy of the given neurons' values in every row; zeros for -1.

        Raises:
            IndexError: There is no such neuron.
        """
        return self.mapped(ids).all()

    def blocks(self, width: int) -> Iterator[tuple[int, Float32[np.ndarray, "rows columns"]]]:
        """All neurons, `width` at a time, each block with the number of its first neuron.

        Memory holds one block and, if blocks are narrow, the data read ahead for the next ones.
        """
        ahead = READ_BYTES // max(1, len(self) * self.dtype.itemsize * width)
        strip = width * max(1, ahead)
        for first in range(0, self.shape[1], strip):
            held = self.stored(slice(first, first + strip))
            for start in range(0, held.shape[1], width):
                yield first + start, held[:, start : start + width].astype(np.float32)
            del held  # before the next one is read

    def stored(self, span: slice) -> Float[np.ndarray, "rows columns"]:
        """Copy of a span of neurons in every row, in the storage dtype."""
        start, stop, _ = span.indices(self.shape[1])
        values = np.empty((len(self), max(0, stop - start)), dtype=self.dtype)
        for number, source in enumerate(self.sources):
            here = np.flatnonzero(self.places[:, 0] == number)
            values[here] = source.read(self.places[here, 1], slice(start, stop))
        return values

    def all(self) -> Float32[np.ndarray, "rows neurons"]:
        """Copy of all values in memory, for few rows or few neurons."""
        return self.stored(slice(None)).astype(np.float32, copy=False)


def row_numbers(
    rows: Sequence[int] | Int[np.ndarray, " taken"] | Bool[np.ndarray, " rows"], count: int
) -> Int[np.ndarray, " chosen"]:
    """Positions of rows chosen as in numpy indexing: positions, also from the end, or a mask.

    Raises:
        IndexError: There is no such row.
    """
    chosen = np.asarray(rows)
    return np.asarray(np.arange(count)[chosen if chosen.size else chosen.astype(np.int64)])


def picked(
    rows: NeuronRows | Float[np.ndarray, "rows neurons"], ids: Int[np.ndarray, " k"]
) -> Float[np.ndarray, "rows k"]:
    """Columns of the given neurons, of rows on disk or in memory."""
    return rows.columns(ids) if isinstance(rows, NeuronRows) else rows[:, ids]


@contextmanager
def neuron_major(
    parts: Sequence[NeuronRows], folder: Path, *, limit_bytes: int = IN_MEMORY_BYTES, block_bytes: int = READ_BYTES
) -> Iterator[Float[np.ndarray, "neurons rows"]]:
    """Rows of all parts, joined and transposed so that each neuron's values lie side by side.

    Args:
        parts: Rows over the same neurons.
        folder: Folder of a scratch file, which has no name there, so it is gone after the block even if killed.
        limit_bytes: Up to this size the result is kept in memory.

    Yields:
        (D, rows) in the storage dtype (the widest if parts differ), C order, read-only by convention.

    Raises:
        PairError: The parts have different numbers of neurons.
        StoreError: The scratch file cannot be written, or the disk is full.
    """
    rows = reduce(NeuronRows.stacked, parts, NeuronRows.of(np.empty((0, 0), dtype=np.float32)))
    width = max(1, block_bytes // max(1, len(rows) * rows.dtype.itemsize))
    with joined_blocks(_turned(rows, width), rows.shape[::-1], rows.dtype, folder, limit_bytes=limit_bytes) as matrix:
        yield matrix


@contextmanager
def joined_blocks(
    blocks: Iterable[Shaped[np.ndarray, "block rows"]],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    folder: Path,
    *,
    limit_bytes: int = IN_MEMORY_BYTES,
) -> Iterator[Shaped[np.ndarray, "neurons rows"]]:
    """Blocks of neurons, one below the other: in memory up to `limit_bytes`, else in a scratch file without a name.

    Raises:
        StoreError: The scratch file cannot be written, or the disk is full.
    """
    if shape[0] * shape[1] * dtype.itemsize <= limit_bytes:
        matrix, at = np.empty(shape, dtype=dtype), 0
        for block in blocks:
            matrix[at : at + len(block)] = block
            at += len(block)
        matrix.flags.writeable = False
        yield matrix
        return
    with tempfile.TemporaryFile(dir=_made(folder)) as scratch:
        with storing(f"a scratch file for {shape[1]} rows of {shape[0]} neurons in {folder}"):
            for block in blocks:
                scratch.write(block.data)  # written, not mapped: a full disk is then an error, not a crash
            scratch.flush()
        yield np.memmap(scratch, dtype=dtype, mode="r", shape=shape)


def _turned(rows: NeuronRows, width: int) -> Iterator[Float[np.ndarray, "columns rows"]]:
    """Values of so many neurons at a time, neuron by neuron; a block is valid until the next one."""
    turned = np.empty((min(width, rows.shape[1]), len(rows)), dtype=rows.dtype)
    for start in range(0, rows.shape[1], width):
        values = rows.stored(slice(start, start + width))
        block = turned[: values.shape[1]]
        for at in range(0, len(values), CACHED_ROWS):
            block[:, at : at + CACHED_ROWS] = values[at : at + CACHED_ROWS].T
        yield block


def _made(folder: Path) -> Path:
    with storing(f"a folder for scratch files at {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder
