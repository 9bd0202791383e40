"""The real pair: Gemma 3 270M and its tuned child. Runs where PROVENANCE_REAL_DIR names their folder."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_factory import local_checkpoint

from provenance.activations.capture import down_projections, forward, hooked, padded
from provenance.analyses.asking.models import OpenCheckpoint, relate
from provenance.analyses.drift.weight_drift import measure_drift
from provenance.answers.prompts import INSTRUCT_PROMPT, PromptFormat
from provenance.answers.spans import response_regions
from provenance.models.loading import load_model
from provenance.records import Stage

FOLDER = Path(os.environ.get("PROVENANCE_REAL_DIR") or "/nowhere")
QUESTIONS = Path(os.environ.get("PROVENANCE_DATA_DIR") or "/nowhere") / "triviaqa-dev.jsonl"
pytestmark = [
    pytest.mark.costly,
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("PROVENANCE_REAL_DIR"), reason="PROVENANCE_REAL_DIR is not set"),
]


@cache
def side(stage: Stage) -> OpenCheckpoint:
    """One of the pair, which keeps its tokenizer: reading it takes three seconds."""
    name = {"base": "gemma-3-270m", "instruct": "gemma-3-270m-qa"}[stage]
    opened = OpenCheckpoint.open(stage, local_checkpoint(FOLDER / name))
    assert opened.tokenizer.is_fast
    return opened


def test_the_child_is_a_descendant() -> None:
    base, child = side("base"), side("instruct")
    found = relate(base, child, seed=0)
    assert found.verdict == "descendant"
    assert found.self_match > 0.99
    assert found.same_tokenizer


def test_drift_is_small_and_above_the_rounding_floor() -> None:
    drift = measure_drift(side("base").weights, side("instruct").weights)
    assert drift.delta.size == 18 * 2048
    assert 0 < np.median(drift.delta_up) < 0.01  # a short low-rank tuning
    assert np.median(drift.delta_up) > drift.rounding_floor
    assert np.unique(drift.stability_rank).size > 0.99 * drift.stability_rank.size


def test_one_bos_and_the_question_in_its_place() -> None:
    tokenizer = side("instruct").tokenizer
    for prompt_format in (PromptFormat(INSTRUCT_PROMPT, chat=True), PromptFormat("{question}\nAnswer:", chat=False)):
        prompt = prompt_format.render(tokenizer, "What's the capital of Österreich?")
        assert prompt.ids.count(tokenizer.bos_token_id) == 1
        [question] = [r for r in prompt.regions if r.name == "question"]
        assert "capital of Österreich" in tokenizer.decode(list(prompt.ids[question.start : question.stop]))


def test_spans_survive_sentencepiece_bytes() -> None:
    tokenizer = side("instruct").tokenizer
    prompt = PromptFormat("{question}\nAnswer:", chat=False).render(tokenizer, "Who?")
    ids = tokenizer(" Neferતિti's 🚁𓀀.", add_special_tokens=False)["input_ids"]
    regions = response_regions(tokenizer, prompt, ids)
    [answer] = [r for r in regions if r.name == "answer"]
    text = tokenizer.decode(ids[answer.start - len(prompt.ids) : answer.stop - len(prompt.ids)])
    assert text.strip().rstrip(".") == "Neferતિti's 🚁𓀀"


def test_contributions_add_up_to_the_output_on_real_weights() -> None:
    """sum_j z_j W_down[:, j] = h, and Gemma's norms after the MLP are not part of h."""
    base = side("base")
    loaded = load_model(base.checkpoint.folder, base.layout, tokenizer=base.tokenizer)
    ids, mask = padded([loaded.tokenizer("The capital of France is Paris")["input_ids"]], 0, loaded.device)
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    with torch.inference_mode(), hooked(loaded, lambda layer, z, h: seen.__setitem__(layer, (z[0], h[0]))):
        forward(loaded, ids, mask)
    assert sorted(seen) == list(range(18))
    for layer, module in enumerate(down_projections(loaded)):
        z, h = (t.double() for t in seen[layer])
        total = z @ module.weight.detach().double().T
        assert float((total - h).norm() / h.norm()) < 1e-5  # float32 forward


@pytest.mark.slow
@pytest.mark.skipif(not QUESTIONS.is_file(), reason="PROVENANCE_DATA_DIR has no triviaqa-dev.jsonl")
def test_a_small_comparison_runs_to_the_end(tmp_path: Path) -> None:
    """48 questions: too few for a verdict, enough for every stage to run on real weights."""
    few = ["--limit", "48", "--samples", "2", "--test-per-class", "8", "--train-per-class", "8"]
    quick = [
        "--dtype",
        "bfloat16",
        "--max-new-tokens",
        "8",
        "--base-prompt",
        "Question: {question}\\nAnswer:",
        "--quick",
    ]
    pair = [FOLDER / "gemma-3-270m", FOLDER / "gemma-3-270m-qa"]
    program = Path(sys.executable).parent / "provenance"
    command = [program, "compare", *pair, "--questions", QUESTIONS, *few, *quick, "--json", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["neurons"]["total"] == 18 * 2048
    assert summary["lineage"]["verdict"] == "descendant"
    asked = {(row["stage"], row["split"]): row["asked"] for row in summary["funnel"].values()}
    assert set(asked) == {(stage, split) for stage in ("base", "instruct") for split in ("train", "test")}
    assert all(row["captured"]["hallucinated"] > 0 for row in summary["funnel"].values())
    assert summary["verdict"]["transfer"] in {"supported", "not distinguishable", "no power"}
    assert (tmp_path / "provenance-out" / "latest" / "figure_4b.pdf").is_file()
