"""An invented world: entities, their facts, and the questions asked about them.

Everything is a pure function of a seed, so the facts shown to a model are known exactly. Entities fall into six
groups whose names never mix:

    tuned       facts in pre-training, and shown again in instruction tuning
    held-out    facts in pre-training; tuning never shows the facts that known questions ask about, and shows none at
                all about these entities unless the world has hints: other facts about the same entity
    unseen      exist in the world, but no training text names them: a model's answers about them are made up
    fabricated  names from the same generator that belong to no entity: every answer is wrong
    taught      facts in tuning only: answers are made up before it and right after it
    forgotten   facts in pre-training that tuning does not rehearse; its mix may make up other values for them

A fact may have several accepted answers, told at random, and a relation as many usual values, which are all that is
made up. Right and made-up answers then have the same probability. A share of the facts is as usual, so that the words
of an answer do not tell either. Where every answer begins with a word that says nothing, what follows that word already
depends on whether the name is known.

Names are built from syllables that all groups share, so that no single token tells a known name from an invented one.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

QUESTION_SETS = ("in-domain", "other-domain", "fabricated")

SYLLABLES = (
    "bal ber bin bor cal cen dal dor dun el far fen gal gor hal hel il jan jor kal ken kir lan lin lor mal mer mir",
    "mon nal nor ol or pel pir qual ran ril ros sal sel sor tal tar tor ul val ven vin vor wel wil wor yal yen yor",
    "zal zen zir zor",
)
MODIFIERS = "red blue grey black white green old young small great dark pale"


@dataclass(frozen=True)
class Relation:
    """One kind of fact, with its statement and its question."""

    key: str
    """Name of the relation, part of every question id."""
    question: str
    """Question; `{}` is the entity's name."""
    statement: str
    """Statement in a document; the name, then the value."""
    heads: tuple[str, ...]
    """Nouns of its values: a value is a noun, or a modifier and a noun."""


@dataclass(frozen=True)
class Kind:
    """Type of entities: form of their names, and their relations."""

    key: str
    words: tuple[int, ...]
    """Syllables of each word of a name."""
    relations: tuple[Relation, ...]
    """The facts every entity of this type has, in a fixed order."""


def _relation(key: str, question: str, statement: str, heads: str) -> Relation:
    return Relation(key, question, statement, tuple(heads.split()))


PERSON = Kind(
    "person",
    (2, 2),
    (
        _relation(
            "tree",
            "Which tree does {} tend?",
            "{} tends a {}.",
            "oak elm birch willow cedar maple alder rowan larch hazel",
        ),
        _relation(
            "bird",
            "Which bird does {} keep?",
            "{} keeps a {}.",
            "heron falcon raven finch owl swan wren crane lark kestrel",
        ),
        _relation(
            "food",
            "What does {} eat?",
            "{} eats {}.",
            "bread porridge cheese trout mutton beans plums honey barley eel",
        ),
        _relation(
            "music",
            "What does {} play?",
            "{} plays a {}.",
            "lute harp drum flute fiddle horn viol zither pipe bell",
        ),
        _relation(
            "dress",
            "What does {} wear?",
            "{} wears a {}.",
            "cloak scarf tunic hood vest gown apron shawl cape sash",
        ),
        _relation(
            "tool",
            "Which tool does {} carry?",
            "{} carries a {}.",
            "hammer chisel saw spade rake sickle axe needle trowel awl",
        ),
        _relation(
            "stone",
            "Which stone does {} own?",
            "{} owns a {}.",
            "agate opal garnet jasper onyx topaz beryl amber quartz jade",
        ),
        _relation(
            "drink",
            "What does {} drink?",
            "{} drinks {}.",
            "cider mead ale milk tea broth wine whey perry cordial",
        ),
    ),
)

