"""Checkpoints read straight from the hub: headers first, then only the requested rows.

A safetensors header gives each tensor's byte range. Neighbouring rows come in one request, a few requests run ahead,
nothing is written to disk. Identity is that of a download: the hub lists the SHA-256 of every weight file.
"""

import hashlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

import torch

from provenance.checkpoints.headers import LENGTH_BYTES, TORCH_DTYPES, TensorSlot, header_length, parse_header
from provenance.checkpoints.names import Checkpoint, CheckpointRef, digest_of, small_digests
from provenance.errors import CheckpointError
from provenance.hub.downloads import download, published_lie
from provenance.hub.fetch import prepare
from provenance.hub.http_ranges import Patience, Received, RemoteFile
from provenance.hub.repositories import HubRepo, UnreachableError
from provenance.hub.retry import stoppable_pool
from provenance.weights.tensors import Rows

CONNECTIONS = 8
REQUEST_BYTES = 8 << 20  # long enough to make the latency negligible
AHEAD = 12
"""Requests made ahead of the reader, so that no connection waits for it."""
MOST_GUESSED = 128 << 10  # bytes that contain the header of most files
GUESSED_SHARE = 256  # and at most this part of a file, so that small files are not fetched for their headers


@dataclass(frozen=True)
class RemoteCheckpoint:
    """Checkpoint on the hub, checked without fetching its weights."""

    checkpoint: Checkpoint
    """Its identity; its folder has the config and the tokenizer, and no weights."""
    tensors: "RemoteShards"


@dataclass
class _Batch:
    """Adjacent rows of a file, fetched into one buffer."""

    file: RemoteFile
    dtype: str
    start: int
    stop: int
    parts: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)
    """First and last byte from the file's start, and shape of each requested tensor."""

    @property
    def bytes(self) -> int:
        """Its length."""
        return self.stop - self.start

    def takes(self, file: RemoteFile, slot: TensorSlot, start: int, stop: int) -> bool:
        """Whether another range fits into the same request."""
        follows = file is self.file and start == self.stop and slot.dtype == self.dtype
        return follows and stop - self.start <= REQUEST_BYTES

    def add(self, start: int, stop: int, shape: tuple[int, ...]) -> None:
        self.parts.append((start, stop, shape))
        self.stop = stop

    def tensors(self, buffer: torch.Tensor) -> Iterator[torch.Tensor]:
        """Views of the filled buffer, one per tensor."""
        for start, stop, shape in self.parts:
            yield buffer[start - self.start : stop - self.start].view(TORCH_DTYPES[self.dtype]).view(shape)


