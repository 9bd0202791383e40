"""Bad input and bad luck: one clear error each, nothing half-written, and what was there before still there."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_factory import make_checkpoint, tuned_copy
from comparison import FAST, Finished, ForkedCli, Harm, Pair, error_lines, invoke, numbers, parsed, refused
from safetensors.torch import load_file, save_file

from provenance.analyses.jobs.compare_job import Job
from provenance.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

Break = Callable[[Path], None]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that everything is run in."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def no_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickles_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def unknown_architecture(folder: Path) -> None:
    edit_config(folder, model_type="perceptron")


def fewer_layers_in_config(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=1)


def more_layers_in_config(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=3)


def other_width_in_config(folder: Path) -> None:
    edit_config(folder, intermediate_size=32)


def no_sizes_in_config(folder: Path) -> None:
    edit_config(folder, intermediate_size=None)


def config_is_no_json(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": ')


def remote_code(folder: Path) -> None:
    edit_config(folder, auto_map={"AutoModelForCausalLM": "modeling.Model"})


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def tokenizer_is_no_json(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


def newer_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "2.0"}))


def value_of_another_type(folder: Path) -> None:
    edit_config(folder, rms_norm_eps="small")


def label_map(folder: Path) -> None:
    edit_config(folder, num_labels=10**9)


def huge_vocabulary(folder: Path) -> None:
    edit_config(folder, vocab_size=10**9)


def quantised(folder: Path) -> None:
    edit_config(folder, quantization_config={"quant_method": "gptq", "bits": 4})


def adapter_beside(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"")


def attention_missing(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["model.layers.1.self_attn.q_proj.weight"]


@pytest.mark.parametrize(
    ("spoil", "wanted", "found"),
    [
        (no_safetensors, "safetensors weights", "no *.safetensors file"),
        (pickles_only, "safetensors weights", "pytorch_model.bin"),
        (truncated, "a whole safetensors file", "bytes"),
        (unknown_architecture, "llama", "'perceptron'"),
        (fewer_layers_in_config, "1 layers", "model.layers.1.mlp"),
        (more_layers_in_config, "3 layers", "model.layers.2.mlp"),
        (other_width_in_config, "(32, 16)", "(24, 16)"),
        (no_sizes_in_config, "intermediate_size", "intermediate_size = None"),
        (config_is_no_json, "JSON in", "config.json"),
        (remote_code, "without code of its own", "modeling.Model"),
        (no_tokenizer, "a tokenizer", "tokenizer.json"),
        (tokenizer_is_no_json, "JSON in", "tokenizer.json"),
        (newer_tokenizer, "a tokenizer in", "Unknown tokenizer version '2.0'"),
        (value_of_another_type, "a model that transformers can load", "rms_norm_eps"),
        (label_map, "layers and labels", "num_labels = 1000000000"),
        (huge_vocabulary, "of the sizes in its config.json", "shape (1000000000, 16)"),
        (quantised, "float32", "a quantised one: gptq, 4 bits"),
        (adapter_beside, "one checkpoint in", "adapter_model.safetensors"),
    ],
)
@pytest.mark.parametrize("side", ["base", "instruct"])
def test_an_unfit_checkpoint_is_refused(
    pair: Pair, tmp_path: Path, workplace: Path, spoil: Break, wanted: str, found: str, side: str
) -> None:
    spoilt = shutil.copytree(getattr(pair, side), tmp_path / "spoilt")
    spoil(spoilt)
    folders = {"base": pair.base, "instruct": pair.instruct, side: spoilt}
    lines = refused("compare", folders["base"], folders["instruct"], "--questions", pair.cities, "-q", code=2)
    assert wanted in lines[0]
    assert found in lines[1] + lines[0]
    assert list(workplace.iterdir()) == []


def test_the_traceback_of_a_library_is_there_for_debugging(pair: Pair, tmp_path: Path) -> None:
    """And only then; the message has its words anyway."""
    spoilt = shutil.copytree(pair.instruct, tmp_path / "spoilt")
    newer_tokenizer(spoilt)
    assert "version '2.0'" in refused("lineage", pair.base, spoilt, "-q", code=2)[1]
    result = invoke("--debug", "lineage", pair.base, spoilt, "-q")
    assert isinstance(result.exception, CheckpointError)
    assert "version '2.0'" in str(result.exception.__cause__)


@pytest.mark.costly
@pytest.mark.parametrize("side", ["base", "instruct"])
@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("model.layers.1.self_attn.q_proj.weight"),
        lambda tensors: tensors.update({"model.layers.1.self_attn.q_proj.bias": torch.zeros(16)}),
        lambda tensors: tensors.update({"model.norm.weight": torch.zeros(17)}),
    ],
    ids=["missing", "left over", "of another shape"],
)
def test_a_model_that_loads_only_in_part_is_refused(
    pair: Pair, tmp_path: Path, workplace: Path, change: Callable[[dict[str, torch.Tensor]], object], side: str
) -> None:
    """Found when the model is loaded; what the other side was asked by then is kept."""
    spoilt = shutil.copytree(getattr(pair, side), tmp_path / "spoilt")
    edit_weights(spoilt, change)
    folders = {"base": pair.base, "instruct": pair.instruct, side: spoilt}
    command = ("compare", folders["base"], folders["instruct"], "--questions", pair.towns, "--samples", "1", "-q")
    lines = refused(*command, "--max-new-tokens", "2", code=2)
    assert str(spoilt) in lines[0]
    assert statuses(workplace) == ["failed"]
    assert not list((workplace / "provenance-out").iterdir())


def test_quiet_says_the_error_and_nothing_else(forked: ForkedCli, pair: Pair, tmp_path: Path, workplace: Path) -> None:
    """Nor do the libraries: transformers would report on the tensors that it made up."""
    spoilt = shutil.copytree(pair.instruct, tmp_path / "spoilt")
    edit_weights(spoilt, attention_missing)
    done = forked.run(workplace, "compare", pair.base, spoilt, "--questions", pair.towns, "-q")
    assert (done.code, done.stdout) == (2, "")
    assert "q_proj" in error_lines(done.stderr)[1]
    assert done.stderr.startswith("error\n")


def assert_nothing_half_written(workplace: Path) -> None:
    """At most an empty figures folder, and a database whose only run is marked as failed."""
    assert {path.name for path in workplace.iterdir()} <= {"provenance.db", "provenance-out"}
    assert not list((workplace / "provenance-out").glob("*"))
    if (workplace / "provenance.db").exists():
        assert statuses(workplace) == ["failed"]


def statuses(workplace: Path) -> list[str]:
    connection = sqlite3.connect(workplace / "provenance.db")
    found = [row[0] for row in connection.execute("SELECT status FROM run ORDER BY id")]
    connection.close()
    return found


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_found_before_anything_is_asked(
    pair: Pair, tmp_path: Path, workplace: Path, name: str, value: float
) -> None:
    spoilt = shutil.copytree(pair.instruct, tmp_path / "spoilt")
    edit_weights(spoilt, lambda tensors: tensors[name][3].fill_(value))
    lines = refused("compare", pair.base, spoilt, "--questions", pair.cities, "-q", code=1)
    assert f"{name} of the instruct checkpoint" in lines[0]
    assert_nothing_half_written(workplace)
    assert statuses(workplace) == ["failed"]


def test_a_pair_of_different_widths_is_refused_with_both(pair: Pair, tmp_path: Path, workplace: Path) -> None:
    other = make_checkpoint(tmp_path / "other", hidden_size=32)
    lines = refused("compare", pair.base, other, "--questions", pair.cities, code=2)
    assert "width 16" in lines[0]
    assert "width 32" in lines[1]
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(("sizes", "found"), [({"intermediate_size": 32}, "32"), ({"num_hidden_layers": 3}, "3")])
def test_strangers_of_different_shapes_are_refused_before_anything_is_asked(
    pair: Pair, tmp_path: Path, workplace: Path, sizes: dict[str, int], found: str
) -> None:
    """Only a descendant may have other numbers of neurons or layers, and that is seen by the weights."""
    other = make_checkpoint(tmp_path / "other", seed=7, **sizes)
    assert found in refused("compare", pair.base, other, "--questions", pair.cities, "-q", code=2)[1]
    assert_nothing_half_written(workplace)
    assert statuses(workplace) == ["failed"]


def test_a_mixture_of_experts_is_refused_and_named(pair: Pair, tmp_path: Path, workplace: Path) -> None:
    experts = make_checkpoint(tmp_path / "moe", "mixtral")
    _, found, remedy = refused("compare", experts, tuned_copy(experts, tmp_path / "it"), code=2)
    assert "mixture of experts" in found
    assert "block_sparse_moe" in found
    assert "dense" in remedy
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("command", ["compare", "trace"])
def test_swapped_checkpoints_are_noticed_before_anything_is_asked(pair: Pair, workplace: Path, command: str) -> None:
    """The base has no chat template, so it cannot be the instruct side; nothing is kept of such a run."""
    wanted, found, remedy = refused(command, pair.instruct, pair.base, "--questions", pair.cities, code=2)
    assert "the base first" in wanted
    assert found == f"a chat template in {pair.instruct}, the base, and none in {pair.base}"
    assert "swapped" in remedy
    assert list(workplace.iterdir()) == []


def test_a_template_that_opens_reasoning_stops_the_run_where_the_model_never_closes_it(
    pair: Pair, tmp_path: Path, workplace: Path
) -> None:
    """All of its responses would count as hallucinated answers."""
    thinking = tmp_path / "thinking"
    shutil.copytree(pair.instruct, thinking)
    template = thinking / "chat_template.jinja"
    template.write_text(template.read_text().replace("<model>", "<model><think>\n"))
    command = ("compare", pair.base, thinking, "--questions", pair.cities, *FAST, "-q")
    wanted, found, remedy = refused(*command, code=2)
    assert "after its reasoning" in wanted
    assert found.startswith("48 of 48 responses that end inside it, such as '")
    assert "--template-arg" in remedy
    assert statuses(workplace) == ["failed"]
    _, found, _ = refused(*command, "--template-arg", "enable_thinking=false", code=2)
    assert found == "'enable_thinking', which it does not mention"


def test_a_swapped_pair_without_chat_prompts_is_told(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """It may be right: some bases come with a template."""
    for base, instruct, said in ((pair.instruct, pair.base, True), (pair.base, pair.instruct, False)):
        job = Job(str(base), str(instruct), questions=(str(pair.cities),), chat=False)
        caplog.clear()
        job.check_prompts(job.sides())
        assert ("if they are swapped" in caplog.text) == said


ABSENT = [name for name in ("mps", "xpu", "hpu") if not getattr(getattr(torch, name, None), "device_count", int)()]
DEVICES = ["cuda:77", "meta", "privateuseone", "abacus", "cpu:x", "", *ABSENT]


@pytest.mark.parametrize("command", [("compare",), ("trace", "--tuned", "1")], ids=["compare", "trace"])
def test_a_device_that_is_not_there_is_refused_before_a_checkpoint_is_opened(
    workplace: Path, command: tuple[str, ...]
) -> None:
    """At once: the checkpoints that are named are not even looked for."""
    for device in DEVICES:
        lines = refused(*command, "/no/base", "/no/instruct", "--device", device, code=2)
        assert "a device that torch can use" in lines[0], device
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "wanted", "found"),
    [
        ("", "questions in", "an empty file"),
        ("\n\n", "questions in", "an empty file"),
        ('{"id": "1", "question": "Why?"}\n', "answers on line 1", "no answers"),
        ('{"id": "1", "question": "Why?", "answers": "x"}\n', "list of texts on line 1", "'x'"),
        ('{"id": "1", "question": "Why?", "answers": []}\nnot json\n', "JSON on line 2", "Expecting value"),
        ('{"id": "1", "question": "Why?", "answers": ["x"]}\n{"id": "2"\n', "JSON on line 2", "Expecting"),
        ('{"id": "1", "question": " ", "answers": []}\n', "a question on line 1", "empty"),
        ('{"id": "1", "question": "A?", "answers": []}\n{"id": "1", "question": "B?", "answers": []}\n', "once", "'1'"),
        ('{"id": "1", "question": "A?", "answers": ["x"]}\n', "questions for", "1 different"),
        ("[1, 2]\n", "JSON object on question 1", "int"),
    ],
)
def test_an_unfit_question_file_is_refused(
    pair: Pair, tmp_path: Path, workplace: Path, content: str, wanted: str, found: str
) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(content)
    lines = refused("compare", pair.base, pair.instruct, "--questions", path, code=2)
    assert wanted in lines[0]
    assert found in lines[1]
    assert_nothing_half_written(workplace)


@pytest.mark.costly
@pytest.mark.parametrize("words", [20, 300], ids=["base", "both"])
def test_a_model_without_answers_has_no_power(pair: Pair, tmp_path: Path, words: int) -> None:
    """Questions of 20 words exceed the context behind the base's long prompt, those of 300 behind any prompt."""
    rows = [json.loads(line) for line in pair.cities.read_text("utf-8").splitlines()]
    longer = tmp_path / "longer.jsonl"
    padded = [{**row, "question": " Paris" * words + f" {row['question']}"} for row in rows]
    longer.write_text("".join(json.dumps(row) + "\n" for row in padded), "utf-8")
    prompt = " Paris" * 225 + " {question}"
    done = invoke("compare", pair.base, pair.instruct, "--questions", longer, "--base-prompt", prompt, *FAST, "--json")
    assert done.exit_code == 0
    found = parsed(done.stdout)
    silent = {"base"} if words == 20 else {"base", "instruct"}
    answered = {stage: {p["answered"] for p in found["funnel"].values() if p["stage"] == stage} for stage in silent}
    assert answered == {stage: {0} for stage in silent}
    assert {result["verdict"] for result in found["transfer"]} == {"no power"}
    assert "not drawn" not in done.stderr


