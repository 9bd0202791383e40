"""Correlation of a neuron with itself in another model, over the same tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import load, make_response, tuned_copy

from provenance.activations.capture import down_projections
from provenance.analyses.activity.token_correlation import PairedMoments, activation_correlation
from provenance.models.loading import LoadedModel


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
    same = activation_correlation(loaded_llama, loaded_llama, responses, 2)
    np.testing.assert_allclose(same, 1, atol=1e-9)
    other = load(tuned_copy(tiny_llama, tmp_path / "child", scale=0.0))
    mlp = other.model.model.layers[0].mlp
    with torch.no_grad():
        for weight in (mlp.gate_proj.weight, mlp.up_proj.weight):
            weight[[2, 5]] = weight[[5, 2]].clone()
        mlp.down_proj.weight[:, [2, 5]] = mlp.down_proj.weight[:, [5, 2]].clone()
    swapped = activation_correlation(loaded_llama, other, responses, 2)
    assert set(np.flatnonzero(swapped < 0.999)) == {2, 5}
    assert len(down_projections(other)) == 2


def test_batches_do_not_matter(loaded_llama: LoadedModel, tiny_llama: Path, tmp_path: Path) -> None:
    child = load(tuned_copy(tiny_llama, tmp_path / "child", scale=0.5))
    responses = [make_response(loaded_llama, f"Question {i}?" * (i + 1), " Paris") for i in range(5)]
    one, many = (activation_correlation(loaded_llama, child, responses, size) for size in (1, 5))
    np.testing.assert_allclose(one, many, atol=1e-4)
    assert np.nanmedian(one) == pytest.approx(np.nanmedian(many), abs=1e-4)
    assert np.nanmin(one) < 0.99
