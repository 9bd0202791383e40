"""Downloads of a repository's files into the library's cache: resumed, checked, and refused if the disk is too small.

A large file is `blobs/<sha256>.incomplete`, which another process can continue, until its digest matches the hub's.
The library fetches small files and lays out links; they are checked too, since the hub may have changed.
"""

import hashlib
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, as_completed
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import Timeout
from huggingface_hub import constants, snapshot_download
from huggingface_hub.utils import WeakFileLock, tqdm  # type: ignore[attr-defined]

from provenance.checkpoints.headers import read_header
from provenance.errors import CheckpointError, InputError, StoreError
from provenance.files import write_whole
from provenance.hub.http_ranges import Patience, RangesIgnoredError, Received, RemoteFile
from provenance.hub.repositories import (
    DEFAULT_BRANCH,
    BusyError,
    HubFile,
    Listing,
    cache_folder,
    endpoint,
    errors_translated,
    patiently,
)
from provenance.hub.retry import stoppable_pool

CONNECTIONS = 4  # files fetched at a time
REQUEST_BYTES = constants.MAX_HTTP_DOWNLOAD_SIZE  # the most that the hub's store sends in one answer
LOCK_TIMEOUT_S = 1.0  # interval between looks at the stop event


class _NoBar(tqdm):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]


def is_cached(listing: Listing, file: HubFile) -> bool:
    """Whether the cache holds the file, at this commit or under its digest, in full size."""
    return any(_has_size(path, file.bytes) for path in (listing.snapshot / file.name, _blob(listing, file)))


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _remove_misfits(listing: Listing, file: HubFile) -> None:
    """Remove files of another size from the file's places: truncated ones and broken links."""
    for path in (listing.snapshot / file.name, _blob(listing, file)):
        if not _has_size(path, file.bytes):
            path.unlink(missing_ok=True)


def _blob(listing: Listing, file: HubFile) -> Path:
    return listing.repo.storage / "blobs" / file.etag


def _partial(listing: Listing, file: HubFile) -> Path:
    return listing.repo.storage / "blobs" / f"{file.etag}.incomplete"


def missing_bytes(listing: Listing, names: Iterable[str]) -> int:
    """Bytes still to be fetched; whole cached files and the received part of others do not count."""
    missing = {file.etag: file for file in map(listing.files.__getitem__, names) if not is_cached(listing, file)}
    return sum(file.bytes - min(_bytes_come(listing, file), file.bytes) for file in missing.values())


def _bytes_come(listing: Listing, file: HubFile) -> int:
    partial = _partial(listing, file)
    return partial.stat().st_size if partial.is_file() else 0


