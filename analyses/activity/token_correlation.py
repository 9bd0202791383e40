"""Correlation of each neuron's activations between two models, token by token.

Both models read the same token ids, one model after the other: the activations of the first go to a file, so that no
more than one model is in memory. Special tokens are left out: the first token of a sequence has activations so large
that it would decide every correlation alone.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped

from provenance.activations.capture import forward, hooked, padded
from provenance.files import storing
from provenance.models.loading import LoadedModel
from provenance.records import Response


class PairedMoments:
    """Running sums of two variables and their products, float64, one entry per neuron."""

    def __init__(self, neurons: int) -> None:
        self.n = 0
        self._sums = np.zeros((5, neurons))

    def add(self, x: Float[np.ndarray, "tokens neurons"], y: Float[np.ndarray, "tokens neurons"]) -> None:
        """Add more tokens."""
        self.n += len(x)
        for row, values in enumerate((x, y, x * x, y * y, x * y)):
            self._sums[row] += values.sum(axis=0)

    def correlation(self) -> Float[np.ndarray, " neurons"]:
        """Pearson r; NaN for a neuron that is constant in either model."""
        mean_x, mean_y, xx, yy, xy = self._sums / max(self.n, 1)
        variance = np.clip(xx - mean_x**2, 0, None) * np.clip(yy - mean_y**2, 0, None)
        with np.errstate(invalid="ignore", divide="ignore"):
            r = (xy - mean_x * mean_y) / np.sqrt(variance)
        return np.where(variance > 0, np.clip(r, -1, 1), np.nan)


class RecordedActivations:
    """The activations z of one model at every ordinary token of some responses, in a file.

    Values keep the dtype of the model, so nothing is rounded; the file takes tokens x neurons of them. It has no name
    in its folder, so it is gone even if the process is killed.

    Args:
        loaded: The model, which is not kept.
        responses: Prompt and response ids to read.
        batch_size: Responses in one forward pass.
        folder: Where the file is made.

    Raises:
        StoreError: The file cannot be written, or the disk is full.
        CaptureError: See `hooked`.
    """

    def __init__(self, loaded: LoadedModel, responses: Sequence[Response], batch_size: int, folder: Path) -> None:
        self._batches = [responses[start : start + batch_size] for start in range(0, len(responses), batch_size)]
        self._d_m = loaded.layout.d_m
        self._places: dict[tuple[int, int], _Place] = {}
        with storing(f"a scratch file for activations in {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - see `close`
        try:
            for number, batch in enumerate(self._batches):
                _read(loaded, batch, self._keeping(number, folder))
        except BaseException:
            with suppress(OSError):  # the rest of a block that the disk did not take
                self._file.close()
            raise

    def close(self) -> None:
        """Give the room on the disk back."""
        self._file.close()

    def correlation(
        self, loaded: LoadedModel, ids: Int[np.ndarray, " neurons"] | None = None
    ) -> Float[np.ndarray, " neurons"]:
        """Pearson r of every neuron's z between the recorded model and this one, in [-1, 1], float64.

        Args:
            loaded: The second model, which reads the same tokens.
            ids: Flat id in the recorded model of every neuron of this one, -1 for none (r is NaN); None: the same ids.

        Returns:
            One value per neuron of the second model; NaN where either is constant.
        """
        layout = loaded.layout
        moments = [PairedMoments(layout.d_m) for _ in range(layout.layers)]
        places = None if ids is None else ids.reshape(layout.layers, layout.d_m)
        for number, batch in enumerate(self._batches):

            def add(layer: int, z: Shaped[torch.Tensor, "tokens d_m"], number: int = number) -> None:
                ours = self._block(number, layer) if places is None else self._columns(number, places[layer])
                moments[layer].add(ours, z.double().cpu().numpy())

            _read(loaded, batch, add)
        found = np.concatenate([each.correlation() for each in moments])
        return found if ids is None else np.where(ids < 0, np.nan, found)

    def _keeping(self, number: int, folder: Path) -> "OnTokens":
        def keep(layer: int, z: Shaped[torch.Tensor, "tokens d_m"]) -> None:
            self._places[number, layer] = _Place(self._file.tell(), len(z), z.dtype)
            with storing(f"activations of {len(z)} tokens in a scratch file in {folder}"):
                self._file.write(z.cpu().contiguous().view(torch.uint8).numpy().data)
                self._file.flush()

        return keep

    def _block(self, number: int, layer: int) -> Float[np.ndarray, "tokens d_m"]:
        """One layer of one batch."""
        place = self._places[number, layer]
        self._file.seek(place.start)
        content = bytearray(self._file.read(place.tokens * self._d_m * place.dtype.itemsize))
        return torch.frombuffer(content, dtype=place.dtype).reshape(place.tokens, self._d_m).double().numpy()

    def _columns(self, number: int, ids: Int[np.ndarray, " d_m"]) -> Float[np.ndarray, "tokens d_m"]:
        """Neurons of any layers in one batch; zeros for id -1."""
        found = np.zeros((self._places[number, 0].tokens, ids.size))
        layers = np.where(ids < 0, -1, ids // self._d_m)
        for layer in np.unique(layers[layers >= 0]):
            here = layers == layer
            found[:, here] = self._block(number, int(layer))[:, ids[here] % self._d_m]
        return found


@dataclass(frozen=True)
class _Place:
    """Where one layer of one batch is in the file."""

    start: int
    tokens: int
    dtype: torch.dtype


OnTokens = Callable[[int, Shaped[torch.Tensor, "tokens d_m"]], None]
"""Function of a layer and its z at the ordinary tokens of a batch, row by row."""


@torch.inference_mode()
def _read(loaded: LoadedModel, responses: Sequence[Response], take: OnTokens) -> None:
    """One forward pass, which gives z of every layer at every token that is neither padding nor special."""
    rows = [[*response.prompt_ids, *response.response_ids] for response in responses]
    ids, mask = padded(rows, loaded.pad_id, loaded.device)
    used = torch.from_numpy(_ordinary(responses, ids.shape[1]))
    with hooked(loaded, lambda layer, z, _h: take(layer, z[used.to(z.device)])):
        forward(loaded, ids, mask)


def _ordinary(responses: Sequence[Response], width: int) -> Bool[np.ndarray, "batch tokens"]:
    used = np.zeros((len(responses), width), dtype=bool)
    for row, response in enumerate(responses):
        for region in response.regions:
            used[row, region.start : region.stop] = region.name != "special"
    return used
