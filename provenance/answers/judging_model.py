"""A language model judges answers: right, wrong or refusal, in one word.

The model sees the question, the accepted answers and the answer span, never which checkpoint answered. An answer
without a judgement drops its question: the rule never answers in its place.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provenance.answers.collect_responses import NO_JUDGEMENT, Judged
from provenance.answers.judging import JUDGE_NAME, Judgement, judge
from provenance.hub.endpoint import Endpoint
from provenance.hub.word_judge import WordJudge
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
Asked = tuple[str, tuple[str, ...], str]
"""Question, accepted answers and the answer given, which together decide a judgement."""


def judge_identity(model: str) -> dict[str, object]:
    """What determines the judgements of a model, for the key of a task; where it is served does not."""
    prompt = hashlib.sha256(f"{PROMPT} {NONE_RIGHT}".encode()).hexdigest()
    return {"model": model, "prompt_sha256": prompt, "version": VERSION, "rule": JUDGE_NAME}


@dataclass
class ModelJudge:
    """A `provenance.answers.collect_responses.Judge` that asks a model."""

    endpoint: Endpoint
    model: str
    """Its name at the endpoint."""
    _words: WordJudge[Asked] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._words = WordJudge(self.endpoint, self.model, WORDS)

    def __call__(self, said: Sequence[tuple[Question, str]]) -> list[Judged]:
        """Judge answers to questions, each in the words in which it was given first; an empty one is not asked about.

        Raises:
            InputError, JobError: See `WordJudge.ask`.
        """
        asked = [(question.text, question.answers, _plain(answer)) for question, answer in said]
        empty = [judge(answer, ()) == "empty" for _, answer in said]
        worded = [(one, answer) for one, nothing, (_, answer) in zip(asked, empty, said, strict=True) if not nothing]
        known = self._words.known
        self._words.ask({one: message(one, answer) for one, answer in reversed(worded) if one not in known})
        return ["empty" if nothing else _judged(one, known[one]) for one, nothing in zip(asked, empty, strict=True)]


def message(one: Asked, answer: str) -> str:
    """What the model is asked about an answer."""
    question, answers, _ = one
    texts = (json.dumps(text, ensure_ascii=False) for text in (question, list(answers), answer))
    names = dict(zip(("question", "answers", "answer"), texts, strict=True))
    return PROMPT.format(**names | ({} if answers else {"answers": NONE_RIGHT}))


def _judged(one: Asked, word: str | None) -> Judged:
    if word is None:
        return NO_JUDGEMENT
    return "wrong" if word == "right" and not one[1] else WORDS[word]


def _plain(answer: str) -> str:
    """An answer without differences that say nothing: case, white space, and how accents are coded."""
    return " ".join(unicodedata.normalize("NFC", answer).casefold().split())
