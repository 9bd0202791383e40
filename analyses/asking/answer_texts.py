"""Answers with their texts, token counts and log-probabilities, in the row order of their activations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from provenance.activations.features import Features
from provenance.answers.spans import span_of
from provenance.errors import InputError
from provenance.records import Question, Response


@dataclass(frozen=True)
class Answers:
    """Answers of one checkpoint; row i of every field is the same answer."""

    features: Features
    """Mean CETT, label, unit and question of each."""
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    """The characters of the answer span."""
    tokens: Int[np.ndarray, " rows"]
    """Tokens of the answer region."""
    log_probability: Float[np.ndarray, " rows"] | None = None
    """Mean log-probability of the answer tokens in nats; None if it was not computed."""

    @property
    def both_classes(self) -> bool:
        """Whether there are faithful and hallucinated answers."""
        hallucinated = self.features.hallucinated
        return bool(hallucinated.any() and not hallucinated.all())


def captured_responses(features: Features, responses: Sequence[Response]) -> tuple[Response, ...]:
    """The response of each captured row; `responses` may include others, in any order.

    Raises:
        InputError: A row without a kept response, or with one of another label.
    """
    kept = {response.question_id: response for response in responses if response.is_answer}
    rows: list[Response] = []
    for question_id, hallucinated in zip(features.question_ids, features.hallucinated, strict=True):
        response = kept.get(question_id)
        if response is None or (response.label == "hallucinated") != hallucinated:
            raise InputError(
                f"a {'hallucinated' if hallucinated else 'faithful'} response to question {question_id!r}",
                found="none" if response is None else f"a {response.label} one",
                remedy="give the responses that these features were captured on",
            )
        rows.append(response)
    return tuple(rows)


def answers_of(
    features: Features,
    responses: Sequence[Response],
    questions: Iterable[Question],
    log_probability: Float[np.ndarray, " rows"] | None = None,
) -> Answers:
    """Texts and token counts of the captured answers; extra questions are ignored.

    `responses` as for `captured_responses`; `log_probability` in the order of the features' rows, nats per token.

    Raises:
        InputError: A row without its response or its question, or another number of log-probabilities.
    """
    rows = captured_responses(features, responses)
    texts = {question.id: question.text for question in questions}
    missing = [response.question_id for response in rows if response.question_id not in texts]
    given = len(rows) if log_probability is None else log_probability.size
    if missing or given != len(rows):
        raise InputError(
            f"question and log-probability of each of {len(rows)} captured answers",
            found=f"no question {missing[0]!r}" if missing else f"{given} log-probabilities",
            remedy="give the questions and responses that these features were captured on",
        )
    return Answers(
        features,
        tuple(texts[response.question_id] for response in rows),
        tuple(response.text[slice(*span_of(response))] for response in rows),
        np.array([_answer_tokens(response) for response in rows], dtype=np.int64),
        log_probability,
    )


def _answer_tokens(response: Response) -> int:
    return sum(region.stop - region.start for region in response.regions if region.name == "answer")
