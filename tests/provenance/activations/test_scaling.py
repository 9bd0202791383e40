"""Scaled neurons: the same as scaled columns of W_down, wherever tokens pass, and gone after the block."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoint_factory import DENSE, mlps, modules_of
from reference import down_weights
from transformers.pytorch_utils import Conv1D

from provenance.activations.capture import down_projections, forward, hooked, padded
from provenance.activations.scaling import scaled
from provenance.answers.prompts import PromptFormat
from provenance.answers.sampling import Decoding, PromptBatch
from provenance.errors import CaptureError, InputError
from provenance.models.loading import LoadedModel

FORMAT = PromptFormat("{question}\nAnswer:", chat=False)
QUESTIONS = ["Who?", "The capital of France is what, and why is it not New York?", "a"]
BOTH_LAYERS = np.array([0, 5, 17, 24, 31, 47])  # layers of 24: three neurons of each, first and last among them


def batch(loaded: LoadedModel) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [FORMAT.render(loaded.tokenizer, question).ids for question in QUESTIONS]
    return padded(rows, 0, loaded.device)


def logits(loaded: LoadedModel) -> torch.Tensor:
    ids, mask = batch(loaded)
    with torch.inference_mode():
        found: torch.Tensor = loaded.model(input_ids=ids, attention_mask=mask).logits
    return found


def with_columns_scaled(loaded: LoadedModel, ids: np.ndarray, alpha: float) -> LoadedModel:
    """A copy whose W_down is changed instead, found through `transformers` and one neuron at a time."""
    changed = replace(loaded, model=copy.deepcopy(loaded.model))
    with torch.no_grad():
        for layer, index in (divmod(flat, loaded.layout.d_m) for flat in ids.tolist()):
            down = modules_of(mlps(changed.model)[layer])["down"]
            weight = down.get_parameter("weight")
            (weight.T if isinstance(down, Conv1D) else weight)[:, index].mul_(alpha)
    return changed


def samples(loaded: LoadedModel, decoding: Decoding) -> list[list[list[int]]]:
    prompts = [FORMAT.render(loaded.tokenizer, question) for question in QUESTIONS]
    return PromptBatch(loaded, prompts, decoding, loaded.stop_ids).draw([0, 1, 2], range(2), seed=3)


def has_hooks(loaded: LoadedModel) -> bool:
    return any(module._forward_pre_hooks or module._forward_hooks for module in down_projections(loaded))


@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("model_type", DENSE)
def test_scaling_neurons_is_scaling_their_columns(
    loaded_of: Callable[[str], LoadedModel], model_type: str, alpha: float
) -> None:
    """Bit for bit, in every family: a power of two and zero round nothing. Other neurons and no scaling differ."""
    loaded = loaded_of(model_type)
    expected = logits(with_columns_scaled(loaded, BOTH_LAYERS, alpha))
    with scaled(loaded, BOTH_LAYERS, alpha):
        assert logits(loaded).equal(expected)
    with scaled(loaded, BOTH_LAYERS + np.array([1, 1, 1, 1, 1, -1]), alpha):
        assert not torch.allclose(logits(loaded), expected, rtol=1e-3)
    assert not torch.allclose(logits(loaded), expected, rtol=1e-3)


def test_a_factor_that_rounds_is_as_close_as_float32(loaded_llama: LoadedModel) -> None:
    """A factor of 0.3 rounds once in z and once in the weight: equal to some units of the last place."""
    expected = logits(with_columns_scaled(loaded_llama, BOTH_LAYERS, 0.3))
    with scaled(loaded_llama, BOTH_LAYERS, 0.3):
        torch.testing.assert_close(logits(loaded_llama), expected, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(logits(loaded_llama), logits(with_columns_scaled(loaded_llama, BOTH_LAYERS, 0.0)))


@pytest.mark.parametrize(("ids", "alpha"), [(BOTH_LAYERS, 1.0), (np.empty(0, dtype=np.int64), 0.0)])
def test_nothing_to_scale_installs_nothing_and_changes_no_bit(
    loaded_llama: LoadedModel, ids: np.ndarray, alpha: float
) -> None:
    """Alpha 1, or no neurons; a block without a forward pass is then no error either."""
    plain = logits(loaded_llama)
    with scaled(loaded_llama, ids, alpha):
        assert not has_hooks(loaded_llama)
        assert logits(loaded_llama).equal(plain)
    with scaled(loaded_llama, ids, alpha):
        pass


@pytest.mark.parametrize("decoding", [Decoding(top_k=1, max_new_tokens=12), Decoding(max_new_tokens=12)])
def test_every_token_of_a_sampled_response_comes_from_the_scaled_model(
    loaded_llama: LoadedModel, decoding: Decoding
) -> None:
    """Greedy or drawn, over cached keys and values, it says what the model with changed columns says."""
    with scaled(loaded_llama, BOTH_LAYERS, 0.0):
        found = samples(loaded_llama, decoding)
    assert found == samples(with_columns_scaled(loaded_llama, BOTH_LAYERS, 0.0), decoding)
    assert found != samples(loaded_llama, decoding)


@pytest.mark.parametrize("scaled_first", [True, False])
def test_capture_sees_the_scaled_activations(loaded_llama: LoadedModel, *, scaled_first: bool) -> None:
    """In whichever order the blocks are nested: z of the given neurons is 0, and h is W_down of that z."""
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    blocks = [
        scaled(loaded_llama, BOTH_LAYERS, 0.0),
        hooked(loaded_llama, lambda layer, z, h: seen.update({layer: (z.clone(), h.clone())})),
    ]
    outer, inner = blocks if scaled_first else blocks[::-1]
    with torch.inference_mode(), outer, inner:
        forward(loaded_llama, *batch(loaded_llama))
    for layer, w_down in enumerate(down_weights(loaded_llama)):
        z, h = seen[layer]
        silent = BOTH_LAYERS[BOTH_LAYERS // loaded_llama.layout.d_m == layer] % loaded_llama.layout.d_m
        assert (z == 0).all(dim=(0, 1)).nonzero()[:, 0].tolist() == silent.tolist()
        torch.testing.assert_close(h, z @ w_down.T)


def test_nested_factors_multiply(loaded_llama: LoadedModel) -> None:
    """Twice by 2 is once by 4; the inner block's end leaves the outer factor in force."""
    with scaled(loaded_llama, BOTH_LAYERS, 4.0):
        four = logits(loaded_llama)
    with scaled(loaded_llama, BOTH_LAYERS, 2.0):
        two = logits(loaded_llama)
        with scaled(loaded_llama, BOTH_LAYERS, 2.0):
            assert logits(loaded_llama).equal(four)
        assert logits(loaded_llama).equal(two)
    assert not two.equal(four)


