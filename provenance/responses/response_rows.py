"""One line of a file of responses: what a model was given, what it said, and how that is labelled.

    prompt      text, as it was given to the model; or messages: [{"role": "…", "content": "…"}], which the chat
                template of the checkpoint turns into a prompt
    response    text; with span: [start, stop], the characters of it that count as the answer
    label       one of the two of the file
    group       unit of splitting and resampling, such as the question
    id          what a row of the other model about the same question has as well
    set, split, stage    question set; train, validation or test; base or instruct
    checkpoint  the checkpoint that gave it, as the command names it

Other keys are the file's own, and ignored.
"""

import difflib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from provenance.answers.question_rows import unicode_text
from provenance.errors import InputError, nearest
from provenance.records import Split, Stage

FORM = 'one JSON object a line: {"prompt": "…", "response": "…", "label": "…", "group": "…"}'
KEYS = ("prompt", "messages", "response", "label", "group", "id", "set", "split", "stage", "checkpoint", "span")
ALIKE = 0.88  # of a key to a known one that is missing: a letter more or less; other keys are the file's own
Message = tuple[str, str]
"""Role and content."""
_T = TypeVar("_T", bound=str)


@dataclass(frozen=True)
class GivenRow:
    """A response as its file gives it."""

    where: str
    """Place, for errors: `line 3 of refusals.jsonl`."""
    asked: str | tuple[Message, ...]
    """The prompt as text, or a conversation."""
    response: str
    label: str
    group: str
    """Unit of splitting and resampling."""
    id: str
    """Question that it responds to; empty where the row does not say."""
    set: str
    """Question set; empty where the row does not say."""
    split: Split | None
    stage: Stage | None
    """Model that gave it; None: both models read it."""
    checkpoint: str
    """Reference of the checkpoint that gave it; empty: all of its stage read it."""
    span: tuple[int, int] | None
    """Characters of the response that count as the answer; None: those that the rule finds."""

    @property
    def text(self) -> str:
        """What was asked, as one text."""
        return self.asked if isinstance(self.asked, str) else "\n".join(content for _, content in self.asked)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Models that read it."""
        return get_args(Stage) if self.stage is None else (self.stage,)

    def is_read_by(self, stage: Stage, ref: str) -> bool:
        """Whether a checkpoint, by its stage and its reference, reads it as its own."""
        return stage in self.stages and self.checkpoint in ("", ref)


def row_of(line: str, where: str) -> GivenRow:
    """The row on a line.

    Raises:
        InputError: It is no JSON object, a key is missing, mistyped, repeated or of another type, or a text is empty.
    """
    row = _object(line, where)
    mistyped = [key for key in row if key not in KEYS and _meant(key) not in (None, *row)]
    if mistyped:
        raise InputError(f"a known key on {where}", found=repr(mistyped[0]), remedy=nearest(mistyped[0], KEYS))
    missing = [key for key in ("response", "label", "group") if key not in row]
    if ("prompt" in row) == ("messages" in row):
        missing.insert(0, "prompt or messages, and not both")
    if missing:
        raise InputError(f"{', '.join(missing)} on {where}", found=", ".join(row) or "no keys", remedy=f"write {FORM}")
    response = _text(row["response"], "a response", where)
    return GivenRow(
        where=where,
        asked=_text(row["prompt"], "a prompt", where) if "prompt" in row else _messages(row["messages"], where),
        response=response,
        label=_name(row["label"], "a label", where),
        group=_name(row["group"], "a group", where),
        id=_name(row["id"], "an id", where) if row.get("id") is not None else "",
        set=_name(row["set"], "a set", where) if row.get("set") is not None else "",
        split=_one_of(row.get("split"), get_args(Split), "split", where),
        stage=_one_of(row.get("stage"), get_args(Stage), "stage", where),
        checkpoint=_name(row["checkpoint"], "a checkpoint", where) if row.get("checkpoint") is not None else "",
        span=_span(row.get("span"), response, where),
    )


class _Object(dict[str, Any]):
    """A JSON object that knows which known keys it has twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        found = Counter(key for key, _ in pairs) if len(pairs) > len(self) else {}
        self.twice = [key for key in KEYS if found.get(key, 0) > 1]


def _meant(key: str) -> str | None:
    """The known key that another is so like that it may be a slip."""
    return next(iter(difflib.get_close_matches(key, KEYS, n=1, cutoff=ALIKE)), None)


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_Object)
    except (ValueError, RecursionError) as error:
        raise InputError(f"JSON on {where}", found=str(error), remedy=f"write {FORM}") from error
    if not isinstance(row, _Object):
        raise InputError(f"a JSON object on {where}", found=type(row).__name__, remedy=f"write {FORM}")
    if row.twice:
        raise InputError(f"each key once on {where}", found=f"{row.twice[0]!r} twice", remedy="leave one of them out")
    return row


def _text(value: object, what: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        found = "an empty text" if isinstance(value, str) else repr(value)[:200]
        raise InputError(f"{what} with text on {where}", found=found, remedy="leave the line out, or mend it")
    return unicode_text(value, what, where, InputError)


def _name(value: object, what: str, where: str) -> str:
    """A short text, or a number or truth value as JSON writes it."""
    return json.dumps(value) if isinstance(value, int) else _text(value, what, where)


def _messages(value: object, where: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, Mapping) for each in value):
        raise InputError(
            f"messages as a list of objects on {where}",
            found=repr(value)[:200],
            remedy='write "messages": [{"role": "user", "content": "…"}]',
        )
    found = tuple(
        (_text(each.get("role"), "a role", where), _text(each.get("content"), "a message's content", where))
        for each in value
    )
    if found[-1][0] == "assistant":
        raise InputError(
            f"messages up to the one that the model responds to on {where}",
            found="one of the assistant at the end",
            remedy="take it out, and give it as the response if it is",
        )
    return found


def _one_of(value: object, known: tuple[_T, ...], what: str, where: str) -> _T | None:
    found = next((each for each in known if each == value), None)
    if found is None and value is not None:
        raise InputError(f"a {what} on {where}", found=repr(value)[:200], remedy=f"use {' or '.join(known)}")
    return found


def _span(value: object, response: str, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    match value:
        case [int(start), int(stop)] if 0 <= start < stop <= len(response) and response[start:stop].strip():
            return start, stop
    raise InputError(
        f"a span [start, stop] of text inside the response on {where}",
        found=f"{value!r:.200}, of {len(response)} characters",
        remedy="count characters (Unicode code points) from 0; stop is the one after the last",
    )
