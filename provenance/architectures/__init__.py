"""Locations of the MLPs of model families, as data: adding a family is adding a `*.toml` beside this file.

It has the keys of config.json that give the sizes, the prefixes of the text decoder, and for each projection of a
neuron its tensor below `prefix + layer`, whether neurons are rows or columns, and its half of a fused tensor. A vision
tower whose MLPs have the same names lies under another prefix and is never matched. Its table `vocabulary` says what
makes logits of the residual stream.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from provenance.errors import ArchitectureError

_EXPERT_NAMES = re.compile(r"expert|block_sparse_moe|\.router\.|\bmoe\b")
_QUANTISED_NAMES = re.compile(
    r".+\.(qweight|qzeros|g_idx|scales|SCB|absmax|nested_absmax|quant_map|nested_quant_map|quant_state\..+"
    r"|weight_(packed|scale|scale_inv|scale_2|zero_point|shape)|(gate_up_proj|down_proj)_(blocks|scales))"
)
"""Tensors of GPTQ, AWQ, bitsandbytes, compressed-tensors, FP8 and MXFP4; old folders of them have no word in config."""
_NAMES_SHOWN = 5

KINDS = ("gate", "up", "down")
"""Possible projections of a neuron, in their fixed order."""


@dataclass(frozen=True)
class Projection:
    """Location of one projection of a neuron inside an MLP; a table of a family's file."""

    weight: str
    """Name of the weight below the MLP."""
    neurons: Literal["rows", "columns"]
    """Axis of the stored weight that runs over neurons."""
    half: Literal["first", "second"] | None = None
    """Rows of a weight that holds two projections one below the other; None for a weight of its own."""


