"""What was read of a set of responses, as labelled rows for analyses.

Rows stay on disk behind a view; selecting rows or neurons copies only integers. Nothing that is kept is read again.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int

from provenance.activations.batches import batches, rows_within
from provenance.activations.capture_files import CaptureArray, CaptureDtype, first_free
from provenance.activations.neuron_rows import NeuronRows, Stored, row_numbers
from provenance.activations.reading import Quantity, Reader, ReadsElsewhere, read_each, read_length
from provenance.models.loading import LoadedModel
from provenance.records import OtherTokens, Response
from provenance.work_log import CaptureLog


@dataclass(frozen=True)
class Features:
    """Mean CETT and log-probability of a set of responses, with their labels."""

    answer: NeuronRows
    """Mean over answer tokens."""
    other: NeuronRows | None
    """Mean over other tokens; None where it was not captured."""
    hallucinated: Bool[np.ndarray, " rows"]
    """Label: True hallucinated, False faithful."""
    units: tuple[str, ...]
    """Unit of splitting and resampling of each row."""
    question_ids: tuple[str, ...]
    log_probability: Float64[np.ndarray, " rows"] | None = None
    """Mean log-probability of the answer tokens, in nats; None where it was not read."""
    residual: NeuronRows | None = None
    """Mean residual stream over the answer tokens behind each block, layer by layer (`Reader`); None where it was not
    read."""

    @classmethod
    def of(
        cls,
        answer: Stored,
        other: Stored | None,
        hallucinated: Bool[np.ndarray, " rows"],
        units: tuple[str, ...],
        question_ids: tuple[str, ...],
    ) -> "Features":
        """Features of plain or memory-mapped arrays, all in the same row order."""
        others = None if other is None else NeuronRows.of(other)
        return cls(NeuronRows.of(answer), others, hallucinated, units, question_ids)

    def __len__(self) -> int:
        return len(self.units)

    def take(self, rows: Sequence[int] | Int[np.ndarray, " taken"] | Bool[np.ndarray, " rows"]) -> "Features":
        """The given rows, in the given order."""
        index = row_numbers(rows, len(self))
        return Features(
            self.answer.take(index),
            None if self.other is None else self.other.take(index),
            self.hallucinated[index],
            tuple(self.units[i] for i in index),
            tuple(self.question_ids[i] for i in index),
            None if self.log_probability is None else self.log_probability[index],
            None if self.residual is None else self.residual.take(index),
        )

    def mapped(self, ids: Int[np.ndarray, " mapped"]) -> "Features":
        """The columns of the given neurons, in the given order; zeros for id -1. The residual stream stays as it is."""
        other = None if self.other is None else self.other.mapped(ids)
        return replace(self, answer=self.answer.mapped(ids), other=other)


@dataclass(frozen=True)
class Wanted:
    """What is read of each response of a set, beside mean CETT of its answer."""

    other: OtherTokens | None = None
    """Tokens beside the answer's whose mean CETT is read; None where no probe reads it."""
    log_probability: bool = False
    """Whether the mean log-probability of its tokens is."""
    dtype: CaptureDtype = "float32"
    """Of mean CETT on disk. float16 takes half the room, rounds by 2^-11 of a value, and makes those below its
    smallest subnormal (6e-8) zero."""
    residual: bool = False
    """Whether the mean residual stream of its tokens is, in float32 always: single coordinates exceed what float16 can
    hold (65504) in some families, and it is small beside mean CETT."""

    def arrays(self, folder: Path, stem: str) -> dict[Quantity, CaptureArray]:
        """Where each quantity is kept."""
        ending = "npy" if self.dtype == "float32" else f"{self.dtype}.npy"
        found: dict[Quantity, CaptureArray] = {"answer": CaptureArray(folder / f"{stem}.answer.{ending}", self.dtype)}
        if self.other is not None:
            name = "other" if self.other == "all" else f"other.{self.other}"
            found["other"] = CaptureArray(folder / f"{stem}.{name}.{ending}", self.dtype)
        if self.log_probability:
            found["log_probability"] = CaptureArray(folder / f"{stem}.log-probability.npy", "float64")
        if self.residual:
            found["residual"] = CaptureArray(folder / f"{stem}.residual.npy", "float32")
        return found


