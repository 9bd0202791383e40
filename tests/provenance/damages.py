"""Damages to the small JSON files of a checkpoint, as a table: what was attacked, by kind.

Each has a kind, the file, and a change of its content, made by a function of the parsed JSON or by other text.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HUGE = 10**9
NESTED = 100_000


@dataclass(frozen=True)
class Damage:
    """One change of one file."""

    kind: str
    """What the kind of it is called, such as "huge number"."""
    name: str
    """What was done, in a few words; unique for its file."""
    file: str
    """Which file."""
    change: Callable[[Any], Any] | str
    """Its new JSON from the old one, or its new text."""

    def do(self, folder: Path) -> None:
        """Damage the file in a folder."""
        path = folder / self.file
        if isinstance(self.change, str):
            path.write_text(self.change, encoding="utf-8")
            return
        path.write_text(json.dumps(self.change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")


def put(value: Any, *keys: str | int) -> Callable[[Any], Any]:
    """A change that puts a value at a place."""

    def change(content: Any) -> Any:
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        return content

    return change


def cut(*keys: str | int) -> Callable[[Any], Any]:
    """A change that takes a place away."""

    def change(content: Any) -> Any:
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        return content

    return change


def sequence(part: str, parts: str, steps: list[Any]) -> Callable[[Any], Any]:
    """A change of a normaliser or pre-tokenizer to a sequence of steps."""
    return put({"type": "Sequence", parts: steps}, part)


def nested(part: str, parts: str, inner: dict[str, Any], depth: int) -> Callable[[Any], Any]:
    """A change of a part to sequences within sequences."""
    value = inner
    for _ in range(depth):
        value = {"type": "Sequence", parts: [value]}
    return put(value, part)


def split_at(pattern: str) -> Callable[[Any], Any]:
    """A change of the pre-tokenizer to one that splits at a regular expression."""
    return put(
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, "pre_tokenizer"
    )


def template_of(*pieces: Any) -> Callable[[Any], Any]:
    """A change of the post-processor's template for one text."""
    return put(list(pieces), "post_processor", "single")


def moved(token: str, to: int) -> Callable[[Any], Any]:
    """A change of the id of a word of the vocabulary."""
    return put(to, "model", "vocab", token)


def keyed(file: str, kind: str, values: dict[str, list[Any]]) -> list[Damage]:
    """One damage for each value of a key at the top."""
    return [
        Damage(kind, f"{key} = {json.dumps(value)[:60]}", file, put(value, key))
        for key, each in values.items()
        for value in each
    ]


CORE, SETTINGS, CONFIG = "tokenizer.json", "tokenizer_config.json", "config.json"
WORD, STRANGE = "ĠParis", {"type": "Abacus"}
DOUBLING = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}

TOKENIZER = [
    *(
        Damage("no JSON", name, file, text)
        for file in (CORE, SETTINGS)
        for name, text in {
            "empty": "", "cut short": '{"a": ', "no object": "[1, 2]", "a number": "7", "null": "null",
            "deep nesting": "[" * NESTED, "deep objects": '{"a":' * NESTED, "a lone surrogate": '{"\\ud800": 1}',
        }.items()
    ),
    Damage("unknown version", "2.0", CORE, put("2.0", "version")),
    Damage("unknown version", "none", CORE, cut("version")),
    Damage("unknown part", "model", CORE, put("Abacus", "model", "type")),
    Damage("unknown part", "normalizer", CORE, put(STRANGE, "normalizer")),
    Damage("unknown part", "pre_tokenizer", CORE, put(STRANGE, "pre_tokenizer")),
    Damage("unknown part", "post_processor", CORE, put(STRANGE, "post_processor")),
    Damage("unknown part", "decoder", CORE, put(STRANGE, "decoder")),
    Damage("missing part", "model", CORE, cut("model")),
    Damage("missing part", "vocabulary", CORE, cut("model", "vocab")),
    Damage("missing part", "merges", CORE, cut("model", "merges")),
    Damage("missing part", "added tokens", CORE, cut("added_tokens")),
    Damage("missing part", "a word of the merges", CORE, cut("model", "vocab", WORD)),
    Damage("missing part", "all words", CORE, put({}, "model", "vocab")),
    Damage("missing part", "a token of the template", CORE, put({}, "post_processor", "special_tokens")),
    *(
        Damage("number of a token", f"{where} {number}", CORE, change(number))
        for number in (-1, HUGE, 2**64, "7")
        for where, change in {
            "word": lambda to: moved(WORD, to),
            "added": lambda to: put(to, "added_tokens", 0, "id"),
        }.items()
    ),
    Damage("number of a token", "twice", CORE, moved(WORD, 5)),
    Damage("number of a token", "template", CORE, put([HUGE], "post_processor", "special_tokens", "<bos>", "ids")),
    Damage("wrong type", "vocabulary", CORE, put([1, 2], "model", "vocab")),
    Damage("wrong type", "merges", CORE, put({"a": "b"}, "model", "merges")),
    Damage("wrong type", "a merge", CORE, put([["a", "b", "c"]], "model", "merges")),
    Damage("wrong type", "added tokens", CORE, put("none", "added_tokens")),
    Damage("wrong type", "an added token", CORE, put([7], "added_tokens")),
    Damage("wrong type", "template", CORE, template_of("A")),
    Damage("wrong type", "dropout", CORE, put(7.5, "model", "dropout")),
    Damage("wrong type", "everything dropped", CORE, put(1.0, "model", "dropout")),
    Damage("regular expression", "unmatched", CORE, split_at("(")),
    Damage("regular expression", "never ending", CORE, split_at("(a+)+$")),
    Damage("regular expression", "never ending over b", CORE, split_at("(b+)+$")),
    Damage("regular expression", "huge count", CORE, split_at("a{1000000000}")),
    Damage("regular expression", "nested counts", CORE, split_at("((a{1000}){1000}){1000}")),
    Damage("regular expression", "deep", CORE, split_at("(" * 5000 + ")" * 5000)),
    Damage("regular expression", "look behind", CORE, split_at("(?<=a*)b")),
    Damage("deep nesting", "normalizer, 30", CORE, nested("normalizer", "normalizers", {"type": "NFC"}, 30)),
    Damage("deep nesting", "normalizer", CORE, nested("normalizer", "normalizers", {"type": "NFC"}, 400)),
    Damage("deep nesting", "pre_tokenizer", CORE, nested("pre_tokenizer", "pretokenizers", {"type": "Digits"}, 400)),
    Damage("growth", "doubling", CORE, sequence("normalizer", "normalizers", [DOUBLING] * 40)),
    Damage("growth", "padding", CORE, put({
        "strategy": {"Fixed": HUGE}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "<pad>",
    }, "padding")),
    Damage("growth", "truncation", CORE, put({
        "direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": HUGE,
    }, "truncation")),
    *keyed(SETTINGS, "wrong type", {
        "bos_token": [7, ["<bos>"], {"content": 7}],
        "eos_token": [None],
        "pad_token": [None, "<nowhere>"],
        "tokenizer_class": [7, "NoSuchTokenizer", "BertTokenizer", "AutoConfig"],
        "extra_special_tokens": ["<user>", [7], {"a": 7}],
        "added_tokens_decoder": [[], {"x": {"content": "y"}}, {str(HUGE): {"content": "y"}}],
        "model_max_length": ["long", -1],
        "padding_side": ["up"],
        "fast_tokenizer_files": [7, ["tokenizer.9.0.0.json"], ["../../x.json"], ["tokenizer.a.json"]],
        "tokenizer_file": ["/nowhere/tokenizer.json"],
        "self": [1],
    }),
]  # fmt: skip
"""Damages of the two files that a tokenizer is made from."""

