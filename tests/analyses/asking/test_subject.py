"""A model that goes on with its work: with larger quotas, in other batches, after memory or a disk was too small."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from memory_logs import MemoryWorkspace, Silent
from pairing import Pairing

from provenance.activations import capture_files
from provenance.activations.reading import Quantity, Reader
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import Collected
from provenance.analyses.asking.subject import Subject
from provenance.answers.sampling import PromptBatch
from provenance.errors import JobError, StoreError
from provenance.records import Response


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    return Pairing(tmp_path_factory.mktemp("pairing"))


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many samples were drawn for each prompt."""
    drawn: Counter[str] = Counter()
    original = PromptBatch.draw

    def draw(self: PromptBatch, rows: Sequence[int], samples: range, seed: int) -> list[list[list[int]]]:
        drawn.update({str(self._prompts[row]): len(samples) for row in rows})
        return original(self, rows, samples, seed)

    monkeypatch.setattr(PromptBatch, "draw", draw)
    return drawn


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the response to each question was read."""
    found: Counter[str] = Counter()
    original = Reader.read

    def reading(self: Reader, responses: Sequence[Response]) -> dict[Quantity, np.ndarray]:
        found.update(response.question_id for response in responses)
        return original(self, responses)

    monkeypatch.setattr(Reader, "read", reading)
    return found


def subject_of(pairing: Pairing, workspace: MemoryWorkspace, quota: int, batch_size: int) -> Subject:
    how = pairing.subjects["instruct"].settings
    settings = replace(how, train_quota=quota, test_quota=quota, batch_size=batch_size)
    return Subject(pairing.sides["instruct"], settings, pairing.pools, workspace, Clock(Silent()))


def values(found: Collected) -> list[np.ndarray]:
    features = found.features
    assert features.log_probability is not None
    other = [] if features.other is None else [features.other.all()]
    return [features.answer.all(), *other, features.log_probability]


@pytest.mark.parametrize("pool", [0, 1], ids=["training", "test"])
def test_larger_quotas_ask_and_read_only_what_is_new(
    pairing: Pairing, tmp_path: Path, pool: int, sampled: Counter[str], read: Counter[str]
) -> None:
    """And end in what they give from the beginning; with smaller ones and other batches nothing is asked or read."""
    workspace = MemoryWorkspace(tmp_path / "one")
    few = subject_of(pairing, workspace, 2, 1)
    first = few.collect(few.pools[pool])
    assert len(first.features) > 2
    many = subject_of(pairing, workspace, 5, 1)
    assert many.task(many.pools[pool]) == few.task(few.pools[pool])
    second = many.collect(many.pools[pool])
    assert len(second.features) > len(first.features)
    kept = {str(response.prompt_ids): response.n_samples for response in second.responses}
    assert dict(sampled) == kept, "every sample was drawn once"
    assert set(read.values()) == {1}
    fresh = subject_of(pairing, MemoryWorkspace(tmp_path / "two"), 5, 7)
    whole = fresh.collect(fresh.pools[pool])
    assert whole.responses == second.responses
    for ours, theirs in zip(values(second), values(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)  # read in other batches
    sampled.clear()
    read.clear()
    for quota, size in ((5, 3), (2, 16)):
        again = subject_of(pairing, workspace, quota, size)
        found = again.collect(again.pools[pool])
        assert len(found.features) == len((second if quota == 5 else first).features)
        assert not again.is_in_memory
    assert (dict(sampled), dict(read)) == ({}, {})


@pytest.mark.parametrize("harm", ["memory", "disk"])
def test_after_memory_or_a_disk_was_too_small_nothing_is_asked_again(
    pairing: Pairing, tmp_path: Path, harm: str, sampled: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While reading, after all was asked: the next run goes on with other batches, and only reads."""
    workspace = MemoryWorkspace(tmp_path)

    def refuse(*_args: object) -> dict[Quantity, np.ndarray]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    harms: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], type[Exception]]] = {
        "memory": (lambda patch: patch.setattr(Reader, "read", refuse), JobError),
        "disk": (lambda patch: patch.setattr(capture_files.os, "fsync", full), StoreError),
    }
    act, error = harms[harm]
    subject = subject_of(pairing, workspace, 5, 8)
    with monkeypatch.context() as patch:
        act(patch)
        with pytest.raises(error):
            subject.collect(subject.held_out)
    assert sampled
    sampled.clear()
    again = subject_of(pairing, workspace, 5, 2)
    assert len(again.collect(again.held_out).features) > 0
    assert not sampled
