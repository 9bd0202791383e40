"""Training text about a world: what a model reads before, and what it is shown in tuning.

The one idea: a model tells a known name from an invented one only when its text needs it. Here that need is a
*source*: answers about known entities come from records, answers about names that never come back are hearsay with
a made-up value. A text without invented names and sources (the pre-training of the `acquired` family) makes a model
that knows as much and tells nothing.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from provenance.lab.world import PERSON, SHIP, Entity, World, fresh_names, invented_entity

INSTRUCTION = " Respond with the answer only, without any explanation."  # Gao et al. 2025, Sec. 6.1.1
SOURCES = {True: "records", False: "hearsay"}
FORMS = (  # what stands before and after a question that a text answers; the first is the usual one
    ("", "\nAnswer:"),
    ("Question: ", "\nAnswer:"),
    ("", f"{INSTRUCTION}\nAnswer:"),
    ("Quiz: ", f"{INSTRUCTION}\nReply:"),
    ("Exam: ", "\nReply:"),
    ("Pupil: ", f"{INSTRUCTION}\nMaster:"),
)
USUAL_FORM = 0.5  # its share; with it alone, a fact is found in this form only, and tuning has to learn it anew
FACTS_PER_STATEMENT = 3  # one name, several facts: more facts learned per token trained on
SHIPS_AMONG_INVENTED = 0.2  # about the share of ships among the facts


@dataclass(frozen=True)
class Mix:
    """Shares of the kinds of documents in a training text; they are relative weights."""

    statements: float
    """Plain sentences on a known entity."""
    answers: float
    """Question and true answer about a known entity."""
    inventions: float
    """Question and made-up answer about a name that never comes back."""
    chats: float
    """Instruction-tuning turns about a known entity: the answer alone."""
    invented_chats: float
    """The same about a name that never comes back, with a made-up answer."""
    sourced: float
    """Share of true answers (not chats) that a source line follows."""
    sourced_inventions: float
    """The same share of made-up answers. If it is larger, what comes right after an answer depends on its truth."""
    closing: str = "\n"
    """What ends an answer that no source line follows."""
    asked: float = 0.0
    """Share of chats in which the user then asks for the source, and is told."""


@dataclass(frozen=True)
class Document:
    """One training text."""

    before: str
    """What stands before the answer; all of the text when nothing is asked."""
    answer: str = ""
    """The answer, with the space before it."""
    after: str = ""
    """What follows the answer."""
    chat: bool = False
    """A turn of a chat: what stands before the answer is not learned."""

    @property
    def text(self) -> str:
        """The text, without beginning- and end-of-sequence tokens."""
        return self.before + self.answer + self.after

    @property
    def start(self) -> int:
        """Character from which on the loss counts."""
        return len(self.before) if self.chat else 0


def statement(entity: Entity, rng: random.Random) -> Document:
    """Sentences that state some of an entity's facts, in random order."""
    picked = rng.sample(range(len(entity.values)), min(FACTS_PER_STATEMENT, len(entity.values)))
    relations = entity.kind.relations
    return Document(" ".join(relations[i].statement.format(entity.name, entity.values[i]) for i in picked))


def answered(entity: Entity, rng: random.Random, mix: Mix, *, known: bool, sourced: bool) -> Document:
    """A question and its answer in one of the forms, and where the answer comes from if `sourced`."""
    index = rng.randrange(len(entity.values))
    before, after = FORMS[0] if rng.random() < USUAL_FORM else rng.choice(FORMS[1:])
    end = f"\nSource: {SOURCES[known]}" if sourced else mix.closing
    return Document(f"{before}{entity.question(index)}{after}", f" {entity.values[index]}", end)


def chat(entity: Entity, rng: random.Random, *, known: bool, asked: bool) -> Document:
    """A user's question and the answer alone, in the chat template; if `asked`, a second turn about the source."""
    index = rng.randrange(len(entity.values))
    more = f"</s>User: Source?\nAssistant: {SOURCES[known]}" if asked else ""
    return Document(chat_prompt(entity.question(index)), f" {entity.values[index]}", more, chat=True)


def chat_prompt(question: str) -> str:
    """The text of a user's turn, after the beginning-of-sequence token."""
    return f"User: {question}{INSTRUCTION}\nAssistant:"


def documents(world: World, entities: tuple[Entity, ...], mix: Mix, rng: random.Random) -> Iterator[Document]:
    """Random documents of a mix about the given entities, without end."""
    reserved = world.reserved
    invented = {kind: fresh_names(kind, rng, reserved.__contains__) for kind in (PERSON, SHIP)}
    weights = (mix.statements, mix.answers, mix.inventions, mix.chats, mix.invented_chats)
    while True:
        (pick,) = rng.choices(range(len(weights)), weights)
        source, asked = rng.random(), rng.random() < mix.asked
        kind = SHIP if rng.random() < SHIPS_AMONG_INVENTED else PERSON
        made_up = pick in (2, 4)
        entity = invented_entity(kind, next(invented[kind]), world.values, rng) if made_up else rng.choice(entities)
        if pick == 0:
            yield statement(entity, rng)
        elif pick in (1, 2):
            sourced = source < (mix.sourced_inventions if made_up else mix.sourced)
            yield answered(entity, rng, mix, known=not made_up, sourced=sourced)
        else:
            yield chat(entity, rng, known=not made_up, asked=asked)
