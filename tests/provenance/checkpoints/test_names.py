"""References round-trip, identity is content, and every unfit folder is refused in clear words."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import local_checkpoint
from safetensors.numpy import save_file

from provenance.checkpoints.headers import read_header
from provenance.checkpoints.names import (
    LARGEST_JSON,
    CheckpointRef,
    checkpoint_at,
    content_digest,
    inspect,
    require_tokenizer,
)
from provenance.checkpoints.weight_files import WEIGHT_INDEX, weight_files, weight_names
from provenance.errors import CheckpointError
from provenance.lab import manifest

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole checkpoint in one file."""
    return write_checkpoint(tmp_path / "tiny")


def write_checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    save_file({"w": np.arange(12, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def shard(folder: Path) -> None:
    """Turn a single-file checkpoint into two shards with an index."""
    (folder / "model.safetensors").unlink()
    for name in SHARDS:
        save_file({name: np.ones(3, dtype=np.float32)}, folder / name)
    (folder / WEIGHT_INDEX).write_text(json.dumps({"weight_map": {name: name for name in SHARDS}}))


@pytest.mark.parametrize(
    ("text", "kind", "name", "revision"),
    [
        ("org/name", "hub", "org/name", None),
        ("meta-llama/Llama-3.1-8B@main", "hub", "meta-llama/Llama-3.1-8B", "main"),
        ("org/name@refs/pr/1", "hub", "org/name", "refs/pr/1"),
        ("org/_name.v2@0f1e2d", "hub", "org/_name.v2", "0f1e2d"),
        ("lab/inherited/base", "lab", "lab/inherited/base", None),
        ("lab/inherited/base@step-0300", "lab", "lab/inherited/base", "step-0300"),
        ("./lab/inherited/base", "local", "./lab/inherited/base", None),
        ("/models/a@b", "local", "/models/a@b", None),
        ("~/models/it", "local", "~/models/it", None),
        ("../it/", "local", "../it/", None),
        (".", "local", ".", None),
    ],
)
def test_references_parse_and_print_back(text: str, kind: str, name: str, revision: str | None) -> None:
    """Every form is told apart, and printed as it was written."""
    ref = CheckpointRef.parse(text)
    assert (ref.kind, ref.name, ref.revision) == (kind, name, revision)
    assert str(ref) == text
    assert CheckpointRef.parse(str(ref)) == ref


def test_an_existing_folder_wins_over_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`org/name` is a folder where there is one; `lab/…` stays the lab even then."""
    monkeypatch.chdir(tmp_path)
    assert CheckpointRef.parse("org/name").kind == "hub"
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "lab" / "inherited" / "base").mkdir(parents=True)
    (tmp_path / "gpt2").mkdir()
    assert CheckpointRef.parse("org/name").kind == "local"
    assert CheckpointRef.parse("gpt2").kind == "local"
    assert CheckpointRef.parse("lab/inherited/base").kind == "lab"
    assert CheckpointRef.parse("./lab/inherited/base").kind == "local"


@pytest.mark.parametrize(
    "text",
    ["", " ", "gpt2", "a/b/c", "org/name@", "org/na me", "org/name@a@b", "org/a--b", "-org/name", "x" * 5000],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    """The text is echoed, and the forms are listed."""
    with pytest.raises(CheckpointError) as caught:
        CheckpointRef.parse(text)
    assert caught.value.wanted == "a checkpoint reference"
    assert caught.value.found == repr(text)
    assert "org/name@revision" in caught.value.remedy


@pytest.mark.parametrize("text", ["lab/inherited", "lab/", "lab/inherited/base/x", "lab/Inherited/base@"])
def test_what_is_no_lab_reference_is_refused(text: str) -> None:
    """The remedy shows how to name a folder called lab."""
    with pytest.raises(CheckpointError) as caught:
        CheckpointRef.parse(text)
    assert "lab/family/stage" in caught.value.wanted
    assert caught.value.found == repr(text)
    assert f"./{text}" in caught.value.remedy


def test_resolve_a_folder(folder: Path) -> None:
    """A local checkpoint has its folder, config and digest, and no commit."""
    found = local_checkpoint(folder)
    assert (found.folder, found.commit, found.config) == (folder, None, {"model_type": "llama"})
    assert found.digest == content_digest(folder)
    assert found.pinned == str(folder)


def test_resolve_expands_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` works where no shell has expanded it."""
    monkeypatch.setenv("HOME", str(folder.parent))
    assert local_checkpoint("~/tiny").folder == folder


def test_resolve_asks_the_lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Family, stage and snapshot are handed to the lab's manifest."""
    asked: list[tuple[str, str, str | None]] = []

    def locate(family: str, stage: str, revision: str | None) -> Path:
        asked.append((family, stage, revision))
        return folder

    monkeypatch.setattr(manifest, "locate", locate)
    assert local_checkpoint("lab/inherited/base@step-0300").folder == folder
    assert local_checkpoint("lab/acquired/instruct").pinned == "lab/acquired/instruct"
    assert asked == [("inherited", "base", "step-0300"), ("acquired", "instruct", None)]


def test_the_digest_is_of_content(folder: Path, tmp_path: Path) -> None:
    """Place, README and spare weights do not count; every file that matters does."""
    before = content_digest(folder)
    other = write_checkpoint(tmp_path / "elsewhere" / "copy")
    (other / "README.md").write_text("# something else")
    (other / "consolidated.safetensors").write_bytes(b"spare")
    (other / "pytorch_model.bin").write_bytes(b"spare")
    assert content_digest(other) == before
    digests = {before}
    for name in ("config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja"):
        (other / name).write_text('{"changed": true}')
        digests.add(content_digest(other))
    save_file({"w": np.zeros(12, dtype=np.float32)}, other / "model.safetensors")
    digests.add(content_digest(other))
    (other / "additional_chat_templates").mkdir()
    (other / "additional_chat_templates" / "tool.jinja").write_text("x")
    digests.add(content_digest(other))
    assert len(digests) == 7


def test_a_changed_file_behind_a_link_is_seen(folder: Path, tmp_path: Path) -> None:
    """Only the hub's blobs are taken at their name; any other link is read."""
    blob = tmp_path / "store" / ("a" * 64)
    blob.parent.mkdir()
    (folder / "model.safetensors").rename(blob)
    (folder / "model.safetensors").symlink_to(blob)
    before = content_digest(folder)
    save_file({"w": np.zeros(12, dtype=np.float32)}, blob)
    assert content_digest(folder) != before


def test_only_the_shards_of_the_index_count(folder: Path) -> None:
    """With an index, other safetensors files are left alone."""
    shard(folder)
    (folder / "zz.safetensors").write_bytes(b"not even one")
    assert [path.name for path in weight_files(folder)] == SHARDS
    assert inspect(folder) == {"model_type": "llama"}


def test_weights_of_any_name_serve_without_an_index() -> None:
    """Without index and model.safetensors, all safetensors at the top are the weights."""
    there = ["b.safetensors", "a.safetensors", "onnx/c.safetensors", "x.bin"]
    assert weight_names(there, None, "here") == ["a.safetensors", "b.safetensors"]


@pytest.mark.parametrize(
    ("there", "index", "found"),
    [
        (["model.safetensors", *SHARDS], SHARDS, ["(model.safetensors)", WEIGHT_INDEX, *SHARDS]),
        (["model.safetensors"], SHARDS, ["(model.safetensors)", *SHARDS]),
        (
            ["model.safetensors", "adapter_config.json", "adapter_model.safetensors"],
            None,
            ["adapter_model.safetensors"],
        ),
        ([*SHARDS, "adapter_config.json", "adapter_model.bin"], SHARDS, [*SHARDS, "adapter_model.bin"]),
    ],
)
def test_two_checkpoints_in_one_place_are_refused_with_their_files(
    there: list[str], index: list[str] | None, found: list[str]
) -> None:
    """On the hub as in a folder: libraries choose in silence, each in its own way."""
    text = None if index is None else json.dumps({"weight_map": {name: name for name in index}})
    with pytest.raises(CheckpointError, match="one checkpoint in here") as caught:
        weight_names(there, text, "here")
    assert all(name in caught.value.found for name in found)
    assert weight_names(SHARDS if index else ["model.safetensors"], text, "here")  # and one of them is none


def test_files_that_no_library_reads_make_no_second_checkpoint() -> None:
    assert weight_names([*SHARDS, "consolidated.safetensors", "adapter_config.json"], None, "x")[1:] == SHARDS
    assert weight_names(["model.safetensors", "sub/adapter_model.bin", "adapter_config.json"], None, "x")
    single = json.dumps({"weight_map": {"w": "model.safetensors"}})
    assert weight_names(["model.safetensors"], single, "x") == ["model.safetensors"]
    with pytest.raises(CheckpointError, match="and no whole weights"):
        weight_names(["adapter_model.safetensors", "config.json"], None, "x")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_json_file_of_another_size_than_any_is_not_read(folder: Path, name: str) -> None:
    with (folder / name).open("wb") as file:
        file.truncate(LARGEST_JSON + 1)  # of zeros, which take no place on the disk
    with pytest.raises(CheckpointError, match="at most 100,000,000 bytes") as caught:
        inspect(folder)
    assert name in caught.value.wanted


def no_folder(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def only_a_file(folder: Path) -> None:
    no_folder(folder)
    folder.write_text("a file")


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


def bad_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": ')


def binary_config(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe")


def listed_config(folder: Path) -> None:
    (folder / "config.json").write_text("[1]")


def remote_code(folder: Path) -> None:
    (folder / "config.json").write_text('{"auto_map": {"AutoConfig": "evil.Config"}}')


def remote_tokenizer(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["evil.Tok", null]}}')


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def half_downloaded(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.safetensors.ab12.incomplete")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def missing_shard(folder: Path) -> None:
    shard(folder)
    (folder / SHARDS[1]).unlink()


def broken_link(folder: Path) -> None:
    shard(folder)
    (folder / SHARDS[1]).unlink()
    (folder / SHARDS[1]).symlink_to(folder / "gone")


def shard_in_progress(folder: Path) -> None:
    missing_shard(folder)
    cache = folder / ".cache" / "huggingface" / "download"
    cache.mkdir(parents=True)
    (cache / "x.incomplete").write_text("")


def bad_index(folder: Path) -> None:
    shard(folder)
    (folder / WEIGHT_INDEX).write_text('{"weight_map": ["w"]}')


def empty_index(folder: Path) -> None:
    shard(folder)
    (folder / WEIGHT_INDEX).write_text('{"weight_map": {}}')


def index_out_of_folder(folder: Path) -> None:
    shard(folder)
    (folder / WEIGHT_INDEX).write_text('{"weight_map": {"w": "../other.safetensors"}}')


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def too_long(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"12345")


def cut_in_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:20])


def empty_shard(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def no_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"[]")


def lfs_pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


@pytest.mark.parametrize(
    ("spoil", "wanted", "found", "remedy"),
    [
        (no_folder, "a checkpoint folder at", "nothing of that name", "check the path"),
        (only_a_file, "a checkpoint folder at", "a file of that name", "check the path"),
        (no_config, "config.json in", "no such file", "save_pretrained"),
        (adapter, "config.json in", "an adapter", "merge"),
        (bad_config, "JSON in", "Expecting value", "fetch the file again"),
        (binary_config, "JSON in", "codec can't decode", "fetch the file again"),
        (listed_config, "a JSON object in", "list", "fetch the file again"),
        (remote_code, "without code of its own", "evil.Config", "remote code is refused"),
        (remote_tokenizer, "without code of its own", "evil.Tok", "remote code is refused"),
        (no_weights, "safetensors weights in", "no *.safetensors file", "finish its download"),
        (half_downloaded, "safetensors weights in", "1 half-downloaded", "finish its download"),
        (pickled, "safetensors weights in", "only pickled weights (pytorch_model.bin)", "refused"),
        (missing_shard, "all 2 weight files", f"1 missing: {SHARDS[1]}", "fetch the checkpoint again"),
        (broken_link, "all 2 weight files", f"1 missing: {SHARDS[1]}", "fetch the checkpoint again"),
        (shard_in_progress, "all 2 weight files", "; 1 half-downloaded", "finish the download"),
        (bad_index, "a weight_map in", "AttributeError", "fetch the file again"),
        (empty_index, "safetensors files in the weight_map", "an empty one", "fetch"),
        (index_out_of_folder, "safetensors files in the weight_map", "'../other.safetensors'", "publisher"),
        (truncated, "model.safetensors", "bytes", "fetch it again"),
        (too_long, "model.safetensors", "bytes", "fetch it again"),
        (cut_in_header, "model.safetensors", "less than its header says", "fetch it again"),
        (empty_shard, "model.safetensors", "0 bytes", "fetch it again"),
        (no_header, "model.safetensors", "no safetensors header", "fetch it again"),
        (lfs_pointer, "model.safetensors", "a git-lfs pointer", "git lfs pull"),
    ],
)
def test_unfit_folders_are_refused(
    folder: Path, spoil: Callable[[Path], None], wanted: str, found: str, remedy: str
) -> None:
    """Each fault has one error that says what was wanted, what was found, and what to do."""
    local_checkpoint(folder)  # it was whole before
    spoil(folder)
    with pytest.raises(CheckpointError) as caught:
        checkpoint_at(CheckpointRef("local", str(folder)), folder)
    assert wanted in caught.value.wanted
    assert str(folder) in f"{caught.value.wanted} {caught.value.found}"
    assert found in caught.value.found
    assert remedy in caught.value.remedy


def test_a_truncated_shard_says_how_much_is_there(folder: Path) -> None:
    """Both sizes are in the message."""
    path = folder / "model.safetensors"
    whole = path.stat().st_size
    truncated(folder)
    with pytest.raises(CheckpointError, match=f"{whole - 5:,} of {whole:,} bytes"):
        read_header(path)


def test_an_unreadable_file_is_an_error_of_the_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses to read does not come out as a bare OSError."""

    def refuse(_: Path) -> str:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("provenance.checkpoints.names.file_sha256", refuse)
    with pytest.raises(CheckpointError) as caught:
        local_checkpoint(folder)
    assert "readable" in caught.value.wanted
    assert "Permission denied" in caught.value.found
    assert "permissions" in caught.value.remedy


def test_a_tokenizer_is_asked_for_only_where_text_is_needed(folder: Path) -> None:
    """Weights can be compared without one."""
    require_tokenizer(folder)
    (folder / "tokenizer.json").unlink()
    inspect(folder)
    with pytest.raises(CheckpointError, match=r"none of tokenizer\.json"):
        require_tokenizer(folder)
