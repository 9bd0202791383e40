"""Captured vectors of responses: what the model gives, kept on disk, and captured again only where it is lost."""

from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import make_response
from memory_logs import MemoryCaptures

from provenance.activations.capture import capture_cett
from provenance.activations.capture_files import CaptureDtype
from provenance.activations.features import Features, collect_features
from provenance.errors import NonFiniteError, StoreError
from provenance.files import write_whole
from provenance.models.loading import LoadedModel
from provenance.records import CaptureChunk, OtherTokens, Response

ANSWERS = [" Paris", " New York", " a", " France is", " of", " b c"]


@pytest.fixture
def answers(loaded_llama: LoadedModel) -> list[Response]:
    return [make_response(loaded_llama, f"Question {i}?", text) for i, text in enumerate(ANSWERS)]


def gather(
    loaded: LoadedModel | None,
    answers: list[Response],
    folder: Path,
    log: MemoryCaptures,
    dtype: CaptureDtype = "float32",
) -> Features:
    def load() -> LoadedModel:
        assert loaded is not None
        return loaded

    return collect_features(load, answers, folder, "k" * 64, 2, log, lambda *_: None, dtype)


def same(a: Features, b: Features) -> bool:
    vectors = np.array_equal(a.answer.all(), b.answer.all()) and np.array_equal(a.other.all(), b.other.all())
    return vectors and a.units == b.units


def test_a_second_collection_reads_and_does_not_run_the_model(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path
) -> None:
    log = MemoryCaptures()
    first = gather(loaded_llama, answers, tmp_path, log)
    assert first.answer.shape == (6, loaded_llama.layout.layers * loaded_llama.layout.d_m)
    assert same(gather(None, answers, tmp_path, log), first)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_are_what_the_model_gives_for_their_responses_in_the_dtype_asked_for(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path, dtype: CaptureDtype
) -> None:
    """Captured chunk by chunk as they are on disk, which is one array per region; float16 rounds and no more."""
    read = gather(loaded_llama, answers, tmp_path, MemoryCaptures(), dtype)
    chunks = [capture_cett(loaded_llama, answers[i : i + 2]) for i in range(0, 6, 2)]
    for region, rows in ((0, read.answer), (1, read.other)):
        slow = np.concatenate([chunk[region] for chunk in chunks])
        np.testing.assert_array_equal(rows.all(), slow.astype(dtype).astype(np.float32))
        assert (dtype == "float16") == bool((rows.all() != slow).any())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k" * 16 + ".answer.npy", "k" * 16 + ".other.npy"]


@pytest.mark.parametrize("harm", ["deleted", "cut short", "altered", "row lost"])
def test_damaged_files_are_captured_again(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the chunks in question are given to the model, and the file ends as it was, byte for byte."""
    log = MemoryCaptures()
    first = gather(loaded_llama, answers, tmp_path, log)
    path = tmp_path / f"{log.written[1].file}.answer.npy"
    content = path.read_bytes()
    if harm == "deleted":
        path.unlink()
    elif harm == "cut short":
        path.write_bytes(content[:-7])
    elif harm == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        log.written.pop(1)  # killed between the file and its row
    captured: list[list[str]] = []

    def capturing(loaded: LoadedModel, part: list[Response], other: OtherTokens) -> object:
        captured.append([response.question_id for response in part])
        return capture_cett(loaded, part, other)

    monkeypatch.setattr("provenance.activations.features.capture_cett", capturing)
    again = gather(loaded_llama, answers, tmp_path, log)
    assert same(again, first)
    assert path.read_bytes() == content
    assert len(log.written) == 3
    expected = {"deleted": (0, 1, 2), "cut short": (2,), "altered": (2,), "row lost": (1,)}[harm]
    assert captured == [[answer.question_id for answer in answers[2 * i : 2 * i + 2]] for i in expected]


def test_chunks_that_were_one_file_each_are_captured_again(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path
) -> None:
    """A database of an earlier version goes on: what its log names is no array of this form."""
    log = MemoryCaptures()
    for number in range(3):
        ids = tuple(answer.question_id for answer in answers[2 * number : 2 * number + 2])
        log.append(CaptureChunk(f"{'k' * 16}-{number:05d}.safetensors", "0" * 64, ids))
    first = gather(loaded_llama, answers, tmp_path, log)
    assert [chunk.file for chunk in log.chunks()] == ["k" * 16] * 3
    assert same(gather(None, answers, tmp_path, log), first)


def test_activations_that_are_not_finite_are_neither_kept_nor_logged(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk before stays; after the cause is gone the run goes on behind it."""
    log = MemoryCaptures()

    def overflowing(loaded: LoadedModel, part: list[Response], tokens: OtherTokens) -> object:
        answer, other = capture_cett(loaded, part, tokens)
        if part[0] is answers[2]:
            answer[1, 4] = 70_000
        return answer, other

    with monkeypatch.context() as patch:
        patch.setattr("provenance.activations.features.capture_cett", overflowing)
        with pytest.raises(NonFiniteError, match="--capture-dtype float32"):
            gather(loaded_llama, answers, tmp_path, log, "float16")
    assert len(log.chunks()) == 1
    assert len(np.load(tmp_path / f"{'k' * 16}.answer.npy", mmap_mode="r")) == 2
    assert len(gather(loaded_llama, answers, tmp_path, log, "float16")) == 6


def test_no_responses_give_no_rows(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    assert gather(None, [], tmp_path, MemoryCaptures()).answer.shape[0] == 0


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.write_text("in the way")
    with pytest.raises(StoreError, match="remedy"):
        write_whole(target / "x.safetensors", b"content")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_taking_rows_keeps_them_together() -> None:
    features = Features.of(
        np.arange(6, dtype=np.float32).reshape(3, 2), np.zeros((3, 2), np.float32), np.array([True, False, True]),
        ("a", "b", "c"), ("1", "2", "3"),
    )  # fmt: skip
    part = features.take([2, 0])
    assert part.answer.all().tolist() == [[4, 5], [0, 1]]
    assert features.take(features.hallucinated).units == ("a", "c")
    assert features.mapped(np.array([1, -1])).answer.all().tolist() == [[1, 0], [3, 0], [5, 0]]
    assert (part.units, part.question_ids, part.hallucinated.tolist()) == (("c", "a"), ("3", "1"), [True, True])
