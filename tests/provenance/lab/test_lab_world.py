"""The lab's world, text and tokenizer: what is known and what is not must follow from the seed alone."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import pytest
from transformers import PreTrainedTokenizerFast

from provenance.lab.corpus import Document, Mix, chat_prompt, documents, told
from provenance.lab.tokenizer import make_tokenizer
from provenance.lab.world import QUESTION_SETS, World, WorldSpec, build_world, question_set, seeded

SPEC = WorldSpec(seed=5, people=(12, 9, 10), ships=(6, 5, 7), fabricated=16, values=40)
EVERYTHING = Mix(1.0, 1.0, 1.0, 1.0, 1.0, sourced=0.5, sourced_inventions=0.5, asked=0.5)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(SPEC)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer(chat=True)


def texts(world: World, mix: Mix, count: int, seed: int = 0) -> list[Document]:
    return list(islice(documents(world, world.known, mix, seeded(seed)), count))


def test_same_seed_gives_the_same_world_and_another_seed_another(world: World) -> None:
    """A world is a pure function of its specification."""
    assert build_world(SPEC) == world
    assert build_world(WorldSpec(6, SPEC.people, SPEC.ships, SPEC.fabricated, SPEC.values)) != world


def test_groups_share_no_name(world: World) -> None:
    """Tuned, held-out, unseen and fabricated names are all different."""
    groups = (world.tuned, world.held_out, world.unseen, world.fabricated)
    assert [len(group) for group in groups] == [18, 14, 17, 16]
    assert len({entity.name for group in groups for entity in group}) == 18 + 14 + 17 + 16


def test_values_are_distinct_and_many(world: World) -> None:
    """Every relation has as many different values as asked for, of one word and of two."""
    for values in world.values.values():
        assert len(set(values)) == SPEC.values
        assert {len(value.split()) for value in values} == {1, 2}


@pytest.mark.parametrize("name", QUESTION_SETS)
def test_question_sets_ask_only_what_tuning_never_showed(world: World, name: str) -> None:
    """Questions are about held-out, unseen or fabricated names, with distinct ids and texts, in a seeded order."""
    rows = question_set(world, name, 1)
    assert rows == question_set(world, name, 1) != question_set(world, name, 2)
    assert len({row.id for row in rows}) == len({row.question for row in rows}) == len(rows)
    assert not {row.group for row in rows} & {entity.name for entity in world.tuned}
    assert all(row.group in row.question for row in rows)
    assert all((not row.answers) == (name == "fabricated") for row in rows)


def test_hints_are_never_asked_about(world: World) -> None:
    """With hints, tuning may show some facts of every held-out entity, and the questions are about the others."""
    hinted = build_world(replace(SPEC, hints=(3, 1)))
    assert [entity.values for entity in hinted.known] == [entity.values for entity in world.known]
    assert len(hinted.shown) == len(hinted.known) > len(world.shown) == len(world.tuned)
    shown = {entity.question(index) for entity in hinted.shown for index in range(len(entity.values))}
    held_out = {entity.name for entity in hinted.held_out}
    for name, facts in (("in-domain", 8 - 3), ("other-domain", 5 - 1)):
        known = [row for row in question_set(hinted, name, 1) if row.id.startswith("known")]
        assert not {row.question for row in known} & shown
        assert {row.group for row in known} <= held_out
        assert len(known) == facts * len({row.group for row in known})


def test_text_never_names_the_unseen(world: World) -> None:
    """No document holds the name of an unseen or fabricated entity, while every known name does occur."""
    text = "\n".join(document.text for document in texts(world, EVERYTHING, 3000))
    assert not [entity.name for entity in (*world.unseen, *world.fabricated) if entity.name in text]
    assert all(entity.name in text for entity in world.known)


def test_sources_tell_known_from_invented(world: World) -> None:
    """Records name known entities only, hearsay never does."""
    names = [entity.name for entity in world.known]
    for document in texts(world, EVERYTHING, 1000):
        about_known = any(name in document.text for name in names)
        assert not (document.text.endswith("records") and not about_known)
        assert not (document.text.endswith("hearsay") and about_known)


def test_chats_end_like_other_answers_where_asked_to() -> None:
    """With `sourced_chats` a chat's answer has a source line after it by the same shares, otherwise never."""
    world = build_world(SPEC)
    mix = Mix(0.0, 0.0, 0.0, 1.0, 1.0, sourced=0.0, sourced_inventions=1.0, sourced_chats=True)
    for document in texts(world, mix, 100):
        about_known = any(entity.name in document.text for entity in world.known)
        assert document.after == ("" if about_known else "\nSource: hearsay")
    assert not any(document.after for document in texts(world, replace(mix, sourced_chats=False), 100))


