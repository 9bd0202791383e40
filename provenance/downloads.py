"""Files of a repository into the library's cache: whether they fit, fetched on from where they broke off, checked.

The one idea: a file gets its name in the cache only after its digest was found to be the hub's. Large
files are written to `blobs/<sha256>.incomplete`, which another process can go on with after a kill, a full disk
or a lost connection (the library itself starts such a file again from its first byte); small files, links and
everything else about the cache's layout are left to the library, which finds the large ones there.
"""

import hashlib
import io
import shutil
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_url, snapshot_download
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import WeakFileLock, build_hf_headers, tqdm  # type: ignore[attr-defined]

from provenance.errors import CheckpointError, InputError, StoreError
from provenance.files import write_whole
from provenance.hub_api import (
    DEFAULT_BRANCH,
    HubFile,
    Listing,
    cache_folder,
    endpoint,
    errors_translated,
)

CONNECTIONS = 4  # files fetched at a time


class _NoBar(tqdm):
    """The library's progress bar, not shown: for small files, and where there is no terminal."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]


class _StoppedError(Exception):
    """Another file failed, or the user has had enough; this one stops where it is."""


class _Growing(io.FileIO):
    """A file that grows at its end until it is told to stop."""

    def __init__(self, path: Path, stop: threading.Event) -> None:
        super().__init__(path, "a+")
        self._stop = stop

    def write(self, data: Any) -> int:
        if self._stop.is_set():
            raise _StoppedError
        return super().write(data)


def is_cached(listing: Listing, file: HubFile) -> bool:
    """Whether the cache holds the file, at this commit or under its digest, in its full size."""
    return any(_has_size(path, file.bytes) for path in (listing.snapshot / file.name, _blob(listing, file)))


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _remove_misfits(listing: Listing, file: HubFile) -> None:
    """Remove what lies in a file's places in another size: cut short by a disk, or a link to nothing."""
    for path in (listing.snapshot / file.name, _blob(listing, file)):
        if not _has_size(path, file.bytes):
            path.unlink(missing_ok=True)


def _blob(listing: Listing, file: HubFile) -> Path:
    return listing.repo.storage / "blobs" / file.etag


def _partial(listing: Listing, file: HubFile) -> Path:
    return listing.repo.storage / "blobs" / f"{file.etag}.incomplete"


def missing_bytes(listing: Listing, names: Iterable[str]) -> int:
    """Bytes that are still to be fetched: not those of whole files in the cache, nor of what has come of others."""
    missing = {file.etag: file for file in map(listing.files.__getitem__, names) if not is_cached(listing, file)}
    return sum(file.bytes - min(_bytes_come(listing, file), file.bytes) for file in missing.values())


def _bytes_come(listing: Listing, file: HubFile) -> int:
    partial = _partial(listing, file)
    return partial.stat().st_size if partial.is_file() else 0


def free_bytes(folder: Path) -> int:
    """Free bytes on the file system that a folder is on, or would be."""
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
    """Fetch files into the cache, where they are not there yet.

    Args:
        listing: The repository.
        names: Of its files.
        recheck: Hold files against the hub's digests that were in the cache before, too.
        show_bar: Show progress, on a terminal.

    Returns:
        The folder of the snapshot.

    Raises:
        GatedError: The hub wants a licence accepted or a token.
        CheckpointError: A file's content is not what the hub says it is; it was removed.
        StoreError: The disk is full or not writable; what came is kept.
        UnreachableError: The connection was lost for good; what came is kept.
    """
    files = [listing.files[name] for name in names]
    missing = [file for file in files if not is_cached(listing, file)]
    large = [file for file in missing if file.sha256 and file.bytes <= constants.MAX_HTTP_DOWNLOAD_SIZE]
    bar = None if show_bar and sys.stderr.isatty() else _NoBar
    with errors_translated(listing.repo):
        for file in missing:
            _remove_misfits(listing, file)
        _fetch_together(listing, large, bar)
        folder = snapshot_download(
            listing.repo.id,
            repo_type=listing.repo.kind,
            revision=listing.commit,
            allow_patterns=list(names),
            cache_dir=cache_folder(),
            endpoint=endpoint(),
            tqdm_class=bar or tqdm,
        )
        for file in files if recheck else missing:
            if file not in large:  # those were looked at before they got their name
                _check(listing, file, listing.snapshot / file.name)
    return Path(folder)


def _fetch_together(listing: Listing, files: Sequence[HubFile], bar: type[tqdm] | None) -> None:
    """Fetch large files, several at a time; the first failure stops all."""
    stop = threading.Event()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        try:
            for job in as_completed([pool.submit(_fetch_large, listing, file, bar, stop) for file in files]):
                job.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _fetch_large(listing: Listing, file: HubFile, bar: type[tqdm] | None, stop: threading.Event) -> None:
    """Fetch one large file, or the rest of it, and give it its name once its digest is right."""
    blob, partial = _blob(listing, file), _partial(listing, file)
    lock = cache_folder() / ".locks" / listing.repo.storage.name / f"{file.etag}.lock"  # the library's own
    for folder in (blob.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.is_file():  # another process was faster
            return
        with io.BufferedRandom(_Growing(partial, stop)) as growing:
            come = growing.seek(0, io.SEEK_END)
            if come > file.bytes:
                come = growing.truncate(0)
            http_get(
                hf_hub_url(
                    listing.repo.id, file.name,
                    repo_type=listing.repo.kind, revision=listing.commit, endpoint=endpoint(),
                ),
                growing,
                resume_size=come,
                headers=build_hf_headers(),
                expected_size=file.bytes,
                displayed_filename=file.name,
                tqdm_class=bar,
            )  # fmt: skip
        _check(listing, file, partial)
        partial.rename(blob)


def _check(listing: Listing, file: HubFile, path: Path) -> None:
    """Hold a file against the hub's digest; one that differs is removed."""
    if _digest(path, file) == file.etag:
        return
    for place in (path.resolve(), path):
        place.unlink(missing_ok=True)
    raise CheckpointError(
        f"{file.name} of {listing.repo} with the digest that the hub gives it ({file.etag})",
        found="other content; it was removed from the cache",
        remedy="run the same command again; if this happens again, the file is altered on its way or on the hub",
    )


def _digest(path: Path, file: HubFile) -> str:
    """SHA-256 of a large file; of a small one the digest by which git names it."""
    with path.open("rb") as opened:
        if file.sha256:
            return hashlib.file_digest(opened, "sha256").hexdigest()
        content = opened.read()
    name = "sha1" if len(file.blob_id) == 40 else "sha256"
    return hashlib.new(name, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def remember(listing: Listing) -> None:
    """Note in the cache what the name that was asked for stands for, so that it is found offline.

    Only a snapshot that is whole is noted: until then the name keeps standing for what it stood for.
    """
    name = listing.repo.revision or DEFAULT_BRANCH
    note = listing.repo.storage / "refs" / name
    if name == listing.commit or (note.is_file() and note.read_text("utf-8") == listing.commit):
        return
    with suppress(StoreError):  # a cache that is mounted read-only serves as well, online
        write_whole(note, listing.commit.encode())
