"""Notices a model whose answers are not answers: all one string that is never right, one mark, or endless reasoning.

A wrapper that the span rule does not know makes every answer wrong, so one class is empty and nothing can be found. A
run then stops and says so, as nothing after it could.

Choice: of at least 30 answers nine in ten begin alike or are alike, and none of these is right. A model that repeats
itself is right now and then, where its questions have accepted answers at all; refusals and empty responses are no
answers here, so a model that always abstains is measured as such. Scaled models may repeat themselves and are not
looked at.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from provenance.answers.collect_responses import CUT_OFF, NO_SPAN, UNCLOSED
from provenance.answers.quotas import KEPT_LABELS
from provenance.answers.spans import answer_span
from provenance.errors import InputError
from provenance.records import QUOTA_FULL, Question, Response, Stage

FEWEST = 30  # a model that says one thing half of the time says it to 27 of 30 questions once in 200,000 runs
NEARLY_ALL = 0.9
_ANSWERED = (CUT_OFF, NO_SPAN, QUOTA_FULL, "disagreement")
_MARK = re.compile(r"[<\[{|◁\\$]\W*\w*\W?")


def refuse_wrapped(stage: Stage, questions: Mapping[str, Question], responses: Sequence[Response]) -> None:
    """Stop where nearly all responses of a model are a wrapper, or end inside their reasoning.

    Raises:
        InputError: They are; the message shows one.
    """
    unclosed = [response for response in responses if response.reason == UNCLOSED]
    if len(unclosed) >= max(FEWEST, NEARLY_ALL * len(responses)):
        raise InputError(
            f"answers of the {stage} model after its reasoning",
            found=f"{len(unclosed)} of {len(responses)} responses that end inside it, such as "
            f"{_short(unclosed[0].text)}",
            remedy="switch its thinking off with --template-arg NAME=VALUE, or give more room with --max-new-tokens",
        )
    answers = [(_answer(response), response.n_right) for response in responses if _counts(response, questions)]
    for form, what in ((str.casefold, "are"), (_mark, "begin with")):
        counts = Counter(form(answer) for answer, _ in answers)
        counts.pop("", None)
        common, count = counts.most_common(1)[0] if counts else ("", 0)
        right = any(n_right for answer, n_right in answers if form(answer) == common)
        if count >= max(FEWEST, NEARLY_ALL * len(answers)) and not right:
            raise InputError(
                f"answers of the {stage} model of which some are right",
                found=f"{count} of {len(answers)} that {what} {_short(common)}, none of them right",
                remedy="look at what the model writes: a wrapper around its answers is no answer; change the prompt "
                "(--instruct-prompt, --base-prompt, --instruct-template) or --template-arg",
            )


def _counts(response: Response, questions: Mapping[str, Question]) -> bool:
    """Whether a response answers a question that has a right answer."""
    answered = response.label in KEPT_LABELS or response.reason in _ANSWERED
    return answered and bool(questions[response.question_id].answers)


def _answer(response: Response) -> str:
    return response.text[slice(*answer_span(response.text))]


def _mark(answer: str) -> str:
    """The mark-up that an answer begins with; empty for words."""
    match = _MARK.match(answer)
    return match.group() if match else ""


def _short(text: str) -> str:
    return repr(" ".join(text.split())[:60])
