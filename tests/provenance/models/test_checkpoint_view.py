"""What is run is what is digested: libraries see the checkpoint's files and no other, whatever else lies there."""

import ast
import json
import shutil
from pathlib import Path

import pytest
import torch
from checkpoint_factory import load, make_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.integrations.mistral import tokenizer as mistral
from transformers.models.auto.tokenization_auto import _use_mistral_format

import provenance
from provenance.checkpoints.names import (
    TOKENIZER,
    CheckpointRef,
    checkpoint_at,
    content_digest,
    file_sha256,
    inspect,
    small_files,
)
from provenance.checkpoints.weight_files import ADAPTER_CONFIG, WEIGHT_INDEX, WEIGHTS, weight_files
from provenance.errors import CheckpointError
from provenance.models import checkpoint_view as module
from provenance.models.checkpoint_view import checkpoint_view
from provenance.models.loading import load_tokenizer
from provenance.weights.shards import Shards

pytestmark = pytest.mark.filterwarnings(  # peft 0.21 asks transformers 5 for an attribute of its old name
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
)
IDS = torch.tensor([[1, 20, 30, 40]])


@pytest.fixture
def folder(tiny_llama: Path, tmp_path: Path) -> Path:
    """A copy of the tiny Llama that may be added to."""
    return shutil.copytree(tiny_llama, tmp_path / "copy")


@torch.inference_mode()
def logits(model: torch.nn.Module) -> torch.Tensor:
    """What a model says after some ids."""
    out: torch.Tensor = model(input_ids=IDS).logits
    return out


def leave_adapter(folder: Path) -> None:
    """Files of a trained adapter beside the whole weights, as a tuning script leaves them."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).save_pretrained(folder)


def test_an_adapter_beside_whole_weights_is_ambiguous(folder: Path) -> None:
    """`transformers` puts it on them if `peft` is installed, and does not otherwise; weights are measured without."""
    alone = logits(load(folder).model)
    leave_adapter(folder)
    assert float((logits(AutoModelForCausalLM.from_pretrained(folder)) - alone).abs().max()) > 0.1
    for read in (inspect, Shards, load, weight_files, content_digest):
        with pytest.raises(CheckpointError) as caught:
            read(folder)
        assert all(name in caught.value.found for name in (WEIGHTS, ADAPTER_CONFIG, "adapter_model.safetensors"))


def test_what_is_left_of_an_adapter_is_not_run(folder: Path) -> None:
    """Its config alone is harmless, and harmless it stays."""
    alone = logits(load(folder).model)
    leave_adapter(folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(OSError, match="adapter_model"):
        AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(logits(load(folder).model), alone, rtol=0, atol=0)


def sharded(folder: Path) -> list[str]:
    """Split the weights in two files with an index; their names."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    halves = sorted(tensors)[::2], sorted(tensors)[1::2]
    for name, half in zip(names, halves, strict=True):
        save_file({key: tensors[key] for key in half}, folder / name, {"format": "pt"})
    weight_map = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    (folder / WEIGHT_INDEX).write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map}))
    return names


def test_a_single_file_beside_an_index_of_others_is_ambiguous(folder: Path) -> None:
    """`transformers` reads the single file, and nobody knows which of them is older."""
    single = (folder / WEIGHTS).read_bytes()
    names = sharded(folder)
    save_file({key: 2 * value for key, value in load_file(folder / names[0]).items()}, folder / names[0])
    (folder / WEIGHTS).write_bytes(single)
    for found in ([*names, WEIGHT_INDEX, WEIGHTS], [WEIGHT_INDEX, WEIGHTS]):  # also when the others are gone
        for read in (inspect, Shards, load):
            with pytest.raises(CheckpointError, match="two: ") as caught:
                read(folder)
            assert all(name in caught.value.found for name in found)
        for name in names:
            (folder / name).unlink(missing_ok=True)


def test_shards_run_as_measured_with_a_stale_index_and_without_one(tiny_llama: Path, folder: Path) -> None:
    """The headers say where a tensor is, for both."""
    names = sharded(folder)
    expected = logits(load(tiny_llama).model)
    index = json.loads((folder / WEIGHT_INDEX).read_text())
    moved = {"model.embed_tokens.weight": max(names), "invented": min(names)}
    (folder / WEIGHT_INDEX).write_text(json.dumps(index | {"weight_map": index["weight_map"] | moved}))
    torch.testing.assert_close(logits(load(folder).model), expected, rtol=0, atol=0)
    (folder / WEIGHT_INDEX).unlink()
    torch.testing.assert_close(logits(load(folder).model), expected, rtol=0, atol=0)


def test_libraries_see_the_digested_files_and_no_other(folder: Path) -> None:
    """Everything else that `transformers` would read is left out; the digest does not know it either."""
    before, digest = {path.name for path in folder.iterdir()}, content_digest(folder)
    for name in ("tekken.json", "tokenizer.4.0.0.json", "adapter_config.json", "processor_config.json", "video.bin"):
        (folder / name).write_text("{}")
    (folder / "custom_generate").mkdir()
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tools.jinja").write_text("{{ messages }}")
    assert content_digest(folder) != digest  # of the template only
    with checkpoint_view(folder, "it", "nothing", Shards(folder).headers()) as view:
        seen = {path.relative_to(view).as_posix() for path in view.rglob("*") if path.is_file()}
        assert seen == before | {"additional_chat_templates/tools.jinja"}
        assert {path.relative_to(folder).as_posix() for path in small_files(folder)} | {WEIGHTS} == seen
    assert not view.exists()
    with checkpoint_view(folder, "it", "nothing") as view:
        assert {path.name for path in view.iterdir() if path.is_file()} == before - {WEIGHTS}


