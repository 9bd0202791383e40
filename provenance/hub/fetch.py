"""Checkpoints and question files from the Hugging Face hub, pinned to a commit, checked and cached.

File list and config tell the needed files and refuse pickles and remote code. Weights are fetched only when all
requested checkpoints exist, are open and fit on the disk; an interrupted fetch resumes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from provenance.checkpoints.names import CONFIG, SMALL_FILES, inspect, read_json_object, refuse_unfit
from provenance.checkpoints.weight_files import WEIGHT_INDEX, weight_names
from provenance.errors import CheckpointError, InputError
from provenance.hub.downloads import download, missing_bytes, remember, require_room
from provenance.hub.repositories import HubRepo, Listing, UnreachableError, cache_folder, look_up, require_access
from provenance.weights.lora_merge import adapter_files, is_adapter, lists_adapter

TEMPLATES = "additional_chat_templates/*.jinja"


@dataclass(frozen=True)
class Needed:
    """Files that a checkpoint needs from its repository."""

    listing: Listing
    """The repository at its commit."""
    names: tuple[str, ...]
    """Relevant files: config, tokenizer, and the weights once."""
    config: dict[str, Any]
    """Its config.json; empty for an adapter."""

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the weight files."""
        return tuple(name for name in self.names if name.endswith(".safetensors"))

    @property
    def missing_bytes(self) -> int:
        """Bytes still to be fetched."""
        return missing_bytes(self.listing, self.names)


@dataclass(frozen=True)
class Fetched:
    """A checkpoint in the cache."""

    repo: HubRepo
    folder: Path
    """Folder of the snapshot."""
    commit: str
    """Pinned commit sha."""
    fetched_bytes: int
    """Bytes received over the network."""


def fetch_all(repos: Sequence[HubRepo], *, recheck: bool = False) -> list[Fetched]:
    """Fetch the relevant files of several checkpoints, after all of them were checked and fit on the disk.

    `recheck` checks the digests of files that were in the cache before, too.

    Raises:
        GatedError: The hub requires a licence to be accepted, or a token.
        CheckpointError: No such repository or revision, no safetensors, remote code, content that differs from the
            hub's digests, or no lasting connection and no whole snapshot in the cache.
        InputError: The disk is too small; or several repositories have problems, which it lists.
        StoreError: The disk filled up during the fetch, or is not writable.
    """
    plans = _look_over(repos)
    needed = [plan for plan in plans if isinstance(plan, Needed)]
    if needed:
        words = " and ".join(str(each.listing.repo) for each in needed)
        require_room(words, sum(each.missing_bytes for each in needed))
    return [
        _completed(plan, recheck=recheck) if isinstance(plan, Needed) else _from_cache(repo, str(plan))
        for repo, plan in zip(repos, plans, strict=True)
    ]


def _look_over(repos: Sequence[HubRepo]) -> list[Needed | UnreachableError]:
    plans: list[Needed | UnreachableError] = []
    problems: list[InputError] = []
    for repo in repos:
        try:
            plans.append(prepare(repo))
        except UnreachableError as reason:
            plans.append(reason)
        except InputError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise InputError(
            "; ".join(problem.wanted for problem in problems),
            found="; ".join(problem.found for problem in problems),
            remedy="; ".join(problem.remedy for problem in problems),
        )
    return plans


def prepare(repo: HubRepo) -> Needed:
    """Check a checkpoint or an adapter and list the files it needs; only config and index are fetched.

    Raises:
        GatedError: The hub requires a licence to be accepted, or a token.
        CheckpointError: No such repository or revision, no safetensors, an index of missing files, or remote code.
        UnreachableError: The hub does not answer, or offline mode is on.
    """
    listing = look_up(repo)
    if lists_adapter(listing.files):
        return _checked_access(Needed(listing, tuple(adapter_files(listing.files, str(repo))), {}))
    if CONFIG not in listing.files:
        raise CheckpointError(
            f"{CONFIG} in {repo}",
            found="none",
            remedy="name the repository of a whole model in transformers' format, or of a LoRA adapter",
        )
    if WEIGHT_INDEX not in listing.files:
        weight_names(listing.files, None, str(repo))  # refuses pickles before a byte is fetched
    folder = download(listing, [name for name in (CONFIG, WEIGHT_INDEX) if name in listing.files])
    config = read_json_object(folder / CONFIG)
    refuse_unfit(str(repo), config)
    return _checked_access(Needed(listing, (*_small_files(listing), *_weights(listing, folder)), config))


def _checked_access(needed: Needed) -> Needed:
    """Return `needed` if the hub gives access to missing files; cached config and index may be older than the gate."""
    if needed.listing.gated and needed.missing_bytes:
        require_access(needed.listing.repo)
    return needed


