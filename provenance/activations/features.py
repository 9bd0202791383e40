"""Captured vectors of a set of responses, as labelled rows for analyses.

Rows stay on disk behind a view; selecting rows or neurons copies only integers. No finished chunk is captured again.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int
from safetensors.numpy import load_file, save

from provenance.activations.capture import capture_cett
from provenance.activations.capture_files import CaptureDtype, CaptureFiles
from provenance.activations.neuron_rows import NeuronRows, Stored, row_numbers
from provenance.files import write_whole
from provenance.models.devices import in_halves
from provenance.models.loading import LoadedModel
from provenance.records import CaptureChunk, OtherTokens, Response
from provenance.work_log import CaptureLog


@dataclass(frozen=True)
class Features:
    """Mean CETT of a set of responses, with their labels."""

    answer: NeuronRows
    """Mean over answer tokens."""
    other: NeuronRows
    """Mean over all other tokens."""
    hallucinated: Bool[np.ndarray, " rows"]
    """Label: True hallucinated, False faithful."""
    units: tuple[str, ...]
    """Unit of splitting and resampling of each row."""
    question_ids: tuple[str, ...]

    @classmethod
    def of(
        cls,
        answer: Stored,
        other: Stored,
        hallucinated: Bool[np.ndarray, " rows"],
        units: tuple[str, ...],
        question_ids: tuple[str, ...],
    ) -> "Features":
        """Features of plain or memory-mapped arrays, all in the same row order."""
        return cls(NeuronRows.of(answer), NeuronRows.of(other), hallucinated, units, question_ids)

    def __len__(self) -> int:
        return len(self.units)

    def take(self, rows: Sequence[int] | Int[np.ndarray, " taken"] | Bool[np.ndarray, " rows"]) -> "Features":
        """The given rows, in the given order."""
        index = row_numbers(rows, len(self))
        return Features(
            self.answer.take(index),
            self.other.take(index),
            self.hallucinated[index],
            tuple(self.units[i] for i in index),
            tuple(self.question_ids[i] for i in index),
        )

    def mapped(self, ids: Int[np.ndarray, " mapped"]) -> "Features":
        """The columns of the given neurons, in the given order; zeros for id -1."""
        return replace(self, answer=self.answer.mapped(ids), other=self.other.mapped(ids))


def collect_features(
    load: Callable[[], LoadedModel],
    responses: Sequence[Response],
    folder: Path,
    key: str,
    batch_size: int,
    log: CaptureLog,
    progress: Callable[[int, int], None],
    dtype: CaptureDtype = "float32",
    other_tokens: OtherTokens = "all",
) -> Features:
    """Capture the missing chunks and open everything for reading.

    Args:
        load: Loads the model; not called when nothing is left to capture.
        responses: Kept responses, in a fixed order.
        key: Key of the task; part of the file names.
        batch_size: Responses per chunk.
        progress: Called with (responses captured, responses in all).
        dtype: Of the values on disk. float16 takes half the room, rounds by 2^-11 of a value, and makes
            those below its smallest subnormal (6e-8) zero.
        other_tokens: Tokens beside the answer's whose mean is `other`.

    Raises:
        NonFiniteError: A value is NaN or infinite, or does not fit float16 (65504).
        StoreError: The folder cannot be written.
    """
    parts = [responses[i : i + batch_size] for i in range(0, len(responses), batch_size)]
    starts = {_ids(part): number * batch_size for number, part in enumerate(parts)}
    files = CaptureFiles(folder, key[:16], dtype)
    done = files.intact(starts, log)
    if not done:
        files.clear()  # none of it counts, and its shape may differ
    for part in parts:
        ids = _ids(part)
        if ids not in done:
            means = in_halves(lambda some: list(zip(*capture_cett(load(), some, other_tokens), strict=True)), part)
            answer, other = (np.stack(rows) for rows in zip(*means, strict=True))
            log.append(files.write(starts[ids], answer, other, ids))
        progress(starts[ids] + len(part), len(responses))
    empty = np.empty((0, 0), dtype=np.float32)
    answer, other = files.opened(len(responses)) if responses else (empty, empty)
    hallucinated = np.array([r.label == "hallucinated" for r in responses], dtype=bool)
    return Features.of(answer, other, hallucinated, tuple(r.unit for r in responses), _ids(responses))


def _ids(responses: Sequence[Response]) -> tuple[str, ...]:
    return tuple(response.question_id for response in responses)


def remembered(
    compute: Callable[[], np.ndarray], responses: Sequence[Response], folder: Path, key: str, log: CaptureLog
) -> np.ndarray:
    """An array under the name `key`: read if stored, else computed by `compute`, which runs models, and stored.

    Raises:
        StoreError: The folder cannot be written.
    """
    ids = _ids(responses)
    kept = next((chunk for chunk in _intact(folder, log) if chunk.question_ids == ids), None)
    if kept is None:
        content = save({"values": compute()})
        path = write_whole(folder / f"{key[:16]}.safetensors", content)
        kept = CaptureChunk(path.name, hashlib.sha256(content).hexdigest(), ids)
        log.append(kept)
    return load_file(folder / kept.file)["values"]


def _intact(folder: Path, log: CaptureLog) -> list[CaptureChunk]:
    """Arrays whose file exists unaltered; the log forgets the others."""
    intact: list[CaptureChunk] = []
    for chunk in log.chunks():
        path = folder / chunk.file
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == chunk.sha256:
            intact.append(chunk)
        else:
            log.discard(chunk)
    return intact
