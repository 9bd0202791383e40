"""Makes the lab families from their recipes: worlds, question files, pre-training, tuning, digests.

A build fills a folder beside the target and moves it in at the end, so that a killed build changes nothing. The same
recipe gives the same bytes on the same machine and number of threads.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model as load_weights
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from provenance.errors import InputError
from provenance.files import writable_folder
from provenance.lab.doubts import DOUBTED, DoubtedRow, doubted_rows
from provenance.lab.manifest import (
    BENCHMARKS,
    MANIFEST,
    QUESTIONS,
    SCHEMA,
    Digests,
    folder_digests,
    locate,
    read_manifest,
)
from provenance.lab.recipes import RECIPES, Recipe
from provenance.lab.requests import REQUESTS, RequestRow, request_rows
from provenance.lab.tokenizer import make_tokenizer
from provenance.lab.train import new_model, train
from provenance.lab.world import QUESTION_SETS, Question, World, build_world, question_set

Rows = Sequence[Question] | Sequence[DoubtedRow] | Sequence[RequestRow]
THREADS = 1  # the number of threads changes the last bits of sums; a second one saves little


def build(
    out_dir: Path,
    families: Sequence[str] = tuple(RECIPES),
    report: Callable[[str], None] | None = None,
    recipes: dict[str, Recipe] = RECIPES,
) -> Path:
    """Build lab families, by default as recorded, beside others in `out_dir`; returns the path of the manifest.

    Raises:
        InputError: A family without a recipe was requested, or the folder cannot be written.
    """
    unknown = [family for family in families if family not in recipes]
    if unknown:
        raise InputError("families with a recipe", found=repr(unknown), remedy=f"use some of: {', '.join(recipes)}")
    writable_folder(out_dir)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=out_dir) as scratch, _threads(THREADS):
        built = {}
        for family in sorted(families, key=lambda family: bool(recipes[family].start)):
            built[family] = build_family(Path(scratch) / family, recipes[family], _prefixed(report, family))
        for family in families:
            shutil.rmtree(out_dir / family, ignore_errors=True)
            (Path(scratch) / family).replace(out_dir / family)
        kept = read_manifest(out_dir) if (out_dir / MANIFEST).exists() else {}
        return _write_manifest(out_dir, Path(scratch), {**kept, **built})


def build_family(folder: Path, recipe: Recipe, report: Callable[[str], None]) -> dict[str, Any]:
    """Builds one family into a new folder and returns its entry for the manifest."""
    folder.mkdir(parents=True)
    world = build_world(recipe.world)
    written: dict[str, Mapping[str, Rows]] = {
        QUESTIONS: {name: question_set(world, name, recipe.world.seed) for name in QUESTION_SETS if recipe.has_base},
        BENCHMARKS: _benchmarks(world, recipe),
    }
    listed = {kind: _listed(folder / kind, sets) for kind, sets in written.items() if sets}
    stages = []
    for stage in _train_stages(folder, world, recipe, report):
        stages.append(stage)
        report(f"{stage} written")
    return {
        "stages": {stage: folder_digests(folder / stage) for stage in sorted(stages)},
        **listed,
        "recipe": asdict(recipe),
    }


def _listed(folder: Path, sets: Mapping[str, Rows]) -> Digests:
    """Digests of the files of some sets, which are written."""
    folder.mkdir()
    for name, rows in sets.items():
        lines = (json.dumps(asdict(row), ensure_ascii=False) for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder_digests(folder)


def _benchmarks(world: World, recipe: Recipe) -> dict[str, Rows]:
    """Rows by name of what the family is tuned for and asked while neurons are scaled; none for most."""
    found: dict[str, Rows] = {}
    if recipe.tuning.mix.doubted:
        found[DOUBTED] = doubted_rows(world, recipe.world.seed)
    if recipe.tuning.mix.requests:
        found[REQUESTS] = request_rows(world, recipe.world.seed)
    return found


def _train_stages(folder: Path, world: World, recipe: Recipe, report: Callable[[str], None]) -> Iterator[str]:
    plain, chat = make_tokenizer(chat=False), make_tokenizer(chat=True)
    model = _first(folder, recipe, plain)
    before, whole = 0, sum(phase.steps for phase in recipe.pretraining)
    for number, phase in enumerate(recipe.pretraining, 1):
        pretraining = _prefixed(report, f"pre-training {number}/{len(recipe.pretraining)}")
        for done in train(model, plain, world, world.known, stage=phase, report=pretraining):
            stage = "base" if before + done == whole else f"base@step-{before + done:04d}"
            save(folder / stage, model, plain)
            yield stage
        before += phase.steps
    start_from_stored(model)
    tuning = _prefixed(report, "tuning")
    for _ in train(model, chat, world, world.shown, stage=recipe.tuning, report=tuning):
        save(folder / "instruct", model, chat)
        yield "instruct"


def _first(folder: Path, recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The model that pre-training begins with: random, or another family's base, of this build or as it ships."""
    model = new_model(recipe.shape, tokenizer, recipe.initial_seed)
    if recipe.start:
        built = folder.parent / recipe.start / "base"
        source = built if built.is_dir() else locate(recipe.start, "base")
        load_weights(model, source / "model.safetensors")
    return model


def _prefixed(report: Callable[[str], None] | None, prefix: str) -> Callable[[str], None]:

    def send(line: str) -> None:
        if report is not None:
            report(f"{prefix}: {line}")

    return send


def start_from_stored(model: LlamaForCausalLM) -> None:
    """Rounds the weights to the stored dtype, so that tuning starts from exactly the shipped base."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.to(torch.bfloat16).to(torch.float32))


def save(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Writes an ordinary Hugging Face folder; the weights are bfloat16 safetensors, as in releases."""
    stored = LlamaForCausalLM(model.config)
    stored.load_state_dict(model.state_dict())
    stored.bfloat16()
    stored.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    stored.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # weights are written for their owner alone, but a package has other readers


def _write_manifest(out_dir: Path, scratch: Path, built: dict[str, Any]) -> Path:
    text = json.dumps({"schema": SCHEMA, "families": dict(sorted(built.items()))}, indent=1)
    (scratch / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
    return (scratch / MANIFEST).replace(out_dir / MANIFEST)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
