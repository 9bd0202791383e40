"""Tensors come from the shards exactly as they were saved, whole or row by row; shards that do not fit are refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_factory import load
from safetensors.torch import load_file, save_file

from provenance.checkpoints.headers import TORCH_DTYPES
from provenance.checkpoints.weight_files import WEIGHT_INDEX
from provenance.errors import CheckpointError
from provenance.weights.shards import Shards
from provenance.weights.tensors import Rows

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


@pytest.fixture
def every_dtype(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """Two files with a tensor of each dtype, whose bytes are random, at odd places in the file."""
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for dtype in set(TORCH_DTYPES.values()) - {torch.bool}:
        bits = torch.randint(0, 256, (13, 7 * dtype.itemsize), generator=generator, dtype=torch.uint8)
        tensors[str(dtype)] = bits.view(dtype)
    tensors["torch.bool"] = torch.arange(91).reshape(13, 7) % 3 == 0
    tensors["scalar"], tensors["empty"] = torch.tensor(7.0), torch.zeros(0, 4)
    names = sorted(tensors)
    folder = two_files(tmp_path / "dtypes", *({n: tensors[n] for n in part} for part in (names[::2], names[1::2])))
    return folder, tensors


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_rows_of_every_dtype_come_as_they_lie_in_the_file(every_dtype: tuple[Path, dict[str, torch.Tensor]]) -> None:
    """In any order, from any file, none or all of the rows."""
    folder, tensors = every_dtype
    shards = Shards(folder)
    for name, tensor in tensors.items():
        whole = shards.read(name)
        assert (whole.dtype, whole.shape, bits(whole)) == (tensor.dtype, tensor.shape, bits(tensor))
    names = [name for name in tensors if name.startswith("torch.")]
    wanted = [Rows(name, *rows) for rows in ((0, 13), (4, 9), (12, 13), (5, 5), (0, 1)) for name in names]
    seen = 0
    for rows, tensor in zip(wanted, shards.stream(wanted), strict=True):
        expected = tensors[rows.name][rows.start : rows.stop]
        assert (tensor.dtype, tensor.shape, bits(tensor)) == (expected.dtype, expected.shape, bits(expected))
        seen += 1
    assert seen == len(wanted)
    assert [tuple(t.shape) for t in shards.stream([Rows("empty", 0, 0)])] == [(0, 4)]


def test_a_stream_reuses_one_buffer_and_a_read_does_not(tmp_path: Path) -> None:
    """So memory does not grow with the model; a caller who keeps a block finds the next one in it."""
    save_file({"w": torch.arange(400.0).reshape(100, 4)}, tmp_path / "model.safetensors")
    shards = Shards(tmp_path)
    kept = list(shards.stream([Rows("w", start, start + 10) for start in range(0, 100, 10)]))
    assert len({tensor.untyped_storage().data_ptr() for tensor in kept}) == 1
    assert kept[0].untyped_storage().nbytes() == 160
    assert torch.equal(kept[0], kept[-1])
    first, second = shards.read("w"), shards.read("w")
    assert first.data_ptr() != second.data_ptr()


def test_each_file_is_opened_once_and_closed_again(
    every_dtype: tuple[Path, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the reader stops half-way."""
    folder, tensors = every_dtype
    opened: list[int] = []
    closed: list[int] = []
    really_open, really_close = os.open, os.close

    def watched_open(path: Path, flags: int) -> int:
        opened.append(really_open(path, flags))
        return opened[-1]

    def watched_close(handle: int) -> None:
        closed.append(handle)
        really_close(handle)

    shards = Shards(folder)
    monkeypatch.setattr(os, "open", watched_open)
    monkeypatch.setattr(os, "close", watched_close)
    stream = shards.stream([Rows(n, row, row + 1) for row in range(13) for n in tensors if n.startswith("torch.")])
    for _ in range(40):
        next(stream)
    assert (len(opened), len(closed)) == (2, 0)
    stream.close()  # type: ignore[attr-defined]
    assert sorted(closed) == sorted(opened)


def test_reads_that_come_in_pieces_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may give less than was asked for, and never more than 2 GB."""
    saved = torch.arange(400.0).reshape(100, 4)
    save_file({"w": saved}, tmp_path / "model.safetensors")
    really = os.preadv
    monkeypatch.setattr(os, "preadv", lambda handle, into, start: really(handle, [into[0][:7]], start))
    assert torch.equal(Shards(tmp_path).read("w"), saved)
    assert torch.equal(next(Shards(tmp_path).stream([Rows("w", 3, 90)])), saved[3:90])


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 8)


def overwritten(path: Path) -> None:
    """Other numbers of the same size, with the age of the old ones."""
    before = path.stat()
    save_file({"w": torch.zeros(100, 4)}, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def changed_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"abcd")
    os.utime(path, ns=(0, 0))  # clocks of file systems can be too coarse to tell


@pytest.mark.parametrize("harm", [cut, changed_in_place, overwritten, Path.unlink])
def test_a_file_that_changes_before_or_during_a_stream_is_an_error(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """Half of one checkpoint and half of another is none."""
    path = tmp_path / "model.safetensors"
    wanted = [Rows("w", start, start + 10) for start in range(0, 100, 10)]
    for before in (0, 5):
        save_file({"w": torch.arange(400.0).reshape(100, 4)}, path)
        stream = Shards(tmp_path).stream(wanted)
        for _ in range(before):
            next(stream)
        harm(path)
        if before and harm in {overwritten, Path.unlink}:
            assert len(list(stream)) == 5  # the name is another file's; the open one is still whole
        else:
            with pytest.raises(CheckpointError, match="whole safetensors file"):
                list(stream)


@pytest.mark.parametrize("rows", [Rows("w", 0, 4), Rows("w", -1, 2), Rows("w", 2, 1), Rows("s", 0, 1), Rows("v", 0, 1)])
def test_rows_that_are_not_there_are_refused(tmp_path: Path, rows: Rows) -> None:
    save_file({"w": torch.zeros(3, 2), "s": torch.tensor(1.0)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"'{rows.name}'"):
        list(Shards(tmp_path).stream([rows]))
