"""Layouts are data that fits what `transformers` saves, and what fits none is refused with what was found."""

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoint_factory import DENSE, MIXTURES, SMALL, WITH_VISION, mlps, modules_of, tiny_config
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM

import provenance.architectures as module
from provenance.architectures import KINDS, Layout, architectures, layout_of
from provenance.checkpoints.names import inspect
from provenance.errors import ArchitectureError
from provenance.models.loading import LoadedModel
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards

LAYERS, D_M, D = SMALL["num_hidden_layers"], SMALL["intermediate_size"], SMALL["hidden_size"]
Folder = Callable[[str], Path]
Loaded = Callable[[str], LoadedModel]


def layout_in(folder: Path) -> Layout:
    return layout_of(inspect(folder), Shards(folder).names())


def named(layout: Layout) -> set[str]:
    """Every tensor that the layout says holds neurons."""
    return {layout.slice(kind, layer).name for kind in layout.kinds for layer in range(layout.layers)}


@pytest.mark.parametrize("model_type", DENSE)
def test_the_names_are_those_that_transformers_saves(checkpoint_of: Folder, loaded_of: Loaded, model_type: str) -> None:
    """The saved tensors that hold the weights of the text decoder's MLP modules, all of them and no other."""
    folder = checkpoint_of(model_type)
    layout = layout_in(folder)
    assert (layout.model_type, layout.layers, layout.d_m, layout.d) == (model_type, LAYERS, D_M, D)
    modules = [modules_of(mlp) for mlp in mlps(loaded_of(model_type).model)]
    weights = [inner.get_parameter("weight") for kinds in modules for kind, inner in kinds.items() if kind != "act"]
    saved = load_file(folder / "model.safetensors")
    assert named(layout) == {name for name, tensor in saved.items() if any(tensor.equal(weight) for weight in weights)}
    assert len(modules) == LAYERS


@pytest.mark.parametrize("model_type", DENSE)
def test_the_down_projections_are_found_in_the_loaded_model(
    checkpoint_of: Folder, loaded_of: Loaded, model_type: str
) -> None:
    model = loaded_of(model_type).model
    modules = dict(model.named_modules())
    names = layout_in(checkpoint_of(model_type)).down_modules(modules.keys())
    assert [modules[name] for name in names] == [modules_of(mlp)["down"] for mlp in mlps(model)]


def renamed(source: Path, folder: Path, old: str, new: str) -> Path:
    """A copy of a checkpoint whose tensor names begin otherwise."""
    shutil.copytree(source, folder)
    tensors = load_file(source / "model.safetensors")
    changed = {(new + name.removeprefix(old) if name.startswith(old) else name): t for name, t in tensors.items()}
    assert changed.keys() != tensors.keys()
    save_file(changed, folder / "model.safetensors", {"format": "pt"})
    return folder


def assert_same_neurons(one: Path, other: Path) -> None:
    before, after = (MlpWeights(Shards(folder), layout_in(folder)) for folder in (one, other))
    for kind in before.kinds:
        assert before.neurons(kind, 1).equal(after.neurons(kind, 1))


@pytest.mark.parametrize("model_type", WITH_VISION)
def test_a_text_tower_is_found_under_its_older_and_its_newer_name(
    checkpoint_of: Folder, tmp_path: Path, model_type: str
) -> None:
    source = checkpoint_of(model_type)
    assert layout_in(source).prefix == "language_model.model."
    other = renamed(source, tmp_path / "v5", "language_model.model.", "model.language_model.")
    assert layout_in(other).prefix == "model.language_model."
    assert_same_neurons(source, other)


@pytest.mark.parametrize("model_type", ["llama", "phi3", "gpt_neox", "gpt2"])
def test_a_checkpoint_of_the_bare_model_is_found(checkpoint_of: Folder, tmp_path: Path, model_type: str) -> None:
    """`openai-community/gpt2` and most embedding models are saved from the class without a head."""
    source = checkpoint_of(model_type)
    bare = shutil.copytree(source, tmp_path / "bare")
    AutoModel.from_pretrained(source).save_pretrained(bare)
    assert not named(layout_in(bare)) & named(layout_in(source))
    assert_same_neurons(source, bare)


