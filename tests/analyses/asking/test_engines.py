"""Where models answer is part of a run's identity only where it may change an answer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from memory_logs import MemoryWorkspace, Silent
from pairing import JOB, Pairing
from vllm_stand_in import StandIn

from provenance.analyses.asking import engines
from provenance.analyses.asking import subject as subject_module
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.engines import HERE, Devices, Place, Reached, place_of, reached, recorded
from provenance.analyses.asking.subject import Subject
from provenance.cluster import connection
from provenance.cluster.connection import Cluster, ClusterAddress
from provenance.cluster.model_in_workers import ClusterModel, ModelInWorkers
from provenance.cluster.worker import ModelWanted
from provenance.engines import vllm_model
from provenance.engines.served_model import Served, ServedModel
from provenance.errors import InputError
from provenance.hub.endpoint import RESPONDENT, Endpoint
from provenance.models.devices import found_device
from provenance.models.loading import LoadedModel, load_lexicon, load_model


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    return Pairing(tmp_path_factory.mktemp("pairing"))


@pytest.fixture
def in_cluster(pairing: Pairing) -> ClusterModel:
    """The tuned model in a cluster of two machines, of which nothing is started."""
    side, how = pairing.sides["instruct"], JOB.settings().collection["instruct"]
    wanted = ModelWanted.of(side.checkpoint, dtype="float32", device="cpu", attn_implementation=None, offload=False)
    cluster = Cluster(None, ({"CPU": 4.0}, {"CPU": 4.0}), None)
    return ClusterModel(cluster, wanted, load_lexicon(side.tokenizer_folder), side.layout, how.batch_size)


def test_a_cluster_is_no_part_of_the_key_and_a_server_is(pairing: Pairing, in_cluster: ClusterModel) -> None:
    here = pairing.subjects["instruct"]
    pool, digest = here.training, here.checkpoint.digest
    there = replace(here, served=in_cluster)
    served = ServedModel(
        Endpoint.at("http://x/v1", RESPONDENT), Served("m", "1", "as sampled", None), in_cluster.lexicon
    )
    assert there.task(pool) == here.task(pool)
    assert replace(here, served=served).task(pool).key != here.task(pool).key
    assert recorded({digest: in_cluster}) == {}
    assert set(recorded({digest: served})["served"]) == {digest}


def test_each_worker_is_asked_a_batch_at_a_time(in_cluster: ClusterModel) -> None:
    assert in_cluster.questions_at_once == 2 * JOB.batch_size


def test_one_model_is_in_memory_here_or_in_workers(
    pairing: Pairing, in_cluster: ClusterModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is needed elsewhere is freed first; workers that were not needed yet are never started."""
    stopped: list[ModelInWorkers] = []

    def stop(self: ModelInWorkers) -> None:
        stopped.append(self)

    monkeypatch.setattr(ModelInWorkers, "stop", stop)
    side, how = pairing.sides["instruct"], JOB.settings().collection["instruct"]
    subject = Subject(side, how, pairing.pools, MemoryWorkspace(tmp_path), Clock(Silent()), served=in_cluster)
    first = subject.reader()
    assert isinstance(first, ModelInWorkers)
    assert subject.reader() is first
    assert not subject.is_in_memory
    assert isinstance(subject.model(), LoadedModel)
    assert stopped == [first]
    assert subject.is_in_memory
    second = subject.reader()
    assert second is not first
    assert not subject.is_in_memory
    subject.drop()
    assert stopped == [first, second]