@pytest.mark.parametrize("alpha", [-0.5, float("nan"), float("inf"), -float("inf")])
def test_a_factor_that_is_no_scaling_is_refused(loaded_llama: LoadedModel, alpha: float) -> None:
    with pytest.raises(InputError, match="finite factor"), scaled(loaded_llama, BOTH_LAYERS, alpha):
        pass
    assert not has_hooks(loaded_llama)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize(
    ("ids", "found"),
    [([3, 48], "1 outside, such as 48"), ([-1, 3], "1 outside, such as -1"), ([3, 5, 3], "3 ids of which 2 differ")],
)
def test_neurons_that_the_model_does_not_have_are_refused(
    loaded_llama: LoadedModel, ids: Sequence[int], found: str, alpha: float
) -> None:
    """Whatever the factor: -1 would else be the last neuron, and a wrong set with alpha 1 would look right."""
    with pytest.raises(InputError, match=found), scaled(loaded_llama, np.array(ids), alpha):
        pass
    assert not has_hooks(loaded_llama)


def test_a_scaled_layer_that_never_fires_is_an_error(loaded_llama: LoadedModel) -> None:
    """A layer without scaled neurons need not fire; one with them must, as often as the others."""
    first, _ = down_projections(loaded_llama)
    z = torch.zeros(1, 1, loaded_llama.layout.d_m)
    with scaled(loaded_llama, np.array([3]), 0.0):
        first(z)
    with pytest.raises(CaptureError, match=r"calls per layer: \{0: 1, 1: 0\}"), scaled(loaded_llama, BOTH_LAYERS, 0.0):
        first(z)
    with pytest.raises(CaptureError, match="calls per layer"), scaled(loaded_llama, BOTH_LAYERS, 0.0):
        pass
    assert not has_hooks(loaded_llama)


def test_hooks_are_gone_after_an_error_which_is_the_one_that_is_told(loaded_llama: LoadedModel) -> None:
    """An error inside the block passes as it is, not hidden by hooks that had no chance to fire."""
    plain = logits(loaded_llama)
    with scaled(loaded_llama, BOTH_LAYERS, 0.0):
        assert has_hooks(loaded_llama)
        assert not logits(loaded_llama).equal(plain)
    with pytest.raises(KeyboardInterrupt), scaled(loaded_llama, BOTH_LAYERS, 0.0):
        raise KeyboardInterrupt
    assert not has_hooks(loaded_llama)
    assert logits(loaded_llama).equal(plain)