@pytest.mark.parametrize("model_type", WITH_VISION)
def test_a_vision_tower_has_no_neurons_of_the_language_model(
    checkpoint_of: Folder, tmp_path: Path, model_type: str
) -> None:
    """Not even where the text tower is missing and the vision tower's tensors fit in name and shape."""
    folder = checkpoint_of(model_type)
    names = named(layout_in(folder))
    assert names
    assert not any("vision" in name for name in names)
    without = renamed(folder, tmp_path / "without", "language_model.model.layers.", "elsewhere.layers.")
    with pytest.raises(ArchitectureError, match="laid out as"):
        layout_in(without)


def test_the_vision_tower_of_mistral_3_looks_like_text(checkpoint_of: Folder) -> None:
    """Otherwise the test above would prove little: same last names, same shapes."""
    shards = Shards(checkpoint_of("mistral3"))
    vision = {name for name in shards if name.startswith("vision_tower") and "_proj.weight" in name}
    for kind in KINDS:
        text = layout_in(checkpoint_of("mistral3")).slice(kind, 0).name
        alike = [name for name in vision if name.rsplit(".", 2)[1:] == text.rsplit(".", 2)[1:]]
        assert len(alike) == LAYERS
        assert {shards.shape(name) for name in alike} == {shards.shape(text)}


@pytest.mark.parametrize("model_type", MIXTURES)
def test_a_mixture_of_experts_is_refused_with_its_tensors(checkpoint_of: Folder, model_type: str) -> None:
    """One tensor per expert and projection, as on the hub."""
    with pytest.raises(ArchitectureError, match="mixture of experts") as caught:
        layout_in(checkpoint_of(model_type))
    assert repr(model_type) in caught.value.found
    assert ".experts.0." in caught.value.found
    assert "more" in caught.value.found


@pytest.mark.parametrize("model_type", MIXTURES)
def test_experts_in_one_tensor_are_refused_too(model_type: str) -> None:
    """As `transformers` 5 holds them, and as its checkpoints may be saved."""
    config = tiny_config(model_type)
    names = list(AutoModelForCausalLM.from_config(config).state_dict())
    with pytest.raises(ArchitectureError, match="mixture of experts") as caught:
        layout_of(config.to_dict(), names)
    assert "model.layers.0.mlp.experts.gate_up_proj" in caught.value.found


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
        ({"num_hidden_layers": -1}, "num_hidden_layers = -1"),
        ({"num_hidden_layers": 0}, "num_hidden_layers = 0"),
        ({"num_hidden_layers": 2.7}, r"num_hidden_layers = 2\.7"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers = '2'"),
        ({"num_hidden_layers": True}, "num_hidden_layers = True"),
        ({"num_hidden_layers": 10**15}, "tensors of 1,000,000,000,000,000 layers"),
        ({"intermediate_size": -24}, "intermediate_size = -24"),
        ({"hidden_size": 16.0}, r"hidden_size = 16\.0"),
    ],
)
def test_a_config_that_does_not_fit_its_weights_is_refused(
    tiny_llama: Path, change: dict[str, object], error: str
) -> None:
    shards = Shards(tiny_llama)
    with pytest.raises(ArchitectureError, match=error):
        MlpWeights(shards, layout_of(inspect(tiny_llama) | change, shards.names()))


@pytest.mark.parametrize(
    ("change", "d_m"), [({"n_inner": 24}, 24), ({"n_inner": None}, 64), ({}, 64), ({"n_embd": 8}, 32)]
)
def test_a_size_may_follow_from_another(change: dict[str, int | None], d_m: int) -> None:
    """GPT-2 has four neurons per hidden unit unless its config says otherwise."""
    names = [f"h.0.mlp.{name}.weight" for name in ("c_fc", "c_proj")]
    layout = layout_of({"model_type": "gpt2", "n_layer": 1, "n_embd": 16} | change, names)
    assert layout.d_m == d_m


