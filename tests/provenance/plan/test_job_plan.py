"""A plan finds everything that is in the way, of both checkpoints, from a few kilobytes."""

import json
import math
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoint_factory import DENSE, load, make_checkpoint
from comparison import invoke
from hub_server import Hub, Repo, fetch, hub_and_client
from safetensors.torch import load_file, save

from provenance.plan.checkpoint_plan import Obstacle, SidePlan, size_of
from provenance.plan.estimates import NETWORK_BYTES_PER_S
from provenance.plan.gpus import ASSUMED
from provenance.plan.job_plan import Plan, make_plan
from provenance.plan.machine import Machine
from provenance.plan.workload import Workload
from provenance.weights.shards import Shards

pytestmark = pytest.mark.usefixtures("shapes_unchecked", "machine_measured_once")

MACHINE = Machine(
    "cpu",
    "float32",
    1e10,
    solve_flops_per_s=math.inf,
    memory_bytes_per_s=1e10,
    hash_bytes_per_s=1e9,
    operation_s=0.0,
    available_bytes=10**10,
)
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil has it
SPARE = {"README.md": b"# tiny", "consolidated.safetensors": b"x" * 90_000, "pytorch_model.bin": b"x" * 90_000}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose weights are much longer than their header."""
    return make_checkpoint(tmp_path_factory.mktemp("plan") / "wide", intermediate_size=2000)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} | SPARE


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wide: Path) -> Iterator[Hub]:
    """A hub with a base and a tuned checkpoint."""
    with hub_and_client(monkeypatch, tmp_path) as server:
        server.repos["org/base"] = Repo(files_of(wide), license="apache-2.0")
        server.repos["org/tuned"] = Repo(files_of(wide), license="gemma")
        yield server


def planned(*refs: str) -> Plan:
    return make_plan(dict.fromkeys(refs, Workload()), MACHINE)


def only_problem(plan: Plan) -> Obstacle:
    assert len(plan.problems) == 1, plan.problems
    return plan.problems[0]


def needed_bytes(wide: Path) -> int:
    """Every file that save_pretrained wrote, for none of them is spare."""
    return sum(path.stat().st_size for path in wide.iterdir())


def test_a_pair_on_the_hub(hub: Hub, wide: Path) -> None:
    """Commit, licence, gate, files and bytes of both, before a weight was fetched."""
    plan = planned("org/base", "org/tuned")
    assert not plan.stops
    for side, licence in zip(plan.sides, ("apache-2.0", "gemma"), strict=True):
        assert side.pinned == f"{side.ref}@{hub.repos[side.ref].commit}"
        assert (side.licence, side.gate, side.page) == (licence, "none", f"{hub.url}/{side.ref}")
        assert side.bytes == needed_bytes(wide)
        assert set(dict(side.files)) == {path.name for path in wide.iterdir()}
        assert 0 < side.bytes - side.missing_bytes < 5000  # config and index are there by now
        assert hub.sent[f"{side.ref}/model.safetensors"] < 20_000 < (wide / "model.safetensors").stat().st_size
    assert plan.missing_bytes == sum(side.missing_bytes for side in plan.sides)


def test_sizes_are_those_of_the_tensors(hub: Hub, wide: Path) -> None:
    """Parameters, neurons and the bytes of gate, up and down are what a look into the tensors gives."""
    tensors = load_file(wide / "model.safetensors")
    size = planned("org/base").sides[0].size
    assert size is not None
    assert size.parameters == sum(tensor.numel() for tensor in tensors.values())
    assert size.neurons == 2 * 2000
    assert size.drift_bytes == sum(tensor.nbytes for name, tensor in tensors.items() if ".mlp." in name)
    assert size.lineage_bytes == sum(tensor.nbytes for tensor in tensors.values()) > size.drift_bytes
    assert (size.width, size.kinds) == (16, ("gate", "up", "down"))


@pytest.mark.parametrize("model_type", DENSE)
def test_the_width_of_keys_is_that_of_the_cache(tmp_path: Path, model_type: str) -> None:
    """Where projections to keys are a part of another tensor, the hidden size is no less."""
    folder = make_checkpoint(tmp_path, model_type)
    loaded = load(folder)
    with torch.inference_mode():
        cache = loaded.model(torch.tensor([[3, 4, 5]])).past_key_values
    cached = max(layer.keys.shape[1] * layer.keys.shape[3] for layer in cache.layers)
    size = size_of(json.loads((folder / "config.json").read_text("utf-8")), Shards(folder))
    of_its_own = any(name.endswith("k_proj.weight") for name in Shards(folder).names())
    assert size.key_width == cached if of_its_own else size.key_width >= cached


def test_local_folders_and_the_lab_need_nothing(hub: Hub, wide: Path) -> None:
    """For what is on this machine the plan has the same sizes, nothing to fetch, and asks nobody."""
    plan = make_plan(dict.fromkeys([str(wide), "lab/inherited/instruct"], Workload()), MACHINE, compared=False)
    assert not plan.problems
    assert plan.missing_bytes == 0
    assert plan.estimate is not None
    assert not any(side.is_remote for side in plan.sides)
    assert plan.sides[0].hashed_bytes == (wide / "model.safetensors").stat().st_size
    assert plan.estimate.hash_s == sum(side.hashed_bytes for side in plan.sides) / 1e9
    assert plan.sides[0].bytes == needed_bytes(wide)
    assert not hub.log
    assert planned("org/base").sides[0].size == plan.sides[0].size


def test_what_is_cached_is_not_fetched_again(hub: Hub) -> None:
    """After a fetch nothing is missing, and streaming would read from the disk."""
    before = planned("org/base").sides[0]
    assert before.is_remote
    fetch("org/base")
    after = planned("org/base").sides[0]
    assert (after.missing_bytes, after.is_remote, after.hashed_bytes) == (0, False, 0)
    assert after.size == before.size


def test_gated_on_one_side_only(hub: Hub, wide: Path) -> None:
    """The closed side stops the job and names page and variable; its bytes are known all the same."""
    hub.repos["org/tuned"] = Repo(files_of(wide), gated=True, opened_by="mine", license="gemma")
    plan = planned("org/base", "org/tuned")
    problem = only_problem(plan)
    assert plan.stops
    assert not plan.has_token
    assert (problem.ref, problem.found) == ("org/tuned", "no token")
    assert f"{hub.url}/org/tuned" in problem.remedy
    assert "HF_TOKEN" in problem.remedy
    base, tuned = plan.sides
    assert (base.gate, tuned.gate, tuned.licence) == ("none", "closed", "gemma")
    assert tuned.bytes == tuned.missing_bytes == base.bytes
    assert plan.estimate is None


def test_a_gate_that_closed_after_a_plan(hub: Hub, wide: Path) -> None:
    """Config and index in the cache from an earlier look do not hide that the weights cannot be had any more."""
    assert not planned("org/tuned").stops
    hub.repos["org/tuned"].gated = True
    assert planned("org/tuned").sides[0].gate == "closed"
    hub.repos["org/tuned"].gated = False
    fetch("org/tuned")
    hub.repos["org/tuned"].gated = True
    assert not planned("org/tuned").stops  # nothing is missing, so nobody has to be asked


def test_an_open_gate(hub: Hub, monkeypatch: pytest.MonkeyPatch, wide: Path) -> None:
    """With the right token the gate is there, and open."""
    hub.repos["org/tuned"] = Repo(files_of(wide), gated=True, opened_by="mine")
    monkeypatch.setenv("HF_TOKEN", "mine")
    plan = planned("org/base", "org/tuned")
    assert (plan.stops, plan.has_token, plan.sides[1].gate) == (False, True, "open")


def test_problems_of_both_sides_and_of_the_disk_come_together(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, wide: Path
) -> None:
    """A missing repository, a closed gate and a full disk are all in one plan, each with its remedy."""
    hub.repos["org/tuned"] = Repo(files_of(wide), gated=True)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 1000))
    plan = planned("org/nowhere", "org/tuned")
    assert [problem.ref for problem in plan.problems] == ["org/nowhere", "org/tuned", ""]
    assert all(problem.stops and problem.remedy for problem in plan.problems)
    assert "1,000 bytes free" in plan.problems[2].found


def test_a_disk_with_just_enough_room(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk stops the job at one byte less than what is missing, and not before."""
    missing = planned("org/base").missing_bytes
    for free, stops in ((missing, False), (missing - 1, True)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: Usage(0, 0, free))
        assert planned("org/base").stops == stops


