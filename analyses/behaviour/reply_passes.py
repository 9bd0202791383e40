"""Free replies of many arms to the same items, generated greedily: prompts pass through the lower layers once.

What an arm replies is kept as text, so that another rule or a judging model reads it without asking again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch

from provenance.activations.scaling import edited
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.arm_passes import Group, Piece, Step, found_in, silent
from provenance.analyses.behaviour.arms import Arm, dismissed
from provenance.analyses.behaviour.asked_items import Asked
from provenance.answers.collect_responses import stop_ids_of
from provenance.answers.sampling import Below, Decoding, PromptBatch
from provenance.benchmarks.readings import Reading
from provenance.benchmarks.replies import read_reply
from provenance.defaults import BATCH_SIZE
from provenance.errors import NonFiniteError
from provenance.models.loading import LoadedModel

GREEDY = Decoding(temperature=1.0, top_k=1, top_p=1.0)


@dataclass(frozen=True)
class Reply:
    """A reply in free text."""

    text: str
    cut_off: bool
    """Whether the limit of tokens ended it."""


NO_REPLY = Reply("", cut_off=False)


def replies_of(subject: Subject, asked: Asked, arms: Sequence[Arm], step: Step = silent) -> list[list[Reply]]:
    """Replies to all items, in each arm; equal arms are asked once.

    Where an arm makes scores that are not finite, it says nothing.

    Raises:
        NonFiniteError: So are those of the unchanged model.
        CaptureError, PairError, StoreError: See `edited`, `resumed` and `Subject.remembered`.
    """
    said: dict[str, list[Reply]] = {}
    gathered, by_name = found_in(ReplyPiece, subject, asked, arms, step), {arm.digest: arm for arm in arms}
    for name, pieces in gathered.items():
        said[name] = [NO_REPLY] * len(asked.items)
        decoded = [(rows, _decoded(values)) for rows, values in pieces]
        if any(replies is None for _, replies in decoded):
            dismissed(by_name[name], asked)
            continue
        for rows, replies in decoded:
            for row, reply in zip(rows, replies or (), strict=True):
                said[name][row] = reply
    return [said[arm.digest] for arm in arms]


def read_by_rule(asked: Asked, replies: Sequence[Reply]) -> list[Reading]:
    """Readings of an arm's replies to all items by the rule of their kind."""
    kind = asked.benchmark.kind
    return [
        read_reply(kind, item, reply.text, cut_off=reply.cut_off)
        for item, reply in zip(asked.items, replies, strict=True)
    ]


def _encoded(replies: Sequence[Reply] | None) -> np.ndarray:
    """As bytes; None where scores were not finite."""
    rows = None if replies is None else [[reply.text, reply.cut_off] for reply in replies]
    return np.frombuffer(json.dumps(rows).encode(), dtype=np.uint8)


def _decoded(values: np.ndarray) -> list[Reply] | None:
    rows = json.loads(values.tobytes())
    return None if rows is None else [Reply(text, cut_off) for text, cut_off in rows]


@dataclass
class ReplyPiece(Piece[Below | None, Reply]):
    """Free replies."""

    size: ClassVar[int] = BATCH_SIZE  # keys and values of one batch are shared
    what: ClassVar[str] = "replies"
    _lower: dict[int, Below] = field(default_factory=dict)
    """What the layers below the first changed one give, by that layer; of the last one asked for."""

    def computed(self, loaded: LoadedModel, group: Group) -> Mapping[str, np.ndarray]:
        """Replies of each arm as bytes."""
        try:
            found = self.by_arm(loaded, group)
        except NonFiniteError:
            if len(group.arms) == 1:
                return {group.arms[0].digest: _encoded(None)}
            alone = [self.computed(loaded, replace(group, arms=(arm,))) for arm in group.arms]
            return {name: values for each in alone for name, values in each.items()}
        return {arm.digest: _encoded(replies) for arm, replies in zip(group.arms, found, strict=True)}

    def together(
        self, loaded: LoadedModel, arms: Sequence[Arm], rows: Sequence[int], below: Below | None
    ) -> list[Reply]:
        """Replies of each."""
        how = self.subject.settings
        stops = stop_ids_of(loaded.lexicon, how.prompt, newline=how.stop_at_newline)
        decoding = replace(GREEDY, max_new_tokens=how.decoding.max_new_tokens)
        prompts = [self.asked.prompts[row] for row in rows]
        repeated = (
            None if below is None else below.rows(torch.arange(len(rows), device=loaded.device).repeat(len(arms)))
        )
        beside = self.beside(loaded, arms, rows)
        with edited(loaded, beside.edits()):
            batch = PromptBatch(loaded, prompts * len(arms), decoding, stops, repeated, beside.watch)
            said = batch.draw(range(len(rows) * len(arms)), range(1), 0)
        return [_reply(loaded, samples[0], decoding.max_new_tokens) for samples in said]

    def below(self, loaded: LoadedModel, first: int, rows: Sequence[int]) -> Below | None:
        """None where nothing is shared: keys and values of one batch are kept, so it must have room for all items."""
        prompts = self.asked.prompts
        if not first or len(rows) < len(prompts) or max(len(prompt.ids) for prompt in prompts) < 2:
            return None
        if first not in self._lower:
            self._lower = {first: Below.of(loaded, prompts, first)}
        return self._lower[first]


def _reply(loaded: LoadedModel, sampled: Sequence[int], most: int) -> Reply:
    text = loaded.tokenizer.decode(sampled, skip_special_tokens=True)
    return Reply(text, cut_off=len(sampled) >= most)