def collect_features(
    load: Callable[[], LoadedModel | ReadsElsewhere],
    responses: Sequence[Response],
    folder: Path,
    key: str,
    log: CaptureLog,
    progress: Callable[[int, int], None],
    wanted: Wanted,
) -> Features:
    """Read what was not read of the responses, all of it in one pass over each, and open everything.

    Args:
        load: Loads the model; not called when nothing is left to read.
        responses: Kept responses to different questions, in any order.
        key: Key of the task, which every response to a question under it has in common; part of the file names.
        progress: Called with (responses read, responses in all).

    Raises:
        NonFiniteError: A value is NaN or infinite, or does not fit float16 (65504).
        StoreError: The folder cannot be written.
    """
    arrays = wanted.arrays(folder, key[:16])
    places = {quantity: array.intact(log) for quantity, array in arrays.items()}
    missing = [r for r in responses if any(r.question_id not in held for held in places.values())]
    for count, part, values in _read(load, missing, arrays.keys(), wanted.other or "all"):
        for quantity, array in arrays.items():
            held = places[quantity]
            new = [row for row, response in enumerate(part) if response.question_id not in held]
            if new:
                ids = _ids([part[row] for row in new])
                start = first_free(held.values(), len(ids))
                log.append(array.write(start, values[quantity][new], ids))
                held.update(zip(ids, range(start, start + len(ids)), strict=True))
        progress(len(responses) - len(missing) + count, len(responses))
    return _opened(responses, arrays, places)


def _read(
    load: Callable[[], LoadedModel | ReadsElsewhere],
    responses: Sequence[Response],
    quantities: Collection[Quantity],
    other: OtherTokens,
) -> Iterator[tuple[int, list[Response], Mapping[Quantity, np.ndarray]]]:
    """Batches of responses with what was read of them, and how many have been read so far."""
    if not responses:
        return
    model = load()
    layout = model.layout
    widths: dict[Quantity, int] = {"answer": layout.d_m, "other": layout.d_m, "residual": layout.d}
    row_bytes = 4 * layout.layers * sum(width for quantity, width in widths.items() if quantity in quantities)
    lengths = [read_length(response, quantities) for response in responses]
    parts = [[responses[row] for row in rows] for rows in batches(lengths, most_rows=rows_within(row_bytes))]
    read = partial(_read_here, model) if isinstance(model, LoadedModel) else model.read
    done = 0
    for part, values in zip(parts, read(quantities, other, parts), strict=True):
        done += len(part)
        yield done, part, values


def _read_here(
    model: LoadedModel, quantities: Collection[Quantity], other: OtherTokens, parts: Sequence[Sequence[Response]]
) -> Iterator[Mapping[Quantity, np.ndarray]]:
    reader = Reader(model, quantities, other)
    return (read_each(reader, part) for part in parts)


def _opened(
    responses: Sequence[Response],
    arrays: Mapping[Quantity, CaptureArray],
    places: Mapping[Quantity, Mapping[str, int]],
) -> Features:
    """Everything that is kept of the responses, in their order."""

    def means(quantity: Quantity) -> NeuronRows:
        if not responses:
            return NeuronRows.of(np.empty((0, 0), dtype=np.float32))
        return NeuronRows.of(stored(quantity)).take(rows(quantity))

    def stored(quantity: Quantity) -> np.ndarray:
        return arrays[quantity].opened(max(places[quantity].values()) + 1)

    def rows(quantity: Quantity) -> list[int]:
        return [places[quantity][response.question_id] for response in responses]

    log_probability = None
    if "log_probability" in arrays:
        log_probability = stored("log_probability")[rows("log_probability"), 0] if responses else np.empty(0)
    return Features(
        means("answer"),
        means("other") if "other" in arrays else None,
        np.array([response.label == "hallucinated" for response in responses], dtype=bool),
        tuple(response.unit for response in responses),
        _ids(responses),
        log_probability,
        means("residual") if "residual" in arrays else None,
    )


def _ids(responses: Sequence[Response]) -> tuple[str, ...]:
    return tuple(response.question_id for response in responses)
