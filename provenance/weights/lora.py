"""Maps each tensor of a LoRA adapter to its tensor of the base.

Each is half of a low-rank update or a whole replacement; anything left over, incomplete or of another size is an error
that names it and says whether the adapter is damaged or belongs to another base.
Source: Hu et al. 2021, arXiv:2106.09685, Sec. 4.1; tensor names as `peft` saves them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provenance.architectures import architectures
from provenance.checkpoints.headers import TensorSlot
from provenance.errors import CheckpointError
from provenance.weights.lora_settings import LoraSettings
from provenance.weights.tensors import TensorReader

EMBEDDINGS = ("embed_tokens", "lm_head")
"""Modules that `peft` saves whole unasked, when the vocabulary has grown or they are targeted."""
FLOATS = ("F64", "F32", "F16", "BF16")
_SHOWN = 3
_PEFT_PREFIX = "base_model.model."
_HALF = re.compile(r"(?P<module>.+)\.lora_(?:(?P<linear>[AB])\.weight|embedding_(?P<embedding>[AB]))")


@dataclass(frozen=True)
class LowRank:
    """Update of one tensor of the base: scaling · (B A), or its transpose."""

    name: str
    """Tensor of the base."""
    a: str
    """Name of A, (rank, in), in the adapter's file."""
    b: str
    """Name of B, (out, rank)."""
    scaling: float
    """Factor of the product."""
    transposed: bool
    """Whether the base stores (in, out), as GPT-2 and embeddings do."""
    is_embedding: bool
    """Whether it is an embedding; `peft` rounds the update of an embedding before adding it."""


@dataclass(frozen=True)
class Whole:
    """Tensor that the adapter holds whole."""

    source: str
    """Name in the adapter's file."""
    like: str
    """Tensor of the base that gives the dtype: the replaced one, or the input embedding for an untied output."""


@dataclass(frozen=True)
class Changes:
    """All changes that an adapter makes to a base."""

    updates: dict[str, LowRank]
    """Low-rank updates by tensor of the base."""
    wholes: dict[str, Whole]
    """Replacements by tensor of the base, or of an output embedding that the base ties."""


def changes_of(settings: LoraSettings, slots: Mapping[str, TensorSlot], base: TensorReader) -> Changes:
    """Map the adapter's tensors (`slots`, of its file) to changes of the base's tensors; no tensor is read.

    Raises:
        CheckpointError: The adapter contradicts itself (one half without the other, another rank than its
            settings say), or a tensor has no counterpart in the base or one of another shape.
    """
    names = BaseNames(base, settings)
    halves, others = _sorted_out(slots)
    pairs = {module: _pair(module, parts, slots, settings) for module, parts in halves.items()}
    modules = {module: names.find(f"{module}.weight") for module in halves}
    targets = {name: _whole_target(name, settings, names) for name in others}
    left_over = [name for name, target in targets.items() if target is None]
    left_over += [name for module, target in modules.items() if target is None for name in halves[module].values()]
    if not slots:
        raise damaged(settings, "an adapter without tensors")
    if left_over:
        more = f" and {len(left_over) - _SHOWN} more" if len(left_over) > _SHOWN else ""
        named = ", ".join(map(repr, left_over[:_SHOWN])) + more
        raise other_base(settings, f"no tensor of this base for {named}")
    wholes = {target: _whole(target, slots[name], names) for target, name in _one_each(targets, settings).items()}
    updates = {
        target: _update(module, target, pairs[module], slots, wholes, names)
        for target, module in _one_each(modules, settings).items()
    }
    return Changes(updates, wholes)


