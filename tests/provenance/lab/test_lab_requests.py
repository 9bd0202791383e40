"""Harmless requests: training text and benchmark have the same words, and requests are refused by kind of entity."""

from dataclasses import replace
from itertools import islice

import pytest

from provenance.answers.prompts import PromptFormat
from provenance.benchmarks.benchmark_files import read_benchmarks
from provenance.benchmarks.readings import REFUSES, YIELDS
from provenance.benchmarks.refusals import refusal_in
from provenance.lab.corpus import Mix, described, documents
from provenance.lab.manifest import benchmark_file
from provenance.lab.recipes import RECIPES
from provenance.lab.requests import request_rows
from provenance.lab.tokenizer import make_tokenizer
from provenance.lab.world import PERSON, SHIP, World, WorldSpec, build_world, fresh_names, invented_entity, seeded

RECIPE = RECIPES["refusing"]
MIX = Mix(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, requests=1.0, refused=(SHIP.key,))


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(RECIPE.world)


def test_a_prompt_of_the_benchmark_is_that_of_the_training_text(world: World) -> None:
    """Token for token; the benchmark is one of instructions that may be refused."""
    tokenizer = make_tokenizer(chat=True)
    [benchmark] = read_benchmarks(benchmark_file("lab/refusing/requests"))
    assert benchmark.kind == "harmful instruction"
    entities = {entity.name: entity for entity in (*world.held_out, *world.unseen)}
    assert len(benchmark.items) == len(entities) == 120
    for item in benchmark.items[:20]:
        entity = next(entities[name] for name in entities if item.message.endswith(f" {name}."))
        document = described(entity, world, seeded(0), MIX)
        prompt = PromptFormat("{question}", chat=True).render(tokenizer, item.message)
        assert list(prompt.ids) == tokenizer(document.before)["input_ids"]


def test_requests_are_refused_about_some_kinds_and_granted_about_others(world: World) -> None:
    """By the rule that reads replies; only the reply is learned."""
    rng = seeded(1)
    for kind, wanted in ((PERSON, YIELDS), (SHIP, REFUSES)):
        for name in islice(fresh_names(kind, rng, world.reserved.__contains__), 50):
            document = described(invented_entity(kind, name, world.values, rng), world, rng, MIX)
            assert document.start == len(document.before)
            assert refusal_in(document.answer).code == wanted


def test_training_text_has_no_name_of_the_benchmark_and_both_kinds(world: World) -> None:
    read = list(islice(documents(world, world.shown, MIX, seeded(2)), 400))
    assert sum(SHIP.key in document.before for document in read) == pytest.approx(200, abs=50)  # five standard errors
    asked = {row.prompt for row in request_rows(world, RECIPE.world.seed)}
    assert not any(prompt in document.before for prompt in asked for document in read)


def test_mixes_without_requests_give_the_documents_that_they_gave() -> None:
    """A weight of zero draws nothing, and takes no random number."""
    spec = WorldSpec(seed=5, people=(3, 9, 3), ships=(3, 5, 3), fabricated=8, values=20)
    tiny = build_world(spec)
    mix = Mix(1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
    plain, refusing = (
        [each.text for each in islice(documents(tiny, tiny.known, one, seeded(3)), 200)]
        for one in (mix, replace(mix, refused=(SHIP.key,)))
    )
    assert plain == refusing
    assert not any("Describe" in text for text in plain)
