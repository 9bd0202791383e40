"""Repository listings of the Hugging Face hub: commit, files with sizes and digests, gate, licence.

One answer of a few kilobytes decides which files to fetch, whether they fit and how to check them. Errors of the client
library become errors of the toolkit here, for every module that asks the hub. `HF_TOKEN`, `HF_ENDPOINT`,
`HF_HUB_CACHE`, `HF_HOME` and `HF_HUB_OFFLINE` have their usual meaning and are read at each call.
"""

import errno
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from huggingface_hub import HfApi, constants, get_token
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
from huggingface_hub.hf_api import DatasetInfo, ModelInfo, RepoSibling
from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

from provenance.errors import CheckpointError, GatedError, StoreError
from provenance.hub import retry as waiting
from provenance.hub.retry import Announcer, Patience, asked_wait_s, is_busy

INFO_TIMEOUT_S = 10.0  # the library's own timeout for a file's metadata
DEFAULT_BRANCH = "main"
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # digests become file names in the cache
LISTING_PATIENCE = Patience(tries=4, longest_asked_s=60.0)  # a small question is not worth minutes of waiting
FULL_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_FOLDER_ERRORS = {errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EACCES, errno.EROFS, errno.EPERM}
"""Errors of making a folder over a file, or where nothing can be written."""
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class HubRepo:
    """Repository and requested revision."""

    id: str
    """`org/name`."""
    revision: str | None = None
    """Branch, tag or commit; None for the default branch."""
    kind: Literal["model", "dataset"] = "model"
    """Models and data sets have separate name spaces."""

    def __str__(self) -> str:
        return self.id if self.revision is None else f"{self.id}@{self.revision}"

    @property
    def page(self) -> str:
        """Address of its web page."""
        return f"{endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"

    @property
    def storage(self) -> Path:
        """Its folder in the library's cache, with `blobs`, `refs` and `snapshots`."""
        return cache_folder() / "--".join([f"{self.kind}s", *self.id.split("/")])


@dataclass(frozen=True)
class HubFile:
    """One file of a repository."""

    name: str
    """Path inside the repository."""
    bytes: int
    sha256: str | None
    """SHA-256 of the content of a large file; None for a small one."""
    blob_id: str
    """Git's digest: for a small file, the SHA-1 over its length and content."""

    @property
    def etag(self) -> str:
        """Name of its content in the cache."""
        return self.sha256 or self.blob_id


@dataclass(frozen=True)
class Listing:
    """A repository at one commit."""

    repo: HubRepo
    commit: str
    """Current commit sha of the requested revision."""
    files: Mapping[str, HubFile]
    """Files by name, in name order."""
    gated: bool
    """Whether files require an accepted licence or contact data."""
    licence: str | None
    """Licence in the model card; None without one."""

    @property
    def pinned(self) -> HubRepo:
        """The same repository at its commit."""
        return HubRepo(self.repo.id, self.commit, self.repo.kind)

    @property
    def snapshot(self) -> Path:
        """Cache folder of this commit."""
        return self.repo.storage / "snapshots" / self.commit


class UnreachableError(Exception):
    """The hub did not answer, or offline mode is on; the cache may still help."""


class BusyError(UnreachableError):
    """The hub answered that it is busy; a later try may succeed."""

    def __init__(self, what: str, after_s: float | None = None) -> None:
        super().__init__(what if after_s is None else f"{what}, and asks to wait {after_s:,.0f} s")
        self.after_s = after_s
        """The wait that it asks for, if it does."""


def endpoint() -> str:
    """Address of the hub, or of a mirror of it."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT


def cache_folder() -> Path:
    """The library's cache folder, from the current environment (not that at import)."""
    if folder := os.environ.get("HF_HUB_CACHE"):
        return Path(folder).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    return Path(constants.HF_HUB_CACHE)


def is_offline() -> bool:
    """Whether offline mode is on."""
    asked = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    return asked or constants.HF_HUB_OFFLINE


def has_token() -> bool:
    """Whether requests carry a token, from HF_TOKEN or from a login."""
    return get_token() is not None


def look_up(repo: HubRepo) -> Listing:
    """Ask the hub for a repository's listing; no file is fetched.

    Raises:
        GatedError: Even the listing requires an accepted licence or a token.
        CheckpointError: No such repository or revision, or an answer without the data of a pinned fetch.
        UnreachableError: No answer, a hub that stays busy, HF_HUB_OFFLINE is set, or settings that allow no connection.
    """
    if is_offline():
        raise UnreachableError("HF_HUB_OFFLINE is set")
    _check_client()
    api = HfApi(endpoint=endpoint())
    ask = api.model_info if repo.kind == "model" else api.dataset_info
    info = patiently(repo, lambda: ask(repo.id, revision=repo.revision, timeout=INFO_TIMEOUT_S, files_metadata=True))
    files = sorted((_file(repo, sibling) for sibling in info.siblings or []), key=lambda file: file.name)
    if info.sha is None or not _DIGEST.fullmatch(info.sha):
        raise _unfit(repo, "the commit sha", repr(info.sha))
    return Listing(repo, info.sha, {file.name: file for file in files}, bool(info.gated), _licence(info))


def _check_client() -> None:
    """Make the library's HTTP client, which reads proxies and certificates from the environment.

    Raises:
        UnreachableError: They are such that there can be no connection: a SOCKS proxy without its package, a file of
            certificates that is not there, an address that is none.
    """
    try:
        get_session().build_request("GET", endpoint())
    except Exception as error:  # the one place for what a client raises about its settings
        raise UnreachableError(
            f"no connection to {endpoint()} can be set up: {type(error).__name__}: {_first_line(error)} "
            "(check the variables of proxies, SSL_CERT_FILE and HF_ENDPOINT)"
        ) from error


