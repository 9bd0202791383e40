"""Question files of every format, their faults by line, and splits that share no question."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import Hub, Repo, hub_and_client

from provenance.answers.questions import (
    HUB_SETS,
    SPLITS,
    QuestionSet,
    check_disjoint,
    limit,
    load_questions,
    normalise_question,
    read_questions,
    split_questions,
)
from provenance.errors import QuestionError, SplitError
from provenance.lab import manifest
from provenance.records import Question, Split

SHARES = (0.5, 0.2, 0.3)


def line(**values: object) -> str:
    return json.dumps({"id": "1", "question": "Who?", "answers": ["Me"]} | values, ensure_ascii=False)


def write(path: Path, *lines: str) -> Path:
    path.write_bytes("\n".join(lines).encode())
    return path


def question(identifier: str, text: str, unit: str | None = None) -> Question:
    return Question(identifier, text, ("x",), normalise_question(text) if unit is None else unit)


def pool(n: int) -> list[Question]:
    return [question(f"q{i}", f"What is number {i}?") for i in range(n)]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub of this test's own."""
    with hub_and_client(monkeypatch, tmp_path) as server:
        yield server


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who wrote the Iliad?", "who wrote Iliad"),
        ("What's  a quark?", "Whats quark"),
        ("Où est l'Élysée ?", "OÙ EST L’ÉLYSÉE"),
        ("ﬁrst？", "First?"),
        ("Straße", "STRASSE"),
    ],
)
def test_the_same_question_is_recognised(one: str, other: str) -> None:
    """Case, articles, punctuation, spaces and compatibility forms make no difference."""
    assert normalise_question(one) == normalise_question(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("东京在哪里？", "北京在哪里？"), ("Где Москва?", "Где Минск?"), ("???", "!!!"), ("the", "a")],
)
def test_different_questions_stay_different(one: str, other: str) -> None:
    """Letters of every script count, and questions of nothing but punctuation are not all alike."""
    assert normalise_question(one) != normalise_question(other)


def test_json_lines(tmp_path: Path) -> None:
    """Keys are read, other keys ignored, a line separator inside a text does not end the line."""
    path = write(
        tmp_path / "set.jsonl",
        line(id=7, question="Who\u2028is it?", answers=["A", "", "B"], category="x"),
        "",
        line(id="b", answers=[], group="pair 1") + "\r",
        "",
    )
    first, second = read_questions(path)
    assert first == Question("7", "Who\u2028is it?", ("A", "B"), "who is it")
    assert second == Question("b", "Who?", (), "pair 1")