@pytest.mark.parametrize(
    ("options", "found"),
    [(("--max-new-tokens", "250"), "250 of an answer"), (("--base-prompt", " Paris" * 260 + "{question}"), "26")],
    ids=["answer", "prompt"],
)
def test_a_prompt_without_room_for_an_answer_is_refused(
    pair: Pair, workplace: Path, options: tuple[str, ...], found: str
) -> None:
    lines = refused("compare", pair.base, pair.instruct, "--questions", pair.cities, *options, "-q", code=2)
    assert "at most 256 tokens" in lines[0]
    assert found in lines[1]
    assert_nothing_half_written(workplace)


def test_question_sets_that_cannot_go_together_are_refused(pair: Pair, tmp_path: Path, workplace: Path) -> None:
    """Two of one name; none; one that is not there; one that asks the training questions again."""
    command = ("compare", pair.base, pair.instruct)
    again = shutil.copyfile(pair.towns, tmp_path / pair.cities.name)
    assert "cities, cities" in refused(*command, "--questions", pair.cities, "--questions", again, code=2)[1]
    assert "only lab families" in refused(*command, code=2)[1]
    assert "does not exist" in refused(*command, "--questions", "nowhere.jsonl", code=2)[1]
    copy = shutil.copyfile(pair.cities, tmp_path / "copy.jsonl")
    lines = refused(*command, "--questions", pair.cities, "--questions", copy, code=2)
    assert "without overlap" in lines[0]
    assert "remedy" not in lines[2]
    assert_nothing_half_written(workplace)


