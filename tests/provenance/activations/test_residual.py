"""The mean residual stream of answers: `output_hidden_states` of transformers, token by token, in every family."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoint_factory import DENSE, make_response
from torch import nn

from provenance.activations.capture import blocks_hooked, forward
from provenance.activations.reading import Reader
from provenance.errors import CaptureError, NonFiniteError
from provenance.models.loading import LoadedModel
from provenance.records import Region, Response

TEXTS = [" New York's\n and more", " Paris.", " a b c d e f", " of", " Paris"]
CLOSE = {"rtol": 2e-5, "atol": 2e-5}  # float32 sums of padded rows in another order


def responses_of(loaded: LoadedModel) -> list[Response]:
    return [make_response(loaded, "Who is it? " * (i % 3) + f"{i}?", text) for i, text in enumerate(TEXTS)]


def read(loaded: LoadedModel, responses: Sequence[Response]) -> np.ndarray:
    found = Reader(loaded, ["residual"]).read(responses)["residual"]
    assert found.dtype == np.float32
    return found.reshape(len(responses), loaded.layout.layers, loaded.layout.d)


def answer_tokens(response: Response) -> list[int]:
    return [t for region in response.regions if region.name == "answer" for t in range(region.start, region.stop)]


def final_norm(loaded: LoadedModel) -> nn.Module:
    decoder = loaded.model.get_decoder()
    return next(getattr(decoder, name) for name in ("norm", "final_layer_norm", "ln_f") if hasattr(decoder, name))


@torch.inference_mode()
def hidden_states(loaded: LoadedModel, response: Response) -> tuple[list[torch.Tensor], torch.Tensor]:
    """One response alone, by transformers: the stream before each block and into the final norm, and what that gives.

    `hidden_states` has the embedding first, and in place of the last block's output that of the final norm.
    """
    into: list[torch.Tensor] = []
    handle = final_norm(loaded).register_forward_pre_hook(lambda _module, given: into.append(given[0]))
    ids = torch.tensor([[*response.prompt_ids, *response.response_ids]])
    states = loaded.model(input_ids=ids, output_hidden_states=True).hidden_states
    handle.remove()
    assert len(states) == loaded.layout.layers + 1
    return [*(each[0] for each in states[:-1]), into[0][0]], states[-1][0]


@pytest.mark.parametrize("model_type", DENSE)
def test_it_is_the_mean_of_hidden_states_over_answer_tokens(
    loaded_of: Callable[[str], LoadedModel], model_type: str
) -> None:
    """Of each answer by itself, behind each block, the last one before the final norm; not of tokens beside it."""
    loaded = loaded_of(model_type)
    responses = responses_of(loaded)
    found = read(loaded, responses)
    for response, own in zip(responses, found, strict=True):
        states, _ = hidden_states(loaded, response)
        for layer in range(loaded.layout.layers):
            slow = np.zeros(loaded.layout.d)
            for token in answer_tokens(response):
                slow += states[layer + 1][token].double().numpy() / len(answer_tokens(response))
            np.testing.assert_allclose(own[layer], slow, **CLOSE)
            assert not np.allclose(own[layer], states[layer][answer_tokens(response)].mean(dim=0), rtol=1e-2)
    shifted = [replace(r, regions=tuple(_moved(region) for region in r.regions)) for r in responses]
    assert not np.allclose(read(loaded, shifted), found, rtol=1e-2)  # one token off


def _moved(region: Region) -> Region:
    return replace(region, start=region.start - 1, stop=region.stop - 1) if region.name == "answer" else region


@pytest.mark.parametrize("model_type", DENSE)
def test_the_final_norm_of_an_answer_of_one_token_is_the_last_hidden_state(
    loaded_of: Callable[[str], LoadedModel], model_type: str
) -> None:
    """So nothing is missing between what is kept and what transformers gives, and the norm is not in it."""
    loaded = loaded_of(model_type)
    response = responses_of(loaded)[3]
    [token] = answer_tokens(response)
    last = torch.tensor(read(loaded, [response])[0, -1])
    with torch.inference_mode():
        normed = final_norm(loaded)(last)
    _, given = hidden_states(loaded, response)
    np.testing.assert_allclose(normed, given[token], **CLOSE)
    assert not np.allclose(last, given[token], rtol=1e-2)


def test_blocks_that_give_something_else_are_refused(loaded_llama: LoadedModel) -> None:
    block = loaded_llama.model.get_decoder().layers[1]
    handle = block.register_forward_hook(lambda _module, _inputs, output: output[..., :-1])
    try:
        with pytest.raises(CaptureError, match="behind block 1"):
            read(loaded_llama, responses_of(loaded_llama))
    finally:
        handle.remove()


def test_a_block_that_never_runs_is_refused(loaded_llama: LoadedModel) -> None:
    ids = torch.tensor([[1, 2]])
    with pytest.raises(CaptureError, match="does not call its blocks as modules"), blocks_hooked(loaded_llama, print):
        pass
    seen: list[int] = []
    with torch.inference_mode(), blocks_hooked(loaded_llama, lambda layer, _states: seen.append(layer)):
        forward(loaded_llama, ids, torch.ones_like(ids))
    assert seen == list(range(loaded_llama.layout.layers))


def test_overflow_is_refused(loaded_llama: LoadedModel) -> None:
    block = loaded_llama.model.get_decoder().layers[-1]
    handle = block.register_forward_hook(lambda _module, _inputs, output: output + float("inf"))
    try:
        with pytest.raises(NonFiniteError, match="a finite residual stream"):
            read(loaded_llama, responses_of(loaded_llama))
    finally:
        handle.remove()
