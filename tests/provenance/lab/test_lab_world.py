"""The lab's world, text and tokenizer: what is known and what is not must follow from the seed alone."""

from dataclasses import replace
from itertools import islice

import pytest
from transformers import PreTrainedTokenizerFast

from provenance.lab.corpus import Document, Mix, chat_prompt, documents
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


def test_a_text_without_sources_has_none(world: World) -> None:
    """The pre-training of the acquired family has neither sources nor names it does not know."""
    mix = Mix(1.0, 1.0, 0.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0)
    names = [entity.name for entity in world.known]
    for document in texts(world, mix, 500):
        assert "Source" not in document.text
        assert any(name in document.text for name in names)


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