@pytest.mark.parametrize(
    ("option", "value", "found"),
    [
        ("--device", "cuda:77", "cuda"),
        ("--device", "abacus", "abacus"),
        ("--attn-implementation", "telepathy", "telepathy"),
        ("--base-prompt", "no place for it", "'no place for it'"),
        ("--instruct-prompt", "{question} or {question}", "{question} or {question}"),
        ("--db", "no url", "'no url'"),
        ("--db", "nosuch://database", "nosuch"),
        ("--db", "postgresql+psycopg://u@h:port/runs", "h:port"),
        ("--db", "postgresql+psycopg://u:secret@h:5432/runs?port=x", "u:***@h"),
        ("--db", "sqlite:///file:x.db?uri=true", "options"),
        ("--db", "sqlite://host/x.db", "host"),
        ("--db", "sqlite://", "in memory"),
        ("--db", "sqlite:///:memory:", "in memory"),
    ],
)
def test_unfit_options_are_refused(pair: Pair, workplace: Path, option: str, value: str, found: str) -> None:
    lines = refused("compare", pair.base, pair.instruct, "--questions", pair.cities, option, value, "-q", code=2)
    assert found in lines[0] + lines[1]
    assert_nothing_half_written(workplace)


@pytest.mark.parametrize("reference", ["no/such/thing/at/all", "nonsense", "/no/such/folder", "lab/nowhere/base"])
def test_checkpoints_that_are_not_there_are_refused(pair: Pair, workplace: Path, reference: str) -> None:
    refused("compare", reference, pair.instruct, "--questions", pair.cities, code=2)
    assert list(workplace.iterdir()) == []


