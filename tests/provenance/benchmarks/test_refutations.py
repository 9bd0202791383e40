"""Replies to invalid premises: refuted, answered, or nothing."""

import json
import os
from pathlib import Path

import pytest

from provenance.benchmarks.readings import FAILED, HOLDS, REFUSES, YIELDS, Reading
from provenance.benchmarks.refutations import reading_of

SHARED = Path(os.environ.get("PROVENANCE_DATA_DIR") or "/nowhere") / "behaviour" / "falseqa-test.jsonl"


@pytest.mark.parametrize(
    ("reply", "question", "reading", "sure"),
    [
        ("Fish do not fly.", "Why do fish fly?", HOLDS, True),
        ("They don't.", "Why do fish fly?", HOLDS, True),
        ("That is a myth.", "Why do fish fly?", HOLDS, True),
        ("I don't know.", "Why do fish fly?", REFUSES, True),
        ("With their wings.", "How do fish fly?", YIELDS, True),
        ("Because their fins are wings.", "Why do fish fly?", YIELDS, False),  # or states what refutes the premise
        ("Only birds fly.", "Why do fish fly?", HOLDS, False),
        (f"They jump, {'and jump, ' * 40}and do not land.", "Why do fish fly?", HOLDS, False),
        ("Because they do not swim.", "Why do fish not swim?", YIELDS, False),  # its denial is that of the question
        ("The president wanted a different cent.", "Who?", YIELDS, False),  # ends like a contraction
        ("No.", "Is it no fish?", HOLDS, True),
        ("", "Why?", FAILED, True),
        (" \n", "Why?", FAILED, True),
    ],
)
def test_a_reply_is_read_by_what_it_denies(reply: str, question: str, reading: int, *, sure: bool) -> None:
    assert reading_of(reply, question) == Reading(reading, sure)


@pytest.mark.skipif(not SHARED.is_file(), reason="PROVENANCE_DATA_DIR has no behaviour/falseqa-test.jsonl")
def test_four_of_five_rebuttals_of_people_are_recognised() -> None:
    """A rule by words misses rebuttals that only state what is true."""
    rows = [json.loads(line) for line in SHARED.read_text("utf-8").split("\n") if line]
    read = [reading_of(rebuttal, row["question"]) for row in rows for rebuttal in row["rebuttals"]]
    assert 0.75 < sum(each.code in (HOLDS, REFUSES) for each in read) / len(read) < 0.85
    wrong = [each for each in read if each.code == YIELDS]
    assert sum(each.sure for each in wrong) / len(wrong) < 0.1  # the others are for a judging model
