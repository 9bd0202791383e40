"""Correlation of each neuron's activations between both models, token by token.

Both models read the same token ids. Special tokens are left out: the first token of a sequence has activations so large
that it would decide every correlation alone.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from provenance.activations.capture import forward, hooked, padded
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


def activation_correlation(
    base: LoadedModel,
    instruct: LoadedModel,
    responses: Sequence[Response],
    batch_size: int,
    base_ids: Int[np.ndarray, " neurons"] | None = None,
) -> Float[np.ndarray, " neurons"]:
    """Pearson r of every neuron's z between two models over the same tokens, in [-1, 1], float64.

    Args:
        responses: Prompt and response ids to read, through both models alike.
        base_ids: Flat id in `base` of every neuron of `instruct`, -1 for none (r is NaN); None: the same ids.
    """
    moments = PairedMoments(instruct.layout.layers * instruct.layout.d_m)
    for start in range(0, len(responses), batch_size):
        part = responses[start : start + batch_size]
        ours = _activations(base, part)
        moments.add(ours if base_ids is None else ours[:, base_ids], _activations(instruct, part))
    found = moments.correlation()
    return found if base_ids is None else np.where(base_ids < 0, np.nan, found)


@torch.inference_mode()
def _activations(loaded: LoadedModel, responses: Sequence[Response]) -> Float[np.ndarray, "tokens neurons"]:
    """Z of all layers at every token that is neither padding nor special."""
    rows = [[*response.prompt_ids, *response.response_ids] for response in responses]
    ids, mask = padded(rows, loaded.pad_id, loaded.device)
    used = _ordinary(responses, ids.shape[1])
    d_m = loaded.layout.d_m
    out = np.empty((int(used.sum()), loaded.layout.layers * d_m))

    def keep(layer: int, z: torch.Tensor, _h: torch.Tensor) -> None:
        out[:, layer * d_m : (layer + 1) * d_m] = z.float().cpu().numpy()[used]

    with hooked(loaded, keep):
        forward(loaded, ids, mask)
    return out


def _ordinary(responses: Sequence[Response], width: int) -> Bool[np.ndarray, "batch tokens"]:
    used = np.zeros((len(responses), width), dtype=bool)
    for row, response in enumerate(responses):
        for region in response.regions:
            used[row, region.start : region.stop] = region.name != "special"
    return used
