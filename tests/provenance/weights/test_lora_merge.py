"""Merged tensors are what `peft` itself merges, and every adapter that cannot be merged so is refused."""

import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_factory import local_checkpoint, make_checkpoint, make_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config

from provenance.checkpoints.names import CheckpointRef
from provenance.checkpoints.weight_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from provenance.errors import CheckpointError, NonFiniteError
from provenance.weights import lora_merge
from provenance.weights.lora_merge import (
    MergedShards,
    adapted,
    adapter_digest,
    adapter_files,
    is_adapter,
    lists_adapter,
    merge,
)
from provenance.weights.shards import Shards
from provenance.weights.tensors import Rows, TensorReader

REAL = Path(os.environ.get("PROVENANCE_REAL_DIR") or "/nowhere")
UP = "model.layers.1.mlp.up_proj"
pytestmark = pytest.mark.filterwarnings(  # peft 0.21 asks transformers 5 for an attribute of its old name
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
)
ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Memory:
    """A checkpoint in memory that hands out one buffer again and again, and notes what it was asked for."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self.tensors = tensors
        self.asked: list[Rows] = []

    def names(self) -> list[str]:
        return sorted(self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensors[name].shape)

    def dtype(self, name: str) -> str:
        spelling = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.float64: "F64"}
        return spelling.get(self.tensors[name].dtype, "U8")

    def read(self, name: str) -> torch.Tensor:
        return self.tensors[name].clone()

    def stream(self, wanted: Sequence[Rows]) -> Iterator[torch.Tensor]:
        for rows in wanted:
            self.asked.append(rows)
            block = self.tensors[rows.name][rows.start : rows.stop].clone()
            yield block
            block.fill_(float("nan"))  # as a reader may that reads the next block into the same memory


def opened(folder: Path) -> Memory:
    return Memory(load_file(folder / "model.safetensors"))


def write_adapter(folder: Path, tensors: dict[str, torch.Tensor], **config: Any) -> Path:
    """An adapter as `peft` lays it out, with any tensors and settings."""
    folder.mkdir(exist_ok=True)
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "org/parent", **config}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(settings))
    save_file({f"base_model.model.{name}": t.contiguous() for name, t in tensors.items()}, folder / ADAPTER_WEIGHTS)
    return folder


def halves(module: str, rank: int, outputs: int, inputs: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{module}.lora_A.weight": torch.randn(rank, inputs, generator=generator),
        f"{module}.lora_B.weight": torch.randn(outputs, rank, generator=generator),
    }


def on_llama() -> dict[str, torch.Tensor]:
    """An update of one up-projection of the tiny Llama (24 neurons, width 16)."""
    return halves(UP, 2, 24, 16)


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2: Conv1D weights (in, out), one of them square, biases, tied embeddings."""
    folder = tmp_path_factory.mktemp("adapters") / "gpt2"
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=len(make_tokenizer()), n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def in_dtype(source: Path, folder: Path, dtype: torch.dtype) -> Path:
    AutoModelForCausalLM.from_pretrained(source, dtype=dtype).save_pretrained(folder)
    return folder