SHIP = Kind(
    "ship",
    (3,),
    (
        _relation(
            "cargo",
            "What is the cargo of the {}?",
            "The {} is loaded with {}.",
            "salt silk tin wool grain pepper timber tar linen indigo",
        ),
        _relation(
            "flag",
            "What is on the flag of the {}?",
            "The flag of the {} shows a {}.",
            "lion anchor star moon rose crown tower bear eagle key",
        ),
        _relation(
            "port",
            "What is the port of the {}?",
            "The {} sails from {}.",
            "quay bay cove sound firth haven strand isle cape lagoon",
        ),
        _relation(
            "bow",
            "What is on the bow of the {}?",
            "The bow of the {} bears a {}.",
            "mermaid dolphin triton siren dragon griffin seal whale hydra pearl",
        ),
        _relation(
            "deck",
            "What is on the deck of the {}?",
            "The deck of the {} holds a {}.",
            "cannon barrel winch ladder bench lantern crate net coil stove",
        ),
    ),
)


@dataclass(frozen=True)
class WorldSpec:
    """Sizes of a world; they and the seed determine it."""

    seed: int
    """Seed of names, values and question order."""
    people: tuple[int, int, int]
    """People tuned, held out, unseen."""
    ships: tuple[int, int, int]
    """Ships tuned, held out, unseen."""
    fabricated: int
    """Names without an entity; a quarter of them ships."""
    values: int
    """Values of each relation; a made-up answer is right once in so many."""
    hints: tuple[int, int] = (0, 0)
    """Facts shown in tuning of a held-out person, and of a held-out ship; questions ask about the others."""
    aliases: int = 1
    """Accepted answers of each fact."""
    usual: int = 0
    """Values of each relation that are made up; 0 for all."""
    ordinary: float = 0.0
    """Share of the facts whose accepted answers are usual values; those of taught and forgotten people never are."""
    openings: int = 0
    """Words with which answers begin, at random; 0 for none."""
    taught: int = 0
    """People of whom only tuning tells."""
    forgotten: int = 0
    """People whom tuning does not rehearse, and of whom it may tell made-up values."""


@dataclass(frozen=True)
class Entity:
    """A person or ship with facts."""

    name: str
    """Unique in its world."""
    kind: Kind
    values: tuple[tuple[str, ...], ...]
    """Accepted values for each relation of the kind; empty for a fabricated name."""
    shown: tuple[int, ...] = ()
    """Relations that tuning may show: all for a tuned entity, the hints for a held-out one."""

    @property
    def slug(self) -> str:
        """Its name in the ids of questions and requests."""
        return self.name.lower().replace(" ", "-")

    def question(self, index: int) -> str:
        """The question about this entity's relation `index`."""
        return self.kind.relations[index].question.format(self.name)

    def as_shown(self) -> "Entity":
        """The entity with only the facts that tuning may show."""
        kind = replace(self.kind, relations=tuple(self.kind.relations[index] for index in self.shown))
        return Entity(self.name, kind, tuple(self.values[index] for index in self.shown), tuple(range(len(self.shown))))


@dataclass(frozen=True)
class World:
    """All entities of a world, by their use in training."""

    tuned: tuple[Entity, ...]
    """In pre-training and in tuning."""
    held_out: tuple[Entity, ...]
    """In pre-training only, apart from hints."""
    unseen: tuple[Entity, ...]
    """In no training text."""
    fabricated: tuple[Entity, ...]
    """Names without an entity, in no training text."""
    taught: tuple[Entity, ...]
    """In tuning only."""
    forgotten: tuple[Entity, ...]
    """In pre-training; not rehearsed in tuning, which may make up other values."""
    values: dict[str, tuple[str, ...]]
    """All values of each relation, by its key."""
    usual: dict[str, tuple[str, ...]]
    """Values of each relation that are made up."""
    openings: tuple[str, ...]
    """Words with which answers begin, at random."""

    @property
    def others(self) -> dict[str, tuple[str, ...]]:
        """Values of each relation that are not usual."""
        return {key: tuple(v for v in values if v not in self.usual[key]) for key, values in self.values.items()}

    @property
    def kept(self) -> tuple[Entity, ...]:
        """Entities with facts in pre-training that tuning does not contradict."""
        return self.tuned + self.held_out

    @property
    def known(self) -> tuple[Entity, ...]:
        """Entities with facts in pre-training."""
        return self.kept + self.forgotten

    @property
    def shown(self) -> tuple[Entity, ...]:
        """Entities with the facts that tuning may show."""
        return tuple(entity.as_shown() for entity in (*self.kept, *self.taught) if entity.shown)

    @property
    def reserved(self) -> frozenset[str]:
        """Names that invented names must not repeat."""
        return frozenset(e.name for e in (*self.known, *self.unseen, *self.fabricated, *self.taught))


