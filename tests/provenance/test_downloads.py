"""Files into the cache: resumed to the byte, held against the hub's digests, refused before they cannot fit."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Fault, Hub, Repo, hub_and_client
from huggingface_hub import constants

from provenance.downloads import _Growing, _StoppedError, download, is_cached, missing_bytes, remember
from provenance.errors import CheckpointError, InputError, StoreError
from provenance.hub import fetch, fetch_all
from provenance.hub_api import HubRepo, Listing, UnreachableError, look_up

LARGE = os.urandom(200_000)
FILES = {"a.safetensors": LARGE, "b.safetensors": LARGE[::-1], "config.json": b"{}", "notes.txt": b"n" * 500}
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil has it


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub of this test's own, with one repository, read in small pieces."""
    with hub_and_client(monkeypatch, tmp_path) as server:
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
        server.repos["org/some"] = Repo(dict(FILES))
        yield server


class Altered(Repo):
    """A repository that sends other content under the commit it had."""

    commit = ""  # type: ignore[assignment]  # in place of the one that follows from the content


def alter(hub: Hub, name: str, content: bytes) -> None:
    """From now on the hub sends this in the file's place, and says nothing of it."""
    before = hub.repos["org/some"]
    hub.repos["org/some"] = Altered({**before.files, name: content})
    Altered.commit = before.commit  # type: ignore[method-assign, assignment]


def listed() -> Listing:
    return look_up(HubRepo("org/some"))


def partial_of(name: str) -> Path:
    digest = hashlib.sha256(FILES[name]).hexdigest()
    return HubRepo("org/some").storage / "blobs" / f"{digest}.incomplete"


def test_what_the_hub_says(hub: Hub) -> None:
    """One answer gives commit, sizes, digests, gate and licence, and no file is asked for."""
    hub.repos["org/some"] = Repo(dict(FILES), gated=True, license="apache-2.0")
    listing = listed()
    assert (listing.commit, listing.gated, listing.licence) == (hub.repos["org/some"].commit, True, "apache-2.0")
    assert {name: file.bytes for name, file in listing.files.items()} == {k: len(v) for k, v in FILES.items()}
    assert listing.files["a.safetensors"].sha256 == hashlib.sha256(LARGE).hexdigest()
    assert listing.files["config.json"].sha256 is None
    assert len(hub.log) == 1


def test_a_lost_connection_costs_only_what_is_missing(hub: Hub) -> None:
    """Cut for good in the middle, the part stays; the next fetch asks for the rest and every byte is sent once."""
    hub.cuts["a.safetensors"] = [90_000, *([0] * 20)]
    with pytest.raises(UnreachableError):
        download(listed(), ["a.safetensors"])
    come = partial_of("a.safetensors").stat().st_size
    assert 80_000 < come <= 90_000
    assert missing_bytes(listed(), FILES) == sum(map(len, FILES.values())) - come
    hub.cuts.clear()
    hub.log.clear()
    hub.sent.clear()
    folder = download(listed(), ["a.safetensors"])
    assert (folder / "a.safetensors").read_bytes() == LARGE
    assert hub.sent["org/some/a.safetensors"] == len(LARGE) - come
    assert set(hub.got("a.safetensors")) == {f"bytes={come}-"}
    assert not partial_of("a.safetensors").exists()


