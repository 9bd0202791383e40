"""Answers that are wrappers stop a run; those of a model that repeats itself or abstains do not."""

import pytest

from provenance.analyses.asking.wrapped_answers import refuse_wrapped
from provenance.errors import InputError
from provenance.records import Label, Question, Response

CITIES = ["Paris", "Rome", "Cairo", "Lima", "Oslo", "Riga", "Bern", "Delhi"]


def responses(texts: list[str], *, right: int = 0, reason: str = "") -> list[Response]:
    """One response per text, the first ones right; with a reason, all are dropped for it."""
    made: list[Response] = []
    for number, text in enumerate(texts):
        label: Label = "dropped" if reason else "faithful" if number < right else "hallucinated"
        made.append(Response(f"q{number}", "u", "test", label, reason, 1, int(number < right), text, "rule"))
    return made


def asked(count: int, *answers: str) -> dict[str, Question]:
    """As many questions with these accepted answers."""
    return {f"q{number}": Question(f"q{number}", "Who?", answers, "u") for number in range(count)}


VARIED = [f"{CITIES[number % 8]} {number}" for number in range(40)]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (responses(["<tool_call>"] * 38 + VARIED[:2]), "38 of 40 that are '<tool_call>', none of them right"),
        (responses(["Sure! Here you go"] * 40, reason="disagreement"), "40 of 40 that are"),
        (responses([f"<musing>{number} and so on" for number in range(40)]), "that begin with '<musing>'"),
        (responses(["{'n': 1} and"] * 20 + ["{'n': 2} or"] * 20), "40 of 40 that begin with"),
        (
            responses(["<think>so"] * 37 + VARIED[:3], reason="reasoning not closed"),
            "40 of 40 responses that end inside",
        ),
    ],
)
def test_a_wrapper_in_place_of_nearly_all_answers_is_shown_and_stops_the_run(given: list[Response], found: str) -> None:
    with pytest.raises(InputError) as caught:
        refuse_wrapped("instruct", asked(40, "Paris"), given)
    assert found in caught.value.found


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        (responses(VARIED), ("Paris",)),  # all wrong, in many words
        (responses(["Paris"] * 40, right=1), ("Paris",)),  # a model that says one thing, which is right once
        (responses(["I don't know"] * 40, reason="refusal"), ("Paris",)),
        (responses([""] * 40, reason="empty"), ("Paris",)),
        (responses(["fictional"] * 40), ()),  # nothing could be right
        (responses(["<tool_call>"] * 29), ("Paris",)),  # too few to tell
        (responses(["<tool_call>"] * 34 + VARIED[:6]), ("Paris",)),  # not nearly all
        (responses(["<think>so"] * 30, reason="reasoning not closed") + responses(VARIED)[30:], ("Paris",)),
    ],
)
def test_a_model_that_repeats_itself_or_abstains_is_measured(given: list[Response], answers: tuple[str, ...]) -> None:
    refuse_wrapped("instruct", asked(40, *answers), given)
