"""Arms of an intervention: what is changed in a model while it is asked, and the options that it replies with.

What an arm gives is kept as soon as it is done, so a killed run loses one arm at most.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Int8

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.activations.scaling import UNCHANGED, Edit, edited, factors_of
from provenance.analyses.asking.collection import identity_digest
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.asked_items import Asked
from provenance.benchmarks.items import Item
from provenance.benchmarks.option_scores import FAILED as NO_OPTION
from provenance.benchmarks.option_scores import OptionScores, option_scores
from provenance.errors import NonFiniteError
from provenance.models.devices import in_halves
from provenance.models.loading import LoadedModel
from provenance.records import Task

logger = logging.getLogger(__name__)
FORMAT = 2  # of what arms give; raised whenever the same arm would give something else
OPTIONS = "chosen options and log-odds"
"""Name of what is kept of an arm in which options are chosen."""
YIELDS, HOLDS, FAILED = 1, 0, -1
"""Readings of a reply."""


@runtime_checkable
class Arm(Protocol):
    """A change of a model's activations while it is asked."""

    @property
    def name(self) -> str:
        """In a warning."""

    def recorded(self) -> dict[str, object]:
        """Everything that determines it; nothing for the unchanged model."""

    def prepare(self) -> None:
        """Does what needs another model, before this one is loaded."""

    def edits(self, loaded: LoadedModel, rows: Sequence[int]) -> Mapping[int, Edit]:
        """By layer, what is put in place of z where the batch has these of the items."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """z of some neurons times a factor."""

    ids: Int[np.ndarray, " k"]
    """Flat ids, distinct."""
    alpha: float
    """>= 0."""

    @property
    def name(self) -> str:
        """Its factor."""
        return f"α = {self.alpha:g}"

    def recorded(self) -> dict[str, object]:
        """Neurons and factor."""
        return {} if self.is_plain else {"neurons": self.ids.tolist(), "alpha": self.alpha}

    @property
    def is_plain(self) -> bool:
        """Whether nothing is changed."""
        return self.alpha == UNCHANGED or not self.ids.size

    def prepare(self) -> None:
        """Nothing."""

    def edits(self, loaded: LoadedModel, rows: Sequence[int]) -> Mapping[int, Edit]:  # noqa: ARG002 - the same for all
        """Factors."""
        return factors_of(loaded, self.ids, self.alpha)


PLAIN = Scaling(NO_NEURONS, UNCHANGED)
"""The unchanged model."""


def kept(
    subject: Subject,
    asked: Asked,
    what: str,
    compute: Callable[[], np.ndarray],
    about: Mapping[str, object] = MappingProxyType({}),
) -> np.ndarray:
    """An array about a benchmark, computed once; its key is everything that determines it.

    Args:
        subject: The model.
        asked: What it is asked.
        what: Name of the array.
        compute: Computes it.
        about: What else determines it: an arm, as `Arm.recorded` says.
    """
    how = subject.settings
    settings: dict[str, object] = {
        "computed": what,
        "format": FORMAT,
        "prompts_sha256": identity_digest([prompt.ids for prompt in asked.prompts]),
        "max_new_tokens": how.decoding.max_new_tokens,
        "stop_at_newline": how.stop_at_newline,
        "dtype": how.dtype,
        **about,
    }
    key = identity_digest([subject.checkpoint.digest, asked.benchmark.digest, settings])
    task = Task(key, subject.stage, asked.benchmark.name, subject.checkpoint.digest, asked.benchmark.digest, settings)
    return subject.remembered(task, compute)


def options_of(subject: Subject, asked: Asked, arm: Arm) -> OptionScores:
    """What a model makes of the options of all items in an arm.

    Where the arm makes scores that are not finite, no option is chosen and log-odds are NaN.

    Raises:
        NonFiniteError: So are those of the unchanged model.
    """

    def compute() -> np.ndarray:
        try:
            return _scored(subject, asked, arm)
        except NonFiniteError:
            if not arm.recorded():
                raise
            logger.warning("%s: %s makes scores that are not finite; the arm counts as unreadable",
                           asked.benchmark.name, arm.name)  # fmt: skip
            nothing = np.full(len(asked.items), np.nan)
            return np.stack([np.full_like(nothing, NO_OPTION), nothing])

    return OptionScores.of(kept(subject, asked, OPTIONS, compute, arm.recorded()))


def _scored(subject: Subject, asked: Asked, arm: Arm) -> np.ndarray:
    """Chosen options, and below them log-odds."""

    def scored(rows: Sequence[int]) -> list[np.ndarray]:
        with edited(loaded, arm.edits(loaded, rows)):  # of each try: hooks of one that memory ended count its passes
            found = option_scores(loaded, [asked.options[row] for row in rows])
        return list(found.rows())

    arm.prepare()
    loaded, values = subject.model(), np.empty((2, len(asked.options)))
    for rows in batches_of(asked, subject.settings.batch_size):
        values[:, rows] = np.stack(in_halves(scored, rows), axis=1)
    return values


def batches_of(asked: Asked, size: int) -> list[list[int]]:
    """Items that are asked together: of like length, which keeps padding low."""
    order = np.argsort([len(prompt.ids) for prompt in asked.prompts], kind="stable").tolist()
    return [order[start : start + size] for start in range(0, len(order), size)]


def read_options(items: Sequence[Item], chosen: Int[np.ndarray, " items"]) -> Int8[np.ndarray, " items"]:
    """Readings of chosen options."""
    read = [
        FAILED if own == NO_OPTION else YIELDS if item.options[own] in item.yields else HOLDS
        for item, own in zip(items, chosen.tolist(), strict=True)
    ]
    return np.array(read, dtype=np.int8)