def tuned_by_peft(base: Path, folder: Path, *, dtype: torch.dtype = torch.float32, **settings: Any) -> Path:
    """An adapter with random A and B and, where anything is saved whole, random values there; saved by `peft`."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(5)
    config = peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **settings)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config, autocast_adapter_dtype=False)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.to(dtype).save_pretrained(folder)
    return folder


def merged_by_peft(base: Path, adapter: Path, folder: Path) -> dict[str, torch.Tensor]:
    """The tensors that `merge_and_unload` leaves, as saved."""
    peft = pytest.importorskip("peft")
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), adapter)
    model.merge_and_unload().save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def check_equals(reader: TensorReader, expected: dict[str, torch.Tensor], base: Memory, *, changed: int) -> None:
    """Every tensor, bit for bit, and as many of them changed as the adapter is for."""
    assert reader.names() == sorted(expected)
    for name, tensor in expected.items():
        read = reader.read(name)
        assert (read.dtype, reader.shape(name)) == (tensor.dtype, tuple(tensor.shape)), name
        assert torch.equal(read, tensor), name
    moved = [name for name in base.names() if not torch.equal(base.read(name), reader.read(name))]
    assert len(moved) == changed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("adapter_dtype", [torch.float32, torch.bfloat16])
def test_whole_tensors_equal_pefts_own_merge(
    tiny_llama: Path, tmp_path: Path, dtype: torch.dtype, adapter_dtype: torch.dtype
) -> None:
    """Read whole, the products are the same calls as peft's, so every bit agrees, whatever the two dtypes."""
    base = in_dtype(tiny_llama, tmp_path / "base", dtype)
    adapter = tuned_by_peft(base, tmp_path / "a", dtype=adapter_dtype, r=4, lora_alpha=8, target_modules=ALL_LINEAR)
    reader = MergedShards(opened(base), adapter)
    check_equals(reader, merged_by_peft(base, adapter, tmp_path / "m"), opened(base), changed=14)


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"r": 3, "lora_alpha": 7, "use_rslora": True, "target_modules": ["up_proj"]}, 2),
        (
            {
                "r": 3,
                "lora_alpha": 7,
                "target_modules": ["up_proj", "down_proj", "o_proj"],
                "rank_pattern": {"layers.1.mlp.up_proj": 5, r".*\.0\..*_proj": 2},
                "alpha_pattern": {"down_proj": 32},
            },
            6,
        ),
        ({"r": 2, "target_modules": ["up_proj"], "modules_to_save": ["lm_head", "model.norm"]}, 4),
    ],
)
def test_settings_mean_what_they_mean_to_peft(
    tiny_llama: Path, tmp_path: Path, settings: dict[str, Any], changed: int
) -> None:
    """Rank-stabilised scaling, patterns by module, and modules that are saved whole."""
    adapter = tuned_by_peft(tiny_llama, tmp_path / "adapter", **settings)
    reader = MergedShards(opened(tiny_llama), adapter)
    check_equals(reader, merged_by_peft(tiny_llama, adapter, tmp_path / "m"), opened(tiny_llama), changed=changed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")  # what the test is about
def test_an_embedding_is_rounded_as_peft_rounds_it(
    tiny_llama: Path, tmp_path: Path, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its update is rounded before it is added; the base's own embedding, saved beside A and B, changes nothing."""
    monkeypatch.setattr(lora_merge, "CHUNK_ROWS", 1024)  # more words than the vocabulary has: the product is peft's own
    base = in_dtype(tiny_llama, tmp_path / "base", dtype)
    adapter = tuned_by_peft(base, tmp_path / "adapter", r=2, target_modules=["embed_tokens"])
    assert any(name.endswith("embed_tokens.base_layer.weight") for name in load_file(adapter / ADAPTER_WEIGHTS))
    reader = MergedShards(opened(base), adapter)
    check_equals(reader, merged_by_peft(base, adapter, tmp_path / "m"), opened(base), changed=1)


def test_trained_biases_replace_those_of_the_base(tmp_path: Path) -> None:
    """bias="all" puts them into the file, wrapped or not."""
    base = make_checkpoint(tmp_path / "base", "qwen2")
    adapter = tuned_by_peft(base, tmp_path / "adapter", r=2, target_modules=["q_proj"], bias="all")
    reader = MergedShards(opened(base), adapter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft warns that such a model is another one when the adapter is off
        expected = merged_by_peft(base, adapter, tmp_path / "m")
    check_equals(reader, expected, opened(base), changed=2 + 6)


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_gpt2_stores_the_transpose(tiny_gpt2: Path, tmp_path: Path, prefix: str) -> None:
    """Conv1D weights are (in, out), the square ones too, on disk with and without the prefix of the model."""
    targets = ["c_attn", "c_proj", "c_fc"]
    adapter = tuned_by_peft(tiny_gpt2, tmp_path / "adapter", r=2, target_modules=targets, fan_in_fan_out=True)
    expected = merged_by_peft(tiny_gpt2, adapter, tmp_path / "m")
    assert all(name.startswith("transformer.") for name in expected)
    plain = opened(tiny_gpt2).tensors
    base = Memory({prefix + name.removeprefix("transformer."): tensor for name, tensor in plain.items()})
    renamed = {prefix + name.removeprefix("transformer."): tensor for name, tensor in expected.items()}
    check_equals(MergedShards(base, adapter), renamed, base, changed=8)


def test_the_text_decoder_is_found_under_other_prefixes(tmp_path: Path) -> None:
    """The module path of Gemma 3 with a vision tower differs from its names on disk, old and new."""
    base = make_checkpoint(tmp_path / "base", "gemma3")
    adapter = tuned_by_peft(base, tmp_path / "adapter", r=2, target_modules=r".*language_model.*\.up_proj")
    expected = merged_by_peft(base, adapter, tmp_path / "m")
    check_equals(MergedShards(opened(base), adapter), expected, opened(base), changed=2)
    assert any(
        name.startswith("base_model.model.model.language_model.") for name in load_file(adapter / ADAPTER_WEIGHTS)
    )
    moves = (("language_model.model.", "model.language_model."), ("model.language_model.", "language_model.model."))
    for old, new in moves:
        base_elsewhere = Memory({name.replace(old, new): t for name, t in opened(base).tensors.items()})
        elsewhere = {name.replace(old, new): t for name, t in expected.items()}
        check_equals(MergedShards(base_elsewhere, adapter), elsewhere, base_elsewhere, changed=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("step", [1, 5, 64, 100, 150])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_tensor_does_not_depend_on_its_blocks(
    tmp_path: Path, dtype: torch.dtype, step: int, transposed: bool
) -> None:
    """Bit for bit, though one product over a few rows may be summed in another order than one over many."""
    outputs, inputs = (32, 150) if transposed else (150, 32)
    base = Memory({f"{UP}.weight": torch.randn(150, 32).to(dtype), "norm.weight": torch.ones(16)})
    reader = MergedShards(base, write_adapter(tmp_path, halves(UP, 2, outputs, inputs)))
    wanted = [Rows(f"{UP}.weight", start, min(start + step, 150)) for start in range(0, 150, step)]
    blocks = [block.clone() for block in reader.stream([*wanted, Rows("norm.weight", 0, 16)])]
    assert torch.equal(blocks.pop(), torch.ones(16))
    assert torch.equal(torch.cat(blocks), reader.read(f"{UP}.weight"))
    assert base.asked == [*wanted, Rows("norm.weight", 0, 16)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_tensors_of_many_chunks_equal_one_product_to_the_last_place(tmp_path: Path, dtype: torch.dtype) -> None:
    """Products of 64 rows against the one over all rows, as peft takes it.

    The tolerance is one step of the sum's dtype and, where terms cancel, four float32 steps of their magnitudes.
    """
    parts = halves(UP, 8, 500, 96)
    weight = torch.randn(500, 96).to(dtype)
    reader = MergedShards(Memory({f"{UP}.weight": weight}), write_adapter(tmp_path, parts, r=8, lora_alpha=8))
    a, b = parts[f"{UP}.lora_A.weight"], parts[f"{UP}.lora_B.weight"]
    expected = (weight + b @ a).to(dtype).double()
    difference = (reader.read(f"{UP}.weight").double() - expected).abs()
    cancelled = 4 * torch.finfo(torch.float32).eps * (b.abs() @ a.abs()).double()
    assert bool((difference <= expected.abs() * torch.finfo(dtype).eps + cancelled).all())


@pytest.mark.parametrize("transposed", [False, True])
def test_the_merge_is_the_formula(tmp_path: Path, transposed: bool) -> None:
    """W + alpha / r · B A, element by element in Python's own floats."""
    parts = on_llama()
    weight = torch.randn(24, 16, dtype=torch.float64)
    stored = weight.T.contiguous() if transposed else weight
    reader = MergedShards(Memory({f"{UP}.weight": stored}), write_adapter(tmp_path, parts, lora_alpha=5))
    read = reader.read(f"{UP}.weight")
    a, b = (parts[f"{UP}.lora_{half}.weight"].tolist() for half in "AB")
    for row in range(24):
        for column in range(16):
            slow = weight[row, column].item() + 5 / 2 * sum(b[row][k] * a[k][column] for k in range(2))
            found = read[column, row] if transposed else read[row, column]
            assert found.item() == pytest.approx(slow, rel=1e-14, abs=1e-14)  # float64, two products each


def test_the_sum_is_rounded_once(tmp_path: Path) -> None:
    """Rounding the update first, as safe_merge does, would give another bfloat16 here; only embeddings do that."""
    weight = torch.tensor([[1.0]], dtype=torch.bfloat16)
    product = torch.tensor(
        [[2**-8 + 2**-16]]
    )  # half a step above 1.0 and a little more, which the update's rounding eats
    assert merge(weight, product, 1.0, round_first=False).item() == 1 + 2**-7
    assert merge(weight, product, 1.0, round_first=True).item() == 1.0


def test_large_blocks_are_merged_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a tensor is, B A is only held for a few rows of it."""
    reader = MergedShards(
        Memory({f"{UP}.weight": torch.randn(150, 16)}), write_adapter(tmp_path, halves(UP, 2, 150, 16))
    )
    sizes: list[int] = []

    def watched(weight: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        sizes.append(len(weight))
        return merge(weight, *args, **kwargs)

    monkeypatch.setattr(lora_merge, "merge", watched)
    reader.read(f"{UP}.weight")
    assert sizes == [64, 64, 22]


def test_the_bases_own_memory_is_left_alone(tmp_path: Path) -> None:
    """A reader may hand out rows of a mapped file."""
    base = Memory({f"{UP}.weight": torch.randn(24, 16)})
    before = base.tensors[f"{UP}.weight"].clone()

    class Mapped(Memory):
        def read(self, name: str) -> torch.Tensor:
            return self.tensors[name]

    MergedShards(Mapped(base.tensors), write_adapter(tmp_path, on_llama())).read(f"{UP}.weight")
    assert torch.equal(base.tensors[f"{UP}.weight"], before)


def test_a_grown_vocabulary_replaces_the_embedding(tiny_llama: Path, tmp_path: Path) -> None:
    """The tensor has the child's shape and the base's dtype, and streams in turn with tensors of the base."""
    base = opened(tiny_llama)
    grown = torch.randn(base.shape("lm_head.weight")[0] + 3, 16, dtype=torch.bfloat16)
    adapter = write_adapter(tmp_path, {"lm_head.weight": grown, **on_llama()})
    reader = MergedShards(base, adapter)
    assert reader.shape("lm_head.weight") == tuple(grown.shape)
    assert reader.dtype("lm_head.weight") == "F32"
    assert torch.equal(reader.read("lm_head.weight"), grown.float())
    wanted = [Rows("lm_head.weight", 4, 9), Rows("model.norm.weight", 0, 16), Rows("lm_head.weight", 0, 2)]
    first, norm, last = [block.clone() for block in reader.stream(wanted)]
    assert torch.equal(first, grown[4:9].float())
    assert torch.equal(norm, base.read("model.norm.weight"))
    assert torch.equal(last, grown[:2].float())


def test_an_untied_output_embedding_is_one_tensor_more(tiny_llama: Path, tmp_path: Path) -> None:
    """The base stores one embedding for input and output, the child tuned its output embedding alone."""
    base = opened(tiny_llama)
    head = base.tensors.pop("lm_head.weight").bfloat16() + 1
    reader = MergedShards(base, write_adapter(tmp_path, {"lm_head.weight": head}, modules_to_save=["lm_head"]))
    assert set(reader.names()) - set(base.names()) == {"lm_head.weight"}
    assert reader.dtype("lm_head.weight") == "F32"
    assert torch.equal(reader.read("lm_head.weight"), head.float())


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"peft_type": "IA3"}, "peft_type 'IA3'"),
        ({"use_dora": True}, "use_dora = True"),
        ({"lora_bias": True}, "lora_bias = True"),
        ({"alora_invocation_tokens": [5]}, "alora_invocation_tokens = [5]"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"layer_replication": [[0, 1], [0, 2]]}, "layer_replication"),
        ({"init_lora_weights": "pissa_niter_16"}, "'pissa_niter_16'"),
        ({"init_lora_weights": "olora", "use_dora": True}, "use_dora = True, init_lora_weights = 'olora'"),
        ({"r": 0}, "r = 0"),
        ({"r": 2.5}, "r = 2.5"),
        ({"lora_alpha": "16"}, "lora_alpha = '16'"),
        ({"lora_alpha": 10**400}, "lora_alpha = 1000"),
        ({"rank_pattern": {"up_proj": True}}, "rank_pattern of 'up_proj' = True"),
        ({"alpha_pattern": ["up_proj"]}, "alpha_pattern = ['up_proj']"),
        ({"rank_pattern": {"(up_proj": 2}}, "the pattern '(up_proj'"),
        ({"modules_to_save": "lm_head"}, "modules_to_save = 'lm_head'"),
    ],
)
def test_what_is_no_plain_lora_is_refused(tmp_path: Path, config: dict[str, Any], found: str) -> None:
    """By the key that asks for more than W + scaling · B A, or whose value cannot be."""
    base = Memory({f"{UP}.weight": torch.randn(24, 16)})
    MergedShards(base, write_adapter(tmp_path, on_llama(), init_lora_weights="gaussian", bias="none"))
    with pytest.raises(CheckpointError) as caught:
        MergedShards(base, write_adapter(tmp_path, on_llama(), **config))
    assert found in caught.value.found
    assert str(tmp_path) in caught.value.wanted


def without_b(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[f"{UP}.lora_B.weight"]


def half_an_embedding(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.embed_tokens.lora_embedding_A"] = torch.ones(2, 9)


def narrower(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update(halves(UP, 2, 24, 8))


def of_other_rank(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update(halves(UP, 3, 24, 16))


def deeper(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update(halves("model.layers.7.mlp.up_proj", 2, 24, 16))


def of_a_vision_tower(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update(halves("model.vision_tower.layers.1.mlp.up_proj", 2, 24, 16))


def twice(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update(halves("layers.1.mlp.up_proj", 2, 24, 16))


def with_magnitudes(tensors: dict[str, torch.Tensor]) -> None:
    tensors[f"{UP}.lora_magnitude_vector"] = torch.ones(24)


def with_a_whole_norm(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"] = torch.ones(16)


def with_an_odd_embedding(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.embed_tokens.weight"] = torch.ones(9, 8)


def in_integers(tensors: dict[str, torch.Tensor]) -> None:
    tensors[f"{UP}.lora_A.weight"] = torch.ones(2, 16, dtype=torch.int8)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (narrower, f"an update of shape (24, 8) for '{UP}.weight' of shape (24, 16)"),
        (deeper, "no tensor of this base for 'base_model.model.model.layers.7.mlp.up_proj.lora_A.weight'"),
        (of_a_vision_tower, "no tensor of this base for 'base_model.model.model.vision_tower."),
        (with_magnitudes, "no tensor of this base for 'base_model.model.model.layers.1.mlp.up_proj.lora_magnitude"),
        (with_a_whole_norm, "no tensor of this base for 'base_model.model.model.norm.weight'"),
        (with_an_odd_embedding, "'base_model.model.model.embed_tokens.weight' of shape (9, 8)"),
    ],
)
def test_an_adapter_that_does_not_fit_names_what_does_not(
    tmp_path: Path, spoil: Callable[[dict[str, torch.Tensor]], None], found: str
) -> None:
    """And the base that it was trained on."""
    error = refused(tmp_path, spoil)
    assert found in error.found
    assert "adapter_config.json names 'org/parent'" in error.remedy
    assert "damaged" not in str(error)


def refused(tmp_path: Path, spoil: Callable[[dict[str, torch.Tensor]], None]) -> CheckpointError:
    """The error of a spoilt adapter on its base."""
    base = Memory(
        {
            f"{UP}.weight": torch.randn(24, 16),
            "model.norm.weight": torch.ones(16),
            "model.embed_tokens.weight": torch.randn(9, 16),
        }
    )
    tensors = on_llama()
    spoil(tensors)
    with pytest.raises(CheckpointError) as caught:
        MergedShards(base, write_adapter(tmp_path, tensors))
    return caught.value


def half_of_a_stranger(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.7.mlp.up_proj.lora_A.weight"] = torch.ones(2, 16)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (without_b, f"{UP}.lora_A.weight' without its other half"),
        (half_an_embedding, "lora_embedding_A' without its other half"),
        (half_of_a_stranger, "layers.7.mlp.up_proj.lora_A.weight' without its other half"),
        (of_other_rank, f"A of shape (3, 16) and B of shape (24, 3) for '{UP}' of rank 2"),
        (twice, f"both 'layers.1.mlp.up_proj' and '{UP}' for '{UP}.weight'"),
        (in_integers, "of dtype I8"),
    ],
)
def test_an_adapter_that_does_not_fit_itself_is_damaged(
    tmp_path: Path, spoil: Callable[[dict[str, torch.Tensor]], None], found: str
) -> None:
    """No other base would help, so none is asked for."""
    error = refused(tmp_path, spoil)
    assert "a damaged or inconsistent adapter" in error.found
    assert found in error.found
    assert "base" not in error.wanted + error.remedy


def test_a_quantised_base_is_refused(tmp_path: Path) -> None:
    """Bytes of a quantised weight cannot be added to."""
    base = Memory({f"{UP}.weight": torch.zeros(24, 16, dtype=torch.uint8)})
    with pytest.raises(CheckpointError, match="of dtype U8"):
        MergedShards(base, write_adapter(tmp_path, on_llama()))


def test_a_name_that_fits_two_tensors_is_refused(tmp_path: Path) -> None:
    """Rather than merged into one of them."""
    names = ("model.language_model.layers.1.mlp.up_proj", "language_model.model.layers.1.mlp.up_proj")
    base = Memory({f"{name}.weight": torch.randn(24, 16) for name in names})
    with pytest.raises(CheckpointError, match="could be any of"):
        MergedShards(base, write_adapter(tmp_path, on_llama()))


def test_an_adapter_without_tensors_is_refused(tmp_path: Path) -> None:
    """It would make the child the base itself."""
    with pytest.raises(CheckpointError, match="without tensors"):
        MergedShards(Memory({f"{UP}.weight": torch.randn(24, 16)}), write_adapter(tmp_path, {}))


@pytest.mark.parametrize("half", ["A", "B"])
def test_nan_in_an_adapter_is_named(tmp_path: Path, half: str) -> None:
    """The error names the tensor of the adapter, not the merged one."""
    tensors = on_llama()
    tensors[f"{UP}.lora_{half}.weight"][1, 1] = float("nan")
    reader = MergedShards(Memory({f"{UP}.weight": torch.randn(24, 16)}), write_adapter(tmp_path, tensors))
    with pytest.raises(NonFiniteError, match=rf"up_proj\.lora_{half}\.weight"):
        reader.read(f"{UP}.weight")


def test_nan_in_a_whole_tensor_is_named(tmp_path: Path) -> None:
    """Like that of a half."""
    adapter = write_adapter(tmp_path, {"lm_head.weight": torch.full((9, 16), float("inf"))})
    reader = MergedShards(Memory({"lm_head.weight": torch.randn(9, 16)}), adapter)
    with pytest.raises(NonFiniteError, match=r"lm_head\.weight"):
        next(iter(reader.stream([Rows("lm_head.weight", 0, 2)])))


def test_a_cut_adapter_is_refused(tmp_path: Path) -> None:
    """When it is opened, by its size."""
    adapter = write_adapter(tmp_path, on_llama())
    path = adapter / ADAPTER_WEIGHTS
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="whole safetensors file"):
        MergedShards(Memory({f"{UP}.weight": torch.randn(24, 16)}), adapter)


def test_an_adapter_that_is_cut_after_it_was_opened_is_an_error_too(tmp_path: Path) -> None:
    """Nothing is kept open: what happens to the file in between is noticed."""
    adapter = write_adapter(tmp_path, on_llama())
    reader = MergedShards(Memory({f"{UP}.weight": torch.randn(24, 16)}), adapter)
    path = adapter / ADAPTER_WEIGHTS
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"lora_A\.weight"):
        reader.read(f"{UP}.weight")


def test_pickled_adapters_are_refused(tmp_path: Path) -> None:
    """A pickle can run code when it is read."""
    adapter = write_adapter(tmp_path, on_llama())
    (adapter / ADAPTER_WEIGHTS).rename(adapter / "adapter_model.bin")
    assert is_adapter(adapter)
    with pytest.raises(CheckpointError, match=r"only pickled weights \(adapter_model\.bin\)"):
        MergedShards(Memory({}), adapter)
    (adapter / "adapter_model.bin").unlink()
    with pytest.raises(CheckpointError, match="one of them or none"):
        adapter_files([path.name for path in adapter.iterdir()], str(adapter))


def test_an_adapter_is_told_from_a_whole_checkpoint(tmp_path: Path, tiny_llama: Path) -> None:
    """A config.json beside the adapter does not make it whole; merged weights and a config do."""
    assert is_adapter(write_adapter(tmp_path, on_llama()))
    assert not is_adapter(tiny_llama)
    assert not is_adapter(tmp_path / "nothing")
    mine = [ADAPTER_CONFIG, ADAPTER_WEIGHTS, "training_args.bin"]
    assert lists_adapter([*mine, "config.json", "sub/model.safetensors"])
    assert not lists_adapter([*mine, "config.json", "model.safetensors"])
    files = adapter_files([*mine, "config.json", "tokenizer.json", "chat_template.jinja", "README.md"], "here")
    assert files == [ADAPTER_CONFIG, ADAPTER_WEIGHTS, "chat_template.jinja", "tokenizer.json"]


def test_identity_is_of_base_and_adapter_together(tiny_llama: Path, tmp_path: Path) -> None:
    """Any change of weights, of a setting or of the tokenizer is another checkpoint; a README is none."""
    base = local_checkpoint(tiny_llama)
    ref = CheckpointRef.parse(str(tmp_path))
    digests = []

    def add(**settings: Any) -> None:
        write_adapter(tmp_path, on_llama(), **settings)
        digests.append(adapted(base, Shards(tiny_llama), ref, tmp_path).checkpoint.digest)

    add()
    (tmp_path / "README.md").write_text("notes")
    add()
    assert digests[0] == digests.pop()
    add(lora_alpha=8)
    (tmp_path / "chat_template.jinja").write_text("{{ x }}")
    add(lora_alpha=8)
    other = local_checkpoint(make_checkpoint(tmp_path / "other", seed=9))
    digests.append(adapted(other, Shards(other.folder), ref, tmp_path).checkpoint.digest)
    assert len({*digests, base.digest, adapter_digest(tmp_path)}) == 6


def test_an_adapted_side_has_the_bases_config_and_the_adapters_name(tiny_llama: Path, tmp_path: Path) -> None:
    """The tokenizer is the adapter's own where it brings one; a base of another name is noticed."""
    base = local_checkpoint(tiny_llama)
    ref = CheckpointRef.parse(str(tmp_path))
    side = adapted(base, Shards(tiny_llama), ref, write_adapter(tmp_path, on_llama()))
    assert (side.checkpoint.ref, side.checkpoint.folder, side.checkpoint.config) == (ref, tmp_path, base.config)
    assert side.tokenizer_folder == tiny_llama
    assert (side.base_name, side.is_base_named) == ("org/parent", False)
    assert "'org/parent'" in side.note
    assert "assumed by merging, not tested" in side.note
    make_tokenizer().save_pretrained(tmp_path)
    write_adapter(tmp_path, on_llama(), base_model_name_or_path=f"/elsewhere/{tiny_llama.name.upper()}/")
    side = adapted(base, Shards(tiny_llama), ref, tmp_path)
    assert side.tokenizer_folder == tmp_path
    assert (side.is_base_named, side.note) == (True, "")


@pytest.mark.parametrize("nobody", [None, ""])
def test_an_adapter_that_names_no_base_is_put_on_one_with_a_note(
    tiny_llama: Path, tmp_path: Path, nobody: str | None
) -> None:
    """Any base of its shape would do, so that it descends from this one is nobody's word."""
    base = local_checkpoint(tiny_llama)
    folder = write_adapter(tmp_path, on_llama(), base_model_name_or_path=nobody)
    side = adapted(base, Shards(tiny_llama), CheckpointRef.parse(str(tmp_path)), folder)
    assert (side.base_name, side.is_base_named) == (None, False)
    assert "does not say which base" in side.note
    assert "assumed by merging, not tested" in side.note
    assert str(tiny_llama) in side.note


@pytest.mark.real
@pytest.mark.skipif(not (REAL / "gemma-3-270m-qa-adapter").is_dir(), reason="PROVENANCE_REAL_DIR has no adapter")
def test_the_real_adapter_on_the_real_base_is_the_real_child() -> None:
    """126 tensors differ from the base; from the child, which peft merged in float32 and rounded once, none here."""
    base, child = Shards(REAL / "gemma-3-270m"), Shards(REAL / "gemma-3-270m-qa")
    reader = MergedShards(base, REAL / "gemma-3-270m-qa-adapter")
    assert reader.names() == child.names()
    assert reader.base_name == "google/gemma-3-270m"
    assert len(reader.changes.updates) == 126
    for name in reader.names():
        merged, tuned = reader.read(name), child.read(name)
        assert merged.dtype == tuned.dtype
        steps = (merged.view(torch.int16).int() - tuned.view(torch.int16).int()).abs()
        assert int(steps.max()) <= 1  # another machine may sum B A in another order
        assert float((steps == 0).double().mean()) > 0.9999
        assert (name in reader.changes.updates) != torch.equal(base.read(name), merged)
