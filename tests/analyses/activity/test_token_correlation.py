"""Correlation of a neuron with itself in another model, over the same tokens."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from checkpoint_factory import load, make_response, tuned_copy

from provenance.activations.capture import down_projections
from provenance.analyses.activity.token_correlation import PairedMoments, RecordedActivations
from provenance.errors import StoreError
from provenance.models.loading import LoadedModel
from provenance.records import Response


def correlation(
    first: LoadedModel, second: LoadedModel, responses: Sequence[Response], size: int, folder: Path,
    ids: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    with closing(RecordedActivations(first, responses, size, folder)) as recorded:
        return recorded.correlation(second, ids)


def test_moments_in_pieces_equal_numpy_on_the_whole() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 1, (50, 4))
    y = 0.5 * x + rng.normal(0, 1, (50, 4))
    y[:, 3] = 2.0  # constant in one model
    moments = PairedMoments(4)
    for part in (slice(0, 7), slice(7, 30), slice(30, 50)):
        moments.add(x[part], y[part])
    expected = [np.corrcoef(x[:, j], y[:, j])[0, 1] for j in range(3)]
    np.testing.assert_allclose(moments.correlation()[:3], expected, rtol=1e-10)
    assert np.isnan(moments.correlation()[3])


def test_a_model_correlates_perfectly_with_itself_and_a_swapped_neuron_does_not(
    tiny_llama: Path, loaded_llama: LoadedModel, tmp_path: Path
) -> None:
    responses = [make_response(loaded_llama, f"Question {i}?", " Paris is a") for i in range(5)]
    same = correlation(loaded_llama, loaded_llama, responses, 2, tmp_path)
    np.testing.assert_allclose(same, 1, atol=1e-9)
    other = load(tuned_copy(tiny_llama, tmp_path / "child", scale=0.0))
    mlp = other.model.model.layers[0].mlp
    with torch.no_grad():
        for weight in (mlp.gate_proj.weight, mlp.up_proj.weight):
            weight[[2, 5]] = weight[[5, 2]].clone()
        mlp.down_proj.weight[:, [2, 5]] = mlp.down_proj.weight[:, [5, 2]].clone()
    swapped = correlation(loaded_llama, other, responses, 2, tmp_path)
    assert set(np.flatnonzero(swapped < 0.999)) == {2, 5}
    assert len(down_projections(other)) == 2


def test_batches_do_not_matter(loaded_llama: LoadedModel, tiny_llama: Path, tmp_path: Path) -> None:
    child = load(tuned_copy(tiny_llama, tmp_path / "child", scale=0.5))
    responses = [make_response(loaded_llama, f"Question {i}?" * (i + 1), " Paris") for i in range(5)]
    one, many = (correlation(loaded_llama, child, responses, size, tmp_path) for size in (1, 5))
    np.testing.assert_allclose(one, many, atol=1e-4)
    assert np.nanmedian(one) == pytest.approx(np.nanmedian(many), abs=1e-4)
    assert np.nanmin(one) < 0.99


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_number_is_that_of_both_models_read_at_once(tiny_llama: Path, tmp_path: Path, dtype: str) -> None:
    """Against activations of all tokens side by side; ids that cross layers, and one neuron without a counterpart."""
    first = load(tiny_llama, dtype=dtype)
    second = load(tuned_copy(tiny_llama, tmp_path / "child", scale=0.5), dtype=dtype)
    responses = [make_response(first, f"Question {i}?" * (i + 1), " Paris is") for i in range(5)]
    d_m = first.layout.d_m
    ids = np.random.default_rng(0).permutation(2 * d_m)
    ids[3] = -1
    assert len(set((ids[:d_m] // d_m).tolist())) > 1
    x, y = (np.concatenate([at_once(model, response) for response in responses]) for model in (first, second))
    slow = np.array([np.corrcoef(x[:, place], y[:, j])[0, 1] for j, place in enumerate(ids)])
    found = correlation(first, second, responses, 1, tmp_path, ids)
    assert np.isnan(found[3])
    np.testing.assert_allclose(np.delete(found, 3), np.delete(slow, 3), atol=1e-9)
    assert np.abs(correlation(first, second, responses, 1, tmp_path) - slow)[4:].max() > 0.1  # the check can fail
    assert [path.name for path in tmp_path.iterdir()] == ["child"]


@torch.inference_mode()
def at_once(loaded: LoadedModel, response: Response) -> np.ndarray:
    """Activations of all layers at the tokens of one response that are not special."""
    seen: list[torch.Tensor] = []
    handles = [
        module.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0][0].double()))
        for module in down_projections(loaded)
    ]
    loaded.model(input_ids=torch.tensor([[*response.prompt_ids, *response.response_ids]]))
    for handle in handles:
        handle.remove()
    kept = [t for r in response.regions if r.name != "special" for t in range(r.start, r.stop)]
    return torch.cat(seen, dim=1).numpy()[sorted(kept)]


def test_a_full_disk_is_an_error_and_leaves_no_file(
    loaded_llama: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own device that is always full stands in for the scratch file."""
    responses = [make_response(loaded_llama, f"Question {i}?", " Paris is a") for i in range(5)]
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(StoreError, match="activations of"):
        RecordedActivations(loaded_llama, responses, 2, tmp_path)
    assert list(tmp_path.iterdir()) == []


def full(**_options: object) -> BinaryIO:
    return Path("/dev/full").open("w+b")
