"""Whose text, whose prompt: one model's neurons while it reads another model's answers.

The one idea: what a model's neurons do on an answer depends on the model, on the words and on the prompt, so each
of them is exchanged alone. Whoever reads, the words keep the label that they have for the model that said them.

    activations   answers    prompt
    base          base       base        transfer as it is: captured already
    base          instruct   base        the base reads what the instruct model said
    instruct      base       instruct    the other way round
    instruct      instruct   instruct    the probe at home: captured already
    instruct      instruct   base        the prompt alone is another
    instruct      base       base        the base's text in its own prompt, read by the instruct model

Choice: for the prompt control the instruct model reads its own answers in the base's prompt and is not asked anew
there. Other answers would have other labels, and then the prompt would not be the only thing that differs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from provenance.activations.features import Features
from provenance.analyses.asking.both_models import TEST_POOL, Gathered, in_order
from provenance.analyses.asking.collection import CAPTURE_BATCH, CollectionSettings, identity_digest
from provenance.analyses.asking.subject import Subject
from provenance.answers.foreign_answers import Reading, forced, usual_lead
from provenance.answers.spans import SPAN_RULE
from provenance.checkpoints.names import Checkpoint
from provenance.errors import InputError
from provenance.records import Question, Response, Stage, Task

CellName = tuple[Stage, Stage, Stage]
"""Whose activations, whose answers, whose prompt."""
FORCED_CELLS: tuple[CellName, ...] = (
    ("base", "instruct", "base"),
    ("instruct", "base", "instruct"),
    ("instruct", "instruct", "base"),
    ("instruct", "base", "base"),
)
FORCED_FORMAT = 1  # of forced captures; raised whenever the same settings would give other ones


@dataclass(frozen=True)
class ForcedAnswers:
    """Answers that one model read in one prompt."""

    features: Features
    """Captured vectors in the order of the instruct checkpoint's neurons, labels of the model that answered."""
    n_dropped: int
    """Answers that could not be placed in the prompt."""


@dataclass(frozen=True)
class Forced:
    """Everything that was read for the 2 x 2 and the prompt control."""

    dataset: str
    """Name of the question set."""
    cells: Mapping[CellName, ForcedAnswers]
    """In the order of `FORCED_CELLS`."""


def forced_task(asked: Task, reader: Checkpoint, reading: Reading, settings: CollectionSettings) -> Task:
    """The identity of captures of one model on the answers of a task.

    Args:
        asked: What the answers were collected under, as `make_task` gives it.
        reader: The checkpoint that reads.
        reading: The prompt they stand in.
        settings: How the reader is run and captured.
    """
    how: dict[str, object] = {
        "computed": "forced answers",
        "other_checkpoint": reader.digest,
        "format": FORCED_FORMAT,
        "span_rule": SPAN_RULE,
        "reading": asdict(reading),
        "dtype": settings.dtype,
        "device": settings.device,
        "attn_implementation": settings.attn_implementation,
        "capture_dtype": settings.capture_dtype,
        "capture_batch": CAPTURE_BATCH,
    }
    return replace(asked, key=identity_digest([asked.key, how]), settings={**asked.settings, **how}, n_batches=0)


def read_answers(
    reader: Subject,
    task: Task,
    responses: Sequence[Response],
    questions: Iterable[Question],
    reading: Reading,
    doing: str,
) -> tuple[Features, tuple[Response, ...]]:
    """Capture a model while it reads any responses in any prompt; what is captured already is not read again.

    Args:
        reader: The model that reads; not loaded when nothing is left to capture.
        task: What the responses were collected under. Another selection of the same task's responses needs a key of
            its own.
        responses: Of any model, kept ones, in a fixed order; each has its label from there.
        questions: The questions that they answer; more of them do no harm.
        reading: The prompt format and the white space before the answer: `Reading(prompt, usual_lead(responses))`
            with responses that were given in this prompt format.
        doing: Shown meanwhile.

    Returns:
        Mean CETT of the reader's neurons in the reader's own order, a row for each answer that could be placed, in
        the order of the responses; and these answers as the reader was given them.

    Raises:
        InputError: A response to a question that was not given; or the prompt format wants a chat template and the
            tokenizer has none.
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
    # Answers of one length share a batch, so that next to nothing of it is padding.
    order = np.argsort([len(each.prompt_ids) + len(each.response_ids) for each in kept], kind="stable")
    captures = forced_task(task, reader.checkpoint, reading, reader.settings)
    features = reader.captured(captures, [kept[row] for row in order], doing)
    return features.take(np.argsort(order)), kept


def gather_forced(gathered: Gathered) -> Forced:
    """Capture every cell that is not there yet, for the held-out answers of the first question set.

    The answers are those that were captured, balanced, with the labels of the model that gave them.

    Returns:
        Features of both models in the order of the instruct checkpoint's neurons.
    """
    subjects = gathered.subjects
    used = {stage: gathered.used(stage) for stage in subjects}
    readings = {
        stage: Reading(subject.settings.prompt, usual_lead(gathered.collected[stage][TEST_POOL].responses))
        for stage, subject in subjects.items()
    }
    cells: dict[CellName, ForcedAnswers] = {}
    for name in FORCED_CELLS:
        by, said, place = name
        reader, speaker = subjects[by], subjects[said]
        pool = speaker.held_out
        read = partial(
            read_answers, reader, speaker.answers_task(pool), used[said], pool.questions.questions, readings[place],
            f"{by} reads {said} answers",
        )  # fmt: skip
        features, kept = reader.clock.timed(f"forced {by}", read)
        cells[name] = ForcedAnswers(in_order(by, features, gathered.alignment), len(used[said]) - len(kept))
    return Forced(gathered.names[TEST_POOL], cells)
