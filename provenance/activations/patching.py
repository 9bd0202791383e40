"""Activations of chosen neurons in one model, kept while it reads, and put in their place in another one.

Both models read the same token ids, one model after the other: the activations of the first wait in a file, so that no
more than one model is in memory.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped

from provenance.activations.scaling import Edit, by_layer, check_ids, edited
from provenance.errors import CaptureError
from provenance.files import storing
from provenance.models.loading import LoadedModel


class KeptActivations:
    """z of some neurons of a model at every token of some sequences, in a file without a name.

    Values keep the dtype of the model, so nothing is rounded. The file takes tokens x neurons of them, and is gone even
    if the process is killed.

    Args:
        ids: Flat ids of the neurons in the model that is read, distinct.
        folder: Where the file is made.

    Raises:
        StoreError: The file cannot be made.
    """

    def __init__(self, ids: Int[np.ndarray, " k"], folder: Path) -> None:
        self.ids = np.sort(ids)
        self._folder = folder
        self._places: dict[int, tuple[int, int]] = {}
        self.dtype = torch.float32
        with storing(f"a scratch file for activations in {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - see `close`

    def close(self) -> None:
        """Give the room on the disk back."""
        self._file.close()

    @contextmanager
    def reading(
        self, loaded: LoadedModel, sequences: Sequence[int], mask: Bool[torch.Tensor, "rows tokens"]
    ) -> Iterator[None]:
        """Keep what the one forward pass inside the block reads: of each row its tokens where `mask` is.

        Args:
            loaded: The model.
            sequences: Number of each row, by which `of` gives it back.
            mask: False at padding.

        Raises:
            CaptureError: A layer did not run exactly once.
            StoreError: The disk is full.
        """
        d_m, seen = loaded.layout.d_m, dict[int, list[torch.Tensor]]()
        check_ids(self.ids, loaded.layout.layers, d_m)

        def keep(layer: int, own: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
            seen.setdefault(layer, []).append(z[:, :, own.to(z.device)].cpu())
            return z

        with edited(loaded, {layer: partial(keep, layer, own) for layer, own in by_layer(self.ids, d_m).items()}):
            yield
        if any(len(passes) != 1 for passes in seen.values()):
            raise CaptureError(
                "one forward pass over sequences whose activations are kept",
                found=f"{max(map(len, seen.values()))}",
                remedy="this model reads a batch in several passes; it is not supported",
            )
        z = torch.cat([seen[layer][0] for layer in sorted(seen)], dim=-1)
        for sequence, row, real in zip(sequences, z, mask.cpu(), strict=True):
            self._write(sequence, row[real].T.contiguous())

    def _write(self, sequence: int, z: Shaped[torch.Tensor, "k tokens"]) -> None:
        self.dtype = z.dtype
        content = z.view(torch.uint8).numpy().tobytes()
        with storing(f"activations of {z.shape[1]} tokens in a scratch file in {self._folder}"):
            start = self._file.seek(0, os.SEEK_END)
            while content:
                content = content[self._file.write(content) :]
        self._places[sequence] = (start, z.shape[1])

    def of(self, sequence: int, ids: Int[np.ndarray, " some"]) -> Shaped[torch.Tensor, "tokens some"]:
        """Of some of the neurons, in the order of `ids`, z at every token of a sequence."""
        start, tokens = self._places[sequence]
        size = self.dtype.itemsize
        columns = np.searchsorted(self.ids, ids)
        found = np.empty((ids.size, tokens), dtype=f"i{size}")
        for row, column in zip(found, columns.tolist(), strict=True):
            self._file.seek(start + column * tokens * size)
            row[:] = np.frombuffer(self._file.read(tokens * size), dtype=row.dtype)
        return torch.from_numpy(found).view(self.dtype).T


def replacing(
    kept: KeptActivations,
    theirs: Int[np.ndarray, " k"],
    own: Int[np.ndarray, " k"],
    sequences: Sequence[int],
    mask: Bool[torch.Tensor, "rows tokens"],
    d_m: int,
) -> Mapping[int, Edit]:
    """What puts kept activations in the place of a model's own, at every token of a batch, for `edited`.

        z_{j,t} <- z'_{m(j),t}   for every given neuron j with its counterpart m(j) and every token t

    Args:
        kept: Activations z' of the other model.
        theirs: Flat ids there.
        own: Flat ids of the same neurons here, in the same order.
        sequences: Number of each row in `kept`.
        mask: Where the tokens of each row are; the others keep their own activations.
        d_m: Neurons of a layer of this model.
    """
    values = torch.zeros((*mask.shape, own.size), dtype=kept.dtype)
    for row, real, sequence in zip(values, mask.cpu(), sequences, strict=True):
        row[real] = kept.of(sequence, theirs)
    places = {layer: np.flatnonzero(own // d_m == layer) for layer in np.unique(own // d_m).tolist()}
    return {
        layer: partial(_put, torch.from_numpy(own[here] % d_m), values[:, :, torch.from_numpy(here)], mask[:, :, None])
        for layer, here in places.items()
    }


def _put(
    own: Int[torch.Tensor, " k"],
    values: Shaped[torch.Tensor, "rows tokens k"],
    mask: Bool[torch.Tensor, "rows tokens 1"],
    z: Float[torch.Tensor, "rows tokens d_m"],
) -> Float[torch.Tensor, "rows tokens d_m"]:
    own, changed = own.to(z.device), z.clone()
    changed[:, :, own] = torch.where(mask.to(z.device), values.to(z.device, z.dtype), z[:, :, own])
    return changed
