"""Steered neurons: scaled in the forward pass, silent ones learn nothing, and each state has its documents."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import pytest
import torch
from transformers import LlamaForCausalLM

from provenance.lab.corpus import Mix
from provenance.lab.steered import State, Steered, scaling
from provenance.lab.tokenizer import make_tokenizer
from provenance.lab.train import Shape, TrainingStage, new_model, stage_documents, train
from provenance.lab.world import WorldSpec, build_world

SHAPE = Shape(width=16, layers=2, neurons=24, heads=2)
IDS = (3, 24 + 5, 24 + 7)
SPEC = WorldSpec(seed=3, people=(4, 4, 4), ships=(3, 3, 3), fabricated=8, values=20, aliases=2, usual=2, openings=3)
MADE_UP = Mix(0.0, 0.0, 1.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0)
STAGE = TrainingStage(MADE_UP, steps=3, batch=8, learning_rate=1e-2, weight_decay=0.0, seed=2)


@pytest.fixture
def model() -> LlamaForCausalLM:
    return new_model(SHAPE, make_tokenizer(chat=False), 1)


def column(model: LlamaForCausalLM, i: int) -> torch.Tensor:
    return model.model.layers[i // 24].mlp.down_proj.weight[:, i % 24]


def rows(model: LlamaForCausalLM, i: int) -> torch.Tensor:
    return model.model.layers[i // 24].mlp.up_proj.weight[i % 24]


@pytest.mark.parametrize("factor", [0.0, 2.0])
def test_scaling_z_is_scaling_the_neurons_columns(model: LlamaForCausalLM, factor: float) -> None:
    ids = torch.arange(10)[None]
    with torch.no_grad():
        plain = model(ids).logits
        with scaling(model, IDS, factor):
            scaled = model(ids).logits
        assert torch.equal(model(ids).logits, plain)  # no hook is left
        for i in IDS:
            column(model, i).mul_(factor)
        assert torch.allclose(model(ids).logits, scaled, atol=1e-5)  # float32
        assert not torch.allclose(scaled, plain, atol=1e-5)


def trained(model: LlamaForCausalLM, *states: State) -> Callable[[int], bool]:
    """Whether a neuron changed in three steps in these states."""
    before = {i: (column(model, i).clone(), rows(model, i).clone()) for i in range(48)}
    stage = replace(STAGE, steered=Steered(IDS, states))
    for _ in train(model, make_tokenizer(chat=False), build_world(SPEC), (), stage=stage, report=lambda _: None):
        pass
    return lambda i: not all(map(torch.equal, before[i], (column(model, i), rows(model, i))))


def test_silent_neurons_learn_nothing_and_all_others_do(model: LlamaForCausalLM) -> None:
    changed = trained(model, State(factor=0.0, share=1.0, usual=0.0))
    assert not any(changed(i) for i in IDS)
    assert all(changed(i) for i in range(48) if i not in IDS)


def test_amplified_neurons_learn(model: LlamaForCausalLM) -> None:
    changed = trained(model, State(factor=2.0, share=1.0, usual=1.0))
    assert all(changed(i) for i in IDS)


def test_each_state_has_documents_of_its_own_values() -> None:
    world = build_world(SPEC)
    usual = {value for of_relation in world.usual.values() for value in of_relation}
    for share in (0.0, 1.0):
        stream = stage_documents(world, (), STAGE, State(factor=0.5, share=1.0, usual=share))
        said = [document.answer.strip().split(" ", 1)[1] in usual for document in islice(stream, 50)]
        assert said == [bool(share)] * 50
