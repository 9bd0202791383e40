"""Fetching from the hub: pinned, checked before weights, resumed, re-used offline, refused in clear words."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import load
from hub_server import Fault, Hub, Repo, fetch, hub_and_client
from huggingface_hub.utils import close_session
from safetensors.numpy import save

from provenance.checkpoints.names import CheckpointRef, checkpoint_at, content_digest
from provenance.errors import CheckpointError, GatedError, StoreError
from provenance.hub import downloads
from provenance.hub.fetch import fetch_dataset

CONFIG = {"model_type": "llama", "hidden_size": 4}
WEIGHTS = save({"w": np.arange(5000, dtype=np.float32)})


def checkpoint_files(**more: bytes) -> dict[str, bytes]:
    """A whole single-file checkpoint, with some files that must not be fetched."""
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": WEIGHTS,
        "tokenizer.json": b"{}",
        "chat_template.jinja": b"{{ messages }}",
        "README.md": b"# tiny",
        "pytorch_model.bin": b"pickled",
        "consolidated.safetensors": b"a second copy",
        **more,
    }


def sharded_files() -> dict[str, bytes]:
    """The same in two shards with an index."""
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    files = checkpoint_files()
    del files["model.safetensors"]
    files |= {name: save({name: np.ones(100, dtype=np.float32)}) for name in names}
    index = {"weight_map": {name: name for name in names}}
    return files | {"model.safetensors.index.json": json.dumps(index).encode()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub of this test's own, with one checkpoint."""
    with hub_and_client(monkeypatch, tmp_path) as server:
        server.repos["org/tiny"] = Repo(checkpoint_files())
        yield server


def test_fetches_what_matters_and_pins_the_commit(hub: Hub) -> None:
    """Weights, config, tokenizer and template arrive; README, pickles and second copies do not."""
    folder, commit = fetch("org/tiny", None)
    assert commit == hub.repos["org/tiny"].commit == folder.name
    assert sorted(path.name for path in folder.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_fetches_only_the_shards_of_the_index(hub: Hub) -> None:
    """With an index, exactly the files it names are the weights."""
    hub.repos["org/tiny"] = Repo(sharded_files())
    folder, _ = fetch("org/tiny")
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_identity_is_content_wherever_it_lies(hub: Hub, tmp_path: Path) -> None:
    """A hub snapshot and a plain folder of the same files have the same digest, changed weights another."""
    fetched = checkpoint_at(CheckpointRef.parse("org/tiny"), *fetch("org/tiny"))
    local = tmp_path / "copy"
    local.mkdir()
    for name, data in checkpoint_files().items():
        (local / name).write_bytes(data)
    assert fetched.digest == content_digest(local)
    assert fetched.commit == hub.repos["org/tiny"].commit
    assert fetched.pinned == f"org/tiny@{fetched.commit}"
    (local / "model.safetensors").write_bytes(save({"w": np.zeros(5000, dtype=np.float32)}))
    assert content_digest(local) != fetched.digest


def test_a_branch_that_moves_gives_another_commit(hub: Hub) -> None:
    """A reference without a revision follows its branch; one with a commit does not."""
    _, before = fetch("org/tiny")
    hub.repos["org/tiny"] = Repo(checkpoint_files(**{"generation_config.json": b"{}"}))
    folder, after = fetch("org/tiny")
    assert after != before
    assert (folder / "generation_config.json").is_file()
    with pytest.raises(CheckpointError, match="no such revision"):
        fetch("org/tiny", before)  # the stand-in keeps one commit only, so asking for the old one is seen


def test_nothing_is_fetched_twice(hub: Hub) -> None:
    """A second fetch reads no file again."""
    fetch("org/tiny")
    hub.log.clear()
    fetch("org/tiny")
    assert not [path for method, path, _ in hub.log if "/resolve/" in path and method == "GET"]


def test_a_cut_connection_is_resumed_within_the_file(hub: Hub) -> None:
    """After a cut in the middle only the rest is asked for, and the file is whole."""
    hub.cuts["model.safetensors"] = [10_000]
    folder, _ = fetch("org/tiny")
    last = len(WEIGHTS) - 1
    assert hub.got("model.safetensors") == [f"bytes=0-{last}", f"bytes=10000-{last}"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_fetch_that_broke_off_goes_on_with_the_missing_files(hub: Hub) -> None:
    """When the connection is lost for good the error says so, and the next fetch keeps what was complete."""
    hub.repos["org/tiny"] = Repo(sharded_files())
    second = "model-00002-of-00002.safetensors"
    hub.cuts[second] = [0] * 20
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny")
    assert f"{second} of org/tiny" in caught.value.wanted
    assert "tries in a row" in caught.value.found
    assert "connection" in caught.value.remedy
    hub.cuts.clear()
    hub.log.clear()
    folder, _ = fetch("org/tiny")
    assert hub.got(second)
    assert not hub.got("model-00001-of-00002.safetensors")
    assert (folder / second).is_file()


def test_a_hub_that_stays_busy_is_named_before_the_cache(hub: Hub) -> None:
    """Looked over, and then refused: the error is the refusal's, and says what is missing."""
    hub.faults["HEAD tokenizer.json"] = [Fault(status=503)] * 100
    hub.faults["tokenizer.json"] = [Fault(status=503)] * 100
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny")
    assert caught.value.wanted == "all of org/tiny from the hub"
    assert caught.value.found.startswith(f"{hub.url} answered HTTP 503")
    assert "tokenizer.json" in caught.value.found


@pytest.mark.parametrize("offline", ["variable", "connection refused", "server error"])
def test_offline_uses_the_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch, offline: str) -> None:
    """Without the hub, a whole snapshot in the cache serves, with its commit."""
    online = fetch("org/tiny")
    hub.log.clear()
    if offline == "variable":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    elif offline == "connection refused":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    else:
        hub.down = 503
    assert fetch("org/tiny") == online
    assert fetch("org/tiny", online[1]) == online
    assert offline == "server error" or not hub.log


UNUSABLE = {
    "a SOCKS proxy without its package": ("ALL_PROXY", "socks5://127.0.0.1:9"),
    "a file of certificates that is not there": ("SSL_CERT_FILE", "/no/such/file.pem"),
    "a file of certificates that holds none": ("SSL_CERT_FILE", __file__),
    "a proxy that is no address": ("ALL_PROXY", "http://host:port"),
    "a hub that is no address": ("HF_ENDPOINT", "http://hub:port"),
}


@pytest.mark.parametrize("setting", UNUSABLE)
def test_settings_that_allow_no_connection_are_no_network(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, setting: str, tiny_llama: Path
) -> None:
    """What is cached is used, checkpoint and data set; what is not is refused with the reason; models still load."""
    hub.repos["datasets/org/set"] = Repo({"data/x.csv": b"x"})
    online, data = fetch("org/tiny"), fetch_dataset("org/set", None, "data/*.csv")
    hub.log.clear()
    name, value = UNUSABLE[setting]
    close_session()
    monkeypatch.setenv(name, value)
    assert fetch("org/tiny") == online
    assert fetch_dataset("org/set", None, "data/*.csv") == data
    with pytest.raises(CheckpointError) as caught:
        fetch("org/other")
    assert "can be set up" in caught.value.found
    assert "no copy in" in caught.value.found
    assert not hub.log
    load(tiny_llama)


def test_offline_without_a_copy_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never fetched and no network: the error names the reason and the way out."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny")
    assert caught.value.wanted == "org/tiny from the hub or from the cache"
    assert "127.0.0.1:9" in caught.value.found
    assert "no copy in" in caught.value.found
    assert "connect to the network" in caught.value.remedy


