"""Neuron sets as files for other tools: JSON, CSV, and Python code for `transformers`.

Each file except CSV names its checkpoint; `provenance.neuron_lists.read_lists` reads JSON and CSV back, weights to the
last bit.

    as_json(found)          everything: checkpoint, intercept, design, C, and every neuron with its weight
    as_csv(found)           layer,index,weight; nothing of the checkpoint
    as_transformers(found)  loads the checkpoint and scales the neurons by hooks, without this toolkit

Source of the scaling: Gao et al. 2025, arXiv:2512.01797, Sec. 6.2.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from string import Template

import numpy as np
from jaxtyping import Bool, Float, Int

from provenance.architectures import Architecture, architectures
from provenance.errors import ArchitectureError
from provenance.neuron_lists.text_formats import SCHEMA
from provenance.records import CheckpointInfo

_SNIPPET = Template('''\
"""Scales neurons of $ref in its forward pass.

$origin.
Checkpoint digest $digest.

    handles = scale_neurons(model, 0.0)  # 0 suppresses them, 1 changes no bit, above 1 amplifies
    ...                                  # generate, score
    for handle in handles:
        handle.remove()
"""

$imports

$checkpoint
NEURONS_PER_LAYER = $d_m

# Layer: indices of neurons. Neuron j is entry j of what enters the down-projection of the layer's MLP,
# that is column j of the weight that maps it back ($stored).
H_NEURONS = $positive
$negative
# Where the down-projections lie in a loaded model; the first pattern under which all of them are there counts.
MODULES = $modules


def down_projections(model, layers):
    """The down-projection module of each of these layers."""
    modules = dict(model.named_modules())
    for pattern in MODULES:
        names = {layer: pattern.format(layer=layer) for layer in layers}
        if all(name in modules for name in names.values()):
            return {layer: modules[name] for layer, name in names.items()}
    raise ValueError(f"no modules named like {MODULES}; is this another kind of model?")


def scaling_hook(indices, alpha):
    """A forward pre-hook that multiplies some of a module's inputs by alpha."""

    def hook(module, inputs):
        z = inputs[0]
        if z.shape[-1] != NEURONS_PER_LAYER:
            raise ValueError(f"wanted {NEURONS_PER_LAYER} neurons, found {z.shape[-1]}")
        z = z.clone()  # what others still hold is left as it is
        z[..., indices] = z[..., indices] * alpha
        return (z, *inputs[1:])

    return hook


def scale_neurons(model, alpha, neurons=H_NEURONS):
    """Scale neurons at every token from now on, until the returned handles are removed."""
    return [
        module.register_forward_pre_hook(scaling_hook(neurons[layer], alpha))
        for layer, module in down_projections(model, neurons).items()
    ]


if __name__ == "__main__":
    model = $auto.from_pretrained($arguments)
    model.eval()
    handles = scale_neurons(model, 0.0)
