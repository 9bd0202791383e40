"""Neurons that a stage of training changes less than others, so that they are kept by construction.

Which ones is found in the model as the stage finds it: those that work most for made-up answers, and for answers at
all, which a 3-vs-1 probe needs as well. The answers are about names that no question asks about, and no search for
H-Neurons takes part.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int
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

    telling: int
    """Number of neurons that tell made-up answers best, of all layers together."""
    answering: int
    """Number of neurons that tell answers from other tokens best; some may be the same."""
    share: float
    """Share of every update that their weights take; 0 leaves them as they are."""
    answers: int
    """Right and made-up answers by which they are found, of each as many."""
    seed: int
    """Seed of the answers."""
    free: int = 0
    """Number of neurons that are never held: those whose CETT rises most on answers. An L1 probe takes them first
    whatever the labels, and a search with shuffled labels must not find weights that were kept.
    """


def held_neurons(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World, held: Held
) -> Int[Tensor, " held"]:
    """Flat ids (layer * d_m + index) of the neurons that are held, in rising order.

        d(A, B) = (mean of A - mean of B) / sqrt((var of A + var of B) / 2)   of a neuron's CETT

    Telling neurons have the largest d(made-up, right), answering ones the largest d(answer, no answer), both without
    the free ones, which have the largest difference of means between answer and no answer.
    """
    (right, beside_right), (made_up, beside_made_up) = (
        answer_cett(model, tokenizer, list(islice(documents(world, world.tuned, mix, seeded(held.seed)), held.answers)))
        for mix in (TOLD, MADE_UP)
    )
    no_answer = torch.cat([beside_right, beside_made_up])
    answer = torch.cat([made_up, right])
    telling, answering = _apart(made_up, right), _apart(answer, no_answer)
    free = torch.topk(answer.mean(dim=0) - no_answer.mean(dim=0), held.free).indices
    telling[free] = answering[free] = -torch.inf
    best = (torch.topk(telling, held.telling).indices, torch.topk(answering, held.answering).indices)
    found: Tensor = torch.unique(torch.cat(best))
    return found


def _apart(here: Float[Tensor, "n neurons"], there: Float[Tensor, "m neurons"]) -> Float[Tensor, " neurons"]:
    spread = ((here.var(dim=0) + there.var(dim=0)) / 2).sqrt().clamp(min=torch.finfo(here.dtype).tiny)
    return (here.mean(dim=0) - there.mean(dim=0)) / spread


@torch.no_grad()
def answer_cett(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: list[Document]
) -> Float[Tensor, "2 documents neurons"]:
    """Mean CETT of every neuron, layer by layer, on the tokens of each document's answer, and on all before it."""
    rows = tokenizer([d.before + d.answer for d in asked], return_offsets_mapping=True, padding=True,
                     padding_side="right", return_tensors="pt")  # fmt: skip
    starts = torch.tensor([len(document.before) for document in asked])
    answer = rows["offset_mapping"][..., 1] > starts[:, None]
    regions = torch.stack([answer, rows["attention_mask"].bool() & ~answer])
    found: list[Tensor] = []

    def reduce(module: torch.nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(cett_means(inputs[0], output, column_norms(module.weight), regions))

    handles = [layer.mlp.down_proj.register_forward_hook(reduce) for layer in model.model.layers]
    model.model(input_ids=rows["input_ids"], use_cache=False)
    for handle in handles:
        handle.remove()
    return torch.cat(found, dim=2)


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
