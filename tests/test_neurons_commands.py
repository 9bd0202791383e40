"""Neuron sets come in by one command and go out by another, and what goes out works without this toolkit."""

import io
import json
import os
import pickle
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from checkpoint_factory import DENSE, make_checkpoint, mlps, modules_of
from comparison import Finished, invoke, refused
from hub_server import Hub, Repo, hub_and_client
from sklearn.linear_model import LogisticRegression
from transformers.pytorch_utils import Conv1D

from provenance.architectures import layout_of
from provenance.checkpoints.names import inspect
from provenance.neuron_lists.export import ExportedNeurons, as_transformers
from provenance.neuron_lists.read_lists import read_neurons
from provenance.records import CheckpointInfo
from provenance.weights.shards import Shards

LAYERS, D_M = 2, 24
LIST = "layer,index,weight\n0,3,0.5\n0,17,1.5\n1,20,0.2\n1,21,-0.4\n"
PUBLISHED = Path(os.environ.get("PROVENANCE_DATA_DIR") or "/nowhere") / "published"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(name: str, content: str | bytes) -> Path:
    path = Path(name)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def imported(*command: object) -> dict[str, Any]:
    """The JSON of an import that succeeds."""
    result = invoke("neurons", "import", *command, "--json")
    assert result.exit_code == 0, result.stderr
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary


def exported(*command: object) -> str:
    """What an export prints."""
    result = invoke("neurons", "export", *command)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def stored() -> list[tuple[Any, ...]]:
    with sqlite3.connect("provenance.db") as connection:
        found = connection.execute("SELECT layer, neuron_index, weight FROM neuron_set_member").fetchall()
    connection.close()
    return found


def test_an_import_says_what_was_read_and_keeps_it(tiny_llama: Path) -> None:
    summary = imported(written("list.csv", LIST), "--for", tiny_llama)
    assert summary["neurons"] == {"total": LAYERS * D_M, "listed": 4, "positive": 3, "negative": 1}
    assert summary["by_layer"] == [
        {"layer": 0, "listed": 2, "positive": 2, "negative": 0},
        {"layer": 1, "listed": 2, "positive": 1, "negative": 1},
    ]
    assert (summary["format"], summary["notes"], summary["set"]) == ("csv", [], 1)
    assert summary["checkpoint"]["ref"] == str(tiny_llama)
    assert stored() == [(0, 3, 0.5), (0, 17, 1.5), (1, 20, 0.2), (1, 21, -0.4)]


def test_an_import_tells_people_the_same(tiny_llama: Path) -> None:
    """Counts, layers, mismatch, the set's number; a further import of the file is the same set."""
    file = written("list.json", '{"model": "org/other", "neurons": ["L0:N3", "L1:N20"]}')
    for _ in range(2):
        result = invoke("neurons", "import", file, "--for", tiny_llama)
        assert result.exit_code == 0, result.stderr
        for words in ("json-labels", "2 neurons: no weights", "by layer: 0: 1, 1: 1", "those of org/other", "set 1 of"):
            assert words in result.stdout
    assert len(stored()) == 2


def test_what_an_import_writes_reads_back_the_same(tiny_llama: Path) -> None:
    """In our own form, with the checkpoint that it was held against."""
    weights = [0.1, -1 / 3, 5e-324]
    rows = "".join(f"{i % 2},{i},{weight!r}\n" for i, weight in enumerate(weights))
    summary = imported(written("list.csv", f"layer,index,weight\n{rows}"), "--for", tiny_llama, "--out", "new/own.json")
    before, after = (read_neurons(Path(name), LAYERS, D_M) for name in ("list.csv", "new/own.json"))
    assert before.weights is not None
    assert after.weights is not None
    assert after.weights.tobytes() == before.weights.tobytes()
    assert after.ids.tolist() == before.ids.tolist()
    assert after.checkpoint["digest"] == summary["checkpoint"]["digest"]


def probe(neurons: int = LAYERS * D_M) -> LogisticRegression:
    X = np.random.default_rng(0).random((60, neurons))
    return LogisticRegression(l1_ratio=1, solver="liblinear").fit(X, (X[:, 7] > X[:, 3]).astype(int))


