"""Neuron lists are read as they stand, whatever their form, and what cannot be neurons of the checkpoint is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from provenance.errors import InputError
from provenance.neuron_lists import text_formats
from provenance.neuron_lists.listed_neurons import Listed, Named
from provenance.neuron_lists.read_lists import NeuronSet, read_neurons

LAYERS, D_M = 3, 10
NEURONS = [(2, 9, 0.5), (0, 3, -0.25), (0, 1, 0.125), (1, 0, 0.0)]


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "neurons"  # no suffix: what a file holds decides
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_json(neurons: list[Any], **more: Any) -> str:
    return json.dumps({"schema": 1, "neurons": neurons, **more})


def as_csv(neurons: list[tuple[int, int, float]]) -> str:
    return "layer,index,weight\n" + "".join(f"{layer},{index},{weight}\n" for layer, index, weight in neurons)


def objects(neurons: list[tuple[int, int, float]]) -> list[dict[str, float]]:
    return [{"layer": layer, "index": index, "weight": weight} for layer, index, weight in neurons]


def check_neurons(found: NeuronSet) -> None:
    """The four neurons, by flat id."""
    expected = sorted((layer * D_M + index, weight) for layer, index, weight in NEURONS)
    assert found.ids.tolist() == [flat for flat, _ in expected] == [1, 3, 10, 29]
    assert found.layers.tolist() == [0, 0, 1, 2]
    assert found.index.tolist() == [1, 3, 0, 9]
    assert found.weights is not None
    assert found.weights.tolist() == [weight for _, weight in expected]


@pytest.mark.parametrize(
    "content", [as_json(objects(NEURONS)), as_csv(NEURONS), "\n " + json.dumps(objects(NEURONS), indent=1)]
)
def test_json_and_csv_say_the_same(tmp_path: Path, content: str) -> None:
    """Ordered by flat id, each neuron with its weight, from a bare JSON list too; identity is the content."""
    path = written(tmp_path, content)
    found = read_neurons(path, LAYERS, D_M)
    check_neurons(found)
    assert (found.source, found.digest) == (str(path), hashlib.sha256(content.encode()).hexdigest())


def test_h_neurons_have_positive_weight(tmp_path: Path) -> None:
    """Negative ones are a set of their own, and one of weight zero is in neither."""
    found = read_neurons(written(tmp_path, as_csv(NEURONS)), LAYERS, D_M)
    assert found.h_ids.tolist() == [1, 29]
    assert found.negative_ids.tolist() == [3]


def test_without_weights_all_are_h_neurons(tmp_path: Path) -> None:
    """A list that says nothing more names them."""
    found = read_neurons(written(tmp_path, as_json([{"layer": 1, "index": 2}, {"layer": 0, "index": 5}])), LAYERS, D_M)
    assert found.weights is None
    assert found.h_ids.tolist() == [5, 12]
    assert found.negative_ids.tolist() == []


def test_the_intercept_is_read_where_there_is_one(tmp_path: Path) -> None:
    """It belongs to the probe as the weights do; without one it is not zero but unknown."""
    neurons = objects(NEURONS)
    found = read_neurons(written(tmp_path, as_json(neurons, intercept=-0.1, design="3-vs-1", C=1.0)), LAYERS, D_M)
    assert (found.intercept, found.format, found.notes) == (-0.1, "json", ())
    for without in (as_json(neurons), as_json(neurons, intercept=None), as_csv(NEURONS)):
        assert read_neurons(written(tmp_path, without), LAYERS, D_M).intercept is None


@pytest.mark.parametrize("length", range(1, len(json.dumps(objects(NEURONS)))))
def test_json_that_was_cut_short_is_refused_wherever_the_cut_is(tmp_path: Path, length: int) -> None:
    """Half a list is never taken for a list."""
    with pytest.raises(InputError) as caught:
        read_neurons(written(tmp_path, json.dumps(objects(NEURONS))[:length]), LAYERS, D_M)
    assert "JSON" in caught.value.wanted


@pytest.mark.parametrize("content", ['{"schema": 1, "neurons": [{"layer": 0, ', '{"schema": 1, "neurons": [{"lay', "["])
def test_a_cut_at_the_end_is_called_one(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="cut short"):
        read_neurons(written(tmp_path, content), LAYERS, D_M)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + as_csv(NEURONS).encode(),
        as_csv(NEURONS).replace("\n", "\r\n"),
        as_csv(NEURONS).replace("\n", "\n\n  \n") + "\n",
        "\n" + as_csv(NEURONS),
        as_csv(NEURONS).replace(",", " , "),
        as_csv(NEURONS).rstrip("\n"),
        "weight,index,layer\n" + "".join(f'"{weight}",{index},{layer}\n' for layer, index, weight in NEURONS),
        b"\xef\xbb\xbf\n" + json.dumps({"neurons": objects(NEURONS), "schema": 1, "note": "mine"}, indent=1).encode(),
    ],
)
def test_what_editors_and_spreadsheets_leave_is_no_fault(tmp_path: Path, content: str | bytes) -> None:
    """A byte order mark, line ends, blank lines, spaces, quotes, another order of columns or keys."""
    check_neurons(read_neurons(written(tmp_path, content), LAYERS, D_M))


def test_the_checkpoint_that_the_list_names_is_kept(tmp_path: Path) -> None:
    """So that a comparison can say whether the list was made for its checkpoint."""
    one = [{"layer": 0, "index": 0}]
    about = {"ref": "org/it@0f1e", "digest": "ab12", "date": 5}
    found = read_neurons(written(tmp_path, as_json(one, checkpoint=about)), LAYERS, D_M)
    assert found.checkpoint == {"ref": "org/it@0f1e", "digest": "ab12"}
    assert read_neurons(written(tmp_path, as_json(one, checkpoint=None)), LAYERS, D_M).checkpoint == {}


def named(folder: Path, **checkpoint: str) -> NeuronSet:
    return read_neurons(written(folder, as_json([{"layer": 0, "index": 0}], checkpoint=checkpoint)), LAYERS, D_M)


@pytest.mark.parametrize(
    ("checkpoint", "differs"),
    [
        ({}, False),
        ({"digest": "AB" * 32, "ref": "org/other"}, False),  # the same content under another name
        ({"digest": "cd" * 32, "ref": "org/it@0f1e"}, True),
        ({"digest": "cd" * 32}, True),
        ({"ref": "org/it"}, False),
        ({"ref": "Org/It@0f1e"}, False),
        ({"ref": "org/it@77aa"}, True),
        ({"ref": "org/other"}, True),
    ],
)
def test_a_list_for_another_checkpoint_says_so(tmp_path: Path, checkpoint: dict[str, str], differs: bool) -> None:
    """By the digest where the list names one, else by the reference; silence is no mismatch."""
    note = named(tmp_path, **checkpoint).mismatch("org/it@0f1e99", "ab" * 32)
    assert bool(note) == differs
    if differs:
        assert "org/it@0f1e99" in note
        assert checkpoint.get("digest", checkpoint.get("ref", ""))[:12] in note


def test_a_revision_that_nobody_knows_is_another_one(tmp_path: Path) -> None:
    """A list for a snapshot is not silently taken for one of the default branch."""
    assert named(tmp_path, ref="lab/inherited/base@step-0400").mismatch("lab/inherited/base", "ab")


ONE = '{"schema": 1, "neurons": [{"layer": 0, "index": %s}]}'


@pytest.mark.parametrize(
    ("content", "wanted", "found"),
    [
        (b"layer,index\n0,1\n\xff,2\n", "UTF-8", "byte 0xff on line 3"),
        ("layer,index\n0,1\n".encode("utf-16"), "UTF-8", "on line 1"),
        (b"\x80\x04\x95\x00", "as JSON or CSV", "a pickle, which can run code"),
        (b"\x80\x81", "UTF-8", "byte 0x80"),
        (b"cos\nsystem\n(S'echo'\ntR.", "as JSON or CSV", "a pickle, which can run code"),
        ("", "a header of layer, index and perhaps weight on line 1", "an empty file"),
        ("\n \n", "a header", "an empty file"),
        ("layer;index\n0;1\n", "a header", "'layer;index'"),
        ("\nlayer,neuron\n0,1\n", "on line 2", "'layer,neuron'"),
        ("layer,index,layer\n0,1,0\n", "a header", "'layer,index,layer'"),
        ("layer,index,weight,cett\n0,1,1,1\n", "a header", "'layer,index,weight,cett'"),
        ("0,1\n0,2\n", "a header", "'0,1'"),
        ("layer,index\n", "neurons in", "none"),
        ("layer,index\n0,1\n0\n", "2 values on line 3", "'0'"),
        ("layer,index\n0,1,2\n", "2 values on line 2", "'0,1,2'"),
        ("layer,index\n,\n", "layer as a whole number from 0 to 2 on line 2", "''"),
        ('layer,index\n0,"1\n', "CSV on line", "unexpected end of data"),
        ("layer,index\n3,0\n", "layer as a whole number from 0 to 2 on line 2", "3"),
        ("layer,index\n\n0,1\n0,10\n", "index as a whole number from 0 to 9 on line 4", "10"),
        ("layer,index\n0,-1\n", "index as a whole number", "'-1'"),
        ("layer,index\n0,1.5\n", "index as a whole number", "'1.5'"),
        ("layer,index\n0,²\n", "index as a whole number", "'²'"),
        ("layer,index\n0," + "9" * 5000 + "\n", "index as a whole number", "'999"),
        ("layer,index\n0,1\n1,1\n\n0,1\n", "every neuron once", "layer 0, index 1 on line 2 of"),
        ("layer,index,weight\n0,1,0.5\n0,2,nan\n", "a finite number as weight on line 3", "nan"),
        ("layer,index,weight\n0,1,high\n", "a finite number as weight on line 2", "'high'"),
        ("layer,index,weight\n0,1,\n", "a finite number as weight on line 2", "''"),
        ("layer,index,weight\n0,1,-1\n0,2,0\n", "of positive weight", "2 weights, none of them positive"),
        ("{", "JSON in", "line 1 column 2"),
        ("{" * 100_000, "JSON in", ""),
        ('{"neurons": [{"layer": 0, "index": 1}]}', '"schema": 1', "None"),
        ("[", "JSON in", "line 1 column 2"),
        ('{"schema": 1, "intercept": NaN, "neurons": [{"layer": 0, "index": 1}]}', "finite number as intercept", "nan"),
        ('{"schema": 1, "intercept": "0", "neurons": [{"layer": 0, "index": 1}]}', "finite number as intercept", "'0'"),
        ("[]", "neurons in", "none"),
        ("[[0, 1]]", "for neuron 1 of", "[0, 1]"),
        (ONE % '1, "index": 2', "JSON in", "the key 'index' twice"),
        ('{"schema": 1, "neurons": [], "neurons": [{"layer": 0, "index": 1}]}', "JSON in", "the key 'neurons' twice"),
        ('{"schema": 2, "neurons": []}', '"schema": 1', "2"),
        ('{"schema": true, "neurons": []}', '"schema": 1', "True"),
        ('{"schema": 1, "neurons": {"0": [1]}}', '"neurons" as a list', "dict"),
        (as_json([]), "neurons in", "none"),
        (as_json([{"layer": 0, "index": 1}, [0, 2]]), "for neuron 2 of", "[0, 2]"),
        (as_json([{"layer": 0}]), "for neuron 1 of", "{'layer': 0}"),
        (as_json([{"layer": 0, "index": 1, "weigth": 2}]), "for neuron 1 of", "'weigth'"),
        (ONE % "-1", "from 0 to 9 on neuron 1", "-1"),
        (ONE % "1.0", "from 0 to 9 on neuron 1", "1.0"),
        (ONE % "true", "from 0 to 9 on neuron 1", "True"),
        (ONE % '"1"', "from 0 to 9 on neuron 1", "'1'"),
        (ONE % ("9" * 400), "from 0 to 9 on neuron 1", "999"),
        (ONE % '1, "weight": "x"', "a finite number as weight on neuron 1", "'x'"),
        (ONE % '1, "weight": Infinity', "a finite number as weight on neuron 1", "inf"),
        (ONE % ('1, "weight": ' + "9" * 400), "a finite number as weight on neuron 1", "999"),
        (as_json([{"layer": 0, "index": 1, "weight": 1}, {"layer": 0, "index": 2}]), "a weight for every", "neuron 2"),
        (as_json([{"layer": 0, "index": 1}], checkpoint="org/it"), '"checkpoint" with ref and digest', "'org/it'"),
        (as_json([{"layer": 0, "index": 1}], checkpoint={"ref": 1}), '"checkpoint" with ref and digest', "1"),
        (as_json([{"layer": 0, "index": 1}], checkpoint={"ref": "\ud800"}), '"checkpoint" with', "ud800"),
    ],
)
def test_what_cannot_be_neurons_is_refused(tmp_path: Path, content: str | bytes, wanted: str, found: str) -> None:
    """With its place in the file, what was there, and what to write instead."""
    with pytest.raises(InputError) as caught:
        read_neurons(written(tmp_path, content), LAYERS, D_M)
    assert wanted in caught.value.wanted
    assert found in caught.value.found
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["nothing.csv", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="a neuron list at") as caught:
        read_neurons(tmp_path / name, LAYERS, D_M)
    assert str(tmp_path) in caught.value.wanted


def test_the_bounds_are_the_checkpoints(tmp_path: Path) -> None:
    """The last neuron of a larger checkpoint is one, and is none of a smaller one."""
    path = written(tmp_path, "layer,index\n2,9\n")
    assert read_neurons(path, LAYERS, D_M).ids.tolist() == [29]
    for layers, d_m in ((2, D_M), (LAYERS, 9)):
        with pytest.raises(InputError, match="made for this checkpoint"):
            read_neurons(path, layers, d_m)


def test_a_further_format_is_one_more_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it reads is checked like everything else."""
    pairs = text_formats.Reader(
        lambda text: text.startswith("#pairs"),
        lambda text, where, _sizes: Listed(
            "pairs",
            [
                Named(f"pair {i} of {where}", *map(int, pair.split(":")), None)
                for i, pair in enumerate(text.split()[1:])
            ],
        ),
    )
    monkeypatch.setattr(text_formats, "READERS", (pairs, *text_formats.READERS))
    found = read_neurons(written(tmp_path, "#pairs 1:4 0:7"), LAYERS, D_M)
    assert np.array_equal(found.ids, [7, 14])
    assert found.format == "pairs"
    with pytest.raises(InputError, match="pair 1 of"):
        read_neurons(written(tmp_path, "#pairs 1:4 0:70"), LAYERS, D_M)
