"""A base with a LoRA adapter merged in, tensor by tensor, without a model.

scaling · B A is computed for the rows that are asked for; the merged checkpoint never exists in memory or on disk.

    base, adapter = checkpoint_at(CheckpointRef.parse("base-folder"), Path("base-folder")), Path("adapter-folder")
    child = adapted(base, Shards(base.folder), CheckpointRef.parse("adapter-folder"), adapter)
    child.reader.read("model.layers.0.mlp.up_proj.weight")
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from safetensors import SafetensorError, safe_open

from provenance.checkpoints.headers import TORCH_DTYPES, read_header
from provenance.checkpoints.names import (
    CONFIG,
    SMALL_FILES,
    TOKENIZER_CORES,
    Checkpoint,
    CheckpointRef,
    digest_of,
    file_sha256,
    read_json_object,
)
from provenance.checkpoints.weight_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PICKLE_SUFFIXES, WEIGHT_INDEX
from provenance.errors import CheckpointError, NonFiniteError
from provenance.weights.lora import Changes, LowRank, changes_of
from provenance.weights.lora_settings import parse_settings
from provenance.weights.tensors import Rows, TensorReader

CHUNK_ROWS = 64
"""Rows of B A computed at once, on a fixed grid: sums depend on its size, tensors must not on the blocks of a read."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, not a whole checkpoint."""
    return folder.is_dir() and lists_adapter([path.name for path in folder.iterdir()])


def lists_adapter(names: Collection[str]) -> bool:
    """Whether these file names are those of an adapter: its config, and no whole checkpoint beside it."""
    whole = any(name.endswith(".safetensors") and "/" not in name and name != ADAPTER_WEIGHTS for name in names)
    return ADAPTER_CONFIG in names and not (CONFIG in names and whole)


def adapter_files(names: Collection[str], where: str) -> list[str]:
    """Relevant files of an adapter, in name order: the ones to fetch and to take the digest of.

    Raises:
        CheckpointError: There is no adapter, or its weights are pickled or missing.
    """
    if ADAPTER_CONFIG not in names or ADAPTER_WEIGHTS not in names:
        pickled = sorted(name for name in names if name.startswith("adapter_") and name.endswith(PICKLE_SUFFIXES))
        raise CheckpointError(
            f"{ADAPTER_CONFIG} and {ADAPTER_WEIGHTS} in {where}",
            found=f"only pickled weights ({pickled[0]})" if pickled else "one of them or none",
            remedy="pickles can run code and are refused: load it with peft once and save_pretrained it again"
            if pickled
            else "name a folder that peft's save_pretrained wrote",
        )
    small = (name for name in SMALL_FILES if name in names and name not in {CONFIG, WEIGHT_INDEX})
    return sorted((ADAPTER_CONFIG, ADAPTER_WEIGHTS, *small))


def adapter_digest(folder: Path) -> str:
    """SHA-256 over the sorted (name, SHA-256) of the adapter's relevant files.

    Raises:
        CheckpointError: There is no adapter in the folder.
    """
    names = adapter_files([path.name for path in folder.iterdir()], str(folder))
    return digest_of({name: file_sha256(folder / name) for name in names})


@dataclass(frozen=True)
class Adapted:
    """An adapter on its base, as one side of a comparison."""

    checkpoint: Checkpoint
    """Reference and folder of the adapter, config of the base, digest of both together."""
    reader: "MergedShards"
    tokenizer_folder: Path
    """The adapter's folder if it holds a tokenizer, else the base's."""
    base_name: str | None
    """Base named in adapter_config.json."""
    is_base_named: bool
    """Whether that name matches the given base, by the last part of both names; a shape check cannot tell an instruct
    checkpoint from its own base. False without a name.
    """
    note: str
    """Says that descent from this base is assumed, not tested; empty if the base is the named one."""


def adapted(
    base: Checkpoint, reader: TensorReader, ref: CheckpointRef, folder: Path, commit: str | None = None
) -> Adapted:
    """Put an adapter, given by `folder` and `commit`, on its base.

    Raises:
        CheckpointError: The adapter is damaged, of an unsupported kind, or for another base.
    """
    try:
        merged = MergedShards(reader, folder)
        own = adapter_digest(folder)
    except OSError as error:
        raise CheckpointError(
            f"a readable adapter in {folder}", found=str(error), remedy="check permissions and the disk"
        ) from error
    digest = hashlib.sha256(json.dumps({"base": base.digest, "adapter": own}).encode()).hexdigest()
    folder_name = base.folder.resolve().name.casefold()
    has_tokenizer = any((folder / name).is_file() for name in TOKENIZER_CORES)
    named = merged.base_name
    is_base_named = named is not None and _last_part(named) in {_last_part(base.ref.name), folder_name}
    return Adapted(
        Checkpoint(ref, folder, commit, digest, base.config),
        merged,
        folder if has_tokenizer else base.folder,
        named,
        is_base_named,
        "" if is_base_named else _assumed(ref, named, base.ref),
    )


def _assumed(ref: CheckpointRef, named: str | None, base: CheckpointRef) -> str:
    says = "does not say which base it belongs to" if named is None else f"says that it belongs to {named!r}"
    return (
        f"{ref} {says}, and was merged into {base}: shapes fit, but that {ref} descends from {base} was assumed "
        "by merging, not tested"
    )


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].casefold()


