"""Texts join the vectors of their own answers, or nothing at all."""

from dataclasses import replace

import numpy as np
import pytest

from provenance.activations.features import Features
from provenance.analyses.asking.answer_texts import answers_of, captured_responses
from provenance.errors import InputError
from provenance.records import Label, Question, Region, Response

TEXTS = {"a": ' "New York".\nIndeed', "b": " 7", "c": " no", "d": " yes"}
QUESTIONS = [Question(name, f"Which {name}?", ("x",), name) for name in [*TEXTS, "never asked"]]


def response(name: str, label: Label) -> Response:
    regions = (Region("question", 0, 3), Region("answer", 3, 5), Region("special", 5, 6), Region("answer", 6, 7))
    return Response(name, name, "test", label, "", 1, 1, TEXTS[name], "rule", regions=regions)


RESPONSES = [
    response("c", "dropped"),
    response("a", "hallucinated"),
    response("d", "faithful"),
    response("b", "faithful"),
]


@pytest.fixture
def features() -> Features:
    vectors = np.zeros((2, 4), dtype=np.float32)
    return Features.of(vectors, vectors, np.array([False, True]), ("b", "a"), ("b", "a"))


def test_texts_come_in_the_order_of_the_rows_and_are_those_of_the_answer_span(features: Features) -> None:
    answers = answers_of(features, RESPONSES, QUESTIONS, np.array([-1.0, -2.0]))
    assert answers.questions == ("Which b?", "Which a?")
    assert answers.answers == ("7", "New York")
    assert answers.tokens.tolist() == [3, 3]  # tokens of all answer regions, not of the response
    assert [r.question_id for r in captured_responses(features, RESPONSES)] == ["b", "a"]
    assert answers.both_classes
    assert not answers_of(features.take([0]), RESPONSES, QUESTIONS).both_classes


def test_no_rows_are_no_answers(features: Features) -> None:
    nothing = answers_of(features.take([]), RESPONSES, QUESTIONS)
    assert nothing.answers == ()
    assert nothing.tokens.shape == (0,)
    assert not nothing.both_classes


@pytest.mark.parametrize(
    ("spoil", "message"),
    [("missing", "found: none"), ("dropped", "found: none"), ("label", "a faithful one"),
     ("question", "no question 'b'"), ("probabilities", "3 log-probabilities")],
)  # fmt: skip
def test_rows_and_texts_that_do_not_belong_together_are_refused(features: Features, spoil: str, message: str) -> None:
    responses, questions, values = list(RESPONSES), list(QUESTIONS), np.zeros(2)
    if spoil == "missing":
        del responses[1]
    elif spoil in ("dropped", "label"):
        responses[1] = replace(responses[1], label="dropped" if spoil == "dropped" else "faithful")
    elif spoil == "question":
        del questions[1]
    else:
        values = np.zeros(3)
    with pytest.raises(InputError, match=message):
        answers_of(features, responses, questions, values)
