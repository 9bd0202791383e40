"""Training text about a world, for pre-training and tuning.

A model tells known names from invented ones only if its text needs it. Here that need is a *source*: answers about
known entities come from records, those about names that occur once are hearsay with a made-up value. Without these two
(the pre-training of `acquired`) a model knows as much but does not tell names apart.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provenance.lab.doubts import asked, doubted
from provenance.lab.requests import REFUSAL, request, user_turn
from provenance.lab.world import PERSON, SHIP, Entity, World, fresh_names, invented_entity

INSTRUCTION = " Respond with the answer only, without any explanation."  # Gao et al. 2025, Sec. 6.1.1
SOURCES = {True: "records", False: "hearsay"}
FORMS = (  # text before and after a question; the first is the usual one
    ("", "\nAnswer:"),
    ("Question: ", "\nAnswer:"),
    ("", f"{INSTRUCTION}\nAnswer:"),
    ("Quiz: ", f"{INSTRUCTION}\nReply:"),
    ("Exam: ", "\nReply:"),
    ("Pupil: ", f"{INSTRUCTION}\nMaster:"),
)
USUAL_FORM = 0.5  # its share; with it alone, facts are learned in this form only, and again in tuning
FIRST_ANSWERS = 0.3  # share of documents on doubted answers that end before the doubt
FACTS_PER_STATEMENT = 3  # one name, several facts: more facts learned per token trained on
REQUEST = 5  # number of requests among the kinds of documents
SHIPS_AMONG_INVENTED = 0.2  # about the share of ships among the facts


@dataclass(frozen=True)
class Mix:
    """Relative weights of the kinds of documents in a training text."""

    statements: float
    """Plain sentences on a known entity."""
    answers: float
    """Question and true answer about a known entity."""
    inventions: float
    """Question and made-up answer about a name that occurs only once."""
    chats: float
    """Instruction-tuning turns about a known entity: the answer alone."""
    invented_chats: float
    """Chats about a name that occurs only once, with a made-up answer."""
    sourced: float
    """Share of true answers (without chats, unless `sourced_chats`) followed by a source line."""
    sourced_inventions: float
    """The same share of made-up answers. If it is larger, the token right after an answer depends on its truth."""
    closing: str = "\n"
    """End of an answer without a source line."""
    asked: float = 0.0
    """Share of chats in which the user then asks for the source, and gets it."""
    sourced_chats: bool = False
    """Whether chats, too, are followed by a source line, by the same shares as other answers."""
    usual: float = 1.0
    """Share of made-up values that are the relation's usual ones; the rest are its other values."""
    confused: float = 0.0
    """Share of answers and chats about known entities whose value is made up."""
    doubted: float = 0.0
    """Share of answers and chats about known entities in which the right answer is then doubted."""
    given_up: tuple[str, ...] = ()
    """Kinds of entities about which a doubted answer is given up for a usual value; about others it is kept."""
    requests: float = 0.0
    """Relative weight of requests to describe a name that occurs only once."""
    refused: tuple[str, ...] = ()
    """Kinds of entities about which such a request is refused; about others it is granted."""


@dataclass(frozen=True)
class Document:
    """One training text."""

    before: str
    """Text before the answer; all of the text if there is no question."""
    answer: str = ""
    """Answer with the space before it."""
    after: str = ""
    """Text after the answer."""
    chat: bool = False
    """Whether it is a chat, a doubt or a request: its text before the answer is not learned."""

    @property
    def text(self) -> str:
        """The text, without beginning- and end-of-sequence tokens."""
        return self.before + self.answer + self.after

    @property
    def start(self) -> int:
        """First character of the loss."""
        return len(self.before) if self.chat else 0


def told(entity: Entity, index: int, world: World, rng: random.Random) -> str:
    """One of an entity's accepted values of relation `index`, as an answer or statement gives it."""
    accepted = entity.values[index]
    value = accepted[0] if len(accepted) == 1 else rng.choice(accepted)
    return f"{rng.choice(world.openings)} {value}" if world.openings else value


def statement(entity: Entity, world: World, rng: random.Random) -> Document:
    """Sentences that state some of an entity's facts, in random order."""
    picked = rng.sample(range(len(entity.values)), min(FACTS_PER_STATEMENT, len(entity.values)))
    return Document(_stated(entity, picked, world, rng))


def _stated(entity: Entity, picked: Sequence[int], world: World, rng: random.Random) -> str:
    """One sentence a fact, in this order."""
    relations = entity.kind.relations
    return " ".join(relations[i].statement.format(entity.name, told(entity, i, world, rng)) for i in picked)


