"""Interface of weight analyses to checkpoints: safetensors folders, range requests, a merged adapter, or memory."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch

from provenance.architectures import NeuronSlice
from provenance.weights.tensors import Rows


@runtime_checkable  # the test run checks signatures, this one included
class WeightSource(Protocol):
    """A checkpoint as a source of tensors; each call may read from disk or from the network."""

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

    def slice(self, kind: str, layer: int) -> NeuronSlice:
        """Which rows of which tensor hold that weight, and whether neurons are rows or columns."""

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        """The wanted rows in order; each tensor is valid until the next one is requested."""

    def tensor_names(self) -> list[str]:
        """Names of all tensors of the checkpoint, MLP or not."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""

    def dtype_of(self, name: str) -> str:
        """Storage dtype of a tensor as safetensors spells it, without reading it."""

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor by name, in its storage dtype."""


def mlp_shape(source: WeightSource) -> tuple[int, int, int, tuple[str, ...]]:
    """Layers, neurons per layer, width and kinds: equal for checkpoints with comparable neurons."""
    return source.layers, source.d_m, source.d, source.kinds


def shape_words(source: WeightSource) -> str:
    """`mlp_shape` in words."""
    kinds = ", ".join(source.kinds)
    return f"{source.layers} layers of {source.d_m} neurons, width {source.d}, weights {kinds}"
