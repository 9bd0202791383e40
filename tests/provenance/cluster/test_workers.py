"""Workers give what the model here gives, bit for bit, and go on where some are killed. Runs where Ray is installed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_factory import load, local_checkpoint, make_response, make_speaker
from forked_cli import ROOT
from ray_workers import Killer, cluster_of_two, needs_ray, worker_pids

from provenance.activations.batches import batches
from provenance.activations.reading import QUANTITIES, Reader, read_each
from provenance.answers.prompts import BASE_PROMPT, PromptFormat
from provenance.answers.sampling import Decoding, Draw, LocalSampler, Sampler
from provenance.cluster import workers as module
from provenance.cluster.connection import Cluster, Share
from provenance.cluster.model_in_workers import ClusterModel, ModelInWorkers
from provenance.cluster.worker import ModelWanted, Worker
from provenance.cluster.workers import Call, Workers
from provenance.errors import CheckpointError, InputError, JobError
from provenance.models.loading import LoadedModel
from provenance.records import Response

pytestmark = [needs_ray, pytest.mark.costly]
DECODING = Decoding(max_new_tokens=12)
SHARD = 5
ROUNDS = ((range(23), range(1)), ((0, 1, 4, 5, 9, 17, 22), range(1, 4)), ((5, 22), range(4, 10)))
"""Rows that are asked on, and the numbers of their samples: as questions stay open."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_of_two() as found:
        yield found


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speaker(tmp_path_factory.mktemp("speaker") / "model", chat=False)


@pytest.fixture(scope="module")
def here(speaker: Path) -> LoadedModel:
    return load(speaker)


@pytest.fixture(scope="module")
def there(cluster: Cluster, speaker: Path, here: LoadedModel) -> Iterator[ModelInWorkers]:
    """The model in two workers."""
    found = cluster_model(cluster, speaker, here).start()
    yield found
    found.stop()


def wanted(folder: Path) -> ModelWanted:
    how = {"dtype": "float32", "device": "cpu", "attn_implementation": None, "offload": False}
    return ModelWanted.of(local_checkpoint(folder), **how)  # type: ignore[arg-type]


def cluster_model(cluster: Cluster, folder: Path, here: LoadedModel) -> ClusterModel:
    return ClusterModel(cluster, wanted(folder), here.lexicon, here.layout, SHARD)


def drawn(sampler: Sampler, here: LoadedModel, seed: int = 3) -> list[Sequence[Sequence[object]]]:
    """What each round of samples gives."""
    form = PromptFormat(BASE_PROMPT, chat=False)
    prompts = [form.render(here.tokenizer, f"Where is {'x' * (n % 7)} number {n}?") for n in range(23)]
    draw: Draw = sampler.prompted(prompts, DECODING, here.stop_ids)
    return [list(draw(list(rows), samples, seed)) for rows, samples in ROUNDS]


def in_batches(here: LoadedModel) -> list[list[Response]]:
    responses = [make_response(here, f"Question {n}?", " Paris" * (1 + n % 5) + " New York") for n in range(30)]
    lengths = [Reader(here, QUANTITIES).length(response) for response in responses]
    return [[responses[row] for row in rows] for rows in batches(lengths, most_tokens=120)]


def read_here(here: LoadedModel, parts: Sequence[Sequence[Response]]) -> list[Any]:
    reader = Reader(here, QUANTITIES)
    return [read_each(reader, part) for part in parts]


def assert_same(found: Sequence[Any], expected: Sequence[Any]) -> None:
    assert len(found) == len(expected) > 1
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys() == set(QUANTITIES)
        for quantity in QUANTITIES:
            assert ours[quantity].dtype == theirs[quantity].dtype
            assert np.array_equal(ours[quantity], theirs[quantity])


def test_shards_of_questions_have_the_samples_of_one_process(there: ModelInWorkers, here: LoadedModel) -> None:
    """Token for token in every round, with batches that are cut into shards, while a worker begins and with both."""
    found = drawn(there, here)
    assert found == drawn(LocalSampler(here), here)
    assert found != drawn(there, here, seed=4)
    assert [len(each) for each in found] == [len(rows) for rows, _ in ROUNDS]
    until = time.monotonic() + 60
    while len(worker_pids()) < 2:  # one may have done all of it while the other began
        assert time.monotonic() < until
        time.sleep(0.1)
    assert found == drawn(there, here)