@dataclass(frozen=True)
class Size:
    """Source of a size in config.json."""

    key: str
    fallback: str | None = None
    """Key to derive it from if `key` is absent or null."""
    times: int = 1
    """Factor of the fallback."""

    def read(self, config: Mapping[str, Any]) -> int:
        """The size, a whole number from 1; KeyError, TypeError or ValueError if config.json lacks it."""
        is_derived = self.fallback is not None and config.get(self.key) is None
        key = self.fallback if self.fallback is not None and is_derived else self.key
        value = config[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{key} = {value!r}"[:80])
        return self.times * value if is_derived else value


@dataclass(frozen=True)
class Vocabulary:
    """Location of what makes logits of the residual stream; a table of a family's file."""

    embedding: str
    """Name of the input embedding below the prefix."""
    norm: str
    """Name of the final norm's weight below the prefix."""
    unembedding: str = "lm_head.weight"
    """End of the name of an unembedding of its own, under any prefix."""
    tied: tuple[str, ...] = ()
    """Model types whose unembedding is the embedding unless config.json says otherwise."""
    after_mlp: str = ""
    """Name below the prefix, with `{layer}`, of the norm between MLP and residual addition; some types lack it."""
    one_plus: tuple[str, ...] = ()
    """Model types whose norms multiply by 1 + weight."""
    centred: bool = False
    """Whether the final norm takes the mean out first (LayerNorm)."""


@dataclass(frozen=True)
class Architecture:
    """Layout of a model architecture; one file of this folder."""

    name: str
    """File name without suffix."""
    model_types: tuple[str, ...]
    """Values of `model_type` in config.json that use the layout."""
    layer: str
    """Path of a layer's MLP below the prefix, with `{layer}`."""
    prefixes: tuple[str, ...]
    """Possible prefixes of the text decoder, on disk and in a loaded model; empty for a file without outer model."""
    sizes: dict[str, Size]
    """Sources of `layers`, `d_m` and `d`."""
    projections: dict[str, Projection]
    """Projections of a neuron, in the order gate, up, down; no gate in an ungated MLP."""
    constants: tuple[str, ...] = ()
    """Ends of tensor names that old files keep and no model reads, such as attention masks."""
    vocabulary: Vocabulary | None = None
    """What makes logits; None if the file does not say."""


@dataclass(frozen=True)
class NeuronSlice:
    """Rows of a stored tensor that hold exactly one projection of one layer."""

    name: str
    """Name of the tensor on disk."""
    start: int
    """First row of the tensor."""
    stop: int
    """Row after the last one."""
    neurons: Literal["rows", "columns"]
    """Axis of these rows that runs over neurons."""


@dataclass(frozen=True)
class Layout:
    """The MLPs of one checkpoint: sizes and names."""

    architecture: Architecture
    model_type: str
    """As in config.json."""
    layers: int
    """Number of decoder layers."""
    d_m: int
    """Neurons per layer (intermediate size)."""
    d: int
    """Width of the residual stream (hidden size)."""
    prefix: str
    """Prefix of the text decoder on disk; a loaded model may use another of the family's prefixes."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Projections of a neuron, in the order gate, up, down."""
        return tuple(self.architecture.projections)

    def slice(self, kind: str, layer: int) -> NeuronSlice:
        """Rows and tensor that hold a projection on disk."""
        part = self.architecture.projections[kind]
        name = self.prefix + self.architecture.layer.format(layer=layer) + part.weight
        if part.neurons == "columns":
            return NeuronSlice(name, 0, self.d, "columns")
        start = self.d_m if part.half == "second" else 0
        return NeuronSlice(name, start, start + self.d_m, "rows")

    def shape(self, kind: str) -> tuple[int, int]:
        """Shape of the stored tensor that holds a projection, other contents included."""
        part = self.architecture.projections[kind]
        if part.neurons == "columns":
            return self.d, self.d_m
        return (self.d_m if part.half is None else 2 * self.d_m), self.d

    def block_modules(self, module_names: Collection[str]) -> list[str]:
        """Names of the decoder blocks that hold the MLPs in a loaded model; else as for `down_modules`."""
        inside = self.architecture.layer.partition("{layer}")[2] + self._down
        return [name.removesuffix(inside) for name in self.down_modules(module_names)]

    @property
    def _down(self) -> str:
        """Name of the down-projection below the MLP."""
        return self.architecture.projections["down"].weight.removesuffix(".weight")

    def down_modules(self, module_names: Collection[str]) -> list[str]:
        """Names of the down-projection modules in a loaded model, layer by layer.

        Raises:
            ArchitectureError: No known prefix gives one for every layer.
        """
        suffix = self._down
        for prefix in self.architecture.prefixes:
            names = [prefix + self.architecture.layer.format(layer=layer) + suffix for layer in range(self.layers)]
            if all(name in module_names for name in names):
                return names
        raise ArchitectureError(
            f"{self.layers} modules named like {names[0]!r}",
            found=_sample([name for name in module_names if suffix in name]),
            remedy=f"describe the layout of {self.model_type!r} in a file under provenance/architectures",
        )


def architectures() -> list[Architecture]:
    """All layouts that ship with the package."""
    files = [f for f in resources.files(__name__).iterdir() if f.name.endswith(".toml")]
    return [_parse(f.name.removesuffix(".toml"), f.read_text("utf-8")) for f in sorted(files, key=lambda f: f.name)]


def _parse(name: str, text: str) -> Architecture:
    data = tomllib.loads(text)
    return Architecture(
        name,
        tuple(data["model_types"]),
        data["layer"],
        tuple(data["prefixes"]),
        {size: Size(**({"key": rule} if isinstance(rule, str) else rule)) for size, rule in data["sizes"].items()},
        {kind: Projection(**data[kind]) for kind in KINDS if kind in data},
        tuple(data.get("constants", ())),
        _vocabulary(data["vocabulary"]) if "vocabulary" in data else None,
    )


def _vocabulary(said: Mapping[str, Any]) -> Vocabulary:
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return Vocabulary(**given)


def layout_of(config: Mapping[str, Any], tensor_names: Collection[str]) -> Layout:
    """Find the MLPs of a checkpoint from its config and its tensor names.

    Raises:
        ArchitectureError: The model type is unknown, the model is a mixture of experts, or its tensors are not at the
            family's places. The message lists the names found.
    """
    model_type = str(config.get("model_type"))
    _refuse_quantised(tensor_names)
    _refuse_experts(model_type, tensor_names)
    known = {kind: architecture for architecture in architectures() for kind in architecture.model_types}
    if model_type not in known:
        raise ArchitectureError(
            f"a model_type out of {', '.join(sorted(known))}",
            found=f"model_type {model_type!r} with {_sample([n for n in tensor_names if 'mlp' in n])}",
            remedy="describe its layout in a file under provenance/architectures",
        )
    architecture = known[model_type]
    layers, d_m, d = _sizes(architecture, _text_config(config))
    _refuse_more_layers_than_tensors(layers, len(tensor_names))
    prefix = _prefix_on_disk(architecture, layers, tensor_names)
    _refuse_further_layers(prefix + architecture.layer.format(layer=layers), layers, tensor_names)
    return Layout(architecture, model_type, layers, d_m, d, prefix)


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    text = config.get("text_config") or config
    if not isinstance(text, Mapping):
        raise ArchitectureError(
            "an object as text_config in config.json", found=repr(text)[:80], remedy="fetch the checkpoint again"
        )
    return text


def _sizes(architecture: Architecture, config: Mapping[str, Any]) -> tuple[int, int, int]:
    try:
        layers, d_m, d = (architecture.sizes[size].read(config) for size in ("layers", "d_m", "d"))
    except (KeyError, TypeError, ValueError) as error:
        keys = [size.key for size in architecture.sizes.values()]
        raise ArchitectureError(
            f"{', '.join(keys[:-1])} and {keys[-1]} as whole numbers from 1 in config.json",
            found=f"{type(error).__name__}: {error}",
            remedy="fetch the checkpoint again",
        ) from error
    return layers, d_m, d


def _refuse_quantised(tensor_names: Collection[str]) -> None:
    codes = [name for name in tensor_names if _QUANTISED_NAMES.fullmatch(name)]
    if codes:
        raise ArchitectureError(
            "weights in float32, bfloat16 or float16",
            found=f"quantised ones, with {_sample(codes)}",
            remedy="choose the checkpoint that is not quantised; neurons are compared by their weights",
        )


def _refuse_experts(model_type: str, tensor_names: Collection[str]) -> None:
    experts = [name for name in tensor_names if _EXPERT_NAMES.search(name)]
    if experts:
        raise ArchitectureError(
            "a dense model, whose neurons are rows of one up-projection per layer",
            found=f"a mixture of experts ({model_type!r}) with {_sample(experts)}",
            remedy="choose a dense checkpoint; expert neurons have no per-layer index",
        )


def _refuse_more_layers_than_tensors(layers: int, tensors: int) -> None:
    """Before names are looked up one by one: a config can claim absurdly many layers."""
    if layers > tensors:
        raise ArchitectureError(
            f"tensors of {layers:,} layers, as config.json says",
            found=f"{tensors:,} tensors in all",
            remedy="check that config.json belongs to these weights",
        )


def _refuse_further_layers(next_layer: str, layers: int, tensor_names: Collection[str]) -> None:
    further = [name for name in tensor_names if name.startswith(next_layer)]
    if further:
        raise ArchitectureError(
            f"{layers} layers, as num_hidden_layers in config.json says",
            found=f"tensors of a further one: {_sample(further)}",
            remedy="check that config.json belongs to these weights",
        )


def _prefix_on_disk(architecture: Architecture, layers: int, tensor_names: Collection[str]) -> str:
    present = set(tensor_names)
    missing: list[str] = []
    for prefix in architecture.prefixes:
        wanted = [
            prefix + architecture.layer.format(layer=layer) + part.weight
            for layer in range(layers)
            for part in architecture.projections.values()
        ]
        absent = [name for name in wanted if name not in present]
        if not absent:
            return prefix
        if not missing or len(absent) < len(missing):
            missing = absent
    raise ArchitectureError(
        f"{layers} layers laid out as {architecture.name!r}",
        found=f"no tensor {_sample(missing)}; the checkpoint has {_sample([n for n in tensor_names if 'mlp' in n])}",
        remedy="check that config.json belongs to these weights",
    )


def _sample(names: Collection[str]) -> str:
    if not names:
        return "no MLP tensors"
    shown = ", ".join(repr(name) for name in sorted(names)[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
