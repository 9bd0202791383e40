"""A safetensors header is believed only when it agrees with itself and with the file; each lie has its own error."""

import json
import math
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.torch import save, save_file

from provenance.checkpoints.headers import (
    HEADER_LIMIT,
    ITEM_BYTES,
    TORCH_DTYPES,
    header_length,
    parse_header,
    read_header,
)
from provenance.errors import CheckpointError


def entry(start: int, stop: int, shape: list[Any] | None = None, dtype: str = "F32") -> dict[str, Any]:
    """A header's word on a tensor; by default of as many floats as fit."""
    return {"dtype": dtype, "shape": [(stop - start) // 4] if shape is None else shape, "data_offsets": [start, stop]}


def parse(tensors: object, data_bytes: int = 16) -> dict[str, Any]:
    """Parse a header in front of so many bytes of tensors."""
    head = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return parse_header(head, len(head), 8 + len(head) + data_bytes, "w.safetensors of org/tiny")


def refusal(tensors: object, data_bytes: int = 16) -> str:
    """What the error says it found."""
    with pytest.raises(CheckpointError) as caught:
        parse(tensors, data_bytes)
    assert caught.value.wanted == "a whole safetensors file at w.safetensors of org/tiny"
    assert "fetch it again" in caught.value.remedy
    return caught.value.found


def test_every_slot_is_where_safetensors_finds_the_tensor(tmp_path: Path) -> None:
    """Cutting the file at the slots gives the very tensors, for every dtype, an empty one and a scalar among them."""
    kept = {name: torch.arange(6).reshape(2, 3).to(dtype) for name, dtype in TORCH_DTYPES.items()}
    kept |= {"empty": torch.empty(0, 5), "scalar": torch.tensor(7.5)}
    path = tmp_path / "model.safetensors"
    save_file(kept, path, metadata={"format": "pt"})
    content, slots = path.read_bytes(), read_header(path)
    assert set(slots) == set(kept)
    with safe_open(path, "pt") as file:
        for name, slot in slots.items():
            part = bytearray(content[slot.start : slot.stop])
            read = torch.frombuffer(part, dtype=kept[name].dtype) if part else torch.empty(0)
            assert torch.equal(read.view(torch.uint8), kept[name].reshape(-1).view(torch.uint8))
            assert slot.shape == tuple(kept[name].shape) == tuple(file.get_slice(name).get_shape())
            assert slot.dtype == file.get_slice(name).get_dtype()
    assert slots["F16"].row_bytes == 6
    assert slots["scalar"].row_bytes == 4


def test_slots_come_in_file_order() -> None:
    """Whatever the order of the names in the header."""
    assert list(parse({"b": entry(8, 16), "__metadata__": {"format": "pt"}, "a": entry(0, 8)})) == ["a", "b"]


def test_a_file_without_tensors_is_a_file() -> None:
    """As safetensors itself writes and reads it."""
    assert parse({}, 0) == {}
    assert parse(b'{"__metadata__":{}}    ', 0) == {}  # the format pads with blanks


@pytest.mark.parametrize(
    ("tensors", "found"),
    [
        ({"a": entry(0, 20)}, "of "),
        ({"a": entry(0, 12)}, "bytes"),
        ({"a": entry(0, 12), "b": entry(8, 16)}, "'b' overlaps 'a' by 4 bytes"),
        ({"a": entry(0, 4), "b": entry(8, 16)}, "a hole of 4 bytes between 'a' and 'b'"),
        ({"a": entry(4, 16)}, "a hole of 4 bytes between its header and 'a'"),
        ({"a": entry(-4, 16)}, "offsets [-4, 16] of 'a'"),
        ({"a": entry(16, 0, [4])}, "offsets [16, 0] of 'a'"),
        ({"a": {**entry(0, 16), "data_offsets": [0]}}, "offsets [0] of 'a'"),
        ({"a": {**entry(0, 16), "data_offsets": [0, 16.0]}}, "offsets [0, 16.0] of 'a'"),
        ({"a": {**entry(0, 16), "data_offsets": "0-16"}}, "offsets '0-16' of 'a'"),
        ({"a": entry(0, 16, [5])}, "16 bytes for 'a', where F32 of shape [5] takes 20"),
        ({"a": entry(0, 16, [4], "F16")}, "16 bytes for 'a', where F16 of shape [4] takes 8"),
        ({"a": entry(0, 16, [2.0, 2])}, "shape [2.0, 2] of 'a'"),
        ({"a": entry(0, 16, [-2, -2])}, "shape [-2, -2] of 'a'"),
        ({"a": entry(0, 16, [True, 4])}, "shape [True, 4] of 'a'"),
        ({"a": {**entry(0, 16), "shape": 4}}, "shape 4 of 'a'"),
        ({"a": entry(0, 16, [4], "F31")}, "dtype 'F31' of 'a'"),
        ({"a": entry(0, 16, [4], ["F32"])}, "dtype ['F32'] of 'a'"),  # type: ignore[arg-type]
        ({"a": 16}, "dtype None of 'a'"),
        ([entry(0, 16)], "JSON of type list, no object"),
        (b'{"a": {"dtype"', "no safetensors header (Expecting"),
        (b"\xff\xfe\x00", "codec can't decode"),
        (b"[" * 100_000, "no safetensors header (maximum recursion depth"),
        (b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], "shape": [4]}}', "the key 'shape' twice"),
        (b'{"a": {}, "b": {}, "b": {}}', "the key 'b' twice"),
    ],
)
def test_a_header_that_lies_is_refused(tensors: object, found: str) -> None:
    """In the file are 16 bytes of tensors; whatever else a header makes of them is refused with the reason."""
    assert parse({"a": entry(0, 8), "b": entry(8, 16)})  # this one is the truth
    assert found in refusal(tensors)