def dump(model: object) -> bytes:
    out = io.BytesIO()
    joblib.dump(model, out)
    return out.getvalue()


def test_a_pickled_classifier_is_read_behind_its_flag_with_a_warning(tiny_llama: Path) -> None:
    """Refused without; with it, the warning is on stderr and stdout stays one JSON object."""
    model = probe()
    file = written("detector.pkl", dump(model))
    assert "can run code" in refused("neurons", "import", file, "--for", tiny_llama, code=2)[1]
    result = invoke("neurons", "import", file, "--for", tiny_llama, "--allow-pickle", "--json", "--out", "own.json")
    assert result.exit_code == 0, result.stderr
    assert "warning: pickles can run code" in result.stderr
    assert json.loads(result.stdout)["intercept"] == model.intercept_[0]
    flat = np.flatnonzero(model.coef_[0])
    assert stored() == [(*divmod(neuron, D_M), model.coef_[0, neuron]) for neuron in flat.tolist()]
    assert read_neurons(Path("own.json"), LAYERS, D_M).intercept == model.intercept_[0]


def test_a_classifier_of_another_checkpoint_is_refused(tiny_llama: Path) -> None:
    file = written("detector.pkl", dump(probe(LAYERS * D_M + 2)))
    assert "(1, 50)" in refused("neurons", "import", file, "--for", tiny_llama, "--allow-pickle", code=2)[1]


class Trap:
    """Whoever unpickles it the usual way makes a folder."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("flags", [(), ("--allow-pickle",)])
def test_a_pickle_that_tries_to_run_code_does_not_run(tiny_llama: Path, flags: tuple[str, ...]) -> None:
    """By the command as by the function; pickle itself shows that the trap works."""
    file = written("trap.pkl", pickle.dumps(Trap()))
    result = invoke("neurons", "import", file, "--for", tiny_llama, *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    assert not Path("ran").exists()
    pickle.loads(file.read_bytes())  # noqa: S301
    assert Path("ran").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("layer,index\n0,24\n", "index as a whole number from 0 to 23"),
        ("layer,index\n2,0\n", "layer as a whole number from 0 to 1"),
        ("layer,index\n0,1\n0,1\n", "every neuron once"),
        ("layer,index,weight\n0,1,nan\n", "a finite number as weight"),
        ('{"schema": 1, "neurons": [{"layer": 0, "ind', "JSON in"),
        ("", "a header of layer"),
        ('{"model_path": "org/it", "selected_h_neurons": 38}', "neurons by layer and index"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_kept(tiny_llama: Path, content: str, words: str) -> None:
    """Before the database is made."""
    assert words in refused("neurons", "import", written("list", content), "--for", tiny_llama, code=2)[0]
    assert not Path("provenance.db").exists()


def test_checkpoints_and_files_that_are_not_there_are_refused(tiny_llama: Path) -> None:
    refused("neurons", "import", "nothing.csv", "--for", tiny_llama, code=2)
    refused("neurons", "import", written("list.csv", LIST), "--for", "./nothing", code=2)
    adapter = Path("adapter")
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert "adapter" in refused("neurons", "import", "list.csv", "--for", "./adapter", code=2)[1]
    assert not Path("provenance.db").exists()


@pytest.fixture
def hub(tiny_llama: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_and_client(monkeypatch, here) as hub:
        hub.repos = {"org/it": Repo({path.name: path for path in tiny_llama.iterdir()})}
        yield hub


def test_a_checkpoint_on_the_hub_costs_its_headers_only(
    hub: Hub, tiny_llama: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the same checkpoint as in a folder; and a copy in the cache serves where there is no network."""
    file = written("list.csv", LIST)
    remote = imported(file, "--for", "org/it")
    local = imported(file, "--for", tiny_llama)
    assert (remote["checkpoint"]["digest"], remote["set"]) == (local["checkpoint"]["digest"], local["set"])
    assert remote["checkpoint"]["ref"].startswith("org/it@")
    assert not [path for path in (here / "cache").rglob("*") if path.name.endswith(".safetensors")]
    assert invoke("pull", "org/it").exit_code == 0
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert imported(file, "--for", "org/it")["checkpoint"] == remote["checkpoint"]