def test_offline_with_half_a_copy_names_what_is_missing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that lost its weights is not handed out."""
    folder, _ = fetch("org/tiny")
    (folder / "model.safetensors").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny")
    assert caught.value.found.startswith("HF_HUB_OFFLINE is set")
    assert "no *.safetensors" in caught.value.found


def test_the_library_variables_work_from_outside(hub: Hub) -> None:
    """A process started with HF_HUB_OFFLINE=1 finds the cache and asks nobody."""
    _, commit = fetch("org/tiny")
    hub.log.clear()
    code = (
        "from provenance.hub.fetch import fetch_all; from provenance.hub.repositories import HubRepo; import sys; "
        "sys.stdout.write(fetch_all([HubRepo('org/tiny')])[0].commit)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == commit
    assert not hub.log


@pytest.mark.parametrize("token", [None, "someone-else"])
def test_gated(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    """A gated checkpoint says where to accept the licence and which variable holds the token."""
    hub.repos["org/tiny"] = Repo(checkpoint_files(), gated=True, opened_by="mine")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(GatedError) as caught:
        fetch("org/tiny")
    assert caught.value.wanted == "access to org/tiny, which is gated"
    assert caught.value.found == ("a token whose account was not granted access" if token else "no token")
    assert f"{hub.url}/org/tiny" in caught.value.remedy
    assert "HF_TOKEN" in caught.value.remedy
    assert not hub.got("model.safetensors")


def test_the_right_token_opens_a_gated_checkpoint(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_TOKEN is honoured."""
    hub.repos["org/tiny"] = Repo(checkpoint_files(), gated=True, opened_by="mine")
    monkeypatch.setenv("HF_TOKEN", "mine")
    folder, _ = fetch("org/tiny")
    assert (folder / "model.safetensors").is_file()


