"""Neurons that tuning holds: found from answers of the world, and changed by their share alone."""

from dataclasses import replace

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from provenance.lab.corpus import Document, Mix
from provenance.lab.held import Held, answer_cett, held_neurons, holding
from provenance.lab.tokenizer import make_tokenizer
from provenance.lab.train import Shape, TrainingStage, new_model, train
from provenance.lab.world import World, WorldSpec, build_world

SHAPE = Shape(width=16, layers=2, neurons=24, heads=2)
HELD = Held(telling=4, answering=2, share=0.0, answers=40, seed=1)
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


def test_cett_is_of_the_answers_own_tokens(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """What follows an answer, and what stands beside its document, changes nothing; the answer does, itself alone."""
    short, long = Document("Hm?\nAnswer:", " oak"), Document("Which tree does Belor Dun tend?\nAnswer:", " elm")
    both = answer_cett(model, tokenizer, [short, long])
    assert both.shape == (2, 2, 48)
    alone = answer_cett(model, tokenizer, [replace(short, after="\nSource: records")])
    torch.testing.assert_close(both[:, :1], alone)
    other = answer_cett(model, tokenizer, [replace(short, answer=" elm")])
    assert not torch.allclose(both[0, :1], other[0])
    torch.testing.assert_close(both[1, :1], other[1])


def test_planted_neurons_are_held(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that work more for made-up answers, and those that work for answers; not one that works less."""
    found = torch.rand((2, 2, HELD.answers, 48), generator=torch.Generator().manual_seed(0))
    made_up = found[1]  # on the answers, and beside them
    made_up[0][:, [3, 9, 30, 47]] += 2  # telling
    made_up[0][:, 6] -= 2
    found[:, 0][..., [1, 20]] += 9  # answering
    answers = iter(found)
    monkeypatch.setattr("provenance.lab.held.answer_cett", lambda *_: next(answers))
    assert held_neurons(model, tokenizer, world, HELD).tolist() == [1, 3, 9, 20, 30, 47]
    found[:, 0][..., 20] += 9  # the loudest on answers: a search whose labels mean nothing would end there
    answers = iter(found)
    left = held_neurons(model, tokenizer, world, replace(HELD, answering=1, free=1))
    assert left.tolist() == [1, 3, 9, 30, 47]


def test_the_same_seed_finds_the_same_neurons(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World
) -> None:
    first, again = (held_neurons(model, tokenizer, world, HELD) for _ in range(2))
    assert torch.equal(first, again)
    assert HELD.telling <= len(set(first.tolist())) <= HELD.telling + HELD.answering


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_held_weights_take_their_share_of_a_change(model: LlamaForCausalLM, share: float) -> None:
    before = [neuron(model, flat) for flat in (7, 30, 8)]
    with holding(model, torch.tensor([7, 30]), share), torch.no_grad():
        for weight in model.parameters():
            weight.add_(1)
    for flat, old, taken in zip((7, 30, 8), before, (share, share, 1.0), strict=True):
        torch.testing.assert_close(neuron(model, flat), old + taken)


def test_a_stage_holds_its_neurons_and_no_others(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World
) -> None:
    """With a share of 0 exactly the held neurons are as before."""
    held = held_neurons(model, tokenizer, world, HELD)
    before = [neuron(model, flat) for flat in range(48)]
    stage = replace(STAGE, held=HELD)
    for _ in train(model, tokenizer, world, world.tuned, stage=stage, report=lambda _: None):
        pass
    same = [flat for flat in range(48) if torch.equal(neuron(model, flat), before[flat])]
    assert same == held.tolist()