def test_a_killed_fetch_goes_on_where_it_was(hub: Hub) -> None:
    """After SIGKILL in the middle of a file another process asks for the rest only."""
    code = (
        "import os, signal; from huggingface_hub import constants; constants.DOWNLOAD_CHUNK_SIZE = 4096\n"
        "from provenance import downloads; from provenance.hub_api import HubRepo, look_up\n"
        "write, calls = downloads._Growing.write, []\n"
        "def some(self, data):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 10: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return write(self, data)\n"
        "downloads._Growing.write = some\n"
        "downloads.download(look_up(HubRepo('org/some')), ['a.safetensors'])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    come = partial_of("a.safetensors").stat().st_size
    assert 0 < come < len(LARGE)
    hub.sent.clear()
    folder = download(listed(), ["a.safetensors"])
    assert (folder / "a.safetensors").read_bytes() == LARGE
    assert hub.sent["org/some/a.safetensors"] == len(LARGE) - come


def test_a_server_that_ignores_range_is_fetched_from_the_start(hub: Hub) -> None:
    """The part that was there is not kept in front of the whole file."""
    partial_of("a.safetensors").parent.mkdir(parents=True)
    partial_of("a.safetensors").write_bytes(LARGE[:50_000])
    hub.faults["a.safetensors"] = [Fault(whole=True)]
    folder = download(listed(), ["a.safetensors"])
    assert (folder / "a.safetensors").read_bytes() == LARGE


def test_a_part_longer_than_the_file_is_started_again(hub: Hub) -> None:
    """What cannot be a part of the file is thrown away."""
    partial_of("a.safetensors").parent.mkdir(parents=True)
    partial_of("a.safetensors").write_bytes(b"x" * 300_000)
    assert missing_bytes(listed(), ["a.safetensors"]) == 0  # by its length alone it looks whole
    folder = download(listed(), ["a.safetensors"])
    assert (folder / "a.safetensors").read_bytes() == LARGE


@pytest.mark.parametrize("where", ["in the part that was there", "on the way"])
def test_altered_content_never_gets_its_name(hub: Hub, where: str) -> None:
    """Content with another digest is removed and named, and the next fetch is clean."""
    listing = listed()
    if where == "on the way":
        alter(hub, "a.safetensors", LARGE[:100] + b"?" + LARGE[101:])
    else:
        partial_of("a.safetensors").parent.mkdir(parents=True)
        partial_of("a.safetensors").write_bytes(b"?" + LARGE[1:50_000])
    with pytest.raises(CheckpointError) as caught:
        download(listing, ["a.safetensors"])
    assert "a.safetensors of org/some" in caught.value.wanted
    assert "removed" in caught.value.found
    assert "again" in caught.value.remedy
    blobs = HubRepo("org/some").storage / "blobs"
    assert not [path for path in blobs.iterdir() if path.stat().st_size]
    assert not (listing.snapshot / "a.safetensors").exists()
    hub.repos["org/some"] = Repo(dict(FILES))
    assert (download(listed(), ["a.safetensors"]) / "a.safetensors").read_bytes() == LARGE


def test_a_small_file_is_held_against_its_git_digest(hub: Hub) -> None:
    """A small file that is not what the listing says is removed; the same one that is, stays."""
    listing = listed()
    assert (download(listing, ["notes.txt"]) / "notes.txt").is_file()
    alter(hub, "config.json", b"[]")
    with pytest.raises(CheckpointError, match=r"config\.json of org/some"):
        download(listing, ["config.json"])
    assert not (listing.snapshot / "config.json").exists()
    assert (listing.snapshot / "notes.txt").is_file()


def test_a_recheck_finds_what_the_disk_lost(hub: Hub) -> None:
    """Content altered in the cache passes a plain fetch, which does not read it again, and not a recheck."""
    folder = download(listed(), ["a.safetensors"])
    blob = (folder / "a.safetensors").resolve()
    blob.write_bytes(b"?" + LARGE[1:])
    download(listed(), ["a.safetensors"])
    with pytest.raises(CheckpointError, match="digest"):
        download(listed(), ["a.safetensors"], recheck=True)
    assert not blob.exists()
    assert (download(listed(), ["a.safetensors"], recheck=True) / "a.safetensors").read_bytes() == LARGE


def test_a_cached_file_that_was_cut_is_fetched_again(hub: Hub) -> None:
    """A file of another size than the hub's does not count as cached."""
    folder = download(listed(), ["a.safetensors"])
    (folder / "a.safetensors").resolve().write_bytes(LARGE[:-1])
    assert not is_cached(listed(), listed().files["a.safetensors"])
    assert (download(listed(), ["a.safetensors"]) / "a.safetensors").read_bytes() == LARGE


def test_one_failure_ends_the_fetch(hub: Hub) -> None:
    """When one of two files cannot be had, the error names it, and it has no place in the cache."""
    hub.faults["b.safetensors"] = [Fault(status=403)]
    with pytest.raises(CheckpointError, match="HTTP 403"):
        download(listed(), ["a.safetensors", "b.safetensors"])
    blobs = {path.name for path in (HubRepo("org/some").storage / "blobs").iterdir()}
    assert hashlib.sha256(FILES["b.safetensors"]).hexdigest() not in blobs


def test_a_file_stops_growing_when_it_is_told(tmp_path: Path) -> None:
    """What other files under way do once one has failed: nothing is written any more, what came stays."""
    stop = threading.Event()
    with _Growing(tmp_path / "part", stop) as growing:
        growing.write(b"abc")
        stop.set()
        with pytest.raises(_StoppedError):
            growing.write(b"def")
    assert (tmp_path / "part").read_bytes() == b"abc"


def test_the_token_does_not_follow_to_the_store(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large files are redirected to another server, which must not see the token."""
    monkeypatch.setenv("HF_TOKEN", "mine")
    hub.repos["org/some"] = Repo(dict(FILES), gated=True, opened_by="mine")
    download(listed(), ["a.safetensors"])
    assert hub.tokens_at_cdn == []


def test_a_disk_that_is_too_small_is_seen_before_a_byte(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free space below what is missing: the error has both numbers, and no file of the repositories is asked for."""
    hub.repos["datasets/org/set"] = Repo({"x.parquet": LARGE})
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 150_000))
    from provenance.hub import fetch_dataset

    with pytest.raises(InputError) as caught:
        fetch_dataset("org/set", None, "*.parquet")
    assert "200,000 bytes" in caught.value.wanted
    assert "150,000 bytes free" in caught.value.found
    assert "HF_HUB_CACHE" in caught.value.remedy
    assert not [path for _, path, _ in hub.log if "/resolve/" in path]


