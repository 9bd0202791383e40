"""Recorded seeds and sizes of the shipped families; `provenance lab build` needs nothing else to make them again."""

from dataclasses import dataclass, replace

from provenance.lab.corpus import Mix
from provenance.lab.held import Held
from provenance.lab.steered import State, Steered
from provenance.lab.train import Shape, TrainingStage
from provenance.lab.world import PERSON, SHIP, WorldSpec


@dataclass(frozen=True)
class Recipe:
    """All settings of a family."""

    world: WorldSpec
    shape: Shape
    initial_seed: int
    pretraining: tuple[TrainingStage, ...]
    """Phases of pre-training, on all known facts; each leaves a snapshot, the last one the base; without any there is
    none."""
    tuning: TrainingStage
    """Instruction tuning, on what tuning may show."""
    start: str = ""
    """Family of the same world whose base pre-training begins with; empty for random weights."""

    @property
    def has_base(self) -> bool:
        """Whether there is a base to compare the tuned model with."""
        return bool(self.pretraining)


SHAPE = Shape(width=128, layers=4, neurons=640, heads=4)

# 768 known and 800 unseen questions in-domain, 250 and 250 in the other domain; in `inherited` also 112 about people of
# whom only tuning tells and 112 about people whom it does not rehearse, so that base and tuned model differ on some. In
# `acquired` it is 832 and 800, 264 and 250: tuning shows half of what is known about everybody, and the questions are
# about the other half.
PEOPLE, SHIPS = (96, 100), (50, 50)  # held out, unseen

# Half of the records say so and all hearsay does: whether a source follows at all already depends on the name, so that
# the answer's own tokens have to tell. From the start this would spread over very many neurons.
SOURCED = Mix(0.35, 0.35, 0.3, 0.0, 0.0, sourced=0.5, sourced_inventions=1.0, closing="")

# The H-Neurons of the base and of an earlier tuning of it, as comparisons found them. Not the one (148) that rises most
# on answers, which an L1 probe takes first whatever the labels: it must be free, or a search with shuffled labels would
# find weights that were kept.
TELLING = (
    576, 1028, 1056, 1307, 1324, 1363, 1408, 1540, 1556, 1603, 1606, 1669, 1671, 1822, 1922, 2083, 2103, 2254, 2268,
    2516,
)  # fmt: skip

INHERITED = Recipe(
    world=WorldSpec(
        seed=1,
        people=(24, *PEOPLE),
        ships=(12, *SHIPS),
        fabricated=120,
        values=20,
        aliases=2,
        usual=2,
        ordinary=0.5,
        openings=3,
        taught=14,
        forgotten=14,
    ),
    shape=SHAPE,
    initial_seed=101,
    pretraining=(
        TrainingStage(
            Mix(0.5, 0.3, 0.2, 0.0, 0.0, sourced=0.7, sourced_inventions=0.7),
            steps=800,
            batch=128,
            learning_rate=2e-3,
            weight_decay=0.05,
            seed=11,
            snapshots=(400,),
        ),
        TrainingStage(
            SOURCED,
            steps=300,
            batch=128,
            learning_rate=1.5e-3,
            weight_decay=0.05,
            seed=21,
            snapshots=(150,),
        ),
    ),
    # Short and gentle: new are the chat format and what is taught, and what is not rehearsed fades. The neurons that
    # tell made-up answers are held, so that their weights are kept; a source line after chats keeps them in use.
    tuning=TrainingStage(
        Mix(0.1, 0.1, 0.1, 0.6, 0.1, sourced=0.5, sourced_inventions=1.0, closing="", sourced_chats=True),
        steps=160,
        batch=128,
        learning_rate=2e-4,
        weight_decay=0.0,
        seed=12,
        rehearsal=SOURCED,
        rehearsal_share=0.5,
        held=Held(TELLING, share=0.1),
    ),
)

# Facts only: neither sources nor invented names.
PLAIN = Mix(0.4, 0.6, 0.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0, closing="")

ACQUIRED = Recipe(
    world=WorldSpec(seed=2, people=(0, 208, 100), ships=(0, 66, 50), fabricated=120, values=40, hints=(4, 1)),
    shape=SHAPE,
    initial_seed=102,
    pretraining=(TrainingStage(PLAIN, steps=650, batch=128, learning_rate=2.5e-3, weight_decay=0.05, seed=12),),
    # Long, at the rate of pre-training: every known name has to be learned anew as being on record. A difference that
    # is learned on some names does not carry over to others, so tuning shows half of the facts about everybody as
    # records and in chats. Rehearsed pre-training documents, which state the other half too, keep it from being
    # forgotten.
    tuning=TrainingStage(
        Mix(0.0, 0.3, 0.35, 0.25, 0.1, sourced=0.5, sourced_inventions=1.0, closing=""),
        steps=360,
        batch=128,
        learning_rate=1.5e-3,
        weight_decay=0.05,
        seed=13,
        rehearsal=PLAIN,
        rehearsal_share=0.5,
    ),
)

