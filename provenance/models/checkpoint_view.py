"""What `transformers` gets to see of a checkpoint: the digested files and no other, behind the one boundary.

`transformers` has rules of its own for what it reads in a folder: an adapter's files, `tekken.json`, other versions of
`tokenizer.json`, a single file before an index. So it is shown a folder of links to the files that were digested, and
an index made from their headers; what runs is what was measured, by construction.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from transformers.utils import logging as transformers_logging

from provenance.checkpoints.headers import TensorSlot
from provenance.checkpoints.names import CONFIG, TOKENIZER, read_json_object, refuse_huge, small_files
from provenance.checkpoints.opening import opening
from provenance.checkpoints.weight_files import WEIGHT_INDEX, WEIGHTS
from provenance.errors import CheckpointError
from provenance.files import storing
from provenance.models.claimed_parts import refuse_growth, refuse_parts


@contextmanager
def checkpoint_view(
    folder: Path, wanted: str, remedy: str, headers: Mapping[Path, Mapping[str, TensorSlot]] | None = None
) -> Iterator[Path]:
    """A folder of links to a checkpoint's files for the libraries that open it; gone after the block.

    Args:
        folder: Folder of the checkpoint.
        wanted: What is opened, for the message.
        remedy: What to do when that fails.
        headers: Tensors of each weight file; without them only the small files are shown.

    Raises:
        CheckpointError: Whatever a library raises inside the block; or a file is too large, or its settings make work
            out of all proportion.
        StoreError: The folder for temporary files cannot be written.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what matters of its reports is an error of ours
    small = small_files(folder)
    for path in small:
        refuse_huge(path)
    if folder / CONFIG in small:
        refuse_parts(str(folder / CONFIG), read_json_object(folder / CONFIG))
    if folder / TOKENIZER in small and not headers:
        _check_growth(_Content.of(folder / TOKENIZER))
    with storing(f"to link the files of {folder}"), tempfile.TemporaryDirectory(prefix="provenance-") as place:
        view = Path(place)
        for path in small:
            if path.name != WEIGHT_INDEX:
                _link(view / path.relative_to(folder), path)
        _show_weights(view, headers or {})
        with opening(wanted, remedy, {place: str(folder)}):
            yield view


@dataclass(frozen=True)
class _Content:
    """What is in a file, wherever it is."""

    digest: bytes
    path: Path = field(compare=False)

    @classmethod
    def of(cls, path: Path) -> "_Content":
        """By its bytes: the name of a blob in a cache proves nothing."""
        try:
            with path.open("rb") as file:
                return cls(hashlib.file_digest(file, "sha256").digest(), path)
        except OSError as error:
            raise CheckpointError(f"{path}, to be read", found=str(error), remedy="fetch the file again") from error


@lru_cache
def _check_growth(of: _Content) -> None:
    """Once for base and tuned checkpoint, which mostly have the same one, since the largest take a second to parse."""
    refuse_growth(str(of.path), read_json_object(of.path))


def _link(link: Path, path: Path) -> None:
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(path.absolute())


def _show_weights(view: Path, headers: Mapping[Path, Mapping[str, TensorSlot]]) -> None:
    if len(headers) == 1:
        _link(view / WEIGHTS, next(iter(headers)))
    elif headers:
        for path in headers:
            _link(view / path.name, path)
        total = sum(slot.stop - slot.start for slots in headers.values() for slot in slots.values())
        weight_map = {name: path.name for path, slots in headers.items() for name in slots}
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (view / WEIGHT_INDEX).write_text(json.dumps(index), encoding="utf-8")
