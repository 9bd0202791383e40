"""Shared parts of every JSON object: schema number, counts of neurons, and null for NaN."""

import math
from collections.abc import Mapping
from typing import Any

SCHEMA = 1


def counted_neurons(total: int, h: int) -> dict[str, Any]:
    """Number of all neurons and of H-Neurons, and the share of H-Neurons."""
    return {"total": total, "h": h, "per_mille": 1000 * h / total}


def as_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same with NaN and infinity as None and tuples as lists, as JSON requires."""
    finite: dict[str, Any] = _finite(content)
    return finite


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
