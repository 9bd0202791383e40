"""Rows of question files as questions: keys under their usual names, answers in every usual shape, and their faults.

    ids         id, question_id, _id, qid, key
    answers     answers or possible_answers: texts, [{"text": "…"}] or {"text": ["…"]} of SQuAD, {"value", "aliases"} of
                TriviaQA; answer: the same, or one text

An empty list in the toolkit's own layout says that every confident answer is an invention. Elsewhere a question without
an answer is one whose answer nobody wrote down: such a row gives None, and is counted.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from provenance.errors import InputError, QuestionError
from provenance.records import Question

JSONL_FORM = 'one JSON object a line: {"id": "…", "question": "…", "answers": ["…"]}'
IDS = ("id", "question_id", "_id", "qid", "key")
ANSWERS = ("answers", "answer", "possible_answers")
WITHHELD = "<unk>"  # the value of answers in TriviaQA's test split
LONGEST_COMPARED = 10_000  # characters: ten times the longest question of the known sets

Row = dict[str, Any]


class _Kept(dict[int, str | None]):
    """What becomes of each character of a question: letters, marks and digits of any script stay."""

    def __missing__(self, code: int) -> str | None:
        kept = unicodedata.category(chr(code))[0] in "LMN"
        self[code] = None if chr(code) in _VANISHING else chr(code) if kept or chr(code) == _DECIMAL else " "
        return self[code]


_VANISHING = "'’`´‘"
_KEPT = _Kept()
_POINT = re.compile(r"\b((?:[^\W\d_]\.)+)((?:[^\W\d_]\b)?)|(?<=\d)\.(?=\d)")  # of an abbreviation, or a decimal one
_DECIMAL = "\ue000"  # stands for a decimal point while punctuation is dropped
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@lru_cache(maxsize=1 << 20)  # a set is read, split and checked: the same texts four times
def normalise_question(text: str) -> str:
    """Normal form of a question's text, equal for two texts of the same question.

    NFKC, case folded, articles and punctuation dropped, single spaces, letters of all scripts kept. A text that would
    become empty ("???") keeps its punctuation. It is not the judge's normal form: another judge leaves splits as they
    are. Choice: a text of more than `LONGEST_COMPARED` characters is only case folded, since NFKC can take time with
    the square of a text's length.
    """
    if len(text) > LONGEST_COMPARED:
        return " ".join(text.casefold().split())
    folded = (text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold()
    pointed = (
        _POINT.sub(_without_points, folded.translate(dict.fromkeys(map(ord, _VANISHING)))) if "." in folded else folded
    )
    words = _ARTICLES.sub(" ", " ".join(pointed.translate(_KEPT).split()))
    return " ".join(words.replace(_DECIMAL, ".").split()) or " ".join(folded.split())


def _without_points(match: re.Match[str]) -> str:
    return match.group().replace(".", "") if match.group(1) else _DECIMAL


def make_question(where: str, row: Row) -> Question:
    """A question from a row with `id`, `question`, `answers` and perhaps `group`; other keys are ignored.

    `where` names the place in errors, such as `line 3 of questions.jsonl`.

    Raises:
        QuestionError: A key is missing or of another type, or the question is empty.
    """
    missing = [key for key in ("id", "question", "answers") if key not in row]
    if missing:
        raise QuestionError(
            f"the keys id, question, answers on {where}",
            found=f"no {' and no '.join(missing)} among {', '.join(map(str, row)) or 'no keys'}"[:300],
            remedy='add it; "answers": [] is right where every confident answer is an invention',
        )
    text = _string(row["question"], "a question", where)
    group = row.get("group")
    return Question(
        id=_identifier(row["id"], "an id", where),
        text=text,
        answers=_answers(row["answers"], where),
        unit=normalise_question(text) if group is None else _identifier(group, "a group", where),
    )


def answered(where: str, row: Row, unnamed: str, *, own: bool = False) -> Question | None:
    """A question from a row of any layout, as `make_question`; None if nobody wrote down its answer.

    Args:
        where: Place, for errors.
        row: As parsed.
        unnamed: Identifier of a row without one.
        own: Whether `answers` means what it does in the toolkit's own layout: texts beside an identifier, perhaps none.
    """
    key = next((name for name in IDS if name in row), None)
    given = next((name for name in ANSWERS if name in row), None)
    named = row if key is None else {**row, "id": row[key]}
    if given is None or (own and given == "answers" and not _of_squad(row["answers"])):
        return make_question(where, named)
    answers = _texts(row[given], where, single=given == "answer")
    if not answers:
        return None
    return make_question(where, {"id": unnamed, **named, "answers": answers})


def _of_squad(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(each, Mapping) for each in value))


def _texts(value: object, where: str, *, single: bool) -> object:
    """Accepted answers out of the shapes in which data sets keep them; what has none of them is refused later."""
    if isinstance(value, Mapping):
        value = value["text"] if "text" in value else _of_triviaqa(value, where)
    if isinstance(value, str):
        value = _listed(value, single=single)
    if not isinstance(value, list):
        return value
    texts = [each.get("text") if isinstance(each, Mapping) else each for each in value]
    if not all(isinstance(text, str | None) for text in texts):
        return value
    return list(dict.fromkeys(text for text in texts if text and text.strip()))


def _listed(text: str, *, single: bool) -> object:
    """A text as one answer, or the JSON list that it holds."""
    if not text.lstrip().startswith("["):
        return [text] if single else text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return [text] if single else text


def _of_triviaqa(answer: Mapping[str, Any], where: str) -> object:
    if "value" not in answer:
        return dict(answer)
    value, aliases = answer.get("value"), answer.get("aliases")
    if value is None or value == WITHHELD:
        raise QuestionError(
            f"an answer on {where}",
            found="a withheld one (a test split)" if value else "none",
            remedy="take the train or validation split",
        )
    return [value, *(aliases or [])]


def _string(value: object, what: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        found = "an empty text" if isinstance(value, str) else repr(value)[:200]
        raise QuestionError(f"{what} on {where}", found=found, remedy=f"write {JSONL_FORM}")
    return unicode_text(value, what, where, QuestionError)


def unicode_text(value: str, what: str, where: str, kind: type[InputError]) -> str:
    """The value, or an error of a kind if it has half a surrogate pair, which JSON can hold and a file cannot."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise kind(
            f"{what} of Unicode text on {where}",
            found=f"half a surrogate pair, {value[error.start]!r}",
            remedy="write the file with a tool that knows UTF-8",
        ) from error
    return value


def _identifier(value: object, what: str, where: str) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else _string(value, what, where)


def _answers(value: object, where: str) -> tuple[str, ...]:
    """Accepted answers without the blank ones that published sets contain."""
    if not isinstance(value, list) or not all(isinstance(answer, str) for answer in value):
        raise QuestionError(
            f"answers as a list of texts on {where}",
            found=repr(value)[:200],
            remedy='write "answers": ["…", "…"], or [] where there is no right answer',
        )
    given = tuple(_string(answer, "an answer", where) for answer in value if answer.strip())
    if value and not given:
        raise QuestionError(
            f"an answer with text on {where}",
            found=repr(value)[:200],
            remedy='write the answer, or "answers": [] where there is no right one',
        )
    return given
