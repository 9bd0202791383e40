"""Fetching checkpoints ahead of the work: pinned, and every file held against the hub's digests.

The one idea: it is the fetch that every command does when it has to, done for several checkpoints at once and
with a second look at what was in the cache before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from provenance.checkpoints.names import CheckpointRef, inspect, local_folder
from provenance.hub.fetch import fetch_all
from provenance.hub.repositories import HubRepo
from provenance.weights.merged_adapter import adapter_files, is_adapter


@dataclass(frozen=True)
class Pulled:
    """A checkpoint that is on this machine now."""

    ref: str
    """As it was asked for."""
    pinned: str
    """The reference that names exactly this checkpoint, whatever is published under its name later."""
    folder: str
    """Where it lies."""
    fetched_bytes: int
    """How many bytes came over the network for it."""


def pull(refs: Sequence[str]) -> list[Pulled]:
    """Fetch what matters of some checkpoints, after all of them were looked over.

    Args:
        refs: References as a user writes them; local ones are looked over only.

    Raises:
        GatedError: The hub wants a licence accepted or a token.
        CheckpointError: A checkpoint is not there, not whole, not to be trusted, or not what the hub says it is.
        InputError: The disk is too small, or several checkpoints have problems.
        StoreError: The disk filled up on the way, or is not writable.
    """
    parsed = [CheckpointRef.parse(ref) for ref in dict.fromkeys(refs)]
    local = {ref: _local(ref) for ref in parsed if ref.kind != "hub"}
    repos = [HubRepo(ref.name, ref.revision) for ref in parsed if ref.kind == "hub"]
    fetched = {
        str(each.repo): Pulled(
            str(each.repo), f"{each.repo.id}@{each.commit}", str(each.folder), each.fetched_bytes
        )
        for each in fetch_all(repos, recheck=True)
    }  # fmt: skip
    return [local[ref] if ref in local else fetched[str(ref)] for ref in parsed]


def _local(ref: CheckpointRef) -> Pulled:
    """A checkpoint of this machine, looked over."""
    folder = local_folder(ref)
    if is_adapter(folder):
        adapter_files([path.name for path in folder.iterdir()], str(folder))
    else:
        inspect(folder)
    return Pulled(str(ref), str(ref), str(folder), 0)
