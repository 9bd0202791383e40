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
from provenance.activations.capture_files import CaptureDtype, CaptureFiles
from provenance.errors import CaptureError, NonFiniteError, StoreError

D, CHUNK = 5, 2
PARTS = (("a", "b"), ("c", "d"), ("e",))
STARTS = {ids: number * CHUNK for number, ids in enumerate(PARTS)}
Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def vectors(ids: tuple[str, ...]) -> Arrays:
    """Answer and other means of some responses, always the same; response d says what b says."""
    rows = [np.random.default_rng(ord("b" if name == "d" else name)).gamma(2.0, 0.01, (2, D)) for name in ids]
    both = np.stack(rows).astype(np.float32)
    return both[:, 0], both[:, 1]


EXPECTED = vectors(tuple(name for ids in PARTS for name in ids))


class Killed(BaseException):
    """Stands in for SIGKILL: nothing of the toolkit catches it."""


def make(folder: Path, dtype: CaptureDtype = "float32") -> CaptureFiles:
    return CaptureFiles(folder, "key", dtype)


def run(files: CaptureFiles, log: MemoryCaptures) -> list[tuple[str, ...]]:
    """Write what is not there; the chunks that had to be written."""
    done = files.intact(STARTS, log)
    if not done:
        files.clear()
    missing = [ids for ids in PARTS if ids not in done]
    for ids in missing:
        log.append(files.write(STARTS[ids], *vectors(ids), ids))
    return missing


def check(files: CaptureFiles) -> None:
    """Both arrays are as they should be, for us and for anybody with numpy."""
    for read, path, expected in zip(files.opened(5), files.paths, EXPECTED, strict=True):
        np.testing.assert_array_equal(read, expected.astype(files.dtype))
        np.testing.assert_array_equal(np.load(path, mmap_mode="r"), expected.astype(files.dtype))
        assert not read.flags.writeable
        assert path.stat().st_size == 128 + 5 * D * np.dtype(files.dtype).itemsize


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_chunks_grow_arrays_that_numpy_opens_after_each_of_them(tmp_path: Path, dtype: CaptureDtype) -> None:
    files, log = make(tmp_path, dtype), MemoryCaptures()
    for ids in PARTS:
        log.append(files.write(STARTS[ids], *vectors(ids), ids))
        for path, expected in zip(files.paths, EXPECTED, strict=True):
            so_far = np.load(path, mmap_mode="r")
            assert (so_far.dtype, so_far.flags.c_contiguous) == (np.dtype(dtype), True)
            np.testing.assert_array_equal(so_far, expected[: STARTS[ids] + len(ids)].astype(dtype))
    assert [path.name for path in files.paths] == ["key.answer.npy", "key.other.npy"]
    assert run(files, log) == []
    check(files)


def test_rows_may_repeat_and_chunks_have_digests_of_their_own(tmp_path: Path) -> None:
    """Two responses with the same vectors are two rows; whose they are is part of the digest."""
    np.testing.assert_array_equal(EXPECTED[0][1], EXPECTED[0][3])
    files, log = make(tmp_path), MemoryCaptures()
    one = files.write(0, *vectors(("b", "d")), ("b", "d"))
    two = files.write(2, *vectors(("d", "b")), ("d", "b"))
    assert one.sha256 != two.sha256
    log.written[:] = [one, two]
    assert files.intact({("b", "d"): 0, ("d", "b"): 2}, log) == {("b", "d"), ("d", "b")}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("at", range(1, 16))
@pytest.mark.parametrize("step", ["os.fsync", "log"])
def test_a_kill_at_any_moment_costs_the_chunk_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, at: int, dtype: CaptureDtype
) -> None:
    """Killed before any of the twelve flushes or before any of the three log rows, then once more, then not."""
    files, log = make(tmp_path, dtype), MemoryCaptures()

    def killing(original: Callable[..., None], calls: list[int]) -> Callable[..., None]:
        def harmed(*args: Any) -> None:
            calls.append(1)
            if len(calls) == at:
                raise Killed
            original(*args)

        return harmed

    where, name = (capture_files.os, "fsync") if step == "os.fsync" else (log, "append")
    times = 12 if step == "os.fsync" else 3
    for _ in range(2):
        before = {chunk.question_ids for chunk in log.chunks()}
        with monkeypatch.context() as patch:
            patch.setattr(where, name, killing(getattr(where, name), []))
            if at > times - (4 if step == "os.fsync" else 1) * len(before):
                run(files, log)
                break
            with pytest.raises(Killed):
                run(files, log)
    logged = {chunk.question_ids for chunk in log.chunks()}
    assert set(run(files, log)) == set(PARTS) - logged, "what was logged is not captured again"
    check(files)


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


