"""What turns a neuron into logits is where each family has it; the truth is the model that `transformers` builds."""

import dataclasses
from pathlib import Path

import pytest
import torch
from checkpoint_factory import DENSE, make_checkpoint, mlps, neurons_of
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from provenance.architectures import layout_of
from provenance.checkpoints.names import inspect
from provenance.errors import ArchitectureError
from provenance.models.loading import load_model
from provenance.weights import unembedding as module
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards
from provenance.weights.unembedding import Unembedding

LAYER, INDEX = 1, (3, 0, 17)


def opened(folder: Path) -> Unembedding:
    shards, config = Shards(folder), inspect(folder)
    return Unembedding.of(MlpWeights(shards, layout_of(config, shards.names())), config)


def scaled_norms(folder: Path) -> Path:
    """The same checkpoint with other weights in every norm, which are all alike when it is made."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    generator = torch.Generator().manual_seed(5)
    for name, tensor in tensors.items():
        if "norm" in name.lower() or ".ln_" in name:
            tensors[name] = tensor + 0.5 * torch.rand(tensor.shape, generator=generator)
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


def products_of(unembedding: Unembedding) -> torch.Tensor:
    """Products of three neurons with all tokens, (3, V), less their mean."""
    rows = torch.cat([block.clone() for block in unembedding.blocks(unembedding.tokens)]).float()
    found = (unembedding.written(LAYER, INDEX) * unembedding.scale) @ rows.T
    return found - found.mean(dim=1, keepdim=True)


def read_by(model: PreTrainedModel) -> torch.Tensor:
    """The same through the modules of the model, each of which divides by a number of its own."""
    decoder = model.get_decoder()
    layer = (decoder.h if hasattr(decoder, "h") else decoder.layers)[LAYER]
    final = next(getattr(decoder, name) for name in ("norm", "final_layer_norm", "ln_f") if hasattr(decoder, name))
    after = getattr(layer, "post_feedforward_layernorm", getattr(layer, "post_mlp_layernorm", torch.nn.Identity()))
    columns = neurons_of(mlps(model)[LAYER])["down"][list(INDEX)].float()
    with torch.no_grad():
        stream = final(after(columns)) - final(torch.zeros_like(columns))  # less the bias of a LayerNorm
        logits = stream @ model.get_output_embeddings().weight.float().T
    return logits - logits.mean(dim=1, keepdim=True)


@pytest.mark.parametrize("model_type", DENSE)
def test_products_are_those_of_the_models_own_norms_and_unembedding(tmp_path: Path, model_type: str) -> None:
    """In every layout, up to the norms' positive divisors; ids of tokens are rows."""
    folder = scaled_norms(make_checkpoint(tmp_path / "model", model_type))
    found = products_of(opened(folder))
    truth = read_by(load_model(folder, opened(folder).weights.layout).model)
    # float32 through other divisions; the norms' epsilon is no part of the products
    unit = found.norm(dim=1) / truth.norm(dim=1)
    torch.testing.assert_close(found, truth * unit[:, None], rtol=1e-4, atol=1e-4 * float(found.abs().max()))


@pytest.mark.parametrize("changed", ["norm", "after", "mean"])
def test_a_norm_that_is_left_out_would_be_noticed(tmp_path: Path, changed: str) -> None:
    folder = scaled_norms(make_checkpoint(tmp_path / "model", "gpt2" if changed == "mean" else "gemma2"))
    truth = read_by(load_model(folder, opened(folder).weights.layout).model)
    unembedding = opened(folder)
    without = {"norm": {}, "after": {"after_mlp": ""}, "mean": {"centred": False}}[changed]
    scale = torch.ones_like(unembedding.scale) if changed == "norm" else unembedding.scale
    unembedding = dataclasses.replace(
        unembedding, scale=scale, places=dataclasses.replace(unembedding.places, **without)
    )
    cosine = torch.nn.functional.cosine_similarity(products_of(unembedding), truth, dim=1)
    assert (cosine < 0.999).all()


@pytest.mark.parametrize("model_type", ["llama", "gemma2", "gpt2", "gpt_neox", "mistral3", "gemma3"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_unembedding_is_the_embedding_and_another_is_its_own(
    tmp_path: Path, model_type: str, tied: bool
) -> None:
    """As `transformers` has it, whatever the family's default."""
    folder = make_checkpoint(tmp_path / "model", model_type, tie_word_embeddings=tied)
    unembedding = opened(folder)
    model = load_model(folder, unembedding.weights.layout).model
    rows = torch.cat([block.clone() for block in unembedding.blocks(unembedding.tokens)])
    assert rows.equal(model.get_output_embeddings().weight)
    assert ("embed_out" in unembedding.name or "lm_head" in unembedding.name) == (
        model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    )


def test_columns_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for model_type in ("llama", "gpt2"):
        unembedding = opened(make_checkpoint(tmp_path / model_type, model_type))
        whole = products_of(unembedding)
        monkeypatch.setattr(module, "BLOCK_BYTES", 300)  # two rows of 24 or three of 16
        monkeypatch.setattr(module, "UNEMBEDDING_BYTES", 300)
        assert len(list(unembedding.blocks(unembedding.tokens))) > 10
        assert products_of(unembedding).equal(whole)
        monkeypatch.undo()


def test_a_family_that_does_not_say_is_an_error_that_names_its_file(tmp_path: Path) -> None:
    weights = opened(make_checkpoint(tmp_path / "model")).weights
    layout = dataclasses.replace(
        weights.layout, architecture=dataclasses.replace(weights.layout.architecture, vocabulary=None)
    )
    with pytest.raises(ArchitectureError, match="'llama'"):
        Unembedding.of(MlpWeights(weights.reader, layout), {})


@pytest.mark.parametrize("name", ["model.norm.weight", "model.embed_tokens.weight"])
def test_a_checkpoint_without_final_norm_or_unembedding_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    folder = make_checkpoint(tmp_path / "model", "llama", tie_word_embeddings=True)
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArchitectureError) as caught:
        opened(folder)
    assert name in caught.value.wanted
