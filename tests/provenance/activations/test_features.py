"""Captured vectors of responses: what the model gives, kept on disk, and captured again only where it is lost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from checkpoint_factory import make_response
from memory_logs import MemoryCaptures

from provenance.activations.capture_files import CaptureDtype
from provenance.activations.features import Features, Wanted, collect_features
from provenance.activations.neuron_rows import NeuronRows
from provenance.activations.reading import QUANTITIES, Quantity, Reader
from provenance.errors import NonFiniteError, StoreError
from provenance.files import write_whole
from provenance.models.loading import LoadedModel
from provenance.records import CaptureChunk, Response

ANSWERS = [" Paris", " New York", " a", " France is", " of", " b c"]


@pytest.fixture
def answers(loaded_llama: LoadedModel) -> list[Response]:
    return [make_response(loaded_llama, f"Question {i}?", text) for i, text in enumerate(ANSWERS)]


EVERYTHING = Wanted("all", log_probability=True, residual=True)
FILES = ("answer.npy", "other.npy", "log-probability.npy", "residual.npy")


def gather(
    loaded: LoadedModel | None,
    answers: Sequence[Response],
    folder: Path,
    log: MemoryCaptures,
    wanted: Wanted = EVERYTHING,
) -> Features:
    def load() -> LoadedModel:
        assert loaded is not None
        return loaded

    return collect_features(load, answers, folder, "k" * 64, log, lambda *_: None, wanted)


def values(features: Features) -> list[np.ndarray]:
    assert features.other is not None
    assert features.log_probability is not None
    assert features.residual is not None
    return [features.answer.all(), features.other.all(), features.log_probability, features.residual.all()]


def same(a: Features, b: Features) -> bool:
    return a.units == b.units and all(np.array_equal(x, y) for x, y in zip(values(a), values(b), strict=True))


class Watched(Reader):
    """Notes the questions of every pass."""

    passes: ClassVar[list[list[str]]] = []

    def read(self, responses: Sequence[Response]) -> dict[Quantity, np.ndarray]:
        self.passes.append([response.question_id for response in responses])
        return super().read(responses)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Questions of every pass over responses, of two at a time."""
    monkeypatch.setattr(Watched, "passes", [])
    monkeypatch.setattr("provenance.activations.features.Reader", Watched)
    monkeypatch.setattr("provenance.activations.features.rows_within", lambda _bytes: 2)
    return Watched.passes


def test_everything_that_is_wanted_comes_from_one_pass_and_a_second_collection_from_none(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path, passes: list[list[str]]
) -> None:
    log = MemoryCaptures()
    first = gather(loaded_llama, answers, tmp_path, log)
    assert first.answer.shape == (6, loaded_llama.layout.layers * loaded_llama.layout.d_m)
    assert sorted(question for each in passes for question in each) == sorted(first.question_ids)
    passes.clear()
    assert same(gather(None, answers, tmp_path, log), first)
    assert passes == []


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_are_what_the_model_gives_for_their_responses_in_the_dtype_asked_for(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path, dtype: CaptureDtype, passes: list[list[str]]
) -> None:
    """In the order asked for, whatever was read together; float16 rounds mean CETT and no more."""
    found = values(gather(loaded_llama, answers, tmp_path, MemoryCaptures(), Wanted("all", True, dtype, True)))
    by_id = {answer.question_id: answer for answer in answers}
    slow: dict[str, tuple[np.ndarray, ...]] = {}
    for batch in passes:
        read = Reader(loaded_llama, QUANTITIES).read([by_id[question] for question in batch])
        slow |= dict(zip(batch, zip(*read.values(), strict=True), strict=True))
    for number, rows in enumerate(found):
        expected = np.stack([slow[answer.question_id][number] for answer in answers]).reshape(rows.shape)
        kept = expected.astype(dtype).astype(np.float32) if number < 2 else expected
        np.testing.assert_array_equal(rows, kept)
        assert (dtype == "float16" and number < 2) == bool((rows != expected).any())
    ending = "npy" if dtype == "float32" else "float16.npy"
    names = {f"answer.{ending}", f"other.{ending}", "log-probability.npy", "residual.npy"}
    assert {path.name for path in tmp_path.iterdir()} == {f"{'k' * 16}.{name}" for name in names}