def test_an_imported_set_goes_out_again(tiny_llama: Path) -> None:
    """By number and by digest, in every format; json and csv read back the same."""
    summary = imported(written("list.csv", LIST), "--for", tiny_llama)
    assert exported("--set", summary["set"], "--format", "csv") == LIST
    document = json.loads(exported("--set", summary["digest"][:12]))
    assert document["checkpoint"] == summary["checkpoint"]
    again = imported(written("again.json", json.dumps(document)), "--for", tiny_llama)
    assert again["neurons"] == summary["neurons"]
    assert again["notes"] == []
    result = invoke("neurons", "export", "--set", 1, "--out", "folder/set.csv", "--format", "csv")
    assert result.stdout.strip() == "folder/set.csv"
    assert "3 H-Neurons, 1 of negative weight" in result.stderr
    assert Path("folder/set.csv").read_text(encoding="utf-8") == LIST


def test_the_probe_of_a_comparison_goes_out_and_comes_back(undisturbed: Finished, here: Path, pair: Any) -> None:
    """The newest run where none is named; for the checkpoint that it was found in, without a note of mismatch."""
    db = undisturbed.copied(here)
    document = json.loads(exported("--db", db))
    assert exported("--db", db, "--run", 1, "--stage", "instruct") == exported("--db", db)
    assert document["checkpoint"] == undisturbed.summary["instruct"]
    assert document["C"] == undisturbed.summary["identification"]["C"]
    assert sum(neuron["weight"] > 0 for neuron in document["neurons"]) == undisturbed.summary["neurons"]["h"]
    back = imported(written("probe.json", json.dumps(document)), "--for", pair.instruct, "--db", db)
    assert (back["notes"], back["intercept"]) == ([], document["intercept"])
    assert back["neurons"]["positive"] == undisturbed.summary["neurons"]["h"]
    assert json.loads(exported("--db", db, "--set", 1))["neurons"] == document["neurons"]


def test_an_export_of_nothing_is_refused(here: Path) -> None:
    assert "no such file" in refused("neurons", "export", code=2)[1]
    assert invoke("db", "upgrade").exit_code == 0
    assert "a finished run with a probe" in refused("neurons", "export", code=2)[0]
    assert "import one first" in refused("neurons", "export", "--set", "1", code=2)[2]
    assert "both" in refused("neurons", "export", "--set", "1", "--run", "1", code=2)[1]


def run_snippet(code: str) -> dict[str, Any]:
    """What the code defines, run as somebody else would run it."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "snippet", "exec"), names)  # noqa: S102 - that is what the snippet is for
    return names


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.arange(3, 40)[None]).logits
    return found


def without_columns(model: Any, neurons: dict[int, list[int]]) -> None:
    """Zero the neurons' columns of W_down, found through `transformers` and not by tensor names."""
    with torch.no_grad():
        for layer, mlp in enumerate(mlps(model)):
            down = modules_of(mlp)["down"]
            weight = down.weight if isinstance(down, Conv1D) else down.weight.T
            weight[neurons.get(layer, [])] = 0.0


def snippet_of(folder: Path, weights: list[float] | None) -> str:
    """The code for three neurons of a checkpoint."""
    layout = layout_of(inspect(folder), Shards(folder).names())
    info = CheckpointInfo(str(folder), "ab", layout.model_type, layout.layers, layout.d_m, layout.d, "F32")
    layers, index = np.array([0, 1, 1]), np.array([5, 2, 11])
    return as_transformers(
        ExportedNeurons(info, "by hand", layers, index, None if weights is None else np.array(weights))
    )


