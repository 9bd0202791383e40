"""Files of responses: what is read, and one error that names the line for what is not."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import InputError
from provenance.responses.response_file import ResponseFile, read_responses

ROW: dict[str, Any] = {"prompt": "Why?", "response": "Since.", "label": "yes", "group": "a"}
OTHER = ROW | {"prompt": "How?", "label": "no", "group": "b"}


def read(folder: Path, *rows: dict[str, Any] | str | bytes) -> ResponseFile:
    """A file with these lines, read."""
    texts = [row if isinstance(row, str | bytes) else json.dumps(row) for row in rows]
    lines = [text.encode() if isinstance(text, str) else text for text in texts]
    (folder / "given.jsonl").write_bytes(b"\n".join(lines))
    return read_responses(folder / "given.jsonl")


def test_rows_have_the_names_of_their_set_and_group_where_they_name_none(tmp_path: Path) -> None:
    found = read(tmp_path, ROW, "", OTHER | {"set": "later", "id": 7, "span": [0, 5], "stage": "base", "model": "x"})
    first, second = found.rows
    assert (first.set, first.id, first.stages, first.span) == ("given", "a", ("base", "instruct"), None)
    assert (second.set, second.id, second.stages, second.span) == ("later", "7", ("base",), (0, 5))
    assert second.where == "line 3 of given.jsonl"
    assert (found.labels, list(found.sets), found.names_splits) == (("no", "yes"), ["given", "later"], False)


def test_keys_like_a_known_one_that_is_there_are_the_files_own(tmp_path: Path) -> None:
    own = {"labels": ["yes", "no"], "groups": 3, "ids": [1], "id": "x"}
    line = json.dumps(ROW | own)[:-1] + ', "note": {"label": 1, "label": 2}, "note": 3}'
    assert read(tmp_path, line, OTHER).rows[0].label == "yes"


def test_labels_that_json_writes_without_quotation_marks_are_labels(tmp_path: Path) -> None:
    assert read(tmp_path, ROW | {"label": True}, OTHER | {"label": False}).labels == ("false", "true")
    assert read(tmp_path, ROW | {"label": 1}, OTHER | {"label": 0}).labels == ("0", "1")


def test_a_file_is_read_through_gzip(tmp_path: Path) -> None:
    plain = read(tmp_path, ROW, OTHER)
    packed = tmp_path / "given.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "given.jsonl").read_bytes()))
    assert [row.set for row in read_responses(packed).rows] == [row.set for row in plain.rows]


def test_rows_of_both_models_in_one_group_share_an_id_and_several_of_one_model_have_their_own(tmp_path: Path) -> None:
    pair = [ROW | {"stage": stage} for stage in ("base", "instruct")]
    assert [row.id for row in read(tmp_path, *pair, OTHER).rows] == ["a", "a", "b"]
    several = [ROW | {"stage": stage} for stage in ("base", "base", "instruct")]
    assert [row.id for row in read(tmp_path, *several, OTHER).rows] == ["a, line 1", "a, line 2", "a, line 3", "b"]


def test_a_checkpoint_reads_what_names_it_or_none(tmp_path: Path) -> None:
    own = [ROW | {"checkpoint": name} for name in ("org/x", "org/y", "org/z")]
    found = read(tmp_path, *own, OTHER | {"stage": "base"}).rows
    assert [row.id for row in found] == ["a", "a", "a", "b"]
    assert [row.is_read_by("base", "org/y") for row in found] == [False, True, False, True]
    assert [row.is_read_by("instruct", "org/y") for row in found] == [False, True, False, False]


def test_a_conversation_is_one_text_to_those_who_compare_questions(tmp_path: Path) -> None:
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    row = {key: value for key, value in ROW.items() if key != "prompt"} | {"messages": talk}
    assert read(tmp_path, row, OTHER).rows[0].text == "Be brief.\nWhy?"


def without(key: str) -> dict[str, Any]:
    """The row without a key."""
    return {name: value for name, value in ROW.items() if name != key}


TALK = without("prompt")
BAD_LINES: dict[str, dict[str, Any] | str | bytes] = {
    "broken JSON": '{"prompt": "Why?",',
    "no object": "[1, 2]",
    "no UTF-8": b'{"prompt": "Wh\xe9"}',
    "no response": without("response"),
    "no label": without("label"),
    "no group": without("group"),
    "no prompt": TALK,
    "a prompt and messages": ROW | {"messages": [{"role": "user", "content": "Why?"}]},
    "an empty response": ROW | {"response": " "},
    "an empty prompt": ROW | {"prompt": ""},
    "an empty group": ROW | {"group": ""},
    "a response that is no text": ROW | {"response": ["Since."]},
    "half a character": json.dumps(ROW).replace("Since.", "\\ud800"),
    "a label that is no text": ROW | {"label": 0.5},
    "no messages": TALK | {"messages": []},
    "messages without content": TALK | {"messages": [{"role": "user"}]},
    "messages that end with the model's": TALK | {"messages": [{"role": "assistant", "content": "Yes."}]},
    "an unknown stage": ROW | {"stage": "tuned"},
    "an unknown split": ROW | {"split": "dev"},
    "a span outside": ROW | {"span": [0, 7]},
    "a span backwards": ROW | {"span": [4, 2]},
    "a span of one number": ROW | {"span": [4]},
    "a span of white space": ROW | {"response": "A b", "span": [1, 2]},
    "a mistyped key": ROW | {"spans": [0, 5]},
    "a key twice": json.dumps(ROW)[:-1] + ', "label": "no"}',
    "a third label": ROW | {"label": "maybe", "group": "c"},
    "an id twice": OTHER | {"id": "b"},
    "a response of all and of one": OTHER | {"id": "b", "checkpoint": "org/x"},
    "a checkpoint that is no text": ROW | {"group": "c", "checkpoint": ["org/x"]},
    "an id with two groups": ROW | {"id": "b", "stage": "base"},
    "a split on one line": ROW | {"split": "train", "group": "c"},
    "training in a later set": ROW | {"set": "later", "split": "train", "group": "c"},
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_refused_by_an_error_that_names_it(tmp_path: Path, line: dict[str, Any] | str | bytes) -> None:
    good = [OTHER | {"stage": "instruct", "id": "b"}, ROW | {"group": "d"}]
    read(tmp_path, *good)
    with pytest.raises(InputError) as caught:
        read(tmp_path, *good, line)
    assert "line 3" in caught.value.wanted + caught.value.found


def test_a_group_in_two_splits_is_refused_with_both_lines_also_across_sets(tmp_path: Path) -> None:
    train = ROW | {"split": "train"}
    for other in (OTHER | {"split": "test", "group": "a", "id": "x"}, OTHER | {"set": "later", "group": "a"}):
        with pytest.raises(InputError, match=r"line 1 of given\.jsonl and in test on line 2"):
            read(tmp_path, train, other)


def test_a_file_without_two_labels_is_refused(tmp_path: Path) -> None:
    for rows, found in (([], "no line"), ([ROW, ROW | {"group": "b"}], "only 'yes', from line 1")):
        with pytest.raises(InputError, match=found):
            read(tmp_path, *rows)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.jsonl"):
        with pytest.raises(InputError, match="a file of responses"):
            read_responses(path)
