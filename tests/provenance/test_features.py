"""Captured vectors on disk: whole or not there, and captured again when damaged."""

from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import make_response
from memory_logs import MemoryCaptures

from provenance.errors import StoreError
from provenance.features import Features, collect_features
from provenance.files import write_whole
from provenance.models import LoadedModel
from provenance.records import Response

ANSWERS = [" Paris", " New York", " a", " France is", " of", " b c"]


@pytest.fixture
def answers(loaded_llama: LoadedModel) -> list[Response]:
    return [make_response(loaded_llama, f"Question {i}?", text) for i, text in enumerate(ANSWERS)]


def gather(loaded: LoadedModel | None, answers: list[Response], folder: Path, log: MemoryCaptures) -> Features:
    def load() -> LoadedModel:
        assert loaded is not None
        return loaded

    return collect_features(load, answers, folder, "k" * 64, 2, log, lambda *_: None)


def same(a: Features, b: Features) -> bool:
    return bool(np.array_equal(a.answer, b.answer) and np.array_equal(a.other, b.other) and a.units == b.units)


def test_a_second_collection_reads_and_does_not_run_the_model(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path
) -> None:
    log = MemoryCaptures()
    first = gather(loaded_llama, answers, tmp_path, log)
    assert first.answer.shape == (6, loaded_llama.layout.layers * loaded_llama.layout.d_m)
    assert same(gather(None, answers, tmp_path, log), first)


@pytest.mark.parametrize("harm", ["deleted", "cut short", "altered", "row lost"])
def test_damaged_files_are_captured_again(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path, harm: str
) -> None:
    log = MemoryCaptures()
    first = gather(loaded_llama, answers, tmp_path, log)
    path = tmp_path / log.written[1].file
    content = path.read_bytes()
    if harm == "deleted":
        path.unlink()
    elif harm == "cut short":
        path.write_bytes(content[:-7])
    elif harm == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        log.written.pop(1)  # killed between the file and its row
    again = gather(loaded_llama, answers, tmp_path, log)
    assert same(again, first)
    assert path.read_bytes() == content
    assert len(log.written) == 3


def test_no_responses_give_no_rows(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    assert gather(None, [], tmp_path, MemoryCaptures()).answer.shape[0] == 0


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.write_text("in the way")
    with pytest.raises(StoreError, match="remedy"):
        write_whole(target / "x.safetensors", b"content")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_taking_rows_keeps_them_together() -> None:
    features = Features(
        np.arange(6, dtype=np.float32).reshape(3, 2), np.zeros((3, 2), np.float32), np.array([True, False, True]),
        ("a", "b", "c"), ("1", "2", "3"),
    )  # fmt: skip
    part = features.take([2, 0])
    assert part.answer.tolist() == [[4, 5], [0, 1]]
    assert (part.units, part.question_ids, part.hallucinated.tolist()) == (("c", "a"), ("3", "1"), [True, True])
