"""Fetches checkpoints ahead of the work: pinned, and every file, cached or not, checked against the hub's digests."""

from collections.abc import Sequence
from dataclasses import dataclass

from provenance.checkpoints.names import CheckpointRef, inspect, local_folder
from provenance.hub.fetch import fetch_all
from provenance.hub.repositories import HubRepo
from provenance.weights.lora_merge import adapter_files, is_adapter


@dataclass(frozen=True)
class Pulled:
    """Checkpoint that is now on this machine."""

    ref: str
    pinned: str
    """Reference that keeps its meaning, whatever is published under the name later."""
    folder: str
    fetched_bytes: int
    """Bytes received over the network."""


def pull(refs: Sequence[str]) -> list[Pulled]:
    """Fetch the relevant files of some checkpoints, after checking all of them; local ones are only checked.

    Raises:
        GatedError: The hub requires a licence to be accepted, or a token.
        CheckpointError: A checkpoint is missing, incomplete, not to be trusted, or differs from the hub's digests.
        InputError: The disk is too small, or several checkpoints have problems.
        StoreError: The disk filled up during the fetch, or is not writable.
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
    folder = local_folder(ref)
    if is_adapter(folder):
        adapter_files([path.name for path in folder.iterdir()], str(folder))
    else:
        inspect(folder)
    return Pulled(str(ref), str(ref), str(folder), 0)
