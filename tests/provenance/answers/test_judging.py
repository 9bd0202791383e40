"""The rule judge: a table of answers in many languages, abstentions, and what must stay an answer."""

import time
import tomllib
from pathlib import Path

import pytest

from provenance.answers.judging import judge, normalise
from provenance.answers.question_readers import normalise_question

TABLE = tomllib.loads(Path(__file__).with_name("judged_answers.toml").read_text(encoding="utf-8"))
KINDS = {kind: about["cases"] for kind, about in TABLE.items() if "cases" in about}
REFUSALS = TABLE["abstentions"]["refusals"].strip().split("\n")
CONFIDENT = TABLE["confident"]["wrong"].strip().split("\n")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_answer_is_judged_as_the_table_says(kind: str) -> None:
    found = [
        [judge(response, aliases.split(" | "), *question), response, aliases, *question]
        for _, response, aliases, *question in KINDS[kind]
    ]
    assert found == KINDS[kind]


def test_the_table_has_cases_of_both_labels_and_ten_scripts() -> None:
    """A judge that says one and the same everywhere would not pass."""
    cases = [case for cases in KINDS.values() for case in cases]
    assert len(cases) >= 150
    assert min(sum(case[0] == label for case in cases) for label in ("right", "wrong")) >= 75
    assert len(REFUSALS) >= 104
    firsts = [(0x41, 0x7A), (0x391, 0x3C9), (0x410, 0x44F), (0x5D0, 0x5EA), (0x621, 0x64A), (0x904, 0x939)]
    firsts += [(0x980, 0x9B9), (0xE01, 0xE2E), (0x10D0, 0x10F0), (0x3041, 0x3096), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3)]
    texts = "".join(case[1] for case in cases)
    assert all(any(low <= ord(letter) <= high for letter in texts) for low, high in firsts)


def test_abstentions_are_refusals() -> None:
    """Whatever is accepted, and where nothing is."""
    assert [text for text in REFUSALS if judge(text, ["Paris"]) != "refusal"] == []
    assert [text for text in REFUSALS if judge(text, [], "Who was Ulkir Yor?") != "refusal"] == []


def test_confident_answers_with_such_words_are_none() -> None:
    assert [text for text in CONFIDENT if judge(text, ["Paris"]) != "wrong"] == []
    assert [text for text in CONFIDENT if judge(text, [text]) != "right"] == []


def test_normalising_twice_changes_nothing() -> None:
    texts = [
        "The  O'Neill-Smith, A.B.",
        "Łódź",
        "東京 タワー",
        "a the an",
        "é e\u0301",
        "$5 million",
        "C++ & C#",
        "10²",
    ]
    for text in [*texts, "3½", "-40", "1.234,5", "twenty-one", "Йод", "हिन्दी", "서울", "J. R. R. Tolkien", "B♭", "5%"]:
        assert normalise(normalise(text)) == normalise(text) != ""


def test_a_text_of_letters_normalises_to_something() -> None:
    assert [normalise(text) for text in ("A", "The", "an", "the a", "é", "Ⅷ", "½")] == [
        "a", "the", "an", "a", "e", "viii", "1/2",
    ]  # fmt: skip


def read_once(text: str) -> float:
    begin = time.process_time()
    normalise(text)
    normalise_question(text)
    judge(text[:2000], [text[:500], "東", "not"], text)
    return time.process_time() - begin


def seconds(text: str) -> float:
    """The shortest of five readings: other work on the machine can only make a reading longer."""
    return min(read_once(text) for _ in range(5))


def test_piles_of_marks_take_no_time() -> None:
    """To put 100,000 marks into order took minutes; it takes 0.1 s."""
    assert max(seconds("a" + marks * 50_000) for marks in ("\u0301\u0316", "\u0f71\u0f74")) < 2


@pytest.mark.slow
def test_time_grows_with_length_only() -> None:
    """Eight times the text; quadratic time would be 64 times as long."""
    pieces = ["1,", "1 000 ", "A. ", "not ", "東", "one hundred and ", "$", "I don't ", "the ", "0,1", "-1 ", "x\u200b"]
    slow = [piece for piece in pieces if seconds(piece * 4_000) > 16 * seconds(piece * 500) + 0.1]
    assert slow == []
