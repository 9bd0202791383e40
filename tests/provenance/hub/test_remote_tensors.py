"""Weights straight from the hub: the same bytes as a download, no more of them than needed, or a clear error."""

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hub_server import Fault, Hub, Repo, fetch, hub_and_client
from safetensors.torch import save

from provenance.checkpoints.headers import HEADER_LIMIT
from provenance.checkpoints.names import CheckpointRef, checkpoint_at, content_digest
from provenance.errors import CheckpointError, GatedError
from provenance.hub import remote_tensors
from provenance.hub import retry as patience
from provenance.hub.remote_tensors import RemoteCheckpoint, open_remote
from provenance.hub.retry import Patience, asked_wait_s
from provenance.weights.tensors import Rows, TensorReader

WEIGHTS = "model.safetensors"
SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
TRIES = 4


def llama(layers: int = 5, d: int = 160, d_m: int = 640, vocabulary: int = 4000) -> dict[str, torch.Tensor]:
    """Weights of several megabytes, named and stored as Llama's are."""
    generator = torch.Generator().manual_seed(0)

    def random_weight(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).bfloat16()

    weights = {"model.embed_tokens.weight": random_weight(vocabulary, d), "model.norm.weight": random_weight(d)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        weights |= {f"{prefix}.self_attn.{name}_proj.weight": random_weight(d, d) for name in "qkvo"}
        weights |= {f"{prefix}.mlp.{name}_proj.weight": random_weight(d_m, d) for name in ("gate", "up")}
        weights |= {f"{prefix}.mlp.down_proj.weight": random_weight(d, d_m)}
        weights |= {f"{prefix}.{name}_layernorm.weight": random_weight(d) for name in ("input", "post_attention")}
    return weights


TENSORS = llama()
CONTENT = save(TENSORS)
SMALL = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}", "README.md": b"# not fetched"}


def in_shards(tensors: dict[str, torch.Tensor]) -> dict[str, bytes]:
    """The weights in three files with an index."""
    names = sorted(tensors)
    parts = {file: {name: tensors[name] for name in names[number::3]} for number, file in enumerate(SHARDS)}
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    files = {file: save(part) for file, part in parts.items()}
    return files | {"model.safetensors.index.json": json.dumps(index).encode()}


FILES_IN_SHARDS = in_shards(TENSORS)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub of this test's own, with one checkpoint in one file, and the same in three."""
    with hub_and_client(monkeypatch, tmp_path) as server:
        server.repos["org/tiny"] = Repo(SMALL | {WEIGHTS: CONTENT})
        server.repos["org/shards"] = Repo(SMALL | FILES_IN_SHARDS)
        yield server