''')


@dataclass(frozen=True)
class ExportedNeurons:
    """Neurons of one checkpoint and their origin."""

    checkpoint: CheckpointInfo
    origin: str
    """Run or file that they come from, in words."""
    layers: Int[np.ndarray, " neurons"]
    index: Int[np.ndarray, " neurons"]
    weights: Float[np.ndarray, " neurons"] | None
    """Weight in the probe; None without weights, when all are H-Neurons."""
    intercept: float | None = None
    """Intercept of the probe; None without one."""
    design: str | None = None
    """Training rows of the probe, `3-vs-1` or `1-vs-1`; None if unknown."""
    C: float | None = None
    """Inverse regularisation strength of the probe; None if unknown."""

    @property
    def positive(self) -> Bool[np.ndarray, " neurons"]:
        """Mask of the H-Neurons."""
        return np.ones(self.layers.size, dtype=bool) if self.weights is None else self.weights > 0

    @property
    def negative(self) -> Bool[np.ndarray, " neurons"]:
        """Mask of the neurons with negative weight."""
        return ~self.positive if self.weights is None else self.weights < 0


def as_json(found: ExportedNeurons) -> str:
    """The toolkit's JSON, a line for each neuron."""
    about = {
        "schema": SCHEMA,
        "checkpoint": {"ref": found.checkpoint.ref, "digest": found.checkpoint.digest},
        "origin": found.origin,
        "design": found.design,
        "C": found.C,
        "intercept": found.intercept,
    }
    lines = ",\n".join("  " + json.dumps(neuron, allow_nan=False) for neuron in _objects(found))
    head = json.dumps(about, ensure_ascii=False, allow_nan=False, indent=1)
    return f'{head[:-2]},\n "neurons": [\n{lines}\n ]\n}}\n'


def _objects(found: ExportedNeurons) -> Iterable[dict[str, object]]:
    names = ("layer", "index") if found.weights is None else ("layer", "index", "weight")
    return (dict(zip(names, row, strict=True)) for row in _rows(found))


def _rows(found: ExportedNeurons) -> Iterable[tuple[object, ...]]:
    columns = [found.layers, found.index, *([] if found.weights is None else [found.weights])]
    return zip(*(column.tolist() for column in columns), strict=True)


def as_csv(found: ExportedNeurons) -> str:
    """A header of layer, index and, if there are weights, weight; then a line for each neuron."""
    header = "layer,index" if found.weights is None else "layer,index,weight"
    return "".join(f"{line}\n" for line in (header, *(",".join(map(repr, row)) for row in _rows(found))))


def as_transformers(found: ExportedNeurons) -> str:
    """Python code that loads the checkpoint with `transformers` and scales the H-Neurons by forward pre-hooks.

    Raises:
        ArchitectureError: The layout of the checkpoint's model type is not known.
    """
    architecture = _architecture(found.checkpoint.model_type)
    down = architecture.projections["down"]
    auto = _auto_class(found.checkpoint.model_type)
    imports, checkpoint, arguments = _loading(found.checkpoint, auto)
    negative = _by_layer(found, found.negative)
    return _SNIPPET.substitute(
        ref=_in_docstring(found.checkpoint.ref),
        origin=_in_docstring(found.origin),
        digest=found.checkpoint.digest,
        imports=imports,
        checkpoint=checkpoint,
        d_m=found.checkpoint.neurons_per_layer,
        stored="stored (out, in)" if down.neurons == "columns" else "stored transposed, as its row j",
        positive=_by_layer(found, found.positive),
        negative=f"# Neurons of negative weight, which speak for a faithful answer.\nNEGATIVE_NEURONS = {negative}\n"
        if negative != "{}"
        else "",
        modules=[
            f"{prefix}{architecture.layer}{down.weight.removesuffix('.weight')}" for prefix in architecture.prefixes
        ],
        auto=auto,
        arguments=arguments,
    )


def _in_docstring(words: str) -> str:
    """Text made safe for a docstring: one line, without quotes and backslashes."""
    return "".join(each if each.isprintable() and each not in '"\\' else "?" for each in words)


def _architecture(model_type: str) -> Architecture:
    known = {kind: architecture for architecture in architectures() for kind in architecture.model_types}
    if model_type not in known:
        raise ArchitectureError(
            f"a model_type out of {', '.join(sorted(known))}",
            found=repr(model_type),
            remedy="describe its layout in a file under provenance/architectures, or export JSON",
        )
    return known[model_type]


def _auto_class(model_type: str) -> str:
    """The auto class of the model: `transformers` does not treat some families with a vision tower as causal models."""
    from transformers.models.auto.modeling_auto import (  # takes seconds, and only this format needs it
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    )

    causal = model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return "AutoModelForCausalLM" if causal else "AutoModelForImageTextToText"


def _loading(checkpoint: CheckpointInfo, auto: str) -> tuple[str, str, str]:
    from provenance.checkpoints.names import CheckpointRef  # brings torch, which JSON and CSV do without

    ref = CheckpointRef.parse(checkpoint.ref)
    imports = f"from transformers import {auto}"
    if ref.kind == "lab":
        imports += "\n\nfrom provenance.checkpoints.names import CheckpointRef, local_folder  # the lab ships with it"
        return imports, f"CHECKPOINT = local_folder(CheckpointRef.parse({checkpoint.ref!r}))", "CHECKPOINT"
    if ref.kind == "local":
        imports = f"from pathlib import Path\n\n{imports}"
        return imports, f"CHECKPOINT = Path({ref.name!r}).expanduser()", "CHECKPOINT"
    defined = f"CHECKPOINT, REVISION = {ref.name!r}, {ref.revision!r}"
    return imports, defined, "CHECKPOINT, revision=REVISION"


def _by_layer(found: ExportedNeurons, chosen: Bool[np.ndarray, " neurons"]) -> str:
    layers = found.layers[chosen]
    lines = [f"    {layer}: {found.index[chosen][layers == layer].tolist()},\n" for layer in np.unique(layers).tolist()]
    return "{\n" + "".join(lines) + "}" if lines else "{}"
