"""Many arms asked the same items: one pass below the first changed layer for all of them, and full batches.

Items are asked in pieces, each arm's of which is kept as soon as it is there. What the layers below the first changed
one give is computed once a piece. Where a piece has fewer items than a batch has room for, several arms share a batch.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import numpy as np
import torch

from provenance.activations.scaling import SideBySide, edited
from provenance.activations.shared_layers import NOTHING, LowerLayers, kept_below, resumed
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.arms import OPTIONS, Arm, kept
from provenance.analyses.behaviour.asked_items import Asked
from provenance.benchmarks.option_scores import FAILED, OptionScores, option_scores
from provenance.errors import NonFiniteError
from provenance.models.devices import in_halves
from provenance.models.loading import LoadedModel

logger = logging.getLogger(__name__)
OPTIONS_AT_ONCE = 256
"""Items of a piece: what the lower layers give for so many takes some hundred megabytes in a large model."""
WORTH_SHARING = 3  # arms; computing the lower layers by themselves takes one more pass
Step = Callable[[int, int], None]
"""Gets the number of arms' pieces that are done, and of all."""


def _silent(_done: int, _total: int) -> None:
    pass


def scores_of(subject: Subject, asked: Asked, arms: Sequence[Arm], step: Step = _silent) -> list[OptionScores]:
    """What a model makes of the options of all items, in each arm; equal arms are asked once.

    Where an arm makes scores that are not finite, no option is chosen in it, and its log-odds are NaN.

    Raises:
        NonFiniteError: So are those of the unchanged model.
        CaptureError, PairError, StoreError: See `edited`, `resumed` and `Subject.remembered`.
    """
    different = {arm.digest: arm for arm in arms}
    found = {name: np.empty((2, len(asked.items))) for name in different}
    pieces, done = asked.pieces(OPTIONS_AT_ONCE), 0
    for rows in pieces:
        piece = Piece(subject, asked.part(rows), rows)
        for group in piece.groups(tuple(different.values())):
            for arm, values in piece.scores(group):
                found[arm.digest][:, rows] = values
                done += 1
                step(done, len(pieces) * len(different))
    finite = {name: _finite(different[name], asked, OptionScores.of(values)) for name, values in found.items()}
    return [finite[arm.digest] for arm in arms]


def _finite(arm: Arm, asked: Asked, found: OptionScores) -> OptionScores:
    if found.is_finite:
        return found
    if not arm.recorded():
        raise NonFiniteError("finite scores of the next token", found="NaN or infinity", remedy="use another --dtype")
    logger.warning("%s: %s makes scores that are not finite; the arm counts as unreadable", asked.benchmark.name,
                   arm.name)  # fmt: skip
    return OptionScores(np.full_like(found.chosen, FAILED), np.full_like(found.log_odds, np.nan))


@dataclass
class Piece:
    """Some items, in passes that share what the lower layers give."""

    subject: Subject
    asked: Asked
    numbers: Sequence[int]
    """Of its items among those of the benchmark."""
    _first: int = 0
    _lower: dict[int, LowerLayers] = field(default_factory=dict)
    """What the layers below `_first` give, by first item of a batch."""

    def groups(self, arms: Sequence[Arm]) -> Iterator["Group"]:
        """Arms that share batches: of the same first changed layer, as many as a batch has room for."""
        layers = {arm.digest: arm.first_layer(self.subject.layout.d_m) for arm in arms}
        counts = Counter(layers.values())
        room = max(1, self.subject.settings.batch_size // len(self.asked.items))
        ordered = sorted(arms, key=lambda arm: layers[arm.digest])
        for first, alike in groupby(ordered, key=lambda arm: layers[arm.digest]):
            members, shared = list(alike), first if counts[first] >= WORTH_SHARING else 0
            for start in range(0, len(members), room):
                yield Group(tuple(members[start : start + room]), shared)

    def scores(self, group: "Group") -> Iterator[tuple[Arm, np.ndarray]]:
        """Chosen options and log-odds of each arm of a group; what is not kept is computed together."""
        computed: dict[str, np.ndarray] = {}

        def of(arm: Arm) -> np.ndarray:
            if not computed:
                computed.update(self._scored(group))
            return computed[arm.digest]

        for arm in group.arms:
            yield arm, kept(self.subject, self.asked, OPTIONS, partial(of, arm), arm.recorded())

    def _scored(self, group: "Group") -> dict[str, np.ndarray]:
        for arm in group.arms:
            arm.prepare()
        loaded, size = self.subject.model(), self.subject.settings.batch_size
        values = np.empty((len(group.arms), 2, len(self.asked.items)))
        for start in range(0, len(self.asked.items), size):
            rows = range(start, min(start + size, len(self.asked.items)))
            pairs = [(place, row) for place in range(len(group.arms)) for row in rows]
            found = in_halves(partial(self._pass, loaded, group, rows), pairs)
            for (place, row), own in zip(pairs, found, strict=True):
                values[place, :, row] = own
        return {arm.digest: own for arm, own in zip(group.arms, values, strict=True)}

    def _pass(
        self, loaded: LoadedModel, group: "Group", rows: Sequence[int], pairs: Sequence[tuple[int, int]]
    ) -> list[np.ndarray]:
        """What each pair of an arm and an item gives; where memory ended, arm by arm, and with nothing shared."""
        if len(pairs) == len(group.arms) * len(rows):
            lower = self._below(loaded, group.first, rows)
            return self._together(loaded, group.arms, rows, lower)
        return [
            own
            for arm, members in groupby(pairs, key=lambda pair: pair[0])
            for own in self._together(loaded, [group.arms[arm]], [row for _, row in members], NOTHING)
        ]

    def _together(
        self, loaded: LoadedModel, arms: Sequence[Arm], rows: Sequence[int], lower: LowerLayers
    ) -> list[np.ndarray]:
        numbers = [self.numbers[row] for row in rows]
        beside = SideBySide([arm.edits(loaded, numbers) for arm in arms], len(rows))
        prompts = [self.asked.options[row] for row in rows] * len(arms)
        with resumed(loaded, lower.rows(torch.arange(len(rows)).repeat(len(arms)))), edited(loaded, beside.edits()):
            return list(option_scores(loaded, prompts).rows())

    def _below(self, loaded: LoadedModel, first: int, rows: Sequence[int]) -> LowerLayers:
        """What the layers below one give for a batch, from the unchanged model."""
        if first != self._first:
            self._first, self._lower = first, {}
        if first and rows[0] not in self._lower:
            with kept_below(loaded, first) as found:
                option_scores(loaded, [self.asked.options[row] for row in rows])
            [self._lower[rows[0]]] = found
        return self._lower.get(rows[0], NOTHING)


@dataclass(frozen=True, eq=False)
class Group:
    """Arms that are asked together."""

    arms: tuple[Arm, ...]
    first: int
    """Layers below are shared with other passes; 0 for none."""
