"""Safetensors of a checkpoint folder, tensor by tensor.

The one idea: a checkpoint is a mapping from tensor name to (file, slice); nothing is
read before it is asked for, and nothing is kept. No model is built.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from provenance.checkpoints import weight_files
from provenance.errors import CheckpointError


class Shards:
    """Read access to all tensors of a folder of safetensors files.

    Args:
        folder: Where the files lie. With an index file, only the shards it names are used.

    Raises:
        CheckpointError: There are no safetensors, a shard of the index is missing, a file is
            truncated, or one tensor name occurs in two files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file_of: dict[str, Path] = {}
        self._shape_of: dict[str, tuple[int, ...]] = {}
        self._dtype_of: dict[str, str] = {}
        for path in weight_files(folder):
            self._read_header(path)

    def _read_header(self, path: Path) -> None:
        with _opened(path) as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                if name in self._file_of:
                    raise CheckpointError(
                        "every tensor in one file",
                        found=f"{name!r} in both {self._file_of[name].name} and {path.name} of {self.folder}",
                        remedy="remove the files that do not belong to this checkpoint",
                    )
                part = file.get_slice(name)
                self._file_of[name] = path
                self._shape_of[name] = tuple(part.get_shape())
                self._dtype_of[name] = str(part.get_dtype())

    def names(self) -> list[str]:
        """Names of all tensors, sorted."""
        return sorted(self._file_of)

    def __contains__(self, name: str) -> bool:
        return name in self._file_of

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header."""
        return self._shape_of[name]

    def dtype(self, name: str) -> str:
        """Storage dtype of a tensor as safetensors spells it, such as `BF16`."""
        return self._dtype_of[name]

    def read(self, name: str) -> torch.Tensor:
        """One tensor in its storage dtype."""
        if name not in self._file_of:
            raise CheckpointError(
                f"tensor {name!r} in {self.folder}",
                found=f"{len(self._file_of)} tensors without it",
                remedy="fetch the checkpoint again, or check that its config belongs to its weights",
            )
        with _opened(self._file_of[name]) as file:
            tensor: torch.Tensor = file.get_tensor(name)
            return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"a whole safetensors file at {path}", found=str(error), remedy="fetch the file again"
        ) from error
