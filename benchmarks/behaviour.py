"""Scaled neurons: many arms asked the same items, against one plain pass an arm and against `generate` arm by arm.

`PROVENANCE_REAL_DIR` and `PROVENANCE_DATA_DIR` name folders with gemma-3-270m and `behaviour/misleading-context.jsonl`;
without them the lab base is asked made-up items, and is so small that the cost around it decides.
"""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.clock import by_turns, line
from provenance.activations.capture import padded
from provenance.activations.scaling import edited
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.arm_passes import scores_of
from provenance.analyses.behaviour.arms import Scaling
from provenance.analyses.behaviour.asked_items import Asked
from provenance.analyses.behaviour.reply_passes import replies_of
from provenance.analyses.jobs.intervene_job import InterveneJob
from provenance.benchmarks.benchmark_files import read_benchmarks
from provenance.benchmarks.option_scores import option_scores
from provenance.records import Task

ITEMS, SETS, NEURONS = 32, 4, 16
ALPHAS = (0.0, 2.0, 3.0)
USUAL_BATCH = 8  # of a loop with `generate`
NEW_TOKENS = 32


class Forgetful(Subject):
    """A model whose arms are computed each time, and kept nowhere."""

    def remembered(self, task: Task, compute: Callable[[], np.ndarray]) -> np.ndarray:  # noqa: ARG002 - as in Subject
        """What is computed now."""
        return compute()


class Quiet:
    """Shows no progress."""

    def stage(self, name: str) -> None:
        """Nothing."""

    def step(self, done: int, total: int, detail: str = "") -> None:
        """Nothing."""


def behaviour_table() -> None:
    """Print the cost of arms of options and of free replies."""
    with tempfile.TemporaryDirectory() as folder:
        subject, asked = _asked(Path(folder))
        layers, d_m = subject.layout.layers, subject.layout.d_m
        for name, first in (("any layer", 0), ("the upper half", layers // 2)):
            rng = np.random.default_rng(0)
            sets = [np.sort(rng.choice(np.arange(first * d_m, layers * d_m), NEURONS, False)) for _ in range(SETS)]
            arms = [Scaling(ids, alpha) for ids in sets for alpha in ALPHAS]
            print(f"{len(asked.items)} items, {len(arms)} arms that scale {NEURONS} neurons of {name}")
            _options(subject, asked, arms)
            _replies(subject, asked, arms)


def _options(subject: Subject, asked: Asked, arms: Sequence[Scaling]) -> None:
    loaded = subject.model()
    times = by_turns(
        {
            "plain": lambda: option_scores(loaded, asked.options),
            "arms": lambda: scores_of(subject, asked, arms),
            "loop": lambda: _loop(subject, asked, arms[:1], 1),
        },
        3,
    )
    line("options: one plain pass over the items", times["plain"], times["plain"])
    line("one arm, on the average of all", times["arms"] / len(arms), times["plain"])
    line("one arm by `generate` in batches of 8, one token", times["loop"], times["plain"])


def _replies(subject: Subject, asked: Asked, arms: Sequence[Scaling]) -> None:
    times = by_turns(
        {
            "plain": lambda: replies_of(subject, asked, [Scaling(arms[0].ids, 1.0)]),
            "arms": lambda: replies_of(subject, asked, arms),
            "loop": lambda: _loop(subject, asked, arms[:1], NEW_TOKENS),
        },
        1,
    )
    line(f"replies of {NEW_TOKENS} tokens: the plain model", times["plain"], times["plain"])
    line("one arm, on the average of all", times["arms"] / len(arms), times["plain"])
    line("one arm by `generate` in batches of 8", times["loop"], times["plain"])


@torch.inference_mode()
def _loop(subject: Subject, asked: Asked, arms: Sequence[Scaling], new_tokens: int) -> None:
    """The plain way: `generate` for each arm, in batches padded on the left."""
    loaded = subject.model()
    rows = [list(prompt.ids) for prompt in asked.prompts]
    for arm in arms:
        for start in range(0, len(rows), USUAL_BATCH):
            part = rows[start : start + USUAL_BATCH]
            ids, mask = (torch.flip(each, [1]) for each in padded([row[::-1] for row in part], loaded.pad_id, "cpu"))
            with edited(loaded, arm.edits(loaded, range(len(part)))):
                loaded.model.generate(
                    input_ids=ids, attention_mask=mask, max_new_tokens=new_tokens, min_new_tokens=new_tokens,
                    do_sample=False, pad_token_id=loaded.pad_id,
                )  # fmt: skip


def _asked(folder: Path) -> tuple[Subject, Asked]:
    real, data = (os.environ.get(f"PROVENANCE_{name}_DIR") for name in ("REAL", "DATA"))
    file = Path(data) / "behaviour" / "misleading-context.jsonl" if data else _made_up(folder / "misled.jsonl")
    job = InterveneJob(
        f"{real}/gemma-3-270m" if real else "lab/inherited/base", folder / "no list", (file,),
        max_new_tokens=NEW_TOKENS, dtype="bfloat16" if real else "float32", device="cpu", batch_size=ITEMS,
    )  # fmt: skip
    side = job.open()
    subject = Forgetful(side, job.settings(side), (), None, Clock(Quiet()))  # type: ignore[arg-type]  # nothing is kept
    [benchmark] = read_benchmarks(file)
    items = tuple(item for item in benchmark.items if len(item.message) < 600)[:ITEMS]
    prompts = [subject.settings.prompt.render(subject.tokenizer, item.message) for item in items]
    return subject, Asked.of(benchmark, items, prompts, subject.tokenizer)


def _made_up(file: Path) -> Path:
    rows = [
        {"id": f"m{n}", "question": f"Is place {n} a town?", "context": f"It is said that place {n} is none.",
         "answer": "yes", "context_says": "no"}
        for n in range(ITEMS)
    ]  # fmt: skip
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return file


if __name__ == "__main__":
    behaviour_table()
