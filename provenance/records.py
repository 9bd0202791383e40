"""Plain values that travel between the rooms: questions, responses, regions, tasks.

They hold text, numbers and token ids, never tensors, so the database can store them as rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Label = Literal["faithful", "hallucinated", "refusal", "dropped"]
Split = Literal["train", "validation", "test"]
Verdict = Literal["supported", "not distinguishable", "no power"]
MARKS = {"supported": "●", "not distinguishable": "○", "no power": "–"}
"""Sign of each verdict, so that none relies on colour."""
Stage = Literal["base", "instruct"]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    estimate: float
    """The statistic on all rows."""
    low: float
    """2.5th percentile of the bootstrap distribution."""
    high: float
    """97.5th percentile of the bootstrap distribution."""
    n: int
    """Rows that the statistic was computed on."""


@dataclass(frozen=True)
class Question:
    """One question with the answers that count as right."""

    id: str
    """Identifier inside its data set."""
    text: str
    """The question as asked."""
    answers: tuple[str, ...]
    """Accepted answers (aliases); empty: every confident answer is a hallucination."""
    unit: str
    """Unit of splitting and resampling: the normalised question text, or the group a file names."""


QUOTA_FULL = "quota full"
"""Reason of a response that was dropped since its class had enough; of training questions it has one sample."""
LABEL_OF_FILE = "file"
"""Source of a label read from a file of responses."""
RegionName = Literal["special", "template", "question", "response", "answer"]
OtherTokens = Literal["all", "no-special", "content"]
LEFT_OUT: Mapping[OtherTokens, frozenset[RegionName]] = {
    "all": frozenset(),  # Gao et al. 2025, Sec. 6.1.2: T without A
    "no-special": frozenset({"special"}),  # without the first token, which attention fills with large activations
    "content": frozenset({"special", "template"}),
}
"""Regions that the mean over the other tokens leaves out, beside the answer."""


@dataclass(frozen=True)
class Region:
    """A half-open range of token positions with one role."""

    name: RegionName
    """Role of the tokens."""
    start: int
    """First token position."""
    stop: int
    """Position after the last token."""


@dataclass(frozen=True)
class Response:
    """A checkpoint's response to one question, with its judgement."""

    question_id: str
    """Identifier of the question inside its data set."""
    unit: str
    """Unit of splitting and resampling."""
    split: Split
    """Part of the questions it belongs to."""
    label: Label
    """`refusal` if all samples refuse: kept apart, never fitted on; `dropped` if not kept, `reason` says why."""
    reason: str
    """Empty if kept; else refusal (of some samples), empty, disagreement, quota full, no answer span, cut off,
    reasoning not closed, tokens not recovered, no judgement, judges differ, longer than a limit."""
    n_samples: int
    """Samples drawn before the question was decided."""
    n_right: int
    """Samples judged right."""
    text: str
    """The representative response, decoded."""
    label_source: str
    """Judge: the name of the rule (`JUDGE_NAME`) or of a model; or `LABEL_OF_FILE`."""
    prompt_ids: tuple[int, ...] = ()
    """Token ids of the prompt, as given to the model."""
    response_ids: tuple[int, ...] = ()
    """Token ids of the response, as sampled."""
    regions: tuple[Region, ...] = ()
    """Roles of all tokens, in order, without gaps."""
    samples: tuple[str, ...] = ()
    """All sampled texts, in order."""
    cut_off: bool = False
    """Whether the token limit ended the representative response."""
    judged_label: Label = "dropped"
    """What the samples say by the judge, before quotas and limits; `dropped` where they disagree."""
    rule_label: Label = "dropped"
    """What the same samples say by the rule."""
    span: tuple[int, int] | None = None
    """Characters of `text` that a file gives as the answer; None: those that the rule finds. The database keeps the
    tokens of the answer instead, in `regions`."""

    @property
    def is_answer(self) -> bool:
        """Whether it is kept as faithful or hallucinated; nothing else is ever fitted to or scored."""
        return self.label in ("faithful", "hallucinated")


@dataclass(frozen=True)
class Task:
    """One collection of responses and captures: a checkpoint answers a pool of questions under one protocol.

    `settings` has everything that changes the outcome; `key` is the digest of it all.
    """

    key: str
    """SHA-256 over checkpoint, questions, and settings."""
    stage: Stage
    """Side of the comparison."""
    dataset: str
    """Name of the question set."""
    checkpoint_digest: str
    """Content digest of the checkpoint."""
    dataset_digest: str
    """Content digest of the question set."""
    settings: dict[str, object] = field(hash=False)
    """Prompt and its frame, decoding, seed, span rule, dtype."""


@dataclass(frozen=True)
class CaptureChunk:
    """Rows of an array of captured values that were written together."""

    file: str
    """Name inside the captures folder."""
    sha256: str
    """Digest of the file, or of these rows and the ids below."""
    question_ids: tuple[str, ...]
    """Question of each row."""
    first_row: int = 0
    """Place of the first one in the array."""


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint's entry in the database."""

    ref: str
    """Reference as the user wrote it, with the revision pinned if there is one."""
    digest: str
    """SHA-256 over the digests of its files."""
    model_type: str
    """`model_type` of its config."""
    layers: int
    """Number of MLP layers of the text tower."""
    neurons_per_layer: int
    """Intermediate size d_m."""
    hidden_size: int
    """Model width d."""
    dtype: str
    """Storage dtype of the MLP weights."""
    commit: str | None = None
    """Commit sha on the hub, if it came from there."""
