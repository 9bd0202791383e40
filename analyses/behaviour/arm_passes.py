"""Many arms asked the same items: one pass below the first changed layer for all of them, and full batches.

Items are asked in pieces, each arm's of which is kept as soon as it is there, so a killed run loses one piece of one
arm at most. What the layers below the first changed one give is computed once a piece. Where a piece has fewer items
than a batch has room for, several arms share a batch.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch

from provenance.activations.scaling import SideBySide, edited
from provenance.activations.shared_layers import NOTHING, LowerLayers, kept_below, resumed
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.arms import OPTIONS, Arm, dismissed, kept
from provenance.analyses.behaviour.asked_items import Asked
from provenance.benchmarks.option_scores import FAILED, OptionScores, option_scores
from provenance.models.devices import in_halves
from provenance.models.loading import LoadedModel

WORTH_SHARING = 3  # arms; computing the lower layers by themselves takes one more pass
Step = Callable[[int, int], None]
"""Gets the number of arms' pieces that are done, and of all."""
Shared = TypeVar("Shared")
Found = TypeVar("Found")
Pairs = Sequence[tuple[int, int]]
"""Rows of a batch: places of an arm in its group, and of an item in its piece."""


def silent(_done: int, _total: int) -> None:
    """No progress."""


@dataclass(frozen=True, eq=False)
class Group:
    """Arms that are asked together."""

    arms: tuple[Arm, ...]
    first: int
    """Layers below are shared with other passes; 0 for none."""


