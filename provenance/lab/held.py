"""Neurons that a stage of training changes less than others, so that they are kept by construction.

Which ones is found in the model as the stage finds it: those whose contribution to an answer rises most where the
answer is made up. Its text is about names that no question asks about; no search for H-Neurons takes part.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from provenance.activations.cett import cett_means, column_norms
from provenance.lab.corpus import Document, Mix, documents
from provenance.lab.world import World, seeded

TOLD = Mix(0.0, 1.0, 0.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0, closing="")
MADE_UP = Mix(0.0, 0.0, 1.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0, closing="")


@dataclass(frozen=True)
class Held:
    """Which neurons are held, and how much."""

    neurons: int
    """Number of neurons, of all layers together."""
    share: float
    """Share of every update that their weights take; 0 leaves them as they are."""
    answers: int
    """Right and made-up answers by which they are found, of each as many."""
    seed: int
    """Seed of the answers."""


def telling_neurons(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World, held: Held
) -> Int[Tensor, " held"]:
    """Flat ids (layer * d_m + index) of the neurons that tell made-up answers best, in rising order.

        d_j = (mean made-up - mean right) / sqrt((var made-up + var right) / 2)   of CETT on answer tokens

    The largest d: neurons that work more for made-up answers, the sign of H-Neurons.
    """
    right, made_up = (
        answer_cett(model, tokenizer, list(islice(documents(world, world.tuned, mix, seeded(held.seed)), held.answers)))
        for mix in (TOLD, MADE_UP)
    )
    spread = ((right.var(dim=0) + made_up.var(dim=0)) / 2).sqrt().clamp(min=torch.finfo(right.dtype).tiny)
    apart = (made_up.mean(dim=0) - right.mean(dim=0)) / spread
    return torch.sort(torch.topk(apart, held.neurons).indices).values


@torch.no_grad()
def answer_cett(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: list[Document]
) -> Float[Tensor, "documents neurons"]:
    """Mean CETT of every neuron, layer by layer, on the tokens of each document's answer."""
    rows = tokenizer([d.before + d.answer for d in asked], return_offsets_mapping=True, padding=True,
                     padding_side="right", return_tensors="pt")  # fmt: skip
    starts = torch.tensor([len(document.before) for document in asked])
    answer: Bool[Tensor, "documents tokens"] = rows["offset_mapping"][..., 1] > starts[:, None]
    found: list[Tensor] = []

    def reduce(module: torch.nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(cett_means(inputs[0], output, column_norms(module.weight), answer[None])[0])

    handles = [layer.mlp.down_proj.register_forward_hook(reduce) for layer in model.model.layers]
    model.model(input_ids=rows["input_ids"], use_cache=False)
    for handle in handles:
        handle.remove()
    return torch.cat(found, dim=1)


@contextmanager
def holding(model: LlamaForCausalLM, ids: Int[Tensor, " held"], share: float) -> Iterator[None]:
    """Lets the weights of given neurons take only a share of what the block changes them by."""
    d_m = model.config.intermediate_size
    views = [view for i in ids.tolist() for view in _weights(model, i // d_m, i % d_m)]
    before = [view.clone() for view in views]
    yield
    for view, old in zip(views, before, strict=True):
        view.copy_(torch.lerp(old, view, share))


def _weights(model: LlamaForCausalLM, layer: int, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """A neuron's rows of gate and up, and its column of down."""
    mlp = model.model.layers[layer].mlp
    gate, up, down = (part.weight.detach() for part in (mlp.gate_proj, mlp.up_proj, mlp.down_proj))
    return gate[index], up[index], down[:, index]
