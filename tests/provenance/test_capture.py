"""Capture on real model classes: what the hooks see is what the model computes, padded or not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import load, make_checkpoint, make_response

from provenance.capture import capture_cett, down_projections, forward, hooked, padded
from provenance.cett import cett
from provenance.errors import CaptureError
from provenance.models import LoadedModel
from provenance.records import Response

MODEL_TYPES = ["llama", "mistral", "gemma3_text", "gemma3", "qwen2", "qwen3", "olmo2"]
QUESTIONS = {"Who?": " Paris.", "What is the capital of France, and since when?": " New York's", "a": " a b c d e f"}


@pytest.fixture(scope="module", params=MODEL_TYPES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(make_checkpoint(tmp_path_factory.mktemp("capture") / request.param, request.param))


@pytest.fixture
def responses(loaded: LoadedModel) -> list[Response]:
    return [make_response(loaded, question, answer) for question, answer in QUESTIONS.items()]


def test_hooks_see_what_the_model_computes_and_change_nothing(loaded: LoadedModel, responses: list[Response]) -> None:
    """z, h and logits equal those of a plain forward with the MLP's own submodules called by hand."""
    rows = [[*r.prompt_ids, *r.response_ids] for r in responses]
    ids, mask = padded(rows, 0, loaded.device)
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    entered: dict[int, torch.Tensor] = {}
    mlps = [loaded.model.get_submodule(name.rsplit(".", 1)[0]) for name in
            loaded.layout.down_modules(dict(loaded.model.named_modules()).keys())]  # fmt: skip
    handles = [m.register_forward_pre_hook(lambda _m, a, i=i: entered.__setitem__(i, a[0])) for i, m in enumerate(mlps)]
    with torch.inference_mode():
        plain = loaded.model(input_ids=ids, attention_mask=mask).logits
        with hooked(loaded, lambda layer, z, h: seen.__setitem__(layer, (z.clone(), h.clone()))):
            again = loaded.model(input_ids=ids, attention_mask=mask).logits
        for layer, mlp in enumerate(mlps):
            x = entered[layer]
            z = mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)
            torch.testing.assert_close(seen[layer][0], z, rtol=0, atol=0)
            torch.testing.assert_close(seen[layer][1], mlp.down_proj(z), rtol=0, atol=0)
    for handle in handles:
        handle.remove()
    assert sorted(seen) == list(range(loaded.layout.layers))
    assert torch.equal(plain, again)


def test_a_padded_batch_equals_one_at_a_time(loaded: LoadedModel, responses: list[Response]) -> None:
    answer, other = capture_cett(loaded, responses)
    for row, response in enumerate(responses):
        alone_answer, alone_other = capture_cett(loaded, [response])
        np.testing.assert_allclose(answer[row], alone_answer[0], rtol=2e-4, atol=1e-6)  # float32 sums in another order
        np.testing.assert_allclose(other[row], alone_other[0], rtol=2e-4, atol=1e-6)


def test_means_equal_the_per_token_definition(loaded: LoadedModel, responses: list[Response]) -> None:
    response = responses[1]
    captured: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    ids, mask = padded([[*response.prompt_ids, *response.response_ids]], 0, loaded.device)
    with torch.inference_mode(), hooked(loaded, lambda layer, z, h: captured.__setitem__(layer, (z[0], h[0]))):
        forward(loaded, ids, mask)
    tokens = [t for r in response.regions if r.name == "answer" for t in range(r.start, r.stop)]
    others = [t for t in range(ids.shape[1]) if t not in tokens]
    answer, other = capture_cett(loaded, [response])
    weights = [module.weight for module in down_projections(loaded)]
    per_token = torch.cat([cett(*captured[layer], w) for layer, w in enumerate(weights)], dim=1)
    np.testing.assert_allclose(answer[0], per_token[tokens].mean(0).numpy(force=True), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(other[0], per_token[others].mean(0).numpy(force=True), rtol=1e-5, atol=1e-7)
    assert not np.allclose(answer[0], other[0], rtol=1e-2)


def test_the_vision_tower_is_left_alone(tmp_path: Path) -> None:
    """Gemma 3's vision MLPs are neither hooked nor counted."""
    loaded = load(make_checkpoint(tmp_path / "gemma3", "gemma3"))
    names = loaded.layout.down_modules(dict(loaded.model.named_modules()).keys())
    assert all("vision" not in name for name in names)
    assert any("vision" in name and "mlp" in name for name, _ in loaded.model.named_modules())


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
