"""Converts arrays to values for the database: NaN becomes NULL, and a flat id becomes (layer, index)."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

Row = Mapping[str, Any]
BLOCK_NEURONS = 20_000


def number(value: float | None) -> float | None:
    """A native float, or None for NaN and None."""
    return None if value is None or np.isnan(value) else float(value)


def numbers(source: object, *names: str) -> dict[str, float | None]:
    """Some fields of a result as native floats."""
    return {name: number(getattr(source, name)) for name in names}


def members(flat: Int[np.ndarray, " k"], size: int) -> Bool[np.ndarray, " neurons"]:
    """Mask over `size` neurons of those in a list."""
    member = np.zeros(size, dtype=bool)
    member[flat] = True
    return member


def scattered(flat: Int[np.ndarray, " k"], values: Float[np.ndarray, " k"], size: int) -> Float[np.ndarray, " neurons"]:
    """Values of listed neurons in an array over `size` neurons, NaN for all others."""
    column = np.full(size, np.nan)
    column[flat] = values
    return column


def columns_as_rows(
    columns: Mapping[str, np.ndarray | None], size: int, neurons_per_layer: int, fixed: Row
) -> Iterator[Row]:
    """Turn columns into rows block by block, so that the native values never fill memory.

    Args:
        columns: One value per neuron; a masked array for whole numbers that may be missing; None for none at all.
        size: Number of neurons.
        neurons_per_layer: Converts flat ids to layer and index.
        fixed: Values that every row has besides.
    """
    names = ("layer", "neuron_index", *columns)
    for start in range(0, size, BLOCK_NEURONS):
        flat = np.arange(start, min(start + BLOCK_NEURONS, size))
        values = [None if column is None else column[start : start + BLOCK_NEURONS] for column in columns.values()]
        lists = [_native(value, flat.size) for value in (flat // neurons_per_layer, flat % neurons_per_layer, *values)]
        yield from ({**fixed, **dict(zip(names, row, strict=True))} for row in zip(*lists, strict=True))


def _native(values: np.ndarray | None, size: int) -> list[Any]:
    if values is None:
        return [None] * size
    if values.dtype.kind != "f":
        return list(values.tolist())  # of a masked array: None where masked
    wide = values.astype(np.float64)
    # NaN is the one value that differs from itself; the common case has none and skips the loop.
    return [None if v != v else v for v in wide.tolist()] if np.isnan(wide).any() else list(wide.tolist())  # noqa: PLR0124
