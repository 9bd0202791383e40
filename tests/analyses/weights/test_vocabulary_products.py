"""Promoted tokens and the share in the near-null space: planted truths, and the definition done the slow way."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import make_checkpoint
from safetensors.torch import load_file, save_file

from provenance.analyses.weights import vocabulary_products as module
from provenance.analyses.weights.vocabulary_products import VocabularyProducts, layer_shares, vocabulary_products
from provenance.architectures import layout_of
from provenance.checkpoints.names import inspect
from provenance.errors import NonFiniteError
from provenance.weights import unembedding as reading
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards
from provenance.weights.unembedding import Unembedding

WIDTH, LAYER, TOKEN, SILENT = 64, 1, 40, 5
Planted = Callable[..., Unembedding]


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """A tiny Llama or GPT-2: neuron 3's column is a token's row, neuron 7's lies where the unembedding is near zero."""

    def make(model_type: str = "llama", *, nan: bool = False) -> Unembedding:
        folder = make_checkpoint(tmp_path / model_type, model_type, hidden_size=WIDTH, tie_word_embeddings=False)
        file = folder / "model.safetensors"
        tensors = load_file(file)
        down, transposed = ("model.layers.1.mlp.down_proj.weight", False)
        if model_type == "gpt2":
            down, transposed = "transformer.h.1.mlp.c_proj.weight", True
        rows = tensors["lm_head.weight"]
        rows[:, SILENT] = 1.0  # every token alike, which softmax does not see
        if nan:
            rows[TOKEN, 0] = torch.nan
        columns = tensors[down].T.clone() if not transposed else tensors[down].clone()
        columns[3] = rows[TOKEN] - rows.mean(dim=0)
        columns[7] = 0
        columns[7, SILENT] = 2.5
        columns[9] = 0
        tensors[down] = columns.contiguous() if transposed else columns.T.contiguous()
        save_file(tensors, file, metadata={"format": "pt"})
        shards, config = Shards(folder), inspect(folder)
        return Unembedding.of(MlpWeights(shards, layout_of(config, shards.names())), config)

    return make


def found_in(unembedding: Unembedding, index: tuple[int, ...], top: int = 5) -> VocabularyProducts:
    return vocabulary_products(unembedding, unembedding.written(LAYER, index), unembedding.tokens, top)


def test_a_planted_row_of_the_unembedding_promotes_its_token_first(planted: Planted) -> None:
    for model_type in ("llama", "gpt2"):
        found = found_in(planted(model_type), (2, 3))
        assert found.highest[1, 0] == TOKEN
        assert found.highest[0, 0] != TOKEN
        assert found.highest_z[1, 0] > 4


def test_a_column_that_no_token_reads_has_its_whole_norm_in_the_null_space(planted: Planted) -> None:
    """And a product with no token at all, beside an ordinary column; a neuron of zeros has no share."""
    found = found_in(planted(), (7, 2, 3, 9))
    assert found.null.shape == (WIDTH, 1)
    assert found.null_share[0] == pytest.approx(1, abs=1e-9)
    assert (found.null_share[1:3] < 0.6).all()
    assert found.sd[0] < 1e-6 < found.sd[1]
    assert np.isnan(found.null_share[3])
    assert found.sd[3] == 0


