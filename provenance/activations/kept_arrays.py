"""Arrays that are computed once per task: in one go, or piece by piece, so that an end in between loses one piece.

Each is a file, written whole, and a row of the task's log with the digest of the file.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from provenance.files import write_whole
from provenance.records import CaptureChunk
from provenance.work_log import CaptureLog


def remembered(
    compute: Callable[[], np.ndarray], ids: tuple[str, ...], folder: Path, key: str, log: CaptureLog
) -> np.ndarray:
    """An array under the name `key`: read if stored, else computed by `compute`, which runs models, and stored.

    Args:
        compute: Computes it.
        ids: What it is about; an array about something else is not taken for it.
        folder: Of its file.
        key: Of its task.
        log: Of its task.

    Raises:
        StoreError: The folder cannot be written.
    """
    kept = next((chunk for chunk in _intact(folder, log) if chunk.question_ids == ids), None)
    if kept is None:
        kept = _stored(compute(), ids, folder / f"{key[:16]}.safetensors", log)
    return load_file(folder / kept.file)["values"]


def remembered_by_id(
    find: Callable[[Sequence[str]], Iterable[Mapping[str, int]]],
    ids: Sequence[str],
    folder: Path,
    key: str,
    log: CaptureLog,
) -> dict[str, int]:
    """A whole number for each id under the name `key`: those that are not stored are found, and stored in pieces.

    Args:
        find: Gets the ids that have no number yet, and gives numbers of some of them at a time, of all in the end. What
            it gave before an error is stored.
        ids: Distinct.
        folder: Of the files.
        key: Of the task.
        log: Of the task.

    Raises:
        StoreError: The folder cannot be written.
    """
    found: dict[str, int] = {}
    for chunk in _intact(folder, log):
        values = load_file(folder / chunk.file)["values"].tolist()
        found.update(zip(chunk.question_ids, values, strict=True))
    missing = [name for name in ids if name not in found]
    for piece in find(missing) if missing else ():
        if piece:
            own = hashlib.sha256("\0".join(piece).encode()).hexdigest()[:16]
            path = folder / f"{key[:16]}.{own}.safetensors"
            _stored(np.array(list(piece.values()), dtype=np.int64), tuple(piece), path, log)
            found.update(piece)
    return {name: found[name] for name in ids}


def _stored(values: np.ndarray, ids: tuple[str, ...], path: Path, log: CaptureLog) -> CaptureChunk:
    content = save({"values": values})
    chunk = CaptureChunk(write_whole(path, content).name, hashlib.sha256(content).hexdigest(), ids)
    log.append(chunk)
    return chunk


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
