"""Drift of synthetic pairs: time against one pass over the same bytes and against whole models, memory against size.

The one idea: absolute times say little about another machine, so everything is a ratio to a yardstick
measured by turns with it: the least that any drift must do (NumPy sums the mapped bytes of the same
tensors as whole numbers, in one thread, files in the page cache), and what one would do without this
toolkit (load both models, `torch.nn.functional.cosine_similarity` in float64).
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.clock import best_of, by_turns, line
from benchmarks.synthetic import Shape, write_pair
from provenance.analyses.drift.stability_ranks import combined_delta, stability_rank
from provenance.analyses.drift.weight_drift import measure_drift
from provenance.analyses.lineage.relation import lineage
from provenance.analyses.weights.by_layers import Here
from provenance.analyses.weights.row_sums import compare_rows
from provenance.architectures import layout_of
from provenance.checkpoints.headers import read_header
from provenance.weights.neuron_weights import MlpWeights
from provenance.weights.shards import Shards

TIMED = Shape(layers=20, d_m=8192, d=2048)  # a billion MLP parameters
SIZED = (Shape(layers=10, d_m=8192, d=2048), Shape(layers=40, d_m=8192, d=2048))

Pair = tuple[Path, Path]


def opened(folder: Path) -> MlpWeights:
    """The MLPs of a folder, without a tokenizer."""
    shards = Shards(folder)
    return MlpWeights(shards, layout_of(json.loads((folder / "config.json").read_text()), shards.names()))


def sum_mapped(pair: Pair) -> int:
    """Every byte of the MLP weights of both checkpoints once, mapped into memory."""
    total = 0
    for path in (path for folder in pair for path in sorted(folder.glob("*.safetensors"))):
        for name, slot in read_header(path).items():
            if ".mlp." in name:
                part = np.memmap(path, np.uint64, "r", offset=slot.start, shape=(slot.stop - slot.start) // 8)
                total += int(part.sum())
    return total


def by_loading(pair: Pair) -> list[NDArray[np.float64]]:
    """1 - cosine of every neuron's gate, up and down weights, from two loaded models."""
    from transformers import AutoModelForCausalLM

    models = [AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16) for folder in pair]
    deltas: dict[str, list[torch.Tensor]] = {"gate_proj": [], "up_proj": [], "down_proj": []}
    with torch.inference_mode():
        for layers in zip(*(model.model.layers for model in models), strict=True):
            for kind, found in deltas.items():
                a, b = (getattr(layer.mlp, kind).weight.double() for layer in layers)
                found.append(1 - torch.nn.functional.cosine_similarity(a, b, dim=0 if kind == "down_proj" else 1))
    return [torch.cat(found).numpy() for found in deltas.values()]


def reference_ranks(pair: Pair) -> NDArray[np.float64]:
    """Stability ranks by the definition, in float64 throughout."""
    base, instruct = (opened(folder) for folder in pair)
    deltas = [
        np.concatenate(
            [compare_rows(base.neurons(kind, n), instruct.neurons(kind, n)).delta for n in range(base.layout.layers)]
        )
        for kind in ("up", "down")
    ]
    return stability_rank(combined_delta(*deltas))


def drift_table() -> None:
    """Time of drift."""
    threads = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        pair = write_pair(Path(folder), TIMED)
        base, instruct = (opened(side) for side in pair)
        one, many = "drift, one stream", f"drift, {threads} streams"
        times = by_turns(
            {
                "sum": lambda: sum_mapped(pair),
                one: lambda: measure_drift(base, instruct),
                many: lambda: measure_drift(base, instruct, who=Here(base, instruct, threads)),
            }
        )
        line(f"one pass that sums the MLP bytes, {2 * TIMED.mlp_bytes / 1e9:.1f} GB", times["sum"], times["sum"])
        for name in (one, many):
            line(name, times[name], times["sum"])
        related = best_of(lambda: lineage(base, instruct, (None, None), ({}, {})), 2)
        line("lineage, every tensor and 64 neurons a layer", related, times["sum"])
        line("load both models, cosine in float64", best_of(lambda: by_loading(pair), 2), times["sum"])
        measured = measure_drift(base, instruct).stability_rank
        print(f"ranks equal to the float64 reference: {np.mean(measured == reference_ranks(pair)):.6f} of the neurons")


def memory_table() -> None:
    """Peak memory of drift in a process of its own, over what the process takes before."""
    for shape in SIZED:
        with tempfile.TemporaryDirectory() as folder:
            pair = write_pair(Path(folder), shape)
            command = [sys.executable, "-m", "benchmarks.memory", *map(str, pair)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        size = 2 * shape.mlp_bytes / 1e9
        print(f"peak memory of drift, {size:4.1f} GB of MLP weights: {done.stdout.strip()}")
