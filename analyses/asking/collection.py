"""Question pools, collection settings, and the identity under which work is kept.

Everything that changes an answer is in its task's settings, whose digest names the responses: nothing is asked twice,
and a changed setting never gets old answers. What is read of them has a task of its own. How many answers are wanted,
and where and in which batches they are computed, is in neither.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol as TypingProtocol
from typing import runtime_checkable

from provenance.activations.capture_files import CaptureDtype
from provenance.activations.features import Features
from provenance.analyses.results.answers import Funnel
from provenance.answers.collect_responses import (
    CUT_OFF,
    JUDGES_DIFFER,
    LONGEST_PROMPT,
    NO_SPAN,
    UNCLOSED,
    Judge,
    Protocol,
    by_rule,
    rounds_of,
)
from provenance.answers.judging import JUDGE_NAME, normalise
from provenance.answers.judging_model import judge_identity
from provenance.answers.prompts import PromptFormat
from provenance.answers.questions import QuestionSet
from provenance.answers.quotas import KEPT_LABELS, REFUSAL
from provenance.answers.sampling import NOISE, Decoding
from provenance.answers.spans import SPAN_RULE
from provenance.checkpoints.names import Checkpoint
from provenance.engines.served_model import Served
from provenance.records import QUOTA_FULL, Label, OtherTokens, Question, Response, Split, Stage, Task
from provenance.responses.placing import Given
from provenance.stages import Left
from provenance.work_log import CaptureLog, ResponseLog

FORMAT = 4  # of responses; raised when the same settings would give different ones
READING_FORMAT = 4  # of what is captured of them, likewise
NO_PART_OF_ANSWERS = (
    "samples", "train_quota", "test_quota", "batch_size", "device", "offload", "attn_implementation", "capture_dtype",
    "other_tokens",
)  # fmt: skip
"""Settings that leave each answer as it is; the rounds of samples name a task in place of their number."""


@runtime_checkable
class Workspace(TypingProtocol):
    """Stores finished work; implemented by the database."""

    captures: Path
    """Folder of captured vectors of new tasks."""

    def captures_of(self, task: Task) -> Path:
        """Folder of the captured vectors of a task."""

    def response_log(self, task: Task) -> ResponseLog:
        """Responses of a task."""

    def capture_log(self, task: Task) -> CaptureLog:
        """Captured files of a task."""


@runtime_checkable
class Progress(TypingProtocol):
    """Receives progress reports."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def step(self, name: str, done: int, total: int, note: str, left: Left | None = None) -> None:
        """Part of a stage is done; `left` where what follows is not the rest of `total`."""


@dataclass(frozen=True)
class Pool:
    """Questions that are asked together."""

    questions: QuestionSet
    """The set they come from."""
    entries: tuple[tuple[Question, Split], ...]
    """In the order of asking."""
    training: bool
    """Several samples a question (True) or one (False)."""
    given: Mapping[Stage, Given] | None = None
    """Responses that exist, in place of asking; None where the models are asked."""

    @property
    def split(self) -> str:
        """`train` (validation included) or `test`."""
        return "train" if self.training else "test"

    @property
    def name(self) -> str:
        """Question set and split."""
        return f"{self.questions.name} {self.split}"


@dataclass(frozen=True)
class CollectionSettings:
    """How a checkpoint is asked and captured."""

    prompt: PromptFormat
    stop_at_newline: bool
    """Whether a line break ends a response."""
    decoding: Decoding
    samples: int
    """Samples per training question, all of which must agree."""
    train_quota: int
    """Consistent responses wanted of each class."""
    test_quota: int
    """Test responses wanted of each class."""
    batch_size: int
    """Questions per batch."""
    seed: int
    """Of order and samples."""
    dtype: str
    device: str
    attn_implementation: str | None
    """As `transformers` names it."""
    offload: bool = False
    """Whether memory and disk take what the device has no room for."""
    capture_dtype: CaptureDtype = "float32"
    """Of captured vectors on disk; see `Wanted`."""
    other_tokens: OtherTokens | None = "all"
    """Tokens beside the answer's whose mean CETT the probe reads; None where it reads none."""
    judge_model: str | None = None
    """Name of the judging model; None for the rule. Where it is served is no setting."""
    agreeing_only: bool = False
    """Whether questions are dropped on which the judging model and the rule differ."""
    served: Served | None = None
    """The model that answers at a server; None where the checkpoint's own answers here."""

    def identity(self) -> dict[str, object]:
        """Settings that change an answer, and nothing else: they name a task."""
        everything = asdict(self)
        for name in NO_PART_OF_ANSWERS:
            del everything[name]
        if self.served is not None:
            del everything["dtype"]  # of forward passes here
        model = everything.pop("judge_model")
        everything["judge"] = JUDGE_NAME if model is None else judge_identity(model)
        if not self.agreeing_only:
            del everything["agreeing_only"]
        if self.served is None:
            del everything["served"]
        return everything


@dataclass(frozen=True)
class Collected:
    """Results of one checkpoint and pool."""

    responses: tuple[Response, ...]
    """All of them, dropped ones included."""
    features: Features
    """Captured vectors of the used ones."""
    splits: tuple[Split, ...]
    """Split of each row of `features`."""
    funnel: Funnel
    """Counts of dropped questions by stage."""
    refusals: Features
    """Captured vectors of refusals, which have no label; never fitted to."""