def test_a_file_in_the_way_of_the_output_is_refused_before_any_work(pair: Pair, workplace: Path) -> None:
    (workplace / "taken").write_text("mine")
    command = ("compare", pair.base, pair.instruct, "--questions", pair.cities, "-q")
    refused(*command, "--out", "taken", code=2)
    refused(*command, "--out", "taken/below", code=2)
    assert [path.name for path in workplace.iterdir()] == ["taken"]
    refused(*command, "--db", "sqlite:///taken/provenance.db", code=1)
    refused(*command, "--db", "sqlite:///taken", code=1)
    assert (workplace / "taken").read_text() == "mine"


def test_a_file_in_the_way_of_figures_and_report_is_one_error(undisturbed: Finished, workplace: Path) -> None:
    url = undisturbed.copied(workplace)
    (workplace / "taken").write_text("mine")
    for command in ("figures", "report"):
        refused(command, "--db", url, "--out", "taken", code=1)
    assert (workplace / "taken").read_text() == "mine"


@pytest.mark.slow
def test_a_file_in_the_way_of_the_captures_keeps_the_responses(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, workplace: Path
) -> None:
    """The error comes when captures are to be written; once the file is gone the run goes on to the same end."""
    (workplace / "provenance.captures").write_text("mine")
    failed = forked.run(workplace, *pair.undrawn)
    assert (failed.code, failed.stdout) == (1, "")
    assert "provenance.captures" in " ".join(error_lines(failed.stderr))
    assert statuses(workplace) == ["failed"]
    assert (workplace / "provenance.captures").read_text() == "mine"
    (workplace / "provenance.captures").unlink()
    again = forked.run(workplace, *pair.undrawn)
    assert again.code == 0, again.stderr
    assert numbers(parsed(again.stdout)) == numbers(undisturbed.summary)