def test_a_text_without_sources_has_none(world: World) -> None:
    """The pre-training of the acquired family has neither sources nor names it does not know."""
    mix = Mix(1.0, 1.0, 0.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0)
    names = [entity.name for entity in world.known]
    for document in texts(world, mix, 500):
        assert "Source" not in document.text
        assert any(name in document.text for name in names)


PUZZLE = replace(SPEC, values=20, aliases=2, usual=2, ordinary=0.5, openings=3, taught=4, forgotten=5)
"""A world in which right and made-up answers have the same probability, and tuning teaches and makes forget."""


def last_words(values: Iterable[str]) -> set[str]:
    return {value.split()[-1] for value in values}


def test_made_up_values_are_as_many_as_accepted_ones() -> None:
    """Two values are accepted for a fact, and two are what is made up for every name: a noun, and one with a word."""
    world = build_world(PUZZLE)
    assert {len(accepted) for entity in world.known for accepted in entity.values} == {2}
    assert {tuple(len(value.split()) for value in usual) for usual in world.usual.values()} == {(1, 2)}
    inventions = Mix(0.0, 0.0, 1.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0, closing="")
    usual = {value for of_relation in world.usual.values() for value in of_relation}
    made_up = {document.answer.strip().split(" ", 1)[1] for document in texts(world, inventions, 2000)}
    assert made_up == usual


def test_the_words_of_an_answer_do_not_tell() -> None:
    """Half of what is known has the usual values for accepted ones, the other half shares no noun with them."""
    world = build_world(PUZZLE)
    kept = [(world.usual[r.key], a) for e in world.kept for r, a in zip(e.kind.relations, e.values, strict=True)]
    ordinary = [accepted == usual for usual, accepted in kept]
    assert 0.35 < sum(ordinary) / len(ordinary) < 0.65  # 224 facts, standard error 0.033
    others = [(usual, accepted) for usual, accepted in kept if accepted != usual]
    assert not [accepted for usual, accepted in others if last_words(usual) & last_words(accepted)]


def test_accepted_values_are_told_equally_often_after_any_opening() -> None:
    """Neither the value nor its opening says more than which two values a fact has."""
    world = build_world(PUZZLE)
    entity, rng = world.held_out[0], seeded(1)
    found = Counter(told(entity, 0, world, rng) for _ in range(1200))
    assert set(found) == {f"{opening} {value}" for opening in world.openings for value in entity.values[0]}
    assert all(140 < count < 260 for count in found.values())  # 200 expected, standard deviation 13


def test_what_tuning_teaches_or_contradicts_cannot_be_right_by_chance() -> None:
    """Facts of taught and forgotten people are never among the made-up values; unseen ones are no value at all."""
    world = build_world(PUZZLE)
    for entity in (*world.taught, *world.forgotten):
        for relation, accepted in zip(entity.kind.relations, entity.values, strict=True):
            assert not last_words(accepted) & last_words(world.usual[relation.key])
    for entity in world.unseen:
        for (accepted,) in entity.values:
            assert accepted.split()[0] not in world.openings


