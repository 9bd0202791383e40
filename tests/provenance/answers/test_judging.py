"""The rule judge: whole normalised aliases on word boundaries, refusals, nothing."""

import pytest

from provenance.answers.judging import judge, normalise


@pytest.mark.parametrize(
    ("response", "answers", "judgement"),
    [
        (" Paris.", ["Paris"], "right"),
        ("It is PARIS, France", ["paris"], "right"),
        ("Parisian", ["Paris"], "wrong"),  # part of a longer word
        ("the Beatles", ["Beatles"], "right"),
        ("Beatles", ["The Beatles"], "right"),
        ("Jean-Paul Sartre", ["jean paul sartre"], "right"),
        ("U.S.", ["US"], "right"),
        ("O’Brien", ["O'Brien"], "right"),
        ("ＮＡＳＡ", ["NASA"], "right"),  # full-width letters
        ("Straße", ["STRASSE"], "right"),
        ("Москва", ["москва"], "right"),
        ("Москвабад", ["москва"], "wrong"),
        ("12", ["1"], "wrong"),
        ("anything", ["The", "🚁", ""], "wrong"),  # nothing left of these aliases
        ("anything", [], "wrong"),  # invented entities: every confident answer is wrong
        ("I don't know", ["Paris"], "refusal"),
        ("I’m not sure about that.", ["Paris"], "refusal"),
        ("Unknown", ["Paris"], "refusal"),
        ("Unknown", ["unknown"], "right"),
        ("I do not know, but maybe Paris", ["Paris"], "right"),
        ("As an AI language model, I cannot say", ["Paris"], "refusal"),
        ("There is no information available on it", [], "refusal"),
        ("The Unknown Soldier", ["Paris"], "wrong"),
        ("Sorry", [], "refusal"),
        ("N/A", [], "refusal"),
        ("I don't have that information", [], "refusal"),
        ("I have no information on this person", [], "refusal"),
        ("We do not have any record of that", [], "refusal"),
        ("It is not known.", [], "refusal"),
        ("Not enough information", [], "refusal"),
        ("No information is available", [], "refusal"),
        ("No Country for Old Men", ["Fargo"], "wrong"),
        ("Paris.It is", ["Paris"], "right"),
        ("3.5", ["35"], "wrong"),
        ("1.5 million", ["15 million"], "wrong"),
        ("3.5.", ["3.5"], "right"),
        ("J.R.R. Tolkien", ["JRR Tolkien"], "right"),
        ("Dr. Who", ["Dr Who"], "right"),
        ("I know it: Rome", ["Paris"], "wrong"),
        ("", ["Paris"], "empty"),
        (" \n", ["Paris"], "empty"),
        ("...", ["Paris"], "empty"),
        ("the", ["Paris"], "empty"),
    ],
)
def test_judgement(response: str, answers: list[str], judgement: str) -> None:
    assert judge(response, answers) == judgement


def test_normalising_twice_changes_nothing() -> None:
    for text in ["The  O'Neill-Smith, A.B.", "Łódź", "東京 タワー", "a the an", "é e\u0301"]:
        assert normalise(normalise(text)) == normalise(text)


def test_composed_and_decomposed_letters_are_the_same() -> None:
    assert normalise("é") == normalise("e\u0301")
