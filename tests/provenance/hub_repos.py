"""What the stand-in for the hub holds: repositories of files in memory or on disk, and how the hub lists them."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LARGE_SUFFIXES = (".safetensors", ".bin", ".parquet")


@dataclass
class Repo:
    """What one repository holds, and who may read it."""

    files: dict[str, bytes] | dict[str, Path] | dict[str, bytes | Path]
    """Contents by name; a path stands for the content of that file."""
    gated: bool = False
    opened_by: str | None = None
    """The token that opens a gated repository."""
    branches: tuple[str, ...] = ("main",)
    license: str | None = None
    """As the model card states it."""

    @property
    def commit(self) -> str:
        """A commit sha that follows from the content, as git's does."""
        parts = (f"{name}{sha256_of(data)}" for name, data in sorted(self.files.items()))
        return hashlib.sha1("".join(parts).encode(), usedforsecurity=False).hexdigest()


def is_large(path: str) -> bool:
    """Whether the hub keeps such a file outside of git."""
    return path.endswith(LARGE_SUFFIXES)


def size_of(data: bytes | Path) -> int:
    return data.stat().st_size if isinstance(data, Path) else len(data)


def content_of(data: bytes | Path, start: int, stop: int) -> bytes:
    """The bytes from `start` to `stop`."""
    if isinstance(data, bytes):
        return data[start:stop]
    with data.open("rb") as file:
        file.seek(start)
        return file.read(stop - start)


def sha256_of(data: bytes | Path) -> str:
    """SHA-256 in hexadecimal, which the hub gives large files as ETag."""
    if isinstance(data, bytes):
        return _sha256_of_bytes(data)
    state = data.stat()
    return _sha256_of_file(data, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)  # asked for with every request
def _sha256_of_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=64)
def _sha256_of_file(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def blob_id(data: bytes | Path) -> str:
    """How git names this content, which the hub gives small files as ETag."""
    head = f"blob {size_of(data)}\0".encode()
    return hashlib.sha1(head + content_of(data, 0, size_of(data)), usedforsecurity=False).hexdigest()


def _pointer(data: bytes | Path) -> bytes:
    """What git itself holds in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256_of(data)}\nsize {size_of(data)}\n".encode()


def listing_entry(path: str, data: bytes | Path) -> dict[str, object]:
    """A file as repository info with `blobs=true` lists it."""
    if not is_large(path):
        return {"rfilename": path, "size": size_of(data), "blobId": blob_id(data)}
    pointer = _pointer(data)
    lfs = {"sha256": sha256_of(data), "size": size_of(data), "pointerSize": len(pointer)}
    return {"rfilename": path, "size": size_of(data), "blobId": blob_id(pointer), "lfs": lfs}


def tree_entry(path: str, data: bytes | Path) -> dict[str, object]:
    """A file as the tree lists it."""
    if not is_large(path):
        return {"type": "file", "path": path, "size": size_of(data), "oid": blob_id(data)}
    pointer = _pointer(data)
    lfs = {"oid": sha256_of(data), "size": size_of(data), "pointerSize": len(pointer)}
    return {"type": "file", "path": path, "size": size_of(data), "oid": blob_id(pointer), "lfs": lfs}
