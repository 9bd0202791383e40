"""Opens checkpoints from references: a folder, the hub's cache, the hub by range requests, or a base plus adapter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provenance.analyses.asking.models import OpenCheckpoint
from provenance.checkpoints.names import CheckpointRef, checkpoint_at, local_folder
from provenance.errors import CheckpointError
from provenance.hub.fetch import fetch_all
from provenance.hub.remote_tensors import RemoteShards, open_remote
from provenance.hub.repositories import HubRepo, UnreachableError, look_up
from provenance.records import Stage
from provenance.weights.lora_merge import adapted, is_adapter, lists_adapter

Place = tuple[Path | None, str | None]
"""Folder and commit of a checkpoint; no folder if it is read over the network."""


@dataclass(frozen=True)
class OpenPair:
    """Two checkpoints, opened."""

    base: OpenCheckpoint
    instruct: OpenCheckpoint
    notes: tuple[str, ...] = ()
    """Unchecked facts that a user should know."""

    @property
    def streamed(self) -> tuple[str, ...]:
        """The sides read over the network; their digests come from the hub, not from received bytes."""
        sides = (self.base, self.instruct)
        return tuple(side.stage for side in sides if isinstance(side.weights.reader, RemoteShards))

    @property
    def bytes_received(self) -> int | None:
        """Bytes of weight files received over the network so far; None if both are local."""
        readers = [side.weights.reader for side in (self.base, self.instruct)]
        remote = [reader for reader in readers if isinstance(reader, RemoteShards)]
        return sum(reader.bytes_received for reader in remote) if remote else None


def open_pair(base: str, instruct: str, *, stream: bool = False) -> OpenPair:
    """Find both checkpoints and read their headers; no weights are fetched before both were checked.

    `base` is a whole checkpoint, `instruct` one or a LoRA adapter on the base; `stream` uses range requests on the hub.

    Raises:
        GatedError: The hub requires an accepted licence or a token.
        CheckpointError: One is missing, incomplete or not trusted; or an adapter is for another base.
        InputError: The disk is too small, or both checkpoints have problems.
        ArchitectureError: A layout is unknown, or a mixture of experts.
    """
    refs = CheckpointRef.parse(base), CheckpointRef.parse(instruct)
    places = _fetched([ref for ref in refs if ref.kind == "hub" and not (stream and _is_whole(ref))])
    first = _open("base", refs[0], places)
    folder, commit = places.get(refs[1]) or _local(refs[1])
    if folder is not None and is_adapter(folder):
        return _with_adapter(first, refs[1], folder, commit)
    return OpenPair(first, _open("instruct", refs[1], places))


def open_each(refs: Sequence[tuple[Stage, str]]) -> tuple[OpenCheckpoint, ...]:
    """Find whole checkpoints, fetching those of the hub together, and read their headers.

    Raises the errors of `open_pair`; an adapter is a CheckpointError.
    """
    parsed = [(stage, CheckpointRef.parse(text)) for stage, text in refs]
    places = _fetched([ref for _, ref in parsed if ref.kind == "hub"])
    return tuple(_open(stage, ref, places) for stage, ref in parsed)


def open_one(text: str) -> OpenCheckpoint:
    """Find one whole checkpoint and read its config and headers. Does not download weights.

    If the hub cannot be reached, a whole copy in its cache is used. Raises the errors of `open_pair` except InputError;
    an adapter is a CheckpointError.
    """
    ref = CheckpointRef.parse(text)
    places: dict[CheckpointRef, Place] = {}
    try:
        adapter = lists_adapter(look_up(HubRepo(ref.name, ref.revision)).files) if ref.kind == "hub" else _adapts(ref)
    except UnreachableError:
        adapter, places = False, _fetched([ref])
    if adapter:
        raise CheckpointError(
            f"a whole checkpoint at {ref}", found="a LoRA adapter", remedy="name the base that it was trained on"
        )
    return _open("instruct", ref, places)


def _adapts(ref: CheckpointRef) -> bool:
    folder, _ = _local(ref)
    return folder is not None and is_adapter(folder)


def _is_whole(ref: CheckpointRef) -> bool:
    """Whether a repository holds a checkpoint that can be streamed; adapters are small, and fetched."""
    try:
        return not lists_adapter(look_up(HubRepo(ref.name, ref.revision)).files)
    except UnreachableError:
        return True  # streaming raises the error


def _fetched(refs: Sequence[CheckpointRef]) -> dict[CheckpointRef, Place]:
    wanted = list(dict.fromkeys(refs))
    found = fetch_all([HubRepo(ref.name, ref.revision) for ref in wanted])
    return {ref: (each.folder, each.commit) for ref, each in zip(wanted, found, strict=True)}


def _local(ref: CheckpointRef) -> Place:
    return (None, None) if ref.kind == "hub" else (local_folder(ref), None)


def _open(stage: Stage, ref: CheckpointRef, places: Mapping[CheckpointRef, Place]) -> OpenCheckpoint:
    folder, commit = places.get(ref) or _local(ref)
    if folder is not None:
        return OpenCheckpoint.open(stage, checkpoint_at(ref, folder, commit))
    remote = open_remote(ref)
    return OpenCheckpoint.open(stage, remote.checkpoint, remote.tensors)


def _with_adapter(base: OpenCheckpoint, ref: CheckpointRef, folder: Path, commit: str | None) -> OpenPair:
    child = adapted(base.checkpoint, base.weights.reader, ref, folder, commit)
    instruct = OpenCheckpoint.open("instruct", child.checkpoint, child.reader, tokenizer_folder=child.tokenizer_folder)
    return OpenPair(base, instruct, (child.note,) if child.note else ())