@dataclass
class Piece(ABC, Generic[Shared, Found]):
    """Some items, in passes that share what the lower layers give."""

    subject: Subject
    asked: Asked
    numbers: Sequence[int]
    """Of its items among those of the benchmark."""
    size: ClassVar[int]
    """Most items of a piece. It is part of what names kept work, and does not depend on the batch size."""
    what: ClassVar[str]
    """Name of what is kept."""

    def groups(self, arms: Sequence[Arm]) -> Iterator[Group]:
        """Arms that share batches: of the same first changed layer, as many as a batch has room for."""
        layers = {arm.digest: arm.first_layer(self.subject.layout.d_m) for arm in arms}
        counts = Counter(layers.values())
        room = max(1, self.subject.settings.batch_size // len(self.asked.items))
        ordered = sorted(arms, key=lambda arm: layers[arm.digest])
        for first, alike in groupby(ordered, key=lambda arm: layers[arm.digest]):
            members, shared = list(alike), first if counts[first] >= WORTH_SHARING else 0
            for start in range(0, len(members), room):
                yield Group(tuple(members[start : start + room]), shared)

    def found(self, group: Group) -> Iterator[tuple[Arm, np.ndarray]]:
        """What each arm of a group gives; what is not kept is computed together."""
        computed: dict[str, np.ndarray] = {}

        def of(arm: Arm) -> np.ndarray:
            if not computed:
                for each in group.arms:
                    each.prepare()
                computed.update(self.computed(self.subject.model(), group))
            return computed[arm.digest]

        for arm in group.arms:
            yield arm, kept(self.subject, self.asked, self.what, partial(of, arm), arm.recorded())

    @abstractmethod
    def computed(self, loaded: LoadedModel, group: Group) -> Mapping[str, np.ndarray]:
        """What each arm of a group gives, by its digest."""

    def batches(self) -> Iterator[range]:
        """Places of the items that one arm has in a batch."""
        count, size = len(self.asked.items), self.subject.settings.batch_size
        return (range(start, min(start + size, count)) for start in range(0, count, size))

    def by_arm(self, loaded: LoadedModel, group: Group) -> list[list[Found]]:
        """What each arm of a group gives to every item, batch by batch."""
        found: list[list[Found]] = [[] for _ in group.arms]
        for rows in self.batches():
            pairs = [(place, row) for place in range(len(group.arms)) for row in rows]
            given = in_halves(partial(self._pass, loaded, group, rows), pairs)
            for (place, _), own in zip(pairs, given, strict=True):
                found[place].append(own)
        return found

    def _pass(self, loaded: LoadedModel, group: Group, rows: Sequence[int], pairs: Pairs) -> list[Found]:
        """What each pair gives; where memory ended, arm by arm, and with nothing shared."""
        if len(pairs) == len(group.arms) * len(rows):
            return self.together(loaded, group.arms, rows, self.below(loaded, group.first, rows))
        return [
            own
            for place, members in groupby(pairs, key=lambda pair: pair[0])
            for own in self.together(
                loaded, [group.arms[place]], [row for _, row in members], self.below(loaded, 0, ())
            )
        ]

    @abstractmethod
    def together(self, loaded: LoadedModel, arms: Sequence[Arm], rows: Sequence[int], below: Shared) -> list[Found]:
        """What arms give to the same items in one batch, arm by arm, above what the lower layers give."""

    @abstractmethod
    def below(self, loaded: LoadedModel, first: int, rows: Sequence[int]) -> Shared:
        """What the layers below one give for the items of a batch, from the unchanged model; nothing below layer 0."""

    def beside(self, loaded: LoadedModel, arms: Sequence[Arm], rows: Sequence[int]) -> SideBySide:
        """What the arms change in a batch of the same items for each."""
        numbers = [self.numbers[row] for row in rows]
        return SideBySide([arm.edits(loaded, numbers) for arm in arms], len(rows))


def found_in(
    kind: type[Piece[Any, Any]], subject: Subject, asked: Asked, arms: Sequence[Arm], step: Step = silent
) -> dict[str, list[tuple[list[int], np.ndarray]]]:
    """What each of the arms gives, by its digest: numbers of items, and what was found of them, piece by piece."""
    different = {arm.digest: arm for arm in arms}
    gathered: dict[str, list[tuple[list[int], np.ndarray]]] = {name: [] for name in different}
    pieces, done = asked.pieces(kind.size), 0
    for rows in pieces:
        piece = kind(subject, asked.part(rows), rows)
        for group in piece.groups(tuple(different.values())):
            for arm, values in piece.found(group):
                gathered[arm.digest].append((rows, values))
                done += 1
                step(done, len(pieces) * len(different))
    return gathered


def scores_of(subject: Subject, asked: Asked, arms: Sequence[Arm], step: Step = silent) -> list[OptionScores]:
    """What a model makes of the options of all items, in each arm; equal arms are asked once.

    Where an arm makes scores that are not finite, no option is chosen in it, and its log-odds are NaN.

    Raises:
        NonFiniteError: So are those of the unchanged model.
        CaptureError, PairError, StoreError: See `edited`, `resumed` and `Subject.remembered`.
    """
    scores: dict[str, OptionScores] = {}
    gathered, by_name = found_in(OptionPiece, subject, asked, arms, step), {arm.digest: arm for arm in arms}
    for name, pieces in gathered.items():
        values = np.empty((2, len(asked.items)))
        for rows, own in pieces:
            values[:, rows] = own
        scores[name] = OptionScores.of(values)
        if not scores[name].is_finite:
            dismissed(by_name[name], asked)
            scores[name] = OptionScores(np.full(len(asked.items), FAILED), np.full(len(asked.items), np.nan))
    return [scores[arm.digest] for arm in arms]


@dataclass
class OptionPiece(Piece[LowerLayers, np.ndarray]):
    """Options, of which the next token decides: one pass over the prompts."""

    size: ClassVar[int] = 256  # what the lower layers give for so many takes some hundred megabytes in a large model
    what: ClassVar[str] = OPTIONS
    _first: int = 0
    _lower: dict[int, LowerLayers] = field(default_factory=dict)
    """What the layers below `_first` give, by first item of a batch."""

    def computed(self, loaded: LoadedModel, group: Group) -> Mapping[str, np.ndarray]:
        """Chosen options, and below them log-odds."""
        found = self.by_arm(loaded, group)
        return {arm.digest: np.stack(own, axis=1) for arm, own in zip(group.arms, found, strict=True)}

    def together(
        self, loaded: LoadedModel, arms: Sequence[Arm], rows: Sequence[int], below: LowerLayers
    ) -> list[np.ndarray]:
        """Option and log-odds of each."""
        prompts = [self.asked.options[row] for row in rows] * len(arms)
        repeated = below.rows(torch.arange(len(rows)).repeat(len(arms)))
        with resumed(loaded, repeated), edited(loaded, self.beside(loaded, arms, rows).edits()):
            return list(option_scores(loaded, prompts).rows())

    def below(self, loaded: LoadedModel, first: int, rows: Sequence[int]) -> LowerLayers:
        """Kept for all batches, as long as the layer is the same."""
        if not first:
            return NOTHING
        if first != self._first:
            self._first, self._lower = first, {}
        if rows[0] not in self._lower:
            with kept_below(loaded, first) as found:
                option_scores(loaded, [self.asked.options[row] for row in rows])
            [self._lower[rows[0]]] = found
        return self._lower[rows[0]]
