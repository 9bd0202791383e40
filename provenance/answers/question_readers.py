"""Readers of question files: JSON Lines, the parquet that the hub serves, BioASQ's golden JSON.

The format is recognised by content, not by file name. Nothing is skipped in silence: a malformed question is an error
that names its place.

    JSON Lines   id, question, answers[, group]; NQ-Open's own question, answer
    parquet      TriviaQA rc.nocontext: question_id, question, answer{value, aliases}
                 NQ-Open: question, answer
                 MRQA (BioASQ): question, answers, key or qid
    JSON         BioASQ golden: questions[{id, body, type, exact_answer}]; factoid ones are taken
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from provenance.errors import QuestionError
from provenance.language.normal_forms import ARTICLES, folded_signs, normalise
from provenance.records import Question

JSONL_FORM = 'one JSON object a line: {"id": "…", "question": "…", "answers": ["…"]}'
WITHHELD = "<unk>"  # the value of answers in TriviaQA's test split

Row = dict[str, Any]


def normalise_question(text: str) -> str:
    """Normal form of a question's text, equal for two texts of the same question.

    That of answers (`normal_forms`), without any articles: two questions that are taken for one stay on one side of a
    split, which is the safe mistake. A text of nothing else ("???") keeps its signs.
    """
    return " ".join(word for word in normalise(text).split() if word not in ARTICLES) or folded_signs(text)


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read a question file of any known format.

    Raises:
        QuestionError: It is missing, unreadable, malformed (with the line), empty, or has an id twice.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise QuestionError(
            f"a question file at {path}", found=error.strerror or str(error), remedy="check the path"
        ) from error
    questions = tuple(_parquet(path) if data.startswith(b"PAR1") else _text(data, path))
    if not questions:
        raise QuestionError(f"questions in {path}", found="an empty file", remedy=f"write {JSONL_FORM}")
    check_ids(questions, str(path))
    return questions


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
            found=f"no {' and no '.join(missing)} among {', '.join(sorted(row)) or 'no keys'}",
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


def _text(data: bytes, path: Path) -> Iterator[Question]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise QuestionError(
            f"UTF-8 in {path}",
            found=f"byte 0x{data[error.start]:02x} on line {line}",
            remedy="save the file as UTF-8",
        ) from error
    golden = _golden(text)
    return _bioasq(golden, path) if golden is not None else _jsonl(text, path)


def _jsonl(text: str, path: Path) -> Iterator[Question]:
    # split("\n"): str.splitlines would also cut at U+2028 and its like, which JSON strings may hold
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"line {number} of {path}"
            yield make_question(where, _as_layout(_json_object(line, where), number))


def _json_object(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"JSON on {where}", found=str(error), remedy=f"write {JSONL_FORM}") from error
    if not isinstance(row, dict):
        raise QuestionError(f"a JSON object on {where}", found=type(row).__name__, remedy=f"write {JSONL_FORM}")
    return row


def _as_layout(row: Row, number: int) -> Row:
    """NQ-Open's own lines have `answer` and no id; they get the line number as id."""
    if "answers" not in row and "id" not in row and isinstance(row.get("answer"), list):
        return {**row, "id": f"nq-{number - 1}", "answers": row["answer"]}
    return row


def _golden(text: str) -> list[Any] | None:
    if '"questions"' not in text or not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None  # JSON Lines, or damaged: the line reader says which line
    listed = value.get("questions")
    return listed if isinstance(listed, list) else None


def _bioasq(listed: list[Any], path: Path) -> Iterator[Question]:
    factoid = [
        (number, row)
        for number, row in enumerate(listed, start=1)
        if isinstance(row, dict) and row.get("type") == "factoid"
    ]
    if listed and not factoid:
        raise QuestionError(
            f"factoid questions in {path}",
            found=f"{len(listed)} questions of other types",
            remedy="take a BioASQ task B file; yes/no, list and summary questions have no short answer",
        )
    for number, row in factoid:
        known = {"id": "id", "body": "question", "exact_answer": "answers"}
        renamed = {known[key]: value for key, value in row.items() if key in known}
        if "answers" in renamed:
            renamed["answers"] = _flat(renamed["answers"])
        yield make_question(f"question {number} of {path}", renamed)