def test_a_file_without_any_answers_is_fine(tmp_path: Path) -> None:
    """Invented entities have no right answers; the key says so."""
    path = write(tmp_path / "invented.jsonl", line(id="a", answers=[]), line(id="b", answers=[]))
    assert [each.answers for each in read_questions(path)] == [(), ()]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Files saved by Windows tools begin with one."""
    path = tmp_path / "bom.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + line().encode())
    assert read_questions(path)[0].id == "1"


def test_repeated_questions_share_a_unit(tmp_path: Path) -> None:
    """Both are kept, and cannot be torn apart by a split."""
    path = write(tmp_path / "set.jsonl", line(id="a", question="The end?"), line(id="b", question="end"))
    first, second = read_questions(path)
    assert first.unit == second.unit == "end"


@pytest.mark.parametrize(
    ("second_line", "wanted", "found", "remedy"),
    [
        ('{"id": 1,', "JSON on line 2", "Expecting property name", "one JSON object a line"),
        ("[1]", "a JSON object on line 2", "list", "one JSON object a line"),
        ('{"id": "2", "question": "Who?"}', "keys id, question, answers on line 2", "no answers", '"answers": []'),
        ('{"question": "Who?", "answers": []}', "keys id, question, answers on line 2", "no id among", "add it"),
        ("{}", "on line 2", "no id and no question and no answers among no keys", "add it"),
        (line(question=" "), "a question on line 2", "an empty text", "write"),
        (line(question=None), "a question on line 2", "None", "write"),
        (line(id=True), "an id on line 2", "True", "write"),
        (line(id=""), "an id on line 2", "an empty text", "write"),
        (line(group=1.5), "a group on line 2", "1.5", "write"),
        (line(answers="Me"), "answers as a list of texts on line 2", "'Me'", '"answers": ['),
        (line(answers=["Me", 1]), "answers as a list of texts on line 2", "['Me', 1]", '"answers": ['),
        (line(answers=None), "answers as a list of texts on line 2", "None", '"answers": ['),
        (line(answers=["", " "]), "an answer with text on line 2", "['', ' ']", "no right one"),
        ('{"id": "2", "question": "\\ud800?", "answers": []}', "on line 2", "half a surrogate", "UTF-8"),
        (line(id="first"), "every id once", "'first' for 'Who?' and for 'Who?'", "number the questions anew"),
    ],
)
def test_faults_are_named_with_their_line(
    tmp_path: Path, second_line: str, wanted: str, found: str, remedy: str
) -> None:
    """Wanted, found and remedy, and the line it is on."""
    path = write(tmp_path / "set.jsonl", line(id="first"), second_line)
    with pytest.raises(QuestionError) as caught:
        read_questions(path)
    assert wanted in caught.value.wanted
    assert str(path) in caught.value.wanted
    assert found in caught.value.found
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"\n \n", b'{"questions": []}'])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    """A file of no questions is an error, whatever the format."""
    path = tmp_path / "empty.jsonl"
    path.write_bytes(content)
    with pytest.raises(QuestionError) as caught:
        read_questions(path)
    assert (caught.value.wanted, caught.value.found) == (f"questions in {path}", "an empty file")
    assert "one JSON object a line" in caught.value.remedy


def test_not_utf8(tmp_path: Path) -> None:
    """The byte and its line are named."""
    path = tmp_path / "latin.jsonl"
    path.write_bytes(line().encode() + b"\n" + '{"id": "é"}'.encode("latin-1"))
    with pytest.raises(QuestionError) as caught:
        read_questions(path)
    assert (caught.value.wanted, caught.value.found) == (f"UTF-8 in {path}", "byte 0xe9 on line 2")
    assert "save the file as UTF-8" in caught.value.remedy


def write_triviaqa(path: Path, rows: list[tuple[str, str, str, list[str]]]) -> Path:
    """The columns of rc.nocontext that matter, and one that does not."""
    answers = [{"value": value, "aliases": aliases, "type": "x"} for _, _, value, aliases in rows]
    columns = {
        "question": [row[1] for row in rows],
        "question_id": [row[0] for row in rows],
        "question_source": ["web"] * len(rows),
        "answer": answers,
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_triviaqa_parquet(tmp_path: Path) -> None:
    """Value and aliases are the answers; rows that differ in evidence only are one question."""
    rows = [
        ("tc_1", "Which sea?", "Black Sea", ["Euxine", "Black Sea"]),
        ("tc_2", "Which land?", "Ur", []),
        ("tc_1", "Which sea?", "Black Sea", ["Pontus"]),
    ]
    assert read_questions(write_triviaqa(tmp_path / "rc.parquet", rows)) == (
        Question("tc_1", "Which sea?", ("Black Sea", "Euxine", "Pontus"), "which sea"),
        Question("tc_2", "Which land?", ("Ur",), "which land"),
    )


def test_triviaqa_withheld_answers(tmp_path: Path) -> None:
    """The test split has no answers, and must not be taken for unanswerable questions."""
    path = write_triviaqa(tmp_path / "rc.parquet", [("tc_1", "Which sea?", "<unk>", [])])
    with pytest.raises(QuestionError) as caught:
        read_questions(path)
    assert "an answer on row 0" in caught.value.wanted
    assert "test split" in caught.value.found
    assert "train or validation" in caught.value.remedy


def test_one_id_on_two_triviaqa_questions(tmp_path: Path) -> None:
    """Merging never hides that an id stands for two questions."""
    path = write_triviaqa(tmp_path / "rc.parquet", [("1", "Which sea?", "A", []), ("1", "Which land?", "B", [])])
    with pytest.raises(QuestionError, match="every id once"):
        read_questions(path)


def test_nq_open(tmp_path: Path) -> None:
    """Parquet and the original lines give the same questions, numbered by row."""
    rows = [{"question": "who is x", "answer": ["A", "B"]}, {"question": "who is y", "answer": ["C"]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "nq.parquet")
    lines = write(tmp_path / "nq.jsonl", *map(json.dumps, rows))
    expected = (
        Question("nq-0", "who is x", ("A", "B"), "who is x"),
        Question("nq-1", "who is y", ("C",), "who is y"),
    )
    assert read_questions(tmp_path / "nq.parquet") == read_questions(lines) == expected


def test_mrqa_parquet_unites_passages(tmp_path: Path) -> None:
    """A question that comes once for each passage is asked once, with all its answers."""
    rows = [
        {"context": "…", "key": "k1", "question": "Which gene?", "answers": ["BRCA1"], "labels": [1]},
        {"context": "…", "key": "k2", "question": "Which gene?", "answers": ["brca1", "BRCA1"], "labels": [2]},
        {"context": "…", "key": "k3", "question": "Which drug?", "answers": ["X"], "labels": [3]},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mrqa.parquet")
    assert read_questions(tmp_path / "mrqa.parquet") == (
        Question("k1", "Which gene?", ("BRCA1", "brca1"), "which gene"),
        Question("k3", "Which drug?", ("X",), "which drug"),
    )


def test_unknown_and_damaged_parquet(tmp_path: Path) -> None:
    """Other columns are listed; a cut file is told from a strange one."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"prompt": ["Who?"]}), path)
    with pytest.raises(QuestionError, match="columns prompt") as caught:
        read_questions(path)
    assert "JSON Lines" in caught.value.remedy
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(QuestionError) as caught:
        read_questions(path)
    assert "a whole parquet file" in caught.value.wanted
    assert "fetch the file again" in caught.value.remedy


