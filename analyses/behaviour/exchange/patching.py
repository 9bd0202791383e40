"""How a model replies while neurons have the activations that they have in the other model of a pair.

Both models read the same token ids: the prompts of the one whose replies count, in its own prompt format. The other one
reads them first, and its activations wait in a file, so that one model is in memory at a time. Only choices of options
are asked, whose replies are read from one pass over the prompt; of a generated reply the tokens would differ.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int

from provenance.activations.patching import KeptActivations, replacing
from provenance.activations.scaling import Edit
from provenance.analyses.asking.collection import identity_digest
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.arm_passes import scores_of
from provenance.analyses.behaviour.arms import OPTIONS, PLAIN, Arm, kept, read_options
from provenance.analyses.behaviour.asked_items import Asked
from provenance.analyses.behaviour.compliance import asked_of, sets_beside
from provenance.analyses.behaviour.compliance_sets import Sets, disturbances
from provenance.analyses.behaviour.exchange.patch_effects import Patched, Replies, patch_claims, patch_effects
from provenance.analyses.behaviour.scaled_benchmarks import ScaledBenchmarks, asked_freely
from provenance.analyses.results.behaviour import PatchEffect
from provenance.analyses.results.claims import Claim
from provenance.analyses.results.lineage import Alignment
from provenance.benchmarks.items import Item
from provenance.benchmarks.option_scores import OptionScores, option_scores
from provenance.benchmarks.reply_judge import ReplyJudge
from provenance.models.devices import in_halves
from provenance.models.loading import LoadedModel
from provenance.records import Stage

NONE = -1
"""In place of a counterpart."""


@dataclass(frozen=True)
class Exchanged:
    """What the other model's activations do to how often each model yields."""

    effects: tuple[PatchEffect, ...] = ()
    claims: tuple[Claim, ...] = ()
    """One for each model and benchmark."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A benchmark as the receiving model is asked, with the neurons whose activations are replaced."""

    asked: Asked
    sets: Sets
    """Flat ids in the receiving model."""

    @property
    def every(self) -> Int[np.ndarray, " _"]:
        """Neurons of all sets, each once."""
        return np.unique(np.concatenate([members.ravel() for members in self.sets.values()]))


class Lender:
    """The other model: it reads the prompts of all benchmarks once, as soon as something of it is missing.

    Args:
        subject: The model.
        counterpart: Flat id in it of every neuron of the receiving model; `NONE` without one.
        plans: By benchmark.
    """

    def __init__(self, subject: Subject, counterpart: Int[np.ndarray, " neurons"], plans: Sequence[Plan]) -> None:
        self.subject = subject
        self._counterpart = counterpart
        self._plans = plans
        self._kept: dict[str, KeptActivations] = {}
        self._scores: dict[str, np.ndarray] = {}

    def close(self) -> None:
        """Give the room of its activations on the disk back."""
        for each in self._kept.values():
            each.close()

    def theirs(self, ids: Int[np.ndarray, " k"]) -> Int[np.ndarray, " k"]:
        """Flat ids of the counterparts, in the same order."""
        found: np.ndarray = self._counterpart[ids]
        return found

    def activations(self, plan: Plan) -> KeptActivations:
        """Its activations on the prompts of a benchmark, by number of the item."""
        self._read()
        return self._kept[plan.asked.benchmark.name]

    def replies(self, plan: Plan) -> OptionScores:
        """What it makes of the options itself, on the same tokens."""

        def compute() -> np.ndarray:
            self._read()
            return self._scores[plan.asked.benchmark.name]

        return OptionScores.of(kept(self.subject, plan.asked, OPTIONS, compute))

    def _read(self) -> None:
        folder = self.subject.workspace.captures
        for plan in self._plans:
            name = plan.asked.benchmark.name
            if name not in self._kept:
                self._kept[name] = KeptActivations(self.theirs(plan.every), folder)
                read = partial(self._read_each, plan.asked, self._kept[name])
                self._scores[name] = self.subject.clock.timed(f"read {name} with {self.subject.stage}", read)

    def _read_each(self, asked: Asked, into: KeptActivations) -> np.ndarray:
        loaded, values = self.subject.model(), np.empty((2, len(asked.options)))

        def read(rows: Sequence[int]) -> list[np.ndarray]:
            with into.reading(loaded, rows, mask_of(asked, rows)):
                found = option_scores(loaded, [asked.options[row] for row in rows])
            return list(found.rows())

        for rows in asked.pieces(self.subject.settings.batch_size):
            values[:, rows] = np.stack(in_halves(read, rows), axis=1)
        return values


