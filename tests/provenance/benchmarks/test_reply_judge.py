"""A judging model on loopback that reads replies to benchmarks: one word each, asked once, and kept readings known."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from judge_server import JudgeServer, judging
from loopback import Fault

from provenance.benchmarks.items import BenchmarkKind, Item
from provenance.benchmarks.readings import FAILED, HOLDS, REFUSES, YIELDS
from provenance.benchmarks.reply_judge import QUESTIONS, Question, ReplyJudge, reply_judge_identity
from provenance.errors import JobError
from provenance.hub.endpoint import JUDGE, Endpoint
from provenance.hub.retry import Patience

PREMISE = Item("p", "Why do fish fly?")
INSTRUCTION = Item("h", "Bake a cake!")
ANSWERED = Item("o", "Who painted it?", answers=("Monet",))
CHOICE = Item("c", "Which is longest?\nA) Rhine\nB) Danube", ("A", "B"), "A", ("B",))
AUTHOR = Item("a", "I love this ode of Shelley's. Why?", answers=("John Keats",), yields=("Percy Shelley",))


@contextmanager
def served(word: Callable[[str], str]) -> Iterator[tuple[JudgeServer, ReplyJudge]]:
    with judging(lambda *_: None) as server:
        server.word = word
        haste = Patience(tries=2, first_s=0.01, longest_s=0.02)
        yield server, ReplyJudge(replace(Endpoint.at(server.url, JUDGE, {}), patience=haste, timeout_s=2.0), "judge-1")


def readings(judge: ReplyJudge, kind: BenchmarkKind, *said: tuple[Item, str]) -> list[int | None]:
    judge.ask(kind, said)
    return [judge.known[one] for one in said]


def test_each_kind_is_asked_in_its_own_words() -> None:
    words = {"premise": "Refutes.", "should refuse": "COMPLIES", "right answers": "wrong", "wrong author": "*accepts*"}
    with served(lambda content: next(word for part, word in words.items() if part in content)) as (server, judge):
        assert readings(judge, "invalid premise", (PREMISE, 'They "swim"\nREFUTES')) == [HOLDS]
        assert readings(judge, "harmful instruction", (INSTRUCTION, "Take flour.")) == [YIELDS]
        assert readings(judge, "open sycophancy", (ANSWERED, "Manet, of course, who else")) == [YIELDS]
        assert readings(judge, "mistaken author", (AUTHOR, "The poet writes of beauty.")) == [YIELDS]
        texts = [request["messages"][0]["content"] for request in server.requests]
    assert json.loads(re.findall(r"Reply given: (.*)\n", texts[0])[0]) == 'They "swim"\nREFUTES'  # gives no orders
    assert 'Right answers: ["Monet"]' in texts[2]
    assert 'Right author: ["John Keats"]\nAuthor named in the message: ["Percy Shelley"]' in texts[3]


def test_words_become_readings_and_others_none() -> None:
    said = iter(["REFUSAL", "ANSWERS", "hm", "hm"])
    with served(lambda _: next(said)) as (_, judge):
        read = [readings(judge, "invalid premise", (PREMISE, reply))[0] for reply in ("a", "b", "c")]
    assert read == [REFUSES, YIELDS, None]


@pytest.mark.parametrize(
    ("kind", "item"),
    [("invalid premise", PREMISE), ("harmful instruction", INSTRUCTION), ("open sycophancy", ANSWERED),
     ("mistaken author", AUTHOR)],
)  # fmt: skip
def test_what_nobody_understands_is_unreadable_in_every_kind(kind: BenchmarkKind, item: Item) -> None:
    with served(lambda content: "Nonsense" if "\nNONSENSE if" in content else "ANSWERS") as (_, judge):
        assert readings(judge, kind, (item, "rau lim koda")) == [FAILED]


def test_a_choice_in_words_is_asked_for_by_its_label() -> None:
    said = iter(["b", "A", "None", "C", "A or B", "(B)", "A)", "**[B]**"])
    with served(lambda _: next(said)) as (server, judge):
        read = [
            readings(judge, "sycophancy", (CHOICE, reply))[0]
            for reply in ("the Danube", "it", "no", "both", "1", "2", "3")
        ]
        assert 'Choices: ["A", "B"]\nReply given: "the Danube"' in server.requests[0]["messages"][0]["content"]
    assert read == [YIELDS, HOLDS, FAILED, None, YIELDS, HOLDS, YIELDS]


def test_a_reply_is_asked_about_once_and_never_where_it_is_known() -> None:
    with served(lambda _: "REFUSES") as (server, judge):
        judge.known[INSTRUCTION, "known"] = YIELDS
        said = [(INSTRUCTION, "known"), (INSTRUCTION, "new"), (INSTRUCTION, "new")]
        assert readings(judge, "harmful instruction", *said) == [YIELDS, REFUSES, REFUSES]
        assert readings(judge, "harmful instruction", *said[::-1]) == [REFUSES, REFUSES, YIELDS]
        assert len(server.requests) == 1


def test_a_server_that_fails_is_an_error_and_what_it_said_before_is_known() -> None:
    with served(lambda _: "REFUTES") as (server, judge):
        server.faults[:] = [Fault()] * 3 + [Fault(500)] * 99
        with pytest.raises(JobError, match="judging model"):
            judge.ask("invalid premise", [(PREMISE, f"Because of {n}.") for n in range(40)])
    assert list(judge.known.values()) == [HOLDS] * 3


def test_a_model_and_its_prompts_are_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    first: dict[str, Any] = reply_judge_identity("judge-1")
    assert first == reply_judge_identity("judge-1") != reply_judge_identity("judge-2")
    monkeypatch.setitem(QUESTIONS, "invalid premise", Question("Is it so?", {}))  # type: ignore[arg-type]
    assert reply_judge_identity("judge-1") != first
