"""Where the MLPs of a model family lie, as data.

Every `*.toml` beside this file describes one layout: the tensor names of gate, up and
down projection below `prefix + layer`, and the prefixes under which the text decoder is
stored. Adding a family is adding a file. A vision tower whose MLPs have the same names
lies under another prefix and is never matched.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from provenance.errors import ArchitectureError

_EXPERT_NAMES = re.compile(r"expert|block_sparse_moe|\.router\.|\bmoe\b")
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Family:
    """One file of this folder."""

    name: str
    """File name without suffix."""
    model_types: tuple[str, ...]
    """Values of `model_type` in config.json that use the layout."""
    kinds: tuple[str, ...]
    """Projections that belong to a neuron, in the order gate, up, down."""
    layer: str
    """Path of a layer's MLP below the prefix, with `{layer}`."""
    suffixes: dict[str, str]
    """By kind: name of the projection's weight below the MLP."""
    prefixes: tuple[str, ...]
    """Where the text decoder may lie."""


@dataclass(frozen=True)
class Layout:
    """The MLPs of one checkpoint: sizes and names."""

    family: str
    """Which description matched."""
    model_type: str
    """As in config.json."""
    layers: int
    """Number of decoder layers."""
    d_m: int
    """Neurons per layer (intermediate size)."""
    d: int
    """Width of the residual stream (hidden size)."""
    kinds: tuple[str, ...]
    """Projections that belong to a neuron."""
    prefix: str
    """Where the text decoder lies on disk."""
    layer: str
    """Path of a layer's MLP below a prefix, with `{layer}`."""
    suffixes: dict[str, str]
    """By kind: name of the projection's weight below the MLP."""
    prefixes: tuple[str, ...]
    """Every prefix the family is known under; a loaded model may use another than the disk."""

    def tensor(self, kind: str, layer: int) -> str:
        """Name of a projection's weight on disk."""
        return self.prefix + self.layer.format(layer=layer) + self.suffixes[kind]

    def down_modules(self, module_names: Collection[str]) -> list[str]:
        """Names of the down-projection modules in a loaded model, layer by layer.

        Raises:
            ArchitectureError: Under no known prefix does every layer have one.
        """
        suffix = self.suffixes["down"].removesuffix(".weight")
        for prefix in self.prefixes:
            names = [prefix + self.layer.format(layer=layer) + suffix for layer in range(self.layers)]
            if all(name in module_names for name in names):
                return names
        raise ArchitectureError(
            f"{self.layers} modules named like {names[0]!r}",
            found=_sample([name for name in module_names if suffix in name]),
            remedy=f"describe the layout of {self.model_type!r} in a file under provenance/architectures",
        )


def families() -> list[Family]:
    """All layouts that ship with the package."""
    files = [f for f in resources.files(__name__).iterdir() if f.name.endswith(".toml")]
    return [_parse(f.name.removesuffix(".toml"), f.read_text("utf-8")) for f in sorted(files, key=lambda f: f.name)]


def _parse(name: str, text: str) -> Family:
    data = tomllib.loads(text)
    kinds = tuple(data["kinds"])
    return Family(
        name,
        tuple(data["model_types"]),
        kinds,
        data["layer"],
        {kind: data[kind] for kind in kinds},
        tuple(data["prefixes"]),
    )


def layout_of(config: Mapping[str, Any], tensor_names: Collection[str]) -> Layout:
    """Find the MLPs of a checkpoint from its config and its tensor names.

    Raises:
        ArchitectureError: The model type is unknown, the model is a mixture of experts, or
            its tensors do not lie where its family's do. The message lists what was found.
    """
    model_type = str(config.get("model_type"))
    _refuse_experts(model_type, tensor_names)
    known = {kind: family for family in families() for kind in family.model_types}
    if model_type not in known:
        raise ArchitectureError(
            f"a model_type out of {', '.join(sorted(known))}",
            found=f"model_type {model_type!r} with {_sample([n for n in tensor_names if 'mlp' in n])}",
            remedy="describe its layout in a file under provenance/architectures",
        )
    family = known[model_type]
    text = config.get("text_config") or config
    try:
        layers, d_m, d = (int(text[k]) for k in ("num_hidden_layers", "intermediate_size", "hidden_size"))
    except (KeyError, TypeError, ValueError) as error:
        raise ArchitectureError(
            "num_hidden_layers, intermediate_size and hidden_size as whole numbers in config.json",
            found=f"{type(error).__name__}: {error}",
            remedy="fetch the checkpoint again",
        ) from error
    prefix = _prefix_on_disk(family, layers, tensor_names)
    _refuse_further_layers(prefix + family.layer.format(layer=layers), layers, tensor_names)
    return Layout(
        family.name, model_type, layers, d_m, d, family.kinds, prefix, family.layer, family.suffixes, family.prefixes
    )


def _refuse_experts(model_type: str, tensor_names: Collection[str]) -> None:
    experts = [name for name in tensor_names if _EXPERT_NAMES.search(name)]
    if experts:
        raise ArchitectureError(
            "a dense model, whose neurons are rows of one up-projection per layer",
            found=f"a mixture of experts ({model_type!r}) with {_sample(experts)}",
            remedy="choose a dense checkpoint; expert neurons have no per-layer index",
        )


def _refuse_further_layers(next_layer: str, layers: int, tensor_names: Collection[str]) -> None:
    further = [name for name in tensor_names if name.startswith(next_layer)]
    if further:
        raise ArchitectureError(
            f"{layers} layers, as num_hidden_layers in config.json says",
            found=f"tensors of a further one: {_sample(further)}",
            remedy="check that config.json belongs to these weights",
        )


def _prefix_on_disk(family: Family, layers: int, tensor_names: Collection[str]) -> str:
    present = set(tensor_names)
    missing: list[str] = []
    for prefix in family.prefixes:
        wanted = [
            prefix + family.layer.format(layer=layer) + family.suffixes[kind]
            for layer in range(layers)
            for kind in family.kinds
        ]
        absent = [name for name in wanted if name not in present]
        if not absent:
            return prefix
        if not missing or len(absent) < len(missing):
            missing = absent
    raise ArchitectureError(
        f"{layers} layers laid out as {family.name!r}",
        found=f"no tensor {_sample(missing)}; the checkpoint has {_sample([n for n in tensor_names if 'mlp' in n])}",
        remedy="check that config.json belongs to these weights",
    )


def _sample(names: Collection[str]) -> str:
    """A few of many names, and how many there are."""
    if not names:
        return "no MLP tensors"
    shown = ", ".join(repr(name) for name in sorted(names)[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
