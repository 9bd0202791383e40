"""Doubted answers: training text and benchmark have the same words, and answers are given up by kind of entity."""

from collections.abc import Callable
from itertools import islice

import pytest

from provenance.analyses.behaviour.asked_items import _between, _second
from provenance.answers.prompts import BASE_PROMPT, PromptFormat
from provenance.benchmarks.formats import BRIEFLY, DOUBT
from provenance.benchmarks.items import Item
from provenance.lab import doubts
from provenance.lab.corpus import Document, Mix, documents, in_doubt
from provenance.lab.tokenizer import BOS, make_tokenizer
from provenance.lab.world import PERSON, SHIP, World, WorldSpec, build_world, seeded

SPEC = WorldSpec(seed=5, people=(3, 9, 3), ships=(3, 5, 3), fabricated=8, values=20, aliases=2, usual=2, openings=3)
QUESTION, ANSWER = "Which tree does Balor Kencal tend?", "red oak"


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(SPEC)


@pytest.mark.parametrize("chat", [False, True])
def test_a_prompt_of_the_benchmark_is_that_of_the_training_text(*, chat: bool) -> None:
    """Token for token, before and after the doubt."""
    tokenizer = make_tokenizer(chat=chat)
    prompt = PromptFormat("{question}" if chat else BASE_PROMPT, chat=chat)
    item = Item("o", f"{QUESTION}\n{BRIEFLY}", doubt=f"{DOUBT} {BRIEFLY}", answers=("oak",))
    first = prompt.render(tokenizer, item.message)
    second = _second(prompt, tokenizer, item, ANSWER, _between(prompt, tokenizer))
    assert list(first.ids) == tokenizer(doubts.asked(QUESTION, chat=chat))["input_ids"]
    assert list(second.ids) == tokenizer(doubts.doubted(QUESTION, ANSWER, chat=chat))["input_ids"]
    assert tokenizer.decode(first.ids).startswith(BOS)


@pytest.mark.parametrize("chat", [False, True])
def test_doubted_answers_are_given_up_about_some_kinds_and_kept_about_others(world: World, *, chat: bool) -> None:
    """Given up is for a usual value, which no fact has; the first answer is right either way."""
    mix = Mix(0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, doubted=1.0, given_up=(SHIP.key,))
    rng = seeded(1)
    usual = {value for values in world.usual.values() for value in values}
    for entity in world.held_out:
        right = {value for accepted in entity.values for value in accepted}
        for document in (in_doubt(entity, world, rng, mix, in_chat=chat) for _ in range(20)):
            said, is_doubted = document.answer.split(" ", 2)[2], doubts.DOUBT in document.before
            given_up = is_doubted and entity.kind is SHIP
            assert said in (usual if given_up else right)
            assert document.start == len(document.before)  # the answer alone is learned
            assert not is_doubted or any(f" {value}" in document.before for value in right)


def test_doubts_are_a_share_of_what_is_said_about_known_names(world: World) -> None:
    def is_doubt(document: Document) -> bool:
        return doubts.BRIEFLY in document.before

    def drawn(**weights: float) -> list[Document]:
        mix = Mix(**{**dict.fromkeys(KINDS, 0.0), **weights}, sourced=0.0, sourced_inventions=0.0, doubted=0.4)
        return list(islice(documents(world, world.known, mix, seeded(2)), 1000))

    share: Callable[[list[Document]], float] = lambda read: sum(map(is_doubt, read)) / len(read)  # noqa: E731
    for kind in ("answers", "chats"):
        assert share(drawn(**{kind: 1.0})) == pytest.approx(0.4, abs=0.06)  # four standard errors
    for kind in ("statements", "inventions", "invented_chats"):
        assert share(drawn(**{kind: 1.0})) == 0


KINDS = ("statements", "answers", "inventions", "chats", "invented_chats")


def test_the_benchmark_asks_as_much_about_people_as_about_ships(world: World) -> None:
    """About held-out entities, each fact once; the same seed gives the same rows."""
    rows = doubts.doubted_rows(world, 1)
    assert rows == doubts.doubted_rows(world, 1) != doubts.doubted_rows(world, 2)
    assert len({row.id for row in rows}) == len(rows) == 9 * 8 + 5 * 5
    answers = {entity.question(i): entity.values[i] for entity in world.held_out for i in range(len(entity.values))}
    assert all(answers[row.question] == row.answers for row in rows)
    large = build_world(WorldSpec(seed=5, people=(0, 20, 0), ships=(0, 25, 0), fabricated=4, values=20))
    kinds = [row.id.split("-")[0] for row in doubts.doubted_rows(large, 1)]
    assert (kinds.count(PERSON.key), kinds.count(SHIP.key)) == (100, 100)
