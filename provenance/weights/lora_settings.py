"""Merge settings of a LoRA adapter, from adapter_config.json.

Only updates that are exactly W + scaling · B A are merged. A LoRA variant, or a base that was changed before training,
is refused by the key that asks for it; so is a value of another type than `peft` writes.
Source: Hu et al. 2021, arXiv:2106.09685, Sec. 4.1; keys of the file as `peft` writes them.
"""

import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provenance.errors import CheckpointError

MERGED_OTHERWISE = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "target_parameters",
    "trainable_token_indices",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
)
"""Keys of adapter_config.json that, when set, ask for more than W + scaling · B A."""
PLAIN_INITS = ("gaussian", "eva", "orthogonal")
"""Values of `init_lora_weights`, besides true and false, that leave the base unchanged. PiSSA, OLoRA, CorDA, LoftQ and
LoRA-GA take their first A and B out of the base, so that W + B A of the published base is not the tuned model.
"""
DEFAULT_RANK, DEFAULT_ALPHA = 8, 8  # defaults of `peft`


@dataclass(frozen=True)
class LoraSettings:
    """Merge settings of adapter_config.json."""

    where: str
    """Folder named in messages."""
    rank: int
    """Default r."""
    alpha: float
    """Default lora_alpha."""
    rank_stabilised: bool
    """use_rslora: the scaling is alpha / sqrt(r), not alpha / r."""
    rank_pattern: Mapping[str, int]
    """r by regular expression on the end of a module's name; the first match counts."""
    alpha_pattern: Mapping[str, float]
    """alpha, likewise."""
    whole_modules: tuple[str, ...]
    """modules_to_save: modules stored whole, not as an update."""
    has_biases: bool
    """Whether biases were trained and stored."""
    base_name: str | None
    """base_model_name_or_path: the base of the training."""

    def rank_of(self, module: str) -> int:
        """The rank r of a module."""
        return next((r for key, r in self.rank_pattern.items() if _ends_with(module, key)), self.rank)

    def scaling_of(self, module: str) -> float:
        """The factor of B A: alpha / r, or alpha / sqrt(r) when rank-stabilised (arXiv:2312.03732)."""
        alpha = next((a for key, a in self.alpha_pattern.items() if _ends_with(module, key)), self.alpha)
        rank = self.rank_of(module)
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


def _ends_with(module: str, pattern: str) -> bool:
    return re.match(rf"(.*\.)?({pattern})$", module) is not None


def parse_settings(config: Mapping[str, Any], where: str) -> LoraSettings:
    """Read adapter_config.json.

    Raises:
        CheckpointError: Not a LoRA, a variant with another merge, or malformed.
    """
    _refuse_variants(config, where)
    settings = LoraSettings(
        where,
        _count(config.get("r", DEFAULT_RANK), "r", where),
        _number(config.get("lora_alpha", DEFAULT_ALPHA), "lora_alpha", where),
        bool(config.get("use_rslora")),
        {key: _count(value, f"rank_pattern of {key!r}", where) for key, value in _patterns(config, "rank", where)},
        {key: _number(value, f"alpha_pattern of {key!r}", where) for key, value in _patterns(config, "alpha", where)},
        _names(config.get("modules_to_save"), where),
        config.get("bias", "none") != "none",
        str(config["base_model_name_or_path"]) if config.get("base_model_name_or_path") else None,
    )
    for pattern in (*settings.rank_pattern, *settings.alpha_pattern):
        try:
            re.compile(pattern)
        except re.error as error:
            raise _malformed(f"the pattern {pattern!r} ({error})", where) from error
    return settings


def _refuse_variants(config: Mapping[str, Any], where: str) -> None:
    if config.get("peft_type") != "LORA":
        raise CheckpointError(
            f"a LoRA adapter in {where}",
            found=f"peft_type {config.get('peft_type')!r}",
            remedy="merge it with peft (merge_and_unload), save_pretrained, and name that folder",
        )
    init = config.get("init_lora_weights")
    variants = [key for key in MERGED_OTHERWISE if config.get(key)]
    if isinstance(init, str) and init not in PLAIN_INITS:
        variants.append("init_lora_weights")
    if variants:
        raise CheckpointError(
            f"a plain LoRA adapter in {where}, whose merge is W + scaling · B A",
            found=", ".join(f"{key} = {config[key]!r}" for key in variants),
            remedy="merge it with peft (merge_and_unload), save_pretrained, and name that folder",
        )


def _malformed(found: str, where: str) -> CheckpointError:
    return CheckpointError(f"the settings of a LoRA adapter in {where}", found=found, remedy="fetch the adapter again")


def _count(value: object, key: str, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _malformed(f"{key} = {value!r}", where)
    return value


def _number(value: object, key: str, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
        raise _malformed(f"{key} = {value!r}", where)
    return float(value)


def _patterns(config: Mapping[str, Any], kind: str, where: str) -> Iterable[tuple[str, object]]:
    value = config.get(f"{kind}_pattern") or {}
    if not isinstance(value, dict):
        raise _malformed(f"{kind}_pattern = {value!r}", where)
    return value.items()


def _names(value: object, where: str) -> tuple[str, ...]:
    listed = [] if value is None else value
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise _malformed(f"modules_to_save = {value!r}", where)
    return tuple(listed)