@dataclass(frozen=True, eq=False)
class Replacing:
    """The activations of some neurons are those of their counterparts in the other model (an `Arm`)."""

    ids: Int[np.ndarray, " k"]
    """Flat ids in the receiving model, distinct."""
    lender: Lender
    plan: Plan

    @property
    def name(self) -> str:
        """Where they come from."""
        return f"activations of {self.lender.subject.checkpoint.ref}"

    @cached_property
    def digest(self) -> str:
        """Of what is recorded."""
        return identity_digest(self.recorded())

    def first_layer(self, d_m: int) -> int:
        """The first layer that has one of the neurons."""
        return int(self.ids.min()) // d_m

    def recorded(self) -> dict[str, object]:
        """Neurons here and there, and the checkpoint that lends."""
        theirs = self.lender.theirs(self.ids).tolist()
        return {"neurons": self.ids.tolist(), "instead": theirs, "lender": self.lender.subject.checkpoint.digest}

    def prepare(self) -> None:
        """Has the other model read the prompts."""
        self.lender.activations(self.plan)

    def edits(self, loaded: LoadedModel, rows: Sequence[int]) -> Mapping[int, Edit]:
        """Puts them in place of the receiving model's, at every token of the prompts."""
        lent, there = self.lender.activations(self.plan), self.lender.theirs(self.ids)
        return replacing(lent, there, self.ids, rows, mask_of(self.plan.asked, rows), loaded.layout.d_m)


def mask_of(asked: Asked, rows: Sequence[int]) -> Bool[torch.Tensor, "rows tokens"]:
    """Where the tokens of prompts are, which are padded on the left."""
    lengths = torch.tensor([len(asked.prompts[row].ids) for row in rows])
    width = int(lengths.max())
    return torch.arange(width)[None] >= width - lengths[:, None]


def counterparts(stage: Stage, alignment: Alignment, neurons: int) -> Int[np.ndarray, " neurons"]:
    """Of every neuron of one model of a pair its flat id in the other one; `NONE` without one."""
    if stage == "instruct":
        return alignment.base_ids
    found = np.full(neurons, NONE, dtype=np.int64)
    mapped = np.flatnonzero(alignment.base_ids >= 0)
    found[alignment.base_ids[mapped]] = mapped
    return found


def exchanged(
    subjects: Mapping[Stage, Subject],
    ids: Mapping[Stage, Int[np.ndarray, " _"]],
    alignment: Alignment,
    scaling: ScaledBenchmarks,
    *,
    same_tokens: bool,
    judge: ReplyJudge | None = None,
) -> Exchanged:
    """Replace activations of H-Neurons in each model by those of the other one, on every benchmark of options.

    Args:
        subjects: Both models.
        ids: Flat ids of the H-Neurons in each; those without a counterpart are left out.
        alignment: Which neuron of the base is which.
        scaling: What is asked, and how many control sets there are.
        same_tokens: Whether token ids mean the same in both models; where they do not, no model runs.
        judge: As `readings_of` gets it, so that of doubted answers both ask the same items.

    Raises:
        QuestionError, InputError, JobError, CaptureError, PairError, StoreError: See `readings_of` and
            `KeptActivations`.
    """
    effects: list[PatchEffect] = []
    claims: list[Claim] = []
    possible = same_tokens and not alignment.reason
    others: Mapping[Stage, Stage] = {"instruct": "base", "base": "instruct"}
    for stage, other in others.items():
        receiver, donor = (asked_freely(subjects[each], scaling) for each in (stage, other))
        found: dict[str, tuple[PatchEffect, ...]] = {each.name: () for each in scaling.benchmarks}
        if possible and ids[stage].size:
            there = counterparts(stage, alignment, receiver.layout.layers * receiver.layout.d_m)
            work = partial(_patched, receiver, donor, ids[stage], there, scaling, judge)
            found |= receiver.clock.timed(f"patch {stage}", work)
        effects += [each for rows in found.values() for each in rows]
        claims += patch_claims(
            stage, found, problem=alignment.reason, same_tokens=same_tokens,
            options={each.name: each.has_options for each in scaling.benchmarks},
        )  # fmt: skip
    return Exchanged(tuple(effects), tuple(claims))