def free_bytes(folder: Path) -> int:
    """Free bytes on the file system of a folder, which need not exist yet."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free


def require_room(what: str, missing: int) -> None:
    """Refuse a fetch that cannot fit, before its first byte.

    Raises:
        InputError: The cache's file system has fewer bytes free.
    """
    free = free_bytes(cache_folder())
    if missing > free:
        raise InputError(
            f"{missing:,} bytes for {what} in {cache_folder()}",
            found=f"{free:,} bytes free on its disk",
            remedy="free some space, set HF_HUB_CACHE to a folder on a larger disk, or stream the weights instead",
        )


def download(listing: Listing, names: Sequence[str], *, recheck: bool = False, show_bar: bool = False) -> Path:
    """Fetch the files that the cache lacks; returns the folder of the snapshot.

    `recheck` checks the digests of files that were in the cache before, too. Progress is shown only on a terminal.

    Raises:
        GatedError: The hub requires a licence to be accepted, or a token.
        CheckpointError: A file's content does not match the hub's digest, and was removed; a header is wrong; or the
            connection was lost for good: received bytes are kept.
        StoreError: The disk is full or not writable; received bytes are kept.
        UnreachableError: The hub does not answer; received bytes are kept.
    """
    files = [listing.files[name] for name in names]
    missing = [file for file in files if not is_cached(listing, file)]
    large = [file for file in missing if file.sha256]
    bar = None if show_bar and sys.stderr.isatty() else _NoBar
    with errors_translated(listing.repo):
        for file in missing:
            _remove_misfits(listing, file)
        linked = {file.name for file in files if _has_size(listing.snapshot / file.name, file.bytes)}
        _fetch_together(listing, large, bar or tqdm)
    patiently(listing.repo, lambda: _complete(listing, names, bar))
    with errors_translated(listing.repo):
        for file in files:
            path = listing.snapshot / file.name
            is_checked = file in large and path.resolve() == _blob(listing, file).resolve()
            if not is_checked and (recheck or file.name not in linked):
                _check(listing, file, path)
            if path.suffix == ".safetensors":
                _check_header(listing, file, path)
    return listing.snapshot


def _complete(listing: Listing, names: Sequence[str], bar: type[tqdm] | None) -> None:
    snapshot_download(
        listing.repo.id,
        repo_type=listing.repo.kind,
        revision=listing.commit,
        allow_patterns=list(names),
        cache_dir=cache_folder(),
        endpoint=endpoint(),
        tqdm_class=bar or tqdm,
    )
    for name in names:
        if not (listing.snapshot / name).is_file():  # the library accepts part of a snapshot from a busy hub
            raise BusyError(f"{endpoint()} did not send {name}")


def _fetch_together(listing: Listing, files: Sequence[HubFile], bar: type[tqdm]) -> None:
    received = Received()
    with stoppable_pool(CONNECTIONS) as (pool, stopped):
        for job in as_completed([pool.submit(_fetch_large, listing, each, received, bar, stopped) for each in files]):
            job.result()


def _fetch_large(
    listing: Listing, file: HubFile, received: Received, bar: type[tqdm], stopped: threading.Event
) -> None:
    blob, partial = _blob(listing, file), _partial(listing, file)
    lock = cache_folder() / ".locks" / listing.repo.storage.name / f"{file.etag}.lock"  # the library's own
    for folder in (blob.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(lock, stopped):
        if blob.is_file():  # another process was faster
            return
        remote = RemoteFile(listing.pinned, file, received, Patience())
        try:
            _append(remote, partial, bar, stopped)
        except RangesIgnoredError:
            partial.unlink()
            _append(remote, partial, bar, stopped)
        _check(listing, file, partial)
        partial.rename(blob)


@contextmanager
def _locked(lock: Path, stopped: threading.Event) -> Iterator[None]:
    with ExitStack() as held:
        while True:
            with suppress(Timeout):
                held.enter_context(WeakFileLock(lock, timeout=LOCK_TIMEOUT_S))
                break
            if stopped.is_set():
                raise CancelledError
        yield


def _append(remote: RemoteFile, partial: Path, bar: type[tqdm], stopped: threading.Event) -> None:
    if partial.is_file() and partial.stat().st_size > remote.size:
        partial.unlink()
    with partial.open("ab", buffering=0) as growing:
        come = growing.tell()
        options = {"desc": remote.name[-40:], "total": remote.size, "initial": come, "unit": "B", "unit_scale": True}
        with bar(**options) as shown:

            def keep(chunk: bytes) -> None:
                left = memoryview(chunk)
                while left:  # a disk that fills up takes a part first
                    left = left[growing.write(left) :]
                shown.update(len(chunk))

            for start in range(come, remote.size, REQUEST_BYTES):
                remote.receive(start, min(start + REQUEST_BYTES, remote.size), keep, stopped)


def _check(listing: Listing, file: HubFile, path: Path) -> None:
    if _digest(path, file) == file.etag:
        return
    for place in (path.resolve(), path):
        place.unlink(missing_ok=True)
    raise CheckpointError(
        f"{file.name} of {listing.repo} with the digest that the hub gives it ({file.etag})",
        found="other content; it was removed from the cache",
        remedy="run the same command again; if this happens again, the file is altered on its way or on the hub",
    )


def _check_header(listing: Listing, file: HubFile, path: Path) -> None:
    """Check a weight file's header against the file; remove one that the disk has altered, as `_check` does."""
    try:
        read_header(path)
    except CheckpointError as lie:
        _check(listing, file, path)
        raise published_lie(lie) from lie


def published_lie(error: CheckpointError) -> CheckpointError:
    """Error: a wrong header that the hub itself publishes; fetching again does not help."""
    return CheckpointError(
        error.wanted,
        found=error.found,
        remedy="it is published like this: name another revision of it, or tell its publisher",
    )


def _digest(path: Path, file: HubFile) -> str:
    with path.open("rb") as opened:
        if file.sha256:
            return hashlib.file_digest(opened, "sha256").hexdigest()
        content = opened.read()
    name = "sha1" if len(file.blob_id) == 40 else "sha256"
    return hashlib.new(name, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def remember(listing: Listing) -> None:
    """Record, of a complete snapshot only, which commit its name stands for, so that it is found offline."""
    name = listing.repo.revision or DEFAULT_BRANCH
    note = listing.repo.storage / "refs" / name
    if name == listing.commit or (note.is_file() and note.read_text("utf-8") == listing.commit):
        return
    with suppress(StoreError):  # online, a read-only cache is good enough
        write_whole(note, listing.commit.encode())
