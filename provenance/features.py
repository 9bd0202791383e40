"""Captured vectors on disk, and the rows an analysis works on.

The one idea: a chunk of responses becomes one safetensors file that is written beside its
final name and then renamed, so a file that has its name is whole; the database row that
names it comes after. What a killed run left half-written is captured again.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int
from safetensors.numpy import load_file, save

from provenance.capture import capture_cett
from provenance.files import write_whole
from provenance.logs import CaptureLog
from provenance.models import LoadedModel
from provenance.records import CaptureChunk, Response


@dataclass(frozen=True)
class Features:
    """Mean CETT of a set of responses, with their labels."""

    answer: Float32[np.ndarray, "rows neurons"]
    """Mean over answer tokens."""
    other: Float32[np.ndarray, "rows neurons"]
    """Mean over all other tokens."""
    hallucinated: Bool[np.ndarray, " rows"]
    """Label: True hallucinated, False faithful."""
    units: tuple[str, ...]
    """Unit of splitting and resampling of each row."""
    question_ids: tuple[str, ...]
    """Question of each row."""

    def take(self, rows: Sequence[int] | np.ndarray) -> "Features":
        """The given rows, in the given order."""
        index = np.asarray(rows, dtype=np.int64)
        return Features(
            self.answer[index],
            self.other[index],
            self.hallucinated[index],
            tuple(self.units[i] for i in index),
            tuple(self.question_ids[i] for i in index),
        )

    def mapped(self, ids: Int[np.ndarray, " mapped"]) -> "Features":
        """The columns of the given neurons, in the given order; zeros where the id is -1."""
        return replace(self, answer=_columns(self.answer, ids), other=_columns(self.other, ids))


def _columns(
    values: Float32[np.ndarray, "rows neurons"], ids: Int[np.ndarray, " mapped"]
) -> Float32[np.ndarray, "rows mapped"]:
    """Columns by id; zeros for -1."""
    picked = values[:, ids]
    picked[:, ids < 0] = 0.0
    return picked


def collect_features(
    load: Callable[[], LoadedModel],
    responses: Sequence[Response],
    folder: Path,
    key: str,
    batch_size: int,
    log: CaptureLog,
    progress: Callable[[int, int], None],
) -> Features:
    """Capture what is not captured yet, chunk by chunk, and read everything back.

    Args:
        load: Gives the model; not called when nothing is left to capture.
        responses: Kept responses, in a fixed order.
        folder: Where the files go.
        key: Of the task; part of the file names.
        batch_size: Responses per chunk.
        log: Rows of the chunks that are done.
        progress: Called with (responses captured, responses in all).

    Raises:
        StoreError: The folder cannot be written.
    """
    parts = [responses[i : i + batch_size] for i in range(0, len(responses), batch_size)]
    done = {chunk.question_ids: chunk for chunk in _intact(folder, log)}
    vectors: list[dict[str, np.ndarray]] = []
    for number, part in enumerate(parts):
        ids = tuple(response.question_id for response in part)
        if ids not in done:
            answer, other = capture_cett(load(), part)
            arrays = {"answer": answer, "other": other}
            done[ids] = _write_chunk(folder, f"{key[:16]}-{number:05d}.safetensors", arrays, ids)
            log.append(done[ids])
        progress(min(len(responses), (number + 1) * batch_size), len(responses))
        vectors.append(load_file(folder / done[ids].file))
    return _assembled(responses, vectors)


def remembered(
    compute: Callable[[], np.ndarray], responses: Sequence[Response], folder: Path, key: str, log: CaptureLog
) -> np.ndarray:
    """One array that models computed from responses: read where it is kept, computed and kept otherwise.

    Args:
        compute: Runs the models; not called when the array is there.
        responses: That it is computed from.
        folder: Where the file goes.
        key: Of the task; the file's name.
        log: Rows of what is kept.

    Raises:
        StoreError: The folder cannot be written.
    """
    ids = tuple(response.question_id for response in responses)
    kept = next((chunk for chunk in _intact(folder, log) if chunk.question_ids == ids), None)
    if kept is None:
        kept = _write_chunk(folder, f"{key[:16]}.safetensors", {"values": compute()}, ids)
        log.append(kept)
    return load_file(folder / kept.file)["values"]


def _assembled(responses: Sequence[Response], vectors: Sequence[dict[str, np.ndarray]]) -> Features:
    width = vectors[0]["answer"].shape[1] if vectors else 0
    empty = np.empty((0, width), dtype=np.float32)
    return Features(
        np.concatenate([v["answer"] for v in vectors] or [empty]),
        np.concatenate([v["other"] for v in vectors] or [empty]),
        np.array([r.label == "hallucinated" for r in responses], dtype=bool),
        tuple(r.unit for r in responses),
        tuple(r.question_id for r in responses),
    )


def _intact(folder: Path, log: CaptureLog) -> list[CaptureChunk]:
    """Chunks whose file is there and unaltered; the others are forgotten."""
    intact: list[CaptureChunk] = []
    for chunk in log.chunks():
        path = folder / chunk.file
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == chunk.sha256:
            intact.append(chunk)
        else:
            log.discard(chunk)
    return intact


def _write_chunk(folder: Path, name: str, arrays: dict[str, np.ndarray], question_ids: tuple[str, ...]) -> CaptureChunk:
    content = save(arrays)
    write_whole(folder / name, content)
    return CaptureChunk(name, hashlib.sha256(content).hexdigest(), question_ids)
