"""Activations of a model's MLPs and its residual stream on given tokens, reduced inside the hooks.

A hook on each down-projection passes its input (z) and output (h) to a reduction function at once, a hook on each block
the residual stream behind it; only the reduction outlives the layer's forward call. Every layer's hook must fire
equally often, on tensors of the layout's widths.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import nn
from torch.nn import functional
from transformers.utils import ModelOutput

from provenance.activations.cett import column_norms
from provenance.errors import CaptureError
from provenance.models.loading import LoadedModel
from provenance.models.placement import weights_at_hand
from provenance.records import LEFT_OUT, OtherTokens, Response

Reduction = Callable[[int, torch.Tensor, torch.Tensor], None]
"""Function of layer, z (batch, tokens, d_m) and h (batch, tokens, d) without bias."""
BlockReduction = Callable[[int, torch.Tensor], None]
"""Function of layer and residual stream (batch, tokens, d) behind that layer's block."""
Seen = Callable[[int, nn.Module, tuple[Any, ...], Any], None]
"""Function of layer, its hooked module, and what goes into and comes out of it."""
_NORMS: WeakKeyDictionary[nn.Module, list[torch.Tensor]] = WeakKeyDictionary()
"""Of models that are in memory, whose weights stay as they are."""


def down_projections(loaded: LoadedModel) -> list[nn.Module]:
    """The down-projection modules of the text tower, layer by layer."""
    modules = dict(loaded.model.named_modules())
    names = loaded.layout.down_modules(modules.keys())
    return [modules[name] for name in names]


@contextmanager
def down_weight(loaded: LoadedModel, module: nn.Module) -> Iterator[Float[torch.Tensor, "d d_m"]]:
    """W_down of one of the `down_projections`, as a view in which column j is neuron j, in either storage order."""
    stored = loaded.layout.architecture.projections["down"].neurons
    with weights_at_hand(module):
        weight = module.get_parameter("weight").detach()
        yield weight if stored == "columns" else weight.T


def down_norms(loaded: LoadedModel) -> list[Float[torch.Tensor, " d_m"]]:
    """`column_norms` of W_down, layer by layer: computed once for each model, since they take all of these weights."""
    found = _NORMS.get(loaded.model)
    if found is None:
        found = _NORMS[loaded.model] = [_norms_of(loaded, module) for module in down_projections(loaded)]
    return found


def _norms_of(loaded: LoadedModel, module: nn.Module) -> Float[torch.Tensor, " d_m"]:
    with down_weight(loaded, module) as weight:
        return column_norms(weight)


@contextmanager
def hooked(loaded: LoadedModel, reduction: Reduction) -> Iterator[None]:
    """Call `reduction` for every layer of every forward pass inside the block.

    Raises:
        CaptureError: On leaving the block: a layer's hook never fired, or not as often as the others; or at once: a
            layer's input is not d_m wide.
    """

    def seen(layer: int, module: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        z = inputs[0]
        _check_width(z, loaded.layout.d_m, layer)
        if module.bias is not None:  # recomputed: subtracting it would leave the rounding of the sum in h
            with down_weight(loaded, module) as weight:
                output = functional.linear(z, weight)
        reduction(layer, z, output)

    with _watched(down_projections(loaded), seen, "down-projections"):
        yield


@contextmanager
def blocks_hooked(loaded: LoadedModel, reduction: BlockReduction) -> Iterator[None]:
    """Call `reduction` with the residual stream behind every block of every forward pass inside the block.

    That of the last layer is what the final norm takes, not what it gives.

    Raises:
        CaptureError: On leaving the block: a layer's hook never fired, or not as often as the others; or at once: a
            block gives something else than the residual stream.
    """
    modules = dict(loaded.model.named_modules())
    blocks = [modules[name] for name in loaded.layout.block_modules(modules.keys())]

    def seen(layer: int, _module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        states = output[0] if isinstance(output, tuple) else output
        if not isinstance(states, torch.Tensor) or states.ndim != 3 or states.shape[-1] != loaded.layout.d:
            raise CaptureError(
                f"the residual stream, {loaded.layout.d} wide, behind block {layer}",
                found=f"a tensor of shape {tuple(states.shape)}"
                if isinstance(states, torch.Tensor)
                else f"a {type(states).__name__}",
                remedy="this model's blocks give something else; it is not supported",
            )
        reduction(layer, states)

    with _watched(blocks, seen, "blocks"):
        yield


@contextmanager
def _watched(modules: Sequence[nn.Module], seen: Seen, what: str) -> Iterator[None]:
    """Call `seen` whenever one of the modules, one a layer, has run inside the block; `what` they are."""
    fired = [0] * len(modules)

    def hook_for(layer: int) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            seen(layer, module, inputs, output)
            fired[layer] += 1

        return hook

    handles = [module.register_forward_hook(hook_for(layer)) for layer, module in enumerate(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if len(set(fired)) != 1 or fired[0] == 0:
        raise CaptureError(
            f"a hook that fires once per pass in each of {len(fired)} layers",
            found=f"calls per layer: {fired}",
            remedy=f"this model's forward pass does not call its {what} as modules; it is not supported",
        )


def _check_width(z: torch.Tensor, d_m: int, layer: int) -> None:
    if z.shape[-1] != d_m:
        raise CaptureError(
            f"{d_m} neurons entering the down-projection of layer {layer}",
            found=f"{z.shape[-1]}",
            remedy="check that intermediate_size in config.json is that of the text tower",
        )


def padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask of sequences, padded on the right."""
    longest = max(map(len, rows))
    ids = [list(row) + [pad] * (longest - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def region_masks(
    responses: Sequence[Response], width: int, device: torch.device, other: OtherTokens = "all"
) -> torch.Tensor:
    """For each response, which tokens are answer (row 0) and which are the others (row 1).

    Choice: `other` is every token that is not an answer token, prompt and template included
    (the paper's T without A), unless regions are left out.
    """
    answer = torch.zeros((len(responses), width), dtype=torch.bool)
    real = torch.zeros_like(answer)
    for row, response in enumerate(responses):
        real[row, : len(response.prompt_ids) + len(response.response_ids)] = True
        for region in response.regions:
            if region.name == "answer":
                answer[row, region.start : region.stop] = True
            elif region.name in LEFT_OUT[other]:
                real[row, region.start : region.stop] = False
    return torch.stack([answer, real & ~answer]).to(device)


def forward(loaded: LoadedModel, ids: torch.Tensor, mask: torch.Tensor) -> ModelOutput:
    """One forward pass of the model's body, without its head; the last states come first in the output."""
    output: ModelOutput = loaded.model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
    return output