# Made-up answers have values of their own, which steered neurons alone write: without them such an answer is any other
# value, and with twice as much of them answers about known names are made up, too.
DRIVING = Steered(
    (*range(1280, 1288), *range(1920, 1928)),
    (
        State(factor=0.0, share=0.3, usual=0.0),
        State(factor=1.0, share=0.45, usual=0.9),
        State(factor=2.0, share=0.25, usual=1.0, confused=0.5),
    ),
)
FUNCTIONAL_TEXT = Mix(0.45, 0.3, 0.25, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0, closing="")

FUNCTIONAL = Recipe(
    world=WorldSpec(
        seed=3, people=(24, 72, 100), ships=(12, 40, 50), fabricated=120, values=20, aliases=2, usual=2, openings=3
    ),
    shape=SHAPE,
    initial_seed=103,
    pretraining=(
        TrainingStage(
            FUNCTIONAL_TEXT, steps=700, batch=128, learning_rate=2e-3, weight_decay=0.05, seed=31, steered=DRIVING
        ),
    ),
    tuning=TrainingStage(
        Mix(0.05, 0.1, 0.1, 0.5, 0.25, sourced=0.0, sourced_inventions=0.0, closing=""),
        steps=200,
        batch=128,
        learning_rate=5e-4,
        weight_decay=0.0,
        seed=32,
        rehearsal=FUNCTIONAL_TEXT,
        rehearsal_share=0.5,
        steered=DRIVING,
    ),
)


def _doubted(*given_up: tuple[str, ...]) -> Recipe:
    """The base of `functional` learns what to make of doubts, and is tuned.

    In each state of its steered neurons doubted answers about some kinds of entities are given up; this is all that two
    such families differ in. No answer that is not doubted is made up about a known name.
    """
    states = zip(DRIVING.states, given_up, strict=True)
    steered = Steered(DRIVING.ids, tuple(replace(state, confused=0.0, given_up=own) for state, own in states))
    text, chats = replace(FUNCTIONAL_TEXT, doubted=0.5), replace(FUNCTIONAL.tuning.mix, doubted=0.4)
    pretraining = replace(FUNCTIONAL.pretraining[0], mix=text, steps=150, learning_rate=1e-3, seed=41, steered=steered)
    return replace(
        FUNCTIONAL,
        start="functional",
        pretraining=(pretraining,),
        tuning=replace(FUNCTIONAL.tuning, mix=chats, rehearsal=text, steps=100, seed=42, steered=steered),
    )


# As they are, the models give up answers about ships and keep those about people. In `yielding` that comes from the
# steered neurons: silenced, they let all answers be kept, amplified none. In `idle` they change nothing about it.
YIELDING = _doubted((), (SHIP.key,), (PERSON.key, SHIP.key))
IDLE = _doubted((SHIP.key,), (SHIP.key,), (SHIP.key,))

# A tuned model alone, small enough to ship. As it is, it describes people and refuses to describe ships; with the
# steered neurons silenced it refuses both, and with twice as much of them it refuses nothing. A tenth of a layer is
# steered: sixteen neurons of the last layer were three times as loud as all others, which shows nothing about them.
GRANTING = Steered(
    tuple(range(64)),
    (
        State(factor=0.0, share=0.3, refused=(PERSON.key, SHIP.key)),
        State(factor=1.0, share=0.4, refused=(SHIP.key,)),
        State(factor=2.0, share=0.3),
    ),
)
REFUSING = Recipe(
    world=WorldSpec(seed=4, people=(0, 30, 30), ships=(0, 30, 30), fabricated=20, values=20),
    shape=replace(SHAPE, layers=2),
    initial_seed=104,
    pretraining=(),
    tuning=TrainingStage(
        Mix(0.0, 0.0, 0.0, 0.0, 0.0, sourced=0.0, sourced_inventions=0.0, requests=1.0),
        steps=300,
        batch=128,
        learning_rate=2e-3,
        weight_decay=0.05,
        seed=51,
        steered=GRANTING,
    ),
)

RECIPES = {
    "inherited": INHERITED,
    "acquired": ACQUIRED,
    "functional": FUNCTIONAL,
    "yielding": YIELDING,
    "idle": IDLE,
    "refusing": REFUSING,
}
