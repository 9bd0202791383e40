"""Files into the cache: resumed to the byte, held against the hub's digests, refused before they cannot fit."""

import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from hub_server import Fault, Hub, Repo, fetch, hub_and_client
from huggingface_hub.utils import enable_progress_bars

from provenance.errors import CheckpointError, InputError, StoreError
from provenance.hub import downloads, retry
from provenance.hub.downloads import download, is_cached, missing_bytes, remember
from provenance.hub.fetch import fetch_all
from provenance.hub.repositories import HubRepo, Listing, UnreachableError, look_up
from provenance.hub.retry import stoppable_pool

HEAD_BYTES = 200


def weights(seed: int, stated: int = 200_000 - HEAD_BYTES) -> bytes:
    """A weight file of 200,000 bytes, the same for the same seed, of which the header says what it is told to."""
    entry = {"w": {"dtype": "U8", "shape": [stated], "data_offsets": [0, stated]}}
    head = json.dumps(entry).encode().ljust(HEAD_BYTES - 8)
    return len(head).to_bytes(8, "little") + head + np.random.default_rng(seed).bytes(200_000 - HEAD_BYTES)


LARGE = weights(1)
ALTERED = LARGE[:300] + bytes([LARGE[300] ^ 1]) + LARGE[301:]
FILES = {"a.safetensors": LARGE, "b.safetensors": weights(2), "config.json": b"{}", "notes.txt": b"n" * 500}
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil has it


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub of this test's own, with one repository."""
    with hub_and_client(monkeypatch, tmp_path) as server:
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
    """Cut for good in the middle, every byte that came stays, and the next fetch asks for the rest only."""
    hub.cuts["a.safetensors"] = [90_000, *([0] * 20)]
    with pytest.raises(CheckpointError, match=r"8 tries in a row") as caught:
        download(listed(), ["a.safetensors"])
    assert "bytes 90,000 to 200,000 of a.safetensors of org/some" in caught.value.wanted
    come = partial_of("a.safetensors").stat().st_size
    assert come == 90_000
    assert missing_bytes(listed(), FILES) == sum(map(len, FILES.values())) - come
    hub.cuts.clear()
    hub.log.clear()
    hub.sent.clear()
    folder = download(listed(), ["a.safetensors"])
    assert (folder / "a.safetensors").read_bytes() == LARGE
    assert hub.sent["org/some/a.safetensors"] == len(LARGE) - come
    assert set(hub.got("a.safetensors")) == {f"bytes={come}-{len(LARGE) - 1}"}
    assert not partial_of("a.safetensors").exists()


def test_a_link_that_breaks_all_the_time_comes_to_the_end(hub: Hub) -> None:
    """Busy servers, refusals and nine cuts in one file: it is whole, and no byte was sent twice."""
    hub.cuts["a.safetensors"] = [20_000] * 9
    hub.faults["a.safetensors"] = [Fault(status=503), Fault(status=403), Fault(status=429)]
    assert (download(listed(), ["a.safetensors"]) / "a.safetensors").read_bytes() == LARGE
    assert hub.sent["org/some/a.safetensors"] == len(LARGE)
    assert (hub.cuts["a.safetensors"], hub.faults["a.safetensors"]) == ([], [])


@pytest.mark.parametrize("name", ["config.json", "HEAD config.json"])
def test_a_busy_hub_is_asked_for_small_files_again(hub: Hub, name: str) -> None:
    """The library gives up after one 503, wherever it meets it; the fetch does not."""
    hub.faults[name] = [Fault(status=503)] * 2
    assert (download(listed(), ["config.json"]) / "config.json").read_bytes() == b"{}"