@pytest.mark.parametrize("command", ["compare", "figures", "report", "query runs", "db info", "db upgrade"])
def test_a_database_from_a_newer_version_is_refused_and_left_alone(
    pair: Pair, undisturbed: Finished, workplace: Path, command: str
) -> None:
    url = undisturbed.copied(workplace)
    file = workplace / "provenance.db"
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = file.read_bytes()
    args = pair.command if command == "compare" else command.split()
    _, found, remedy = refused(*args, "--db", url, code=1)
    assert "'9999'" in found
    assert "upgrade the toolkit" in remedy
    assert file.read_bytes() == before


@pytest.mark.costly
def test_a_damaged_capture_is_made_again(forked: ForkedCli, pair: Pair, undisturbed: Finished, workplace: Path) -> None:
    """A flipped bit in a file of captured vectors is noticed by its digest, and changes no number."""
    undisturbed.copied(workplace)
    for path in sorted((workplace / "provenance.captures").iterdir())[:2]:
        content = bytearray(path.read_bytes())
        content[-9] ^= 1
        path.write_bytes(content)
    again = forked.run(workplace, *pair.undrawn)
    assert again.code == 0, again.stderr
    assert numbers(parsed(again.stdout)) == numbers(undisturbed.summary)


FULL = {
    Harm("provenance.db.work_log:ResponseRows.put", 2, "before", "full"): "the database",
    Harm("provenance.activations.capture_files:CaptureArray.write", 2, "before", "full"): ".npy",
    Harm("provenance.analyses.asking.both_models:RecordedActivations", 1, "before", "full"): "activations of",
    Harm("provenance.db.store:write", 1, "before", "full"): "the database",
    Harm("provenance.figures.gallery:write_whole", 3, "before", "full"): "figure_4a",
    Harm("provenance.figures.report.html:write_whole", 1, "before", "full"): "report.html",
}
"""From where on the disk is full, and what is then said not to be written; one after the other in one folder."""
SHOWN = 1500  # characters of JSON that a file of `SMALL_FILE_BYTES` holds


