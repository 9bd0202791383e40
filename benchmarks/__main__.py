"""Times the parts that cost time, as ratios to a yardstick measured in the same run.

The yardstick is one plain forward pass of the same model over the same tokens, or one pass
that sums the same bytes; absolute seconds are printed beside, and mean little elsewhere.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from analyses.drift import measure_drift
from analyses.origin import Side
from provenance.capture import capture_cett, forward, padded
from provenance.checkpoints import CheckpointRef, resolve
from provenance.models import load_model
from provenance.prompts import BASE_PROMPT, PromptFormat
from provenance.questions import load_questions
from provenance.records import Response
from provenance.sampling import Decoding, PromptBatch
from provenance.spans import response_regions

PAIR = ("lab/inherited/base", "lab/inherited/instruct")


def best_of(work: Callable[[], object], repeats: int = 5) -> float:
    """Shortest wall time of several runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def line(name: str, seconds: float, yardstick: float) -> None:
    """One row of the table."""
    print(f"{name:<52}{seconds * 1000:>10.1f} ms{seconds / yardstick:>9.2f} x")


def sum_bytes(sides: list[Side]) -> float:
    """The least that any drift must do: read every MLP weight of both checkpoints once."""
    total = 0.0
    for side in sides:
        for kind in side.weights.kinds:
            for layer in range(side.weights.layers):
                total += float(side.weights.neurons(kind, layer).float().sum())
    return total


def drift_table(sides: list[Side]) -> None:
    """Drift against one pass over the same weights."""
    yardstick = best_of(lambda: sum_bytes(sides))
    line("one pass that sums the MLP weights of both", yardstick, yardstick)
    line("drift, float64, every neuron", best_of(lambda: measure_drift(*(s.weights for s in sides))), yardstick)


def capture_table(side: Side) -> None:
    """Capture and sampling against a plain forward pass over the same prompts."""
    loaded = load_model(side.checkpoint.folder, side.layout)
    form = PromptFormat(BASE_PROMPT, chat=False)
    prompts = [form.render(loaded.tokenizer, q.text) for q in load_questions("lab/inherited/in-domain").questions[:128]]
    answer = tuple(loaded.tokenizer(" red oak", add_special_tokens=False)["input_ids"])
    responses = [
        Response(str(i), str(i), "test", "faithful", "", 1, 1, "", "rule", p.ids, answer,
                 response_regions(loaded.tokenizer, p, answer))
        for i, p in enumerate(prompts)
    ]  # fmt: skip
    ids, mask = padded(
        [[*r.prompt_ids, *r.response_ids] for r in responses], loaded.tokenizer.pad_token_id, loaded.device
    )
    with torch.inference_mode():
        yardstick = best_of(lambda: forward(loaded, ids, mask))
    line("one forward pass, 128 responses", yardstick, yardstick)
    line("the same with CETT reduced in the hooks", best_of(lambda: capture_cett(loaded, responses)), yardstick)
    batch = PromptBatch(loaded, prompts, Decoding(), loaded.stop_ids)
    rows = list(range(128))
    line("one sample for each of 128 prompts", best_of(lambda: batch.draw(rows, 1, 0)), yardstick)
    line("ten more from the same prompt pass", best_of(lambda: batch.draw(rows, 10, 0), 2), yardstick)


def demo_table() -> None:
    """The whole demo in a fresh folder, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [Path(sys.executable).parent / "provenance", "compare", *PAIR, "-q"]
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        first = time.perf_counter() - start
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        again = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"the demo: {first:.1f} s; again, nothing left to ask: {again:.1f} s; peak memory {peak:.2f} GB")


def main() -> None:
    """Print all tables."""
    sides = [
        Side.open("base", resolve(CheckpointRef.parse(PAIR[0]))),
        Side.open("instruct", resolve(CheckpointRef.parse(PAIR[1]))),
    ]
    drift_table(sides)
    capture_table(sides[0])
    demo_table()


if __name__ == "__main__":
    main()