def test_what_is_there_needs_no_room(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only missing bytes count, so a full disk does not keep anybody from what is cached."""
    from test_hub import checkpoint_files

    hub.repos["org/tiny"] = Repo(checkpoint_files())
    fetch("org/tiny")
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 0))
    fetch("org/tiny")
    assert fetch_all([HubRepo("org/tiny")])[0].fetched_bytes == 0


def test_a_disk_that_fills_up_keeps_what_came(hub: Hub, tmp_path: Path) -> None:
    """The kernel refuses to let a file grow: a job error with the way out, and the next fetch goes on from there."""
    code = (
        "import resource, signal; from provenance import downloads; from provenance.errors import StoreError\n"
        "from huggingface_hub import constants; constants.DOWNLOAD_CHUNK_SIZE = 4096\n"
        "from provenance.hub_api import HubRepo, look_up\n"
        "listing = look_up(HubRepo('org/some'))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    downloads.download(listing, ['a.safetensors'])\n"
        "except StoreError as error:\n"
        "    import sys; sys.exit(f'{error.found}|{error.remedy}')\n"
    )
    full = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert full.returncode == 1
    assert "too large" in full.stderr
    assert "HF_HUB_CACHE" in full.stderr
    assert partial_of("a.safetensors").stat().st_size == 100_000
    hub.sent.clear()
    assert (download(listed(), ["a.safetensors"]) / "a.safetensors").read_bytes() == LARGE
    assert hub.sent["org/some/a.safetensors"] == len(LARGE) - 100_000


def test_a_cache_that_cannot_be_written_is_a_job_error(hub: Hub, tmp_path: Path) -> None:
    """A file where the cache's folder should be: one clear error."""
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises((StoreError, CheckpointError)) as caught:
        download(listed(), ["a.safetensors"])
    assert "org/some" in caught.value.wanted


def test_a_name_is_noted_only_for_a_whole_snapshot(hub: Hub) -> None:
    """While the new commit is incomplete, the name goes on standing for the old one, offline too."""
    from test_hub import checkpoint_files

    hub.repos["org/tiny"] = Repo(checkpoint_files())
    folder, before = fetch("org/tiny")
    hub.repos["org/tiny"] = Repo(checkpoint_files(**{"generation_config.json": b"{}"}))
    note = HubRepo("org/tiny").storage / "refs" / "main"
    download(look_up(HubRepo("org/tiny")), ["config.json"])
    assert note.read_text() == before
    remember(look_up(HubRepo("org/tiny")))
    assert note.read_text() == hub.repos["org/tiny"].commit != before
    assert folder.is_dir()


def test_a_listing_without_digests_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests become file names in the cache, so an answer with anything else in their place is not used."""
    monkeypatch.setattr("hub_server.listing_entry", lambda path, _: {"rfilename": path, "size": 3, "blobId": "../x"})
    with pytest.raises(CheckpointError) as caught:
        listed()
    assert "size and digest of" in caught.value.wanted
    assert "'../x'" in caught.value.found