def test_bioasq_golden(tmp_path: Path) -> None:
    """Factoid questions are taken, whatever the nesting of their exact answers."""
    listed = [
        {"id": "a", "type": "factoid", "body": "Which gene?", "exact_answer": [["G1", "G one"]], "ideal_answer": "x"},
        {"id": "b", "type": "yesno", "body": "Is it?", "exact_answer": "yes"},
        {"id": "c", "type": "factoid", "body": "Which drug?", "exact_answer": "D"},
    ]
    path = tmp_path / "golden.json"
    path.write_text(json.dumps({"questions": listed}, indent=2))
    assert read_questions(path) == (
        Question("a", "Which gene?", ("G1", "G one"), "which gene"),
        Question("c", "Which drug?", ("D",), "which drug"),
    )


@pytest.mark.parametrize(
    ("row", "wanted", "found"),
    [
        ({"id": "a", "type": "yesno", "body": "Is it?"}, "factoid questions", "1 questions of other types"),
        (
            {"id": "a", "type": "factoid", "body": "Which?"},
            "questions with answers",
            "1 questions, none with an answer",
        ),
        ({"id": "a", "type": "factoid", "exact_answer": "x"}, "question 1 of", "no question"),
    ],
)
def test_bioasq_faults(tmp_path: Path, row: dict[str, str], wanted: str, found: str) -> None:
    """A file without short answers says which kind it is or which question lacks one."""
    path = tmp_path / "golden.json"
    path.write_text(json.dumps({"questions": [row]}))
    with pytest.raises(QuestionError) as caught:
        read_questions(path)
    assert wanted in caught.value.wanted
    assert found in caught.value.found


def test_load_a_file(tmp_path: Path) -> None:
    """Named by its stem, identified by its content."""
    path = write(tmp_path / "mine.jsonl", line())
    loaded = load_questions(str(path))
    assert (loaded.name, loaded.source) == ("mine", str(path))
    assert loaded.questions == read_questions(path)
    copy = write(tmp_path / "copy.jsonl", line(note="ignored"))
    assert load_questions(str(copy)).digest == loaded.digest
    write(copy, line(answers=["You"]))
    assert load_questions(str(copy)).digest != loaded.digest