def test_a_mean_that_is_not_taken_out_would_hide_the_null_space(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What raises all logits alike is seen by U and not by softmax."""
    monkeypatch.setattr(module.blas, "dsyr", lambda *_args, a, **_how: a)
    assert found_in(planted(), (7,)).null_share[0] < 0.9


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_everything_is_the_definition_in_float64(
    planted: Planted, model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a singular value decomposition of the whole matrix, whatever the size of the blocks."""
    monkeypatch.setattr(reading, "UNEMBEDDING_BYTES", 4000)
    monkeypatch.setattr(module, "NULL_FRACTION", 0.1)
    unembedding, index = planted(model_type), tuple(range(9))
    found = found_in(unembedding, index)
    reader = unembedding.weights
    rows = reader.tensor(unembedding.name).double().numpy()
    columns = reader.neurons("down", LAYER)[list(index)].double().numpy()
    if model_type == "gpt2":
        columns -= columns.mean(axis=1, keepdims=True)
    E = (rows - rows.mean(axis=0)) * unembedding.scale.double().numpy()
    products = E @ columns.T
    order = np.argsort(products, axis=0)[:, :7]  # the products of neuron 7, which no token reads, are rounding
    assert found.highest[:7].tolist() == order[::-1][:5].T.tolist()
    assert found.lowest[:7].tolist() == order[:5].T.tolist()
    np.testing.assert_allclose(found.sd, products.std(axis=0), rtol=1e-5, atol=1e-6)
    z = np.sort((products / products.std(axis=0).clip(1e-9))[:, :7], axis=0)
    np.testing.assert_allclose(found.highest_z[:7], z[::-1][:5].T, rtol=1e-4)
    np.testing.assert_allclose(found.lowest_z[:7], z[:5].T, rtol=1e-4)
    _, _, right = np.linalg.svd(E)
    null = right[-round(0.1 * WIDTH) :]
    share = np.linalg.norm(columns @ null.T, axis=1) / np.linalg.norm(columns, axis=1)
    np.testing.assert_allclose(found.null_share, share, rtol=1e-6)
    assert found.null.shape[1] == len(null)


@pytest.mark.parametrize("model_type", ["llama", "gemma2", "gpt2"])
def test_shares_of_a_whole_layer_are_those_of_its_neurons_one_by_one(
    planted: Planted, model_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks of rows or of columns, after the norm of the MLP, and less the mean that a LayerNorm takes out."""
    monkeypatch.setattr(reading, "BLOCK_BYTES", 700)
    monkeypatch.setattr(reading, "UNEMBEDDING_BYTES", 700)
    monkeypatch.setattr(module, "NULL_FRACTION", 0.1)
    if model_type == "gemma2":
        folder = make_checkpoint(tmp_path / "gemma", model_type, hidden_size=WIDTH)
        unembedding = Unembedding.of(
            MlpWeights(Shards(folder), layout_of(inspect(folder), Shards(folder).names())), inspect(folder)
        )
    else:
        unembedding = planted(model_type)
    found = found_in(unembedding, tuple(range(24)))
    shares = layer_shares(unembedding, LAYER, found.null)
    assert np.isnan(shares[9]) == (model_type != "gemma2")
    np.testing.assert_allclose(shares, found.null_share, rtol=1e-5)


def test_single_precision_finds_the_same_shares(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    unembedding = planted()
    precise = found_in(unembedding, (1, 3, 7)).null_share
    monkeypatch.setattr(module, "GRAM_BYTES", 4 * WIDTH**2)
    np.testing.assert_allclose(found_in(unembedding, (1, 3, 7)).null_share, precise, atol=1e-4)


def test_a_width_without_room_has_tokens_and_no_share(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRAM_BYTES", 4 * WIDTH**2 - 1)
    found = found_in(planted(), (3,))
    assert found.highest[0, 0] == TOKEN
    assert found.null.shape[1] == 0
    assert np.isnan(found.null_share).all()


def test_rows_of_no_token_are_left_out_and_few_tokens_are_all_listed(planted: Planted) -> None:
    unembedding = planted()
    found = vocabulary_products(unembedding, unembedding.written(LAYER, (3,)), 4, 10)
    assert sorted(found.highest[0].tolist()) == [0, 1, 2, 3]
    assert found.highest[0].tolist() == found.lowest[0].tolist()[::-1]


def test_infinite_weights_are_an_error(planted: Planted) -> None:
    with pytest.raises(NonFiniteError, match=r"lm_head\.weight"):
        found_in(planted(nan=True), (2,))