MODEL = [
    *(
        Damage("no JSON", name, CONFIG, text)
        for name, text in {
            "empty": "", "cut short": '{"a": ', "no object": "[1, 2]", "null": "null",
            "deep nesting": "[" * NESTED, "deep objects": '{"a":' * NESTED, "a lone surrogate": '{"\\ud800": 1}',
        }.items()
    ),
    *keyed(CONFIG, "huge number", {
        key: [HUGE] for key in (
            "num_labels", "vocab_size", "num_hidden_layers", "intermediate_size", "hidden_size", "head_dim",
            "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "pad_token_id", "eos_token_id",
            "bos_token_id", "pretraining_tp",
        )
    }),
    *keyed(CONFIG, "number beyond 64 bits", {"vocab_size": [10**30], "num_labels": [10**30], "head_dim": [2**63]}),
    *keyed(CONFIG, "zero or negative", {
        "vocab_size": [0, -1], "num_hidden_layers": [0, -1], "intermediate_size": [0], "hidden_size": [-16],
        "num_attention_heads": [0, -2], "num_key_value_heads": [0, 3], "head_dim": [0, -8], "num_labels": [-1],
        "max_position_embeddings": [-1], "pad_token_id": [-HUGE], "eos_token_id": [-1], "sliding_window": [-1],
    }),
    *keyed(CONFIG, "wrong type", {
        "model_type": [7, None, ["llama"], "gpt2", "gemma3", "mamba"], "vocab_size": ["304", None, True],
        "num_hidden_layers": [2.5], "hidden_size": [{}, 16.0], "num_attention_heads": [[2]],
        "hidden_act": ["abacus", 7], "rms_norm_eps": ["small"], "dtype": ["float3", 7, "int8", {"a": "b"}],
        "architectures": [["NoSuch"]], "id2label": [7, [1], {"a": "b"}], "eos_token_id": ["2", [[2]]],
        "tie_word_embeddings": ["yes"], "text_config": [7, [1], {"a": 1}], "layer_types": [7, ["abacus"] * 2],
        "attn_implementation": ["org/kernel", 7], "_attn_implementation": ["flash_attention_2"],
        "return_dict": [False], "output_attentions": [True], "transformers_version": ["99.0.0"],
        "transformers_weights": ["../other.safetensors", 7], "base_model_tp_plan": [7], "fusion_config": [7, {"a": 1}],
        "auto_map": [{"AutoConfig": "x.y"}, 7], "self": [1],
        "quantization_config": [7, {}, {"quant_method": 7}, {"quant_method": "gptq", "bits": 4}],
    }),
    *keyed(CONFIG, "positions", {
        "rope_parameters": [
            7, [], {"rope_type": "abacus"}, {"rope_type": "default", "rope_theta": "x"},
            {"rope_type": "yarn", "rope_theta": 1e4, "factor": -1}, {"rope_type": "llama3", "rope_theta": 1e4},
            {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1], "long_factor": [1]},
        ],
        "rope_scaling": [7, {"type": "abacus"}],
    }),
    *(
        Damage("missing key", key, CONFIG, cut(key))
        for key in ("model_type", "vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "head_dim")
    ),
    *keyed("generation_config.json", "wrong type", {
        "eos_token_id": ["2", [[2]], {}], "cache_implementation": ["abacus"], "num_beams": [HUGE], "self": [1],
    }),
    Damage("no JSON", "deep nesting", "generation_config.json", "[" * NESTED),
    Damage("no JSON", "a number", "generation_config.json", "7"),
]  # fmt: skip
"""Damages of the files that a model is made from."""