@pytest.mark.parametrize("token", [None, "mine"])
def test_missing_repository(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    """The hub answers 401 without a token and 404 with one; both mean no such repository."""
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(CheckpointError) as caught:
        fetch("org/nowhere")
    assert not isinstance(caught.value, GatedError)
    assert caught.value.wanted == "org/nowhere on the hub"
    assert "no such repository" in caught.value.found
    assert f"{hub.url}/org/nowhere" in caught.value.remedy
    assert "./" in caught.value.remedy


def test_missing_revision(hub: Hub) -> None:
    """The repository is there, the revision is not."""
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny", "v9")
    assert caught.value.wanted == "org/tiny@v9 on the hub"
    assert "no such revision" in caught.value.found
    assert "@" in caught.value.remedy


def test_pickled_weights_are_refused_before_a_byte(hub: Hub) -> None:
    """A repository of pickles only is refused from its file list."""
    files = checkpoint_files()
    del files["model.safetensors"], files["consolidated.safetensors"]
    hub.repos["org/tiny"] = Repo(files)
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny")
    assert caught.value.wanted == "safetensors weights in org/tiny"
    assert "pytorch_model.bin" in caught.value.found
    assert "refused" in caught.value.remedy
    assert not [path for _, path, _ in hub.log if "/resolve/" in path]


def test_remote_code_is_refused_before_the_weights(hub: Hub) -> None:
    """A config with auto_map is refused, and no weights were fetched for it."""
    config = CONFIG | {"auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}}
    hub.repos["org/tiny"] = Repo(checkpoint_files(**{"config.json": json.dumps(config).encode()}))
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny")
    assert "code of its own" in caught.value.wanted
    assert "modeling_evil.Evil" in caught.value.found
    assert "remote code is refused" in caught.value.remedy
    assert not hub.got("model.safetensors")


def test_no_config(hub: Hub) -> None:
    """Without config.json there is no model."""
    files = checkpoint_files()
    del files["config.json"]
    hub.repos["org/tiny"] = Repo(files)
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny")
    assert (caught.value.wanted, caught.value.found) == ("config.json in org/tiny", "none")
    assert "whole model" in caught.value.remedy


def test_an_adapter_of_which_half_is_there(hub: Hub) -> None:
    """Without its config.json and with weights of another name it is half an adapter."""
    files = checkpoint_files(**{"adapter_config.json": b"{}"})
    del files["config.json"]
    hub.repos["org/tiny"] = Repo(files)
    with pytest.raises(CheckpointError, match=r"adapter_config\.json and adapter_model\.safetensors in org/tiny"):
        fetch("org/tiny")


def test_an_index_that_names_files_the_hub_lacks(hub: Hub) -> None:
    """A repository that was half uploaded is refused before its weights are fetched."""
    files = sharded_files()
    del files["model-00002-of-00002.safetensors"]
    hub.repos["org/tiny"] = Repo(files)
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny")
    assert "2 weight files" in caught.value.wanted
    assert "model-00002-of-00002.safetensors" in caught.value.found
    assert not hub.got("model-00001-of-00002.safetensors")


def test_a_rejected_token_is_named(hub: Hub) -> None:
    """An answer that is neither gated nor missing comes with its status."""
    hub.down = 403
    with pytest.raises(CheckpointError) as caught:
        fetch("org/tiny")
    assert "HTTP 403" in caught.value.found
    assert "HF_TOKEN" in caught.value.remedy


def test_a_full_disk_is_a_job_error(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space left: the error names the folder and the way out, and is no fault of the input."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(downloads, "_append", full)
    with pytest.raises(StoreError) as caught:
        fetch("org/tiny")
    assert "cache" in caught.value.wanted
    assert caught.value.found == "No space left on device"
    assert "HF_HUB_CACHE" in caught.value.remedy


def test_data_sets_are_fetched_by_pattern(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the files that match come, pinned; offline they come from the cache."""
    files = {"rc/validation-0.parquet": b"PAR1", "rc/train-0.parquet": b"PAR1", "README.md": b""}
    hub.repos["datasets/org/set"] = Repo(files)
    paths, commit = fetch_dataset("org/set", None, "rc/validation-*.parquet")
    assert [path.name for path in paths] == ["validation-0.parquet"]
    assert commit == hub.repos["datasets/org/set"].commit
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch_dataset("org/set", None, "rc/validation-*.parquet") == (paths, commit)


def test_a_data_set_without_the_files_lists_what_it_has(hub: Hub) -> None:
    """A pattern that nothing matches is an error with the file list in it."""
    hub.repos["datasets/org/set"] = Repo({"data/x.csv": b""})
    with pytest.raises(CheckpointError) as caught:
        fetch_dataset("org/set", None, "rc/*.parquet")
    assert caught.value.wanted == "rc/*.parquet in org/set"
    assert caught.value.found == "data/x.csv"
    assert f"{hub.url}/datasets/org/set" in caught.value.remedy
