"""Negative controls: comparisons that must find nothing, because one link is broken and all else is unchanged.

    permuted-index    neuron j of the instruct checkpoint is matched with another neuron of the same layer of the base
    permuted-labels   training answers of both checkpoints have the labels of other questions; test labels are true
    unrelated         another model of the same shape, matched by position, reads the base's own answers in its place

Claims are worded as for a related pair, since a control is compared by position.

Source: none in Gao et al. 2025; Lipsitch, Tchetgen Tchetgen and Cohen 2010, doi:10.1097/EDE.0b013e3181d61eeb, for
negative controls.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from provenance.analyses.asking.answer_texts import Answers, captured_responses
from provenance.analyses.asking.both_models import Gathered
from provenance.analyses.asking.clock import Clock
from provenance.analyses.asking.collection import Collected, Pool
from provenance.analyses.asking.cross_reading import placing_in, read_answers
from provenance.analyses.asking.models import OpenCheckpoint
from provenance.analyses.asking.opening import open_each
from provenance.analyses.asking.subject import Subject
from provenance.analyses.drift.pair import MeasuredPair, measure_lineage, measure_pair, measured_with
from provenance.analyses.drift.weight_drift import check_comparable
from provenance.analyses.lineage.alignment import align
from provenance.analyses.results.lineage import Alignment, LineageResult
from provenance.analyses.search.shuffled_labels import shuffled_jointly
from provenance.analyses.weights.by_layers import ByLayers
from provenance.errors import PairError
from provenance.models.random_model import random_for_now
from provenance.records import Response

NegativeControlKind = Literal["permuted-index", "permuted-labels", "unrelated"]
CONTROL_KINDS: tuple[NegativeControlKind, ...] = ("permuted-index", "permuted-labels", "unrelated")


@dataclass(frozen=True)
class NegativeControl:
    """The broken link of a comparison, and its replacement."""

    kind: NegativeControlKind
    seed: int
    """Seed of permutations."""
    other: OpenCheckpoint | None = None
    """Model in place of the base; None for the other kinds."""

    def recorded(self) -> dict[str, str | None]:
        """Its part of a run's identity, beside the seed of the run."""
        return {"control": self.kind, "other_checkpoint": self.other.checkpoint.digest if self.other else None}


@contextmanager
def prepared(
    kind: NegativeControlKind | None, other: str | None, base: OpenCheckpoint, seed: int, folder: Path
) -> Iterator[NegativeControl | None]:
    """A control ready for a comparison; None if none is requested.

    `other` refers to the model for `unrelated`; by default a randomly initialised one of the base's config is made in
    `folder`, and removed when the block ends.

    Raises:
        CheckpointError: The other model is missing, incomplete or not trusted.
        ArchitectureError: Its layout is unknown.
        StoreError: The disk is full.
    """
    if kind != "unrelated":
        yield None if kind is None else NegativeControl(kind, seed)
    elif other is not None:
        yield NegativeControl(kind, seed, open_each([("base", other)])[0])
    else:
        with random_for_now(base.checkpoint, seed, folder) as made:
            yield NegativeControl(kind, seed, open_each([("base", str(made))])[0])


def in_place_of(base: OpenCheckpoint, control: NegativeControl | None) -> OpenCheckpoint:
    """The checkpoint whose weights count as those of the base."""
    return control.other if control is not None and control.other is not None else base


def measure_controlled(
    base: OpenCheckpoint,
    instruct: OpenCheckpoint,
    control: NegativeControl | None,
    seed: int,
    clock: Clock,
    who: ByLayers | None = None,
) -> tuple[LineageResult, MeasuredPair]:
    """Lineage, alignment and drift under a control, or of the pair itself without one.

    `who` reads the layers of base and instruct checkpoint, by default this process; another model is read here.

    Raises:
        PairError: The MLPs have different shapes, and lineage does not match their neurons; or the other model of
            `unrelated` has another shape than the instruct checkpoint, or is related to it.
        NonFiniteError: A weight is NaN or infinite.
    """
    if control is None:
        return measure_pair(base, instruct, seed, clock, who)
    layout = instruct.layout
    if control.other is not None:
        check_comparable(control.other.weights, instruct.weights)
        related = measure_lineage(control.other, instruct, seed, clock)
        if related.verdict != "unrelated":
            raise PairError(
                "a model that is not related to the instruct checkpoint, for --control unrelated",
                found=f"{control.other.checkpoint.pinned}: {related.verdict}",
                remedy="name another model with --other, or leave it out for a randomly initialised one",
            )
        alignment = Alignment("index", np.arange(layout.layers * layout.d_m), "")
        return related, measured_with(control.other, instruct, alignment, clock)
    if control.kind == "permuted-labels":
        related, measured = measure_pair(base, instruct, seed, clock, who)
        return related, replace(measured, alignment=replace(measured.alignment, reason=""))
    related = measure_lineage(base, instruct, seed, clock, who)
    aligned = clock.timed("alignment", lambda: align(base.weights, instruct.weights, related, who))
    permuted = permuted_alignment(aligned, layout.layers, layout.d_m, control.seed)
    return related, measured_with(base, instruct, permuted, clock, who)