def test_too_little_memory_is_a_note(hub: Hub) -> None:
    """A machine too small for forward passes can still do what needs weights only."""
    small = replace(MACHINE, available_bytes=1000)
    plan = make_plan({"org/base": Workload()}, small)
    problem = only_problem(plan)
    assert (plan.stops, problem.stops) == (False, False)
    assert "1,000 bytes available" in problem.found
    assert "--weights-only" in problem.remedy
    assert "--dtype bfloat16" in problem.remedy
    halved = make_plan({"org/base": Workload()}, replace(small, dtype="bfloat16"))
    assert "--dtype" not in only_problem(halved).remedy  # it has that one


def test_a_job_too_long_or_too_large_for_this_machine_says_what_it_takes_elsewhere(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very numbers of the plan, one row a kind of GPU, with what they rest on; a short job has none of it."""
    short = planned("org/base", "org/tuned")
    assert not short.outgrows_machine
    assert "elsewhere" not in invoke("plan", "org/base", "org/tuned").stdout
    assert replace(short, machine=replace(MACHINE, available_bytes=1000)).outgrows_machine
    monkeypatch.setattr("provenance.plan.job_plan.LONG_S", 0.0)
    shown = invoke("plan", "org/base", "org/tuned").stdout
    rows = {line.split("   ")[0].strip(): line for line in shown.splitlines() if " × " in line}
    plan = planned("org/base", "org/tuned")
    assert list(rows) == [f"{there.count} × {there.gpu}" for there in plan.elsewhere]
    assert " ".join(ASSUMED.split()[:6]) in shown
    told = json.loads(invoke("plan", "org/base", "org/tuned", "--json").stdout)
    for there in told["elsewhere"]:
        assert sum(there["stage_s"].values()) == pytest.approx(there["compare_s"])
    assert sum(told["estimate"]["stage_s"].values()) == pytest.approx(told["estimate"]["compare_s"])


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda files: files.pop("config.json"), "config.json in org/base"),
        (lambda files: [files.pop(name) for name in ("model.safetensors", "consolidated.safetensors")], "safetensors"),
        (lambda files: files.update({"config.json": b'{"auto_map": {"x": "y"}}'}), "code of its own"),
        (lambda files: files.update({"config.json": b'{"model_type": "perceptron"}'}), "a model_type out of"),
        (lambda files: files.update({"model.safetensors": b"\xff" * 90_000}), "a whole safetensors file"),
    ],
    ids=["no config", "pickles", "remote code", "unknown layout", "header that lies"],
)
def test_unfit_checkpoints_are_seen(hub: Hub, wide: Path, spoil: object, wanted: str) -> None:
    """What would be refused after the fetch is refused before it, and the other side is planned all the same."""
    files = files_of(wide)
    spoil(files)  # type: ignore[operator]
    hub.repos["org/base"] = Repo(files)
    plan = planned("org/base", "org/tuned")
    assert plan.stops
    assert wanted in only_problem(plan).wanted
    assert plan.sides[1].size is not None


@pytest.mark.parametrize("ref", ["nonsense", "lab/nowhere/base", "./no-such-folder"])
def test_references_to_nothing_are_problems_too(hub: Hub, ref: str) -> None:
    """A reference that cannot be read, or names nothing, is listed as one."""
    plan = planned(ref, "org/base")
    assert (plan.stops, only_problem(plan).ref) == (True, ref)


@pytest.mark.parametrize("offline", ["variable", "server error", "busy"])
def test_without_the_hub_a_whole_copy_serves(hub: Hub, monkeypatch: pytest.MonkeyPatch, offline: str) -> None:
    """Unreachable: what is cached is planned with, with a note; what is not stops the job."""
    fetch("org/base")
    if offline == "variable":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    else:
        hub.down = 503 if offline == "server error" else 429
    plan = planned("org/base", "org/tuned")
    note, problem = plan.problems
    assert (note.ref, note.stops) == ("org/base", False)
    assert (problem.ref, problem.stops) == ("org/tuned", True)
    assert plan.sides[0].pinned == f"org/base@{hub.repos['org/base'].commit}"
    assert plan.sides[0].size is not None
    assert ("HF_HUB_OFFLINE" if offline == "variable" else "HTTP") in note.found


def test_a_plan_moves_no_name(hub: Hub, monkeypatch: pytest.MonkeyPatch, wide: Path) -> None:
    """Planning with a new commit leaves the old one in use offline, since the new one is not there yet."""
    _, before = fetch("org/base")
    hub.repos["org/base"] = Repo(files_of(wide) | {"generation_config.json": b"{}"})
    assert planned("org/base").sides[0].pinned != f"org/base@{before}"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch("org/base")[1] == before


def test_the_command_ends_with_2_when_something_stops_the_job(hub: Hub, wide: Path) -> None:
    """Exit code and table: 0 with nothing in the way, 2 with the problem and its remedy."""
    fine = invoke("plan", "org/base", "org/tuned")
    assert fine.exit_code == 0
    assert "nothing is in the way" in fine.stdout
    assert "apache-2.0" in fine.stdout
    hub.repos["org/tuned"] = Repo(files_of(wide), gated=True)
    stopped = invoke("plan", "org/base", "org/tuned")
    assert stopped.exit_code == 2
    assert "gated, closed" in stopped.stdout
    assert "accept the licence at" in stopped.stdout


def test_the_json_is_one_object(hub: Hub, wide: Path) -> None:
    """`--json` prints the plan and nothing else, also when something stops the job."""
    hub.repos["org/tuned"] = Repo(files_of(wide), gated=True)
    done = invoke("plan", "org/base", "org/tuned", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["schema"], told["stops"]) == (2, 1, True)
    assert told["sides"][0]["files"]["model.safetensors"] == (wide / "model.safetensors").stat().st_size
    assert told["sides"][0]["bytes"] == needed_bytes(wide)
    assert told["problems"][0]["ref"] == "org/tuned"
    assert told["machine"]["flops_per_s"] > 0


def test_a_family_is_planned_by_its_name(hub: Hub) -> None:
    """`--family` stands for the two references; one reference alone is bad usage."""
    told = json.loads(invoke("plan", "--family", "lab-acquired", "--json").stdout)
    assert [side["ref"] for side in told["sides"]] == ["lab/acquired/base", "lab/acquired/instruct"]
    assert invoke("plan", "org/base").exit_code == 2
    assert "gemma-3-4b" in invoke("plan", "--family", "gema-3-4b").stderr


def test_drift_and_lineage_have_times_of_their_own(hub: Hub) -> None:
    """Lineage streams every tensor, drift those of the neurons; the table has a row for each."""
    plan = planned("org/base", "org/tuned")
    assert plan.estimate is not None
    sizes = [side.size for side in plan.sides if side.size is not None]
    assert plan.estimate.drift_stream_s == sum(size.drift_bytes for size in sizes) / NETWORK_BYTES_PER_S
    assert plan.estimate.lineage_stream_s == sum(size.lineage_bytes for size in sizes) / NETWORK_BYTES_PER_S
    shown = invoke("plan", "org/base", "org/tuned").stdout
    for row in ("drift reads", "lineage reads", "drift --stream", "lineage --stream", "lineage after pull"):
        assert row in shown


UP = "model.layers.1.mlp.up_proj"


def adapter_files_for(neurons: int = 2000, rank: int = 4, **config: object) -> dict[str, bytes | Path]:
    """A repository as `peft` and its users push it: tokenizer, training arguments and checkpoints of the way."""
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "org/base",
                "target_modules": ["up_proj"], "task_type": "CAUSAL_LM", **config}  # fmt: skip
    halves = {"lora_A": torch.ones(rank, 16), "lora_B": torch.ones(neurons, rank)}
    weights = save({f"base_model.model.{UP}.{half}.weight": tensor for half, tensor in halves.items()})
    return {
        "README.md": b"---\nlibrary_name: peft\n---",
        "adapter_config.json": json.dumps(settings).encode(),
        "adapter_model.safetensors": weights,
        "checkpoint-500/adapter_model.safetensors": weights,
        "tokenizer_config.json": b"{}",
        "training_args.bin": b"x" * 5000,
    }


def in_folder(folder: Path, files: dict[str, bytes | Path]) -> str:
    """The files at the top of an adapter's repository, as a local folder."""
    folder.mkdir()
    for name, data in files.items():
        if isinstance(data, bytes) and "/" not in name:
            (folder / name).write_bytes(data)
    return str(folder)


def stopping(plan: Plan) -> list[Obstacle]:
    return [problem for problem in plan.problems if problem.stops]


@pytest.mark.parametrize("fetched", [False, True])
def test_an_adapter_on_the_hub_is_planned_as_one(hub: Hub, fetched: bool) -> None:
    """Seen by its file names, held against the base by two headers; it reads the base's weights once more."""
    hub.repos["org/adapter"] = Repo(adapter_files_for(), license="mit")
    if fetched:
        fetch("org/adapter")
    plan = planned("org/base", "org/adapter")
    base, adapter = plan.sides
    assert not plan.stops, plan.problems
    assert (adapter.is_adapter, adapter.licence, adapter.size) == (True, "mit", None)
    assert set(dict(adapter.files)) == {"adapter_config.json", "adapter_model.safetensors", "tokenizer_config.json"}
    assert plan.estimate is not None
    assert base.size is not None
    assert plan.estimate.drift_stream_s == 2 * base.size.drift_bytes / NETWORK_BYTES_PER_S
    assert "forward passes" in only_problem(plan).wanted  # a note: the full comparison takes no adapter
    assert invoke("plan", "org/base", "org/adapter").exit_code == 0


@pytest.mark.parametrize("place", ["hub", "folder"])
@pytest.mark.parametrize(
    ("files", "found"),
    [
        (adapter_files_for(neurons=1999), "an update of shape (1999, 16)"),
        (adapter_files_for(r=8), "a damaged or inconsistent adapter"),
        (adapter_files_for(use_dora=True), "use_dora"),
    ],
    ids=["another base", "another rank", "a variant"],
)
def test_an_adapter_that_cannot_be_merged_stops_the_job(
    hub: Hub, tmp_path: Path, place: str, files: dict[str, bytes | Path], found: str
) -> None:
    """With the error that the job would end in."""
    hub.repos["org/adapter"] = Repo(files)
    plan = planned("org/base", "org/adapter" if place == "hub" else in_folder(tmp_path / "adapter", files))
    assert plan.sides[1].is_adapter or place == "folder"
    assert [found in problem.found for problem in stopping(plan)] == [True]


def test_an_adapter_is_no_base(hub: Hub) -> None:
    """The order of the two is part of the question."""
    hub.repos["org/adapter"] = Repo(adapter_files_for())
    (problem,) = stopping(planned("org/adapter", "org/base"))
    assert (problem.ref, problem.found) == ("org/adapter", "a LoRA adapter")


def spoilt(wide: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Repo:
    tensors = load_file(wide / "model.safetensors")
    change(tensors)
    return Repo(files_of(wide) | {"model.safetensors": save(tensors)})


def quantised(tensors: dict[str, torch.Tensor]) -> None:
    tensors[f"{UP}.weight"] = torch.ones(2000, 16, dtype=torch.int8)


def reshaped(tensors: dict[str, torch.Tensor]) -> None:
    tensors[f"{UP}.weight"] = torch.ones(1999, 16)


@pytest.mark.parametrize(("change", "found"), [(quantised, "I8, whose scales"), (reshaped, "shape (1999, 16)")])
def test_weights_that_a_job_refuses_stop_the_plan(
    hub: Hub, wide: Path, change: Callable[[dict[str, torch.Tensor]], None], found: str
) -> None:
    """By their headers; to fetch them is no problem all the same."""
    hub.repos["org/tuned"] = spoilt(wide, change)
    plan = planned("org/base", "org/tuned")
    assert plan.stops
    assert found in only_problem(plan).found
    assert plan.sides[1].missing_bytes > 0
    pulled = make_plan(dict.fromkeys(["org/base", "org/tuned"], Workload()), MACHINE, compared=False)
    assert (pulled.stops, len(pulled.problems)) == (False, 1)
    assert invoke("pull", "org/tuned", "--dry-run").exit_code == 0


@pytest.mark.parametrize("kind", ["wider", "ungated"])
def test_a_pair_of_other_neurons_stops_the_job(hub: Hub, wide: Path, tmp_path: Path, kind: str) -> None:
    """Hidden size and projections have to agree; for a mere pull they need not, and other depths are no matter."""
    other = (
        make_checkpoint(tmp_path / "other", hidden_size=32)
        if kind == "wider"
        else make_checkpoint(tmp_path / "other", "gpt_neox")
    )
    (problem,) = stopping(planned(str(wide), str(other)))
    assert "hidden size 16" in problem.wanted
    assert problem.found == ("gate, up, down, hidden size 32" if kind == "wider" else "up, down, hidden size 16")
    assert not make_plan(dict.fromkeys([str(wide), str(other)], Workload()), MACHINE, compared=False).stops
    deeper = make_checkpoint(tmp_path / "deeper", num_hidden_layers=3)
    assert not planned(str(wide), str(deeper)).problems


@pytest.mark.parametrize("place", ["hub", "folder"])
def test_a_missing_tokenizer_is_a_note(hub: Hub, wide: Path, tmp_path: Path, place: str) -> None:
    """Weights can be compared without one, models cannot be run."""
    files = {name: data for name, data in files_of(wide).items() if name != "tokenizer.json"}
    hub.repos["org/tuned"] = Repo(files)
    ref = "org/tuned" if place == "hub" else in_folder(tmp_path / "bare", {**files})
    plan = planned("org/base", ref)
    note = only_problem(plan)
    assert (note.ref, note.stops, plan.stops) == (ref, False, False)
    assert "a tokenizer" in note.wanted
    assert "--weights-only" in note.remedy
    shown = invoke("plan", "org/base", ref).stdout
    assert "nothing is in the way" not in shown
    assert "nothing stops this job; 1 to note" in shown


def test_an_adapter_in_a_folder_has_the_size_of_its_base(hub: Hub, wide: Path, tmp_path: Path) -> None:
    """It is planned with as the merged checkpoint that it stands for."""
    plan = planned("org/base", in_folder(tmp_path / "adapter", adapter_files_for()))
    adapter: SidePlan = plan.sides[1]
    assert not plan.stops
    assert adapter.is_adapter
    assert plan.estimate is not None
    parameters = sum(tensor.numel() for tensor in load_file(wide / "model.safetensors").values())
    assert plan.estimate.compare_s == pytest.approx(
        2 * 2 * parameters * Workload().tokens / 1e10 + adapter.hashed_bytes / 1e9
    )