def require_access(repo: HubRepo) -> None:
    """Ask the hub whether files can be downloaded, without fetching one.

    Raises:
        GatedError: The hub requires a licence to be accepted, or a token.
        UnreachableError: No answer.
    """
    patiently(repo, lambda: HfApi(endpoint=endpoint()).auth_check(repo.id, repo_type=repo.kind))


def patiently(repo: HubRepo, ask: Callable[[], _Answer], patience: Patience = LISTING_PATIENCE) -> _Answer:
    """Ask the hub, and again while it says that it is busy; errors as `errors_translated`."""
    failures, announcer = 0, Announcer()
    while True:
        try:
            with errors_translated(repo):
                return ask()
        except BusyError as busy:
            failures, asked = failures + 1, busy.after_s or 0.0
            if failures >= patience.tries or asked > patience.longest_asked_s:
                raise
            if asked:
                announcer.announce(asked, endpoint())
            waiting.pause(max(asked, patience.seconds(failures)), threading.Event())


def _file(repo: HubRepo, sibling: RepoSibling) -> HubFile:
    file = HubFile(
        sibling.rfilename, sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else None, sibling.blob_id or ""
    )
    if sibling.size is None or not _DIGEST.fullmatch(file.etag):
        raise _unfit(repo, f"size and digest of {file.name}", f"{sibling.size} and {file.etag!r}")
    return file


def _unfit(repo: HubRepo, wanted: str, found: str) -> CheckpointError:
    return CheckpointError(f"{wanted} of {repo}", found=f"{found} in {endpoint()}'s answer", remedy="check HF_ENDPOINT")


def _licence(info: ModelInfo | DatasetInfo) -> str | None:
    """The model card's licence; its own name if the identifier is only "other"."""
    card = info.card_data
    licence = getattr(card, "license", None)
    name = getattr(card, "license_name", None) if licence in {"other", None} else licence
    found = name or licence
    return ", ".join(found) if isinstance(found, list) else found


@contextmanager
def errors_translated(repo: HubRepo) -> Iterator[None]:
    """Translate the library's errors into errors that say wanted, found and remedy."""
    try:
        yield
    except GatedRepoError as error:
        raise _gated(repo, error) from error
    except (RevisionNotFoundError, RepositoryNotFoundError) as error:
        raise _not_there(repo, error) from error
    except OfflineModeIsEnabled as error:
        raise UnreachableError("HF_HUB_OFFLINE is set") from error
    except HfHubHTTPError as error:
        raise _refused(repo, error) from error
    except (ClientError, LocalEntryNotFoundError) as error:
        raise _unreached(error) from error
    except OSError as error:
        raise _not_written(repo, error) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _unreached(error: BaseException) -> UnreachableError:
    cause = error.__cause__  # where the library looks for a cached file after a refusal, and finds none
    if isinstance(cause, HfHubHTTPError) and is_busy(cause.response.status_code):
        return _busy(cause)
    return UnreachableError(f"{endpoint()}: {_first_line(error)}")


def _busy(error: HfHubHTTPError) -> BusyError:
    return BusyError(f"{endpoint()} answered HTTP {error.response.status_code}", asked_wait_s(error.response.headers))


def _gated(repo: HubRepo, error: GatedRepoError) -> GatedError:
    sent_token = "authorization" in error.response.request.headers
    return GatedError(
        f"access to {repo}, which is gated",
        found="a token whose account was not granted access" if sent_token else "no token",
        remedy=f"accept the licence at {repo.page}, then set HF_TOKEN to a token of that account",
    )


def _not_there(repo: HubRepo, error: HfHubHTTPError) -> CheckpointError:
    if isinstance(error, RevisionNotFoundError):
        return CheckpointError(
            f"{repo} on the hub",
            found="the repository, but no such revision",
            remedy=f"check the part after @ against the branches and tags at {repo.page}",
        )
    return CheckpointError(
        f"{repo} on the hub",
        found="no such repository, or a private one that your token does not open",
        remedy=f"check the name at {repo.page}; for a private one set HF_TOKEN; write ./ before the name of a folder",
    )


def _refused(repo: HubRepo, error: HfHubHTTPError) -> CheckpointError | UnreachableError:
    status = error.response.status_code
    if is_busy(status):
        return _busy(error)
    remedies = {
        401: "check HF_TOKEN: it may be mistyped or expired",
        403: "check HF_TOKEN: it may be mistyped or expired",
        404: f"check HF_ENDPOINT, and at {repo.page} whether all files are there",
    }
    return CheckpointError(
        f"{repo} from {endpoint()}",
        found=f"HTTP {status}: {_first_line(error)}",
        remedy=remedies.get(status, "try again later"),
    )


def _not_written(repo: HubRepo, error: OSError) -> StoreError | CheckpointError:
    if error.errno in FULL_DISK_ERRORS:
        return StoreError(
            f"room for {repo} in {cache_folder()}",
            found=error.strerror or str(error),
            remedy="free some space, or set HF_HUB_CACHE to a folder on another disk; fetched files are kept",
        )
    if error.errno in NO_FOLDER_ERRORS:
        return StoreError(
            f"a folder for {repo} in {cache_folder()}, to write to",
            found=f"{error.strerror}: {error.filename}",
            remedy="set HF_HUB_CACHE to a folder that can be made and written to",
        )
    return CheckpointError(
        f"all of {repo} from {endpoint()}",
        found=_first_line(error),
        remedy="run the same command again; fetched files are kept",
    )
