"""A cluster of machines under Ray: reached at its address, or started on this machine for the time of a job.

Ray is an optional package. A cluster that is started here listens on loopback alone, has no dashboard, reports nothing
to anybody, and keeps its logs in Ray's temporary folder.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from joblib import cpu_count

from provenance.errors import InputError, JobError, missing_package

ANY = "auto"
"""The address of a cluster that this machine is part of."""
STORE_BYTES = 1 << 30  # of results on their way; taken as they come, and what is more goes to disk
REACHED_WITHIN_S = 10.0
COMES_WITHIN_S = 300.0  # a worker imports torch first, from a disk of the network perhaps
RAY_MESSAGES = logging.ERROR  # Ray tells of every start, and how it is protected
ENVIRONMENT: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # what Ray itself says of a lost worker would go to stdout
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
ENVIRONMENT_HERE: Mapping[str, str] = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Where Ray is to be for one machine only: on every system it then listens on loopback alone, as on Windows and macOS.
Ray reads its variables when it is imported."""
SET_BY_RAY = ("RAY_AUTH_MODE",)


@dataclass(frozen=True)
class ClusterAddress:
    """Where a cluster is, and how much of it is used; nothing of it was started or asked yet."""

    address: str | None = None
    """HOST:PORT, or `auto`; None for one that is started here."""
    workers: int | None = None
    """Models at work at once; None for one on each GPU, or without GPUs on each machine."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(
                "at least one worker", found=f"--ray-workers {self.workers}", remedy="leave it out, or give 1 or more"
            )
        if self.address is not None and self.address != ANY and self.host_and_port is None:
            raise InputError(
                "the address of a Ray cluster as HOST:PORT",
                found=repr(self.address),
                remedy=f"give --ray-address what `ray start --head` printed, or {ANY} on a machine of the cluster",
            )
        if find_spec("ray") is None:
            raise missing_package("ray, which runs models on a cluster", "ray")

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """Both parts of the address; None where it has another form."""
        host, sign, port = (self.address or "").rpartition(":")
        is_pair = bool(sign) and bool(host) and "/" not in host and port.isascii() and port.isdigit()
        return (host.strip("[]"), int(port)) if is_pair and int(port) < 1 << 16 else None


@dataclass(frozen=True)
class Share:
    """What the workers of a job get of a cluster."""

    workers: int
    cpus: int
    """Of each worker: its threads."""
    gpus: int
    """Of each worker."""

    def __str__(self) -> str:
        return f"{self.cpus} CPU" + (f" and {self.gpus} GPU" if self.gpus else "")


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to."""

    ray: Any
    """The module `ray`."""
    machines: tuple[Mapping[str, float], ...]
    """Resources of each, by Ray's names."""
    workers: int | None
    """How many the user wants."""

    @property
    def gpus(self) -> int:
        """GPUs of all machines."""
        return _total(self.machines, "GPU")

    def share(self, *, on_gpus: bool) -> Share:
        """How the cluster is shared out among workers."""
        return shared_out(self.machines, self.workers, on_gpus=on_gpus)


def shared_out(machines: Sequence[Mapping[str, float]], workers: int | None, *, on_gpus: bool) -> Share:
    """Workers with a GPU each, or with as many CPUs as all of them can have.

    More workers than fit are asked for nevertheless: machines may join.
    """
    if on_gpus:
        return Share(workers or max(1, _total(machines, "GPU")), 1, 1)
    cpus = [int(machine.get("CPU", 0)) for machine in machines]
    wanted = workers or max(1, sum(number > 0 for number in cpus))
    each = range(max(cpus, default=0), 0, -1)
    return Share(wanted, next((n for n in each if sum(own // n for own in cpus) >= wanted), 1), 0)


def _total(machines: Sequence[Mapping[str, float]], resource: str) -> int:
    return int(sum(machine.get(resource, 0) for machine in machines))


@contextmanager
def connected(to: ClusterAddress) -> Iterator[Cluster]:
    """A cluster for the time of a block, with a Ray that the calling program uses already left as it is.

    Raises:
        InputError: Nothing answers at the address, or what does is no cluster of this version.
        JobError: Ray cannot be started here.
    """
    with _environment(ENVIRONMENT if to.address is not None else {**ENVIRONMENT, **ENVIRONMENT_HERE}):
        import ray

        if ray.is_initialized():
            yield _cluster(ray, to.workers)
            return
        before = signal.getsignal(signal.SIGTERM)
        try:
            _connect(ray, to)
            yield _cluster(ray, to.workers)
        finally:
            ray.shutdown()
            if before is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray put its own in its place


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process and of those that it starts, as they were before after the block."""
    before = {name: os.environ.get(name) for name in (*values, *SET_BY_RAY)}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cluster(ray: Any, workers: int | None) -> Cluster:
    machines = tuple(node["Resources"] for node in ray.nodes() if node["Alive"])
    return Cluster(ray, machines, workers)


def _connect(ray: Any, to: ClusterAddress) -> None:
    quiet = {"log_to_driver": False, "logging_level": RAY_MESSAGES}
    try:
        if to.address is not None:
            _reach(to)
            ray.init(to.address, **quiet)
        else:
            ray.init(
                "local",
                num_cpus=int(cpu_count()),
                object_store_memory=STORE_BYTES,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    except Exception as error:  # a start that takes too long is a bare one
        raise _not_connected(to, error) from error


def _reach(to: ClusterAddress) -> None:
    """Connect once, since Ray itself waits for minutes and then ends the process.

    Raises:
        OSError: Nothing listens there.
    """
    if to.host_and_port is not None:
        socket.create_connection(to.host_and_port, REACHED_WITHIN_S).close()


def _not_connected(to: ClusterAddress, error: Exception) -> InputError | JobError:
    found = f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]
    if to.address is None:
        return JobError(
            "a Ray cluster on this machine",
            found=found,
            remedy="see Ray's logs in its temporary folder (/tmp/ray), or leave out --engine ray",
        )
    return InputError(
        f"a Ray cluster at {to.address}",
        found=found,
        remedy="start it (ray start --head), with the same versions of Python and Ray as here",
    )
