"""Converts arrays to values for the database: NaN becomes NULL, and a flat id becomes (layer, index)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.db.connection.digests import CHUNK_ROWS, chunk_digest

Row = Mapping[str, Any]


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


@dataclass(frozen=True)
class NeuronColumns:
    """Rows of a table with one per neuron, made from columns in parts: native values would fill memory."""

    columns: Mapping[str, np.ndarray | None]
    """One value per neuron; a masked array for whole numbers that may be missing; None for none at all."""
    neurons: int
    """Number of neurons."""
    neurons_per_layer: int
    """Converts flat ids to layer and index."""
    scope: Row
    """Key columns before the layer, with the value that all rows have."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; those that are NULL throughout are left out."""
        return (*self.scope, "layer", "neuron_index", *self._given)

    @property
    def _given(self) -> dict[str, np.ndarray]:
        return {name: values for name, values in self.columns.items() if values is not None}

    def rows(self, start: int, stop: int, *before: object) -> list[tuple[Any, ...]]:
        """Rows of some neurons as native values, in the order of `names`, each after the same values."""
        flat = np.arange(start, min(stop, self.neurons))
        parts = (flat // self.neurons_per_layer, flat % self.neurons_per_layer)
        scope = [repeat(value, flat.size) for value in (*before, *self.scope.values())]
        values = [*parts, *(column[start:stop] for column in self._given.values())]
        return list(zip(*scope, *map(_native, values), strict=True))

    def digest(self, table: str) -> int:
        """Their part in the digest of a run, see `provenance.db.connection.digests`."""
        total, width = 0, self.neurons_per_layer
        for start in range(0, self.neurons, width):
            for first in range(start, start + width, CHUNK_ROWS):
                chunk = slice(first, min(first + CHUNK_ROWS, start + width))
                index = np.arange(chunk.start - start, chunk.stop - start, dtype=np.float64)
                values = {"neuron_index": index} | {name: _numbers(v[chunk]) for name, v in self._given.items()}
                total += chunk_digest(table, (*self.scope.values(), start // width, first - start), values)
        return total


def _native(values: np.ndarray) -> list[Any]:
    if values.dtype.kind != "f":
        return list(values.tolist())  # of a masked array: None where masked
    wide = values.astype(np.float64) + 0.0  # without negative zeros, which not every database keeps
    # NaN is the one value that differs from itself; the common case has none and skips the loop.
    return [None if v != v else v for v in wide.tolist()] if np.isnan(wide).any() else list(wide.tolist())  # noqa: PLR0124


def _numbers(values: np.ndarray) -> Float[np.ndarray, " neurons"]:
    return np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)
