"""Pulling several checkpoints: looked over together, pinned, verified, and not a byte more than needed."""

import json
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from comparison import invoke
from hub_server import Hub, Repo, hub_and_client
from test_fetch import WEIGHTS, checkpoint_files, sharded_files

from provenance.errors import CheckpointError, GatedError, InputError
from provenance.hub.pull import pull
from provenance.hub.repositories import HubRepo

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil has it


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with a base in one file and a tuned checkpoint in two shards."""
    with hub_and_client(monkeypatch, tmp_path) as server:
        server.repos["org/base"] = Repo(checkpoint_files(), license="apache-2.0")
        server.repos["org/tuned"] = Repo(sharded_files(), license="mit")
        yield server


def weight_gets(hub: Hub) -> list[str]:
    return [path for method, path, _ in hub.log if method == "GET" and path.endswith((".safetensors", ".bin"))]


def test_only_what_is_needed_comes_and_is_pinned(hub: Hub) -> None:
    """Config, tokenizer and the weights once, of both, each sent once; the references come back with their commits."""
    spare = {"original/model.safetensors": WEIGHTS, "onnx/model.onnx": b"0" * 999, "model.fp16.safetensors": WEIGHTS}
    hub.repos["org/base"] = Repo(checkpoint_files(**spare))
    pulled = pull(["org/base", "org/tuned@main"])
    assert [each.pinned for each in pulled] == [f"org/{name}@{hub.repos[f'org/{name}'].commit}" for name in
                                                ("base", "tuned")]  # fmt: skip
    shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    wanted = {"base": ("model.safetensors",), "tuned": ("model.safetensors.index.json", *shards)}
    for name, weights in wanted.items():
        files = hub.repos[f"org/{name}"].files
        names = {"config.json", "tokenizer.json", "chat_template.jinja", *weights}
        sent = {
            key.removeprefix(f"org/{name}/"): count for key, count in hub.sent.items() if key.startswith(f"org/{name}/")
        }
        assert sent == {file: len(files[file]) for file in names}
    assert [each.fetched_bytes for each in pulled] > [0, 0]


def test_a_pinned_reference_pulls_the_same_again(hub: Hub) -> None:
    """What was printed names exactly this checkpoint: the same folder, and nothing fetched."""
    first = pull(["org/base"])[0]
    hub.sent.clear()
    again = pull([first.pinned])[0]
    assert (again.folder, again.fetched_bytes) == (first.folder, 0)
    assert not hub.sent


def test_a_pull_rechecks_what_was_there(hub: Hub) -> None:
    """Weights that were altered in the cache are found, removed, and fetched by the next pull."""
    folder = Path(pull(["org/base"])[0].folder)
    (folder / "model.safetensors").resolve().write_bytes(WEIGHTS[:-1] + b"?")
    with pytest.raises(CheckpointError) as caught:
        pull(["org/base"])
    assert "model.safetensors of org/base" in caught.value.wanted
    pull(["org/base"])
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_gate_on_one_side_keeps_both_from_being_fetched(hub: Hub) -> None:
    """Gated on one side only: no weights of the other one either, and the error is the gate's."""
    hub.repos["org/tuned"] = Repo(sharded_files(), gated=True, opened_by="mine")
    with pytest.raises(GatedError) as caught:
        pull(["org/base", "org/tuned"])
    assert "org/tuned" in caught.value.wanted
    assert not weight_gets(hub)


def test_problems_of_both_sides_come_together(hub: Hub) -> None:
    """A gate here and no repository there: one error that names both, with both remedies."""
    hub.repos["org/tuned"] = Repo(sharded_files(), gated=True, opened_by="mine")
    with pytest.raises(InputError) as caught:
        pull(["org/nowhere", "org/tuned", "org/base"])
    assert "org/nowhere on the hub" in caught.value.wanted
    assert "access to org/tuned" in caught.value.wanted
    assert "no such repository" in caught.value.found
    assert f"{hub.url}/org/tuned" in caught.value.remedy
    assert not weight_gets(hub)


def test_room_is_counted_for_both(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with room for one of the two is too small, and no weight is fetched."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, len(WEIGHTS) + 300))
    with pytest.raises(InputError) as caught:
        pull(["org/base", "org/tuned"])
    assert "org/base and org/tuned" in caught.value.wanted
    assert not weight_gets(hub)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, len(WEIGHTS) + 3000))
    assert len(pull(["org/base", "org/tuned"])) == 2


@pytest.mark.parametrize(
    ("down", "found"), [(401, "HTTP 401"), (403, "HTTP 403"), (404, "HTTP 404"), (429, "HTTP 429"), (503, "HTTP 503")]
)
def test_refusals_have_their_status(hub: Hub, down: int, found: str) -> None:
    """Whatever the hub answers, the error says it and what to do; a busy hub is not mistaken for a missing one."""
    hub.down = down
    with pytest.raises(CheckpointError) as caught:
        pull(["org/base"])
    assert found in caught.value.found
    assert caught.value.remedy


def test_offline_a_whole_copy_serves(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the hub a pull gives what the cache has, pinned."""
    online = pull(["org/base"])[0]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    offline = pull(["org/base"])[0]
    assert (offline.pinned, offline.folder, offline.fetched_bytes) == (online.pinned, online.folder, 0)


def test_local_checkpoints_are_looked_over_only(hub: Hub, tiny_llama: Path) -> None:
    """A folder and the lab need no hub."""
    pulled = pull([str(tiny_llama), "lab/inherited/base@step-0400"])
    assert [each.pinned for each in pulled] == [str(tiny_llama), "lab/inherited/base@step-0400"]
    assert not hub.log
    with pytest.raises(CheckpointError):
        pull([f"{tiny_llama}/nothing"])


def test_the_command_prints_pinned_references(hub: Hub) -> None:
    """On stdout nothing but the pinned references; `--json` has folder and bytes too."""
    shown = invoke("pull", "org/base", "org/tuned")
    pinned = [f"org/{name}@{hub.repos[f'org/{name}'].commit}" for name in ("base", "tuned")]
    assert (shown.exit_code, shown.stdout.split()) == (0, pinned)
    listed = json.loads(invoke("pull", "org/base", "--json").stdout)["pulled"]
    assert listed == [{"ref": "org/base", "pinned": pinned[0], "folder": str(HubRepo("org/base").storage / "snapshots" /
                       hub.repos["org/base"].commit), "fetched_bytes": 0}]  # fmt: skip


def test_a_dry_run_fetches_no_weights(hub: Hub) -> None:
    """`--dry-run` says what would come, and of the weights only headers were read."""
    shown = invoke("pull", "org/base", "org/tuned", "--dry-run")
    assert "to fetch" in shown.stdout
    assert "apache-2.0" in shown.stdout
    assert all(count < len(WEIGHTS) / 10 for key, count in hub.sent.items() if key.endswith(".safetensors"))
    assert not [path for path in (HubRepo("org/base").storage / "blobs").iterdir() if path.stat().st_size > 10_000]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [((), "neither"), (("org/base", "--family", "gemma-3-4b"), "and --family"), (("--family", "x"), "'x'")],
)
def test_bad_usage(hub: Hub, arguments: tuple[str, ...], found: str) -> None:
    """Nothing to fetch, both ways of naming, or an unknown family: exit code 2 and nothing asked."""
    refused = invoke("pull", *arguments)
    assert refused.exit_code == 2
    assert found in refused.stderr
    assert not hub.log
