"""Where the models of a job answer: here, or at servers.

A model at a server is asked for answers alone. Activations and log-probabilities are read here, and so are answers with
neurons scaled, from the model that is loaded here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Literal

from provenance.analyses.asking.models import OpenCheckpoint
from provenance.answers.served_model import ServedModel, find_served
from provenance.checkpoints.names import Checkpoint
from provenance.errors import InputError
from provenance.hub.endpoint import RESPONDENT, Endpoint
from provenance.models.loading import load_lexicon

Engine = Literal["transformers", "openai"]
"""What samples answers: the model loaded here, or servers with OpenAI's interface."""
ServedModels = Mapping[str, ServedModel]
"""Models that answer at servers, by the digest of their checkpoint."""
ALL_HERE: ServedModels = MappingProxyType({})


def servers_of(engine: Engine, addresses: Sequence[str]) -> tuple[Endpoint, ...]:
    """The servers of an engine, none of them asked yet.

    Raises:
        InputError: Addresses without such an engine, or the reverse; or an address or its key is none.
    """
    if (engine == "openai") != bool(addresses):
        raise InputError(
            "--engine openai and --base-url URL together",
            found=" ".join(f"--base-url {url}" for url in addresses) or "no --base-url",
            remedy="give both, or leave both out to sample from the models here",
        )
    return tuple(Endpoint.at(url, RESPONDENT) for url in addresses)


def at_servers(servers: Sequence[Endpoint], sides: Sequence[OpenCheckpoint], max_new_tokens: int) -> ServedModels:
    """The models of checkpoints at servers; none without a server.

    Raises:
        InputError, JobError: See `find_served`.
        CheckpointError: See `load_lexicon`.
    """
    if not servers:
        return ALL_HERE
    return {
        side.checkpoint.digest: find_served(
            servers, _names(side.checkpoint), load_lexicon(side.tokenizer_folder, side.tokenizer), max_new_tokens
        )
        for side in sides
    }


def recorded(served: ServedModels) -> dict[str, Any]:
    """Their part of a run's identity; empty without any."""
    return {"served": {digest: asdict(each.served) for digest, each in served.items()}} if served else {}


def _names(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Names under which a server may list a checkpoint, the one that a user wrote first."""
    ref = checkpoint.ref
    bare = () if ref.revision else (ref.name,)  # the name alone is of the newest revision
    return tuple(dict.fromkeys((str(ref), checkpoint.pinned, *bare, str(checkpoint.folder.resolve()))))
