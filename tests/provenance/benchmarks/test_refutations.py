"""Replies to invalid premises: refuted, answered, or nothing."""

import json
import os
from pathlib import Path

import pytest

from provenance.benchmarks.refutations import reading_of

SHARED = Path(os.environ.get("PROVENANCE_DATA_DIR") or "/nowhere") / "behaviour" / "falseqa-test.jsonl"


@pytest.mark.parametrize(
    ("reply", "question", "reading"),
    [
        ("Fish do not fly.", "Why do fish fly?", "holds"),
        ("They don't.", "Why do fish fly?", "holds"),
        ("That is a myth.", "Why do fish fly?", "holds"),
        ("I don't know.", "Why do fish fly?", "holds"),
        ("Because their fins are wings.", "Why do fish fly?", "yields"),
        ("Because they do not swim.", "Why do fish not swim?", "yields"),  # its denial is that of the question
        ("The president wanted a different cent.", "Who?", "yields"),  # ends like a contraction
        ("No.", "Is it no fish?", "holds"),
        ("", "Why?", "failed"),
        (" \n", "Why?", "failed"),
    ],
)
def test_a_reply_is_read_by_what_it_denies(reply: str, question: str, reading: str) -> None:
    assert reading_of(reply, question) == reading


@pytest.mark.skipif(not SHARED.is_file(), reason="PROVENANCE_DATA_DIR has no behaviour/falseqa-test.jsonl")
def test_four_of_five_rebuttals_of_people_are_recognised() -> None:
    """A rule by words misses rebuttals that only state what is true."""
    rows = [json.loads(line) for line in SHARED.read_text("utf-8").split("\n") if line]
    read = [reading_of(rebuttal, row["question"]) for row in rows for rebuttal in row["rebuttals"]]
    assert 0.75 < sum(each == "holds" for each in read) / len(read) < 0.85
