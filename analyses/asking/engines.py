"""Where the models of a job answer: here, through vLLM here, at servers, or in the workers of a cluster.

A model at a server, or in vLLM, is asked for answers alone. Activations and log-probabilities are read here, and so are
answers with neurons scaled, from the model that is loaded here. Workers of a cluster also read; what they give is what
the model here would, so they are no part of a run's identity.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from provenance.analyses.asking.collection import CollectionSettings
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.weights.by_layers import ByLayers
from provenance.checkpoints.names import Checkpoint
from provenance.cluster.connection import Cluster, ClusterAddress, connected
from provenance.cluster.device_of_workers import device_of_workers
from provenance.cluster.model_in_workers import ClusterModel
from provenance.cluster.weights_in_workers import WeightsInWorkers
from provenance.cluster.worker import CheckpointWanted, ModelWanted, WeightsWorker, shared_ref
from provenance.cluster.workers import Workers
from provenance.defaults import AUTO
from provenance.engines.served_model import ServedModel, find_served
from provenance.engines.vllm_model import VllmModel, check_installed
from provenance.errors import InputError
from provenance.hub.endpoint import RESPONDENT, Endpoint
from provenance.models.devices import found_device
from provenance.models.loading import Lexicon, load_lexicon

logger = logging.getLogger(__name__)
Engine = Literal["transformers", "vllm", "openai", "ray"]
"""What samples answers: the model loaded here, vLLM here, servers with OpenAI's interface, or the workers of a Ray
cluster."""
ServedModels = Mapping[str, ServedModel | VllmModel | ClusterModel]
"""Models that answer in vLLM, at servers or in a cluster, by the digest of their checkpoint."""
ALL_HERE: ServedModels = MappingProxyType({})


@dataclass(frozen=True)
class Place:
    """Where models answer; nothing of it was asked or started yet."""

    servers: tuple[Endpoint, ...] = ()
    cluster: ClusterAddress | None = None
    vllm: bool = False
    """Whether vLLM answers, started here for each checkpoint in turn."""


def place_of(engine: Engine, addresses: Sequence[str], ray_address: str | None, ray_workers: int | None) -> Place:
    """The place of an engine.

    Raises:
        InputError: Addresses or workers without their engine, or servers without an address; an address or its key is
            none; or Ray or vLLM is not installed.
    """
    of_ray = {"--ray-address": ray_address, "--ray-workers": ray_workers}
    given = [f"{name} {value}" for name, value in of_ray.items() if value is not None]
    if given and engine != "ray":
        raise InputError(
            "--engine ray with --ray-address and --ray-workers",
            found=f"{given[0]} and --engine {engine}",
            remedy="give --engine ray, or leave both out to run the models here",
        )
    servers = _servers(engine, addresses)
    if engine == "vllm":
        check_installed()
    return Place(servers, ClusterAddress(ray_address, ray_workers) if engine == "ray" else None, engine == "vllm")


def _servers(engine: Engine, addresses: Sequence[str]) -> tuple[Endpoint, ...]:
    if (engine == "openai") != bool(addresses):
        raise InputError(
            "--engine openai and --base-url URL together",
            found=" ".join(f"--base-url {url}" for url in addresses) or "no --base-url",
            remedy="give both, or leave both out to sample from the models here",
        )
    return tuple(Endpoint.at(url, RESPONDENT) for url in addresses)


@dataclass(frozen=True)
class Devices:
    """Devices of models, as torch names them."""

    here: str
    """Of what this process computes."""
    of_models: str
    """Of what answers, and of what reads in a cluster."""


@dataclass(frozen=True)
class Reached:
    """The place of models, connected to."""

    place: Place = Place()
    cluster: Cluster | None = None

    def devices(self, wanted: str) -> Devices:
        """The devices that a name stands for, in a cluster on its workers' machines; here the CPU if there is none.

        Raises:
            InputError: There is no such device.
            JobError: No worker comes that has it.
        """
        if self.cluster is None:
            here = found_device(wanted)
            return Devices(here, here)
        there = device_of_workers(self.cluster, wanted)
        try:
            here = found_device(there if wanted == AUTO else wanted)
        except InputError:
            here = "cpu"
            missing = there if wanted == AUTO else wanted
            logger.warning("this machine has no %s: what no worker does is computed on its CPU", missing)
        return Devices(here, there)

    def models(self, sides: Sequence[OpenCheckpoint], how: CollectionSettings, device: str) -> ServedModels:
        """The models of checkpoints that answer elsewhere, each started when it is first asked; empty for this process.

        Args:
            how: How the models are asked questions, and in which dtype they are loaded.
            device: What the workers of a cluster run the models on.

        Raises:
            InputError, JobError: See `find_served`.
            CheckpointError: See `load_lexicon`.
        """
        if self.place.servers:
            return {
                side.checkpoint.digest: find_served(
                    self.place.servers, _names(side.checkpoint), _lexicon(side), how.decoding.max_new_tokens
                )
                for side in sides
            }
        if self.cluster is not None:
            return {
                side.checkpoint.digest: ClusterModel(
                    self.cluster, _wanted(side, how, device), _lexicon(side), side.layout, how.batch_size
                )
                for side in sides
            }
        return {side.checkpoint.digest: _in_vllm(side, how) for side in sides} if self.place.vllm else ALL_HERE

    @contextmanager
    def weights(self, base: OpenCheckpoint, instruct: OpenCheckpoint) -> Iterator[ByLayers | None]:
        """The workers that read the weights of two checkpoints, for the time of a block; None for this process."""
        if self.cluster is None:
            yield None
            return
        pair = tuple(CheckpointWanted(shared_ref(each), each.digest) for each in (base.checkpoint, instruct.checkpoint))
        workers = Workers(self.cluster.ray, self.cluster.share(on_gpus=False), WeightsWorker, pair)
        try:
            yield WeightsInWorkers(workers)
        finally:
            workers.stop()


HERE = Reached()
"""This process, in which all models answer."""


@contextmanager
def reached(place: Place) -> Iterator[Reached]:
    """Connect to the place of models for the time of a block.

    Of a cluster only its machines are known then: a model starts in its workers when it is first asked something.

    Raises:
        InputError, JobError: See `connected`.
    """
    if place.cluster is None:
        yield Reached(place)
        return
    with connected(place.cluster) as cluster:
        yield Reached(place, cluster)


def _lexicon(side: OpenCheckpoint) -> Lexicon:
    return load_lexicon(side.tokenizer_folder, side.tokenizer)


def _in_vllm(side: OpenCheckpoint, how: CollectionSettings) -> VllmModel:
    config = side.checkpoint.config
    text = config.get("text_config", config)
    return VllmModel(
        side.checkpoint.folder,
        side.tokenizer_folder,
        side.checkpoint.digest,
        how.dtype,
        heads=text.get("num_attention_heads") or 1,
        lexicon=_lexicon(side),
        max_new_tokens=how.decoding.max_new_tokens,
    )


def _wanted(side: OpenCheckpoint, how: CollectionSettings, device: str) -> ModelWanted:
    return ModelWanted.of(
        side.checkpoint,
        dtype=how.dtype,
        device=device,
        attn_implementation=how.attn_implementation,
        offload=how.offload,
    )


def recorded(served: ServedModels) -> dict[str, Any]:
    """The part of servers, or of vLLM, in a run's identity; empty without any."""
    servers = {digest: asdict(each.served) for digest, each in served.items() if not isinstance(each, ClusterModel)}
    return {"served": servers} if servers else {}


def _names(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Names under which a server may list a checkpoint, the one that a user wrote first."""
    ref = checkpoint.ref
    bare = () if ref.revision else (ref.name,)  # the name alone is of the newest revision
    return tuple(dict.fromkeys((str(ref), checkpoint.pinned, *bare, str(checkpoint.folder.resolve()))))
