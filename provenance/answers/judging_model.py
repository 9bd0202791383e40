"""A language model judges answers: right, wrong or refusal, in one word.

The model sees the question, the accepted answers and the answer span, never which checkpoint answered. Each distinct
answer to a question is asked once, in all of a run; a reply that is not exactly one of the three words is asked for
once more and then counts as no judgement, which drops the question: the rule never answers in its place.
"""

import hashlib
import json
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from typing import Any

from provenance.answers.collect_responses import NO_JUDGEMENT, Judged
from provenance.answers.judging import JUDGE_NAME, Judgement, judge
from provenance.errors import JobError
from provenance.hub.endpoint import Endpoint, TransientError
from provenance.hub.retry import stoppable_pool
from provenance.records import Question

PROMPT = """You check an answer to a question against the answers that count as right.

Question: {question}
Right answers: {answers}
Answer given: {answer}

Reply with one word and nothing else:
RIGHT if the answer given means the same as one of the right answers,
REFUSAL if it declines to answer or says that the answer is not known,
WRONG if it says anything else."""
"""Choice: all of it, since Gao et al. 2025 print no prompt of a judge. Three classes, so that refusals stay apart; no
reasons, so that the reply is one word; texts as JSON strings, so that an answer cannot end its line and give orders.
"""
NONE_RIGHT = "none, since the question has no right answer"
"""In place of accepted answers where there are none; RIGHT then counts as wrong."""
VERSION = 1  # raised when the same prompt and reply would give another judgement
WORDS: Mapping[str, Judgement] = {"right": "right", "wrong": "wrong", "refusal": "refusal"}
MARKS = " \t\r\n\"'`*."
"""Characters around the word that models add; anything else makes a reply unusable."""
CALLS_AT_ONCE = 8
REPLIES = 2  # to one answer, before it has no judgement
FIRST_REPLIES, MOST_UNUSABLE = 5, 0.5
"""From so many answers on, a larger share without a judgement is no judge."""
LONGEST_WORD = 16  # tokens

Asked = tuple[str, tuple[str, ...], str]
"""Question, accepted answers and the answer given, which together decide a judgement."""


def judge_identity(model: str) -> dict[str, object]:
    """What determines the judgements of a model, for the key of a task; where it is served does not."""
    prompt = hashlib.sha256(f"{PROMPT} {NONE_RIGHT}".encode()).hexdigest()
    return {"model": model, "prompt_sha256": prompt, "version": VERSION, "rule": JUDGE_NAME}


def read_reply(text: str) -> Judgement | None:
    """The judgement that a reply is, strictly; None if it is anything but one of the three words."""
    return WORDS.get(text.strip(MARKS).casefold())


def said_in(completion: Any) -> str:
    """Text of a chat completion; empty if the model says nothing.

    Raises:
        TransientError: It is no chat completion.
    """
    try:
        text = completion["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise TransientError("a reply that is no chat completion") from error
    return text if isinstance(text, str) else ""


@dataclass
class ModelJudge:
    """A `provenance.answers.collect_responses.Judge` that asks a model."""

    endpoint: Endpoint
    model: str
    """Its name at the endpoint."""
    _known: dict[Asked, Judged] = field(default_factory=dict, repr=False)

    def __call__(self, said: Sequence[tuple[Question, str]]) -> list[Judged]:
        """Judge answers to questions; an answer without a word is empty, and not asked about.

        Raises:
            InputError, JobError: See `Endpoint.reply`.
            JobError: Most replies are not one of the three words.
        """
        asked = [(question.text, question.answers, _plain(answer)) for question, answer in said]
        empty = [judge(answer, ()) == "empty" for _, answer in said]
        worded = [(one, answer) for one, nothing, (_, answer) in zip(asked, empty, said, strict=True) if not nothing]
        self._ask({one: answer for one, answer in reversed(worded) if one not in self._known})
        return ["empty" if nothing else self._known[one] for one, nothing in zip(asked, empty, strict=True)]

    def _ask(self, new: Mapping[Asked, str]) -> None:
        """Judge answers that are new, each in the words in which it was given first."""
        with stoppable_pool(CALLS_AT_ONCE) as (pool, stopped):
            calls = {pool.submit(self._judged, one, answer, stopped): one for one, answer in new.items()}
            unusable = ""
            for call in as_completed(calls):
                judgement, reply = call.result()
                self._known[calls[call]] = judgement
                unusable = reply if judgement == NO_JUDGEMENT else unusable
        if unusable:
            self._check(unusable)

    def _judged(self, one: Asked, answer: str, stopped: threading.Event) -> tuple[Judged, str]:
        """The judgement, and the last reply."""
        question, answers, _ = one
        reply = ""
        for _ in range(REPLIES):
            reply = self.endpoint.reply(self._request(question, answers, answer), said_in, stopped)
            found = read_reply(reply)
            if found is not None:
                return "wrong" if found == "right" and not answers else found, reply
        return NO_JUDGEMENT, reply

    def _request(self, question: str, answers: Sequence[str], answer: str) -> dict[str, object]:
        texts = (json.dumps(text, ensure_ascii=False) for text in (question, list(answers), answer))
        names = dict(zip(("question", "answers", "answer"), texts, strict=True))
        names |= {} if answers else {"answers": NONE_RIGHT}
        content = PROMPT.format(**names)
        messages = [{"role": "user", "content": content}]
        return {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": LONGEST_WORD}

    def _check(self, reply: str) -> None:
        without = sum(judgement == NO_JUDGEMENT for judgement in self._known.values())
        if len(self._known) >= FIRST_REPLIES and without > MOST_UNUSABLE * len(self._known):
            raise JobError(
                f"one word of {', '.join(word.upper() for word in WORDS)} from {self.model}",
                found=f"other replies to {without} of {len(self._known)} answers, such as {reply[:80]!r}",
                remedy="take a model that follows instructions, and have its server leave reasoning out of the reply",
            )


def _plain(answer: str) -> str:
    """An answer without differences that say nothing: case, white space, and how accents are coded."""
    return " ".join(unicodedata.normalize("NFC", answer).casefold().split())
