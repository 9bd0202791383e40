"""A randomly initialised model is an ordinary checkpoint of its config, made again bit for bit, and learned nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import load, local_checkpoint, make_checkpoint
from transformers import AutoConfig, AutoModelForCausalLM

from provenance.checkpoints.names import content_digest
from provenance.errors import CheckpointError, InputError
from provenance.models.loading import load_tokenizer
from provenance.models.random_model import random_checkpoint
from provenance.weights.shards import Shards

MADE_ANEW = {"config.json", "model.safetensors", "generation_config.json"}


def test_the_same_seed_gives_the_same_digest_and_another_seed_another(tiny_llama: Path, tmp_path: Path) -> None:
    first, again, other = (
        random_checkpoint(tiny_llama, tmp_path / n, seed) for n, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert content_digest(first) == content_digest(again)
    assert content_digest(first) != content_digest(other)


def test_weights_are_those_of_transformers_own_initialisation(tiny_llama: Path, tmp_path: Path) -> None:
    """Built the plain way, with the seed set globally; the checkpoint's trained weights are elsewhere."""
    made = load(random_checkpoint(tiny_llama, tmp_path / "made", 3))
    torch.manual_seed(3)
    plain = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tiny_llama))
    weights = dict(made.model.named_parameters())
    for name, expected in plain.named_parameters():
        torch.testing.assert_close(weights[name], expected, rtol=0, atol=0)
    trained = load(tiny_llama).model.get_parameter("model.layers.0.mlp.up_proj.weight")
    assert not torch.allclose(weights["model.layers.0.mlp.up_proj.weight"], trained, atol=0.1)


@pytest.mark.parametrize("model_type", ["gpt2", "gpt_neox", "gemma3", "phi3"])
def test_every_kind_of_layout_loads_whole(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, model_type: str
) -> None:
    """Tied, fused, transposed and two-tower weights: the loader refuses a tensor too many or too few."""
    source = checkpoint_of(model_type)
    made = random_checkpoint(source, tmp_path / "made", 0)
    assert load(made).layout.d_m == load(source).layout.d_m
    assert set(Shards(made).names()) == set(Shards(source).names())


def test_the_callers_random_numbers_are_left_alone(tiny_llama: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global state is what must not move
    expected = (torch.rand(3), np.random.rand(3))  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random_checkpoint(tiny_llama, tmp_path / "made", 3)
    torch.testing.assert_close(torch.rand(3), expected[0], rtol=0, atol=0)
    np.testing.assert_array_equal(np.random.rand(3), expected[1])  # noqa: NPY002
    torch.manual_seed(5)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tiny_llama))  # and building one does move them
    assert not torch.equal(torch.rand(3), expected[0])


def test_tokenizer_template_and_stop_tokens_are_the_checkpoints_own(tiny_llama: Path, tmp_path: Path) -> None:
    made = random_checkpoint(tiny_llama, tmp_path / "made", 0)
    ours, theirs = load_tokenizer(made), load_tokenizer(tiny_llama)
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.chat_template == theirs.chat_template
    assert load(made).stop_ids == load(tiny_llama).stop_ids
    copied = {path.name for path in tiny_llama.iterdir() if path.is_file()} - MADE_ANEW
    assert copied
    for name in copied:
        assert (made / name).read_bytes() == (tiny_llama / name).read_bytes()
    assert local_checkpoint(made).config["model_type"] == "llama"


def test_weights_have_the_dtype_that_the_config_names(tiny_llama: Path, tmp_path: Path) -> None:
    source = altered(tiny_llama, tmp_path / "source", dtype="bfloat16")
    assert dtypes(random_checkpoint(source, tmp_path / "half", 0)) == {"BF16"}
    assert dtypes(random_checkpoint(altered(tiny_llama, tmp_path / "plain", dtype=None), tmp_path / "whole", 0)) == {
        "F32"
    }


def test_a_folder_that_was_used_before_is_replaced(tiny_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    random_checkpoint(tiny_llama, folder, 1)
    assert content_digest(random_checkpoint(tiny_llama, folder, 2)) == content_digest(
        random_checkpoint(tiny_llama, tmp_path / "fresh", 2)
    )


@pytest.mark.parametrize(
    "change", [{"model_type": "no-such-model"}, {"hidden_size": "wide"}, {"num_attention_heads": 0}]
)
def test_a_config_that_nothing_can_be_built_from_is_one_clear_error(
    tiny_llama: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(CheckpointError, match="a config that transformers can build"):
        random_checkpoint(altered(tiny_llama, tmp_path / "source", **change), tmp_path / "made", 0)


def test_a_checkpoint_without_tokenizer_and_a_folder_that_is_a_file_are_refused(tmp_path: Path) -> None:
    source = make_checkpoint(tmp_path / "source")
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="a folder that can be written"):
        random_checkpoint(source, tmp_path / "taken", 0)
    (source / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="a tokenizer in"):
        random_checkpoint(source, tmp_path / "made", 0)
    assert not (tmp_path / "made").exists()


def altered(source: Path, folder: Path, **change: object) -> Path:
    """A copy with other settings; None takes one out."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder


def dtypes(folder: Path) -> set[str]:
    """Storage dtypes of all weights."""
    shards = Shards(folder)
    return {shards.dtype(name) for name in shards.names()}
