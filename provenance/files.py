"""Writes files so that a file under its final name is complete."""

import os
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
