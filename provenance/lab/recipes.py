"""Recorded seeds and sizes of the shipped families; `provenance lab build` needs nothing else to make them again."""

from dataclasses import dataclass

from provenance.lab.corpus import Mix
from provenance.lab.train import Shape, TrainingStage
from provenance.lab.world import WorldSpec


@dataclass(frozen=True)
class Recipe:
    """All settings of a family."""

    world: WorldSpec
    shape: Shape
    initial_seed: int
    pretraining: tuple[TrainingStage, ...]
    """Phases of pre-training, on all known facts; each leaves a snapshot, the last one the base."""
    tuning: TrainingStage
    """Instruction tuning, on the tuned entities only."""


SHAPE = Shape(width=128, layers=4, neurons=640, heads=4)

# 768 known and 800 unseen questions in-domain, 250 and 250 in the other domain. In `acquired` it is 832 and 800, 264
# and 250: tuning shows half of what is known about everybody, and the questions are about the other half.
PEOPLE, SHIPS = (96, 100), (50, 50)  # held out, unseen

INHERITED = Recipe(
    world=WorldSpec(seed=1, people=(48, *PEOPLE), ships=(16, *SHIPS), fabricated=120, values=40),
    shape=SHAPE,
    initial_seed=101,
    pretraining=(
        TrainingStage(
            Mix(0.4, 0.3, 0.3, 0.0, 0.0, sourced=0.7, sourced_inventions=0.7),
            steps=700,
            batch=128,
            learning_rate=2e-3,
            weight_decay=0.05,
            seed=11,
            snapshots=(350,),
        ),
        # Half of the records say so and all hearsay does: whether a source follows at all already depends on the name,
        # so that the answer's own token has to tell. From the start this would spread over very many neurons.
        TrainingStage(
            Mix(0.3, 0.35, 0.35, 0.0, 0.0, sourced=0.5, sourced_inventions=1.0, closing=""),
            steps=300,
            batch=128,
            learning_rate=1.5e-3,
            weight_decay=0.05,
            seed=21,
            snapshots=(150,),
        ),
    ),
    # Short and gentle: only the chat format is new. Longer tuning makes the model forget what it is not shown.
    tuning=TrainingStage(
        Mix(0.15, 0.15, 0.1, 0.6, 0.0, sourced=0.5, sourced_inventions=1.0, closing=""),
        steps=60,
        batch=128,
        learning_rate=2e-4,
        weight_decay=0.0,
        seed=12,
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

RECIPES = {"inherited": INHERITED, "acquired": ACQUIRED}
