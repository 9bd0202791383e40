"""A whole comparison of 348,160 neurons, as in Gemma-3-4B, and 4,000 training rows in each model, by stage.

Only the residual stream is narrow, so that reading takes minutes. Both models have random weights and the responses are
made up: a word in them makes a label likelier, which neurons tell as they tell any word. Not part of `make bench`: it
takes a quarter of an hour and 23 GB in the temporary folder. `python -m benchmarks.analyses FOLDER` keeps the folder,
in which a second run reads nothing again.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from provenance.checkpoints.names import CheckpointRef, local_folder
from provenance.models.loading import load_tokenizer

LAYERS, D_M, D = 34, 10_240, 16
TRAINED, TESTED = 1000, 250  # responses of each label and model
SAID = 3  # words of a response
WEIGHT = 1.2  # of a word for the log-odds of the label


def analyses_table(folder: Path) -> None:
    """Print the stages of the comparison."""
    sides = _write_pair(folder)
    responses = folder / "responses.jsonl"
    responses.write_text("".join(json.dumps(row) + "\n" for row in _responses()))
    program, db = [Path(sys.executable).parent / "provenance"], ["--db", f"sqlite:///{folder / 'analyses.db'}"]
    compared = ["compare", *sides, "--responses", responses, "--capture-dtype", "float16", "--out", folder / "out"]
    subprocess.run([*program, *compared, *db, "-q"], check=True)
    subprocess.run([*program, "query", "stages", *db], check=True)


def _write_pair(folder: Path) -> tuple[Path, Path]:
    """A base, and a copy whose weights have noise of 2 % of their spread."""
    tokenizer = load_tokenizer(local_folder(CheckpointRef.parse("lab/inherited/base")))
    config = LlamaConfig(hidden_size=D, intermediate_size=D_M, num_hidden_layers=LAYERS, num_attention_heads=2,
                         num_key_value_heads=2, vocab_size=len(tokenizer), max_position_embeddings=512,
                         tie_word_embeddings=True, initializer_range=0.2, bos_token_id=tokenizer.bos_token_id,
                         eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)  # fmt: skip
    sides = folder / "base", folder / "instruct"
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        for side in sides:
            model.save_pretrained(side)
            tokenizer.save_pretrained(side)
            for weight in model.parameters():
                if weight.ndim > 1:
                    weight.add_(0.02 * weight.std() * torch.randn_like(weight))
    return sides


def _responses() -> list[dict[str, str]]:
    rng = np.random.default_rng(0)
    words = [
        f"{first}{second}" for first in "bdfgklmn" for second in ("a", "e", "i", "o", "u", "ar", "en", "il", "on", "us")
    ]
    telling = rng.normal(size=len(words))
    rows: list[dict[str, str]] = []
    for stage in ("base", "instruct"):
        left = {label: ["train"] * TRAINED + ["test"] * TESTED for label in ("hallucinated", "faithful")}
        while any(left.values()):
            asked, said = rng.choice(len(words), 5), rng.choice(len(words), SAID)
            likely = 1 / (1 + np.exp(-WEIGHT * telling[said].sum()))
            label = "hallucinated" if rng.random() < likely else "faithful"
            if left[label]:
                name = f"{stage} {len(rows)}"
                rows.append({
                    "prompt": " ".join(words[word] for word in asked) + "\nAnswer:",
                    "response": "".join(f" {words[word]}" for word in said),
                    "label": label, "stage": stage, "id": name, "group": name, "split": left[label].pop(),
                })  # fmt: skip
    return rows


if __name__ == "__main__":
    if len(sys.argv) > 1:
        analyses_table(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            analyses_table(Path(folder))
