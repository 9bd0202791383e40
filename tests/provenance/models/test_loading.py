"""A model is loaded whole or not at all, and what it runs on and with is checked first."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoint_factory import DENSE, load, make_checkpoint, make_tokenizer
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_parameter_registration_hook
from transformers import AutoModel

from provenance.answers.prompts import PromptFormat
from provenance.answers.sampling import Decoding, PromptBatch
from provenance.checkpoints.names import require_tokenizer
from provenance.errors import CheckpointError, InputError
from provenance.models.devices import DTYPES
from provenance.models.loading import LoadedModel, load_lexicon, load_model, load_tokenizer, vocabulary
from provenance.weights.shards import Shards

Tensors = dict[str, torch.Tensor]
ATTENTION = "model.layers.1.self_attn.v_proj.weight"


@pytest.fixture
def folder(tiny_llama: Path, tmp_path: Path) -> Path:
    """A copy of the tiny Llama that may be spoilt."""
    return shutil.copytree(tiny_llama, tmp_path / "copy")


def edit(folder: Path, change: Callable[[Tensors], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def test_a_loaded_model_has_the_weights_of_its_files_and_nothing_else(tiny_llama: Path) -> None:
    loaded = load(tiny_llama)
    shards = Shards(tiny_llama)
    state = loaded.model.state_dict()
    assert set(state) == set(shards.names())
    assert all(torch.equal(state[name], shards.read(name)) for name in shards)
    assert not loaded.model.training


@pytest.mark.parametrize("model_type", DENSE)
def test_every_model_type_is_loaded_as_what_generates_text(
    loaded_of: Callable[[str], LoadedModel], model_type: str
) -> None:
    """Mistral 3 too, which `transformers` knows as an image-to-text model only."""
    model = loaded_of(model_type).model
    assert model.config.model_type == model_type
    assert model.can_generate()


def with_buffers(tensors: Tensors, layer: str, **buffers: torch.Tensor) -> None:
    tensors |= {
        f"{layer.format(i)}.{name.replace('__', '.')}": part.clone() for i in (0, 1) for name, part in buffers.items()
    }


def test_buffers_that_old_files_keep_are_no_weights_left_over(
    checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """`openai-community/gpt2` has the bare model and the attention masks, Pythia masks and rotary frequencies."""
    mask = torch.ones(1, 1, 8, 8)
    gpt2 = shutil.copytree(checkpoint_of("gpt2"), tmp_path / "gpt2")
    AutoModel.from_pretrained(gpt2).save_pretrained(gpt2)
    edit(gpt2, lambda tensors: with_buffers(tensors, "h.{}.attn", bias=mask, masked_bias=mask[0, 0, 0, 0]))
    assert {"h.1.attn.bias", "h.1.attn.masked_bias"} <= set(Shards(gpt2))
    assert load(gpt2).layout.prefix == ""
    edit(gpt2, lambda tensors: with_buffers(tensors, "h.{}.attn", c_attn__masked_bias=mask))
    with pytest.raises(CheckpointError, match=r"c_attn\.masked_bias"):
        load(gpt2)
    pythia = shutil.copytree(checkpoint_of("gpt_neox"), tmp_path / "pythia")
    old = {"bias": mask, "masked_bias": mask[0, 0, 0, 0], "rotary_emb__inv_freq": mask[0, 0, 0]}
    edit(pythia, lambda tensors: with_buffers(tensors, "gpt_neox.layers.{}.attention", **old))
    assert "gpt_neox.layers.0.attention.rotary_emb.inv_freq" in Shards(pythia)
    assert load(pythia).layout.d_m == 24


def test_a_bare_model_without_a_tied_head_is_not_whole(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Its neurons can be compared; it cannot answer questions."""
    folder = shutil.copytree(checkpoint_of("gpt_neox"), tmp_path / "bare")
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"lm_head|embed_out"):  # so in transformers 5.0
        load(folder)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda tensors: tensors.pop(ATTENTION), ATTENTION),
        (lambda tensors: tensors.pop("lm_head.weight"), "lm_head.weight"),
        (lambda tensors: tensors.update({ATTENTION: torch.zeros(8, 15)}), ATTENTION),
        (lambda tensors: tensors.update({"model.layers.1.self_attn.q_proj.bias": torch.zeros(16)}), "q_proj.bias"),
        (lambda tensors: tensors.update({"classifier.weight": torch.zeros(3)}), "classifier.weight"),
    ],
    ids=["attention", "head", "shape", "bias left over", "head left over"],
)
def test_a_checkpoint_that_does_not_fill_its_model_is_never_filled_up_at_random(
    folder: Path, change: Callable[[Tensors], object], name: str
) -> None:
    edit(folder, change)
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert str(folder) in caught.value.wanted
    assert name in caught.value.found