def test_a_file_longer_than_an_answer_is_fetched_in_several(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store sends no more than so much at once."""
    monkeypatch.setattr(downloads, "REQUEST_BYTES", 150_000)
    assert (download(listed(), ["a.safetensors"]) / "a.safetensors").read_bytes() == LARGE
    assert hub.got("a.safetensors") == ["bytes=0-149999", "bytes=150000-199999"]


def test_a_killed_fetch_goes_on_where_it_was(hub: Hub) -> None:
    """After SIGKILL in the middle of a file every byte that had come is there; another process asks for the rest."""
    code = (
        "import os, signal; from provenance.hub import downloads, http_ranges\n"
        "from provenance.hub.repositories import HubRepo, look_up\n"
        "chunks = http_ranges.RemoteFile._chunks\n"
        "def some(self, *asked):\n"
        "    come = 0\n"
        "    for chunk in chunks(self, *asked):\n"
        "        for start in range(0, len(chunk), 1000):\n"
        "            yield chunk[start : start + 1000]\n"
        "            come += len(chunk[start : start + 1000])\n"
        "            if come > 90_000: os.write(1, str(come).encode()); os.kill(os.getpid(), signal.SIGKILL)\n"
        "http_ranges.RemoteFile._chunks = some\n"
        "downloads.download(look_up(HubRepo('org/some')), ['a.safetensors'])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    come = partial_of("a.safetensors").stat().st_size
    assert come == int(killed.stdout)
    assert 90_000 < come < len(LARGE)
    hub.sent.clear()
    folder = download(listed(), ["a.safetensors"])
    assert (folder / "a.safetensors").read_bytes() == LARGE
    assert hub.sent["org/some/a.safetensors"] == len(LARGE) - come


def test_a_server_that_ignores_range_is_fetched_from_the_start(hub: Hub) -> None:
    """The part that was there is not kept in front of the whole file."""
    partial_of("a.safetensors").parent.mkdir(parents=True)
    partial_of("a.safetensors").write_bytes(LARGE[:50_000])
    hub.faults["a.safetensors"] = [Fault(whole=True)] * 2
    folder = download(listed(), ["a.safetensors"])
    assert (folder / "a.safetensors").read_bytes() == LARGE
    assert not hub.faults["a.safetensors"]


def test_a_part_longer_than_the_file_is_started_again(hub: Hub) -> None:
    """What cannot be a part of the file is thrown away."""
    partial_of("a.safetensors").parent.mkdir(parents=True)
    partial_of("a.safetensors").write_bytes(b"x" * 300_000)
    assert missing_bytes(listed(), ["a.safetensors"]) == 0  # by its length alone it looks whole
    folder = download(listed(), ["a.safetensors"])
    assert (folder / "a.safetensors").read_bytes() == LARGE


@pytest.mark.parametrize("cached", [False, True])
def test_content_that_changes_after_it_was_checked_is_not_accepted(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    """The library asks once more before it links a file: what it then gets is held against the listing's digest."""
    listing = listed()
    if cached:
        (download(listing, ["a.safetensors"]) / "a.safetensors").unlink()
    complete = downloads.snapshot_download

    def changed(*arguments: object, **options: object) -> object:
        alter(hub, "a.safetensors", ALTERED)
        return complete(*arguments, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(downloads, "snapshot_download", changed)
    with pytest.raises(CheckpointError, match=r"a\.safetensors of org/some with the digest"):
        download(listing, ["a.safetensors"])
    assert not (listing.snapshot / "a.safetensors").exists()
    assert [path.read_bytes() for path in (listing.repo.storage / "blobs").iterdir()] == [LARGE]


@pytest.mark.parametrize("where", ["in the part that was there", "on the way"])
def test_altered_content_never_gets_its_name(hub: Hub, where: str) -> None:
    """Content with another digest is removed and named, and the next fetch is clean."""
    listing = listed()
    if where == "on the way":  # under the digest that the hub said
        digest = listing.files["a.safetensors"].etag
        hub.faults["HEAD a.safetensors"] = [Fault(headers={"X-Linked-ETag": f'"{digest}"'})]
        alter(hub, "a.safetensors", ALTERED)
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
    blob.write_bytes(LARGE[:-1] + bytes([LARGE[-1] ^ 1]))
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
    """When one of two files cannot be had, the error names it and no token, and it has no place in the cache."""
    hub.faults["b.safetensors"] = [Fault(status=403)] * 100
    with pytest.raises(CheckpointError, match="HTTP 403") as caught:
        download(listed(), ["a.safetensors", "b.safetensors"])
    assert "b.safetensors of org/some" in caught.value.wanted
    assert "firewall" in caught.value.remedy
    assert "HF_TOKEN" not in caught.value.remedy
    blobs = {path.name for path in (HubRepo("org/some").storage / "blobs").iterdir()}
    assert hashlib.sha256(FILES["b.safetensors"]).hexdigest() not in blobs


@pytest.fixture
def waiting(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A server that asks to wait for five minutes, which somebody has to end; the event says that a wait has begun."""
    begun, stops = threading.Event(), set()

    def pause(_: float, stopped: threading.Event) -> None:
        begun.set()
        stops.add(stopped.wait(20))

    monkeypatch.setattr(retry, "pause", pause)
    hub.faults["a.safetensors"] = [Fault(status=429, headers={"Retry-After": "300"})] * 100
    yield begun
    assert stops == {True}


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, MemoryError])
def test_whatever_ends_a_fetch_ends_its_waits(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, waiting: threading.Event, interrupt: type[BaseException]
) -> None:
    """Ctrl-C while a file waits for a server that asked for five minutes: the wait ends, and so do the threads."""

    def interrupted(jobs: list[object]) -> Iterator[object]:
        assert waiting.wait(20)
        raise interrupt
        yield from jobs

    monkeypatch.setattr(downloads, "as_completed", interrupted)
    with pytest.raises(interrupt):
        download(listed(), ["a.safetensors"])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_the_first_failure_ends_the_waits_of_the_others(hub: Hub, waiting: threading.Event) -> None:
    """One file is found changed while another waits."""
    hub.faults["b.safetensors"] = [Fault(before=lambda: waiting.wait(20), headers={"Content-Range": "bytes 0-9/99"})]
    with pytest.raises(CheckpointError, match="the file changed while it was being read"):
        download(listed(), ["a.safetensors", "b.safetensors"])


def test_a_file_that_another_process_fetches_is_waited_for_until_stopped(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(downloads, "LOCK_TIMEOUT_S", 0.01)
    with downloads._locked(tmp_path / "lock", threading.Event()), stoppable_pool(1) as (pool, stopped):
        job = pool.submit(downloads._locked(tmp_path / "lock", stopped).__enter__)
        stopped.set()
        with pytest.raises(CancelledError):
            job.result()


def test_a_wait_is_announced_once(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    """However many files and requests are told to wait."""
    for name in ("a.safetensors", "b.safetensors"):
        hub.faults[name] = [Fault(status=429, headers={"Retry-After": "41"})] * 3
    download(listed(), ["a.safetensors", "b.safetensors"])
    said = [record.getMessage() for record in caplog.records if record.name == "provenance.hub.retry"]
    assert len(said) == 1
    assert "the server asks to wait 41 s" in said[0]
    assert "HTTP 429" in said[0]


@pytest.mark.parametrize("altered", [False, True])
def test_a_header_that_lies_is_the_publishers_doing_or_the_disks(hub: Hub, altered: bool) -> None:
    """Right digest, wrong header: nothing to fetch again. Altered in the cache: removed, and fetched again."""
    if altered:
        blob = (download(listed(), ["a.safetensors"]) / "a.safetensors").resolve()
        blob.write_bytes(weights(3, stated=17))
    else:
        hub.repos["org/some"] = Repo({**FILES, "a.safetensors": weights(3, stated=17)})
    with pytest.raises(CheckpointError) as caught:
        download(listed(), ["a.safetensors"])
    assert ("tell its publisher" in caught.value.remedy) != altered
    assert ("removed" in caught.value.found) == altered
    assert ("of 217 bytes" in caught.value.found) != altered
    assert "fetch it again" not in caught.value.remedy


class Terminal:
    """A stderr that is one."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("tty", [False, True])
def test_progress_is_shown_on_a_terminal(hub: Hub, monkeypatch: pytest.MonkeyPatch, tty: bool) -> None:
    """With the file's name and its size, the part that was there before included; elsewhere nothing is."""
    partial_of("a.safetensors").parent.mkdir(parents=True)
    partial_of("a.safetensors").write_bytes(LARGE[:150_000])
    terminal = Terminal()
    terminal.isatty = lambda: tty  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    enable_progress_bars()  # loading a model in this process switches the library's bars off
    download(listed(), ["a.safetensors"], show_bar=True)
    assert ("a.safetensors: " in terminal.text and "200k/200k" in terminal.text) == tty


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
    from provenance.hub.fetch import fetch_dataset

    with pytest.raises(InputError) as caught:
        fetch_dataset("org/set", None, "*.parquet")
    assert "200,000 bytes" in caught.value.wanted
    assert "150,000 bytes free" in caught.value.found
    assert "HF_HUB_CACHE" in caught.value.remedy
    assert not [path for _, path, _ in hub.log if "/resolve/" in path]


def test_what_is_there_needs_no_room(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only missing bytes count, so a full disk does not keep anybody from what is cached."""
    from test_fetch import checkpoint_files

    hub.repos["org/tiny"] = Repo(checkpoint_files())
    fetch("org/tiny")
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 0))
    fetch("org/tiny")
    assert fetch_all([HubRepo("org/tiny")])[0].fetched_bytes == 0


def test_a_disk_that_fills_up_keeps_what_came(hub: Hub, tmp_path: Path) -> None:
    """The kernel refuses to let a file grow: a job error with the way out, and the next fetch goes on from there."""
    code = (
        "import resource, signal; from provenance.hub import downloads; from provenance.errors import StoreError\n"
        "from provenance.hub.repositories import HubRepo, look_up\n"
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


@pytest.mark.parametrize("name", ["a.safetensors", "config.json"])
@pytest.mark.parametrize("place", ["a file", "in a file", "nowhere"])
def test_a_cache_that_cannot_be_a_folder_is_a_job_error(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str
) -> None:
    """A file where the cache's folder should be, or a folder that cannot be made: what is wrong, and the variable."""
    (tmp_path / "file").write_bytes(b"")
    folder = {"a file": tmp_path / "file", "in a file": tmp_path / "file" / "hub", "nowhere": Path("/proc/none/hub")}
    monkeypatch.setenv("HF_HUB_CACHE", str(folder[place]))
    with pytest.raises(StoreError) as caught:
        download(listed(), [name])
    assert f"a folder for org/some in {folder[place]}" in caught.value.wanted
    assert ("/proc/none" if place == "nowhere" else str(tmp_path / "file")) in caught.value.found
    assert "HF_HUB_CACHE" in caught.value.remedy


def test_a_name_is_noted_only_for_a_whole_snapshot(hub: Hub) -> None:
    """While the new commit is incomplete, the name goes on standing for the old one, offline too."""
    from test_fetch import checkpoint_files

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


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_is_asked_for_the_listing_again(hub: Hub, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """A few times, then the error says so; a wait that it names is kept, and one of many minutes is not."""
    pauses: list[float] = []
    answers = [status, status]

    def wait(seconds: float, _: object) -> None:
        pauses.append(seconds)
        hub.down = answers.pop() if answers else 0

    monkeypatch.setattr(retry, "pause", wait)
    hub.down = status
    assert listed().files
    assert len(pauses) == 3
    answers, hub.down = [status] * 9, status
    with pytest.raises(UnreachableError, match=f"HTTP {status}"):
        listed()
    assert len(pauses) == 6
