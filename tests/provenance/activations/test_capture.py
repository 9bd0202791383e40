"""Capture on real model classes: what the hooks see is what the model computes, padded or not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import DENSE, WITH_VISION, load, make_checkpoint, make_response, mlps, modules_of
from reference import cett, cett_of, down_weights
from torch import nn

from provenance.activations.capture import (
    down_norms,
    down_projections,
    forward,
    hooked,
    padded,
    region_masks,
)
from provenance.activations.cett import column_norms
from provenance.errors import CaptureError
from provenance.models.loading import LoadedModel
from provenance.records import LEFT_OUT, OtherTokens, RegionName, Response
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards

QUESTIONS = {"Who?": " Paris.", "What is the capital of France, and since when?": " New York's", "a": " a b c d e f"}
BIASED = ["gpt2", "gpt_neox"]


@pytest.fixture(params=DENSE)
def loaded(request: pytest.FixtureRequest, loaded_of: Callable[[str], LoadedModel]) -> LoadedModel:
    return loaded_of(request.param)


@pytest.fixture
def responses(loaded: LoadedModel) -> list[Response]:
    return [make_response(loaded, question, answer) for question, answer in QUESTIONS.items()]


def batch(loaded: LoadedModel, responses: list[Response]) -> tuple[torch.Tensor, torch.Tensor]:
    return padded([[*r.prompt_ids, *r.response_ids] for r in responses], 0, loaded.device)


def captured(loaded: LoadedModel, ids: torch.Tensor, mask: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What the hooks see: z and h of every layer."""
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    with torch.inference_mode(), hooked(loaded, lambda layer, z, h: seen.update({layer: (z.clone(), h.clone())})):
        forward(loaded, ids, mask)
    assert sorted(seen) == list(range(loaded.layout.layers))
    return [seen[layer] for layer in range(loaded.layout.layers)]


def entering(mlps: list[nn.Module], loaded: LoadedModel, ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    """What the MLPs are called with: x of every layer."""
    seen: list[torch.Tensor] = []
    handles = [mlp.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0])) for mlp in mlps]
    with torch.inference_mode():
        forward(loaded, ids, mask)
    for handle in handles:
        handle.remove()
    return seen


def z_of(mlp: nn.Module, x: torch.Tensor, weights: MlpWeights, layer: int) -> torch.Tensor:
    """Definition of z on the neurons on disk: act(gate x) * (up x), or act(in x) in an ungated MLP."""
    modules = modules_of(mlp)
    bias = getattr(modules.get("up"), "bias", None)
    up = x @ weights.neurons("up", layer).T + (0 if bias is None else bias)
    if "gate" not in weights.kinds:
        return modules["act"](up)
    return modules["act"](x @ weights.neurons("gate", layer).T) * up


def test_z_and_h_are_what_the_neurons_on_disk_make_of_x(
    loaded: LoadedModel, responses: list[Response], checkpoint_of: Callable[[str], Path]
) -> None:
    """The rows of gate and up make z; the rows of down, times z, sum over neurons to h, bias left out."""
    weights = MlpWeights(Shards(checkpoint_of(loaded.layout.model_type)), loaded.layout)
    ids, mask = batch(loaded, responses)
    found = mlps(loaded.model)
    inputs = entering(found, loaded, ids, mask)
    with torch.inference_mode():
        for layer, (z, h) in enumerate(captured(loaded, ids, mask)):
            torch.testing.assert_close(z, z_of(found[layer], inputs[layer], weights, layer))
            torch.testing.assert_close(h, torch.einsum("btj,jd->btd", z, weights.neurons("down", layer)))


def test_hooks_see_what_the_model_computes_and_change_nothing(loaded: LoadedModel, responses: list[Response]) -> None:
    """Logits stay as they are; h and the bias together are what the model's own module makes of z."""
    ids, mask = batch(loaded, responses)
    with torch.inference_mode():
        plain = loaded.model(input_ids=ids, attention_mask=mask).logits
        with hooked(loaded, lambda _layer, _z, _h: None):
            again = loaded.model(input_ids=ids, attention_mask=mask).logits
        for (z, h), mlp in zip(captured(loaded, ids, mask), mlps(loaded.model), strict=True):
            down = modules_of(mlp)["down"]
            if down.bias is None:
                torch.testing.assert_close(h, down(z), rtol=0, atol=0)
            else:
                torch.testing.assert_close(h + down.bias, down(z))
                assert not torch.allclose(h, down(z), rtol=1e-2)
    assert plain.equal(again)


@pytest.mark.parametrize("model_type", BIASED)
def test_a_bias_of_the_down_projection_has_no_part_in_cett(
    checkpoint_of: Callable[[str], Path], model_type: str
) -> None:
    """In bfloat16 h survives a bias a thousand times its size; taken off the sum afterwards, it would not."""
    loaded = load(checkpoint_of(model_type), "bfloat16")
    ids, mask = batch(loaded, [make_response(loaded, "Who?", " Paris.")])
    last = down_projections(loaded)[-1]
    before_z, before_h = captured(loaded, ids, mask)[-1]
    with torch.no_grad():
        last.get_parameter("bias").fill_(1024.0)
    z, h = captured(loaded, ids, mask)[-1]
    assert z.equal(before_z)
    assert h.equal(before_h)
    with torch.inference_mode():
        assert not torch.allclose(last(z) - last.get_parameter("bias"), h, rtol=0.5)


