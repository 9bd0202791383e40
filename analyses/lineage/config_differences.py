"""Settings and vocabularies of two checkpoints, compared by name."""

import json
import math
from collections.abc import Mapping
from typing import Any

from provenance.analyses.results.lineage import ConfigDifference

# Author, writing software and run-time options: not part of the model.
NOT_OF_THE_MODEL = frozenset(
    {"transformers_version", "_name_or_path", "_model_name_or_path", "_commit_hash", "use_cache", "auto_map"}
)
_OLD_NAMES = {"torch_dtype": "dtype"}  # transformers 4 wrote the first, transformers 5 writes the second


def config_differences(base: Mapping[str, Any], instruct: Mapping[str, Any]) -> tuple[ConfigDifference, ...]:
    """Settings that differ between two config.json, by name; lists are compared as a whole."""
    ours, theirs = flattened(base), flattened(instruct)
    return tuple(
        ConfigDifference(key, ours.get(key), theirs.get(key))
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    )


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every setting as JSON text, keyed by its dotted path; settings of the writing software are left out."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = prefix + _OLD_NAMES.get(key, key)
        if key in NOT_OF_THE_MODEL:
            continue
        if isinstance(value, Mapping):
            flat.update(flattened(value, f"{name}."))
        else:
            flat[name] = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return flat


def shared_vocabulary(base: Mapping[str, int] | None, instruct: Mapping[str, int] | None) -> float:
    """Tokens with the same id in both, over tokens in either; NaN if a tokenizer is missing."""
    if base is None or instruct is None:
        return math.nan
    either = len(base.keys() | instruct.keys())
    shared = sum(instruct.get(token) == index for token, index in base.items())
    return shared / either if either else 1.0
