"""Tensors come from the shards one by one, exactly as they were saved; sets of shards that do not fit are refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from checkpoint_factory import load
from safetensors.torch import load_file, save_file

from provenance.checkpoints import WEIGHT_INDEX
from provenance.errors import CheckpointError
from provenance.shards import Shards

NAMES = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


@pytest.fixture
def sharded(tiny_llama: Path, tmp_path: Path) -> Path:
    """The tiny Llama in two shards with an index."""
    folder = shutil.copytree(tiny_llama, tmp_path / "sharded")
    load(tiny_llama).model.save_pretrained(folder, max_shard_size="16KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def two_files(folder: Path, first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> Path:
    """A folder of two shards without an index."""
    folder.mkdir()
    for name, tensors in zip(NAMES, (first, second), strict=True):
        save_file(tensors, folder / name)
    return folder


def test_every_tensor_equals_what_safetensors_reads(tiny_llama: Path) -> None:
    expected = load_file(tiny_llama / "model.safetensors")
    shards = Shards(tiny_llama)
    assert shards.names() == sorted(expected) == list(shards)
    for name, tensor in expected.items():
        assert name in shards
        read = shards.read(name)
        assert torch.equal(read, tensor)
        assert read.dtype == tensor.dtype
        assert shards.shape(name) == tuple(tensor.shape)
        assert shards.dtype(name) == "F32"
    assert "model.nothing" not in shards


def test_shards_with_an_index_are_one_checkpoint(tiny_llama: Path, sharded: Path) -> None:
    whole, parts = Shards(tiny_llama), Shards(sharded)
    assert parts.names() == whole.names()
    assert all(torch.equal(parts.read(name), whole.read(name)) for name in whole)


def test_files_that_the_index_does_not_name_are_left_alone(sharded: Path) -> None:
    """A second copy of the weights in one file, as some publishers add."""
    before = Shards(sharded).names()
    save_file({before[0]: torch.zeros(3)}, sharded / "consolidated.safetensors")
    assert Shards(sharded).names() == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int8])
def test_the_storage_dtype_is_kept(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.arange(-6, 6).reshape(3, 4).to(dtype)
    save_file({"w": values}, tmp_path / "model.safetensors")
    read = Shards(tmp_path).read("w")
    assert read.dtype == dtype
    assert torch.equal(read, values)


def test_a_name_in_two_files_is_refused(tmp_path: Path) -> None:
    """Which of the two would count cannot be known."""
    folder = two_files(tmp_path / "twice", {"a": torch.ones(2), "w": torch.ones(2)}, {"w": torch.zeros(2)})
    with pytest.raises(CheckpointError) as caught:
        Shards(folder)
    assert "'w'" in caught.value.found
    assert all(name in caught.value.found for name in NAMES)


def test_two_files_with_different_names_are_both_read(tmp_path: Path) -> None:
    folder = two_files(tmp_path / "two", {"a": torch.ones(2)}, {"b": torch.zeros(2)})
    assert Shards(folder).names() == ["a", "b"]


def test_a_missing_shard_is_named(sharded: Path) -> None:
    lost = sorted(sharded.glob("*.safetensors"))[0]
    lost.unlink()
    with pytest.raises(CheckpointError, match="1 missing") as caught:
        Shards(sharded)
    assert lost.name in caught.value.found


@pytest.mark.parametrize("cut", [1, 100, -20, -4])
def test_a_truncated_shard_is_refused(sharded: Path, cut: int) -> None:
    """Cut by a few bytes, by many, within the header, within the header's own length."""
    path = sorted(sharded.glob("*.safetensors"))[-1]
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    with pytest.raises(CheckpointError) as caught:
        Shards(sharded)
    assert path.name in caught.value.wanted


def test_a_file_that_is_cut_after_it_was_opened_is_an_error_too(tmp_path: Path) -> None:
    """Nothing is kept open: what happens to the file in between is noticed."""
    save_file({"w": torch.arange(64.0)}, tmp_path / "model.safetensors")
    shards = Shards(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="whole safetensors file"):
        shards.read("w")


def test_an_index_that_names_no_such_tensor_is_no_error_but_asking_for_it_is(sharded: Path) -> None:
    """The headers count, not what the index says is in them."""
    path = sharded / WEIGHT_INDEX
    index = json.loads(path.read_text())
    index["weight_map"]["model.invented"] = next(iter(index["weight_map"].values()))
    path.write_text(json.dumps(index))
    shards = Shards(sharded)
    assert "model.invented" not in shards
    with pytest.raises(CheckpointError, match=r"model\.invented"):
        shards.read("model.invented")