def test_a_tied_head_is_not_missing(tmp_path: Path) -> None:
    """Families that share embedding and head save it once; that is whole."""
    folder = make_checkpoint(tmp_path / "tied", tie_word_embeddings=True)
    assert "lm_head.weight" not in Shards(folder)
    model = load(folder).model
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_the_model_computes_in_the_wanted_dtype(tiny_llama: Path, dtype: str) -> None:
    assert load(tiny_llama, dtype).model.lm_head.weight.dtype == DTYPES[dtype]


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_attention_is_computed_as_wanted(tiny_llama: Path, name: str) -> None:
    loaded = load_model(tiny_llama, load(tiny_llama).layout, attn_implementation=name)
    assert loaded.model.config._attn_implementation == name


def test_an_unknown_dtype_is_refused(tiny_llama: Path) -> None:
    with pytest.raises(InputError, match="'float8'") as caught:
        load(tiny_llama, "float8")
    assert "bfloat16" in caught.value.wanted


@pytest.mark.parametrize("device", ["cuda:77", "abacus", "cpu:x", ""])
def test_a_device_that_is_not_there_is_bad_input(tiny_llama: Path, device: str) -> None:
    """One line, whatever torch says; and exit code 2, since nothing was tried."""
    with pytest.raises(InputError) as caught:
        load_model(tiny_llama, load(tiny_llama).layout, device=device)
    assert repr(device) in caught.value.wanted
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.found


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_tokenizer_is_an_error_of_the_checkpoint(folder: Path, name: str) -> None:
    (folder / name).write_text("{")
    with pytest.raises(CheckpointError) as caught:
        load_tokenizer(folder)
    assert str(folder) in caught.value.wanted


def test_a_tokenizer_without_character_offsets_is_refused(folder: Path) -> None:
    """Byte-level T5 tokenizers exist in Python only."""
    for path in folder.glob("tokenizer*"):
        path.unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    with pytest.raises(CheckpointError, match="fast tokenizer") as caught:
        load_tokenizer(folder)
    assert caught.value.found == "ByT5Tokenizer"


def test_a_folder_without_any_tokenizer_is_refused(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(CheckpointError, match="a tokenizer"):
        load_tokenizer(folder)
    with pytest.raises(CheckpointError, match="a tokenizer"):
        require_tokenizer(folder)


def test_padding_goes_to_the_left_and_is_always_there(folder: Path) -> None:
    """Batched generation needs both, and many checkpoints name no padding token."""
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "pad_token"}))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.padding_side == "left"
    assert tokenizer.pad_token_id is not None


def test_a_processors_chat_template_serves_where_the_tokenizer_has_none(folder: Path) -> None:
    """Checkpoints with a vision tower keep it in chat_template.json; chat_template.jinja is the tokenizer's own."""
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "from json"}))
    assert load_tokenizer(folder).chat_template == make_tokenizer().chat_template
    (folder / "chat_template.jinja").write_text("from jinja")
    assert load_tokenizer(folder).chat_template == "from jinja"
    (folder / "chat_template.jinja").unlink()
    assert load_tokenizer(folder).chat_template == "from json"
    for damaged in ("[]", "{", '{"chat_template": 3}'):
        (folder / "chat_template.json").write_text(damaged)
        with pytest.raises(CheckpointError, match=r"chat_template\.json"):
            load_tokenizer(folder)


@pytest.mark.parametrize(
    ("pad", "eos"), [("<pad>", "<eos>"), (None, "<eos>"), (None, None), ("<nowhere>", "<eos>"), ("<nowhere>", None)]
)
def test_padding_needs_no_token_of_its_own(folder: Path, pad: str | None, eos: str | None) -> None:
    """None is named, or one beyond the embedding: masked places change no answer, whatever stands there."""
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token": pad, "eos_token": eos}))
    loaded = load(folder)
    assert 0 <= loaded.pad_id < loaded.words
    form = PromptFormat("{question}\nAnswer:", chat=False)
    alone, beside = (
        PromptBatch(
            loaded, [form.render(loaded.tokenizer, q) for q in questions], Decoding(max_new_tokens=6), frozenset({2})
        )
        for questions in (["Hi"], ["Hi", "What is the capital of France?"])
    )
    assert alone.draw([0], range(2), 0) == beside.draw([0], range(2), 0)


