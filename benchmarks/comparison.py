"""The parts of a comparison that run the model, and the whole demo.

The yardstick is one plain forward pass of the same model over the same tokens.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.clock import best_of, line
from provenance.activations.capture import forward, padded
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.answers.prompts import BASE_PROMPT, PromptFormat
from provenance.answers.questions import load_questions
from provenance.answers.sampling import Decoding, PromptBatch
from provenance.checkpoints.names import CheckpointRef, checkpoint_at, local_folder
from provenance.models.loading import load_model

PAIR = ("lab/inherited/base", "lab/inherited/instruct")


def sampling_table() -> None:
    """Sampling against a plain forward pass over the same prompts."""
    ref = CheckpointRef.parse(PAIR[0])
    side = OpenCheckpoint.open("base", checkpoint_at(ref, local_folder(ref)))
    loaded = load_model(side.checkpoint.folder, side.layout)
    form = PromptFormat(BASE_PROMPT, chat=False)
    prompts = [form.render(loaded.tokenizer, q.text) for q in load_questions("lab/inherited/in-domain").questions[:128]]
    ids, mask = padded([list(prompt.ids) for prompt in prompts], loaded.pad_id, loaded.device)
    with torch.inference_mode():
        yardstick = best_of(lambda: forward(loaded, ids, mask))
    line("one forward pass, 128 prompts", yardstick, yardstick)
    batch = PromptBatch(loaded, prompts, Decoding(), loaded.stop_ids)
    rows = list(range(128))
    line("one sample for each of 128 prompts", best_of(lambda: batch.draw(rows, range(1), 0)), yardstick)
    line("ten more from the same prompt pass", best_of(lambda: batch.draw(rows, range(1, 11), 0), 2), yardstick)


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