@pytest.mark.parametrize("model_type", DENSE)
def test_the_snippet_scales_the_right_neurons(model_type: str, checkpoint_of: Callable[[str], Path]) -> None:
    """At alpha 1 not a bit changes; at alpha 0 the model is the one without their columns of W_down, and no other."""
    names = run_snippet(snippet_of(checkpoint_of(model_type), None))
    model, handles, scale = names["model"], names["handles"], names["scale_neurons"]
    assert names["H_NEURONS"] == {0: [5], 1: [2, 11]}
    silenced = logits(model)  # the snippet leaves them suppressed
    for handle in handles:
        handle.remove()
    plain = logits(model)
    assert not torch.equal(plain, silenced)
    for handle in scale(model, 1.0):
        assert torch.equal(logits(model), plain)
        handle.remove()
    without_columns(model, names["H_NEURONS"])
    # not equal to the last bit: a sum may be ordered otherwise; the effect is some hundred thousand times larger
    torch.testing.assert_close(logits(model), silenced, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))
    assert float((plain - silenced).abs().max()) > 1e-2 * float(plain.abs().max())


def test_the_snippet_leaves_neurons_of_negative_weight_alone(checkpoint_of: Callable[[str], Path]) -> None:
    """They are listed apart, and can be scaled as well."""
    names = run_snippet(snippet_of(checkpoint_of("llama"), [1.0, -1.0, 0.0]))
    assert (names["H_NEURONS"], names["NEGATIVE_NEURONS"]) == ({0: [5]}, {1: [2]})
    for handle in names["handles"]:
        handle.remove()
    plain = logits(names["model"])
    handles = names["scale_neurons"](names["model"], 3.0, names["NEGATIVE_NEURONS"])
    assert len(handles) == 1
    assert not torch.equal(logits(names["model"]), plain)


def suppressed(names: dict[str, Any], model: Any) -> torch.Tensor:
    names["scale_neurons"](model, 0.0)
    return logits(model)


def test_the_snippet_refuses_another_model(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> None:
    """One of other module names, and one of another width."""
    names = run_snippet(snippet_of(checkpoint_of("llama"), None))
    for other, words in (("gpt2", "another kind of model"), ("wide", "wanted 24 neurons, found 40")):
        folder = make_checkpoint(tmp_path / "wide", intermediate_size=40) if other == "wide" else checkpoint_of(other)
        with pytest.raises(ValueError, match=words):
            suppressed(names, run_snippet(snippet_of(folder, None))["model"])


def test_the_snippet_finds_checkpoints_of_the_hub_and_of_the_lab() -> None:
    """Pinned to their commit; those of the lab through the package that they ship with."""
    about = ("cd", "llama", 2, 8, 4, "F32")
    one = (np.array([1]), np.array([3]), None)
    text = as_transformers(ExportedNeurons(CheckpointInfo("org/it@0f1e", *about), "by hand", *one))
    assert "CHECKPOINT, REVISION = 'org/it', '0f1e'" in text
    assert "AutoModelForCausalLM.from_pretrained(CHECKPOINT, revision=REVISION)" in text
    text = as_transformers(ExportedNeurons(CheckpointInfo("lab/inherited/base", *about), "by hand", *one))
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(text, "snippet", "exec"), names)  # noqa: S102
    assert (names["CHECKPOINT"] / "config.json").is_file()


def test_a_name_cannot_break_out_of_the_snippet() -> None:
    """A folder's name is data in the code, whatever it is called."""
    name = '/a"""\nimport os\n$d_m ${x} \\'
    info = CheckpointInfo(name, "ab", "llama", 2, 8, 4, "F32")
    text = as_transformers(ExportedNeurons(info, f"from {name}", np.array([0]), np.array([3]), None))
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(text, "snippet", "exec"), names)  # noqa: S102
    assert "os" not in names
    assert str(names["CHECKPOINT"]) == name


