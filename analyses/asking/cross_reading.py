"""Captures of one model while it reads another model's answers, in either prompt.

Model, text and prompt are exchanged one at a time; texts keep the label of the model that gave them. Each model on its
own answers in its own prompt is captured already.

    activations   answers    prompt
    base          instruct   base        the base reads the instruct model's answers
    instruct      base       instruct    the reverse
    instruct      instruct   base        only the prompt differs
    instruct      base       base        the base's text in its own prompt, read by the instruct model

Choice: for the prompt control the instruct model reads its own answers in the base's prompt and is not asked anew,
since other answers would have other labels, and more than the prompt would differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from provenance.activations.features import Features
from provenance.analyses.asking.both_models import TEST_POOL, Gathered, in_order
from provenance.analyses.asking.collection import CollectionSettings, Pool, reading_task
from provenance.analyses.asking.subject import Subject
from provenance.answers.foreign_answers import Placing, Reading, forced, usual_lead
from provenance.answers.spans import SPAN_RULE
from provenance.checkpoints.names import Checkpoint
from provenance.errors import InputError
from provenance.records import OtherTokens, Question, Response, Stage, Task
from provenance.responses.placing import GivenReading

CellName = tuple[Stage, Stage, Stage]
"""Model of activations, of answers, and of prompt."""
FORCED_CELLS: tuple[CellName, ...] = (
    ("base", "instruct", "base"),
    ("instruct", "base", "instruct"),
    ("instruct", "instruct", "base"),
    ("instruct", "base", "base"),
)
FORCED_FORMAT = 1  # of forced captures; raised when the same settings would give different ones


@dataclass(frozen=True)
class ForcedAnswers:
    """Answers that one model read in one prompt."""

    features: Features
    """Captured vectors in the instruct checkpoint's order of neurons, labels of the answering model."""
    n_dropped: int
    """Answers that could not be placed in the prompt."""


@dataclass(frozen=True)
class Forced:
    """All captures for the 2 x 2 and the prompt control."""

    dataset: str
    cells: Mapping[CellName, ForcedAnswers]
    """In the order of `FORCED_CELLS`."""


def forced_task(asked: Task, reader: Checkpoint, reading: Placing, settings: CollectionSettings) -> Task:
    """The identity of one model's captures on the answers of a task (from `make_task`), in the prompt of `reading`."""
    how = {"forced_format": FORCED_FORMAT, "span_rule": SPAN_RULE, "reading": reading.recorded()}
    return reading_task(asked, reader, settings.dtype, how)


def read_answers(
    reader: Subject,
    task: Task,
    responses: Sequence[Response],
    questions: Iterable[Question],
    reading: Placing,
    doing: str,
    other: OtherTokens | None = None,
    *,
    residual: bool = False,
) -> tuple[Features, tuple[Response, ...]]:
    """Capture a model while it reads any responses in any prompt; existing captures are reused.

    Args:
        task: The task of the responses. A different selection of its responses needs its own key.
        responses: Of any model, kept ones with their labels, in a fixed order.
        questions: The questions that they answer; extra ones are ignored.
        reading: Prompts, and white space before the answer; see `placing_in`.
        other: Tokens beside the answer's whose mean CETT is read too; None for none.
        residual: Whether the residual stream is read too.

    Returns:
        Mean CETT in the reader's own order of neurons, one row per placed answer in the order of the responses; and
        these answers as the reader read them.

    Raises:
        InputError: A response without its question; or the prompt format needs a chat template that the tokenizer
            lacks.
        NonFiniteError: A value is NaN or infinite, or does not fit float16.
    """
    texts = {question.id: question.text for question in questions}
    missing = [response.question_id for response in responses if response.question_id not in texts]
    if missing:
        raise InputError(
            f"the questions of {len(responses)} answers",
            found=f"no question {missing[0]!r}",
            remedy="give the questions that these responses answer",
        )
    placed = [forced(reader.tokenizer, reading, texts[response.question_id], response) for response in responses]
    kept = tuple(response for response in placed if response is not None)
    captures = forced_task(task, reader.checkpoint, reading, reader.settings)
    return reader.captured(captures, kept, doing, other, residual=residual), kept


def placing_in(place: Subject, said: Stage, pool: Pool, own: Sequence[Response]) -> Placing:
    """The prompts of a model for the answers that the model `said` gave to a pool; `own` are its own answers."""
    lead = usual_lead(own)
    if pool.given is None:
        return Reading(place.settings.prompt, lead)
    return GivenReading(pool.given[place.stage], pool.given[said], lead)


def cells_read_by(stage: Stage, gathered: Gathered) -> dict[CellName, ForcedAnswers]:
    """Capture the missing cells of one model, for the held-out answers of the first question set.

    The answers are the captured, balanced ones, with the labels of the model that gave them; activations are in the
    instruct checkpoint's order of neurons.
    """
    reader = gathered.subjects[stage]
    cells: dict[CellName, ForcedAnswers] = {}
    for name in FORCED_CELLS:
        by, said, place = name
        if by != stage:
            continue
        speaker, used = gathered.subjects[said], gathered.used(said)
        pool = speaker.held_out
        reading = placing_in(gathered.subjects[place], said, pool, gathered.collected[place][TEST_POOL].responses)
        read = partial(
            read_answers, reader, speaker.answers_task(pool), used, pool.questions.questions,
            reading, f"{by} reads {said} answers",
        )  # fmt: skip
        features, kept = reader.clock.timed(f"forced {by}", read)
        cells[name] = ForcedAnswers(in_order(by, features, gathered.alignment), len(used) - len(kept))
    return cells
