"""Reads files that are files, and writes them so that a file under its final name is complete."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provenance.errors import InputError, StoreError


@contextmanager
def storing(wanted: str) -> Iterator[None]:
    """Turn OSErrors into a StoreError that names the target.

    Raises:
        StoreError: For any OSError inside the block: no permission, a full disk, a file in the way.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            wanted,
            found=error.strerror or str(error),
            remedy="make the folder writable, free space, or choose another --out or --db folder",
        ) from error


def read_regular(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a regular file, of at most `limit` bytes if that is given.

    Raises:
        OSError: It cannot be read; or is too large, a folder, or a FIFO or device, which would be waited for or never
            end.
    """

    def opened(name: str, flags: int) -> int:
        handle = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # opening a FIFO would wait for its writer
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            os.close(handle)
            raise OSError(errno.EINVAL, f"{'a FIFO' if stat.S_ISFIFO(mode) else 'a device'}, which is not read", name)
        return handle

    with open(path, "rb", opener=opened) as file:
        content = file.read() if limit is None else file.read(limit + 1)
    if limit is not None and len(content) > limit:
        raise OSError(errno.EFBIG, f"more than {limit} bytes", str(path))
    return content


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file, making its folder, and return its path; it is complete whenever it has its name.

    Raises:
        StoreError: The folder cannot be written or the disk is full; the old file stays, no part of the new one does.
    """
    if path.is_dir():
        raise StoreError(
            f"a file to write {len(content)} bytes to", found=f"{path}, a folder", remedy="name a file in it"
        )
    partial = path.with_name(path.name + ".partial")
    with storing(f"to write {len(content)} bytes to {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    return path


def writable_folder(folder: Path) -> Path:
    """Make a folder and test it, before long work that ends in it.

    Raises:
        InputError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(
            f"a folder that can be written at {folder}", found=str(error), remedy="choose another --out folder"
        ) from error