def test_load_what_is_not_there(tmp_path: Path) -> None:
    """A missing file and a folder are told apart, and the known names listed."""
    for spec, found in ((str(tmp_path / "no.jsonl"), "does not exist"), (str(tmp_path), "a folder")):
        with pytest.raises(QuestionError) as caught:
            load_questions(spec)
        assert "question file" in caught.value.wanted
        assert spec in caught.value.found
        assert found in caught.value.found
        assert "triviaqa, triviaqa-train, nq-open, bioasq" in caught.value.remedy


def test_load_from_the_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lab/family/set` goes through the lab's manifest; an unknown set lists the known ones."""
    path = write(tmp_path / "in-domain.jsonl", line())
    monkeypatch.setattr(manifest, "question_sets", lambda _: {"in-domain": path})
    loaded = load_questions("lab/inherited/in-domain")
    assert (loaded.name, loaded.source) == ("in-domain", "lab/inherited/in-domain")
    for spec in ("lab/inherited/other", "lab/inherited"):
        with pytest.raises(QuestionError) as caught:
            load_questions(spec)
        assert caught.value.found == repr(spec)
        assert "lab/inherited/in-domain" in caught.value.remedy


def test_load_by_name(hub: Hub, tmp_path: Path) -> None:
    """Every known name fetches its file from its repository, and keeps the commit."""
    trivia = write_triviaqa(tmp_path / "t.parquet", [("tc_1", "Which sea?", "Black Sea", [])]).read_bytes()
    pq.write_table(pa.table({"question": ["who"], "answer": [["A"]]}), tmp_path / "n.parquet")
    pq.write_table(pa.table({"key": ["k"], "question": ["which"], "answers": [["A"]]}), tmp_path / "b.parquet")
    files = {
        "mandarjoshi/trivia_qa": {
            "rc.nocontext/validation-00000-of-00001.parquet": trivia,
            "rc.nocontext/train-00000-of-00001.parquet": trivia,
            "rc/validation-00000-of-00001.parquet": b"with contexts, not fetched",
        },
        "google-research-datasets/nq_open": {
            "nq_open/validation-00000-of-00001.parquet": (tmp_path / "n.parquet").read_bytes()
        },
        "lucadiliello/bioasqqa": {"data/test-00000-of-00001-0.parquet": (tmp_path / "b.parquet").read_bytes()},
    }
    for name, held in files.items():
        branches = ("main", *(known.revision for known in HUB_SETS.values() if known.revision))
        hub.repos[f"datasets/{name}"] = Repo(held, branches=branches)
    for name, known in HUB_SETS.items():
        loaded = load_questions(name)
        assert loaded.name == name
        assert len(loaded.questions) == 1
        assert loaded.source == f"{known.repo}@{hub.repos[f'datasets/{known.repo}'].commit}"
    assert not hub.got("rc/validation-00000-of-00001.parquet")


def test_a_file_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file called `triviaqa` needs no network."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "triviaqa", line())
    assert load_questions("triviaqa").source == "triviaqa"


def test_limit_is_a_seeded_nested_sample() -> None:
    """Any order of the file gives the same questions, more keep fewer, another seed gives others."""
    questions = pool(60)
    shuffled = questions[::-1]
    ten, twenty = limit(questions, 10, seed=3), limit(questions, 20, seed=3)
    assert len(ten) == 10
    assert set(ten) < set(twenty)
    assert set(ten) == set(limit(shuffled, 10, seed=3)) != set(limit(questions, 10, seed=4))
    assert list(ten) == [each for each in questions if each in ten] != questions[:10]
    assert limit(questions, 100, seed=3) == tuple(questions)


def test_a_limited_set_has_a_digest_of_its_own() -> None:
    """Fewer questions are another set; all of them are the same one."""
    whole = QuestionSet.of("q", "here", pool(8))
    assert whole.limited(3, seed=0).digest != whole.digest == whole.limited(8, seed=0).digest
    assert whole.limited(3, seed=0).name == "q"


def test_a_limit_of_nothing_is_refused() -> None:
    """Zero questions are no run."""
    with pytest.raises(QuestionError) as caught:
        limit(pool(3), 0, seed=0)
    assert "at least one" in caught.value.wanted
    assert caught.value.found == "0"


def test_splits_cover_everything_in_the_wanted_shares() -> None:
    """Every question is in one part, and the parts have the sizes asked for."""
    parts = split_questions(pool(100), shares=SHARES, seed=0)
    assert {split: len(part) for split, part in parts.items()} == {"train": 50, "validation": 20, "test": 30}
    assert {each.id for part in parts.values() for each in part} == {each.id for each in pool(100)}


def test_splits_depend_on_seed_and_content_alone() -> None:
    """The order of the file does not matter, the seed does, and parts come in random order."""
    questions = [*pool(50), *(replace(each, id=f"{each.id}-again") for each in pool(50))]
    parts = split_questions(questions, shares=SHARES, seed=5)
    assert parts == split_questions(questions[::-1], shares=SHARES, seed=5)
    assert parts != split_questions(questions, shares=SHARES, seed=6)
    assert list(parts["train"]) != sorted(parts["train"], key=lambda each: each.id)


def test_no_split_shares_a_question() -> None:
    """Repeats under other ids, in other words of the same form, or in one group stay together."""
    repeats = [question(f"again{i}", f"what is THE number {i}!") for i in range(0, 40, 3)]
    grouped = [question(f"g{i}", f"Grouped {i}?", unit=f"group {i // 4}") for i in range(40)]
    crossing = [question(f"x{i}", f"Grouped {i}", unit=f"own {i}") for i in range(0, 40, 5)]
    parts = split_questions([*pool(40), *repeats, *grouped, *crossing], shares=SHARES, seed=0)
    for of in (lambda each: each.unit, lambda each: normalise_question(each.text)):
        keys = [{of(each) for each in parts[split]} for split in SPLITS]
        assert not keys[0] & keys[1]
        assert not keys[0] & keys[2]
        assert not keys[1] & keys[2]


def test_a_part_may_be_left_out() -> None:
    """A share of zero is an empty part, on purpose."""
    parts = split_questions(pool(4), shares=(0.5, 0.0, 0.5), seed=0)
    assert [len(parts[split]) for split in SPLITS] == [2, 0, 2]


@pytest.mark.parametrize(
    ("n", "shares", "wanted", "found"),
    [
        (10, (0.5, 0.5, 0.5), "add up to 1", "(0.5, 0.5, 0.5)"),
        (10, (1.5, -0.5, 0.0), "add up to 1", "(1.5, -0.5, 0.0)"),
        (2, SHARES, "questions for validation", "only 2 different questions"),
    ],
)
def test_impossible_splits(n: int, shares: tuple[float, float, float], wanted: str, found: str) -> None:
    """Shares that are none, and too few questions for the parts."""
    with pytest.raises(SplitError) as caught:
        split_questions(pool(n), shares=shares, seed=0)
    assert wanted in caught.value.wanted
    assert found in caught.value.found


@pytest.mark.parametrize("shared", ["text", "unit"])
def test_overlap_is_refused(shared: str) -> None:
    """A shared text under another unit and id, or a shared unit under another text, is a hard error."""
    parts = split_questions(pool(20), shares=SHARES, seed=0)
    check_disjoint(parts)
    leaked = replace(parts["test"][0], id="other id")
    leaked = replace(leaked, unit="other unit") if shared == "text" else replace(leaked, text="Other words?")
    spoilt: dict[Split, tuple[Question, ...]] = parts | {"train": (*parts["train"], leaked)}
    with pytest.raises(SplitError) as caught:
        check_disjoint(spoilt)
    assert "without overlap" in caught.value.wanted
    assert "other id" in caught.value.found
    assert parts["test"][0].text in caught.value.found
    assert "train" in caught.value.found
    assert "split_questions" in caught.value.remedy


def test_a_split_by_row_would_leak() -> None:
    """The check has teeth: cutting a file with repeats by row is caught."""
    rows = [*pool(10), *(replace(each, id=f"{each.id}-again") for each in pool(10))]
    with pytest.raises(SplitError):
        check_disjoint({"train": rows[:10], "test": rows[10:]})
