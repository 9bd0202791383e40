"""Changes activations of chosen neurons in the forward pass: weaker, stronger, silent, or those of another model.

A neuron acts on the residual stream through the down-projection alone, so changing its entry there changes its whole
effect, and no weight changes. This holds for every token: prompt, response, and cached keys and values.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from provenance.activations.capture import down_projections
from provenance.errors import CaptureError, InputError
from provenance.models.loading import LoadedModel

UNCHANGED = 1.0
Edit = Callable[[Float[torch.Tensor, "rows tokens d_m"]], Float[torch.Tensor, "rows tokens d_m"]]
"""What stands in place of z of a layer; it leaves its argument as it is."""


@contextmanager
def scaled(loaded: LoadedModel, ids: Int[np.ndarray, " k"], alpha: float) -> Iterator[None]:
    """Scale neurons in every forward pass inside the block.

        z_{j,t} <- alpha * z_{j,t}   for every given neuron j and every token t

    With alpha 1, or without neurons, no hook is installed, so the results are bitwise those without the block. Blocks
    can be nested in each other (the factors multiply) and with `capture.hooked`, which sees the scaled z.

    Args:
        loaded: The model; only its hooks change, and they are removed on every exit of the block.
        ids: Flat ids (layer * d_m + index), distinct, in any order.
        alpha: Factor, dimensionless, >= 0; 0 suppresses the neurons. Rounded to the model's dtype.

    Raises:
        InputError: An id outside the model or given twice, or alpha is negative, infinite or NaN.
        CaptureError: On leaving the block without another error: a scaled layer's hook never fired, or not as often as
            the others, so some answers came from the unscaled model.

    Source: Gao et al. 2025, arXiv:2512.01797, Sec. 3 and 6.2.
    """
    with edited(loaded, factors_of(loaded, ids, alpha)):
        yield


def factors_of(loaded: LoadedModel, ids: Int[np.ndarray, " k"], alpha: float) -> Mapping[int, Edit]:
    """What scaling neurons does to z of each layer that has one of them; nothing with alpha 1.

    Raises:
        InputError: See `scaled`.
    """
    _check_alpha(alpha)
    check_ids(ids, loaded.layout.layers, loaded.layout.d_m)
    if alpha == UNCHANGED:
        return {}
    factors = _factors(down_projections(loaded), ids, loaded.layout.d_m, alpha)
    return {layer: _Multiplied(factor) for layer, factor in factors.items()}


class _Multiplied:
    """z times a factor for each neuron, which goes to the device of z once."""

    def __init__(self, factor: Float[torch.Tensor, " d_m"]) -> None:
        self._factor = factor

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        self._factor = self._factor.to(z.device)
        return z * self._factor


@contextmanager
def edited(loaded: LoadedModel, edits: Mapping[int, Edit]) -> Iterator[None]:
    """Change z of some layers in every forward pass inside the block.

    Without edits no hook is installed. Blocks can be nested in each other and with `capture.hooked`, which sees what
    was changed.

    Args:
        loaded: The model; only its hooks change, and they are removed on every exit of the block.
        edits: By layer, what is put in place of z.

    Raises:
        CaptureError: On leaving the block without another error: a layer's hook never fired, or not as often as the
            others, so some answers came from the unchanged model.
    """
    if not edits:
        yield
        return
    modules, fired = down_projections(loaded), dict.fromkeys(edits, 0)

    def hook_for(layer: int, edit: Edit) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]:
        def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            fired[layer] += 1
            return (edit(inputs[0]), *inputs[1:])

        return hook

    handles = [modules[layer].register_forward_pre_hook(hook_for(layer, edit)) for layer, edit in edits.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    _check_fired(fired)


class SideBySide:
    """Edits of several arms in one batch: each changes rows of its own.

    Args:
        arms: What each arm puts in place of z, by layer.
        rows: Rows of each, arm after arm.
    """

    def __init__(self, arms: Sequence[Mapping[int, Edit]], rows: int) -> None:
        self._arms, self._rows = arms, rows

    def edits(self) -> Mapping[int, Edit]:
        """By layer, what is put in place of z of the whole batch."""
        if len(self._arms) == 1:
            return self._arms[0]
        return {
            layer: partial(self._changed, layer) for layer in sorted({layer for arm in self._arms for layer in arm})
        }

    def _changed(self, layer: int, z: torch.Tensor) -> torch.Tensor:
        changed = z.clone()
        for arm, start in zip(self._arms, range(0, len(z), self._rows), strict=True):
            if layer in arm:
                own = slice(start, start + self._rows)
                changed[own] = arm[layer](z[own])
        return changed


def _factors(
    modules: list[nn.Module], ids: Int[np.ndarray, " k"], d_m: int, alpha: float
) -> dict[int, Float[torch.Tensor, " d_m"]]:
    """Factors of z per layer that has a given neuron: alpha there and 1, which is exact, elsewhere; of the CPU."""
    factors: dict[int, torch.Tensor] = {}
    for layer, own in by_layer(ids, d_m).items():
        factor = torch.ones(d_m, dtype=modules[layer].get_parameter("weight").dtype)
        factor[own] = alpha
        factors[layer] = factor
    return factors


def by_layer(ids: Int[np.ndarray, " k"], d_m: int) -> dict[int, Int[torch.Tensor, " _"]]:
    """Indices of neurons in their layers, in the order of the layers, from their flat ids."""
    return {layer: torch.from_numpy(ids[ids // d_m == layer] % d_m) for layer in np.unique(ids // d_m).tolist()}


def _check_alpha(alpha: float) -> None:
    if not (math.isfinite(alpha) and alpha >= 0):
        raise InputError(
            "a finite factor of at least 0 to scale neurons by",
            found=repr(alpha),
            remedy="give 0 to suppress them, 1 to leave them alone, up to 3 to amplify them",
        )


def check_ids(ids: Int[np.ndarray, " k"], layers: int, d_m: int) -> None:
    """Refuse ids outside the model, or given twice.

    Raises:
        InputError: There is one.
    """
    outside = ids[(ids < 0) | (ids >= layers * d_m)]
    if outside.size:
        raise InputError(
            f"neuron ids from 0 to {layers * d_m - 1} ({layers} layers of {d_m})",
            found=f"{outside.size} outside, such as {outside[0]}",
            remedy="use a neuron set of this checkpoint",
        )
    distinct = np.unique(ids).size
    if distinct < ids.size:
        raise InputError(
            "each neuron once",
            found=f"{ids.size} ids of which {distinct} differ",
            remedy="remove the repeated ids from the neuron set",
        )


def _check_fired(fired: dict[int, int]) -> None:
    calls = set(fired.values())
    if len(calls) != 1 or 0 in calls:
        raise CaptureError(
            f"a hook that fires once per pass in each of the {len(fired)} layers with changed neurons",
            found=f"calls per layer: {fired}",
            remedy="this model's forward pass does not call its down-projections as modules, or no pass was made",
        )
