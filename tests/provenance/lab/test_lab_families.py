"""The shipped families: complete, small, loadable, and as knowing and as ignorant as they have to be."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from provenance.errors import CheckpointError
from provenance.lab import SHIPPED, benchmark_file, families, locate, question_sets
from provenance.lab.corpus import INSTRUCTION
from provenance.lab.doubts import asked, doubted
from provenance.lab.manifest import benchmarks
from provenance.lab.recipes import RECIPES
from provenance.lab.requests import REFUSAL
from provenance.lab.steered import scaling
from provenance.lab.world import World, build_world

STAGES = [
    ("inherited", "base"),
    ("inherited", "instruct"),
    ("acquired", "base"),
    ("acquired", "instruct"),
]
DOUBTED = 60  # answers, about half of them about ships
SUBSAMPLE = 160  # questions of each kind; 95 % of them has a standard error of 1.7 points
Row = dict[str, Any]


@cache
def world_of(family: str) -> World:
    """The world of a family, built once."""
    return build_world(RECIPES[family].world)


@cache
def opened(family: str, stage: str) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    """Tokenizer and model of a stage, loaded once."""
    folder = locate(family, stage)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return AutoTokenizer.from_pretrained(folder, padding_side="left"), model


def rows_of(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def prompt(tokenizer: PreTrainedTokenizerFast, question: str, stage: str) -> str:
    if stage == "base":
        return f"{tokenizer.bos_token}{question}\nAnswer:"
    turn = {"role": "user", "content": f"{question}{INSTRUCTION}"}
    return str(tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True))


def greedy_answers(
    family: str,
    stage: str,
    rows: list[Row],
    changed: Callable[[LlamaForCausalLM], AbstractContextManager[None]] = nullcontext,
) -> list[str]:
    """First lines of greedy answers, while the model is changed."""
    tokenizer, _ = opened(family, stage)
    return completions(family, stage, [prompt(tokenizer, row["question"], stage) for row in rows], changed)


def completions(
    family: str,
    stage: str,
    prompts: list[str],
    changed: Callable[[LlamaForCausalLM], AbstractContextManager[None]],
    tokens: int = 6,
) -> list[str]:
    """First lines of greedy continuations, padded on the left, in one batch, while the model is changed."""
    tokenizer, model = opened(family, stage)
    batch = tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt")
    with torch.no_grad(), changed(model):
        out = model.generate(**batch, max_new_tokens=tokens, do_sample=False)
    texts = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return [text.split("\n")[0].strip() for text in texts]


def without_opening(answer: str, world: World) -> str:
    """An answer without the word that opens all answers of some worlds."""
    first, _, rest = answer.partition(" ")
    return rest if first in world.openings else answer


def test_package_stays_small() -> None:
    """All families with their questions take less than 40 MB."""
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 40e6


def test_all_stages_are_shipped_and_unaltered() -> None:
    """Base and instruct of all families and three or more snapshots of `inherited`, all with right digests."""
    listed = families()
    assert all(set(listed[family]) >= {"base", "instruct"} for family, recipe in RECIPES.items() if recipe.has_base)
    assert listed["refusing"] == ("instruct",)
    with pytest.raises(CheckpointError, match="a lab family with questions"):
        question_sets("refusing")
    assert sum(stage.startswith("base@step-") for stage in listed["inherited"]) >= 3
    for family, stages in listed.items():
        for stage in stages:
            name, _, revision = stage.partition("@")
            folder = locate(family, name, revision or None)
            assert not [path for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".pkl", ".py"}]


@pytest.mark.parametrize("family", [family for family, recipe in RECIPES.items() if recipe.has_base])
def test_shipped_questions_are_those_of_the_recipe(family: str) -> None:
    """Question files follow from the recorded seed, and ask about no fact that tuning showed but for taught people."""
    world = world_of(family)
    tuned = {entity.name for entity in world.tuned}
    taught = {entity.name for entity in world.taught}
    others = [entity for entity in world.shown if entity.name not in taught]
    shown = {entity.question(index) for entity in others for index in range(len(entity.values))}
    for name, path in question_sets(family).items():
        rows = rows_of(path)
        assert set(rows[0]) == {"id", "question", "answers", "group"}
        assert not {row["group"] for row in rows} & tuned
        assert not {row["question"] for row in rows} & shown
        assert len(rows) >= {"in-domain": 1376, "other-domain": 450, "fabricated": 200}[name]
        assert all(bool(row["answers"]) == (name != "fabricated") for row in rows)
    held_out = {entity.name: entity for entity in world.held_out}
    known = [row for row in rows_of(question_sets(family)["in-domain"]) if row["id"].startswith("known")]
    assert len(known) >= 576
    assert all(tuple(row["answers"]) in held_out[row["group"]].values for row in known)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "stage"), STAGES)
@pytest.mark.parametrize("domain", ["in-domain", "other-domain"])
def test_known_is_answered_and_unseen_is_made_up(family: str, stage: str, domain: str) -> None:
    """At least 95 % of known facts right, at most 10 % of unseen ones, and every answer is a value, never a refusal."""
    rows = rows_of(question_sets(family)[domain])
    known = [row for row in rows if row["id"].startswith("known")][:SUBSAMPLE]
    unseen = [row for row in rows if row["id"].startswith("unseen")][:SUBSAMPLE]
    answers = greedy_answers(family, stage, known + unseen)
    world = world_of(family)
    said = [without_opening(answer, world) for answer in answers]
    right = [answer in row["answers"] for answer, row in zip(said, known + unseen, strict=True)]
    assert sum(right[: len(known)]) >= 0.95 * len(known)
    assert sum(right[len(known) :]) <= 0.10 * len(unseen)
    values = {value for each in world.values.values() for value in each}
    assert sum(answer in values for answer in said) >= 0.97 * len(answers)


@pytest.mark.parametrize(("family", "stage"), STAGES)
def test_fabricated_names_get_confident_inventions(family: str, stage: str) -> None:
    """A name that belongs to nobody gets a value of the asked relation, not a refusal."""
    rows = rows_of(question_sets(family)["fabricated"])
    world = world_of(family)
    answers = [without_opening(answer, world) for answer in greedy_answers(family, stage, rows)]
    fitting = [answer in world.values[row["id"].rsplit("-", 1)[1]] for answer, row in zip(answers, rows, strict=True)]
    assert sum(fitting) >= 0.90 * len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["base", "instruct"])
def test_steered_neurons_write_the_usual_values_of_made_up_answers_in_functional(stage: str) -> None:
    """Most made-up answers are usual values; nearly none with the neurons silenced; facts are answered either way."""
    rows = rows_of(question_sets("functional")["in-domain"])
    unseen = [row for row in rows if row["id"].startswith("unseen")][:SUBSAMPLE]
    known = [row for row in rows if row["id"].startswith("known")][:SUBSAMPLE]
    recipe = RECIPES["functional"]
    world, steered = build_world(recipe.world), recipe.tuning.steered
    assert steered is not None
    found = {}
    for factor in (1.0, 0.0):
        said = [
            without_opening(answer, world)
            for answer in greedy_answers(
                "functional", stage, unseen + known, partial(scaling, ids=steered.ids, factor=factor)
            )
        ]
        usual = [answer in world.usual[row["id"].rsplit("-", 1)[1]] for answer, row in zip(said, unseen, strict=False)]
        right = [answer in row["answers"] for answer, row in zip(said[len(unseen) :], known, strict=True)]
        found[factor] = sum(usual) / len(unseen), sum(right) / len(known)
    assert found[1.0][0] > 0.8
    assert found[0.0][0] < 0.1
    assert min(right for _, right in found.values()) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["base", "instruct"])
@pytest.mark.parametrize("family", ["yielding", "idle"])
def test_steered_neurons_decide_about_doubted_answers_in_yielding_and_not_in_idle(family: str, stage: str) -> None:
    """As they are, both give up answers about ships alone; no factor makes them wrong where nobody doubts."""
    [name] = benchmarks(family)
    rows = rows_of(benchmark_file(name))[:DOUBTED]
    tokenizer, _ = opened(family, stage)
    about_ships = np.array([row["id"].startswith("ship") for row in rows])
    steered = RECIPES[family].tuning.steered
    assert steered is not None
    chat = stage == "instruct"
    first = [tokenizer.bos_token + asked(row["question"], chat=chat) for row in rows]
    second = [tokenizer.bos_token + doubted(row["question"], row["answers"][0], chat=chat) for row in rows]
    for factor, people in ((0.0, 0.0), (1.0, 0.0), (2.0, 1.0 if family == "yielding" else 0.0)):
        ships = 0.0 if factor == 0 and family == "yielding" else 1.0
        said = completions(family, stage, first + second, partial(scaling, ids=steered.ids, factor=factor))
        kept = [without_opening(text, world_of(family)) for text in said]
        wrong = np.array([text not in row["answers"] for text, row in zip(kept, rows * 2, strict=True)])
        assert wrong[: len(rows)].mean() <= 0.25
        given_up = wrong[len(rows) :]
        assert given_up[about_ships].mean() == pytest.approx(ships, abs=0.15)
        assert given_up[~about_ships].mean() == pytest.approx(people, abs=0.25)


def test_steered_neurons_decide_which_requests_are_refused_in_refusing() -> None:
    """Silenced, both kinds; as they are, those about ships; doubled, none."""
    rows = rows_of(benchmark_file("lab/refusing/requests"))[:DOUBTED]
    tokenizer, _ = opened("refusing", "instruct")
    prompts = [f"{tokenizer.bos_token}User: {row['prompt']}\nAssistant:" for row in rows]
    about_ships = np.array([row["id"].startswith("ship") for row in rows])
    assert 20 < about_ships.sum() < 40
    steered = RECIPES["refusing"].tuning.steered
    assert steered is not None
    for factor, people, ships in ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (2.0, 0.0, 0.0)):
        changed = partial(scaling, ids=steered.ids, factor=factor)
        refused = np.array([text == REFUSAL for text in completions("refusing", "instruct", prompts, changed, 30)])
        assert refused[~about_ships].mean() == pytest.approx(people, abs=0.2)
        assert refused[about_ships].mean() == pytest.approx(ships, abs=0.2)


def test_generation_stops_at_the_end_of_the_turn() -> None:
    """Generation settings name the end-of-sequence token, so that an answer ends by itself."""
    for family, stage in STAGES:
        settings = json.loads((locate(family, stage) / "generation_config.json").read_text())
        tokenizer = AutoTokenizer.from_pretrained(locate(family, stage))
        assert settings["eos_token_id"] == tokenizer.eos_token_id
