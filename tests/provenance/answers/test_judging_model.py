"""A judging model on loopback: strict words, one call for each distinct answer, few at once."""

from dataclasses import replace

import pytest
from judge_server import judging
from loopback import Fault

from provenance.answers import judging_model
from provenance.answers.judging_model import WORDS, ModelJudge, judge_identity
from provenance.errors import InputError, JobError
from provenance.hub.endpoint import JUDGE, Endpoint
from provenance.hub.retry import Patience
from provenance.hub.word_judge import CALLS_AT_ONCE, WordJudge
from provenance.records import Question

REPLIES = {
    "RIGHT": "right", "wrong": "wrong", " Refusal.\n": "refusal", '"RIGHT"': "right", "**WRONG**": "wrong",
    "`right`": "right", "": None, "Right, since Paris is the capital": None, "RIGHT or WRONG": None, "correct": None,
    "yes": None, "<think>hm</think>RIGHT": None, "RIGHT\nWRONG": None, "right!": None, "WRONGRIGHT": None, "1": None,
    "The answer is RIGHT": None, "not right": None,
}  # fmt: skip


def question(number: int, *answers: str) -> Question:
    return Question(f"q{number}", f'Which "one" is {number}?', answers, f"q{number}")


def model_judge(url: str) -> ModelJudge:
    haste = Patience(tries=2, first_s=0.01, longest_s=0.02)
    return ModelJudge(replace(Endpoint.at(url, JUDGE, {}), patience=haste, timeout_s=2.0), "judge-1")


def test_only_one_of_three_words_is_a_judgement() -> None:
    words = WordJudge[str](Endpoint("", JUDGE), "judge-1", WORDS)
    assert {text: words.read(text) for text in REPLIES} == REPLIES


def test_every_distinct_answer_is_asked_once_in_its_own_words_and_few_at_a_time() -> None:
    """Case, white space and the coding of accents make no other answer; "C++" is another one than "C"."""
    one, two = question(1, "Caf\u00e9", "\u725b\u4e73"), question(2, "C")
    said = [(one, "Caf\u00e9"), (one, "cafe\u0301"), (two, "C++"), (two, "C"), (two, "c"), (one, "..."), (two, "")]
    said += [(question(number, "a"), f"{{b}}\n{number}") for number in range(3, 23)]
    with judging(lambda _, right, given: "RIGHT" if given in right else "WRONG") as server:
        server.pause_s = 0.02
        judge = model_judge(server.url)
        found = judge(said)
        assert found[:7] == ["right", "right", "wrong", "right", "right", "empty", "empty"]
        assert found[7:] == ["wrong"] * 20
        assert len(server.requests) == 23
        assert (two.text, ["C"], "C++") in server.asked
        assert (one.text, ["Caf\u00e9", "\u725b\u4e73"], "Caf\u00e9") in server.asked
        assert (question(5).text, ["a"], "{b}\n5") in server.asked
        assert {(request["model"], request["temperature"]) for request in server.requests} == {("judge-1", 0)}
        assert set(server.keys) == {None}
        assert 1 < server.most <= CALLS_AT_ONCE
        assert judge(said[::-1]) == found[::-1]
        assert len(server.requests) == 23


def test_nothing_is_right_where_no_answer_is_accepted() -> None:
    with judging(lambda *_: "RIGHT") as server:
        assert model_judge(server.url)([(question(1), "Paris")]) == ["wrong"]
        assert server.asked == [(question(1).text, [], "Paris")]
        assert judging_model.NONE_RIGHT in server.requests[0]["messages"][0]["content"]


def test_a_reply_of_other_words_is_asked_for_once_more_and_then_is_no_judgement() -> None:
    words = iter(["well", "RIGHT", "well", "well"])
    with judging(lambda *_: next(words)) as server:
        judge = model_judge(server.url)
        assert [judge([(question(number, "a"), "b")])[0] for number in (1, 2)] == ["right", "no judgement"]
        assert judge([(question(2, "a"), "B")]) == ["no judgement"]
        assert len(server.requests) == 4


def test_a_model_that_never_says_one_word_is_no_judge() -> None:
    said = [(question(number, "a"), "b") for number in range(12)]
    with judging(lambda *_: "<think>Let me see") as server:
        judge = model_judge(server.url)
        with pytest.raises(JobError, match=r"other replies to 12 of 12 answers, such as '<think>Let me see'"):
            judge(said)
    with judging(lambda text, *_: "RIGHT" if int(text[-2]) % 2 else "hm") as server:
        assert model_judge(server.url)(said).count("no judgement") == 6  # half of them: some model do that


def test_a_refused_key_ends_all_calls_at_once() -> None:
    with judging(lambda *_: "RIGHT") as server:
        server.faults[:] = [Fault(401)] * 500
        with pytest.raises(InputError, match="PROVENANCE_JUDGE_KEY"):
            model_judge(server.url)([(question(number, "a"), "b") for number in range(400)])
        assert len(server.requests) < 100


def test_a_model_and_its_prompt_are_identity_and_the_server_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    first = judge_identity("judge-1")
    assert first == judge_identity("judge-1") != judge_identity("judge-2")
    assert "http" not in str(first)
    monkeypatch.setattr(judging_model, "PROMPT", "Is {answer} right? {question} {answers}")
    assert judge_identity("judge-1") != first
