"""Progress of reading: the same tensors, and numbers that grow to the total and no further."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from provenance.weights.counting_reader import WatchedReader
from provenance.weights.shards import Shards
from provenance.weights.tensors import Rows, TensorReader, bytes_of


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """3 MB in one tensor of rows, 1 MB in a vector."""
    tensors = {"rows": torch.randn(750, 1000), "vector": torch.randn(500_000).bfloat16()}
    save_file(tensors, tmp_path / "model.safetensors")
    return Shards(tmp_path)


def test_it_is_a_reader_of_the_same_tensors(shards: Shards) -> None:
    watched = WatchedReader(shards, 1, lambda *_: None)
    assert isinstance(watched, TensorReader)
    assert watched.names() == shards.names()
    assert (watched.shape("rows"), watched.dtype("vector")) == ((750, 1000), "BF16")
    assert torch.equal(watched.read("rows"), shards.read("rows"))
    [block] = [tensor.clone() for tensor in watched.stream([Rows("rows", 3, 9)])]
    assert torch.equal(block, shards.read("rows")[3:9])


def test_megabytes_grow_to_the_total_and_stop_there(shards: Shards) -> None:
    """Read twice over, it has still come to the end of what was foreseen."""
    seen: list[tuple[int, int]] = []
    watched = WatchedReader(shards, 4_000_000, lambda done, total: seen.append((done, total)))
    wanted = [Rows("rows", start, start + 125) for start in range(0, 750, 125)] + [Rows("vector", 0, 500_000)]
    assert sum(bytes_of(shards, rows) for rows in wanted) == 4_000_000
    for _ in range(2):
        assert len(list(watched.stream(wanted))) == len(wanted)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