@pytest.fixture
def pauses(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been waited."""
    seconds: list[float] = []
    monkeypatch.setattr(patience, "pause", lambda wait, _: seconds.append(wait))
    return seconds


def opened(name: str = "org/tiny") -> RemoteCheckpoint:
    return open_remote(CheckpointRef.parse(name), Patience(tries=TRIES))


def whole(name: str) -> Rows:
    return Rows(name, 0, len(TENSORS[name]))


def mlp_rows() -> list[Rows]:
    """All neurons, layer by layer."""
    return [whole(name) for name in sorted(TENSORS) if ".mlp." in name]


def assert_streams(checkpoint: RemoteCheckpoint, wanted: list[Rows]) -> None:
    """Every tensor that comes is the wanted one, bit by bit."""
    streamed = checkpoint.tensors.stream(wanted)
    for rows, tensor in zip(wanted, streamed, strict=True):
        truth = TENSORS[rows.name][rows.start : rows.stop]
        assert tensor.dtype == truth.dtype
        assert tensor.shape == truth.shape
        assert torch.equal(tensor.view(torch.uint8), truth.view(torch.uint8)), rows


@pytest.mark.parametrize("name", ["org/tiny", "org/shards"])
def test_names_shapes_and_tensors_are_those_of_the_files(hub: Hub, name: str) -> None:
    tensors = opened(name).tensors
    assert isinstance(tensors, TensorReader)
    assert tensors.names() == sorted(TENSORS)
    assert all(tensors.shape(each) == tuple(TENSORS[each].shape) for each in TENSORS)
    assert {tensors.dtype(each) for each in TENSORS} == {"BF16"}
    for each in ("model.norm.weight", "model.layers.1.mlp.down_proj.weight"):
        assert torch.equal(tensors.read(each), TENSORS[each])
    assert "model.invented" not in tensors
    with pytest.raises(CheckpointError, match=r"model\.invented"):
        tensors.read("model.invented")


@pytest.mark.parametrize("request_bytes", [5000, 50_001, 8 << 20])
@pytest.mark.parametrize("name", ["org/tiny", "org/shards"])
def test_streamed_rows_are_those_of_the_file_however_they_are_fetched(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, name: str, request_bytes: int
) -> None:
    """Neighbours, jumps back and forth, repetitions, no rows at all; in pieces, one by one, many together."""
    monkeypatch.setattr(remote_tensors, "REQUEST_BYTES", request_bytes)
    monkeypatch.setattr(remote_tensors, "AHEAD", 3)
    choose = random.Random(request_bytes)  # noqa: S311 - nothing secret
    wanted = [Rows("model.norm.weight", 3, 3), Rows("model.norm.weight", 0, 7), Rows("model.norm.weight", 7, 160)]
    for each in choose.choices(sorted(TENSORS), k=20):
        cuts = sorted(choose.choices(range(len(TENSORS[each]) + 1), k=3))
        cuts = [max(cuts[0], cuts[2] - 100), *cuts[1:]]
        wanted += [Rows(each, start, stop) for start, stop in pairwise(cuts) if start <= stop]
    assert_streams(opened(name), wanted)


def test_all_dtypes_arrive_as_they_are_stored(hub: Hub) -> None:
    """Tensors of several dtypes that lie one behind the other, and a scalar."""
    stored = {"a": torch.tensor([True, False, True]), "b": torch.arange(5.0).double(), "c": torch.arange(3).short()}
    stored |= {"scalar": torch.tensor(7, dtype=torch.int8)}
    hub.repos["org/mixed"] = Repo(SMALL | {WEIGHTS: save(stored)})
    tensors = opened("org/mixed").tensors
    for name, tensor in stored.items():
        assert torch.equal(tensors.read(name), tensor)
        assert tensors.read(name).dtype == tensor.dtype
    streamed = tensors.stream([Rows("b", 0, 5), Rows("c", 0, 3), Rows("a", 0, 3), Rows("b", 1, 2)])
    assert [tensor.tolist() for tensor in streamed] == [[0, 1, 2, 3, 4], [0, 1, 2], [True, False, True], [1]]
    with pytest.raises(ValueError, match="rows 2 to 6 of b"):
        list(tensors.stream([Rows("b", 2, 6)]))


def test_rows_of_two_files_are_never_taken_for_neighbours(hub: Hub) -> None:
    """Even where one goes on at the very byte number at which the other stopped."""
    stored = {name: torch.randn(10, 4) for name in "ab"}
    hub.repos["org/two"] = Repo(SMALL | {f"{name}.safetensors": save({name: stored[name]}) for name in stored})
    first, second = opened("org/two").tensors.stream([Rows("a", 0, 5), Rows("b", 5, 10)])
    assert torch.equal(first, stored["a"][:5])
    assert torch.equal(second, stored["b"][5:])


@pytest.mark.parametrize("name", ["org/tiny", "org/shards"])
def test_hardly_more_is_fetched_than_what_is_needed(hub: Hub, name: str) -> None:
    """All neurons of a checkpoint of several megabytes: at most 2 % more than their bytes, headers included."""
    checkpoint = opened(name)
    wanted = mlp_rows()
    needed = sum(TENSORS[rows.name].nbytes for rows in wanted)
    assert needed > 3_000_000
    assert_streams(checkpoint, wanted)
    sent = sum(count for key, count in hub.sent.items() if key.endswith(".safetensors"))
    assert needed < sent == checkpoint.tensors.bytes_received <= 1.02 * needed
    assert sent < 0.8 * len(CONTENT)  # and the rest of the file was left alone


def test_neighbouring_rows_come_in_one_request(hub: Hub) -> None:
    """Rows of one tensor block by block, and of the tensor behind it, are not asked for one by one."""
    checkpoint = opened()
    names = [f"model.layers.0.mlp.{kind}_proj.weight" for kind in ("down", "gate", "up")]
    wanted = [Rows(name, start, start + 16) for name in names for start in range(0, len(TENSORS[name]), 16)]
    hub.log.clear()
    assert_streams(checkpoint, wanted)
    assert len(hub.got(WEIGHTS)) == 1


def test_a_header_longer_than_guessed_is_fetched_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest comes with a second request, and no byte twice."""
    monkeypatch.setattr(remote_tensors, "MOST_GUESSED", 100)
    assert opened().tensors.names() == sorted(TENSORS)
    header_bytes = 8 + int.from_bytes(CONTENT[:8], "little")
    assert hub.got(WEIGHTS) == ["bytes=0-99", f"bytes=100-{header_bytes - 1}"]
    assert hub.sent[f"org/tiny/{WEIGHTS}"] == header_bytes


def test_what_is_streamed_is_the_same_checkpoint_as_what_is_downloaded(hub: Hub) -> None:
    """Digest and commit are equal; of the weights no file is written."""
    before = opened("org/tiny").checkpoint.digest
    for name in ("org/tiny", "org/shards"):
        streamed = opened(name).checkpoint
        there = {path.name for path in streamed.folder.iterdir()}
        assert there - {"model.safetensors.index.json"} == {"config.json", "tokenizer.json"}
        assert all(asked for path in (WEIGHTS, *SHARDS) for asked in hub.got(path))  # by ranges only
        downloaded = checkpoint_at(CheckpointRef.parse(name), *fetch(name))
        assert replace(streamed, folder=downloaded.folder) == downloaded
        hub.log.clear()
    hub.repos["org/tiny"] = Repo(SMALL | {WEIGHTS: save({"other": torch.ones(3)})})
    assert opened("org/tiny").checkpoint.digest != before
    assert opened("org/tiny").checkpoint.digest == content_digest(fetch("org/tiny")[0])


def test_weights_that_the_hub_keeps_in_git_have_the_same_digest_too(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub lists no SHA-256 of small files, so it is computed from the bytes."""
    monkeypatch.setattr("hub_repos.LARGE_SUFFIXES", ())
    hub.repos["org/small"] = Repo(SMALL | {WEIGHTS: save({"w": torch.ones(100)})})
    streamed = opened("org/small")
    assert streamed.checkpoint.digest == content_digest(fetch("org/small")[0])
    assert torch.equal(streamed.tensors.read("w"), torch.ones(100))


def test_requests_are_under_way_together_and_come_in_order(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server holds each of four answers back until it has been asked for all four."""
    monkeypatch.setattr(remote_tensors, "REQUEST_BYTES", 1 << 15)
    checkpoint = opened()
    together = threading.Barrier(4, timeout=20)
    hub.faults[WEIGHTS] = [Fault(before=together.wait) for _ in range(4)]
    assert_streams(checkpoint, [whole("model.layers.0.mlp.down_proj.weight")])
    assert not together.broken


def test_no_more_is_fetched_ahead_than_the_limit(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the reader: what was sent is never more than four requests ahead of it, and memory is used again."""
    monkeypatch.setattr(remote_tensors, "REQUEST_BYTES", 1 << 14)
    monkeypatch.setattr(remote_tensors, "AHEAD", 3)
    buffers: list[torch.Tensor] = []
    make = torch.empty
    monkeypatch.setattr(
        remote_tensors.torch, "empty", lambda *size, dtype: buffers.append(make(*size, dtype=dtype)) or buffers[-1]
    )
    checkpoint = opened()
    name = "model.embed_tokens.weight"
    wanted = [Rows(name, start, start + 50) for start in range(0, len(TENSORS[name]), 50)]
    hub.sent.clear()
    read = most = 0
    for tensor in checkpoint.tensors.stream(wanted):
        most = max(most, hub.sent[f"org/tiny/{WEIGHTS}"] - read)
        read += tensor.nbytes
    assert 1 << 14 < most <= 4 << 14
    assert sum(buffer.nbytes for buffer in buffers) <= 5 << 14
    assert read == TENSORS[name].nbytes > 10 * most


def test_scattered_rows_are_not_asked_for_all_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small requests count as well as large ones: never more than four ahead of the reader."""
    monkeypatch.setattr(remote_tensors, "AHEAD", 3)
    checkpoint = opened()
    hub.log.clear()
    wanted = [Rows("model.embed_tokens.weight", start, start + 1) for start in range(0, 400, 10)]
    for read, _ in enumerate(checkpoint.tensors.stream(wanted)):
        assert len(hub.got(WEIGHTS)) <= read + 4
    assert len(hub.got(WEIGHTS)) == len(wanted)


def test_a_reader_that_has_enough_leaves_nothing_running(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections and threads end with the stream, whether it was read to its end or not."""
    monkeypatch.setattr(remote_tensors, "REQUEST_BYTES", 1 << 14)
    checkpoint = opened()
    streamed = checkpoint.tensors.stream(mlp_rows())
    next(streamed)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]
    streamed.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_a_cut_connection_goes_on_where_it_stopped(hub: Hub, pauses: list[float]) -> None:
    """Four cuts in one body, one before its first byte: everything arrives, and no byte is sent twice."""
    checkpoint = opened()
    hub.sent.clear()
    hub.log.clear()
    hub.cuts[WEIGHTS] = [70_000, 1, 0, 90_000]
    name = "model.embed_tokens.weight"
    assert_streams(checkpoint, [whole(name)])
    assert hub.sent[f"org/tiny/{WEIGHTS}"] == TENSORS[name].nbytes
    starts = [int(asked.split("=")[1].split("-")[0]) for asked in hub.got(WEIGHTS) if asked]
    assert [start - starts[0] for start in starts] == [0, 70_000, 70_001, 70_001, 160_001]
    assert len(pauses) == 4


def test_waits_grow_and_are_not_all_the_same() -> None:
    """Twice as long after each failure up to the longest, at random within a factor of two."""
    patience = Patience(first_s=1.0, longest_s=10.0)
    waits = [[patience.seconds(failures) for _ in range(20)] for failures in (1, 2, 3, 9)]
    for most, drawn in zip((1, 2, 4, 10), waits, strict=True):
        assert most / 2 <= min(drawn) < max(drawn) <= most


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (Fault(status=503), "HTTP 503"),
        (Fault(status=500), "HTTP 500"),
        (Fault(cut=0), "peer closed|ended|disconnected"),
        (Fault(headers={"Content-Length": "7"}), "Content-Length '7'"),
        (Fault(headers={"Content-Length": "999999999"}), "Content-Length '999999999'"),
        (Fault(headers={"Content-Range": f"bytes 0-9/{len(CONTENT)}"}), "Content-Range 'bytes 0-9"),
        (Fault(headers={"Content-Range": "pages 1-2"}), "Content-Range 'pages 1-2'"),
        (Fault(headers={"Content-Encoding": "gzip"}), "Content-Encoding 'gzip'"),
    ],
)
def test_a_fault_is_mended_by_another_try_or_given_up_on(
    hub: Hub, fault: Fault, found: str, pauses: list[float]
) -> None:
    """Once: the right bytes all the same. Every time: an error with the reason, after so many requests as it says."""
    checkpoint = opened()
    hub.faults[WEIGHTS] = [fault] * (TRIES - 1)
    name = "model.norm.weight"
    assert_streams(checkpoint, [whole(name)])
    assert len(pauses) == TRIES - 1
    hub.faults[WEIGHTS] = [fault] * 100
    hub.log.clear()
    with pytest.raises(CheckpointError, match=found) as caught:
        checkpoint.tensors.read(name)
    assert f"({TRIES} tries in a row)" in caught.value.found
    assert f"{WEIGHTS} of org/tiny@" in caught.value.wanted
    assert "run the same command again" in caught.value.remedy
    assert len(hub.got(WEIGHTS)) == TRIES


def test_bytes_that_arrive_start_the_count_of_tries_anew(hub: Hub) -> None:
    """A connection that is cut again and again, but never without a good piece more, comes to the end."""
    checkpoint = opened()
    hub.cuts[WEIGHTS] = [70_000] * 3 * TRIES
    assert_streams(checkpoint, [whole("model.embed_tokens.weight")])
    assert not hub.cuts[WEIGHTS]


def test_a_server_that_sends_byte_by_byte_is_given_up_on(hub: Hub) -> None:
    """One byte and a cut, time after time, counts as failure: a file would take for ever like this."""
    checkpoint = opened()
    hub.cuts[WEIGHTS] = [1] * 1000
    hub.log.clear()
    with pytest.raises(CheckpointError, match=rf"\({TRIES} tries in a row\)"):
        checkpoint.tensors.read("model.embed_tokens.weight")
    assert len(hub.got(WEIGHTS)) == TRIES


@pytest.mark.parametrize(
    ("status", "code", "found", "remedy"),
    [
        (404, "EntryNotFound", "HTTP 404 .* not there any more", "another revision"),
        (404, "", "HTTP 404 .* not there any more", "another revision"),
        (403, "", "HTTP 403 .* access is refused", "HF_TOKEN"),
        (401, "", "HTTP 401 .* access is refused", "HF_TOKEN"),
        (400, "", "HTTP 400", "HF_ENDPOINT"),
    ],
)
def test_a_refusal_under_way_is_called_what_it_is(
    hub: Hub, status: int, code: str, found: str, remedy: str, pauses: list[float]
) -> None:
    """When the hub is asked again where a file lies, and gives no address: no question of the connection."""
    checkpoint = opened()
    hub.signature = "2"
    hub.faults[f"HEAD {WEIGHTS}"] = [Fault(status=status, code=code)]
    with pytest.raises(CheckpointError, match=found) as caught:
        checkpoint.tensors.read("model.norm.weight")
    assert WEIGHTS in caught.value.wanted
    assert remedy in caught.value.remedy
    assert "connection" not in caught.value.remedy
    assert len(pauses) == 1  # for the address that had expired


@pytest.fixture
def waits(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Waits last until somebody says to stop, and somebody has to; the event says that one has begun."""
    begun, stops = threading.Event(), set()

    def wait(_: float, stopped: threading.Event) -> None:
        begun.set()
        stops.add(stopped.wait(20))

    monkeypatch.setattr(patience, "pause", wait)
    yield begun
    assert stops == {True}


def test_an_interrupt_ends_headers_that_wait(hub: Hub, monkeypatch: pytest.MonkeyPatch, waits: threading.Event) -> None:
    """Ctrl-C while the first header waits five minutes for a busy hub."""
    hub.faults[WEIGHTS] = [Fault(status=429, headers={"Retry-After": "300"})] * 100

    def interrupted(_: object) -> Iterator[object]:
        assert waits.wait(20)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(remote_tensors, "as_completed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_one_bad_header_ends_the_others(hub: Hub, waits: threading.Event) -> None:
    """The error is that of the bad one, at once, though another file's header waits."""
    hub.faults[SHARDS[0]] = [Fault(status=429, headers={"Retry-After": "300"})] * 100
    hub.faults[SHARDS[2]] = [Fault(before=lambda: waits.wait(20), whole=True)]
    with pytest.raises(CheckpointError, match="ignores ranges"):
        opened("org/shards")


def test_a_reader_that_stops_ends_waits(hub: Hub, monkeypatch: pytest.MonkeyPatch, waits: threading.Event) -> None:
    """An interrupt between two tensors closes the stream, and the requests that wait for a busy store end."""
    monkeypatch.setattr(remote_tensors, "AHEAD", 3)
    checkpoint = opened("org/shards")
    [(file, slot), *others] = checkpoint.tensors._slot_of.values()
    later, place = next((f, s) for f, s in others if f.name != file.name and len(s.shape) == 2)
    hub.faults[later.name] = [Fault(status=429, headers={"Retry-After": "300"})] * 100
    rows = [Rows(place.name, row, row + 1) for row in range(0, 20, 2)]
    streamed = checkpoint.tensors.stream([Rows(slot.name, 0, 1), *rows])

    def read() -> None:
        for _ in streamed:
            assert waits.wait(20)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read()
    streamed.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_nobody_asks_where_a_file_lies_after_a_stop(hub: Hub) -> None:
    """Threads that waited for another one's question do not ask it again, each for its full time."""
    checkpoint = opened()
    file = checkpoint.tensors._slot_of["model.norm.weight"][0]
    file._place = None
    stopped = threading.Event()
    stopped.set()
    hub.log.clear()
    with pytest.raises(CancelledError):
        file.read(0, 100, stopped)
    assert not hub.log


def test_the_wait_that_a_busy_hub_asks_for_is_kept(hub: Hub, pauses: list[float]) -> None:
    """Seconds in Retry-After, at the store and at the hub itself."""
    checkpoint = opened()
    hub.faults[WEIGHTS] = [Fault(status=429, headers={"Retry-After": "41"})]
    assert_streams(checkpoint, [whole("model.norm.weight")])
    hub.faults[f"HEAD {WEIGHTS}"] = [Fault(status=429, headers={"Retry-After": "17"}), Fault(status=503)]
    opened()
    assert pauses[:2] == [41, 17]
    assert len(pauses) == 3


def test_a_wait_of_hours_is_not_kept_but_named(hub: Hub, pauses: list[float]) -> None:
    checkpoint = opened()
    hub.faults[WEIGHTS] = [Fault(status=429, headers={"Retry-After": "7200"})]
    with pytest.raises(CheckpointError, match=r"HTTP 429 .* asks to wait 7,200 s") as caught:
        checkpoint.tensors.read("model.norm.weight")
    assert "HF_TOKEN" in caught.value.remedy
    assert not pauses


def test_every_form_of_a_wait_is_read() -> None:
    """Seconds, a date, the hub's rate-limit header; nonsense and silence ask for nothing."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert asked_wait_s({"Retry-After": " 12 "}) == 12
    assert 90 < (asked_wait_s({"Retry-After": soon}) or 0) <= 100
    assert asked_wait_s({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert asked_wait_s({"ratelimit": '"resolvers";r=0;t=55'}) == 55
    assert asked_wait_s({"ratelimit": '"resolvers";r=9;t=55'}) is None
    assert asked_wait_s({"Retry-After": "in a while"}) is None
    assert asked_wait_s({}) is None


def test_a_server_that_ignores_ranges_is_not_read_through(hub: Hub) -> None:
    """The first answer of a whole file ends it, before its body."""
    checkpoint = opened()
    before = checkpoint.tensors.bytes_received
    hub.faults[WEIGHTS] = [Fault(whole=True)] * 10
    hub.log.clear()
    with pytest.raises(CheckpointError, match="ignores ranges") as caught:
        checkpoint.tensors.read("model.norm.weight")
    assert "HF_ENDPOINT" in caught.value.remedy
    assert checkpoint.tensors.bytes_received == before
    assert len(hub.got(WEIGHTS)) == 1
    with pytest.raises(CheckpointError, match="ignores ranges"):
        opened()


def test_a_file_that_changes_under_way_is_an_error(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same size, same address, other content: told by its ETag; no tensor of the new file comes out."""
    monkeypatch.setattr(remote_tensors, "REQUEST_BYTES", 1 << 14)
    checkpoint = opened()
    changed = {name: tensor + 1 for name, tensor in TENSORS.items()}
    replaced = Repo(SMALL | {WEIGHTS: save(changed)})
    streamed = checkpoint.tensors.stream([whole("model.embed_tokens.weight"), whole("model.norm.weight")])
    hub.cuts[WEIGHTS] = [1000]
    hub.repos["org/tiny"] = replaced
    with pytest.raises(CheckpointError, match="the file changed while it was being read: ETag") as caught:
        next(streamed)
    assert "run the same command again" in caught.value.remedy


@pytest.mark.parametrize("after_cut", [False, True])
def test_another_length_is_a_change_too(hub: Hub, after_cut: bool) -> None:
    """Between two requests, or between the halves of a body that was cut."""
    checkpoint = opened()
    fault = Fault(headers={"Content-Range": f"bytes 0-1/{len(CONTENT) + 4}"})
    hub.faults[WEIGHTS] = [Fault(cut=9), fault] if after_cut else [fault]
    with pytest.raises(CheckpointError, match="the file changed while it was being read: a file of"):
        checkpoint.tensors.read("model.norm.weight")


def test_a_file_that_is_not_the_listed_one_is_refused(hub: Hub) -> None:
    """Between the listing and the first byte the hub names another digest."""
    hub.faults[f"HEAD {WEIGHTS}"] = [Fault(headers={"X-Linked-ETag": '"0123"'})]
    with pytest.raises(CheckpointError, match="changed while it was being read: ETag 0123"):
        opened()


def test_an_expired_address_is_asked_for_anew(hub: Hub, pauses: list[float]) -> None:
    """Signed addresses last an hour; the hub then gives another one, and the ETag must still fit."""
    checkpoint = opened()
    hub.signature = "2"
    hub.log.clear()
    assert_streams(checkpoint, [whole("model.norm.weight")])
    assert [method for method, _, _ in hub.log] == ["GET", "HEAD", "GET"]
    hub.signature = "3"
    hub.faults[WEIGHTS] = [Fault(headers={"ETag": '"other"'})]
    with pytest.raises(CheckpointError, match="changed while it was being read"):
        checkpoint.tensors.read("model.norm.weight")


def test_the_token_opens_the_gate_and_goes_nowhere_else(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gated repository is streamed with HF_TOKEN; the store that the hub redirects to never sees it."""
    hub.repos["org/tiny"] = Repo(SMALL | {WEIGHTS: CONTENT}, gated=True, opened_by="hf_secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert_streams(opened(), mlp_rows())
    assert not hub.tokens_at_cdn


@pytest.mark.parametrize("token", [None, "hf_of_somebody_else"])
def test_a_closed_gate_names_the_page_to_accept(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    hub.repos["org/tiny"] = Repo(SMALL | {WEIGHTS: CONTENT}, gated=True, opened_by="hf_secret")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(GatedError) as caught:
        opened()
    assert f"{hub.url}/org/tiny" in caught.value.remedy
    assert "HF_TOKEN" in caught.value.remedy


def test_a_gate_that_closes_under_way_is_named_too(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signed address expires and the hub gives no new one."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.repos["org/tiny"] = Repo(SMALL | {WEIGHTS: CONTENT}, gated=True, opened_by="hf_secret")
    checkpoint = opened()
    hub.repos["org/tiny"].opened_by = "another"
    hub.signature = "2"
    with pytest.raises(GatedError, match="not granted access"):
        checkpoint.tensors.read("model.norm.weight")


def test_what_cannot_be_asked_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No such repository, no such revision, a hub that is down, offline mode, a name that is not of the hub."""
    for name, found in [("org/none", "no such repository"), ("org/tiny@v9", "no such revision")]:
        with pytest.raises(CheckpointError, match=found):
            opened(name)
    hub.down = 503
    with pytest.raises(CheckpointError, match="HTTP 503"):
        opened()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set") as caught:
        opened()
    assert "without --stream" in caught.value.remedy
    with pytest.raises(CheckpointError, match="leave out --stream"):
        opened("lab/inherited/base")


def overlapping() -> bytes:
    """Two tensors where the second starts within the first; the length of the file is right."""
    stated = {
        "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        "b": {"dtype": "F32", "shape": [4], "data_offsets": [12, 28]},
    }
    head = json.dumps(stated).encode()
    return len(head).to_bytes(8, "little") + head + bytes(28)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (overlapping(), "'b' overlaps 'a' by 4 bytes"),
        (CONTENT[:-1], f"{len(CONTENT) - 1:,} of {len(CONTENT):,} bytes"),
        (CONTENT[:50], "less than its header says"),
        (b"", "0 bytes"),
        ((10**12).to_bytes(8, "little") + bytes(1000), "less than its header says"),
        (b"<html>login page</html>" * 50, "less than its header says"),
    ],
)
def test_a_header_that_lies_is_refused_before_any_tensor(hub: Hub, content: bytes, found: str) -> None:
    """The file that lies is named, and nothing of it is read but its header."""
    hub.repos["org/tiny"] = Repo(SMALL | {WEIGHTS: content})
    with pytest.raises(CheckpointError, match=found) as caught:
        opened()
    assert f"{WEIGHTS} of org/tiny@" in caught.value.wanted
    assert "tell its publisher" in caught.value.remedy
    assert "fetch it again" not in caught.value.remedy


def test_a_huge_header_is_refused_by_its_first_bytes(hub: Hub, tmp_path: Path) -> None:
    """A file that is mostly header, a sparse one on the server's disk: of it hardly anything is fetched."""
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.write((HEADER_LIMIT + 1).to_bytes(8, "little"))
        file.truncate(HEADER_LIMIT + 1000)
    hub.repos["org/tiny"] = Repo(SMALL | {WEIGHTS: path})
    with pytest.raises(CheckpointError, match="100,000,000 is the most"):
        opened()
    assert hub.sent[f"org/tiny/{WEIGHTS}"] <= remote_tensors.MOST_GUESSED


def test_a_name_in_two_files_is_refused(hub: Hub) -> None:
    """Which of the two would count cannot be known."""
    part = save({"w": torch.ones(2)})
    hub.repos["org/tiny"] = Repo(SMALL | {"a.safetensors": part, "b.safetensors": part})
    with pytest.raises(CheckpointError, match=r"'w' in both a\.safetensors and b\.safetensors"):
        opened()
