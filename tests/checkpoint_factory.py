"""Tiny checkpoints of real architectures, made with the `transformers` classes and saved by them."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3TextConfig,
    GenerationConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    SiglipVisionConfig,
)

from provenance.architectures import layout_of
from provenance.checkpoints import inspect
from provenance.models import LoadedModel, load_model
from provenance.prompts import PromptFormat
from provenance.records import Response
from provenance.shards import Shards
from provenance.spans import response_regions

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<user>{{ m['content'] | trim }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<model>{% endif %}"
)
SPECIAL = ["<pad>", "<bos>", "<eos>", "<user>", "<end>", "<model>"]
WORDS = [
    "The",
    " capital",
    " of",
    " France",
    " is",
    " Paris",
    "Paris",
    " New",
    " York",
    "'s",
    " a",
    "Answer",
    ".",
    "\n",
]


def make_tokenizer(*, chat: bool = True, bos: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer: every byte is a token, and a few words are one token each."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    coded = [w.replace(" ", "Ġ").replace("\n", "Ċ") for w in WORDS]
    vocab: dict[str, int] = {}
    merges: list[tuple[str, str]] = []
    for token in [*SPECIAL, *alphabet]:
        vocab.setdefault(token, len(vocab))
    for word in coded:
        for end in range(2, len(word) + 1):
            if word[:end] not in vocab:
                vocab[word[:end]] = len(vocab)
                merges.append((word[: end - 1], word[end - 1]))
    core = Tokenizer(models.BPE(vocab, merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", vocab["<bos>"])]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        additional_special_tokens=["<user>", "<end>", "<model>"],
    )
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def tiny_config(model_type: str, **changes: Any) -> PreTrainedConfig:
    """A config of a real class, small."""
    sizes = SMALL | {"vocab_size": len(make_tokenizer())} | changes
    if model_type == "gemma3":
        text = Gemma3TextConfig(**sizes, sliding_window=8)
        vision = SiglipVisionConfig(
            hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2, image_size=8, patch_size=4
        )
        return Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    classes: dict[str, type[PreTrainedConfig]] = {
        "llama": LlamaConfig,
        "mistral": MistralConfig,
        "gemma3_text": Gemma3TextConfig,
        "qwen2": Qwen2Config,
        "qwen3": Qwen3Config,
        "olmo2": Olmo2Config,
        "mixtral": MixtralConfig,
    }
    if model_type == "gemma3_text":
        sizes |= {"sliding_window": 8}
    if model_type == "mixtral":
        sizes |= {"num_local_experts": 2, "num_experts_per_tok": 1}
    if model_type == "qwen2":
        sizes.pop("head_dim")
    return classes[model_type](**sizes)


def make_checkpoint(
    folder: Path, model_type: str = "llama", *, seed: int = 0, chat: bool = True, **changes: Any
) -> Path:
    """Save a randomly initialised checkpoint with its tokenizer; the same seed gives the same weights."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(tiny_config(model_type, **changes))
    for parameter in model.parameters():  # initialisers are so small that a layer's output is nearly zero
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.generation_config = GenerationConfig(eos_token_id=2, bos_token_id=1, pad_token_id=0)
    model.save_pretrained(folder)
    make_tokenizer(chat=chat).save_pretrained(folder)
    return folder


def tuned_copy(source: Path, folder: Path, *, seed: int = 1, scale: float = 0.02, chat: bool = True) -> Path:
    """A child of a checkpoint: every weight moved a little."""
    model = AutoModelForCausalLM.from_pretrained(source)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * parameter.std() * torch.randn_like(parameter) if parameter.numel() > 1 else 0)
    model.save_pretrained(folder)
    make_tokenizer(chat=chat).save_pretrained(folder)
    return folder


def load(folder: Path, dtype: str = "float32") -> LoadedModel:
    """A loaded model of a folder."""
    return load_model(folder, layout_of(inspect(folder), Shards(folder).names()), dtype=dtype)


def make_response(loaded: LoadedModel, question: str, answer: str) -> Response:
    """A response with a given text, in the base prompt."""
    prompt = PromptFormat("{question}\nAnswer:", chat=False).render(loaded.tokenizer, question)
    ids = tuple(loaded.tokenizer(answer, add_special_tokens=False)["input_ids"])
    return Response(
        question, question, "test", "faithful", "", 1, 1, answer, "rule", prompt.ids, ids,
        response_regions(loaded.tokenizer, prompt, ids),
    )  # fmt: skip


def make_speaker(folder: Path, *, seed: int = 0, chat: bool = True) -> Path:
    """A tiny Llama that answers every prompt with "Paris" and a few words more, or with nothing.

    The first coordinate of the residual stream is the same everywhere (no layer writes to it),
    and the output embedding reads it as a bias: in favour of these words, against all others.
    """
    make_checkpoint(folder, seed=seed, chat=chat)
    model = AutoModelForCausalLM.from_pretrained(folder)
    words = make_tokenizer().convert_tokens_to_ids(["ĠParis", "ĠNew", "ĠYork", ".", "Ċ", "<eos>"])
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 2.0
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
        model.lm_head.weight[:, 0] = -30.0
        model.lm_head.weight[words, 0] = torch.tensor([4.0, 1.5, 1.5, 1.0, 0.0, 0.0])
    model.save_pretrained(folder)
    return folder


def write_questions(path: Path, *, known: int, unknown: int, about: str = "France") -> Path:
    """Questions that the speaker answers right ("Paris") and questions that it does not, in other words."""
    lines = [
        {"id": f"k{i}", "question": f"The capital of {about} is city number {i}?", "answers": ["Paris"]}
        for i in range(known)
    ]
    lines += [
        {"id": f"u{i}", "question": f"Zzyx {about} qu{i} Wqj vv {i}{i}?", "answers": ["Rome"]} for i in range(unknown)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
