"""Question files as other projects publish them, and things that only look like files."""

import bz2
import gzip
import json
import lzma
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provenance.answers.question_readers import read_file
from provenance.answers.questions import load_questions, read_questions
from provenance.errors import InputError, QuestionError
from provenance.neuron_lists.read_lists import read_neurons
from provenance.records import Question

ROWS = [
    {"id": "a", "question": "Which sea?", "answers": ["Black Sea", "Euxine"]},
    {"id": "b", "question": "Which land, then?", "answers": ["Ur"]},
]
EXPECTED = (
    Question("a", "Which sea?", ("Black Sea", "Euxine"), "which sea"),
    Question("b", "Which land, then?", ("Ur",), "which land then"),
)


def squad(answers: list[str]) -> dict[str, list[Any]]:
    return {"text": answers, "answer_start": [0] * len(answers)}


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return bytes(out.getvalue())


def article(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """SQuAD's own nesting."""
    qas = [{**row, "answers": [{"text": text, "answer_start": 1} for text in row["answers"]]} for row in rows]
    return {"version": "1.1", "data": [{"title": "x", "paragraphs": [{"context": "y", "qas": [qa]} for qa in qas]}]}


CSV = 'id,question,answers\na,Which sea?,Black Sea|Euxine\nb,"Which land, then?","[""Ur""]"\n'
SHAPES: dict[str, bytes] = {
    "SQuAD parquet": parquet([{**row, "context": "…", "answers": squad(row["answers"])} for row in ROWS]),
    "a list of texts": parquet(ROWS),
    "possible_answers as JSON": parquet(
        [{"id": r["id"], "question": r["question"], "possible_answers": json.dumps(r["answers"])} for r in ROWS]
    ),
    "JSON array": json.dumps(ROWS, indent=1).encode(),
    "JSON under data": json.dumps({"data": ROWS}).encode(),
    "SQuAD JSON": json.dumps(article(ROWS)).encode(),
    "CSV": CSV.encode(),
    "CSV of Windows": b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode(),
    "TSV": CSV.replace(",question,", "\tquestion\t").replace("a,", "a\t", 1).replace("?,", "?\t").replace("b,", "b\t")
    .replace('",', '"\t').encode(),
    "other names of the id": "\n".join(
        json.dumps({"question_id": row["id"], "question": row["question"], "answers": row["answers"]}) for row in ROWS
    ).encode(),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_published_shape_gives_the_same_questions_packed_or_not(shape: str, tmp_path: Path) -> None:
    """By content: names say nothing, but for the set's own."""
    plain, packed = tmp_path / "set.data", tmp_path / "set.jsonl.gz"
    plain.write_bytes(SHAPES[shape])
    packed.write_bytes(gzip.compress(SHAPES[shape]))
    assert read_questions(plain) == EXPECTED
    loaded = load_questions(str(packed))
    assert (loaded.name, loaded.questions) == ("set", EXPECTED)


def test_one_answer_as_a_text_is_one_answer(tmp_path: Path) -> None:
    rows = [{"id": "a", "question": "Which sea?", "answer": "Black Sea, or Euxine"}]
    files = {"parquet": parquet(rows), "json": json.dumps(rows).encode()}
    files["csv"] = b'"Question";"answer"\nWhich sea?;Black Sea, or Euxine\n'
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        [found] = read_questions(tmp_path / name)
        assert found.answers == ("Black Sea, or Euxine",), name


UNKNOWN: dict[str, bytes] = {
    "BioASQ": json.dumps(
        {"questions": [{"id": str(i), "type": "factoid", "body": f"Which {i}?", "exact_answer": answer}
                       for i, answer in enumerate([[["G"]], [], [[]], "", [""], None])]}
    ).encode(),
    "SQuAD 2": parquet([{"id": str(i), "question": f"Which {i}?", "answers": squad(["x"][i:])} for i in range(6)]),
    "NQ-Open": parquet([{"question": f"Which {i}?", "answer": ["x"][i:]} for i in range(6)]),
    "null": parquet([{"id": str(i), "question": f"Which {i}?", "answers": None if i else ["x"]} for i in range(6)]),
    "CSV": b"question,answers\n" + b"".join(b"Which %d?,%s\n" % (i, b"" if i else b"x") for i in range(6)),
}  # fmt: skip


@pytest.mark.parametrize("layout", UNKNOWN)
def test_a_question_whose_answer_nobody_wrote_down_is_counted_and_not_taken_for_an_invention(
    layout: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every confident answer to it would count as hallucinated."""
    path = tmp_path / "set.json"
    path.write_bytes(UNKNOWN[layout])
    found = read_file(path)
    assert ([question.text for question in found.questions], found.unanswered) == (["Which 0?"], 5)
    assert "5 of 6 questions left out: no answer" in load_questions(str(path)).source
    assert "5 of 6 questions left out" in caplog.text


INVENTED = [{**ROWS[0], "answers": []}]


@pytest.mark.parametrize(
    "content", [json.dumps(INVENTED).encode(), parquet(INVENTED), b"question,answers\nWhich sea?,[]\n"]
)
def test_an_explicit_empty_list_still_says_that_every_answer_is_an_invention(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "set").write_bytes(content)
    assert [question.answers for question in read_questions(tmp_path / "set")] == [()]


FAULTS = [
    (gzip.compress(SHAPES["CSV"])[:-9], "whole gzip data", ""),
    (gzip.compress(SHAPES["CSV"])[:20] + b"x" * 30, "whole gzip data", ""),
    (bz2.compress(b"{}"), "a question file", "a bzip2 file"),
    (lzma.compress(b"{}"), "a question file", "an xz file"),
    (b"PK\x03\x04", "a question file", "a zip file"),
    (b"id,question,answers\na,Which sea?\n", "3 values on line 2", "2"),
    (b'id,question,answers\na,"Which" sea?,x\n', "CSV on line 2", "expected after"),
    (b"id,question\na,Which sea?\n", "answers on line 2", "no answers among id, question"),
    (b"id,answers\na,b\n", "JSON on line 1", "Expecting value"),
    (b'[{"id": 1}', "JSON in", "delimiter"),
    (b"[" * 100_000, "JSON in", "recursion"),
    (b'[{"id": "a", "question": "Which sea?", "answers": [{"text": 5}]}]', "list of texts on question 1", "5"),
]
"""Content, and what the error has to want and to have found."""


@pytest.mark.parametrize(("content", "wanted", "found"), FAULTS, ids=range(len(FAULTS)))
def test_faults_say_what_was_found(content: bytes, wanted: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "set").write_bytes(content)
    with pytest.raises(QuestionError) as caught:
        read_questions(tmp_path / "set")
    assert wanted in caught.value.wanted
    assert found in caught.value.found
    assert len(caught.value.found) < 400


def test_a_zip_of_questions_is_named_as_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("set.jsonl", "{}")
    with pytest.raises(QuestionError, match="a zip file"):
        load_questions(str(tmp_path / "set.zip"))


READERS: list[Callable[[Path], object]] = [
    read_questions,
    lambda path: load_questions(str(path)),
    lambda path: read_neurons(path, 2, 8),
]


@pytest.mark.parametrize("read", READERS, ids=["read", "load", "neurons"])
def test_what_is_no_file_is_refused_and_not_waited_for(read: Callable[[Path], object], tmp_path: Path) -> None:
    """A FIFO without a writer, and a device that never ends."""
    os.mkfifo(tmp_path / "fifo")
    for path, word in ((tmp_path / "fifo", "a FIFO"), (Path("/dev/zero"), "a device")):
        errors: list[BaseException] = []

        def reading(path: Path = path, errors: list[BaseException] = errors) -> None:
            try:
                read(path)
            except InputError as error:
                errors.append(error)

        thread = threading.Thread(target=reading, daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
        assert word in str(errors[0])
