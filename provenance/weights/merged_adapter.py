"""A base with a LoRA adapter merged in, tensor by tensor, without a model.

The one idea: an adapter is a reader on top of another reader. Rows of the base come from wherever
the base lies; what the adapter adds to just these rows, scaling · B A, is computed when they are
asked for and forgotten with them. So the merged checkpoint never exists, in memory or on a disk.

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
    PICKLE_SUFFIXES,
    SMALL_FILES,
    TOKENIZER_CORES,
    WEIGHT_INDEX,
    Checkpoint,
    CheckpointRef,
    digest_of,
    file_sha256,
    read_json_object,
)
from provenance.errors import CheckpointError, NonFiniteError
from provenance.weights.lora import Changes, LowRank, changes_of
from provenance.weights.lora_settings import parse_settings
from provenance.weights.tensors import Rows, TensorReader

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
CHUNK_ROWS = 64
"""B A is computed for so many rows at once, and always for the same ones: how a product is summed can depend on its
size, and a tensor must not depend on the blocks it is read in."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and not a whole checkpoint."""
    return folder.is_dir() and lists_adapter([path.name for path in folder.iterdir()])


def lists_adapter(names: Collection[str]) -> bool:
    """Whether these file names are an adapter's: its config, and no whole checkpoint beside it."""
    whole = any(name.endswith(".safetensors") and "/" not in name and name != ADAPTER_WEIGHTS for name in names)
    return ADAPTER_CONFIG in names and not (CONFIG in names and whole)


def adapter_files(names: Collection[str], where: str) -> list[str]:
    """Which files of an adapter matter, in name order: those to fetch, and those its identity is made of.

    Args:
        names: All files there are.
        where: The folder or repository, as messages name it.

    Raises:
        CheckpointError: There is no adapter, or its weights are pickled or not there.
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
    """SHA-256 over the sorted (name, SHA-256) of the adapter's files that matter.

    Raises:
        CheckpointError: There is no adapter in the folder.
    """
    names = adapter_files([path.name for path in folder.iterdir()], str(folder))
    return digest_of({name: file_sha256(folder / name) for name in names})


@dataclass(frozen=True)
class Adapted:
    """An adapter on its base, as one side of a comparison."""

    checkpoint: Checkpoint
    """Under the adapter's reference and with its folder; config of the base; digest of both together."""
    reader: "MergedShards"
    """The merged tensors."""
    tokenizer_folder: Path
    """The adapter's folder where it brings a tokenizer, else the base's."""
    base_name: str | None
    """The base that adapter_config.json names."""
    is_base_named: bool
    """Whether that is the base it was put on, as far as the last part of both names tells; a shape check cannot
    tell an instruct checkpoint from its own base. False where none is named."""
    note: str
    """That descent from this base was assumed by merging and not tested; empty where the base is the one named."""


def adapted(
    base: Checkpoint, reader: TensorReader, ref: CheckpointRef, folder: Path, commit: str | None = None
) -> Adapted:
    """Put an adapter on its base.

    Args:
        base: The base, found and looked over.
        reader: The base's tensors: from its folder, or from the hub.
        ref: How the adapter was named.
        folder: Where its files lie.
        commit: Its commit on the hub.

    Raises:
        CheckpointError: The adapter is damaged, of a kind that is not merged here, or for another base.
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
    """What a user has to know of an adapter on a base that it does not name."""
    says = "does not say which base it belongs to" if named is None else f"says that it belongs to {named!r}"
    return (
        f"{ref} {says}, and was merged into {base}: shapes fit, but that {ref} descends from {base} was assumed "
        "by merging, not tested"
    )


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].casefold()


class MergedShards:
    """The tensors of a base with an adapter merged in; names, shapes and dtypes are the base's.

    What modules_to_save and trained biases hold replaces the base's tensors, in the base's dtype;
    embeddings may bring more words, and an output embedding that the base ties is one tensor more.

    Args:
        base: The base's tensors.
        folder: What `peft` saved: adapter_config.json and adapter_model.safetensors.

    Raises:
        CheckpointError: The adapter is damaged, of a kind that is not merged here, or for another base.
        OSError: The system does not let it be read.
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
        """Shape of a tensor, from the header that it comes from."""
        whole = self.changes.wholes.get(name)
        return self._slots[whole.source].shape if whole else self._base.shape(name)

    def dtype(self, name: str) -> str:
        """Storage dtype of a tensor: the base's, whatever the adapter was saved in."""
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
        """Rows of a tensor that the adapter brings whole, in the dtype that the base stores."""
        values = self._values(self.changes.wholes[rows.name].source, rows.start, rows.stop)
        return values.to(TORCH_DTYPES[self.dtype(rows.name)])

    def _merged(self, rows: Rows, block: torch.Tensor) -> torch.Tensor:
        """Rows with what the adapter adds to them; the block itself where it adds nothing."""
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
        """A and B; those of the last tensor are kept, as its blocks come one after the other."""
        if self._held is None or self._held[0] != update.name:
            a, b = (self._values(name, 0, self._slots[name].shape[0]) for name in (update.a, update.b))
            self._held = update.name, a.to(dtype), b.to(dtype)
        return self._held[1:]

    def _values(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows of a tensor of the adapter, as they were saved."""
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
        product: The same rows of B A (of its transpose where the base stores that).
        scaling: alpha / r, or alpha / sqrt(r).
        round_first: Whether the update is rounded to the weight's dtype before it is added.

    Returns:
        In the weight's dtype. Choice: the arithmetic of `peft`'s merge_and_unload on a CPU. A half-precision
        adapter is taken to float32; the sum is taken in float32 and rounded once, but for embeddings, where
        the update is rounded first and the sum again.

    Source: Hu et al. 2021, arXiv:2106.09685, Eq. 3.
    """
    update = product * scaling
    if round_first:
        return weight + update.to(weight.dtype)
    return (weight + update).to(weight.dtype)
