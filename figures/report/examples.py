"""Answers of the run as examples for the report: what was asked, said, judged and captured; and scaled replies."""

import json
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from provenance.analyses.results.behaviour import ReplyExample
from provenance.cells import NOTHING, Record
from provenance.figures.tables.result_tables import Results
from provenance.figures.wording.run_words import concept_of
from provenance.records import LABEL_OF_FILE
from provenance.table_declaration import declared
from provenance.words import READ_BY, Concept

LONGEST = 400  # characters of a text; an answer of a large model can fill pages
NO_WORDS = "(none of the options, or nothing)"
ANY_ANSWER = "none: whatever it says is made up"


def examples(results: Results) -> list[Record]:
    """Held-out answers for the page, an equal number of each model and label.

    `said` has the parts of the response before, within and after the words whose tokens were captured; the first and
    the last are all there is where these words are not known.
    """
    concept = concept_of(results)
    return [_example(row, concept) for row in results["examples"].records()]


def scaled_replies(results: Results) -> Record:
    """Replies of models with scaled neurons: title, note, and `items` with a reply for each factor; empty without any.

    A long message is cut in its middle, since a question may stand behind a long context.
    """
    rows = results["reply-examples"].records()
    if not rows:
        return {}
    said, by_item = declared(ReplyExample), groupby(rows, key=itemgetter("stage", "benchmark", "item"))
    return {"title": said.title, "note": said.note, "items": [_scaled(list(own)) for _, own in by_item]}


def _scaled(rows: Sequence[Record]) -> Record:
    first, last = rows[0], rows[-1]
    return {
        "about": f"{first['stage']}, {first['benchmark']}",
        "message": _without_middle(first["message"].strip()),
        "replies": [
            {
                "alpha": f"{row['alpha']:g}",
                "said": _shortened(row["reply"]) or NO_WORDS,
                "read": f"{row['read_as']}, {READ_BY.get(row['read_by'], row['read_by'])}",
            }
            for row in rows
        ],
        "differ": f"{first['differ']} of {first['n']} items are read otherwise at α = {last['alpha']:g} than at "
        f"α = {first['alpha']:g}.",
    }


def _example(row: Record, concept: Concept) -> Record:
    return {
        "stage": row["stage"],
        "dataset": row["dataset"],
        "label": concept.worded(row["label"]),
        "question": _shortened(row["question"] or row["question_id"]),
        "said": _parts(row["response"].strip(), (row["captured"] or "").strip()),
        "judged": _judged(row),
        "captured": _captured(row),
    }


def _judged(row: Record) -> str:
    """What is right, and how the label came about."""
    if row["label_source"] == LABEL_OF_FILE:
        return "Label: from the file"
    right = [str(answer) for answer in _listed(row["answers"])]
    accepted = _shortened("; ".join(right)) if right else ANY_ANSWER
    judged = f"{row['n_right']} of {row['n_samples']} samples right, by {row['label_source']}"
    return f"Right: {accepted}. Judged: {judged}"


def _parts(text: str, captured: str) -> tuple[str, str, str]:
    """A response around its captured words, if these stand there once; each part shortened at its end."""
    if not captured or captured not in text or text.find(captured) != text.rfind(captured):
        return _shortened(text), "", ""
    before, found, after = text.partition(captured)
    return _shortened(before), _shortened(found), _shortened(after)


def _without_middle(text: str) -> str:
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[: half - 1]}…{text[-half:]}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _captured(row: Record) -> str:
    """Number of the captured tokens, and of all tokens of the response."""
    roles = _listed(row["regions"])
    answer = _tokens(roles, ("answer",))
    return f"{answer} of {_tokens(roles, ('answer', 'response'))} tokens" if answer else NOTHING


def _tokens(regions: Sequence[Any], names: Sequence[str]) -> int:
    return sum(stop - start for name, start, stop in regions if name in names)


def _listed(stored: str | list[Any] | None) -> list[Any]:
    """A JSON column: SQLite gives its text, PostgreSQL the list."""
    return list(json.loads(stored)) if isinstance(stored, str) else stored or []