def test_norms_are_computed_once_for_each_model_in_memory(
    checkpoint_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An offloaded model would read all of these weights from disk again."""
    counted: list[torch.Tensor] = []

    def count(weight: torch.Tensor) -> torch.Tensor:
        counted.append(weight)
        return column_norms(weight)

    monkeypatch.setattr("provenance.activations.capture.column_norms", count)
    first, second = (load(checkpoint_of("llama")) for _ in range(2))
    for loaded in (first, first, second):
        for found, weight in zip(down_norms(loaded), down_weights(loaded), strict=True):
            torch.testing.assert_close(found, column_norms(weight))
    assert len(counted) == 2 * first.layout.layers


def test_a_transpose_is_told_by_the_layout_and_not_by_the_shape(tmp_path: Path) -> None:
    """GPT-2 with as many neurons as it is wide: only the right way round do the neurons sum to h."""
    loaded = load(make_checkpoint(tmp_path / "square", "gpt2", intermediate_size=16))
    ids, mask = batch(loaded, [make_response(loaded, "Who?", " Paris.")])
    for (z, h), w_down in zip(captured(loaded, ids, mask), down_weights(loaded), strict=True):
        torch.testing.assert_close(z @ w_down.T, h)
        assert not torch.allclose(z @ w_down, h, rtol=0.1)


def test_a_padded_batch_equals_one_at_a_time(loaded: LoadedModel, responses: list[Response]) -> None:
    answer, other = cett_of(loaded, responses)
    for row, response in enumerate(responses):
        alone_answer, alone_other = cett_of(loaded, [response])
        np.testing.assert_allclose(answer[row], alone_answer[0], rtol=2e-4, atol=1e-6)  # float32 sums in another order
        np.testing.assert_allclose(other[row], alone_other[0], rtol=2e-4, atol=1e-6)


def test_means_equal_the_per_token_definition(loaded: LoadedModel, responses: list[Response]) -> None:
    """Token by token and neuron by neuron: the length of z_j W_down[:, j] over the length of h."""
    response = responses[1]
    ids, mask = batch(loaded, [response])
    tokens = [t for r in response.regions if r.name == "answer" for t in range(r.start, r.stop)]
    others = [t for t in range(ids.shape[1]) if t not in tokens]
    answer, other = cett_of(loaded, [response])
    layers = zip(captured(loaded, ids, mask), down_weights(loaded), strict=True)
    per_token = torch.cat([cett(z[0], h[0], w_down) for (z, h), w_down in layers], dim=1)
    np.testing.assert_allclose(answer[0], per_token[tokens].mean(0).numpy(force=True), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(other[0], per_token[others].mean(0).numpy(force=True), rtol=1e-5, atol=1e-7)
    assert not np.allclose(answer[0], other[0], rtol=1e-2)


@pytest.mark.parametrize("model_type", WITH_VISION)
def test_the_vision_tower_is_left_alone(loaded_of: Callable[[str], LoadedModel], model_type: str) -> None:
    """Its MLPs are neither hooked nor counted, not even those of Pixtral, whose modules have the same names."""
    loaded = loaded_of(model_type)
    modules = dict(loaded.model.named_modules())
    assert all("vision" not in name for name in loaded.layout.down_modules(modules.keys()))
    assert [modules_of(mlp)["down"] for mlp in mlps(loaded.model)] == down_projections(loaded)
    last = {"gemma3": "fc2", "mistral3": "down_proj"}[model_type]
    assert any("vision" in name and name.endswith(last) for name in modules)


def test_a_layer_that_never_fires_is_an_error(loaded_llama: LoadedModel) -> None:
    with (
        pytest.raises(CaptureError, match="calls per layer"),
        hooked(loaded_llama, lambda _layer, _z, _h: None),
    ):
        down_projections(loaded_llama)[0](torch.zeros(1, 1, loaded_llama.layout.d_m))


def test_hooks_are_gone_after_an_error(loaded_llama: LoadedModel) -> None:
    with pytest.raises(CaptureError), hooked(loaded_llama, lambda _layer, _z, _h: None):
        pass
    assert not any(module._forward_hooks for module in down_projections(loaded_llama))


@pytest.mark.parametrize(("other", "left_out"), LEFT_OUT.items())
def test_other_tokens_leave_out_their_regions_and_nothing_of_the_answer(
    loaded: LoadedModel, responses: list[Response], other: OtherTokens, left_out: frozenset[RegionName]
) -> None:
    """Against a mask made token by token; without the special tokens the mean is another one."""
    response = responses[1]
    names = [region.name for region in response.regions for _ in range(region.start, region.stop)]
    masks = region_masks([response], len(names), torch.device("cpu"), other)
    assert masks[0, 0].tolist() == [name == "answer" for name in names]
    assert masks[1, 0].tolist() == [name != "answer" and name not in left_out for name in names]
    answer, means = cett_of(loaded, [response], other)
    paper_answer, paper = cett_of(loaded, [response])
    np.testing.assert_array_equal(answer, paper_answer)
    assert np.array_equal(means, paper) is not bool(left_out & set(names))
