"""Plan of one checkpoint: found, listed, and checked by its headers, with all obstacles.

Checks of files, config, layout, shapes and dtypes take kilobytes, so all precede any fetch; refusals are collected.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from provenance.architectures import Layout, layout_of
from provenance.checkpoints.headers import TensorSlot, read_header
from provenance.checkpoints.names import (
    TOKENIZER_CORES,
    CheckpointRef,
    inspect,
    local_folder,
    read_json_object,
    small_files,
)
from provenance.checkpoints.weight_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, weight_files
from provenance.errors import ArchitectureError, CheckpointError, GatedError, ProvenanceError
from provenance.hub.downloads import download, missing_bytes
from provenance.hub.fetch import Needed, find_cached, likely_names, prepare
from provenance.hub.http_ranges import Patience, Received, RemoteFile
from provenance.hub.remote_tensors import RemoteShards
from provenance.hub.remote_tensors import read_header as read_remote_header
from provenance.hub.repositories import HubRepo, Listing, UnreachableError, look_up
from provenance.plan.estimates import Size
from provenance.weights.lora_merge import adapter_files, is_adapter, lists_adapter
from provenance.weights.lora_settings import LoraSettings, parse_settings
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards
from provenance.weights.tensors import TensorReader

GateState = Literal["none", "open", "closed", "unknown"]
PATIENCE = Patience(tries=3)  # a plan must not take minutes


@dataclass(frozen=True)
class Obstacle:
    """Something that stops or limits a job."""

    ref: str
    """Checkpoint; empty for the machine."""
    wanted: str
    """Need of the job."""
    found: str
    """Actual state."""
    remedy: str
    """Action that helps."""
    stops: bool
    """Whether it stops the job; otherwise it is a note."""
    about_layout: bool = False
    """Whether it prevents reading neurons, but not fetching files."""

    @classmethod
    def of(cls, ref: str, error: ProvenanceError) -> "Obstacle":
        """Obstacle made from an error that the job would end in."""
        about_layout = isinstance(error, ArchitectureError)
        return cls(ref, error.wanted, error.found, error.remedy, stops=True, about_layout=about_layout)


@dataclass(frozen=True)
class SidePlan:
    """Plan of one checkpoint."""

    ref: str
    pinned: str | None = None
    """Reference with commit sha; None if the hub did not say."""
    page: str | None = None
    """Page on the hub, where a gate is opened; None for a local checkpoint."""
    gate: GateState = "none"
    """Whether files require an accepted licence or contact data, and whether this account has access."""
    licence: str | None = None
    """Licence in the model card."""
    files: tuple[tuple[str, int], ...] = ()
    """Name and bytes of every needed file."""
    missing_bytes: int = 0
    """Bytes that `pull` would fetch."""
    is_remote: bool = False
    """Whether its weights have to come over the network."""
    hashed_bytes: int = 0
    """Local weights that a job hashes; the hub's cache knows the digests of its files."""
    is_adapter: bool = False
    """Whether it is an adapter, to be merged into the other checkpoint."""
    size: Size | None = None
    """Sizes from the headers of its weights; None if unreadable, and for an adapter."""
    problems: tuple[Obstacle, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes of all needed files."""
        return sum(count for _, count in self.files)


@dataclass(frozen=True)
class Seen:
    """One checkpoint's plan, with the headers needed to check it against another checkpoint."""

    plan: SidePlan
    reader: TensorReader | None = None
    """Reader of its headers; None if unreadable, and for an adapter."""
    adapter: tuple[LoraSettings, Mapping[str, TensorSlot]] | None = None
    """Settings and header of an adapter."""


def see(text: str) -> Seen:
    """Check a checkpoint; its problems are in its plan."""
    side = SidePlan(text, gate="unknown")
    try:
        ref = CheckpointRef.parse(text)
        if ref.kind == "hub":
            repo = HubRepo(ref.name, ref.revision)
            side = replace(side, page=repo.page)
            return _on_hub(side, repo)
        return _in_place(replace(side, gate="none", pinned=text), local_folder(ref))
    except ProvenanceError as error:
        return Seen(_with(side, Obstacle.of(text, error)))
    except OSError as error:
        unread = CheckpointError(f"to read {text}", found=str(error), remedy="check permissions and the disk")
        return Seen(_with(side, Obstacle.of(text, unread)))


def _with(side: SidePlan, *problems: Obstacle) -> SidePlan:
    return replace(side, problems=(*side.problems, *problems))


def _in_place(side: SidePlan, folder: Path) -> Seen:
    """A folder or a checkpoint of the lab: nothing to fetch, checked as the job would."""
    return _adapter_in(side, folder) if is_adapter(folder) else _whole_in(side, folder)


def _adapter_in(side: SidePlan, folder: Path) -> Seen:
    names = adapter_files([path.name for path in folder.iterdir()], str(folder))
    paths = [folder / name for name in names]
    side = replace(side, files=_sizes(paths), is_adapter=True, hashed_bytes=sum(path.stat().st_size for path in paths))
    settings = parse_settings(read_json_object(folder / ADAPTER_CONFIG), str(folder))
    return Seen(side, adapter=(settings, read_header(folder / ADAPTER_WEIGHTS)))


def _whole_in(side: SidePlan, folder: Path) -> Seen:
    config = inspect(folder)
    weights = weight_files(folder)
    small = small_files(folder)
    hashed = sum(path.stat().st_size for path in weights if not _is_named_by_digest(path))
    side = replace(side, files=_sizes([*small, *weights]), hashed_bytes=hashed)
    return _measured(side, config, Shards(folder), [path.name for path in small])


def _is_named_by_digest(path: Path) -> bool:
    """Whether a file belongs to the hub's cache, with its digest in its name."""
    return path.is_symlink() and path.readlink().parent.name == "blobs"


def _sizes(paths: Sequence[Path]) -> tuple[tuple[str, int], ...]:
    return tuple((path.name, path.stat().st_size) for path in paths)


def _on_hub(side: SidePlan, repo: HubRepo) -> Seen:
    try:
        needed = prepare(repo)
    except UnreachableError as reason:
        return _offline(side, repo, str(reason))
    except GatedError as error:
        return Seen(_behind_gate(_with(replace(side, gate="closed"), Obstacle.of(side.ref, error)), repo))
    side = replace(_listed(side, needed.listing, needed.names), gate="open" if needed.listing.gated else "none")
    try:
        if lists_adapter(needed.listing.files):
            return Seen(replace(side, is_adapter=True), adapter=_adapter_on_hub(needed))
        side = replace(side, is_remote=not _is_here(needed))
        return _measured(side, needed.config, _reader(needed), needed.names)
    except ProvenanceError as error:
        return Seen(_with(replace(side, is_adapter=lists_adapter(needed.listing.files)), Obstacle.of(side.ref, error)))


def _adapter_on_hub(needed: Needed) -> tuple[LoraSettings, Mapping[str, TensorSlot]]:
    """Settings and header of an adapter; only its config and the header of its weights are read."""
    listing = needed.listing
    folder = download(listing, [ADAPTER_CONFIG])
    settings = parse_settings(read_json_object(folder / ADAPTER_CONFIG), str(listing.repo))
    if _is_here(needed):
        return settings, read_header(listing.snapshot / ADAPTER_WEIGHTS)
    file = RemoteFile(listing.pinned, listing.files[ADAPTER_WEIGHTS], Received(), PATIENCE)
    return settings, read_remote_header(file)


def _offline(side: SidePlan, repo: HubRepo, reason: str) -> Seen:
    """Plan without an answer of the hub: a whole copy in the cache serves, and may not be the newest."""
    folder = find_cached(repo, reason)
    wanted, remedy = f"the hub's word on {repo}", "connect to the network if it has to be the newest"
    note = Obstacle(side.ref, wanted, f"{reason}; a whole copy in the cache is used", remedy, stops=False)
    return _in_place(_with(replace(side, pinned=f"{repo.id}@{folder.name}"), note), folder)


def _behind_gate(side: SidePlan, repo: HubRepo) -> SidePlan:
    """Files and sizes of a gated repository, if the hub lists them nevertheless."""
    try:
        listing = look_up(repo)
    except (UnreachableError, GatedError):
        return side  # its problem is there already
    return _listed(side, listing, likely_names(listing))


def _listed(side: SidePlan, listing: Listing, names: Sequence[str]) -> SidePlan:
    return replace(
        side,
        pinned=f"{listing.repo.id}@{listing.commit}",
        licence=listing.licence,
        files=tuple((name, listing.files[name].bytes) for name in names),
        missing_bytes=missing_bytes(listing, names),
    )


def _is_here(needed: Needed) -> bool:
    return all((needed.listing.snapshot / name).is_file() for name in needed.weights)


def _reader(needed: Needed) -> TensorReader:
    if _is_here(needed):
        return Shards(needed.listing.snapshot)
    received, pinned = Received(), needed.listing.pinned
    files = [RemoteFile(pinned, needed.listing.files[name], received, PATIENCE) for name in needed.weights]
    return RemoteShards(files, received, str(needed.listing.repo))


def _measured(side: SidePlan, config: dict[str, Any], reader: TensorReader, names: Collection[str]) -> Seen:
    """Add the sizes from the headers, and a note if a model could not be run; a refused layout is a problem."""
    if not any(name in names for name in TOKENIZER_CORES):
        side = _with(side, _no_tokenizer(side.ref))
    try:
        size = size_of(config, reader)
    except ArchitectureError as error:
        return Seen(_with(side, Obstacle.of(side.ref, error)))
    return Seen(replace(side, size=size), reader)


def _no_tokenizer(ref: str) -> Obstacle:
    return Obstacle(
        ref,
        "a tokenizer, which `compare` needs for forward passes",
        f"none of {', '.join(TOKENIZER_CORES)}",
        "copy the tokenizer files of the model it was made from into a local folder, or use --weights-only",
        stops=False,
    )


def size_of(config: dict[str, Any], reader: TensorReader) -> Size:
    """Sizes of a checkpoint that decide memory and time, from its headers.

    Raises:
        ArchitectureError: Its layout is not known, a shape is not that of its config, or it is quantised.
    """
    names = reader.names()
    layout = layout_of(config, names)
    weights = MlpWeights(reader, layout)  # refuses shapes and dtypes, by headers alone
    return Size(
        parameters=sum(math.prod(reader.shape(name)) for name in names),
        neurons=layout.layers * layout.d_m,
        layers=layout.layers,
        width=layout.d,
        key_width=_key_width(reader, layout),
        kinds=layout.kinds,
        drift_bytes=weights.mlp_bytes,
        lineage_bytes=weights.all_bytes,
    )


def _key_width(reader: TensorReader, layout: Layout) -> int:
    """By the projections to keys; the hidden size where they are one tensor with those to queries and values."""
    keys = [name for name in reader.names() if name.startswith(layout.prefix) and name.endswith("k_proj.weight")]
    return max((reader.shape(name)[0] for name in keys), default=layout.d)
