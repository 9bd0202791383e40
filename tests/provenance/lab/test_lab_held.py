"""Neurons that tuning holds: changed by their share alone, and no others."""

from dataclasses import replace

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from provenance.lab.corpus import Mix
from provenance.lab.held import Held, holding
from provenance.lab.tokenizer import make_tokenizer
from provenance.lab.train import Shape, TrainingStage, new_model, train
from provenance.lab.world import World, WorldSpec, build_world

SHAPE = Shape(width=16, layers=2, neurons=24, heads=2)
HELD = Held((1, 3, 9, 20, 30, 47), share=0.0)
STAGE = TrainingStage(Mix(1.0, 1.0, 1.0, 0.0, 0.0, 0.5, 1.0), 3, 8, 1e-2, 0.1, seed=2)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(WorldSpec(seed=3, people=(6, 4, 4), ships=(3, 3, 3), fabricated=8, values=12))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer(chat=False)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return new_model(SHAPE, tokenizer, 0)


def neuron(model: LlamaForCausalLM, flat: int) -> torch.Tensor:
    mlp = model.model.layers[flat // SHAPE.neurons].mlp
    j = flat % SHAPE.neurons
    parts = (mlp.gate_proj.weight[j], mlp.up_proj.weight[j], mlp.down_proj.weight[:, j])
    return torch.cat(parts).detach().clone()


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_held_weights_take_their_share_of_a_change(model: LlamaForCausalLM, share: float) -> None:
    before = [neuron(model, flat) for flat in (7, 30, 8)]
    with holding(model, (7, 30), share), torch.no_grad():
        for weight in model.parameters():
            weight.add_(1)
    for flat, old, taken in zip((7, 30, 8), before, (share, share, 1.0), strict=True):
        torch.testing.assert_close(neuron(model, flat), old + taken)


def test_a_stage_holds_its_neurons_and_no_others(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World
) -> None:
    """With a share of 0 exactly the held neurons are as before."""
    before = [neuron(model, flat) for flat in range(48)]
    stage = replace(STAGE, held=HELD)
    for _ in train(model, tokenizer, world, world.tuned, stage=stage, report=lambda _: None):
        pass
    same = [flat for flat in range(48) if torch.equal(neuron(model, flat), before[flat])]
    assert same == list(HELD.ids)