class MergedShards:
    """Tensors of a base with an adapter merged in; names, shapes and dtypes are the base's.

    modules_to_save and trained biases replace the base's tensors, in the base's dtype; embeddings may have more words,
    and an output embedding that the base ties is one tensor more. `folder` is as saved by `peft`, with
    adapter_config.json and adapter_model.safetensors.

    Raises:
        CheckpointError: The adapter is damaged, of an unsupported kind, or for another base.
        OSError: It cannot be read.
    """

    def __init__(self, base: TensorReader, folder: Path) -> None:
        adapter_files([path.name for path in folder.iterdir()], str(folder))
        self._base = base
        self._path = folder / ADAPTER_WEIGHTS
        settings = parse_settings(read_json_object(folder / ADAPTER_CONFIG), str(folder))
        self._slots = read_header(self._path)
        self.base_name = settings.base_name
        self.changes: Changes = changes_of(settings, self._slots, base)
        self._held: tuple[str, torch.Tensor, torch.Tensor] | None = None

    def names(self) -> list[str]:
        """Names of all tensors, sorted."""
        return sorted({*self._base.names(), *self.changes.wholes})

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header of its file."""
        whole = self.changes.wholes.get(name)
        return self._slots[whole.source].shape if whole else self._base.shape(name)

    def dtype(self, name: str) -> str:
        """Storage dtype of a tensor: that of the base."""
        whole = self.changes.wholes.get(name)
        return self._base.dtype(whole.like if whole else name)

    def read(self, name: str) -> torch.Tensor:
        """One whole tensor in its storage dtype, in memory of its own."""
        if name in self.changes.wholes:
            rows = Rows(name, 0, self.shape(name)[0])
            return self._merged(rows, self._whole_rows(rows))
        tensor = self._base.read(name)
        return self._merged(Rows(name, 0, tensor.shape[0]), tensor) if name in self.changes.updates else tensor

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        """The wanted rows, one tensor after the other in the same order, in the storage dtype."""
        from_base = self._base.stream([rows for rows in wanted if rows.name not in self.changes.wholes])
        for rows in wanted:
            is_whole = rows.name in self.changes.wholes
            yield self._merged(rows, self._whole_rows(rows) if is_whole else next(from_base))

    def _whole_rows(self, rows: Rows) -> torch.Tensor:
        values = self._values(self.changes.wholes[rows.name].source, rows.start, rows.stop)
        return values.to(TORCH_DTYPES[self.dtype(rows.name)])

    def _merged(self, rows: Rows, block: torch.Tensor) -> torch.Tensor:
        update = self.changes.updates.get(rows.name)
        if update is None:
            return block
        a, b = self._factors(update, torch.float64 if block.dtype == torch.float64 else torch.float32)
        out = torch.empty_like(block)  # never into the block: its memory may be a mapped file
        size = self.shape(rows.name)[0]
        for first in range(rows.start - rows.start % CHUNK_ROWS, rows.stop, CHUNK_ROWS):
            last = min(first + CHUNK_ROWS, size)
            product = (b @ a[:, first:last]).T if update.transposed else b[first:last] @ a
            start, stop = max(first, rows.start), min(last, rows.stop)
            here = slice(start - rows.start, stop - rows.start)
            out[here] = merge(
                block[here], product[start - first : stop - first], update.scaling, round_first=update.is_embedding
            )
        return out

    def _factors(self, update: LowRank, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """A and B; the last pair is kept, since blocks of one tensor come one after the other."""
        if self._held is None or self._held[0] != update.name:
            a, b = (self._values(name, 0, self._slots[name].shape[0]) for name in (update.a, update.b))
            self._held = update.name, a.to(dtype), b.to(dtype)
        return self._held[1:]

    def _values(self, name: str, start: int, stop: int) -> torch.Tensor:
        try:
            with safe_open(self._path, framework="pt") as file:
                values: torch.Tensor = file.get_slice(name)[start:stop]
        except (SafetensorError, OSError) as error:  # it was whole when it was opened
            raise CheckpointError(
                f"tensor {name!r} in {self._path}", found=str(error), remedy="fetch the adapter again"
            ) from error
        if not torch.isfinite(values).all():
            raise NonFiniteError(
                f"finite numbers in {self._path}",
                found=f"NaN or infinity in {name!r}",
                remedy="fetch the adapter again; if it was published so, its training diverged",
            )
        return values


def merge(
    weight: Shaped[torch.Tensor, "rows columns"],
    product: Float[torch.Tensor, "rows columns"],
    scaling: float,
    *,
    round_first: bool,
) -> Shaped[torch.Tensor, "rows columns"]:
    """Add a low-rank update to rows of a weight.

        W + scaling · B A

    Args:
        weight: Rows as the base stores them.
        product: The same rows of B A (of its transpose if the base stores that).
        scaling: alpha / r, or alpha / sqrt(r).
        round_first: Whether the update is rounded to the weight's dtype before it is added.

    Returns:
        In the weight's dtype. Choice: the arithmetic of `peft`'s merge_and_unload on a CPU. A half-precision adapter is
        converted to float32; the sum is taken in float32 and rounded once, except for embeddings, where the update is
        rounded first and the sum again.

    Source: Hu et al. 2021, arXiv:2106.09685, Eq. 3.
    """
    update = product * scaling
    if round_first:
        return weight + update.to(weight.dtype)
    return (weight + update).to(weight.dtype)