def make_pool(questions: QuestionSet, chosen: Mapping[Split, Sequence[Question]], seed: int, *, training: bool) -> Pool:
    """The questions of some splits in a random order that depends only on the seed and on their ids."""
    entries = [(question, split) for split, members in chosen.items() for question in members]
    entries.sort(key=lambda entry: entry[0].id)
    random.Random(f"{seed}/{questions.name}").shuffle(entries)  # noqa: S311 - an order, not a secret
    return Pool(questions, tuple(entries), training)


def make_task(stage: Stage, checkpoint: Checkpoint, pool: Pool, settings: CollectionSettings) -> Task:
    """The identity of one pool's collection."""
    everything: dict[str, object] = {
        **(_asked(pool, settings) if pool.given is None else {"responses_sha256": pool.given[stage].digest}),
        "format": FORMAT,
        "span_rule": SPAN_RULE,
        "split": pool.split,
        "questions_sha256": identity_digest([[question.id, split] for question, split in pool.entries]),
    }
    identity = [checkpoint.digest, pool.questions.digest, everything]
    return Task(
        key=identity_digest(identity),
        stage=stage,
        dataset=pool.questions.name,
        checkpoint_digest=checkpoint.digest,
        dataset_digest=pool.questions.digest,
        settings=everything,
    )


def _asked(pool: Pool, settings: CollectionSettings) -> dict[str, object]:
    """What answers depend on where a model is asked."""
    return {
        **settings.identity(),
        "rounds": list(_rounds(pool, settings)),
        "noise": NOISE if settings.served is None else "the server's",
        "longest_prompt": LONGEST_PROMPT,
    }


def reading_task(asked: Task, reader: Checkpoint, dtype: str, how: Mapping[str, object] = MappingProxyType({})) -> Task:
    """The identity of what a checkpoint reads, in forward passes of a dtype, in the answers of a task.

    `how` says how they are put before it, where it is not as they were given.
    """
    settings = {"computed": "reading", "reader": reader.digest, "dtype": dtype, "format": READING_FORMAT, **how}
    return replace(asked, key=identity_digest([asked.key, settings]), settings={**asked.settings, **settings})


def paired_task(task: Task, other: Checkpoint, what: str) -> Task:
    """The identity of an array computed from a pool's responses by its own checkpoint and another one."""
    settings = {**task.settings, "computed": what, "other_checkpoint": other.digest}
    return replace(task, key=identity_digest([task.key, other.digest, what]), settings=settings)


def identity_digest(value: object) -> str:
    """SHA-256 of a value as JSON, used as the name of kept work."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _rounds(pool: Pool, settings: CollectionSettings) -> tuple[int, ...]:
    return rounds_of(settings.samples if pool.training else 1)


def protocol_of(pool: Pool, settings: CollectionSettings, judge: Judge = by_rule) -> Protocol:
    """How the questions of a pool are asked; `judge` is the one that the settings name."""
    return Protocol(
        settings.prompt,
        settings.decoding,
        _rounds(pool, settings),
        settings.train_quota if pool.training else settings.test_quota,
        settings.stop_at_newline,
        settings.batch_size,
        settings.seed,
        judge,
        settings.judge_model or JUDGE_NAME,
        settings.agreeing_only,
    )


def balanced(responses: Sequence[Response]) -> list[Response]:
    """The first responses of each class, as many of a split as its smaller class has, in order; with one class, all.

    Training is balanced too. Source: Gao et al. 2025, arXiv:2512.01797, Sec. 6.1.1.
    """
    counts = Counter((response.split, response.label) for response in responses)
    taken: Counter[tuple[Split, str]] = Counter()
    chosen: list[Response] = []
    for response in responses:
        place = (response.split, response.label)
        least = min(counts[response.split, label] for label in KEPT_LABELS)
        if least == 0 or taken[place] < least:
            chosen.append(response)
            taken[place] += 1
    return chosen


def funnel(stage: Stage, pool: Pool, responses: Sequence[Response], used: Sequence[Response]) -> Funnel:
    """Counts by label: asked, answered, consistent, span found, captured, used; with reasons for drops."""
    reasons = Counter(_drop_reason(r) for r in responses if r.label == "dropped")
    without_span, cut = (Counter(r.judged_label for r in responses if r.reason == why) for why in (NO_SPAN, CUT_OFF))
    kept = _by_label(responses)
    spans: dict[Label, int] = {label: kept[label] + cut[label] for label in KEPT_LABELS}
    consistent: dict[Label, int] = {label: spans[label] + without_span[label] for label in KEPT_LABELS}
    captured = _by_label(used)
    reasons.update({f"not needed for balance ({label})": kept[label] - captured[label] for label in KEPT_LABELS})
    return Funnel(
        stage=stage,
        dataset=pool.questions.name,
        split=pool.split,
        asked=len(responses),
        answered=sum(r.reason != UNCLOSED and any(map(normalise, r.samples or (r.text,))) for r in responses),
        consistent=consistent,
        span_found=spans,
        captured=captured,
        fitted=captured,
        cut_off=sum(r.cut_off and (r.is_answer or r.reason == CUT_OFF) for r in responses),
        refusals=sum(r.label == REFUSAL for r in responses),
        dropped={reason: count for reason, count in sorted(reasons.items()) if count},
    )


def _drop_reason(response: Response) -> str:
    if response.reason in (NO_SPAN, QUOTA_FULL, CUT_OFF, JUDGES_DIFFER):
        return f"{response.reason} ({response.judged_label})"
    return response.reason


def _by_label(responses: Sequence[Response]) -> dict[Label, int]:
    return {label: sum(r.label == label for r in responses) for label in KEPT_LABELS}
