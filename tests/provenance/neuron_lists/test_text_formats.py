"""Lists as others published them are read neuron by neuron; what contradicts itself or the checkpoint is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import InputError
from provenance.neuron_lists.read_lists import NeuronSet, read_neurons

LAYERS, D_M = 3, 10
POSITIONS = [(2, 9), (0, 3), (1, 0), (0, 1)]
IDS = [1, 3, 10, 29]
WEIGHTS = [0.5, -0.25, 0.125, 1e-9]


def read(folder: Path, value: Any) -> NeuronSet:
    path = folder / "neurons"
    path.write_text(json.dumps(value), encoding="utf-8")
    return read_neurons(path, LAYERS, D_M)


def labels() -> dict[str, Any]:
    return {"model": "org/it", "source": "x", "neurons": [f"L{layer}:N{index}" for layer, index in POSITIONS]}


def by_layer() -> dict[str, Any]:
    return {"0": [3, 1], "1": [0], "2": [9]}


def positions() -> dict[str, Any]:
    entries = [{"layer": layer, "position": index} for layer, index in POSITIONS]
    about = {"model": "org/it", "total_neurons": LAYERS * D_M, "h_neuron_count": 4, "classifier_accuracy": 0.8}
    return {**about, "neurons": entries}


def global_list() -> list[dict[str, Any]]:
    return [
        {
            "global_idx": layer * D_M + index,
            "layer": layer,
            "layer_name": f"model.layers.{layer}.mlp",
            "position": index,
            "weight": weight,
        }
        for (layer, index), weight in zip(POSITIONS, WEIGHTS, strict=True)
    ]


def summary(selected: int = 6) -> dict[str, Any]:
    top = [
        {"rank": rank, "layer": layer, "neuron": index, "label": f"L{layer}:N{index}", "weight": 9.5 - rank}
        for rank, (layer, index) in enumerate(POSITIONS, start=1)
    ]
    structure = {"n_layers": LAYERS, "neurons_per_layer": D_M, "top_positive_neurons": top}
    about = {"schema_version": 1, "model": "org/it", "selected_h_neurons": selected}
    return {**about, "total_ffn_neurons": LAYERS * D_M, "structure": structure}


def hprobes(part: str = "fit", stride: int = 1) -> dict[str, Any]:
    """The results file of hprobes, which lists its neurons twice; older files have them under one of the names."""
    pairs = [list(pair) for pair in POSITIONS]
    about = {"saved_at": "2026-01-01", "model": "org/it", "dataset": "x", "score": {"n_h_neurons": 4}}
    parts = {
        "fit": {"n_h_neurons": 4, "layer_distribution": {"0": 2, "1": 1, "2": 1}, "h_neurons": pairs},
        "metadata": {"n_layers": LAYERS, "intermediate_dim": D_M, "total_features": LAYERS * D_M},
        "config": {"h_neurons": pairs, "layers": [0, 1, 2], "intermediate_dim": D_M, "layer_stride": stride},
    }
    return {**about, **(parts if part == "fit" else {part: parts[part]})}


@pytest.mark.parametrize(
    ("form", "name", "ref"),
    [
        (labels, "json-labels", "org/it"),
        (by_layer, "json-by-layer", None),
        (positions, "json-positions", "org/it"),
        (global_list, "json-global-index", None),
        (summary, "json-top-neurons", "org/it"),
        (hprobes, "json-hprobes", "org/it"),
        (lambda: hprobes("config"), "json-hprobes", "org/it"),
    ],
)
def test_every_published_form_gives_the_same_neurons(
    tmp_path: Path, form: Callable[[], Any], name: str, ref: str | None
) -> None:
    """By layer and index, whatever the file calls them, for the checkpoint that it names."""
    found = read(tmp_path, form())
    assert found.ids.tolist() == IDS
    assert found.format == name
    assert found.checkpoint.get("ref") == ref
    assert bool(found.mismatch("org/other", "ab")) == (ref is not None)


def test_weights_stay_with_their_neurons(tmp_path: Path) -> None:
    """To the last bit and with their sign: what is negative is no H-Neuron, and is not lost."""
    found = read(tmp_path, global_list())
    expected = {layer * D_M + index: weight for (layer, index), weight in zip(POSITIONS, WEIGHTS, strict=True)}
    assert found.weights is not None
    assert dict(zip(found.ids.tolist(), found.weights.tolist(), strict=True)) == expected
    assert found.negative_ids.tolist() == [3]
    assert found.h_ids.tolist() == [1, 10, 29]


def test_a_summary_says_that_it_names_a_part_only(tmp_path: Path) -> None:
    """The greatest weights are not the set."""
    assert "4 of the 6 H-Neurons" in read(tmp_path, summary()).notes[0]
    assert read(tmp_path, summary(4)).notes == ()


def test_a_search_in_some_layers_only_says_so(tmp_path: Path) -> None:
    assert read(tmp_path, hprobes()).notes == ()
    assert "one of every 2 layers" in read(tmp_path, hprobes(stride=2)).notes[0]


def test_a_summary_without_positions_is_refused_for_that(tmp_path: Path) -> None:
    """Counts are no neurons."""
    counts = {"model_path": "org/it", "selected_h_neurons": 38, "total_ffn_neurons": 30, "evaluation": {}}
    for value in (counts, {**counts, "structure": {"n_layers": 3}}, {**counts, "structure": [1]}):
        with pytest.raises(InputError, match="names none of them") as caught:
            read(tmp_path, value)
        assert "neurons by layer and index" in caught.value.wanted


def changed(value: Any, change: Callable[[Any], object]) -> Any:
    change(value)
    return value


@pytest.mark.parametrize(
    ("value", "wanted", "found"),
    [
        (changed(global_list(), lambda v: v[2].update(global_idx=11)), "global index on neuron 3", "11, not 10"),
        (changed(global_list(), lambda v: v[2].update(global_idx="10")), "global index on neuron 3", "'10', not 10"),
        (changed(global_list(), lambda v: v[3].update(global_idx=True)), "global index on neuron 4", "True, not 1"),
        (changed(global_list(), lambda v: v[0].update(layer_name="model.layers.1.mlp")), "layer_name", "layer 2 in"),
        (changed(global_list(), lambda v: v[0].update(layer=3)), "layer and layer_name", "layer 3 in"),
        (changed(global_list(), lambda v: v[0].update(position=10)), "index as a whole number from 0 to 9", "10"),
        (changed(global_list(), lambda v: v.append(v[0])), "every neuron once", "neuron 5"),
        (changed(global_list(), lambda v: v[1].pop("weight")), "a weight for every neuron", "neuron 2"),
        (changed(global_list(), lambda v: v[1].update(weight=float("nan"))), "a finite number as weight", "nan"),
        (changed(global_list(), lambda v: v[1].update(weight=-float("inf"))), "a finite number as weight", "-inf"),
        (changed(global_list(), lambda v: v[1].update(cett=1)), "layer and position and perhaps", "'cett': 1"),
        (changed(global_list(), lambda v: v[1].pop("position")), "layer and position and perhaps", "'global_idx'"),
        (changed(positions(), lambda v: v.update(total_neurons=123904)), "total_neurons = 30", "123904"),
        (changed(positions(), lambda v: v.update(h_neuron_count=27)), "h_neuron_count = 4", "27"),
        (changed(positions(), lambda v: v["neurons"].pop()), "h_neuron_count = 3", "4"),
        (changed(positions(), lambda v: v.update(model=["org/it"])), '"model" as a name', "['org/it']"),
        (changed(labels(), lambda v: v.update(model="a\nb")), '"model" as a name', "'a\\nb'"),
        (changed(labels(), lambda v: v["neurons"].append("L0N1")), "a label such as L0:N1819 for neuron 5", "'L0N1'"),
        (changed(labels(), lambda v: v["neurons"].append(7)), "a label such as L0:N1819 for neuron 5", "7"),
        (changed(labels(), lambda v: v["neurons"].append("L3:N0")), "layer as a whole number from 0 to 2", "3"),
        (changed(labels(), lambda v: v["neurons"].append("L2:N9")), "every neuron once", "layer 2, index 9"),
        (changed(by_layer(), lambda v: v.update({"3": [0]})), "layer as a whole number from 0 to 2", "3"),
        (changed(by_layer(), lambda v: v.update({"1": 0})), "a list of indices for layer 1", "0"),
        (changed(by_layer(), lambda v: v.update({"1": [0, 0]})), "every neuron once", "layer 1, index 0"),
        (changed(by_layer(), lambda v: v.update({"01": [0]})), "every neuron once", "layer 1, index 0"),
        (changed(by_layer(), lambda v: v.update({"1": [None]})), "neuron 1 of layer 1", "None"),
        ({"0": []}, "neurons in", "none"),
        ({}, '"schema": 1', "None"),
        (changed(hprobes(), lambda v: v["fit"].update(n_h_neurons=5)), "n_h_neurons = 4", "5"),
        (changed(hprobes(), lambda v: v["fit"]["h_neurons"].pop()), "n_h_neurons = 3", "4"),
        (changed(hprobes(), lambda v: v["metadata"].update(intermediate_dim=16)), "intermediate_dim = 10", "16"),
        (changed(hprobes(), lambda v: v["fit"]["h_neurons"].append([1])), "[layer, neuron] for neuron 5", "[1]"),
        (changed(hprobes(), lambda v: v["fit"].update(n_h_neurons=0, h_neurons=[])), "neurons in", "none"),
        (changed(summary(), lambda v: v.update(total_ffn_neurons=31)), "total_ffn_neurons = 30", "31"),
        (changed(summary(), lambda v: v["structure"].update(n_layers=34)), "n_layers = 3", "34"),
        (changed(summary(), lambda v: v["structure"].update(neurons_per_layer=9)), "neurons_per_layer = 10", "9"),
        (
            changed(summary(), lambda v: v["structure"]["top_positive_neurons"][1].update(neuron=4)),
            "the label L0:N4",
            "'L0:N3'",
        ),
        (
            changed(summary(), lambda v: v["structure"]["top_positive_neurons"].append("L0:N4")),
            "layer and neuron and perhaps",
            "'L0:N4'",
        ),
    ],
)
def test_what_contradicts_itself_or_the_checkpoint_is_refused(
    tmp_path: Path, value: Any, wanted: str, found: str
) -> None:
    """With the place, and what stands there."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, value)
    assert wanted in caught.value.wanted
    assert found in caught.value.found
    assert caught.value.remedy


def test_a_list_for_a_wider_model_is_caught_by_its_global_indices_alone(tmp_path: Path) -> None:
    """Where every layer and position would fit."""
    path = tmp_path / "neurons"
    path.write_text(json.dumps(global_list()), encoding="utf-8")
    with pytest.raises(InputError, match="made for this checkpoint"):
        read_neurons(path, LAYERS, D_M + 2)
    without = [{"layer": entry["layer"], "index": entry["position"]} for entry in global_list()]
    path.write_text(json.dumps(without), encoding="utf-8")
    assert read_neurons(path, LAYERS, D_M + 2).ids.size == 4
