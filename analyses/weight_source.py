"""What the weight analyses need of a checkpoint, and nothing more.

The one idea: lineage and drift read tensors one at a time by name or by (kind, layer),
so any object that can do that serves: an opened safetensors folder, a range-request
reader, or tensors in memory.
"""

from typing import Protocol, runtime_checkable

import torch


@runtime_checkable  # the test run checks signatures, this one included
class WeightSource(Protocol):
    """A checkpoint as a source of tensors; each call may read from disk and returns a tensor of its own."""

    @property
    def layers(self) -> int:
        """MLP layers of the text tower."""

    @property
    def d_m(self) -> int:
        """Neurons per layer (intermediate size)."""

    @property
    def d(self) -> int:
        """Hidden size."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """("gate", "up", "down"), or ("up", "down") for ungated layouts."""

    def neurons(self, kind: str, layer: int) -> torch.Tensor:
        """One weight of one layer in its storage dtype, (d_m, d): a row per neuron whatever the kind."""

    def tensor_names(self) -> list[str]:
        """Names of all tensors of the checkpoint, MLP or not."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor by name, in its storage dtype."""


def mlp_shape(source: WeightSource) -> tuple[int, int, int, tuple[str, ...]]:
    """Layers, neurons per layer, width and kinds: what has to agree for neurons to be put side by side."""
    return source.layers, source.d_m, source.d, source.kinds
