"""Neuron weights of a checkpoint, one row per neuron, from any tensor reader.

Sliced and transposed here, once: a neuron is a row of some tensors, a column of others, and may lie in half of one.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Shaped

from provenance.architectures import Layout, NeuronSlice
from provenance.checkpoints.headers import ITEM_BYTES
from provenance.errors import ArchitectureError
from provenance.weights.tensors import Rows, TensorReader, bytes_of

FLOAT_DTYPES = ("F64", "F32", "F16", "BF16")
"""Storage dtypes whose numbers are the weights; 8-bit ones mean little without scales stored elsewhere."""


class MlpWeights:
    """All tensors of one checkpoint, and its neurons by kind and layer.

    Raises:
        ArchitectureError: A projection's shape does not fit the sizes in config.json, or its numbers are quantised.
    """

    def __init__(self, reader: TensorReader, layout: Layout) -> None:
        self.reader = reader
        self.layout = layout
        self.layers = layout.layers
        self.d_m = layout.d_m
        self.d = layout.d
        self.kinds = layout.kinds
        for layer in range(layout.layers):
            for kind in layout.kinds:
                self._check(layout.slice(kind, layer).name, layout.shape(kind))

    def _check(self, name: str, wanted: tuple[int, int]) -> None:
        if self.reader.shape(name) != wanted:
            raise ArchitectureError(
                f"{name} of shape {wanted}, from config.json",
                found=f"shape {self.reader.shape(name)}",
                remedy="check that config.json belongs to these weights",
            )
        if self.reader.dtype(name) not in FLOAT_DTYPES:
            raise ArchitectureError(
                f"{name} in one of {', '.join(FLOAT_DTYPES)}",
                found=f"{self.reader.dtype(name)}, whose scales lie in other tensors",
                remedy="choose the checkpoint that is not quantised",
            )

    @property
    def dtype(self) -> str:
        """Storage dtype of the up-projection, as safetensors spells it."""
        return self.dtype_of(self.slice("up", 0).name)

    @property
    def mlp_bytes(self) -> int:
        """Stored bytes of the gate, up and down weights."""
        parts = (self.slice(kind, layer) for kind in self.kinds for layer in range(self.layers))
        return sum(bytes_of(self.reader, Rows(part.name, part.start, part.stop)) for part in parts)

    @property
    def all_bytes(self) -> int:
        """Stored bytes of all tensors."""
        shapes = {name: self.reader.shape(name) for name in self.reader.names()}
        return sum(math.prod(shape) * ITEM_BYTES[self.reader.dtype(name)] for name, shape in shapes.items())

    def slice(self, kind: str, layer: int) -> NeuronSlice:
        """Rows and tensor that hold a projection."""
        return self.layout.slice(kind, layer)

    def neurons(self, kind: str, layer: int) -> Shaped[torch.Tensor, "d_m d"]:
        """Weights of all neurons of a layer, one row each, in the storage dtype."""
        part = self.slice(kind, layer)
        if part.stop - part.start == self.reader.shape(part.name)[0]:
            weight = self.reader.read(part.name)
        else:
            (weight,) = (rows.clone() for rows in self.stream([Rows(part.name, part.start, part.stop)]))
        return weight.T if part.neurons == "columns" else weight

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        """The wanted rows in order, each valid until the next is asked for; see `TensorReader`."""
        return self.reader.stream(wanted)

    def tensor_names(self) -> list[str]:
        """Names of all tensors of the checkpoint, MLP or not."""
        return self.reader.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self.reader.shape(name)

    def dtype_of(self, name: str) -> str:
        """Storage dtype of a tensor, as safetensors spells it."""
        return self.reader.dtype(name)

    def tensor(self, name: str) -> torch.Tensor:
        """Any tensor of the checkpoint, in its storage dtype."""
        return self.reader.read(name)