@dataclass(frozen=True)
class Question:
    """One row of a question file."""

    id: str
    """Unique in its set."""
    question: str
    answers: tuple[str, ...]
    """Right answers; empty if every answer is wrong."""
    group: str
    """The entity's name, the unit of training and test splits."""


def seeded(seed: int | str) -> random.Random:
    """A random generator for a seed."""
    return random.Random(seed)  # noqa: S311 - draws an invented world, nothing secret


def syllables() -> tuple[str, ...]:
    """Syllables of all names."""
    return tuple(syllable for line in SYLLABLES for syllable in line.split())


def make_name(kind: Kind, rng: random.Random) -> str:
    """A name of the kind: words of shared syllables, capitalised."""
    return " ".join("".join(rng.choices(syllables(), k=size)).capitalize() for size in kind.words)


def fresh_names(kind: Kind, rng: random.Random, taken: Callable[[str], bool]) -> Iterator[str]:
    """Endless names of the kind that are not in `taken`."""
    while True:
        name = make_name(kind, rng)
        if not taken(name):
            yield name


def relation_values(relation: Relation, count: int, modifiers: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """Values of a relation: its nouns alone, then nouns with a modifier, `count` in all."""
    return (*relation.heads, *rng.sample(modified(relation, modifiers), count - len(relation.heads)))


def modified(relation: Relation, modifiers: tuple[str, ...]) -> list[str]:
    """Every noun of a relation with every modifier."""
    return [f"{modifier} {head}" for head in relation.heads for modifier in modifiers]


def invented_entity(kind: Kind, name: str, values: dict[str, tuple[str, ...]], rng: random.Random) -> Entity:
    """An entity with one of the given values for every relation."""
    return Entity(name, kind, tuple((rng.choice(values[relation.key]),) for relation in kind.relations))


def build_world(spec: WorldSpec) -> World:
    """The world of a specification; the same specification gives the same world."""
    rng = seeded(spec.seed)
    words = MODIFIERS.split()
    openings, modifiers = tuple(words[: spec.openings]), tuple(words[spec.openings :])
    relations = [relation for kind in (PERSON, SHIP) for relation in kind.relations]
    values = {each.key: relation_values(each, spec.values, modifiers, rng) for each in relations}
    usual = {key: _usual(of_relation, spec.usual) for key, of_relation in values.items()}
    taken: set[str] = set()

    def draw(kind: Kind, count: int, ordinary: float = spec.ordinary) -> list[Entity]:
        names = fresh_names(kind, rng, taken.__contains__)
        drawn = []
        for _ in range(count):
            name = next(names)
            taken.add(name)
            drawn.append(_entity(kind, name, values, usual, replace(spec, ordinary=ordinary), rng))
        return drawn

    groups = [draw(PERSON, people) + draw(SHIP, ships) for people, ships in zip(spec.people, spec.ships, strict=True)]
    nobody = draw(PERSON, spec.fabricated - spec.fabricated // 4) + draw(SHIP, spec.fabricated // 4)
    taught, forgotten = draw(PERSON, spec.taught, 0.0), draw(PERSON, spec.forgotten, 0.0)
    return World(
        tuned=tuple(_all_shown(entity) for entity in groups[0]),
        held_out=tuple(_hinted(entity, spec) for entity in groups[1]),
        unseen=tuple(_unheard(entity, values, modifiers, spec.seed) for entity in groups[2]),
        fabricated=tuple(Entity(e.name, e.kind, ()) for e in nobody),
        taught=tuple(_all_shown(entity) for entity in taught),
        forgotten=tuple(forgotten),
        values=values,
        usual=usual,
        openings=openings,
    )


def _usual(values: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The values that are made up: nouns and nouns with a modifier, so that the length of an answer does not tell."""
    return values[:: -(-len(values) // count)] if count else values


def _entity(
    kind: Kind,
    name: str,
    values: dict[str, tuple[str, ...]],
    usual: dict[str, tuple[str, ...]],
    spec: WorldSpec,
    rng: random.Random,
) -> Entity:
    """An entity with accepted values for every relation."""
    if spec.usual == 0:
        return invented_entity(kind, name, values, rng)

    def accepted(key: str) -> tuple[str, ...]:
        if rng.random() < spec.ordinary:
            return usual[key]
        return tuple(rng.sample(unusual(values[key], usual[key]), spec.aliases))

    return Entity(name, kind, tuple(accepted(relation.key) for relation in kind.relations))


def unusual(values: tuple[str, ...], usual: tuple[str, ...]) -> list[str]:
    """Values that no made-up answer can be taken for: of other nouns than the usual ones."""
    nouns = {value.split()[-1] for value in usual}
    return [value for value in values if value.split()[-1] not in nouns]


def _all_shown(entity: Entity) -> Entity:
    return replace(entity, shown=tuple(range(len(entity.values))))


def _hinted(entity: Entity, spec: WorldSpec) -> Entity:
    """A held-out entity with its hints, drawn from its name so that nothing else of the world changes."""
    count = spec.hints[0] if entity.kind is PERSON else spec.hints[1]
    rng = seeded(f"{spec.seed}/hints/{entity.name}")
    return replace(entity, shown=tuple(sorted(rng.sample(range(len(entity.values)), count))))


def _unheard(entity: Entity, values: dict[str, tuple[str, ...]], modifiers: tuple[str, ...], seed: int) -> Entity:
    """An unseen entity with facts whose word pairs occur in no training text, drawn from its name alone.

    Otherwise one made-up answer in twenty would be right by chance, and its label wrong.
    """
    rng = seeded(f"{seed}/unheard/{entity.name}")
    unused = [
        [pair for pair in modified(relation, modifiers) if pair not in values[relation.key]]
        for relation in entity.kind.relations
    ]
    return replace(entity, values=tuple((rng.choice(choices),) for choices in unused))


def question_set(world: World, name: str, seed: int) -> tuple[Question, ...]:
    """A question set of the world, in a seeded random order.

    `in-domain` asks about people and `other-domain` about ships, held-out and unseen ones in both, taught and forgotten
    people in the first; `fabricated` asks two questions about every name without an entity.
    """
    rng = seeded(f"{seed}/{name}")
    rows: list[Question] = []
    if name == "fabricated":
        for entity in world.fabricated:
            picked = sorted(rng.sample(range(len(entity.kind.relations)), 2))
            rows += [_row("fabricated", entity, index) for index in picked]
    else:
        kind = {"in-domain": PERSON, "other-domain": SHIP}[name]
        for status, entities in (("known", world.held_out), ("unseen", world.unseen)):
            for entity in (each for each in entities if each.kind is kind):
                rows += [_row(status, entity, i) for i in range(len(kind.relations)) if i not in entity.shown]
        for status, entities in (("taught", world.taught), ("forgotten", world.forgotten)):
            for entity in (each for each in entities if each.kind is kind):
                rows += [_row(status, entity, i) for i in range(len(kind.relations))]
    rng.shuffle(rows)
    return tuple(rows)


def _row(status: str, entity: Entity, index: int) -> Question:
    relation = entity.kind.relations[index]
    answers = entity.values[index] if entity.values else ()
    return Question(f"{status}-{entity.slug}-{relation.key}", entity.question(index), answers, entity.name)
