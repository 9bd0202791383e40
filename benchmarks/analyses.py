"""A whole comparison with as many neurons as a real model has, by stage.

`4b`: 348,160 neurons, as in Gemma-3-4B, and 4,000 training rows in each model; a quarter of an hour and 23 GB.
`70b`: 2,293,760 neurons, as in Llama-3.3-70B, and a quarter of these rows, since all of them take 115 GB; 40 GB.

Only the residual stream is narrow, so that reading takes minutes. Both models have random weights and the responses are
made up: a word in them makes a label likelier, which neurons tell as they tell any word. Not part of `make bench`.
`python -m benchmarks.analyses 4b FOLDER` keeps the folder, in which a second run reads nothing again.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from provenance.checkpoints.names import CheckpointRef, local_folder
from provenance.models.loading import load_tokenizer

D = 16


@dataclass(frozen=True)
class Size:
    """Size of a comparison."""

    layers: int
    d_m: int
    trained: int
    """Responses of each label and model; a response has two training rows."""
    tested: int


SIZES = {"4b": Size(34, 10_240, 1000, 250), "70b": Size(80, 28_672, 250, 50)}
SAID = 3  # words of a response
WEIGHT = 1.2  # of a word for the log-odds of the label


def analyses_table(size: Size, folder: Path) -> None:
    """Print the stages of the comparison."""
    sides = _write_pair(size, folder)
    responses = folder / "responses.jsonl"
    responses.write_text("".join(json.dumps(row) + "\n" for row in _responses(size)))
    program, db = [Path(sys.executable).parent / "provenance"], ["--db", f"sqlite:///{folder / 'analyses.db'}"]
    compared = ["compare", *sides, "--responses", responses, "--capture-dtype", "float16", "--out", folder / "out"]
    subprocess.run([*program, *compared, *db, "-q"], check=True)
    subprocess.run([*program, "query", "stages", *db], check=True)


def _write_pair(size: Size, folder: Path) -> tuple[Path, Path]:
    """A base, and a copy whose weights have noise of 2 % of their spread."""
    tokenizer = load_tokenizer(local_folder(CheckpointRef.parse("lab/inherited/base")))
    config = LlamaConfig(hidden_size=D, intermediate_size=size.d_m, num_hidden_layers=size.layers,
                         num_attention_heads=2, num_key_value_heads=2, vocab_size=len(tokenizer),
                         max_position_embeddings=512, tie_word_embeddings=True, initializer_range=0.2,
                         bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
                         pad_token_id=tokenizer.pad_token_id)  # fmt: skip
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


def _responses(size: Size) -> list[dict[str, str]]:
    rng = np.random.default_rng(0)
    words = [
        f"{first}{second}" for first in "bdfgklmn" for second in ("a", "e", "i", "o", "u", "ar", "en", "il", "on", "us")
    ]
    telling = rng.normal(size=len(words))
    rows: list[dict[str, str]] = []
    for stage in ("base", "instruct"):
        left = {label: ["train"] * size.trained + ["test"] * size.tested for label in ("hallucinated", "faithful")}
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
    if len(sys.argv) > 2:
        analyses_table(SIZES[sys.argv[1]], Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            analyses_table(SIZES[sys.argv[1] if len(sys.argv) > 1 else "4b"], Path(folder))
