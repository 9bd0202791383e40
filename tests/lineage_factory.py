"""Pairs of checkpoints in memory whose relation is planted: tuned, noised, permuted, pruned, widened, strangers."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from provenance.architectures import layout_of
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.tensors import Rows

SPELLING = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.int64: "I64", torch.int8: "I8", torch.bool: "BOOL",
}  # fmt: skip
Tensors = dict[str, torch.Tensor]


@dataclass
class MemoryReader:
    """A `TensorReader` over tensors in memory that counts rows and uses one buffer again and again."""

    tensors: Tensors
    rows_read: Counter[str] = field(default_factory=Counter)
    largest: int = 0

    def names(self) -> list[str]:
        return sorted(self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensors[name].shape)

    def dtype(self, name: str) -> str:
        return SPELLING[self.tensors[name].dtype]

    def read(self, name: str) -> torch.Tensor:
        tensor = self.tensors[name].clone()
        self.rows_read[name] += tensor.shape[0] if tensor.ndim else 1
        self.largest = max(self.largest, tensor.numel())
        return tensor

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        for rows in wanted:
            block = self.tensors[rows.name][rows.start : rows.stop].clone()
            self.rows_read[rows.name] += block.shape[0]
            self.largest = max(self.largest, block.numel())
            yield block
            block.zero_()  # who looks later than allowed sees zeros


def source(tensors: Tensors, config: dict[str, Any]) -> MlpWeights:
    """Tensors in memory as a checkpoint of a real layout."""
    return MlpWeights(MemoryReader(tensors), layout_of(config, list(tensors)))


@dataclass(frozen=True)
class Model:
    """A checkpoint of the Llama layout, as neurons: what is planted is planted here."""

    layers: tuple[torch.Tensor, ...]
    """Per layer (3, d_m, d): gate, up and down of every neuron."""
    rest: Tensors
    """All other tensors by name; those of layers with `{}` for the number are made by `tensors`."""
    attention: tuple[torch.Tensor, ...]
    """One matrix per layer that is no MLP."""
    dtype: torch.dtype = torch.float32

    @property
    def config(self) -> dict[str, Any]:
        """Its config.json."""
        _, d_m, d = self.layers[0].shape
        sizes = {"num_hidden_layers": len(self.layers), "intermediate_size": d_m, "hidden_size": d}
        return {"model_type": "llama", **sizes}

    def tensors(self, prefix: str = "model.") -> Tensors:
        """As a Llama checkpoint on disk."""
        named = {f"{prefix if name != 'lm_head.weight' else ''}{name}": tensor for name, tensor in self.rest.items()}
        for layer, (weights, attention) in enumerate(zip(self.layers, self.attention, strict=True)):
            stem = f"{prefix}layers.{layer}."
            gate, up, down = weights
            named[f"{stem}mlp.gate_proj.weight"] = gate
            named[f"{stem}mlp.up_proj.weight"] = up
            named[f"{stem}mlp.down_proj.weight"] = down.T
            named[f"{stem}self_attn.q_proj.weight"] = attention
            named[f"{stem}input_layernorm.weight"] = attention[0]
        return {name: tensor.to(self.dtype).contiguous() for name, tensor in named.items()}

    def source(self) -> MlpWeights:
        """As the analyses see it."""
        return source(self.tensors(), self.config)


def make_model(*, layers: int = 3, d_m: int = 48, d: int = 64, seed: int = 0, vocabulary: int = 50) -> Model:
    """Random weights, as an initialisation gives them."""
    rng = torch.Generator().manual_seed(seed)
    return Model(
        tuple(torch.randn(3, d_m, d, generator=rng) for _ in range(layers)),
        {
            "embed_tokens.weight": torch.randn(vocabulary, d, generator=rng),
            "norm.weight": torch.randn(d, generator=rng),
        },
        tuple(torch.randn(d, d, generator=rng) for _ in range(layers)),
    )


def each_layer(model: Model, change: Callable[[int, torch.Tensor], torch.Tensor]) -> Model:
    """The model with the neurons of each layer passed through `change(layer, neurons)`."""
    return Model(
        tuple(change(i, weights.clone()) for i, weights in enumerate(model.layers)),
        model.rest, model.attention, model.dtype,
    )  # fmt: skip


def noised(model: Model, share: float, seed: int = 9) -> Model:
    """Gaussian noise of a share of the weights' size, on everything."""
    rng = torch.Generator().manual_seed(seed)

    def noise(tensor: torch.Tensor) -> torch.Tensor:
        return tensor + share * tensor.std() * torch.randn(tensor.shape, generator=rng)

    return Model(
        tuple(noise(weights) for weights in model.layers),
        {name: noise(tensor) for name, tensor in model.rest.items()},
        tuple(noise(weights) for weights in model.attention),
        model.dtype,
    )


def order(d_m: int, layer: int, seed: int = 5) -> np.ndarray:
    """The planted order of a layer: neuron j of the permuted model is neuron order[j] of the other."""
    return np.random.default_rng([seed, layer]).permutation(d_m)


def permuted(model: Model, seed: int = 5) -> Model:
    """Neurons of every layer in another order, the same for gate, up and down."""
    return each_layer(model, lambda layer, weights: weights[:, order(weights.shape[1], layer, seed)])


def partial_order(d_m: int, layer: int, share: float, seed: int = 5) -> np.ndarray:
    """An order of a layer that moves this share of its neurons, and no other one; two at least."""
    rng = np.random.default_rng([seed, layer])
    places = rng.choice(d_m, size=max(2, round(share * d_m)), replace=False)
    indices = np.arange(d_m)
    indices[places] = np.roll(places, 1)
    return indices


def reordered(model: Model, orders: Mapping[int, np.ndarray]) -> Model:
    """The neurons of some layers in another order."""
    return each_layer(model, lambda layer, weights: weights[:, orders[layer]] if layer in orders else weights)


def emptied(model: Model, share: float, seed: int = 3) -> Model:
    """A share of each layer's neurons, side by side, set to zero."""

    def empty(layer: int, weights: torch.Tensor) -> torch.Tensor:
        d_m = weights.shape[1]
        first = int(np.random.default_rng([seed, layer]).integers(d_m - round(share * d_m) + 1))
        weights[:, first : first + round(share * d_m)] = 0
        return weights

    return each_layer(model, empty)


def survivors(d_m: int, share: float, layer: int, seed: int = 6) -> np.ndarray:
    """Neurons of a layer that pruning keeps."""
    rng = np.random.default_rng([seed, layer])
    return np.sort(rng.choice(d_m, size=round(share * d_m), replace=False))


def pruned(model: Model, share: float, seed: int = 6) -> Model:
    """A share of each layer's neurons kept, in their order."""
    return each_layer(model, lambda layer, weights: weights[:, survivors(weights.shape[1], share, layer, seed)])


def widened(model: Model, more: int, seed: int = 7) -> Model:
    """New neurons after each layer's old ones."""
    rng = torch.Generator().manual_seed(seed)

    def add(_: int, weights: torch.Tensor) -> torch.Tensor:
        return torch.cat([weights, torch.randn(3, more, weights.shape[2], generator=rng)], dim=1)

    return each_layer(model, add)


def with_layers(model: Model, kept: Sequence[int]) -> Model:
    """Only some layers, in the order given; one may come twice."""
    return Model(tuple(model.layers[i] for i in kept), model.rest, tuple(model.attention[i] for i in kept), model.dtype)
