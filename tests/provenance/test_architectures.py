"""Layouts are data that fits what `transformers` saves, and what fits none is refused with what was found."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_factory import load, make_checkpoint
from safetensors.torch import load_file, save_file
from torch import nn

import provenance.architectures as module
from provenance.architectures import Layout, families, layout_of
from provenance.checkpoints import inspect
from provenance.errors import ArchitectureError
from provenance.shards import Shards
from provenance.weights import MlpWeights

DENSE = ["llama", "mistral", "gemma3_text", "gemma3", "qwen2", "qwen3", "olmo2"]
LAYERS, D_M, D = 2, 24, 16


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny checkpoint of a model type, made once."""
    folder = tmp_path_factory.mktemp("architectures")

    def made(model_type: str) -> Path:
        path = folder / model_type
        return path if path.is_dir() else make_checkpoint(path, model_type)

    return made


def layout_in(folder: Path) -> Layout:
    return layout_of(inspect(folder), Shards(folder).names())


def mlps(model: nn.Module) -> list[nn.Module]:
    """The gated MLPs of a model that `transformers` built, in order, found by what they are and not by name."""
    return [inner for inner in model.modules() if isinstance(getattr(inner, "down_proj", None), nn.Linear)]


@pytest.mark.parametrize("model_type", DENSE)
def test_neurons_are_the_rows_and_columns_that_the_model_computes_with(
    checkpoint: Callable[[str], Path], model_type: str
) -> None:
    """One row a neuron for gate and up, one column for down, in the right layer, and as many as there are."""
    folder = checkpoint(model_type)
    shards = Shards(folder)
    layout = layout_of(inspect(folder), shards.names())
    assert (layout.model_type, layout.layers, layout.d_m, layout.d) == (model_type, LAYERS, D_M, D)
    weights = MlpWeights(shards, layout)
    modules = mlps(load(folder).model)
    assert len(modules) == LAYERS
    for layer, mlp in enumerate(modules):
        for kind in ("gate", "up", "down"):
            rows = weights.neurons(kind, layer)
            assert rows.shape == (D_M, D)
            weight = getattr(mlp, f"{kind}_proj").weight
            assert torch.equal(rows, weight.T if kind == "down" else weight)


@pytest.mark.parametrize("model_type", DENSE)
def test_the_down_projections_are_found_in_the_loaded_model(checkpoint: Callable[[str], Path], model_type: str) -> None:
    folder = checkpoint(model_type)
    model = load(folder).model
    modules = dict(model.named_modules())
    names = layout_in(folder).down_modules(modules.keys())
    assert [modules[name] for name in names] == [mlp.down_proj for mlp in mlps(model)]


@pytest.mark.parametrize(
    ("old", "new"),
    [("language_model.model.", "model.language_model."), ("model.language_model.", "language_model.model.")],
)
def test_gemma_3_is_found_under_both_names_that_it_has_been_saved_with(
    checkpoint: Callable[[str], Path], tmp_path: Path, old: str, new: str
) -> None:
    source = checkpoint("gemma3")
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for path in source.iterdir():
        (renamed / path.name).write_bytes(path.read_bytes())
    tensors = load_file(source / "model.safetensors")
    tensors = {name.replace(old, new, 1): tensor for name, tensor in tensors.items()}
    save_file(tensors, renamed / "model.safetensors", {"format": "pt"})
    layout = layout_in(renamed)
    assert layout.tensor("up", 1) in tensors
    before, after = MlpWeights(Shards(source), layout_in(source)), MlpWeights(Shards(renamed), layout)
    assert torch.equal(before.neurons("down", 1), after.neurons("down", 1))


def test_a_vision_tower_has_no_neurons_of_the_language_model(checkpoint: Callable[[str], Path]) -> None:
    folder = checkpoint("gemma3")
    layout = layout_in(folder)
    named = {layout.tensor(kind, layer) for kind in layout.kinds for layer in range(layout.layers)}
    assert any("vision" in name and "mlp" in name for name in Shards(folder).names())
    assert not any("vision" in name for name in named)
    assert len(named) == 3 * LAYERS


def test_a_mixture_of_experts_is_refused_with_its_tensors(checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(ArchitectureError, match="mixture of experts") as caught:
        layout_in(checkpoint("mixtral"))
    assert "model.layers.0.block_sparse_moe" in caught.value.found
    assert "more" in caught.value.found


@pytest.mark.parametrize(
    "name",
    ["model.layers.0.mlp.experts.3.up_proj.weight", "model.layers.0.mlp.experts.gate_up_proj",
     "model.layers.1.mlp.shared_expert.up_proj.weight", "model.layers.1.moe.router.weight",
     "model.layers.1.mlp.router.weight"],
)  # fmt: skip
def test_experts_are_seen_whatever_the_model_calls_itself(name: str) -> None:
    dense = [f"model.layers.{layer}.mlp.{kind}_proj.weight" for layer in (0, 1) for kind in ("gate", "up", "down")]
    config = {"model_type": "llama", "num_hidden_layers": 2, "intermediate_size": D_M, "hidden_size": D}
    assert layout_of(config, dense).layers == LAYERS
    with pytest.raises(ArchitectureError, match="mixture of experts"):
        layout_of(config, [*dense, name])


def test_an_unknown_model_type_lists_what_is_known_and_what_was_found() -> None:
    with pytest.raises(ArchitectureError) as caught:
        layout_of({"model_type": "perceptron"}, ["h.0.mlp.c_fc.weight", "wte.weight"])
    assert all(model_type in caught.value.wanted for model_type in DENSE)
    assert caught.value.found == "model_type 'perceptron' with 'h.0.mlp.c_fc.weight'"
    assert "provenance/architectures" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"num_hidden_layers": 3}, "model.layers.2.mlp"),
        ({"num_hidden_layers": 1}, "model.layers.1.mlp"),
        ({"intermediate_size": 25}, r"\(24, 16\)"),
        ({"hidden_size": 17}, r"\(24, 16\)"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"num_hidden_layers": None}, "num_hidden_layers"),
    ],
)
def test_a_config_that_does_not_fit_its_weights_is_refused(
    tiny_llama: Path, change: dict[str, object], error: str
) -> None:
    shards = Shards(tiny_llama)
    with pytest.raises(ArchitectureError, match=error):
        MlpWeights(shards, layout_of(inspect(tiny_llama) | change, shards.names()))


def test_every_family_file_says_where_each_projection_lies() -> None:
    """Adding a family is adding a file, and no model type is in two of them."""
    found = families()
    assert {family.name for family in found} == {path.stem for path in Path(module.__file__).parent.glob("*.toml")}
    for family in found:
        assert set(family.kinds) == set(family.suffixes) >= {"up", "down"}
        assert "{layer}" in family.layer
        assert family.prefixes
    types = [kind for family in found for kind in family.model_types]
    assert len(types) == len(set(types))
    assert set(types) == set(DENSE)


def test_a_layout_is_plain_toml(tiny_llama: Path) -> None:
    """What the file says is what the layout gives: no family knowledge hides in code."""
    text = (Path(module.__file__).parent / "llama.toml").read_text("utf-8")
    data = tomllib.loads(text)
    layout = layout_in(tiny_llama)
    assert layout.tensor("down", 1) == data["prefixes"][0] + data["layer"].format(layer=1) + data["down"]
    assert json.loads((tiny_llama / "config.json").read_text())["model_type"] in data["model_types"]