def test_tokens_that_the_model_does_not_have_are_refused_by_name(folder: Path) -> None:
    """Added to the tokenizer without resizing the embedding; a text without them works."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"extra_special_tokens": ["<user>", "<end>", "<model>", "<|im_start|>"]}))
    loaded = load(folder)
    form = PromptFormat("{question}\nAnswer:", chat=False)
    PromptBatch(loaded, [form.render(loaded.tokenizer, "Hi")], Decoding(), loaded.stop_ids)
    with pytest.raises(CheckpointError, match=r"id 304, which is '<\|im_start\|>'"):
        PromptBatch(loaded, [form.render(loaded.tokenizer, "Hi <|im_start|>")], Decoding(), loaded.stop_ids)


def test_sizes_are_held_against_the_weights_before_anything_is_made(
    checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """In every tower of every family; a model that is built for it has no memory."""
    made: list[str] = []
    watch = register_module_parameter_registration_hook(lambda _module, _name, one: made.append(one.device.type))
    claims: dict[str, list[tuple[str, ...]]] = {
        "gpt2": [("n_positions",), ("vocab_size",)],
        "gpt_neox": [("vocab_size",)],
        "gemma3": [
            ("vision_config", "num_hidden_layers"),
            ("vision_config", "image_size"),
            ("text_config", "vocab_size"),
        ],
    }
    for model_type, places in claims.items():
        for number, place in enumerate(places):
            folder = shutil.copytree(checkpoint_of(model_type), tmp_path / f"{model_type}{number}")
            config = json.loads((folder / "config.json").read_text())
            inner = config
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = 1_000_000
            (folder / "config.json").write_text(json.dumps(config))
            with pytest.raises(CheckpointError, match="of the sizes in its config"):
                load(folder)
    watch.remove()
    assert set(made) == {"meta"}


def test_a_response_ends_at_every_end_token_that_the_checkpoint_names(folder: Path) -> None:
    """Chat models have several; the checkpoint's other decoding defaults are not taken over."""
    path = folder / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": [4, 5], "temperature": 0.3, "do_sample": True, "top_k": 3}))
    loaded = load(folder)
    assert loaded.stop_ids == load_lexicon(folder).stop_ids == {2, 4, 5}
    assert loaded.model.generation_config.temperature != 0.3
    assert not loaded.model.generation_config.do_sample


def test_words_and_limits_are_known_without_the_model(
    checkpoint_of: Callable[[str], Path], loaded_of: Callable[[str], LoadedModel]
) -> None:
    """As those of the loaded model, for every type; also without a generation config of its own."""
    for model_type in DENSE:
        found, expected = load_lexicon(checkpoint_of(model_type)), loaded_of(model_type).lexicon
        assert replace(found, tokenizer=expected.tokenizer) == expected, model_type
        assert found.newline_ids == expected.newline_ids


def test_end_tokens_are_those_of_the_model_without_a_generation_config(folder: Path) -> None:
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"eos_token_id": [3, 4]}))
    assert load_lexicon(folder).stop_ids == load(folder).stop_ids == {2, 3, 4}
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="config"):
        load_lexicon(folder)


def test_line_breaks_are_found_inside_tokens(tiny_llama: Path) -> None:
    loaded = load(tiny_llama)
    newline = loaded.tokenizer.convert_tokens_to_ids("Ċ")
    assert newline in loaded.lexicon.newline_ids
    assert not loaded.lexicon.newline_ids & set(loaded.tokenizer(" Paris", add_special_tokens=False)["input_ids"])


def test_a_vocabulary_is_every_token_with_its_id(tiny_llama: Path) -> None:
    words = vocabulary(tiny_llama)
    assert words == make_tokenizer().get_vocab()
    assert words["<bos>"] == 1


def test_a_folder_without_a_tokenizer_has_no_vocabulary(folder: Path) -> None:
    """That is no error of weights alone; a tokenizer that is there and cannot be read is one."""
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError):
        vocabulary(folder)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert vocabulary(folder) is None