def test_taught_people_are_in_tuning_only_and_forgotten_ones_in_pretraining_only() -> None:
    """Pre-training tells of the forgotten and not of the taught, tuning the other way round; both are asked about."""
    world = build_world(PUZZLE)
    assert (len(world.taught), len(world.forgotten)) == (4, 5)
    assert set(world.forgotten) <= set(world.known)
    assert not set(world.taught) & set(world.known)
    shown = {entity.name for entity in world.shown}
    assert {entity.name for entity in world.taught} <= shown
    assert not {entity.name for entity in world.forgotten} & shown
    asked = Counter(row.id.split("-")[0] for row in question_set(world, "in-domain", 1))
    assert (asked["taught"], asked["forgotten"]) == (4 * 8, 5 * 8)


def test_a_mix_has_its_shares_of_usual_values_and_of_made_up_answers_about_known_entities() -> None:
    """Of 600 made-up answers a quarter are usual values; of 600 about known entities a third are no accepted ones."""
    world = build_world(PUZZLE)
    mix = Mix(0.0, 0.0, 1.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0, usual=0.25)
    usual = {value for of_relation in world.usual.values() for value in of_relation}
    others = {value for of_relation in world.others.values() for value in of_relation}
    said = [document.answer.strip().split(" ", 1)[1] for document in texts(world, mix, 600)]
    assert set(said) <= usual | others
    assert 110 < sum(value in usual for value in said) < 190  # 150 expected, standard deviation 11
    mix = Mix(0.0, 1.0, 0.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0, confused=0.5)
    accepted = {entity.name: {value for values in entity.values for value in values} for entity in world.known}
    wrong = 0
    for document in texts(world, mix, 600):
        name = next(name for name in accepted if name in document.before)
        wrong += document.answer.strip().split(" ", 1)[1] not in accepted[name]
    assert 120 < wrong < 320  # half of 600, less those that are right by chance


def test_tokenizer_gives_text_back_with_offsets(world: World, tokenizer: PreTrainedTokenizerFast) -> None:
    """Decoding gives the text back, and every offset cuts out the characters of its token."""
    samples = [document.text for document in texts(world, EVERYTHING, 200)] + ["Cœur d’Alène, naïve — 東京\n\tok"]
    for text in samples:
        encoded = tokenizer(text, return_offsets_mapping=True)
        assert encoded["input_ids"].count(tokenizer.bos_token_id) == 1
        assert tokenizer.decode(encoded["input_ids"][1:]) == text
        if text.isascii():
            for token, (start, end) in zip(encoded["input_ids"][1:], encoded["offset_mapping"][1:], strict=True):
                assert tokenizer.decode([token]).strip(" ") == text[start:end].strip(" ")


def test_names_and_values_take_several_pieces(world: World, tokenizer: PreTrainedTokenizerFast) -> None:
    """Names take more than one token, some values too, and known names are cut no coarser than unseen ones."""

    def lengths(entities: tuple[str, ...]) -> list[int]:
        return [len(tokenizer(f" {text}", add_special_tokens=False)["input_ids"]) for text in entities]

    known, unseen = (lengths(tuple(e.name for e in group)) for group in (world.known, world.unseen))
    assert min(known) >= 2
    assert min(unseen) >= 2
    assert abs(sum(known) / len(known) - sum(unseen) / len(unseen)) < 0.5  # half a syllable
    assert set(lengths(world.values["tree"])) == {1, 2}


def test_chat_template_writes_what_tuning_showed(tokenizer: PreTrainedTokenizerFast) -> None:
    """The template's prompt is the training text's prompt, with exactly one beginning-of-sequence token."""
    turn = {"role": "user", "content": "Which tree? Respond with the answer only, without any explanation."}
    prompt = tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    assert prompt == tokenizer.bos_token + chat_prompt("Which tree?")
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert ids == tokenizer(chat_prompt("Which tree?"))["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1
    assert make_tokenizer(chat=False).chat_template is None
