"""Neuron weights of a checkpoint, one row per neuron, straight from the shards.

The one idea: neuron j is row j of the gate and up projections and column j of the down
projection, and everything downstream wants rows. The transpose happens here, once.
"""

import torch
from jaxtyping import Shaped

from provenance.architectures import Layout
from provenance.errors import ArchitectureError
from provenance.shards import Shards


class MlpWeights:
    """All tensors of one checkpoint, and its neurons by kind and layer.

    Args:
        shards: The checkpoint's safetensors.
        layout: Where its MLPs lie.

    Raises:
        ArchitectureError: A projection's shape does not fit the sizes in config.json.
    """

    def __init__(self, shards: Shards, layout: Layout) -> None:
        self._shards = shards
        self._layout = layout
        self.layers = layout.layers
        self.d_m = layout.d_m
        self.d = layout.d
        self.kinds = layout.kinds
        for layer in range(layout.layers):
            for kind in layout.kinds:
                self._check_shape(kind, layer)

    def _check_shape(self, kind: str, layer: int) -> None:
        name = self._layout.tensor(kind, layer)
        wanted = (self.d, self.d_m) if kind == "down" else (self.d_m, self.d)
        if self._shards.shape(name) != wanted:
            raise ArchitectureError(
                f"{name} of shape {wanted}, from config.json",
                found=f"shape {self._shards.shape(name)}",
                remedy="check that config.json belongs to these weights",
            )

    @property
    def dtype(self) -> str:
        """Storage dtype of the up-projection, as safetensors spells it."""
        return self._shards.dtype(self._layout.tensor("up", 0))

    def neurons(self, kind: str, layer: int) -> Shaped[torch.Tensor, "d_m d"]:
        """Weights of all neurons of a layer, one row each, in the storage dtype."""
        weight = self._shards.read(self._layout.tensor(kind, layer))
        return weight.T if kind == "down" else weight

    def tensor_names(self) -> list[str]:
        """Names of all tensors of the checkpoint, MLP or not."""
        return self._shards.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self._shards.shape(name)

    def tensor(self, name: str) -> torch.Tensor:
        """Any tensor of the checkpoint, in its storage dtype."""
        return self._shards.read(name)