def test_a_size_that_another_follows_from_is_checked_too() -> None:
    """GPT-2's neurons per layer come from its hidden size, which is not a negative number."""
    with pytest.raises(ArchitectureError, match="n_embd = -16"):
        layout_of({"model_type": "gpt2", "n_layer": 1, "n_embd": -16}, ["h.0.mlp.c_fc.weight"])


def test_a_size_that_nothing_gives_is_named() -> None:
    with pytest.raises(ArchitectureError, match="n_layer, n_inner and n_embd") as caught:
        layout_of({"model_type": "gpt2", "n_layer": 1}, [])
    assert caught.value.found == "KeyError: 'n_embd'"


def test_every_family_file_says_where_each_projection_lies() -> None:
    """Adding a family is adding a file, and no model type is in two of them."""
    found = architectures()
    assert {each.name for each in found} == {path.stem for path in Path(module.__file__).parent.glob("*.toml")}
    for architecture in found:
        assert set(architecture.projections) >= {"up", "down"}
        assert set(architecture.sizes) == {"layers", "d_m", "d"}
        assert "{layer}" in architecture.layer
        assert architecture.prefixes
        fused = [part for part in architecture.projections.values() if part.half]
        assert all(part.neurons == "rows" for part in fused)  # a half of columns would not be a range of rows
        assert sorted(str(part.half) for part in fused) in ([], ["first", "second"])
    types = [kind for architecture in found for kind in architecture.model_types]
    assert len(types) == len(set(types))
    assert set(types) == set(DENSE)


def test_a_new_family_is_a_new_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a file says is what the layout gives: no family knowledge hides in code."""
    (tmp_path / "invented.toml").write_text(
        """
        model_types = ["invented"]
        layer = "block{layer}/"
        prefixes = ["a.", "b."]
        sizes = { layers = "depth", d_m = "neurons", d = "width" }
        down = { weight = "out", neurons = "rows" }
        up = { weight = "in", neurons = "rows", half = "second" }
        gate = { weight = "in", neurons = "rows", half = "first" }
        """
    )
    monkeypatch.setattr(module.resources, "files", lambda _name: tmp_path)
    config = {"model_type": "invented", "depth": 2, "neurons": 5, "width": 3}
    layout = layout_of(config, ["b.block0/in", "b.block0/out", "b.block1/in", "b.block1/out"])
    assert layout.kinds == KINDS
    assert layout.slice("gate", 1) == module.NeuronSlice("b.block1/in", 0, 5, "rows")
    assert layout.slice("up", 1) == module.NeuronSlice("b.block1/in", 5, 10, "rows")
    assert layout.slice("down", 0) == module.NeuronSlice("b.block0/out", 0, 5, "rows")
    assert [layout.shape(kind) for kind in KINDS] == [(10, 3), (10, 3), (5, 3)]
    assert layout.down_modules(["a.block0/out", "a.block1/out"]) == ["a.block0/out", "a.block1/out"]


def test_a_layout_is_plain_toml(checkpoint_of: Folder) -> None:
    data = tomllib.loads((Path(module.__file__).parent / "gpt2.toml").read_text("utf-8"))
    part = layout_in(checkpoint_of("gpt2")).slice("down", 1)
    assert part.name == data["prefixes"][0] + data["layer"].format(layer=1) + data["down"]["weight"]
    assert part.neurons == data["down"]["neurons"]


@pytest.mark.parametrize(
    "ending",
    ["qweight", "g_idx", "scales", "weight.absmax", "weight.quant_state.bitsandbytes__nf4", "weight_packed",
     "weight_scale", "weight_scale_inv", "SCB"],
)  # fmt: skip
def test_quantised_tensors_are_called_so_whatever_the_config_says(ending: str) -> None:
    """Old GPTQ and AWQ folders have no word about it in config.json."""
    name = f"model.layers.0.mlp.up_proj.{ending}"
    with pytest.raises(ArchitectureError, match="quantised ones, with") as caught:
        layout_of({"model_type": "llama"}, [name, "model.norm.weight"])
    assert name in caught.value.found


def test_a_text_tower_that_is_no_object_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="an object as text_config"):
        layout_of({"model_type": "llama", "text_config": [1]}, ["model.norm.weight"])
