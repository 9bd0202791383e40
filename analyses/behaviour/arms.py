"""Arms of an intervention: what is changed in a model while it is asked, and how its replies are read."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Int8

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.activations.scaling import UNCHANGED, Edit, factors_of
from provenance.analyses.asking.collection import identity_digest
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.asked_items import Asked
from provenance.benchmarks.items import Item
from provenance.benchmarks.readings import FAILED, HOLDS, YIELDS
from provenance.errors import NonFiniteError
from provenance.models.loading import LoadedModel
from provenance.records import Task

logger = logging.getLogger(__name__)
FORMAT = 3  # of what arms give; raised whenever the same arm would give something else
OPTIONS = "chosen options and log-odds"
"""Name of what is kept of an arm in which options are chosen."""


@runtime_checkable
class Arm(Protocol):
    """A change of a model's activations while it is asked."""

    @property
    def name(self) -> str:
        """In a warning."""

    @property
    def digest(self) -> str:
        """Name of what it is."""

    def recorded(self) -> dict[str, object]:
        """Everything that determines it; nothing for the unchanged model."""

    def first_layer(self, d_m: int) -> int:
        """The first layer that it changes, where layers have so many neurons; 0 for the unchanged model."""

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

    @cached_property
    def digest(self) -> str:
        """Of what is recorded."""
        return identity_digest(self.recorded())

    def first_layer(self, d_m: int) -> int:
        """The first layer that has one of the neurons."""
        return 0 if self.is_plain else int(self.ids.min()) // d_m

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
    return subject.remembered(task_of(subject, asked, what, about), compute)


def task_of(subject: Subject, asked: Asked, what: str, about: Mapping[str, object]) -> Task:
    """The task of computing something about a benchmark; see `kept`."""
    how = subject.settings
    settings: dict[str, object] = {
        "computed": what,
        "format": FORMAT,
        "prompts_sha256": asked.prompts_sha256,
        "max_new_tokens": how.decoding.max_new_tokens,
        "stop_at_newline": how.stop_at_newline,
        "dtype": how.dtype,
        **about,
    }
    key = identity_digest([subject.checkpoint.digest, asked.benchmark.digest, settings])
    return Task(key, subject.stage, asked.benchmark.name, subject.checkpoint.digest, asked.benchmark.digest, settings)


def dismissed(arm: Arm, asked: Asked) -> None:
    """Say that an arm makes scores that are not finite, and counts as unreadable.

    Raises:
        NonFiniteError: It is the unchanged model.
    """
    if not arm.recorded():
        raise NonFiniteError("finite scores of the next token", found="NaN or infinity", remedy="use another --dtype")
    logger.warning("%s: %s makes scores that are not finite; the arm counts as unreadable", asked.benchmark.name,
                   arm.name)  # fmt: skip


def read_options(items: Sequence[Item], chosen: Int[np.ndarray, " items"]) -> Int8[np.ndarray, " items"]:
    """Readings of chosen options."""
    read = [
        FAILED if own < 0 else YIELDS if item.options[own] in item.yields else HOLDS
        for item, own in zip(items, chosen.tolist(), strict=True)
    ]
    return np.array(read, dtype=np.int8)