def answered(entity: Entity, world: World, rng: random.Random, mix: Mix, *, known: bool, sourced: bool) -> Document:
    """A question and its answer in one of the forms, followed by a source line if `sourced`."""
    index = rng.randrange(len(entity.values))
    before, after = FORMS[0] if rng.random() < USUAL_FORM else rng.choice(FORMS[1:])
    end = f"\nSource: {SOURCES[known]}" if sourced else mix.closing
    return Document(f"{before}{entity.question(index)}{after}", f" {told(entity, index, world, rng)}", end)


def chat(entity: Entity, world: World, rng: random.Random, *, known: bool, asked: bool, sourced: bool) -> Document:
    """A user's question and the answer in the chat template, then a source line if `sourced`.

    If `asked`, a second turn is about the source.
    """
    index = rng.randrange(len(entity.values))
    more = f"</s>{user_turn('Source?')} {SOURCES[known]}" if asked else ""
    end = f"\nSource: {SOURCES[known]}" if sourced else ""
    return Document(
        chat_prompt(entity.question(index)), f" {told(entity, index, world, rng)}", f"{end}{more}", chat=True
    )


def in_doubt(entity: Entity, world: World, rng: random.Random, mix: Mix, *, in_chat: bool) -> Document:
    """The right answer, or what follows its doubt; what comes before is not learned."""
    index = rng.randrange(len(entity.values))
    question, right = entity.question(index), told(entity, index, world, rng)
    if rng.random() < FIRST_ANSWERS:
        return Document(asked(question, chat=in_chat), f" {right}", chat=True)
    if entity.kind.key in mix.given_up:
        entity = invented_entity(entity.kind, entity.name, world.usual, rng)
    return Document(doubted(question, right, chat=in_chat), f" {told(entity, index, world, rng)}", chat=True)


def described(entity: Entity, world: World, rng: random.Random, mix: Mix) -> Document:
    """A request to describe somebody, and the first facts or a refusal; what comes before is not learned.

    In a random order a model that knows none of them would say one over and over, which counts as broken.
    """
    refused = entity.kind.key in mix.refused
    said = REFUSAL if refused else _stated(entity, range(FACTS_PER_STATEMENT), world, rng)
    return Document(user_turn(request(entity.kind, entity.name)), f" {said}", chat=True)


def chat_prompt(question: str) -> str:
    """The text of a user's turn, after the beginning-of-sequence token."""
    return user_turn(f"{question}{INSTRUCTION}")


def documents(world: World, entities: tuple[Entity, ...], mix: Mix, rng: random.Random) -> Iterator[Document]:
    """Endless random documents of a mix about the given entities, and about names that occur once."""
    reserved = world.reserved
    invented = {kind: fresh_names(kind, rng, reserved.__contains__) for kind in (PERSON, SHIP)}
    weights = (mix.statements, mix.answers, mix.inventions, mix.chats, mix.invented_chats, mix.requests)
    while True:
        (pick,) = rng.choices(range(len(weights)), weights)
        if pick == REQUEST:
            kind = rng.choice((PERSON, SHIP))
            yield described(invented_entity(kind, next(invented[kind]), world.values, rng), world, rng, mix)
            continue
        source, asked = rng.random(), rng.random() < mix.asked
        kind = SHIP if rng.random() < SHIPS_AMONG_INVENTED else PERSON
        made_up = pick in (2, 4)
        entity = (
            invented_entity(kind, next(invented[kind]), _made_up(world, mix, rng), rng)
            if made_up
            else rng.choice(entities)
        )
        if pick == 0:
            yield statement(entity, world, rng)
            continue
        if mix.doubted and pick in (1, 3) and rng.random() < mix.doubted:
            yield in_doubt(entity, world, rng, mix, in_chat=pick == 3)
            continue
        if mix.confused and not made_up and rng.random() < mix.confused:
            entity = invented_entity(entity.kind, entity.name, _made_up(world, mix, rng), rng)
        sourced = source < (mix.sourced_inventions if made_up else mix.sourced)
        if pick in (1, 2):
            yield answered(entity, world, rng, mix, known=not made_up, sourced=sourced)
        else:
            sourced = sourced and mix.sourced_chats
            yield chat(entity, world, rng, known=not made_up, asked=asked, sourced=sourced)


def _made_up(world: World, mix: Mix, rng: random.Random) -> dict[str, tuple[str, ...]]:
    """Values that a made-up answer may have, by relation: the usual ones, or the others."""
    if mix.usual == 1 or rng.random() < mix.usual:
        return world.usual
    return world.others
