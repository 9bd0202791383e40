"""Checkpoints and question files from the Hugging Face hub, pinned, checked and cached.

The one idea: look before fetching. The hub's file list and the config say whether a checkpoint
is safetensors without code of its own; only then are its weights fetched, at one commit sha,
into the library's cache, where an interrupted fetch goes on and an offline one finds them.
`HF_TOKEN`, `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME` and `HF_HUB_OFFLINE` mean what they mean
everywhere, and are read at each call.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

# The base error of the library's HTTP client; which client that is changes with its versions.
from huggingface_hub.errors import HTTPError as ClientError  # type: ignore[attr-defined]
from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

from provenance.checkpoints import (
    CONFIG,
    SMALL_FILES,
    WEIGHT_INDEX,
    inspect,
    read_json_object,
    refuse_remote_code,
    weight_names,
)
from provenance.errors import CheckpointError, GatedError, StoreError

INFO_TIMEOUT_S = 10.0  # what the library itself waits for a file's metadata
TEMPLATES = "additional_chat_templates/*.jinja"
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM}


@dataclass(frozen=True)
class _Repo:
    """A repository at a revision, as it was asked for."""

    id: str
    """`org/name`."""
    revision: str | None
    """Branch, tag or commit; None for the default branch."""
    kind: Literal["model", "dataset"] = "model"
    """Models and data sets have name spaces of their own."""

    def __str__(self) -> str:
        return self.id if self.revision is None else f"{self.id}@{self.revision}"

    @property
    def page(self) -> str:
        """Where a person can look at it."""
        return f"{_endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"


class _NoBar(tqdm):
    """The library's progress bar, not shown: for small files, and where there is no terminal."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]


class _UnreachableError(Exception):
    """The hub did not answer, or must not be asked; the cache may still help."""


def fetch(repo: str, revision: str | None = None) -> tuple[Path, str]:
    """Fetch what matters of a checkpoint, or find it in the cache when the hub cannot be asked.

    Args:
        repo: `org/name`.
        revision: Branch, tag or commit; None for the default branch.

    Returns:
        The folder of the snapshot, and the commit sha it is pinned to.

    Raises:
        GatedError: The hub wants a licence accepted or a token.
        CheckpointError: No such repository or revision, no safetensors, remote code, or neither
            a connection that lasts nor a whole snapshot in the cache.
        StoreError: The disk is full or not writable.
    """
    wanted = _Repo(repo, revision)
    try:
        return _fetch_online(wanted)
    except _UnreachableError as reason:
        return _from_cache(wanted, str(reason))


def _fetch_online(wanted: _Repo) -> tuple[Path, str]:
    commit, files = _list_files(wanted)
    if CONFIG not in files:
        raise CheckpointError(
            f"{CONFIG} in {wanted}",
            found="an adapter without its base model" if "adapter_config.json" in files else "none",
            remedy="name the repository of a whole model in transformers' format",
        )
    if WEIGHT_INDEX not in files:
        weight_names(files, None, str(wanted))  # refuses pickles before a byte is fetched
    # under the name it was asked for, so that the cache knows later, offline, what that name means
    _download(wanted, [CONFIG])
    pinned = _Repo(wanted.id, commit)
    folder = _download(pinned, [CONFIG, WEIGHT_INDEX])
    refuse_remote_code(str(wanted), read_json_object(folder / CONFIG))
    _download(pinned, [*SMALL_FILES, TEMPLATES, *_weights_on_hub(wanted, folder, files)], show_bar=True)
    return folder, commit


def _weights_on_hub(wanted: _Repo, folder: Path, files: list[str]) -> list[str]:
    """Names of the weight files to fetch, by the index if there is one."""
    index = folder / WEIGHT_INDEX
    index_text = index.read_text(encoding="utf-8", errors="replace") if index.is_file() else None
    weights = weight_names(files, index_text, str(wanted))
    missing = sorted(set(weights) - set(files))
    if missing:
        raise CheckpointError(
            f"the {len(weights)} weight files that the index of {wanted} names",
            found=f"{len(missing)} are not on the hub: {', '.join(missing[:3])}",
            remedy="name another revision of it, or tell its publisher",
        )
    return weights


def _from_cache(wanted: _Repo, reason: str) -> tuple[Path, str]:
    folder = _cached_folder(wanted, reason, CONFIG)
    try:
        inspect(folder)
    except CheckpointError as error:
        raise CheckpointError(
            f"a whole copy of {wanted} in the cache, as the hub cannot be asked ({reason})",
            found=error.found,
            remedy="run the same command with a connection; files that are complete are kept",
        ) from error
    return folder, folder.name


def fetch_dataset(repo: str, revision: str | None, pattern: str) -> tuple[list[Path], str]:
    """Fetch the files of a data set repository that match a pattern.

    Returns:
        Their paths in name order, and the commit sha they are pinned to.

    Raises:
        GatedError: The hub wants a licence accepted or a token.
        CheckpointError: No such repository, revision or file, or no connection and nothing in the cache.
        StoreError: The disk is full or not writable.
    """
    wanted = _Repo(repo, revision, "dataset")
    try:
        commit, files = _list_files(wanted)
        _require_match(wanted, pattern, files)
        _download(wanted, [pattern], show_bar=True)
        folder = _download(_Repo(repo, commit, "dataset"), [pattern])
    except _UnreachableError as reason:
        folder = _cached_folder(wanted, str(reason), pattern)
        _require_match(wanted, pattern, [path.relative_to(folder).as_posix() for path in folder.rglob("*")])
    return sorted(folder.glob(pattern)), folder.name


