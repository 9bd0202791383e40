"""What a job will need before anything is fetched: access, licences, bytes, disk, memory, time; and what stops it.

The one idea: whoever has to accept a licence, free a disk or find a larger machine wants to know all of it
at once, for both checkpoints, before the first gigabyte. So problems are collected, not raised, each with its
remedy. Of a checkpoint on the hub only its list of files, config, index and safetensors headers are read.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from provenance.adapters import adapter_files, is_adapter
from provenance.architectures import layout_of
from provenance.checkpoints import SMALL_FILES, CheckpointRef, inspect, local_folder, weight_files
from provenance.downloads import free_bytes, missing_bytes
from provenance.errors import CheckpointError, GatedError, ProvenanceError
from provenance.estimates import Estimate, Size, Workload, estimate
from provenance.headers import ITEM_BYTES
from provenance.http_ranges import Patience, Received, RemoteFile
from provenance.hub import Needed, find_cached, likely_names, prepare
from provenance.hub_api import HubRepo, Listing, UnreachableError, cache_folder, has_token, look_up
from provenance.measure import Machine
from provenance.remote import RemoteShards
from provenance.shards import Shards
from provenance.tensors import TensorReader

GateState = Literal["none", "open", "closed", "unknown"]
PATIENCE = Patience(tries=3)  # a plan that waits for minutes is none


@dataclass(frozen=True)
class Problem:
    """Something in the way."""

    ref: str
    """The checkpoint it is about; empty when it is about the machine."""
    wanted: str
    """What the job needs."""
    found: str
    """What is there instead."""
    remedy: str
    """What the user can do."""
    stops: bool
    """Whether the job cannot be done as it is; otherwise it is something to know."""

    @classmethod
    def of(cls, ref: str, error: ProvenanceError) -> "Problem":
        """An error that the job would end in."""
        return cls(ref, error.wanted, error.found, error.remedy, stops=True)


@dataclass(frozen=True)
class SidePlan:
    """What is known of one checkpoint."""

    ref: str
    """As it was asked for."""
    pinned: str | None = None
    """With its commit sha; None where the hub did not say."""
    page: str | None = None
    """Its page on the hub, where a gate is opened; None for a checkpoint of this machine."""
    gate: GateState = "none"
    """Whether files need a licence accepted or contact data given, and whether this account did."""
    licence: str | None = None
    """As the model card states it."""
    files: tuple[tuple[str, int], ...] = ()
    """Name and bytes of every file that is needed."""
    missing_bytes: int = 0
    """What `pull` would fetch."""
    remote_bytes: int = 0
    """What streaming drift would fetch: 0 where the weights are on this machine."""
    is_adapter: bool = False
    """Whether it is an adapter, to be merged into the other checkpoint."""
    size: Size | None = None
    """From the headers of its weights; None where they cannot be read, and for an adapter."""
    problems: tuple[Problem, ...] = ()
    """What is in the way."""

    @property
    def bytes(self) -> int:
        """Bytes of all files that are needed."""
        return sum(count for _, count in self.files)


@dataclass(frozen=True)
class Plan:
    """What a job on some checkpoints will need."""

    sides: tuple[SidePlan, ...]
    """The checkpoints, in the order asked for."""
    has_token: bool
    """Whether the hub is asked with a token."""
    cache: str
    """Where fetched files go."""
    free_bytes: int
    """Free on its file system."""
    missing_bytes: int
    """What `pull` would fetch for all of them."""
    machine: Machine
    """What was measured."""
    estimate: Estimate | None
    """Memory and time; None where a checkpoint's size is not known."""
    problems: tuple[Problem, ...]
    """Everything in the way, of all checkpoints and of the machine."""

    @property
    def stops(self) -> bool:
        """Whether the job cannot be done as it is."""
        return any(problem.stops for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        """The plan as one JSON object."""
        sides = [asdict(side) | {"bytes": side.bytes, "files": dict(side.files)} for side in self.sides]
        return {"schema": 1, "stops": self.stops, **asdict(self), "sides": sides}


def make_plan(refs: Sequence[str], workload: Workload, machine: Machine) -> Plan:
    """Find out what a job on some checkpoints will need, and what is in its way.

    Args:
        refs: References as a user writes them, base first.
        workload: What the comparison would be asked to do.
        machine: As measured.
    """
    sides = tuple(_side(ref) for ref in dict.fromkeys(refs))
    missing = sum(side.missing_bytes for side in sides)
    sizes = _sizes_known(sides)
    expected = None
    if len(sizes) == len(sides):
        expected = estimate(sizes, missing, sum(side.remote_bytes for side in sides), workload, machine)
    free = free_bytes(cache_folder())
    about_machine = (*_disk_problem(missing, free), *_memory_problem(expected, machine))
    problems = tuple(problem for side in sides for problem in side.problems) + about_machine
    return Plan(sides, has_token(), str(cache_folder()), free, missing, machine, expected, problems)


def _sizes_known(sides: Sequence[SidePlan]) -> list[Size]:
    """Sizes of the sides where they can be read; an adapter, merged, has that of the first."""
    first = next((side.size for side in sides if side.size is not None), None)
    sizes = [first if side.is_adapter else side.size for side in sides]
    return [size for size in sizes if size is not None]


def _disk_problem(missing: int, free: int) -> list[Problem]:
    if missing <= free:
        return []
    remedy = "free some space, set HF_HUB_CACHE to a folder on a larger disk, or read the weights with --stream"
    wanted = f"{missing:,} bytes in {cache_folder()}"
    return [Problem("", wanted, f"{free:,} bytes free on its disk", remedy, stops=True)]


def _memory_problem(expected: Estimate | None, machine: Machine) -> list[Problem]:
    if expected is None or expected.compare_memory_bytes <= machine.available_bytes:
        return []
    wanted = f"about {expected.compare_memory_bytes:,} bytes of memory for forward passes and captures"
    remedy = "use --dtype bfloat16, fewer responses, a larger machine, or --weights-only, which needs no model"
    return [Problem("", wanted, f"{machine.available_bytes:,} bytes available", remedy, stops=False)]


def _side(text: str) -> SidePlan:
    side = SidePlan(text, gate="unknown")
    try:
        ref = CheckpointRef.parse(text)
        if ref.kind == "hub":
            repo = HubRepo(ref.name, ref.revision)
            side = replace(side, page=repo.page)
            return _hub_side(side, repo)
        return _local_side(replace(side, gate="none", pinned=text), local_folder(ref))
    except ProvenanceError as error:
        return replace(side, problems=(Problem.of(text, error),))
    except OSError as error:
        unread = CheckpointError(f"to read {text}", found=str(error), remedy="check permissions and the disk")
        return replace(side, problems=(Problem.of(text, unread),))


def _local_side(side: SidePlan, folder: Path) -> SidePlan:
    """A folder or a checkpoint of the lab: nothing to fetch, and looked over as the job would."""
    if is_adapter(folder):
        names = adapter_files([path.name for path in folder.iterdir()], str(folder))
        return replace(side, files=_sizes([folder / name for name in names]), is_adapter=True)
    return _in_folder(side, folder)


def _in_folder(side: SidePlan, folder: Path) -> SidePlan:
    """What lies in a folder, looked over."""
    config = inspect(folder)
    small = [folder / name for name in SMALL_FILES if (folder / name).is_file()]
    side = replace(side, files=_sizes([*small, *weight_files(folder)]))
    return _with_size(side, config, Shards(folder))


def _sizes(paths: Sequence[Path]) -> tuple[tuple[str, int], ...]:
    return tuple((path.name, path.stat().st_size) for path in paths)


def _hub_side(side: SidePlan, repo: HubRepo) -> SidePlan:
    try:
        needed = prepare(repo)
    except UnreachableError as reason:
        return _offline_side(side, repo, str(reason))
    except GatedError as error:
        return _behind_gate(replace(side, gate="closed", problems=(Problem.of(side.ref, error),)), repo)
    side = replace(_listed(side, needed.listing, needed.names), gate="open" if needed.listing.gated else "none")
    try:
        return _with_size(side, needed.config, _reader(needed), remote=not _is_here(needed))
    except ProvenanceError as error:
        return replace(side, problems=(Problem.of(side.ref, error),))


def _offline_side(side: SidePlan, repo: HubRepo, reason: str) -> SidePlan:
    """The hub does not answer: a whole copy in the cache serves, and whether it is the newest is not known."""
    folder = find_cached(repo, reason)
    wanted, remedy = f"the hub's word on {repo}", "connect to the network if it has to be the newest"
    note = Problem(side.ref, wanted, f"{reason}; a whole copy in the cache is used", remedy, stops=False)
    pinned = f"{repo.id}@{folder.name}"
    return _in_folder(replace(side, pinned=pinned, problems=(note,)), folder)


def _behind_gate(side: SidePlan, repo: HubRepo) -> SidePlan:
    """Files and sizes of a repository whose gate is closed, where the hub lists them nevertheless."""
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
    """The headers of its weights: from the cache where it has them, else over the network."""
    if _is_here(needed):
        return Shards(needed.listing.snapshot)
    received, pinned = Received(), needed.listing.pinned
    files = [RemoteFile(pinned, needed.listing.files[name], received, PATIENCE) for name in needed.weights]
    return RemoteShards(files, received, str(needed.listing.repo))


def _with_size(side: SidePlan, config: dict[str, Any], reader: TensorReader, *, remote: bool = False) -> SidePlan:
    """With what the headers say; a layout that is not known is a problem of every job."""
    size = size_of(config, reader)
    return replace(side, size=size, remote_bytes=size.drift_bytes if remote else 0)


def size_of(config: dict[str, Any], reader: TensorReader) -> Size:
    """What of a checkpoint decides memory and time, from its headers.

    Raises:
        ArchitectureError: Its layout is not known.
    """
    names = reader.names()
    layout = layout_of(config, names)
    parts = [layout.slice(kind, layer) for kind in layout.kinds for layer in range(layout.layers)]
    return Size(
        parameters=sum(math.prod(reader.shape(name)) for name in names),
        neurons=layout.layers * layout.d_m,
        kinds=len(layout.kinds),
        drift_bytes=sum(
            (part.stop - part.start) * math.prod(reader.shape(part.name)[1:]) * ITEM_BYTES[reader.dtype(part.name)]
            for part in parts
        ),
    )