def _flat(value: object) -> list[object]:
    """Flatten exact answers: BioASQ nests them up to two deep, or gives a bare one."""
    return [leaf for part in value for leaf in _flat(part)] if isinstance(value, list) else [value]


@dataclass(frozen=True)
class _Layout:
    id: str
    """Column of the identifier; empty: the row number."""
    answers: str
    """Column of the answers."""
    merge_by: Literal["", "id", "question"] = ""
    """Key by which rows that differ only in their evidence are merged."""

    @property
    def columns(self) -> list[str]:
        """Columns to read; contexts, often most of a file, stay unread."""
        return [name for name in (self.id, "question", self.answers) if name]


# TriviaQA's rc has a row for each evidence source of a question (the same question_id), MRQA one
# for each passage (the same question). The evidence is never shown to a model here.
_LAYOUTS = (
    _Layout("question_id", "answer", "id"),
    _Layout("key", "answers", "question"),
    _Layout("qid", "answers", "question"),
    _Layout("id", "answers"),
    _Layout("", "answer"),
)


def _parquet(path: Path) -> Iterable[Question]:
    try:
        names = pq.read_schema(path).names
        layout = next((each for each in _LAYOUTS if set(each.columns) <= set(names)), None)
        rows = pq.read_table(path, columns=layout.columns).to_pylist() if layout else []
    except (pa.ArrowException, OSError) as error:
        raise QuestionError(
            f"a whole parquet file at {path}", found=str(error), remedy="fetch the file again"
        ) from error
    if layout is None:
        raise QuestionError(
            f"a parquet file of TriviaQA, NQ-Open or MRQA layout at {path}",
            found=f"columns {', '.join(sorted(names))}",
            remedy="turn it into JSON Lines with id, question, answers",
        )
    wheres = (f"row {number} of {path}" for number in range(len(rows)))
    questions = [
        make_question(where, _from_columns(layout, row, number, where))
        for number, (row, where) in enumerate(zip(rows, wheres, strict=True))
    ]
    return _merged(questions, layout.merge_by) if layout.merge_by else questions


def _merged(questions: Iterable[Question], merge_by: str) -> Iterable[Question]:
    """Merge rows on one question: the first row's id and text, the answers of all."""
    merged: dict[str, Question] = {}
    for question in questions:
        # the text goes along with the id, so that one id on two questions is still found out
        handle = question.unit if merge_by == "question" else f"{question.id}\0{question.text}"
        first = merged.get(handle, question)
        answers = tuple(dict.fromkeys((*first.answers, *question.answers)))
        merged[handle] = replace(first, answers=answers)
    return merged.values()


def _from_columns(layout: _Layout, row: Row, number: int, where: str) -> Row:
    answers = row[layout.answers]
    if isinstance(answers, dict):
        answers = _triviaqa_answers(answers, where)
    identifier = row[layout.id] if layout.id else f"nq-{number}"
    return {"id": identifier, "question": row["question"], "answers": answers}


def _triviaqa_answers(answer: Row, where: str) -> list[str]:
    value, aliases = answer.get("value"), answer.get("aliases")
    if value is None or value == WITHHELD:
        raise QuestionError(
            f"an answer on {where}",
            found="a withheld one (a test split)" if value else "none",
            remedy="take the train or validation split",
        )
    return list(dict.fromkeys([value, *(aliases or [])]))


def _string(value: object, what: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        found = "an empty text" if isinstance(value, str) else repr(value)
        raise QuestionError(f"{what} on {where}", found=found, remedy=f"write {JSONL_FORM}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise QuestionError(
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


def check_ids(questions: Iterable[Question], where: str) -> None:
    """Refuse two questions with the same id.

    Raises:
        QuestionError: An id occurs twice; the message quotes both texts.
    """
    seen: dict[str, Question] = {}
    for question in questions:
        first = seen.setdefault(question.id, question)
        if first is not question:
            raise QuestionError(
                f"every id once in {where}",
                found=f"{question.id!r} for {first.text!r} and for {question.text!r}",
                remedy="number the questions anew, or drop the repeated ones",
            )
