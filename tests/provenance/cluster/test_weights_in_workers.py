"""Weights of a pair are read by workers as they are here, bit for bit, though some are killed. Runs where Ray is."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_factory import make_checkpoint, tuned_copy
from forked_cli import ROOT
from ray_workers import Killer, cluster_of_two, needs_ray
from safetensors.torch import load_file, save_file

from provenance.analyses.asking.engines import Reached
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.drift.weight_drift import measure_drift
from provenance.analyses.lineage.relation import lineage
from provenance.checkpoints.names import CheckpointRef, checkpoint_at
from provenance.cluster.connection import Cluster
from provenance.cluster.device_of_workers import device_of_workers
from provenance.errors import NonFiniteError
from provenance.records import Stage

pytestmark = [needs_ray, pytest.mark.costly]
Sides = tuple[OpenCheckpoint, OpenCheckpoint]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_of_two() as found:
        yield found


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    folder = tmp_path_factory.mktemp("pair")
    base = make_checkpoint(folder / "base")
    return opened("base", base), opened("instruct", tuned_copy(base, folder / "instruct"))


def opened(stage: Stage, folder: Path) -> OpenCheckpoint:
    return OpenCheckpoint.open(stage, checkpoint_at(CheckpointRef("local", str(folder)), folder))


def test_lineage_and_drift_have_the_bits_of_one_process(cluster: Cluster, sides: Sides) -> None:
    ours, theirs = (side.weights for side in sides)
    ids = np.arange(ours.layers * ours.d_m)[::-1].copy()
    expected = lineage(ours, theirs, (None, None), ({}, {}))
    assert expected.verdict == "descendant"
    with Reached(cluster=cluster).weights(*sides) as who, Killer(most=2, seed=2) as killer:
        assert who is not None
        while len(killer.killed) < 2:
            assert repr(lineage(ours, theirs, (None, None), ({}, {}), who=who)) == repr(expected)
            for base_ids in (None, ids):
                found, here = measure_drift(ours, theirs, base_ids, who), measure_drift(ours, theirs, base_ids)
                for name, value in vars(here).items():
                    np.testing.assert_array_equal(vars(found)[name], value, name, strict=isinstance(value, np.ndarray))


def test_what_reading_raises_there_is_raised_here(cluster: Cluster, sides: Sides, tmp_path: Path) -> None:
    tensors = load_file(sides[0].checkpoint.folder / "model.safetensors")
    name = sides[0].weights.slice("up", 1).name
    tensors[name][3, 5] = torch.nan
    spoiled = tuned_copy(sides[0].checkpoint.folder, tmp_path / "spoiled")
    save_file(tensors, spoiled / "model.safetensors")
    bad = opened("instruct", spoiled)
    named = pytest.raises(NonFiniteError, match=r"up weights of layer 1 \(instruct")
    with Reached(cluster=cluster).weights(sides[0], bad) as who, named:
        measure_drift(sides[0].weights, bad.weights, who=who)


def test_without_a_gpu_in_the_cluster_nobody_is_asked_for_the_device(cluster: Cluster) -> None:
    assert device_of_workers(cluster, "auto") == device_of_workers(cluster, "cpu") == "cpu"


def test_the_device_is_that_of_a_worker_and_not_of_this_machine() -> None:
    """Ray is told of a GPU, and so a worker is asked, which finds none; in a process of its own, for another Ray."""
    code = (
        "import ray, torch\n"
        "from provenance.cluster import device_of_workers as module\n"
        "from provenance.cluster.connection import Cluster\n"
        "from provenance.errors import InputError, JobError\n"
        "ray.init('local', num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)\n"
        "torch.cuda.is_available = lambda: True\n"
        "cluster = Cluster(ray, ({'CPU': 1.0, 'GPU': 1.0},), None)\n"
        "print(module.device_of_workers(cluster, 'auto'))\n"
        "try:\n    module.device_of_workers(cluster, 'cuda:1')\n"
        "except InputError as error:\n    print(error.wanted)\n"
        "module.COMES_WITHIN_S = 1.0\n"
        "busy = ray.remote(num_gpus=1)(type('Busy', (), {'there': lambda self: 1})).remote()\n"
        "ray.get(busy.there.remote())\n"
        "try:\n    module.device_of_workers(cluster, 'auto')\n"
        "except JobError as error:\n    print(error.found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["cpu", "a device that torch can use, not 'cuda'", "none within 1 s"]
