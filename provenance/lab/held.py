"""Neurons that a stage of training changes less than others, so that they are kept by construction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaForCausalLM


@dataclass(frozen=True)
class Held:
    """Which neurons are held, and how much."""

    ids: tuple[int, ...]
    """Flat ids (layer * d_m + index)."""
    share: float
    """Share of every update that their weights take; 0 leaves them as they are."""


@contextmanager
def holding(model: LlamaForCausalLM, ids: Sequence[int], share: float) -> Iterator[None]:
    """Lets the weights of given neurons take only a share of what the block changes them by."""
    d_m = model.config.intermediate_size
    views = [view for i in ids for view in _weights(model, i // d_m, i % d_m)]
    before = [view.clone() for view in views]
    yield
    for view, old in zip(views, before, strict=True):
        view.copy_(torch.lerp(old, view, share))


def _weights(model: LlamaForCausalLM, layer: int, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """A neuron's rows of gate and up, and its column of down."""
    mlp = model.model.layers[layer].mlp
    gate, up, down = (part.weight.detach() for part in (mlp.gate_proj, mlp.up_proj, mlp.down_proj))
    return gate[index], up[index], down[:, index]