def test_a_file_of_another_length_than_its_header_says_is_refused() -> None:
    """Both lengths are in the message."""
    head = len(json.dumps({"a": entry(0, 16)}))
    for there in (0, 15, 17):
        assert refusal({"a": entry(0, 16)}, there) == f"{8 + head + there:,} of {8 + head + 16:,} bytes"


def test_a_huge_header_is_not_read() -> None:
    """Its length alone is refused: beyond the file, or beyond the limit."""
    for size, found in [(1000, "less than its header says it has"), (10 * HEADER_LIMIT, "100,000,000 is the most")]:
        with pytest.raises(CheckpointError, match=found):
            header_length(struct.pack("<Q", HEADER_LIMIT + 1), size, "here")
    assert header_length(struct.pack("<Q", HEADER_LIMIT), 10 * HEADER_LIMIT, "here") == HEADER_LIMIT


@pytest.mark.parametrize(
    ("start", "found"),
    [(b"", "0 bytes"), (b"\x02\x00", "2 bytes"), (b"\x00" * 8, "no header"), (b"version ", "a git-lfs pointer")],
)
def test_what_is_no_safetensors_file_is_refused_by_its_first_bytes(start: bytes, found: str) -> None:
    with pytest.raises(CheckpointError, match=found):
        header_length(start, len(start), "here")


def test_a_header_that_was_cut_is_refused() -> None:
    head = json.dumps({"a": entry(0, 16)}).encode()
    with pytest.raises(CheckpointError, match=f"{len(head) - 1} of the header's {len(head)} bytes"):
        parse_header(head[:-1], len(head), 8 + len(head) + 16, "here")


def test_item_sizes_are_those_of_torch() -> None:
    """The table is derived, so hold it against safetensors: it refuses sizes that do not fit."""
    for name, dtype in TORCH_DTYPES.items():
        assert ITEM_BYTES[name] == torch.ones(1, dtype=torch.uint8).to(dtype).element_size()
        assert name.encode() in save({"w": torch.zeros(3, dtype=dtype)})


@st.composite
def headers(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """A true header over some bytes, or one with a number of it changed by a little."""
    tensors: dict[str, Any] = {}
    end = 0
    for name in draw(st.permutations("abc")):
        dtype = draw(st.sampled_from(["U8", "I16", "F32"]))
        shape = draw(st.lists(st.integers(0, 3), max_size=2))
        start, end = end, end + math.prod(shape) * ITEM_BYTES[dtype]
        tensors[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    changed = draw(st.sampled_from([*(tensors[name]["data_offsets"] for name in "abc"), tensors["a"]["shape"], [0]]))
    if changed:
        changed[0 if draw(st.booleans()) else -1] += draw(st.integers(-1, 1))
    return tensors, end + draw(st.sampled_from([0, 0, 0, 1]))


@given(headers())
def test_what_safetensors_refuses_and_accepts_so_does_this(header: tuple[dict[str, Any], int]) -> None:
    """The library's own check, in another language, is the slow way."""
    tensors, data_bytes = header
    head = json.dumps(tensors).encode()
    content = struct.pack("<Q", len(head)) + head + bytes(data_bytes)
    theirs: dict[str, tuple[int, ...]] | None = None
    ours: dict[str, tuple[int, ...]] | None = None
    with suppress(SafetensorError):
        theirs = {name: tuple(tensor["shape"]) for name, tensor in deserialize(content)}
    with suppress(CheckpointError):
        ours = {name: slot.shape for name, slot in parse_header(head, len(head), len(content), "here").items()}
    assert ours == theirs


def test_a_local_file_is_held_against_its_header(tmp_path: Path) -> None:
    """`read_header` finds an overlap that leaves the file's length as it was."""
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(4), "b": torch.zeros(4)}, path)
    read_header(path)
    path.write_bytes(path.read_bytes().replace(b"[16,32]", b"[12,32]").replace(b'"shape":[4]', b'"shape":[5]', 1))
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert str(path) in caught.value.wanted