@pytest.mark.parametrize("region", [0, 1], ids=["answer", "other"])
@pytest.mark.parametrize("harm", HARMS)
def test_only_what_is_harmed_is_captured_again_at_its_place(tmp_path: Path, harm: str, region: int) -> None:
    files, log = make(tmp_path), MemoryCaptures()
    run(files, log)
    act, lost = HARMS[harm]
    act(files.paths[region])
    assert run(files, log) == [ids for number, ids in enumerate(PARTS) if number in lost]
    check(files)
    assert run(files, log) == []


def test_chunks_of_another_form_or_order_count_as_not_there(tmp_path: Path) -> None:
    """One file per chunk, as there was before; other responses; the same ones twice: the log forgets them."""
    files, log = make(tmp_path), MemoryCaptures()
    run(files, log)
    kept = log.chunks()
    log.append(replace(kept[0], file="key-00000.safetensors"))
    log.append(replace(kept[0], question_ids=("b", "a")))
    log.append(kept[1])
    assert files.intact(STARTS, log) == set(PARTS)
    assert sorted(log.chunks(), key=lambda chunk: chunk.question_ids) == kept
    moved = {PARTS[0]: 2, PARTS[1]: 0, PARTS[2]: 4}
    assert files.intact(moved, log) == {PARTS[2]}


def test_another_dtype_or_width_under_the_same_name_begins_anew(tmp_path: Path) -> None:
    """Never are rows of two kinds in one file: without an intact chunk it is begun anew, with one it is an error."""
    log = MemoryCaptures()
    run(make(tmp_path), log)
    half = make(tmp_path, "float16")
    assert run(half, log) == list(PARTS)
    check(half)
    wide = np.ones((1, D + 1), dtype=np.float32)
    with pytest.raises(CaptureError, match="5 neurons a row"):
        half.write(4, wide, wide, ("e",))
    check(half)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("region", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_of_nan_or_infinity_is_refused_with_its_question(
    tmp_path: Path, dtype: CaptureDtype, region: int, bad: float
) -> None:
    both = vectors(("a", "b"))
    both[region][1, 3] = bad
    with pytest.raises(NonFiniteError, match="'b'"):
        make(tmp_path, dtype).write(0, *both, ("a", "b"))
    assert list(tmp_path.iterdir()) == []


def test_what_float16_cannot_hold_is_refused_and_what_it_rounds_is_rounded_as_said(tmp_path: Path) -> None:
    """Up to 65504; relative error up to 2^-11 from 6.1e-5 on, absolute below; 0 under half of 6e-8."""
    values = np.array([[65504.0, 0.1234567, 7e-5, 3.3e-6, 2.9e-8]], dtype=np.float32)
    files = make(tmp_path, "float16")
    files.write(0, values, values, ("a",))
    read = files.opened(1)[0].astype(np.float64)[0]
    assert (np.abs(read[:3] / values[0, :3].astype(np.float64) - 1) <= 2**-11).all()
    assert abs(read[3] - 3.3e-6) <= 3e-8
    assert read[4] == 0
    assert read[1] != values[0, 1], "there is something to round"
    with pytest.raises(NonFiniteError, match="float16 can hold"):
        files.write(0, 1.1 * values, values, ("a",))
    make(tmp_path / "wide").write(0, 1.1 * values, values, ("a",))


@pytest.mark.parametrize("at", range(1, 5))
def test_a_full_disk_is_said_and_leaves_the_files_as_long_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """At any of a chunk's four flushes; a new file is then not there at all, and the next run goes on."""
    files, log = make(tmp_path), MemoryCaptures()

    def failing(calls: list[int]) -> Callable[[int], None]:
        def harmed(number: int) -> None:
            calls.append(1)
            if len(calls) == at:
                raise OSError(28, "No space left on device")

        return harmed

    for ids in PARTS:
        sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
        with monkeypatch.context() as patch:
            patch.setattr(capture_files.os, "fsync", failing([]))
            with pytest.raises(StoreError, match="No space left"):
                files.write(STARTS[ids], *vectors(ids), ids)
        struck = files.paths[(at - 1) // 2]
        assert {struck.name: struck.stat().st_size if struck.exists() else 0} == {
            struck.name: sizes.get(struck.name, 0)
        }
        log.append(files.write(STARTS[ids], *vectors(ids), ids))
    assert run(files, log) == []
    check(files)


def test_a_folder_or_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="remedy"):
        make(tmp_path / "file").write(0, *vectors(("a",)), ("a",))
    assert (tmp_path / "file").read_text() == "mine"
    files, log = make(tmp_path), MemoryCaptures()
    run(files, log)
    files.paths[0].unlink()
    files.paths[0].mkdir()
    with pytest.raises(StoreError, match="remedy"):
        run(files, log)
