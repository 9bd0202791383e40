"""Scales chosen neurons in the forward pass: weaker, stronger, or silent.

A neuron acts on the residual stream through the down-projection alone, so scaling its entry there scales its whole
effect, and no weight changes. This holds for every token: prompt, response, and cached keys and values.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from provenance.activations.capture import down_projections
from provenance.errors import CaptureError, InputError
from provenance.models.loading import LoadedModel

UNCHANGED = 1.0


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
    _check_alpha(alpha)
    _check_ids(ids, loaded.layout.layers, loaded.layout.d_m)
    if alpha == UNCHANGED or ids.size == 0:
        yield
        return
    modules = down_projections(loaded)
    factors = _factors(modules, ids, loaded.layout.d_m, alpha)
    fired = dict.fromkeys(factors, 0)

    def hook_for(layer: int) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]:
        def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            fired[layer] += 1
            factors[layer] = factors[layer].to(inputs[0].device)
            return (inputs[0] * factors[layer], *inputs[1:])

        return hook

    handles = [modules[layer].register_forward_pre_hook(hook_for(layer)) for layer in factors]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    _check_fired(fired)


def _factors(
    modules: list[nn.Module], ids: Int[np.ndarray, " k"], d_m: int, alpha: float
) -> dict[int, Float[torch.Tensor, " d_m"]]:
    """Factors of z per layer that has a given neuron: alpha there and 1, which is exact, elsewhere; of the CPU."""
    factors: dict[int, torch.Tensor] = {}
    for layer in np.unique(ids // d_m).tolist():
        factor = torch.ones(d_m, dtype=modules[layer].get_parameter("weight").dtype)
        factor[torch.from_numpy(ids[ids // d_m == layer] % d_m)] = alpha
        factors[layer] = factor
    return factors


def _check_alpha(alpha: float) -> None:
    if not (math.isfinite(alpha) and alpha >= 0):
        raise InputError(
            "a finite factor of at least 0 to scale neurons by",
            found=repr(alpha),
            remedy="give 0 to suppress them, 1 to leave them alone, up to 3 to amplify them",
        )


def _check_ids(ids: Int[np.ndarray, " k"], layers: int, d_m: int) -> None:
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
            f"a hook that fires once per pass in each of the {len(fired)} layers with scaled neurons",
            found=f"calls per layer: {fired}",
            remedy="this model's forward pass does not call its down-projections as modules, or no pass was made",
        )
