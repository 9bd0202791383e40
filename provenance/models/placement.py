"""Where the weights of a model go: to one device, to several GPUs, or to memory and disk for want of these.

Weights that are elsewhere when their layer's turn comes are brought to the device that computes, and taken away again,
by `accelerate`; between passes such a module has empty (meta) tensors. Source: its guide to big models,
https://huggingface.co/docs/accelerate/usage_guides/big_modeling.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from provenance.errors import JobError, missing_package
from provenance.models.available_memory import available_bytes

logger = logging.getLogger(__name__)
ROOM = 0.8  # of free memory, for weights; the rest is for batches
ELSEWHERE = ("cpu", "disk")
REMEDY = "give --offload, which takes memory and disk for the rest and is slow, --dtype bfloat16, or more GPUs"

Room = dict[int | str, int]
"""Bytes for weights by device, a GPU by its number, as accelerate has it."""


def placement(device: str, weight_bytes: int, scratch: Path, *, offload: bool) -> dict[str, Any]:
    """Arguments of `from_pretrained` that spread a model; none where it goes to its device as a whole.

    Args:
        device: As torch names it; `cuda` without a number stands for all GPUs that are there.
        weight_bytes: Of all weights in the dtype that they are loaded in.
        scratch: Folder for weights on disk that are not in the checkpoint's files as they are loaded, such as converted
            ones.
        offload: Whether memory, and then the disk, takes what the GPUs have no room for.

    Raises:
        InputError: The extra `multi-gpu` that this takes is missing.
        JobError: All GPUs together have no room for it, and `offload` is off.
    """
    room = room_of(device)
    if weight_bytes <= next(iter(room.values())) or not (offload or len(room) > 1):
        return {}
    if not offload and weight_bytes > sum(room.values()):
        raise _no_room(f"{weight_bytes:,} bytes of weights on {len(room)} GPUs", f"{sum(room.values()):,}")
    if find_spec("accelerate") is None:
        raise missing_package("accelerate, which spreads a model", "multi-gpu")
    if offload:
        room.setdefault("cpu", int(ROOM * available_bytes()))
    return {"device_map": "auto", "max_memory": room, "offload_folder": str(scratch)}


def room_of(device: str) -> Room:
    """Bytes for weights on a device, or on each of all GPUs."""
    if device == "cuda":
        return {number: int(ROOM * available_bytes(f"cuda:{number}")) for number in range(torch.cuda.device_count())}
    place = torch.device(device)
    key = place.index if place.type == "cuda" and place.index is not None else place.type
    return {key: int(ROOM * available_bytes(device))}


def places_of(model: nn.Module) -> Mapping[str, int | str]:
    """Device of each part of a model that was spread; empty for one that is on a device as a whole."""
    return getattr(model, "hf_device_map", {})


def check_placed(model: nn.Module, where: str, *, offload: bool) -> None:
    """Refuse a model of which parts are in memory or on disk although `offload` is off.

    Raises:
        JobError: GPUs have no room for all of it, and `offload` is off.
    """
    parts = places_of(model)
    left = [part for part, place in parts.items() if place in ELSEWHERE]
    if left and offload:
        logger.warning("%d of %d parts of %s are in memory or on disk, which is slow", len(left), len(parts), where)
    elif left:
        raise _no_room(f"all parts of {where} on the GPUs", f"none for {len(left)} of them, such as {left[0]}")


def _no_room(wanted: str, found: str) -> JobError:
    return JobError(f"room for {wanted}", found=found, remedy=REMEDY)


def computing_device(model: nn.Module) -> torch.device:
    """The device that takes inputs: where the model is, or the first one that computes of a model that was spread."""
    places = places_of(model)
    if not places:
        return next(model.parameters()).device
    first = next((place for place in places.values() if place not in ELSEWHERE), "cpu")
    return torch.device(f"cuda:{first}" if isinstance(first, int) else first)


@contextmanager
def weights_at_hand(module: nn.Module) -> Iterator[None]:
    """The weights of a module are on the device that computes it inside the block, wherever they are kept."""
    if not hasattr(module, "_hf_hook"):
        yield
        return
    from accelerate.utils import align_module_device

    with align_module_device(module):
        yield