def test_vllm_answers_every_pool_before_the_model_that_reads_takes_its_place(
    pairing: Pairing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One start, one end, then one model here; a finished run starts nothing, and its answers are read alike."""
    stand_in = StandIn().install(monkeypatch)
    side, how = pairing.sides["instruct"], JOB.settings().collection["instruct"]

    def load(*arguments: object, **options: object) -> LoadedModel:
        stand_in.events.append("load")
        return load_model(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(subject_module, "load_model", load)
    workspace = MemoryWorkspace(tmp_path)
    with reached(place_of("vllm", (), None, None)) as there:
        served = there.models([side], how, "cpu")
        subject = Subject(side, how, pairing.pools, workspace, Clock(Silent()), served=served[side.checkpoint.digest])
        first = subject.collect_all()
        assert stand_in.events == ["start child", "stop", "load"]
        assert [len(each.features) for each in first] != [0, 0]
        subject.drop()
        stand_in.events.clear()
        again = subject.collect_all()
    assert stand_in.events == []
    assert [each.responses for each in again] == [each.responses for each in first]
    assert set(recorded(served)["served"]) == {side.checkpoint.digest}
    assert subject.task(subject.training).key != pairing.subjects["instruct"].task(subject.training).key


def test_checkpoints_are_named_by_what_every_machine_can_find(pairing: Pairing) -> None:
    side = pairing.sides["base"]
    wanted = ModelWanted.of(side.checkpoint, dtype="float32", device="cuda:1", attn_implementation=None, offload=False)
    assert Path(wanted.ref.name) == side.checkpoint.folder.resolve()
    assert (wanted.device, wanted.on_gpu) == ("cuda", True)
    assert wanted.found().digest == side.checkpoint.digest
    pinned = replace(side.checkpoint, ref=replace(side.checkpoint.ref, kind="hub", name="org/x"), commit="c0ffee")
    how = {"dtype": "float32", "attn_implementation": None, "offload": False}
    assert str(ModelWanted.of(pinned, device="cpu", **how).ref) == "org/x@c0ffee"  # type: ignore[arg-type]


def test_places_need_their_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda name: name)
    monkeypatch.setattr(vllm_model, "find_spec", lambda name: name)
    assert place_of("transformers", (), None, None) == Place()
    assert place_of("vllm", (), None, None) == Place(vllm=True)
    assert place_of("ray", (), "head:6379", 3) == Place((), ClusterAddress("head:6379", 3))
    assert [each.url for each in place_of("openai", ["http://x/v1"], None, None).servers] == ["http://x/v1"]
    with reached(Place()) as here:
        assert here == HERE
        assert here.models((), JOB.settings().collection["base"], "cpu") == {}
        assert here.devices("auto") == Devices(found_device("auto"), found_device("auto"))


def test_a_job_is_in_the_dtype_of_the_workers_and_on_the_device_of_this_machine(
    pairing: Pairing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A head node without a GPU before workers with one, and the reverse."""
    sides = list(pairing.sides.values())
    cluster = Cluster(None, (), None)
    for there, gpu_here, here, dtype, said in [
        ("cuda", False, "cpu", "bfloat16", "this machine has no cuda"), ("cpu", True, "cpu", "float32", ""),
        ("cuda", True, "cuda", "bfloat16", ""),
    ]:  # fmt: skip
        monkeypatch.setattr(engines, "device_of_workers", lambda _cluster, _wanted: there)  # noqa: B023 - used at once
        monkeypatch.setattr(engines, "found_device", machine(gpu=gpu_here))
        caplog.clear()
        devices = Reached(cluster=cluster).devices("auto")
        assert devices == Devices(here, there)
        job = JOB.on(devices, sides)
        assert (job.device, job.dtype) == (here, dtype)
        assert said in caplog.text
        assert bool(said) == bool(caplog.records)
        [wanted] = [
            each.wanted
            for each in Reached(cluster=cluster).models(sides[:1], job.settings().collection["base"], there).values()
            if isinstance(each, ClusterModel)
        ]
        assert (wanted.device, wanted.dtype) == (there, dtype)


def machine(*, gpu: bool) -> Callable[[str], str]:
    """`found_device` of a machine."""

    def found(wanted: str) -> str:
        if wanted == "cuda" and not gpu:
            raise InputError("a device that torch can use, not 'cuda'", found="none", remedy="give --device cpu")
        return wanted

    return found