@pytest.mark.costly
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("harm", ["deleted", "cut short", "altered", "row lost"])
def test_damaged_files_are_captured_again(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path, harm: str, file: str, passes: list[list[str]]
) -> None:
    """Only the responses in question are given to the model, and the file ends as it was, byte for byte."""
    log = MemoryCaptures()
    first = gather(loaded_llama, answers, tmp_path, log)
    batches = list(passes)
    path = tmp_path / f"{'k' * 16}.{file}"
    content = path.read_bytes()
    if harm == "deleted":
        path.unlink()
    elif harm == "cut short":
        path.write_bytes(content[:-7])
    elif harm == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        log.written.remove([chunk for chunk in log.written if chunk.file == path.name][1])  # killed before its row
    passes.clear()
    again = gather(loaded_llama, answers, tmp_path, log)
    assert same(again, first)
    assert path.read_bytes() == content
    assert len(log.written) == len(FILES) * len(batches)
    last = len(batches) - 1
    expected = {"deleted": range(len(batches)), "cut short": [last], "altered": [last], "row lost": [1]}[harm]
    assert passes == [batches[number] for number in expected]


def test_what_else_is_wanted_later_is_read_and_nothing_of_what_is_there_is_written_again(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path, passes: list[list[str]]
) -> None:
    """More responses, in another order; then the other tokens and the residual stream, which older captures lack.

    Then fewer of the tokens, each kept beside the former.
    """
    log = MemoryCaptures()
    some = gather(loaded_llama, answers[::2], tmp_path, log, Wanted(log_probability=True))
    assert some.other is None
    passes.clear()
    everyone = gather(loaded_llama, answers[::-1], tmp_path, log, Wanted(log_probability=True))
    assert sorted(question for batch in passes for question in batch) == sorted(a.question_id for a in answers[1::2])
    np.testing.assert_array_equal(everyone.answer.all()[[5, 3, 1]], some.answer.all())
    assert everyone.question_ids == tuple(answer.question_id for answer in answers[::-1])
    before = (tmp_path / f"{'k' * 16}.answer.npy").read_bytes()
    assert everyone.residual is None
    wanted: list[Wanted] = [EVERYTHING, Wanted("content", log_probability=True, residual=True)]
    found = [gather(loaded_llama, answers, tmp_path, log, each) for each in wanted]
    assert (tmp_path / f"{'k' * 16}.answer.npy").read_bytes() == before
    assert not np.array_equal(values(found[0])[1], values(found[1])[1])
    for each, kept in zip(wanted, found, strict=True):
        assert same(gather(None, answers, tmp_path, log, each), kept)
    gather(None, answers, tmp_path, log, Wanted())


def test_chunks_that_are_of_another_file_are_left_alone(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path
) -> None:
    log = MemoryCaptures()
    other = CaptureChunk(f"{'k' * 16}-00000.safetensors", "0" * 64, ("x",))
    log.append(other)
    first = gather(loaded_llama, answers, tmp_path, log)
    assert log.chunks()[0] == other
    assert same(gather(None, answers, tmp_path, log), first)


def test_activations_that_are_not_finite_are_neither_kept_nor_logged(
    loaded_llama: LoadedModel, answers: list[Response], tmp_path: Path, passes: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The batch before stays; after the cause is gone the run goes on behind it."""
    log, half = MemoryCaptures(), Wanted("all", True, "float16", True)

    class Overflowing(Watched):
        def read(self, responses: Sequence[Response]) -> dict[Quantity, np.ndarray]:
            found = super().read(responses)
            if len(self.passes) == 2:
                found["answer"][1, 4] = 70_000
            return found

    with monkeypatch.context() as patch:
        patch.setattr("provenance.activations.features.Reader", Overflowing)
        with pytest.raises(NonFiniteError, match="--capture-dtype float32"):
            gather(loaded_llama, answers, tmp_path, log, half)
    assert len(log.chunks()) == len(FILES)
    assert len(np.load(tmp_path / f"{'k' * 16}.answer.float16.npy", mmap_mode="r")) == 2
    passes.clear()
    assert len(gather(loaded_llama, answers, tmp_path, log, half)) == 6
    assert sum(map(len, passes)) == 4


def test_no_responses_give_no_rows(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    assert len(gather(None, [], tmp_path, MemoryCaptures())) == 0


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
    features = replace(features, residual=NeuronRows.of(np.arange(3, dtype=np.float32)[:, None]))
    part = features.take([2, 0])
    assert part.answer.all().tolist() == [[4, 5], [0, 1]]
    assert part.residual is not None
    assert part.residual.all().tolist() == [[2], [0]]
    assert features.take(features.hallucinated).units == ("a", "c")
    mapped = features.mapped(np.array([1, -1]))
    assert mapped.answer.all().tolist() == [[1, 0], [3, 0], [5, 0]]
    assert mapped.residual is features.residual  # its coordinates are no neurons
    assert (part.units, part.question_ids, part.hallucinated.tolist()) == (("c", "a"), ("3", "1"), [True, True])