REAL = {
    "gemma3_4b_38_positions": ((34, 10240), 38, 0),
    "gemma3_4b_random_control_seed0_neurons": ((34, 10240), 38, 0),
    "gemma3_4b_classifier_structure_summary": ((34, 10240), 10, 0),
    "tinyllama_duo_h_neurons": ((22, 5632), 27, 0),
    "tinyllama_h_neurons_weights": ((22, 5632), 21, 10),
    "tinyllama_mps200_h_neurons_weights": ((22, 5632), 106, 63),
}
"""Sizes of the checkpoint, H-Neurons, and neurons of negative weight, counted in the published files by hand."""


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("PROVENANCE_DATA_DIR"), reason="PROVENANCE_DATA_DIR is not set")
@pytest.mark.parametrize("name", REAL)
def test_what_others_published_can_be_read(name: str) -> None:
    """Every H-Neuron, weights where the file has them, and nothing for a model of other sizes."""
    (layers, d_m), positive, negative = REAL[name]
    found = read_neurons(PUBLISHED / f"{name}.json", layers, d_m)
    assert (found.h_ids.size, found.negative_ids.size) == (positive, negative)
    text = (PUBLISHED / f"{name}.json").read_text(encoding="utf-8")
    for layer, index in zip(found.layers.tolist(), found.index.tolist(), strict=True):
        assert re.search(rf"\b(N|){index}\b", text), (layer, index)
    assert (found.weights is not None) == ('"weight"' in text)


def test_a_folder_as_output_is_refused_before_anything_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("layer,index\n0,5\n")
    done = invoke("neurons", "import", "list.csv", "--for", "lab/inherited/instruct", "--out", ".")
    assert done.exit_code == 1
    assert "a folder" in done.stderr
    assert not (tmp_path / "provenance.db").exists()


def moved(finished: Finished, folder: Path) -> str:
    """URL of a copy of a comparison's database in a folder without checkpoints and captured vectors."""
    url = finished.copied(folder)
    shutil.rmtree(folder / "provenance.captures")
    return url


def test_a_card_needs_neither_checkpoints_nor_captured_vectors(undisturbed: Finished, here: Path) -> None:
    """It holds the tokens of both models and the answers with question and response; H-Neuron or not."""
    url = moved(undisturbed, here)
    with sqlite3.connect(here / "provenance.db") as connection:
        refs = [row[0] for row in connection.execute("SELECT ref FROM checkpoint")]
        connection.execute("UPDATE run SET base_ref = '/gone/' || base_ref, instruct_ref = '/gone/' || instruct_ref")
    connection.close()
    first = undisturbed.summary["neurons"]["list"][0]
    place = f"{first['layer']}:{first['index']}"
    result = invoke("neurons", "show", place, "--db", url, "--json")
    assert result.exit_code == 0, result.stderr
    card = json.loads(result.stdout)
    assert all(ref not in (card["run"]["base"], card["run"]["instruct"]) for ref in refs)
    assert card["probe"]["probe_weight"] == pytest.approx(first["weight"])
    assert [row["stage"] for row in card["vocabulary"]] == ["base", "instruct"]
    assert all(len(row["promotes"]) == len(row["suppresses"]) == 10 for row in card["vocabulary"])
    assert len(card["answers"]) == 6
    for row in card["answers"]:
        assert row["question"]
        assert row["answer"] in row["response"]
    assert card["database"] == url


def test_a_card_tells_people_which_run_it_is_of(undisturbed: Finished, here: Path) -> None:
    url = moved(undisturbed, here)
    first = undisturbed.summary["neurons"]["list"][0]
    place = f"{first['layer']}:{first['index']}"
    shown = invoke("neurons", "show", place, "--db", url)
    assert shown.exit_code == 0, shown.stderr
    run = undisturbed.summary["run"]
    assert f"run {run} (the newest; --run ID for another)" in shown.stdout
    assert f"run {run} (as asked for)" in invoke("neurons", "show", place, "--db", url, "--run", run).stdout
    for words in ("promotes", "suppresses", "null space", "Most active on", "stability rank", "by mean CETT"):
        assert words in shown.stdout
    assert "did you mean 1:2?" in refused("neurons", "show", "1/2", "--db", url, code=2)[2]
    assert "layer 0 to 1, index 0 to 23" in refused("neurons", "show", "2:0", "--db", url, code=2)[0]
    assert "no such file" in refused("neurons", "show", "0:0", "--db", "sqlite:///gone.db", code=2)[1]