def test_a_cluster_that_is_started_here_is_on_loopback_alone() -> None:
    """In a process of its own, since Ray reads how it is to listen when it is imported."""
    code = (
        "from provenance.cluster.connection import ClusterAddress, connected\n"
        "with connected(ClusterAddress(None, 1)) as cluster:\n"
        "    print(*(node['NodeManagerAddress'] for node in cluster.ray.nodes()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["127.0.0.1"]


def test_chunks_of_responses_are_read_bit_for_bit_as_here_and_in_their_order(
    there: ModelInWorkers, here: LoadedModel
) -> None:
    parts = in_batches(here)
    assert len(parts) > 4
    assert_same(list(there.read(QUANTITIES, "all", parts)), read_here(here, parts))
    less = list(there.read(["answer"], "all", parts))
    assert {quantity for each in less for quantity in each} == {"answer"}


def test_workers_that_are_killed_at_random_moments_change_nothing(there: ModelInWorkers, here: LoadedModel) -> None:
    expected, parts = drawn(LocalSampler(here), here), in_batches(here)
    with Killer(most=4, seed=5) as killer:
        while len(killer.killed) < 4:
            assert drawn(there, here) == expected
            assert_same(list(there.read(QUANTITIES, "all", parts)), read_here(here, parts))
    assert drawn(there, here) == expected


def test_a_worker_that_stands_still_is_replaced(
    there: ModelInWorkers, here: LoadedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its process is stopped, as where a disk of the network hangs: it neither dies nor answers."""
    monkeypatch.setattr(module, "LOOKED_AFTER_S", 0.2)
    monkeypatch.setattr(module, "SILENT_AFTER_S", 8.0)
    parts = in_batches(here)
    reading = there.read(QUANTITIES, "all", parts)
    first = next(reading)
    stopped = worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    assert_same([first, *reading], read_here(here, parts))
    began = time.monotonic()
    while stopped in worker_pids():  # Ray asks it to end for five seconds before it kills it
        assert time.monotonic() < began + 60
        time.sleep(0.1)
    assert caplog.text.count("it gave no answer for") == 1


def test_results_that_nobody_waits_for_end_with_their_workers(there: ModelInWorkers, here: LoadedModel) -> None:
    """As at Ctrl-C between two results: the next calls are answered by new workers."""
    parts = in_batches(here)
    reading = there.read(QUANTITIES, "all", parts)
    first = next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert there.workers._places == []
    again = list(there.read(QUANTITIES, "all", parts))
    assert_same(again, read_here(here, parts))
    assert_same([first, *again[1:]], again)


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        return os.abort, ()


def test_workers_that_die_again_and_again_are_an_error(
    there: ModelInWorkers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that kills every worker ends the job, and the workers."""
    monkeypatch.setattr(module, "MOST_LOSSES", 1)
    with pytest.raises(JobError, match="2 that died one after the other") as failed:
        list(there.workers.results([Call("read", (QUANTITIES, "all", Deadly()))]))
    assert "--ray-workers" in failed.value.remedy
    assert "another one takes over" in caplog.text
    assert there.workers._places == []


class OnABrokenGpu:
    """The quantities to read, unpickled as a generator of them that fails for the first time, as a broken GPU does."""

    def __init__(self, tried: Path) -> None:
        self.known = {"quantities": list(QUANTITIES), "tried": tried}

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        fails = "[tried.touch(), (_ for _ in ()).throw(RuntimeError('CUDA error: unspecified launch failure'))]"
        return eval, (f"(each for _ in '1' for each in (quantities if tried.exists() else {fails}))", self.known)


def test_a_worker_whose_gpu_is_gone_is_replaced(
    there: ModelInWorkers, here: LoadedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = in_batches(here)
    wanted = [OnABrokenGpu(tmp_path / "tried") if number == 1 else QUANTITIES for number in range(len(parts))]
    calls = [Call("read", (each, "all", part)) for each, part in zip(wanted, parts, strict=True)]
    assert_same(list(there.workers.results(calls)), read_here(here, parts))
    assert caplog.text.count("unspecified launch failure") == 1


@pytest.fixture
def unused(cluster: Cluster, there: ModelInWorkers) -> Cluster:
    """The cluster with nothing at work in it."""
    there.stop()
    return cluster


def test_a_worker_that_never_comes_is_an_error_after_a_while(
    unused: Cluster, speaker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMES_WITHIN_S", 1.0)
    workers = Workers(unused.ray, Share(1, 3, 0), Worker, wanted(speaker))
    with pytest.raises(JobError, match="a worker with 3 CPU") as failed:
        list(workers.results([Call("free", ())]))
    assert "1 not there after 1 s" in failed.value.found
    assert "2 CPU" in failed.value.found


def test_the_workers_that_come_do_the_work_of_those_that_do_not(
    unused: Cluster,
    speaker: Path,
    here: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    workers = Workers(unused.ray, Share(3, 1, 0), Worker, wanted(speaker))
    model = ModelInWorkers(workers, here.lexicon, here.layout, SHARD)
    expected = drawn(LocalSampler(here), here)
    assert drawn(model, here) == expected
    monkeypatch.setattr(module, "COMES_WITHIN_S", 0.0)
    assert drawn(model, here) == expected
    workers.stop()
    # the second one may still be on its way
    assert len(re.findall(r"3 workers with 1 CPU each: [12] not there", caplog.text)) == 1


def test_errors_of_a_worker_are_ours(unused: Cluster, speaker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Workers(unused.ray, Share(1, 1, 0), Worker, replace(wanted(speaker), digest="0" * 64))
    with pytest.raises(CheckpointError, match="the same files of"):
        list(other.results([Call("free", ())]))
    monkeypatch.setattr(module, "software", lambda: {"torch": "1.0"})
    with pytest.raises(InputError, match=r"torch 1\.0 on every machine"):
        list(Workers(unused.ray, Share(1, 1, 0), Worker, wanted(speaker)).results([Call("free", ())]))
