"""Arrays of captured vectors on disk: open to everybody at any moment, and mended where they are harmed."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_logs import MemoryCaptures

from provenance.activations import capture_files
from provenance.activations.capture_files import CaptureArray, CaptureDtype, first_free
from provenance.errors import CaptureError, NonFiniteError, StoreError

D, CHUNK = 5, 2
PARTS = (("a", "b"), ("c", "d"), ("e",))
STARTS = {ids: number * CHUNK for number, ids in enumerate(PARTS)}
ROWS = {name: row for row, name in enumerate(name for ids in PARTS for name in ids)}


def vectors(ids: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """Vectors of some responses, always the same; response d says what b says."""
    rows = [np.random.default_rng(ord("b" if name == "d" else name)).gamma(2.0, 0.01, D) for name in ids]
    return np.stack(rows).astype(np.float32)


EXPECTED = vectors(tuple(ROWS))


class Killed(BaseException):
    """Stands in for SIGKILL: nothing of the toolkit catches it."""


def make(folder: Path, dtype: CaptureDtype = "float32") -> CaptureArray:
    return CaptureArray(folder / "key.answer.npy", dtype)


def run(array: CaptureArray, log: MemoryCaptures) -> list[tuple[str, ...]]:
    """Write what is not there; the chunks that had to be written."""
    rows = array.intact(log)
    missing = [ids for ids in PARTS if not set(ids) <= rows.keys()]
    for ids in missing:
        start = first_free(rows.values(), len(ids))
        log.append(array.write(start, vectors(ids), ids))
        rows.update(zip(ids, range(start, start + len(ids)), strict=True))
    return missing


def check(array: CaptureArray) -> None:
    """The array is as it should be, for us and for anybody with numpy."""
    read = array.opened(5)
    np.testing.assert_array_equal(read, EXPECTED.astype(array.dtype))
    np.testing.assert_array_equal(np.load(array.path, mmap_mode="r"), EXPECTED.astype(array.dtype))
    assert not read.flags.writeable
    assert array.path.stat().st_size == 128 + 5 * D * np.dtype(array.dtype).itemsize


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_chunks_grow_an_array_that_numpy_opens_after_each_of_them(tmp_path: Path, dtype: CaptureDtype) -> None:
    array, log = make(tmp_path, dtype), MemoryCaptures()
    for ids in PARTS:
        log.append(array.write(STARTS[ids], vectors(ids), ids))
        so_far = np.load(array.path, mmap_mode="r")
        assert (so_far.dtype, so_far.flags.c_contiguous) == (np.dtype(dtype), True)
        np.testing.assert_array_equal(so_far, EXPECTED[: STARTS[ids] + len(ids)].astype(dtype))
    assert run(array, log) == []
    check(array)


def test_rows_may_repeat_and_chunks_have_digests_of_their_own(tmp_path: Path) -> None:
    """Two responses with the same vectors are two rows; whose they are is part of the digest."""
    np.testing.assert_array_equal(EXPECTED[1], EXPECTED[3])
    array, log = make(tmp_path), MemoryCaptures()
    one = array.write(0, vectors(("b", "d")), ("b", "d"))
    two = array.write(2, vectors(("d", "b")), ("f", "g"))
    assert one.sha256 != two.sha256
    log.written[:] = [one, two]
    assert array.intact(log) == {"b": 0, "d": 1, "f": 2, "g": 3}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("step", ["os.fsync", "log"])
def test_a_kill_at_any_moment_costs_the_chunk_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, at: int, dtype: CaptureDtype
) -> None:
    """Killed before any of the six flushes or before any of the three log rows, then once more, then not."""
    array, log = make(tmp_path, dtype), MemoryCaptures()

    def killing(original: Callable[..., None], calls: list[int]) -> Callable[..., None]:
        def harmed(*args: Any) -> None:
            calls.append(1)
            if len(calls) == at:
                raise Killed
            original(*args)

        return harmed

    where, name = (capture_files.os, "fsync") if step == "os.fsync" else (log, "append")
    times = 6 if step == "os.fsync" else 3
    for _ in range(2):
        before = {chunk.question_ids for chunk in log.chunks()}
        with monkeypatch.context() as patch:
            patch.setattr(where, name, killing(getattr(where, name), []))
            if at > times - (2 if step == "os.fsync" else 1) * len(before):
                run(array, log)
                break
            with pytest.raises(Killed):
                run(array, log)
    logged = {chunk.question_ids for chunk in log.chunks()}
    assert set(run(array, log)) == set(PARTS) - logged, "what was logged is not captured again"
    check(array)


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


ROW = D * 4
HARMS: dict[str, tuple[Callable[[Path], None], set[int]]] = {
    "nothing": (Path.touch, set()),
    "deleted": (Path.unlink, {0, 1, 2}),
    "empty": (lambda path: cut(path, 0), {0, 1, 2}),
    "cut in the last row": (lambda path: cut(path, 128 + 4 * ROW + 3), {2}),
    "cut between rows": (lambda path: cut(path, 128 + 3 * ROW), {1, 2}),
    "cut in the header": (lambda path: cut(path, 100), {0, 1, 2}),
    "a bit of the first chunk": (lambda path: flip(path, 128), {0}),
    "a bit of the second chunk": (lambda path: flip(path, 128 + 2 * ROW + 7), {1}),
    "a bit of the width": (lambda path: flip(path, path.read_bytes().index(b", 5)") + 2), {0, 1, 2}),
    "a bit of the number of rows": (lambda path: flip(path, path.read_bytes().index(b"(5") + 1), set()),
    "a bit of the dtype": (lambda path: flip(path, path.read_bytes().index(b"<f4") + 1), {0, 1, 2}),
    "another file": (lambda path: path.write_bytes(b"PK\x03\x04" * 99) and None, {0, 1, 2}),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"x" * 50) and None, set()),
}


@pytest.mark.parametrize("harm", HARMS)
def test_only_what_is_harmed_is_captured_again_at_its_place(tmp_path: Path, harm: str) -> None:
    array, log = make(tmp_path), MemoryCaptures()
    run(array, log)
    act, lost = HARMS[harm]
    act(array.path)
    assert run(array, log) == [ids for number, ids in enumerate(PARTS) if number in lost]
    check(array)
    assert run(array, log) == []


def test_rows_go_to_the_first_place_that_is_free() -> None:
    assert [first_free(taken, 2) for taken in ((), (0, 1), (1, 4), (0, 3), (2, 3), range(5))] == [0, 2, 2, 1, 0, 5]


def test_chunks_that_do_not_match_their_rows_count_as_not_there(tmp_path: Path) -> None:
    """Other responses; the same ones or the same rows twice; another place. The log forgets these alone."""
    array, log = make(tmp_path), MemoryCaptures()
    run(array, log)
    kept = log.chunks()
    elsewhere = replace(kept[0], file="key-00000.safetensors")
    for wrong in (
        elsewhere,
        replace(kept[0], question_ids=("b", "a")),
        replace(kept[0], question_ids=("x", "y")),
        replace(kept[0], question_ids=("x", "y"), first_row=9),
        replace(kept[2], question_ids=("z",), first_row=3),
        kept[1],
    ):
        log.append(wrong)
    assert array.intact(log) == ROWS
    assert log.chunks() == [*kept[:1], *kept[2:], elsewhere, kept[1]]
    log.written[:] = [replace(chunk, first_row=(chunk.first_row + 2) % 4) for chunk in kept[:2]] + kept[2:]
    assert array.intact(log) == {"e": 4}


def test_another_dtype_or_width_under_the_same_name_begins_anew(tmp_path: Path) -> None:
    """Never are rows of two kinds in one file: without an intact chunk it is begun anew, with one it is an error."""
    log = MemoryCaptures()
    run(make(tmp_path), log)
    half = make(tmp_path, "float16")
    assert run(half, log) == list(PARTS)
    check(half)
    with pytest.raises(CaptureError, match="5 numbers a row"):
        half.write(4, np.ones((1, D + 1), dtype=np.float32), ("e",))
    check(half)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_of_nan_or_infinity_is_refused_with_its_question(tmp_path: Path, dtype: CaptureDtype, bad: float) -> None:
    values = vectors(("a", "b"))
    values[1, 3] = bad
    with pytest.raises(NonFiniteError, match="'b'"):
        make(tmp_path, dtype).write(0, values, ("a", "b"))
    assert list(tmp_path.iterdir()) == []


def test_what_float16_cannot_hold_is_refused_and_what_it_rounds_is_rounded_as_said(tmp_path: Path) -> None:
    """Up to 65504; relative error up to 2^-11 from 6.1e-5 on, absolute below; 0 under half of 6e-8."""
    values = np.array([[65504.0, 0.1234567, 7e-5, 3.3e-6, 2.9e-8]], dtype=np.float32)
    array = make(tmp_path, "float16")
    array.write(0, values, ("a",))
    read = array.opened(1).astype(np.float64)[0]
    assert (np.abs(read[:3] / values[0, :3].astype(np.float64) - 1) <= 2**-11).all()
    assert abs(read[3] - 3.3e-6) <= 3e-8
    assert read[4] == 0
    assert read[1] != values[0, 1], "there is something to round"
    with pytest.raises(NonFiniteError, match="float16 can hold"):
        array.write(0, 1.1 * values, ("a",))
    make(tmp_path / "wide").write(0, 1.1 * values, ("a",))


@pytest.mark.parametrize("at", [1, 2])
def test_a_full_disk_is_said_and_leaves_the_file_as_long_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """At either of a chunk's flushes; a new file is then not there at all, and the next run goes on."""
    array, log = make(tmp_path), MemoryCaptures()

    def failing(calls: list[int]) -> Callable[[int], None]:
        def harmed(number: int) -> None:
            calls.append(1)
            if len(calls) == at:
                raise OSError(28, "No space left on device")

        return harmed

    for ids in PARTS:
        sizes = [path.stat().st_size for path in tmp_path.iterdir()]
        with monkeypatch.context() as patch:
            patch.setattr(capture_files.os, "fsync", failing([]))
            with pytest.raises(StoreError, match="No space left"):
                array.write(STARTS[ids], vectors(ids), ids)
        assert [path.stat().st_size for path in tmp_path.iterdir()] == sizes
        log.append(array.write(STARTS[ids], vectors(ids), ids))
    assert run(array, log) == []
    check(array)


def test_a_folder_or_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="remedy"):
        make(tmp_path / "file").write(0, vectors(("a",)), ("a",))
    assert (tmp_path / "file").read_text() == "mine"
    array, log = make(tmp_path), MemoryCaptures()
    run(array, log)
    array.path.unlink()
    array.path.mkdir()
    with pytest.raises(StoreError, match="remedy"):
        run(array, log)