def test_a_tokenizer_is_checked_once_for_each_content(
    tiny_llama: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in another folder is known; a file that was changed is not."""
    checked: list[str] = []
    monkeypatch.setattr(module, "refuse_growth", lambda where, _tokenizer: checked.append(where))
    module._check_growth.cache_clear()
    for place in (tiny_llama, folder, folder):
        load_tokenizer(place)
    assert checked == [str(tiny_llama / TOKENIZER)]
    tokenizer = json.loads((folder / TOKENIZER).read_text("utf-8"))
    (folder / TOKENIZER).write_text(json.dumps(tokenizer | {"version": "1.0 "}), "utf-8")
    with checkpoint_view(folder, "it", "nothing"):
        assert checked == [str(tiny_llama / TOKENIZER), str(folder / TOKENIZER)]
    module._check_growth.cache_clear()  # of what was not really checked


def test_a_blob_that_is_named_as_another_file_is_checked_all_the_same(tiny_llama: Path, folder: Path) -> None:
    """As in a cache that somebody filled: its name is the digest of a tokenizer that was checked."""
    load_tokenizer(tiny_llama)
    tokenizer = json.loads((folder / TOKENIZER).read_text("utf-8"))
    doubling = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    hostile = tokenizer | {"normalizer": {"type": "Sequence", "normalizers": [doubling] * 40}}
    blob = folder / "blobs" / file_sha256(tiny_llama / TOKENIZER)
    blob.parent.mkdir()
    blob.write_text(json.dumps(hostile), "utf-8")
    (folder / TOKENIZER).unlink()
    (folder / TOKENIZER).symlink_to(blob)
    with pytest.raises(CheckpointError, match="lengthens a text"):
        load_tokenizer(folder)


def test_the_tokenizer_is_tokenizer_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not mistral-common's file, if that is installed, and not a version for a newer library."""
    (folder / "tekken.json").write_text("{}")
    monkeypatch.setattr(mistral, "is_mistral_common_available", lambda: True)
    assert _use_mistral_format(folder)
    with checkpoint_view(folder, "it", "nothing") as view:
        assert not _use_mistral_format(view)
    assert load_tokenizer(folder)("Paris")["input_ids"] == make_tokenizer()("Paris")["input_ids"]
    shutil.copyfile(folder / "tokenizer.json", folder / "tokenizer.4.0.0.json")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["fast_tokenizer_files"] = ["tokenizer.4.0.0.json"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert AutoTokenizer.from_pretrained(folder)("Paris")
    with pytest.raises(CheckpointError, match="a tokenizer in"):
        load_tokenizer(folder)


METHODS = {
    "gptq, 4 bits": {"quant_method": "gptq", "bits": 4},
    "awq, 4 bits": {"quant_method": "awq", "bits": 4},
    "bitsandbytes, 4 bits": {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False},
    "fp8": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "compressed-tensors": {"quant_method": "compressed-tensors", "format": "pack-quantized"},
    "by an unnamed method": {"group_size": 128},
}


def test_a_quantised_checkpoint_is_called_so(folder: Path) -> None:
    """By its config, at the top or for the text tower."""
    path = folder / "config.json"
    plain = json.loads(path.read_text())
    for words, settings in METHODS.items():
        for config in ({"quantization_config": settings}, {"text_config": {"quantization_config": settings}}):
            path.write_text(json.dumps(plain | config))
            with pytest.raises(CheckpointError, match=f"a quantised one: {words} ") as caught:
                checkpoint_at(CheckpointRef("local", str(folder)), folder)
            assert "not quantised" in caught.value.remedy
    path.write_text(json.dumps(plain | {"quantization_config": None}))
    assert inspect(folder)


def test_a_folder_in_the_hubs_cache_is_shown_whole(folder: Path, tmp_path: Path) -> None:
    """There every file is a link to a file of another name."""
    snapshot = tmp_path / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(folder.iterdir())):
        blob = tmp_path / "snapshots" / f"blob{number}"
        path.rename(blob)
        (snapshot / path.name).symlink_to(Path("..") / blob.name)
    assert load(snapshot).layout.d_m == 24


def test_a_relative_folder_is_shown_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert load(Path(folder.name)).layout.d_m == 24


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(1), CheckpointError("a", found="b", remedy="c")])
def test_what_says_nothing_about_the_files_passes(folder: Path, raised: BaseException) -> None:
    with pytest.raises(type(raised)) as caught, checkpoint_view(folder, "it", "nothing"):
        raise raised
    assert caught.value is raised


def test_whatever_else_is_raised_becomes_one_error_with_its_words_and_its_cause(folder: Path) -> None:
    """The traceback of the library is behind `--debug`; our own folder is not in the message."""

    class Panic(BaseException):
        """As those of pyo3."""

    for make in (Panic, KeyError, MemoryError, RecursionError, Warning):
        with pytest.raises(CheckpointError) as caught, checkpoint_view(folder, "a tokenizer", "another") as view:
            raise make(f"no entry in {view}")
        assert (caught.value.wanted, caught.value.remedy) == ("a tokenizer", "another")
        assert f"no entry in {folder}" in caught.value.found
        assert caught.value.found.startswith(f"{make.__name__}: ")
        assert isinstance(caught.value.__cause__, make)


def test_checkpoints_are_opened_in_one_module_only() -> None:
    """Where the view and the boundary are; a call elsewhere would see all files and raise what it likes."""
    root = Path(provenance.__file__).parents[1]
    calling = set()
    for room in ("provenance", "analyses", "db", "figures"):
        for path in (root / room).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if any(isinstance(node, ast.Attribute) and node.attr == "from_pretrained" for node in ast.walk(tree)):
                calling.add(path.relative_to(root).as_posix())
    assert calling == {"provenance/models/loading.py"}