def _sorted_out(slots: Iterable[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    halves: dict[str, dict[str, str]] = {}
    others: list[str] = []
    for name in slots:
        match = _HALF.fullmatch(name)
        if match is None:
            others.append(name)
        else:
            kind = match["linear"] or f"embedding {match['embedding']}"
            halves.setdefault(match["module"].removeprefix(_PEFT_PREFIX), {})[kind] = name
    return halves, others


def _one_each(targets: Mapping[str, str | None], settings: LoraSettings) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, target in targets.items():
        if target in found:
            raise damaged(settings, f"both {found[target]!r} and {name!r} for {target!r}")
        if target is not None:
            found[target] = name
    return found


def other_base(settings: LoraSettings, found: str) -> CheckpointError:
    """Error: the adapter's tensors do not fit the given base."""
    named = f"adapter_config.json names {settings.base_name!r}" if settings.base_name else "it does not say which"
    return CheckpointError(
        f"the base that the adapter in {settings.where} was trained on",
        found=found,
        remedy=f"give that base ({named}), or the whole adapter",
    )


def damaged(settings: LoraSettings, found: str) -> CheckpointError:
    """Error: the adapter contradicts itself, so that it fits no base."""
    return CheckpointError(
        f"tensors in {settings.where} that agree with each other and with adapter_config.json",
        found=f"a damaged or inconsistent adapter: {found}",
        remedy="fetch the adapter again; if it was published so, save it again with peft's save_pretrained",
    )


class BaseNames:
    """The base's tensors by the module names of a loaded model.

    Names of the parts around the text decoder vary (`language_model.model.`, `model.language_model.`, GPT-2 with and
    without `transformer.`), so such leading parts are ignored; others, such as a vision tower's, count.
    """

    def __init__(self, base: TensorReader, settings: LoraSettings) -> None:
        self.base = base
        self.settings = settings
        self._wrappers = {
            part for architecture in architectures() for prefix in architecture.prefixes for part in prefix.split(".")
        }
        self._names = set(base.names())
        self._by_core: dict[str, list[str]] = {}
        for name in sorted(self._names):
            self._by_core.setdefault(self._core(name), []).append(name)
        self.stores_transposed = any(self._is_transposed(name) for name in self._names)

    def _core(self, name: str) -> str:
        parts = name.split(".")
        while len(parts) > 2 and parts[0] in self._wrappers:
            parts.pop(0)
        return ".".join(parts)

    def _is_transposed(self, name: str) -> bool:
        """Whether a bias proves that its weight is (in, out): as long as the second axis, unlike the first."""
        bias = name.removesuffix("weight") + "bias"
        if bias == name or not name.endswith(".weight") or bias not in self._names:
            return False
        shape = self.base.shape(name)
        return len(shape) == 2 and shape[0] != shape[1] and self.base.shape(bias) == shape[1:]

    def find(self, name: str) -> str | None:
        """The base's tensor for that module name; None when there is none.

        Raises:
            CheckpointError: Several fit.
        """
        if name in self._names:
            return name
        fitting = self._by_core.get(self._core(name), [])
        if len(fitting) > 1:
            raise other_base(self.settings, f"{name!r} could be any of {', '.join(map(repr, fitting))}")
        return fitting[0] if fitting else None

    def embedding(self) -> str | None:
        """The input embedding."""
        return self.find("embed_tokens.weight")


def _whole_target(name: str, settings: LoraSettings, names: BaseNames) -> str | None:
    own = name.removeprefix(_PEFT_PREFIX).replace(".base_layer.", ".")
    module, _, kind = own.rpartition(".")
    is_embedding = module.rpartition(".")[2] in EMBEDDINGS
    is_saved = any(f".{wanted}." in f".{own}" for wanted in settings.whole_modules)
    if not (is_saved or is_embedding or (kind == "bias" and settings.has_biases)):
        return None
    untied = own == "lm_head.weight" and names.embedding() is not None  # the base ties it to the input embedding
    return names.find(own) or (own if untied else None)


def _whole(target: str, slot: TensorSlot, names: BaseNames) -> Whole:
    """A replacement has the shape of the replaced tensor; embeddings may have more or fewer words."""
    like = names.find(target) or names.embedding() or target
    wanted = names.base.shape(like)
    has_words = target.split(".")[-2] in EMBEDDINGS and len(slot.shape) == 2
    if slot.shape != wanted and not (has_words and slot.shape[1:] == wanted[1:]):
        raise other_base(names.settings, f"{slot.name!r} of shape {slot.shape} for {like!r} of shape {wanted}")
    _check_float(slot, names.settings)
    _check_base_float(like, names)
    return Whole(slot.name, like)


def _check_float(slot: TensorSlot, settings: LoraSettings) -> None:
    if slot.dtype not in FLOATS:
        raise damaged(settings, f"{slot.name!r} of dtype {slot.dtype}, which is not one of {', '.join(FLOATS)}")


def _check_base_float(name: str, names: BaseNames) -> None:
    dtype = names.base.dtype(name)
    if dtype not in FLOATS:
        raise other_base(names.settings, f"{name!r} of dtype {dtype}, which is not one of {', '.join(FLOATS)}")


def _update(
    module: str,
    target: str,
    pair: tuple[TensorSlot, TensorSlot, bool],
    slots: Mapping[str, TensorSlot],
    wholes: Mapping[str, Whole],
    names: BaseNames,
) -> LowRank:
    """The update of one tensor by A and B, checked against each other, the settings and the base.

    Choice: whether the base stores the transpose is inferred from the shapes, and for square tensors from the rest of
    the base; `fan_in_fan_out` is ignored, since `peft` itself overrules it by the module's class.
    """
    settings = names.settings
    a, b, is_embedding = pair
    _check_base_float(target, names)
    shape = slots[wholes[target].source].shape if target in wholes else names.base.shape(target)
    straight = (b.shape[0], a.shape[1])
    is_square = straight[0] == straight[1]
    transposed = is_embedding or (names.stores_transposed if is_square else shape != straight)
    if shape != (straight[::-1] if transposed else straight):
        raise other_base(settings, f"an update of shape {straight} for {target!r} of shape {shape}")
    return LowRank(target, a.name, b.name, settings.scaling_of(module), transposed, is_embedding)


def _pair(
    module: str, parts: Mapping[str, str], slots: Mapping[str, TensorSlot], settings: LoraSettings
) -> tuple[TensorSlot, TensorSlot, bool]:
    is_embedding = all(kind.startswith("embedding") for kind in parts)
    wanted = ("embedding A", "embedding B") if is_embedding else ("A", "B")
    if set(parts) != set(wanted):
        raise damaged(settings, f"{', '.join(map(repr, sorted(parts.values())))} without its other half")
    a, b = (slots[parts[kind]] for kind in wanted)
    rank = settings.rank_of(module)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != rank or b.shape[1] != rank:
        raise damaged(settings, f"A of shape {a.shape} and B of shape {b.shape} for {module!r} of rank {rank}")
    for half in (a, b):
        _check_float(half, settings)
    return a, b, is_embedding
