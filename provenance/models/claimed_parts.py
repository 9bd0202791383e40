"""Settings of config.json and tokenizer.json that make work out of all proportion, refused before a library reads them.

Numbers of layers and labels become lists as long in the configs of `transformers`, at once. Steps of a tokenizer that
replace a text by a longer one multiply: forty that double it make a million million letters of one.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from provenance.errors import CheckpointError

MOST_PARTS = 1 << 20
"""Most layers or labels that a config may claim."""
MOST_GROWTH = 10_000
"""Most times that a tokenizer's steps may lengthen a text; those of published ones stay below ten."""
_PARTS = re.compile(r"label|layer|expert|block|depth")


def refuse_parts(where: str, config: Mapping[str, Any]) -> None:
    """Refuse a config that claims more layers, labels or experts than any model has.

    Raises:
        CheckpointError: A number beyond `MOST_PARTS`, wherever in it.
    """
    for key, value in _values(config):
        if isinstance(value, int | float) and _PARTS.search(key) and value > MOST_PARTS:
            raise CheckpointError(
                f"numbers of layers and labels up to {MOST_PARTS:,} in {where}",
                found=f"{key} = {value!r}"[:80],
                remedy="check that its config belongs to its weights",
            )


def refuse_growth(where: str, tokenizer: Mapping[str, Any]) -> None:
    """Refuse a tokenizer whose steps together lengthen a text without bound.

    Raises:
        CheckpointError: By more than `MOST_GROWTH` times.
    """
    for part in ("normalizer", "decoder"):
        growth = 1.0
        for _, step in _values({part: tokenizer.get(part)}):
            growth = min(growth * _growth_of(step), 1e300)
        if growth > MOST_GROWTH:
            raise CheckpointError(
                f"a {part} that lengthens a text at most {MOST_GROWTH:,} times in {where}",
                found=f"replacements that lengthen it up to {growth:.3g} times",
                remedy="fetch the tokenizer again, from its publisher",
            )


def _growth_of(step: object) -> float:
    if not isinstance(step, dict) or step.get("type") != "Replace":
        return 1.0
    content, pattern = step.get("content"), step.get("pattern")
    replaced = pattern.get("String") if isinstance(pattern, dict) else None
    longer = float(len(content)) if isinstance(content, str) else 1.0
    if isinstance(replaced, str) and replaced:
        return max(1.0, longer / len(replaced))
    return longer + 1  # a regular expression may match between two letters


def _values(content: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Every value at any depth, with the key that it or its list stands under."""
    left: list[tuple[str, object]] = list(content.items())
    while left:
        key, value = left.pop()
        yield key, value
        if isinstance(value, dict):
            left += value.items()
        elif isinstance(value, list):
            left += [(key, item) for item in value]
