"""Forward passes that begin above the lowest layers, from what these gave in an earlier pass over the same tokens.

A change of activations in some layer leaves every layer below it as it is, so many changed passes over the same prompts
can share what the unchanged one computed there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import nn

from provenance.errors import CaptureError
from provenance.models.loading import LoadedModel


@dataclass(frozen=True)
class LowerLayers:
    """What the layers below one gave for a batch."""

    first: int
    """The first layer that is not among them; 0 where nothing is shared."""
    output: Any = field(default=None, repr=False)
    """What the last of them gave, as its block gives it: the residual stream, or a tuple that begins with it."""

    def rows(self, picked: Int[torch.Tensor, " rows"]) -> "LowerLayers":
        """Of some rows of the batch, in the given order."""
        if self.first == 0:
            return self
        state = _state(self.output)
        return LowerLayers(self.first, _with_state(self.output, state[picked.to(state.device)]))


NOTHING = LowerLayers(0)
"""Where every layer runs."""


@contextmanager
def kept_below(loaded: LoadedModel, first: int) -> Iterator[list[LowerLayers]]:
    """Keep what the layers below one give in the one forward pass inside the block; in the list after it.

    Raises:
        CaptureError: There was no pass, or more than one.
    """
    found: list[LowerLayers] = []
    if first == 0:
        found.append(NOTHING)
        yield found
        return

    def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        found.append(LowerLayers(first, output))

    handle = _blocks(loaded)[first - 1].register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()
    if len(found) != 1:
        raise CaptureError(
            f"one forward pass through block {first - 1}",
            found=f"{len(found)}",
            remedy="this model's forward pass does not call its blocks as modules; it is not supported",
        )


@contextmanager
def resumed(loaded: LoadedModel, lower: LowerLayers) -> Iterator[None]:
    """Begin the forward pass inside the block above the layers whose output is known, for the same tokens.

    These layers are not called, and put no keys and values into a cache.

    Raises:
        CaptureError: They are not called as modules, so that everything was computed.
    """
    if lower.first == 0:
        yield
        return
    skipped, calls = _blocks(loaded)[: lower.first], [0]

    def known(*_inputs: Any, **_named: Any) -> Any:
        calls[0] += 1
        return lower.output

    with _replaced(skipped, known):
        yield
    if calls[0] != lower.first:
        raise CaptureError(
            f"one call of each of the {lower.first} lowest blocks",
            found=f"{calls[0]} calls",
            remedy="this model's forward pass does not call its blocks as modules; it is not supported",
        )


@contextmanager
def _replaced(modules: Sequence[nn.Module], forward: Callable[..., Any]) -> Iterator[None]:
    """Call a function in place of the modules; where weights are moved for a module, theirs stay where they are."""
    before = [module.__dict__.get("forward") for module in modules]
    for module in modules:
        module.forward = forward
    try:
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            if own is None:
                del module.forward
            else:
                module.forward = own


def _blocks(loaded: LoadedModel) -> list[nn.Module]:
    modules = dict(loaded.model.named_modules())
    return [modules[name] for name in loaded.layout.block_modules(modules.keys())]


def _state(output: Any) -> Float[torch.Tensor, "rows tokens d"]:
    state: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return state


def _with_state(output: Any, state: torch.Tensor) -> Any:
    return (state, *output[1:]) if isinstance(output, tuple) else state
