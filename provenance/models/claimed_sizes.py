"""Sizes that a config claims, held against the headers of the weights before anything of that size is made.

The model is first built without memory (torch's meta device), and that is stopped at the first parameter that is larger
than any stored tensor, and at a number of modules that so few tensors cannot fill.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules import module as hooks
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedConfig

from provenance.checkpoints.headers import TensorSlot
from provenance.errors import CheckpointError

AutoClass = type[AutoModelForCausalLM] | type[AutoModelForImageTextToText]
MODULES_PER_TENSOR = 8  # real models have one to two; the excess is for activations, dropouts and containers
SPARE_MODULES = 1000
SPARE_ELEMENTS = 1 << 20  # of the whole: tiny models with a part missing are named by the tensors they lack


def refuse_larger(auto: AutoClass, config: PreTrainedConfig, slots: Sequence[TensorSlot], where: str) -> None:
    """Refuse a config whose model cannot be filled by the stored tensors, by orders of magnitude.

    Exact shapes and names are compared when the model is loaded; this keeps that from taking memory without end.

    Raises:
        CheckpointError: A parameter larger than every tensor, too many modules, or twice the stored elements.
    """
    held = [math.prod(slot.shape) for slot in slots]
    bounds = _stopped(max(held, default=0), len(held) * MODULES_PER_TENSOR + SPARE_MODULES, where)
    with bounds, torch.random.fork_rng(devices=[]), torch.device("meta"):
        skeleton = auto.from_config(config, trust_remote_code=False)
    claimed = sum(parameter.numel() for parameter in skeleton.parameters())
    if claimed > 2 * sum(held) + SPARE_ELEMENTS:
        raise _too_large(where, f"a config of a model with {claimed:,} parameters", f"{sum(held):,} in the weights")


@contextmanager
def _stopped(most_elements: int, most_modules: int, where: str) -> Iterator[None]:
    """Stop the building of a model inside the block at its first part that is too large."""
    modules = 0

    def parameter_added(_module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and parameter.numel() > most_elements:
            claimed = f"a config whose {name!r} has shape {tuple(parameter.shape)}"
            raise _too_large(where, claimed, f"{most_elements:,} elements in the largest tensor")

    def module_added(_module: nn.Module, _name: str, _part: nn.Module | None) -> None:
        nonlocal modules
        modules += 1
        if modules > most_modules:
            raise _too_large(where, f"a config of more than {most_modules:,} modules", "tensors for far fewer")

    handles = [
        hooks.register_module_parameter_registration_hook(parameter_added),
        hooks.register_module_module_registration_hook(module_added),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _too_large(where: str, claimed: str, held: str) -> CheckpointError:
    return CheckpointError(
        f"weights in {where} of the sizes in its config.json",
        found=f"{claimed}, and {held}",
        remedy="check that its config belongs to its weights",
    )