def _small_files(listing: Listing) -> Iterator[str]:
    return (name for name in listing.files if name in SMALL_FILES or fnmatch(name, TEMPLATES))


def _weights(listing: Listing, folder: Path) -> list[str]:
    index = folder / WEIGHT_INDEX
    index_text = index.read_text(encoding="utf-8", errors="replace") if index.is_file() else None
    weights = weight_names(listing.files, index_text, str(listing.repo))
    missing = sorted(set(weights) - set(listing.files))
    if missing:
        raise CheckpointError(
            f"the {len(weights)} weight files that the index of {listing.repo} names",
            found=f"{len(missing)} are not on the hub: {', '.join(missing[:3])}",
            remedy="name another revision of it, or tell its publisher",
        )
    return weights


def likely_names(listing: Listing) -> tuple[str, ...]:
    """Files that a gated checkpoint probably needs, guessed by name: transformers reads `model*.safetensors`."""
    weights = [name for name in listing.files if fnmatch(name, "model*.safetensors") and "/" not in name]
    others = [name for name in listing.files if name.endswith(".safetensors") and "/" not in name]
    return (*_small_files(listing), *(weights or others))


def _completed(needed: Needed, *, recheck: bool) -> Fetched:
    listing, missing = needed.listing, needed.missing_bytes
    try:
        folder = download(listing, needed.names, recheck=recheck, show_bar=True)
    except UnreachableError as reason:
        missing_names = [name for name in needed.names if not (listing.snapshot / name).is_file()]
        if missing_names:
            raise CheckpointError(
                f"all of {listing.repo} from the hub",
                found=f"{reason}; {len(missing_names)} files are missing, such as {missing_names[0]}",
                remedy="check the connection and run the same command again; fetched files are kept",
            ) from reason
        return _from_cache(listing.repo, str(reason), listing.snapshot)
    remember(listing)
    return Fetched(listing.repo, folder, listing.commit, missing)


def _from_cache(repo: HubRepo, reason: str, snapshot: Path | None = None) -> Fetched:
    folder = find_cached(repo, reason, snapshot)
    return Fetched(repo, folder, folder.name, 0)


def find_cached(repo: HubRepo, reason: str, snapshot: Path | None = None) -> Path:
    """Complete snapshot of a checkpoint in the cache, by default found by name; `reason` says why the hub is not asked.

    Raises:
        CheckpointError: It is missing or incomplete.
    """
    folder = snapshot or _cached_folder(repo, reason, "*.json")
    try:
        if not is_adapter(folder):
            inspect(folder)
    except CheckpointError as error:
        raise CheckpointError(
            f"{repo} from the hub, or a whole copy of it in the cache",
            found=f"{reason}; in the cache: {error.found}",
            remedy="run the same command with a connection; fetched files are kept",
        ) from error
    return folder


def _cached_folder(repo: HubRepo, reason: str, pattern: str) -> Path:
    try:
        folder = snapshot_download(
            repo.id,
            repo_type=repo.kind,
            revision=repo.revision,
            allow_patterns=[pattern],
            cache_dir=cache_folder(),
            local_files_only=True,
        )
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{repo} from the hub or from the cache",
            found=f"{reason}; no copy in {cache_folder()}",
            remedy="connect to the network once to fetch it, or name a local file or folder",
        ) from error
    return Path(folder)


def fetch_dataset(repo: str, revision: str | None, pattern: str) -> tuple[list[Path], str]:
    """Fetch the files of a data set that match a pattern; returns their paths in name order, and the pinned commit sha.

    Raises:
        GatedError: The hub requires a licence to be accepted, or a token.
        CheckpointError: No such repository, revision or file, content that differs from the hub's digests, or no
            connection and nothing in the cache.
        InputError: The disk is too small.
        StoreError: The disk filled up during the fetch, or is not writable.
    """
    wanted = HubRepo(repo, revision, "dataset")
    try:
        listing = look_up(wanted)
        names = _matching(wanted, pattern, list(listing.files))
        require_room(str(wanted), missing_bytes(listing, names))
        folder = download(listing, names, show_bar=True)
        remember(listing)
    except UnreachableError as reason:
        folder = _cached_folder(wanted, str(reason), pattern)
        _matching(wanted, pattern, [path.relative_to(folder).as_posix() for path in folder.rglob("*")])
    return sorted(folder.glob(pattern)), folder.name


def _matching(repo: HubRepo, pattern: str, files: Sequence[str]) -> list[str]:
    names = [file for file in files if fnmatch(file, pattern)]
    if not names:
        raise CheckpointError(
            f"{pattern} in {repo}",
            found=", ".join(files[:8]) or "no files",
            remedy=f"fetch its files from {repo.page} and name them instead",
        )
    return names