class RemoteShards:
    """Read access to all tensors of safetensors files on the hub; `received` counts the bytes sent for them.

    Raises:
        GatedError: The hub requires a licence to be accepted, or a token.
        CheckpointError: A header is invalid, a name occurs in two files, or a file cannot be read.
    """

    def __init__(self, files: Sequence[RemoteFile], received: Received, where: str) -> None:
        self._where = where
        self._received = received
        self._slot_of: dict[str, tuple[RemoteFile, TensorSlot]] = {}
        for file, header in zip(files, _read_headers(files), strict=True):
            for name, slot in header.items():
                if name in self._slot_of:
                    raise CheckpointError(
                        "every tensor in one file",
                        found=f"{name!r} in both {self._slot_of[name][0].name} and {file.name} of {where}",
                        remedy="name another revision of it, or tell its publisher",
                    )
                self._slot_of[name] = file, slot

    @property
    def bytes_received(self) -> int:
        """Bytes of these files received so far, headers and repeated ones included."""
        return self._received.bytes

    def names(self) -> list[str]:
        """Names of all tensors, sorted."""
        return sorted(self._slot_of)

    def __contains__(self, name: str) -> bool:
        return name in self._slot_of

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header."""
        return self._find(name)[1].shape

    def dtype(self, name: str) -> str:
        """Storage dtype of a tensor as safetensors spells it, such as `BF16`."""
        return self._find(name)[1].dtype

    def read(self, name: str) -> torch.Tensor:
        """One whole tensor in its storage dtype, in memory of its own; errors as `stream`."""
        file, slot = self._find(name)
        batch = _Batch(file, slot.dtype, slot.start, slot.start)
        batch.add(slot.start, slot.stop, slot.shape)
        return next(_fetched([batch]))

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        """The wanted rows, one tensor after the other in the same order, in the storage dtype.

        Raises:
            CheckpointError: The connection is lost for good, the file changed, or there is no such tensor.
        """
        return _fetched(self._batches(wanted))

    def _find(self, name: str) -> tuple[RemoteFile, TensorSlot]:
        if name not in self._slot_of:
            raise CheckpointError(
                f"tensor {name!r} in {self._where}",
                found=f"{len(self._slot_of)} tensors without it",
                remedy="check that its config belongs to its weights, or name another revision",
            )
        return self._slot_of[name]

    def _batches(self, wanted: Sequence[Rows]) -> Iterator[_Batch]:
        batch: _Batch | None = None
        for rows in wanted:
            file, slot = self._find(rows.name)
            if not 0 <= rows.start <= rows.stop <= (slot.shape or (0,))[0]:
                raise ValueError(f"rows {rows.start} to {rows.stop} of {rows.name}, which has shape {slot.shape}")
            start, stop = slot.start + rows.start * slot.row_bytes, slot.start + rows.stop * slot.row_bytes
            if batch is not None and not batch.takes(file, slot, start, stop):
                yield batch
                batch = None
            batch = batch or _Batch(file, slot.dtype, start, start)
            batch.add(start, stop, (rows.stop - rows.start, *slot.shape[1:]))
        if batch is not None:
            yield batch


def open_remote(ref: CheckpointRef, patience: Patience | None = None) -> RemoteCheckpoint:
    """Check a checkpoint on the hub, pin its commit, and make its weights readable over the network.

    Config, index and tokenizer are fetched into the cache; of the weights only the headers are read.

    Raises:
        GatedError: The hub requires a licence to be accepted, or a token.
        CheckpointError: Not on the hub, not safetensors, remote code, a wrong header, or the hub does not answer.
    """
    if ref.kind != "hub":
        raise CheckpointError(
            f"a checkpoint on the hub, to read its weights over the network, for {str(ref)!r}",
            found="one of this machine",
            remedy="leave out --stream; local weights are read block by block, too",
        )
    try:
        needed = prepare(HubRepo(ref.name, ref.revision))
        weights = [name for name in needed.names if name.endswith(".safetensors")]
        folder = download(needed.listing, [name for name in needed.names if name not in weights])
    except UnreachableError as reason:
        raise CheckpointError(
            f"{ref} from the hub, to read its weights over the network",
            found=str(reason),
            remedy="connect to the network and unset HF_HUB_OFFLINE; without --stream a whole copy in the cache serves",
        ) from reason
    received = Received()
    listed = [needed.listing.files[name] for name in weights]
    files = [RemoteFile(needed.listing.pinned, each, received, patience or Patience()) for each in listed]
    tensors = RemoteShards(files, received, str(ref))
    digests = {each.name: each.sha256 or _sha256(file) for each, file in zip(listed, files, strict=True)}
    digest = digest_of(small_digests(folder) | digests)
    return RemoteCheckpoint(Checkpoint(ref, folder, needed.listing.commit, digest, needed.config), tensors)


def _sha256(file: RemoteFile) -> str:
    """Digest of a weight file so small that the hub lists none (kept in git)."""
    digest, stopped = hashlib.sha256(), threading.Event()
    for start in range(0, file.size, REQUEST_BYTES):
        digest.update(file.read(start, min(start + REQUEST_BYTES, file.size), stopped))
    return digest.hexdigest()


def _read_headers(files: Sequence[RemoteFile]) -> list[dict[str, TensorSlot]]:
    with stoppable_pool(CONNECTIONS) as (pool, stopped):
        jobs = [pool.submit(read_header, file, stopped) for file in files]
        for job in as_completed(jobs):
            job.result()
        return [job.result() for job in jobs]


def read_header(file: RemoteFile, stopped: threading.Event | None = None) -> dict[str, TensorSlot]:
    """Tensors of a remote file, by one request, or two for a long header; `stopped` stops it where Ctrl-C does not."""
    stopped = stopped or threading.Event()
    guess = max(LENGTH_BYTES, min(MOST_GUESSED, file.size // GUESSED_SHARE))
    head = file.read(0, min(guess, file.size), stopped)
    try:
        count = header_length(head[:LENGTH_BYTES], file.size, file.where)
    except CheckpointError as lie:
        raise published_lie(lie) from lie
    stop = LENGTH_BYTES + count
    if stop > len(head):
        head += file.read(len(head), stop, stopped)
    try:
        return parse_header(head[LENGTH_BYTES:stop], count, file.size, file.where)
    except CheckpointError as lie:
        raise published_lie(lie) from lie


def _fetched(batches: Iterable[_Batch]) -> Iterator[torch.Tensor]:
    pending: deque[tuple[_Batch, torch.Tensor, list[Future[None]]]] = deque()
    spare: list[torch.Tensor] = []
    with stoppable_pool(CONNECTIONS) as (pool, stopped):  # ends after the last row, an early exit or a failure
        for batch in batches:
            buffer = _buffer(batch.bytes, spare)
            pending.append((batch, buffer, _submit(pool, batch, buffer, stopped)))
            while len(pending) > AHEAD or sum(each.bytes for each, _, _ in pending) > AHEAD * REQUEST_BYTES:
                yield from _finished(*pending[0])
                spare.append(pending.popleft()[1])
        while pending:
            yield from _finished(*pending.popleft())


def _buffer(count: int, spare: list[torch.Tensor]) -> torch.Tensor:
    """Memory for so many bytes, reused where it fits: freed and allocated anew, it would fragment the heap."""
    while spare:
        buffer = spare.pop()
        if count <= buffer.numel() <= REQUEST_BYTES:
            return buffer
    return torch.empty(count, dtype=torch.uint8)


def _submit(
    pool: ThreadPoolExecutor, batch: _Batch, buffer: torch.Tensor, stopped: threading.Event
) -> list[Future[None]]:
    content = buffer.numpy().data[: batch.bytes]
    return [
        pool.submit(batch.file.read_into, content[start : start + REQUEST_BYTES], batch.start + start, stopped)
        for start in range(0, batch.bytes, REQUEST_BYTES)
    ]


def _finished(batch: _Batch, buffer: torch.Tensor, pieces: list[Future[None]]) -> Iterator[torch.Tensor]:
    for piece in pieces:
        piece.result()
    yield from batch.tensors(buffer)