def _require_match(wanted: _Repo, pattern: str, files: list[str]) -> None:
    if not any(fnmatch(file, pattern) for file in files):
        raise CheckpointError(
            f"{pattern} in {wanted}",
            found=", ".join(files[:8]) or "no files",
            remedy=f"fetch its files from {wanted.page} and name them instead",
        )


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT


def _cache() -> Path:
    """The library's cache folder, by the environment of now and not of its import."""
    if folder := os.environ.get("HF_HUB_CACHE"):
        return Path(folder).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    return Path(constants.HF_HUB_CACHE)


def _is_offline() -> bool:
    asked = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    return asked or constants.HF_HUB_OFFLINE


def _list_files(wanted: _Repo) -> tuple[str, list[str]]:
    """Commit sha and file names of a repository at a revision."""
    if _is_offline():
        raise _UnreachableError("HF_HUB_OFFLINE is set")
    api = HfApi(endpoint=_endpoint())
    ask = api.model_info if wanted.kind == "model" else api.dataset_info
    with _errors_translated(wanted):
        info = ask(wanted.id, revision=wanted.revision, timeout=INFO_TIMEOUT_S)
    if info.sha is None:
        raise CheckpointError(
            f"the commit sha of {wanted}", found=f"none in {_endpoint()}'s answer", remedy="check HF_ENDPOINT"
        )
    return info.sha, sorted(sibling.rfilename for sibling in info.siblings or [])


def _download(wanted: _Repo, patterns: list[str], *, show_bar: bool = False) -> Path:
    """Fetch the files that match the patterns into the cache; those it holds are not fetched again."""
    with _errors_translated(wanted):
        folder = snapshot_download(
            wanted.id,
            repo_type=wanted.kind,
            revision=wanted.revision,
            allow_patterns=patterns,
            cache_dir=_cache(),
            endpoint=_endpoint(),
            tqdm_class=None if show_bar and sys.stderr.isatty() else _NoBar,
        )
    return Path(folder)


def _cached_folder(wanted: _Repo, reason: str, pattern: str) -> Path:
    """The snapshot that the cache has, provided the files that match are there."""
    try:
        folder = snapshot_download(
            wanted.id,
            repo_type=wanted.kind,
            revision=wanted.revision,
            allow_patterns=[pattern],
            cache_dir=_cache(),
            local_files_only=True,
        )
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{wanted} from the hub or from the cache",
            found=f"{reason}; no copy in {_cache()}",
            remedy="connect to the network once to fetch it, or name a local file or folder",
        ) from error
    return Path(folder)


@contextmanager
def _errors_translated(wanted: _Repo) -> Iterator[None]:
    """What the library raises, as errors that say wanted, found and remedy."""
    try:
        yield
    except GatedRepoError as error:
        raise _gated(wanted, error) from error
    except (RevisionNotFoundError, RepositoryNotFoundError) as error:
        raise _not_there(wanted, error) from error
    except OfflineModeIsEnabled as error:
        raise _UnreachableError("HF_HUB_OFFLINE is set") from error
    except HfHubHTTPError as error:
        raise _refused(wanted, error) from error
    except (ClientError, LocalEntryNotFoundError) as error:
        raise _UnreachableError(f"{_endpoint()}: {_first_line(error)}") from error
    except OSError as error:
        raise _not_written(wanted, error) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _gated(wanted: _Repo, error: GatedRepoError) -> GatedError:
    has_token = "authorization" in error.response.request.headers
    return GatedError(
        f"access to {wanted}, which is gated",
        found="a token whose account was not granted access" if has_token else "no token",
        remedy=f"accept the licence at {wanted.page}, then set HF_TOKEN to a token of that account",
    )


def _not_there(wanted: _Repo, error: HfHubHTTPError) -> CheckpointError:
    if isinstance(error, RevisionNotFoundError):
        return CheckpointError(
            f"{wanted} on the hub",
            found="the repository, but no such revision",
            remedy=f"check the part after @ against the branches and tags at {wanted.page}",
        )
    return CheckpointError(
        f"{wanted} on the hub",
        found="no such repository, or a private one that your token does not open",
        remedy=f"check the name at {wanted.page}; for a private one set HF_TOKEN; write ./ before the name of a folder",
    )


def _refused(wanted: _Repo, error: HfHubHTTPError) -> CheckpointError | _UnreachableError:
    status = error.response.status_code
    if status >= 500 or status == 429:
        return _UnreachableError(f"{_endpoint()} answered HTTP {status}")
    return CheckpointError(
        f"{wanted} from {_endpoint()}",
        found=f"HTTP {status}: {_first_line(error)}",
        remedy="check HF_TOKEN: it may be mistyped or expired" if status in {401, 403} else "try again later",
    )


def _not_written(wanted: _Repo, error: OSError) -> StoreError | CheckpointError:
    if error.errno in DISK_ERRORS:
        return StoreError(
            f"room for {wanted} in {_cache()}",
            found=error.strerror or str(error),
            remedy="free some space, or set HF_HUB_CACHE to a folder on another disk",
        )
    return CheckpointError(
        f"all of {wanted} from {_endpoint()}",
        found=_first_line(error),
        remedy="run the same command again; files that are complete are kept",
    )
