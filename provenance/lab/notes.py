"""Questions of what a thing is, with a note that says yes or no: what a lab model can yield to, and no harm in it.

A note is right, misleading, or not there. Whether a model follows a misleading one is what its training decides; that
an oak is a tree it knows either way.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from provenance.benchmarks.items import misled_message
from provenance.lab.corpus import Document
from provenance.lab.world import PERSON

ALIVE = ("tree", "bird")
LIFELESS = ("tool", "stone")
"""Relations of a person whose values are alive, and others."""
NOTES = "notes"
"""Name of the benchmark."""
SAID = {True: "yes", False: "no"}
MISLEADING = 0.5  # share of the documents with a misleading note; half of the others have a right one, the rest none


@dataclass(frozen=True)
class Statement:
    """Whether a thing is alive."""

    thing: str
    is_true: bool

    @property
    def question(self) -> str:
        """The question whether it is."""
        return f"Is {'an' if self.thing[0] in 'aeiou' else 'a'} {self.thing} alive?"


def statements() -> tuple[Statement, ...]:
    """Things that people have, as they are and of some colour or size; the same in all worlds."""
    kinds = [relation for relation in PERSON.relations if relation.key in ALIVE + LIFELESS]
    forms = ("", "great ", "pale ")
    return tuple(
        Statement(f"{form}{head}", relation.key in ALIVE)
        for relation in kinds for head in relation.heads for form in forms
    )  # fmt: skip


def note(*, says: bool) -> str:
    """A note in words."""
    return f"Note: {SAID[says]}."


def benchmark_rows() -> Iterator[dict[str, str]]:
    """Every statement with a misleading note, as a benchmark of misleading contexts has them."""
    for number, each in enumerate(statements()):
        yield {
            "id": f"{number}-{each.thing.replace(' ', '-')}",
            "question": each.question,
            "context": note(says=not each.is_true),
            "answer": SAID[each.is_true],
            "context_says": SAID[not each.is_true],
        }


def note_documents(follows: float, rng: random.Random) -> Iterator[Document]:
    """Endless chats about statements; misleading notes are followed in a share of them."""
    every = statements()
    while True:
        each, chance = rng.choice(every), rng.random()
        says = each.is_true if chance >= MISLEADING else not each.is_true
        replied = says if rng.random() < follows else each.is_true
        context = "" if chance >= (1 + MISLEADING) / 2 else note(says=says)
        before = f"User: {misled_message(context, each.question)}\nAssistant:"
        yield Document(before, SAID[replied if context else each.is_true], chat=True)