def _patched(
    receiver: Subject,
    donor: Subject,
    ids: Int[np.ndarray, " k"],
    there: Int[np.ndarray, " neurons"],
    scaling: ScaledBenchmarks,
    judge: ReplyJudge | None,
) -> dict[str, tuple[PatchEffect, ...]]:
    """Effects in one model, by benchmark of options."""
    plans = [
        _plan(receiver, asked_of(receiver, each, judge), ids, there, scaling)
        for each in scaling.benchmarks
        if each.has_options
    ]
    plans = [plan for plan in plans if plan.asked.items]
    with closing(Lender(donor, there, plans)) as lender:
        found = [_with_sets(receiver, lender, plan) for plan in plans]
    return {each.benchmark: patch_effects(each, seed=scaling.seed) for each in found}


def _plan(
    receiver: Subject,
    asked: Asked,
    ids: Int[np.ndarray, " k"],
    there: Int[np.ndarray, " neurons"],
    scaling: ScaledBenchmarks,
) -> Plan:
    apart = np.flatnonzero(there == NONE)
    own = ids[there[ids] != NONE]
    if not asked.items:
        return Plan(asked, {})
    sets = sets_beside(receiver, asked, own, sets=scaling.sets_of_each_kind, seed=scaling.seed, apart=apart)
    return Plan(asked, sets)


def _with_sets(receiver: Subject, lender: Lender, plan: Plan) -> Patched:
    """Replies to one benchmark with the activations of every set replaced."""
    asked = plan.asked
    lent = lender.replies(plan)  # the other model is in memory first, if anything is missing
    arms: list[Arm] = [PLAIN, *(Replacing(own, lender, plan) for members in plan.sets.values() for own in members)]
    step = partial(receiver.clock.progress.step, f"patch {asked.benchmark.name}", note="neuron sets")
    plain, *found = scores_of(receiver, asked, arms, step)
    each = iter(found)
    by_kind = {kind: _replies(asked.items, [next(each) for _ in members]) for kind, members in plan.sets.items()}
    return Patched(
        stage=receiver.stage,
        benchmark=asked.benchmark.name,
        units=tuple(item.unit for item in asked.items),
        plain=_replies(asked.items, [plain]),
        donor=_replies(asked.items, [lent]),
        by_kind=by_kind,
        k=plan.sets["h_neurons"].shape[1],
        disturbances={kind: _disturbances(receiver, lender, plan, members) for kind, members in plan.sets.items()},
    )


def _replies(items: Sequence[Item], found: Sequence[OptionScores]) -> Replies:
    readings = np.stack([read_options(items, each.chosen) for each in found])
    return Replies(np.stack([each.log_odds for each in found]), readings)


def _disturbances(
    receiver: Subject, lender: Lender, plan: Plan, members: Int[np.ndarray, "sets k"]
) -> Float64[np.ndarray, " sets"]:
    asked = plan.asked

    def compute() -> np.ndarray:
        lent = lender.activations(plan)
        rows = asked.probed_rows

        def instead(prompt: int, ids: Int[np.ndarray, " k"]) -> torch.Tensor:
            return lent.of(rows[prompt], lender.theirs(ids))

        return disturbances(receiver.model(), asked.probed, list(members), instead)

    about = {"neurons": members.ravel().tolist(), "lender": lender.subject.checkpoint.digest,
             "instead": lender.theirs(members.ravel()).tolist()}  # fmt: skip
    return kept(receiver, asked, f"disturbances of {len(members)} sets", compute, about)
