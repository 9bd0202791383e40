"""What is refused before Ray is started, and how a cluster is shared out; none of it needs Ray."""

import os
import socket
from importlib.machinery import ModuleSpec

import pytest
from ray_workers import needs_ray

from provenance.cluster import connection
from provenance.cluster.connection import ClusterAddress, Share, connected, shared_out
from provenance.errors import InputError


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray as if it were there."""
    monkeypatch.setattr(connection, "find_spec", lambda name: ModuleSpec(name, None))


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _name: None)
    with pytest.raises(InputError) as refused:
        ClusterAddress()
    assert "checkpoint-provenance[ray]" in refused.value.remedy


@pytest.mark.usefixtures("installed")
def test_addresses_are_host_and_port_or_auto() -> None:
    pairs = {"10.0.0.1:6379": ("10.0.0.1", 6379), "head:1": ("head", 1), "[::1]:6379": ("::1", 6379)}
    for address, found in {**pairs, "auto": None, None: None}.items():
        assert ClusterAddress(address).host_and_port == found
    for wrong in ("", "head", ":6379", "head:", "head:x", "head:70000", "head:²", "ray://head:10001", "http://h:1/v1"):
        with pytest.raises(InputError, match="HOST:PORT"):
            ClusterAddress(wrong)
    for workers in (0, -1):
        with pytest.raises(InputError, match="--ray-workers"):
            ClusterAddress(None, workers)


def test_workers_have_a_gpu_each_or_all_cpus_between_them() -> None:
    small, large, gpus = {"CPU": 2.0}, {"CPU": 16.0, "GPU": 0.0}, {"CPU": 8.0, "GPU": 4.0}
    for machines, workers, expected in [
        ([small], None, Share(1, 2, 0)),
        ([small], 2, Share(2, 1, 0)),
        ([small, large], None, Share(2, 8, 0)),
        ([small, large], 3, Share(3, 5, 0)),
        ([small, large], 9, Share(9, 2, 0)),
        ([small], 3, Share(3, 1, 0)),  # the third waits for a machine
        ([], None, Share(1, 1, 0)),
    ]:
        assert shared_out(machines, workers, on_gpus=False) == expected
        if workers is not None and workers <= sum(int(each["CPU"]) for each in machines):
            assert sum(int(each["CPU"]) // expected.cpus for each in machines) >= workers
            assert sum(int(each["CPU"]) // (expected.cpus + 1) for each in machines) < workers
    assert shared_out([small, gpus, gpus], None, on_gpus=True) == Share(8, 1, 1)
    assert shared_out([gpus], 2, on_gpus=True) == Share(2, 1, 1)
    assert shared_out([small], None, on_gpus=True) == Share(1, 1, 1)


def test_an_environment_is_as_it_was_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with connection._environment({**connection.ENVIRONMENT, **connection.ENVIRONMENT_HERE}):
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        os.environ["RAY_AUTH_MODE"] = "token"  # as Ray does
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"
    assert not {"RAY_AUTH_MODE", *connection.ENVIRONMENT_HERE} & set(os.environ)


@needs_ray
def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=f"a Ray cluster at 127.0.0.1:{port}") as refused:
        connected(ClusterAddress(f"127.0.0.1:{port}")).__enter__()
    assert "ConnectionRefusedError" in refused.value.found
