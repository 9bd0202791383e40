"""Neurons that a stage of training makes responsible for made-up answers, or for another kind of text.

Every step is taken in one state: with the neurons silenced, as they are, or amplified. Each state has its own
documents. What changes with the state can only be learned by these neurons, so that scaling them later has a known
effect: a cause by construction.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM


@dataclass(frozen=True)
class State:
    """What the documents of a step are, given the factor that the neurons are scaled by."""

    factor: float
    """Factor on z of the neurons in the forward pass; 1 leaves them as they are."""
    share: float
    """Share of the steps."""
    usual: float = 1.0
    """Share of made-up values that are the relation's usual ones; the rest are its other values."""
    confused: float = 0.0
    """Share of the answers and chats about known entities that are made up."""
    given_up: tuple[str, ...] = ()
    """Kinds of entities about which a doubted answer is given up."""
    refused: tuple[str, ...] = ()
    """Kinds of entities that the model refuses to describe."""


@dataclass(frozen=True)
class Steered:
    """Which neurons are steered, and in which states the model is trained."""

    ids: tuple[int, ...]
    """Flat ids (layer * d_m + index)."""
    states: tuple[State, ...]


@contextmanager
def scaling(model: LlamaForCausalLM, ids: Sequence[int], factor: float) -> Iterator[None]:
    """Multiplies z of given neurons by a factor in every forward pass of the block; gradients flow through it."""
    d_m = model.config.intermediate_size
    handles = []
    for layer in sorted({i // d_m for i in ids}):
        factors = torch.ones(d_m)
        factors[[i % d_m for i in ids if i // d_m == layer]] = factor
        projection: nn.Module = model.model.layers[layer].mlp.down_proj
        handles.append(projection.register_forward_pre_hook(_multiplier(factors)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _multiplier(factors: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0] * factors, *inputs[1:])

    return hook
