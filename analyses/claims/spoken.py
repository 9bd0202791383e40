"""Results whose sentences speak of the concept of a run, in place of hallucination.

Verdicts, reasons and the numbers in words are written once, of hallucination; this is where they change, before they
are stored. Names and codes stay: rows of all runs have the same.
"""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from provenance.words import Concept

SENTENCES = frozenset({"overall", "reason", "words"})
"""Fields of results that hold sentences."""
T = TypeVar("T")


def spoken(result: T, concept: Concept) -> T:
    """A result, and what is in it, with the sentences in the words of a concept; itself where none changes."""
    return result if concept.is_usual else _spoken(result, concept)


def _spoken(value: Any, concept: Concept) -> Any:
    if isinstance(value, tuple):
        said = [_spoken(item, concept) for item in value]
        return value if all(new is old for new, old in zip(said, value, strict=True)) else tuple(said)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed = {}
    for item in fields(value):
        old = getattr(value, item.name)
        new = concept.worded(old) if item.name in SENTENCES and isinstance(old, str) else _spoken(old, concept)
        if new is not old:
            changed[item.name] = new
    return replace(value, **changed) if changed else value