@pytest.mark.costly
def test_a_full_disk_is_one_clear_error_wherever_it_strikes_and_the_work_goes_on_afterwards(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, workplace: Path
) -> None:
    """Nothing of what was written before is lost, nothing half-written stays, and the end is the same.

    Results that are there are told, although their figures have no room.
    """
    kept = 0
    for harm, shown in FULL.items():
        command = ("report",) if "report.html" in shown else pair.command
        failed = forked.run(workplace, *command, harm=harm)
        assert failed.code == 1, (harm, failed.stderr)
        assert bool(failed.stdout) == ("figure" in shown)
        assert undisturbed.done.stdout.startswith(failed.stdout[:SHOWN])  # stdout is a file here, and as short
        lines = error_lines(failed.stderr)
        assert shown in lines[0]
        assert "space" in lines[2] or "disk" in lines[2], lines
        assert not [path for path in workplace.rglob("*") if "partial" in path.name or path.name.startswith(".")]
        assert kept <= responses(workplace), harm
        kept = responses(workplace)
    assert kept > 100
    done = forked.run(workplace, *pair.undrawn)
    assert done.code == 0, done.stderr
    assert numbers(parsed(done.stdout)) == numbers(undisturbed.summary)


STOPPED = {
    Harm("provenance.answers.sampling:PromptBatch._generate", 3, "before", "device"): "a GPU that keeps working",
    Harm("provenance.activations.reading:Reader.read", 1, "before", "memory"): "memory for one row of a batch",
    Harm("provenance.activations.reading:Reader.read", 2, "before", "device"): "a GPU that keeps working",
    Harm(
        "provenance.analyses.activity.token_correlation:RecordedActivations.correlation", 1, "before", "memory"
    ): "memory for compare of these checkpoints",
}
"""When memory is refused at every size, or a GPU is gone, and what is then said to be wanted; one after the other."""


@pytest.mark.costly
def test_memory_that_ends_at_batch_one_and_a_device_that_vanishes_end_the_run_and_lose_nothing(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, workplace: Path
) -> None:
    """One clear error, and no run that is left as if it were under way; what was asked is not asked again."""
    kept = 0
    for harm, wanted in STOPPED.items():
        failed = forked.run(workplace, *pair.undrawn, harm=harm)
        assert failed.code == 1, (harm, failed.stderr)
        lines = error_lines(failed.stderr)
        assert wanted in lines[0], harm
        assert "CUDA error" in lines[1]
        assert states(workplace) == ["failed"]
        assert kept <= responses(workplace), harm
        kept = responses(workplace)
    assert kept > 30
    done = forked.run(workplace, *pair.undrawn)
    assert done.code == 0, done.stderr
    assert numbers(parsed(done.stdout)) == numbers(undisturbed.summary)
    assert states(workplace) == ["done"]


def states(workplace: Path) -> list[str]:
    """How each run stands."""
    connection = sqlite3.connect(workplace / "provenance.db")
    found = [str(row[0]) for row in connection.execute("SELECT status FROM run")]
    connection.close()
    return found


def responses(workplace: Path) -> int:
    """How many are in the database, which is whole."""
    connection = sqlite3.connect(workplace / "provenance.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    count = int(connection.execute("SELECT COUNT(*) FROM response").fetchone()[0])
    connection.close()
    return count