def permuted_alignment(alignment: Alignment, layers: int, d_m: int, seed: int) -> Alignment:
    """Shuffles the alignment within each layer so that no neuron keeps its counterpart.

    Returns:
        Counterparts in a random cyclic order per layer of the instruct checkpoint; a layer with one mapped neuron stays
        as it is, and so do unmapped neurons. `reason` is empty, since a control is compared by these ids.

    Source: Sattolo 1986, doi:10.1016/0020-0190(86)90073-6, for permutations of one cycle.
    """
    rng = np.random.default_rng(seed)
    base_ids = alignment.base_ids.copy()
    for layer in range(layers):
        ids = layer * d_m + np.flatnonzero(alignment.base_ids[layer * d_m : (layer + 1) * d_m] >= 0)
        cycle = rng.permutation(ids)
        base_ids[cycle] = alignment.base_ids[np.roll(cycle, 1)]
    return replace(alignment, base_ids=base_ids, reason="")


def controlled(gathered: Gathered, control: NegativeControl | None) -> Gathered:
    """Applies a control to the collected answers; the alignment of `permuted-index` is permuted already."""
    if control is None or control.kind == "permuted-index":
        return gathered
    if control.kind == "permuted-labels":
        return with_permuted_labels(gathered, control.seed)
    return _read_by_other(gathered, in_place_of(gathered.subjects["base"].side, control))


def with_permuted_labels(gathered: Gathered, seed: int) -> Gathered:
    """The same answers with labels of other questions in training and validation.

    Labels are shuffled by whole questions (or groups of them) within the training and within the validation answers of
    each checkpoint, so that class counts stay; labels of test answers are true.
    """
    collected, answers = dict(gathered.collected), dict(gathered.answers)
    for number, stage in enumerate(sorted(collected)):
        first = collected[stage][0]
        labels = first.features.hallucinated.copy()
        for place, split in enumerate(("train", "validation")):
            rows = np.flatnonzero(np.array(first.splits, dtype=str) == split)
            [[labels[rows]]] = shuffled_jointly([first.features.take(rows)], draws=1, seed=[seed, number, place])
        relabelled = replace(first, features=replace(first.features, hallucinated=labels))
        trained = answers[stage][0]
        trained = replace(trained, features=replace(trained.features, hallucinated=labels))
        collected[stage] = (relabelled, *collected[stage][1:])
        answers[stage] = (trained, *answers[stage][1:])
    return replace(gathered, collected=collected, answers=answers)


def _read_by_other(gathered: Gathered, other: OpenCheckpoint) -> Gathered:
    """The base's answers, texts and labels with vectors of another model, which is loaded after the pair is dropped."""
    gathered.drop()
    base = gathered.subjects["base"]
    reader = replace(base, side=other, author=base.checkpoint, served=None)  # what serves the base is not this model
    parts = [
        base.clock.timed(_reading(pool), partial(_read_pool, reader, pool, found, said))
        for pool, found, said in zip(base.pools, gathered.collected["base"], gathered.answers["base"], strict=True)
    ]
    return replace(
        gathered,
        subjects={**gathered.subjects, "base": reader},
        collected={**gathered.collected, "base": tuple(found for found, _ in parts)},
        answers={**gathered.answers, "base": tuple(said for _, said in parts)},
    )


def _reading(pool: Pool) -> str:
    return f"another model reads {pool.name}"


def _read_pool(reader: Subject, pool: Pool, found: Collected, answers: Answers) -> tuple[Collected, Answers]:
    """One pool of the base's answers, read by another model in the base's prompt; unplaced answers are left out."""
    reading = placing_in(reader, reader.stage, pool, found.responses)
    rows = {question_id: row for row, question_id in enumerate(found.features.question_ids)}
    used = captured_responses(found.features, found.responses)
    other = reader.settings.other_tokens if pool.training else None
    features, responses = read_answers(
        reader, reader.answers_task(pool), used, pool.questions.questions, reading, _reading(pool), other, residual=True
    )
    kept = np.array([rows[question_id] for question_id in features.question_ids], dtype=np.int64)
    splits = tuple(found.splits[row] for row in kept)
    return replace(found, responses=_with_dropped(found, responses), features=features, splits=splits), replace(
        _rows_of(answers, kept), features=features
    )


def _with_dropped(found: Collected, placed: tuple[Response, ...]) -> tuple[Response, ...]:
    """The answers as the other model reads them, and what is no answer."""
    return (*placed, *(response for response in found.responses if not response.is_answer))


def _rows_of(answers: Answers, rows: Int[np.ndarray, " kept"]) -> Answers:
    known = answers.log_probability
    return Answers(
        answers.features.take(rows),
        tuple(answers.questions[row] for row in rows),
        tuple(answers.answers[row] for row in rows),
        answers.tokens[rows],
        None if known is None else known[rows],
    )
