"""Pairs of checkpoints of a Llama's shape and any size, with random weights, written in seconds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

VOCABULARY = 64
HEAD = 64


@dataclass(frozen=True)
class Shape:
    """Sizes of a checkpoint; attention is kept small, since only the MLPs are compared."""

    layers: int
    """Layers."""
    d_m: int
    """Neurons per layer."""
    d: int
    """Width."""

    @property
    def mlp_bytes(self) -> int:
        """Bytes of the MLP weights of one checkpoint in bfloat16."""
        return self.layers * 3 * self.d_m * self.d * 2


def write_pair(folder: Path, shape: Shape) -> tuple[Path, Path]:
    """A base, and a checkpoint whose weights differ from its by a hundredth; bfloat16, one shard a layer."""
    generator = torch.Generator().manual_seed(0)
    pool = torch.randn(shape.d_m * shape.d, generator=generator)
    moved = pool * (1 + 1e-2 * torch.randn(pool.shape, generator=generator))
    sides = (folder / "base", folder / "instruct")
    for side, weights in zip(sides, (pool.bfloat16(), moved.bfloat16()), strict=True):
        _write(side, shape, weights)
    return sides


def _write(folder: Path, shape: Shape, pool: torch.Tensor) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(_config(shape)))
    weight_map = {}
    for number, tensors in enumerate(_shards(shape, pool)):
        name = f"model-{number:05}.safetensors"
        save_file(tensors, folder / name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(tensors, name))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def _shards(shape: Shape, pool: torch.Tensor) -> Iterator[dict[str, torch.Tensor]]:
    """The tensors of each layer, and those outside; every layer has the same random numbers in another order."""
    d, d_m = shape.d, shape.d_m
    yield {
        "model.embed_tokens.weight": pool[: VOCABULARY * d].view(VOCABULARY, d),
        "model.norm.weight": torch.ones(d, dtype=torch.bfloat16),
    }
    for layer in range(shape.layers):
        mine = torch.roll(pool, 1000 * layer + 7)
        prefix = f"model.layers.{layer}."
        attention = {f"{prefix}self_attn.{name}_proj.weight": (HEAD, d) for name in ("q", "k", "v")}
        attention[f"{prefix}self_attn.o_proj.weight"] = (d, HEAD)
        yield {
            **{name: mine[: HEAD * d].view(sizes).clone() for name, sizes in attention.items()},
            f"{prefix}mlp.gate_proj.weight": mine.view(d_m, d),
            f"{prefix}mlp.up_proj.weight": torch.roll(mine, 11).view(d_m, d),
            f"{prefix}mlp.down_proj.weight": torch.roll(mine, 13).view(d, d_m),
            f"{prefix}input_layernorm.weight": torch.ones(d, dtype=torch.bfloat16),
            f"{prefix}post_attention_layernorm.weight": torch.ones(d, dtype=torch.bfloat16),
        }


def _config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": shape.layers,
        "intermediate_size": shape.d_m,
        "hidden_size": shape.d,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": HEAD,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
    }
