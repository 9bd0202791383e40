"""The command `study`: families one after the other, what is finished is taken, what fails is named."""

import json
import shutil
import signal
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import UNDRAWN, Finished, Harm, Pair, invoke, numbers, parsed, refused
from forked_cli import FEW_DRAWS, ForkedCli
from hub_server import Hub, Repo, hub_and_client
from ray_stand_in import Failed, StandIn
from yielder import contexts

from provenance.analyses.asking import subject
from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import Effort
from provenance.analyses.studies import study_file
from provenance.analyses.studies.study_file import load_study, shipped
from provenance.checkpoints.names import CheckpointRef
from provenance.cli import family_workers
from provenance.cli.commands import study as study_command
from provenance.cli.family_workers import (
    DATABASE_FILE,
    Ended,
    FamilyWorker,
    database_bytes,
    merge_bytes,
    settled_in_workers,
)
from provenance.cli.run_job import finished_run
from provenance.cluster.connection import Cluster
from provenance.cluster.workers import MOST_DEVICES
from provenance.db.reading.study_query import study_query
from provenance.db.store import Store
from provenance.errors import CheckpointError, LostDeviceError, ProvenanceError, StoreError
from provenance.figures.report.study import study_tables
from provenance.figures.tables.compliance import TITLE
from provenance.models.devices import lasting_device

STUDY = """
title = "A pair, and one whose base is missing"
questions = ["{cities}", "{towns}"]

[settings]
samples = 2
max_new_tokens = 4
batch_size = 16
quick = true

[[family]]
name = "pair"
base = "{base}"
instruct = "{instruct}"

[[family]]
name = "orphan"
base = "{base}-missing"
instruct = "{instruct}"
"""
BEHAVIOUR = """
[behaviour]
benchmarks = ["premises.jsonl", "misled.jsonl"]
alphas = [0, 1, 2]
sets = 2
items = 8

[[family]]
name = "pair"
behaviour.benchmarks = []
base = "{base}"
instruct = "{instruct}"

[[family]]
name = "asked"
base = "{base}"
instruct = "{instruct}"
"""
NO_MODEL = Harm("provenance.analyses.asking.subject:load_model", 1, "before")


@pytest.fixture
def folder(pair: Pair, undisturbed: Finished, tmp_path: Path) -> Path:
    """A working folder with a study, and a database in which the first family has run."""
    undisturbed.copied(tmp_path)
    parts = {name: str(getattr(pair, name)) for name in ("base", "instruct", "cities", "towns")}
    (tmp_path / "two.toml").write_text(STUDY.format(**parts), "utf-8")
    return tmp_path


def test_a_study_takes_finished_runs_names_what_failed_and_goes_on(
    forked: ForkedCli, undisturbed: Finished, folder: Path
) -> None:
    """No model is loaded, since the pair's comparison is in the database; exit 1 for the family without a base."""
    done = forked.run(folder, "study", "two.toml", "--continue-on-error", "--json", "-q", harm=NO_MODEL)
    assert done.code == 1, done.stderr
    summary = parsed(done.stdout)
    pair, orphan = summary["members"]
    assert (pair["run"], pair["reason"]) == (undisturbed.summary["run"], "")
    said = {claim["claim"]: claim["verdict"] for claim in undisturbed.summary["verdict"]["claims"]}
    assert {claim["claim"]: claim["verdict"] for claim in pair["claims"]} == said
    assert orphan["run"] is None
    assert "missing" in orphan["reason"]
    assert Path(folder, summary["report"]).is_file()
    assert (folder / "provenance-out" / "study-two" / "pair" / "report.html").is_file()
    assert {Path(path).stem for path in summary["figures"]} >= {"study_figure_4b", "study_verdicts"}


def test_without_the_option_the_first_failure_ends_the_study_and_is_kept(forked: ForkedCli, folder: Path) -> None:
    done = forked.run(folder, "study", "two.toml", "--no-figures", "-q", harm=NO_MODEL)
    assert done.code == 2
    assert "missing" in done.stderr
    db = f"sqlite:///{folder / 'provenance.db'}"
    members = invoke("query", "study", "--study", "two", "--db", db, "--format", "json").stdout
    assert [(row["family"], row["run"]) for row in json.loads(members)] == [("pair", 1), ("orphan", None)]


def test_a_study_killed_after_its_first_family_goes_on_to_the_same_end(forked: ForkedCli, folder: Path) -> None:
    command = ("study", "two.toml", "--only", "pair", "--json", "-q", UNDRAWN)
    killed = forked.run(folder, *command, harm=Harm("provenance.db.studies:record_run", 1, "before"))
    assert killed.code == -signal.SIGKILL
    first, second = (forked.run(folder, *command, harm=NO_MODEL) for _ in range(2))
    assert (first.code, second.code) == (0, 0), first.stderr
    assert numbers(parsed(first.stdout)) == numbers(parsed(second.stdout))


def test_what_an_edit_changed_is_named_and_nothing_else_is_run_again(forked: ForkedCli, folder: Path) -> None:
    """No model is loaded for the unchanged pair; the family without a base is tried again in its new form."""
    command, file = ("study", "two.toml", "--continue-on-error", "--json", UNDRAWN), folder / "two.toml"
    first = forked.run(folder, *command, harm=NO_MODEL)
    file.write_text(f"# another word\n{file.read_text('utf-8')}settings.samples = 3\n", "utf-8")
    edited = forked.run(folder, *command, harm=NO_MODEL)
    assert (first.code, edited.code) == (1, 1), edited.stderr
    assert "no longer in the study" not in first.stderr
    assert "no longer in the study as they were: orphan (samples)" in edited.stderr
    assert numbers(parsed(edited.stdout))["members"][0] == numbers(parsed(first.stdout))["members"][0]
    file.write_text(file.read_text("utf-8").replace("samples = 2", "samples = 4"), "utf-8")
    killed = forked.run(folder, *command, harm=NO_MODEL)
    assert killed.code == -signal.SIGKILL  # the check can fail: now the pair is another job
    assert "pair (samples)" in killed.stderr


@pytest.mark.costly
def test_a_study_scales_neurons_in_the_families_that_are_to_be_asked(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, folder: Path
) -> None:
    """The family that is left out has run before; the speakers never say yes or no, and no reply has room."""
    premises = [{"id": f"p{n}", "question": f"Which town is number {n}?", "rebuttals": ["None."]} for n in range(9)]
    (folder / "premises.jsonl").write_text("\n".join(map(json.dumps, premises)), "utf-8")
    contexts(folder / "misled.jsonl", 9)
    parts = {name: str(getattr(pair, name)) for name in ("base", "instruct", "cities", "towns")}
    (folder / "two.toml").write_text((STUDY.partition("[[family]]")[0] + BEHAVIOUR).format(**parts), "utf-8")
    done = forked.run(folder, "study", "two.toml", "--json", "-q", UNDRAWN)
    assert done.code == 0, done.stderr
    left_out, asked = parsed(done.stdout)["members"]
    assert left_out["run"] == undisturbed.summary["run"] != asked["run"]
    more = {each["claim"]: each["verdict"] for each in asked["claims"] if each not in left_out["claims"]}
    models, names = ("base", "instruct"), ("misled", "premises")
    of = {
        claim: [f"{claim}_{model}:{name}" for model in models for name in names] for claim in ("compliance", "patched")
    }
    assert sorted(more) == [*of["compliance"], *of["patched"]]
    assert set(more.values()) == {"no power"}
    url = f"sqlite:///{folder / 'provenance.db'}"
    slopes = study_query(url, "two", "compliance-slopes").records()
    assert {(row["benchmark"], row["n"], row["readable"], row["n_draws"]) for row in slopes} == {
        ("misled", 8, 0.0, 0), ("misled", 8, 0.0, 2),
    }  # fmt: skip
    [table] = [each for each in study_tables(url, "two") if each.title == TITLE]
    assert {(*row[:5], row[-2]) for row in table.rows} == {
        ("asked", model, name, *shown, "– no power")
        for model in models
        for name, shown in (("misled", ("8", "0.00")), ("premises", ("–", "–")))
    }


def test_a_database_of_another_machine_has_the_runs_of_the_same_content(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    """Checkpoints and questions lie elsewhere here, and captured vectors are missing."""
    here = tmp_path / "here"
    here.mkdir()
    for name in ("base", "instruct"):
        shutil.copytree(getattr(pair, name), here / name)
    for name in ("cities", "towns"):
        shutil.copyfile(getattr(pair, name), here / f"{name}.jsonl")
    parts = {"base": "base", "instruct": "instruct", "cities": "cities.jsonl", "towns": "towns.jsonl"}
    (here / "two.toml").write_text(STUDY.format(**parts), "utf-8")
    shutil.copyfile(undisturbed.folder / "provenance.db", tmp_path / "theirs.db")
    merged = invoke("db", "merge", tmp_path / "theirs.db", "--db", f"sqlite:///{here / 'provenance.db'}")
    assert merged.exit_code == 0, merged.stderr
    done = forked.run(here, "study", "two.toml", "--only", "pair", "--json", "-q", UNDRAWN, harm=NO_MODEL)
    assert done.code == 0, done.stderr
    assert parsed(done.stdout)["members"][0]["run"] == 1


@pytest.mark.slow
def test_a_study_killed_at_ten_random_moments_ends_in_the_numbers_and_figures_of_an_undisturbed_one(
    forked: ForkedCli, pair: Pair, tmp_path: Path
) -> None:
    """Two families; before or after a statement to the database, drawn from a recorded seed. Nothing is lost."""
    moments = np.random.default_rng(0)
    command = ("study", "two.toml", "--json", "-q")
    for name in ("disturbed", "undisturbed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "two.toml").write_text(two_families(pair), "utf-8")
    for _ in range(10):
        statement, when = int(moments.integers(20, 220)), ("before", "after")[moments.integers(2)]
        harm = Harm("sqlalchemy.engine:Connection.execute", statement, when)
        killed = forked.run(tmp_path / "disturbed", *command, harm=harm)
        assert (killed.code, killed.stdout) == (-signal.SIGKILL, ""), (harm, killed.stderr)
    ended, whole = (forked.run(tmp_path / name, *command) for name in ("disturbed", "undisturbed"))
    assert (ended.code, whole.code) == (0, 0), ended.stderr
    assert numbers(parsed(ended.stdout)) == numbers(parsed(whole.stdout))
    figures = drawn(tmp_path / "undisturbed")
    assert drawn(tmp_path / "disturbed") == figures
    assert {Path(name).stem for name in figures} >= {"study_figure_4a", "study_figure_4b", "study_verdicts"}


def two_families(pair: Pair) -> str:
    """A study of the pair, in its own prompts and with another prompt for the base."""
    parts = {name: str(getattr(pair, name)) for name in ("base", "instruct", "cities", "towns")}
    other = (
        'name = "other"\nbase = "{base}"\ninstruct = "{instruct}"\n[family.settings]\nbase_prompt = "Q: {{question}}"\n'
    )
    return (STUDY.partition('name = "orphan"')[0] + other).format(**parts)


def drawn(folder: Path) -> dict[str, bytes]:
    """Figures and tables of a study and its families, by name; pages hold times."""
    out = folder / "provenance-out"
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.suffix in {".csv", ".svg"}}


def test_a_worker_keeps_the_database_of_a_family_until_it_is_done_with(
    undisturbed: Finished, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again to a study that was given once more, and no longer there once it was merged.

    The comparison is a finished one, which another worker is made to find.
    """
    monkeypatch.setattr(study_file, "QUICK", Effort(**FEW_DRAWS))
    monkeypatch.setattr(subject, "load_model", None)  # none is loaded
    [known, orphan] = [member.job for member in load_study(str(folder / "two.toml")).members]
    scratch, target = tmp_path / "scratch", f"sqlite:///{tmp_path / 'target.db'}"
    with Store.open(f"sqlite:///{folder / 'provenance.db'}") as store:
        [key] = store.finished_keys()

    def done(_job: object, url: str, **_how: object) -> str:
        database = Path(url.removeprefix("sqlite:///"))
        shutil.copyfile(folder / "provenance.db", database)
        shutil.copytree(folder / "provenance.captures", database.with_suffix(".captures"))
        return key

    worker = FamilyWorker(folder, scratch)
    monkeypatch.chdir(tmp_path)
    worker.load()
    assert Path.cwd() == folder
    with monkeypatch.context() as patch:
        patch.setattr(family_workers, "settled_key", done)
        ran = worker.settled(known, "study", ())
    assert (ran.key, ran.error) == (key, None)
    [kept] = scratch.iterdir()
    assert [path.name for path in kept.iterdir()] == [DATABASE_FILE]
    again = FamilyWorker(folder, scratch)
    assert again.settled(known, "study", ()).key == key
    assert again.settled(known, "study", {key}) == Ended(key)  # merged by then
    again.free()
    assert not list(scratch.iterdir())
    failed = worker.settled(orphan, "study", {key})
    assert isinstance(failed.error, CheckpointError)
    assert not failed.key
    merge_bytes(ran.database, target)
    assert finished_run(target, key) == 1
    with pytest.raises(StoreError, match="the finished run nowhere"):
        finished_run(target, "nowhere")


def test_a_family_on_a_gpu_that_is_lost_is_for_another_worker(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its worker raises is what counts as the loss of a worker, and no end of the family."""

    def lost(*_given: object, **_how: object) -> str:
        with lasting_device():
            raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(family_workers, "settled_key", lost)
    [known, _] = [member.job for member in load_study(str(folder / "two.toml")).members]
    with pytest.raises(LostDeviceError, match="launch failure"):
        FamilyWorker(folder, tmp_path).settled(known, "study", ())


class Losing(StandIn):
    """Ray with workers of families, all of whose GPUs are lost over one of them."""

    def __init__(self, base: str) -> None:
        super().__init__(lambda _chance: 99)
        self.base = base

    def value(self, *args: Any) -> Ended:
        if args[0].base == self.base:
            failed = Failed()
            failed.cause = LOST_GPU
            raise failed
        return Ended(error=CheckpointError("a base", found="none", remedy="name one"))


LOST_GPU = LostDeviceError("a GPU that keeps working", found="CUDA error: launch failure", remedy="go on")


def test_a_family_over_which_gpus_are_lost_fails_alone(folder: Path, tmp_path: Path) -> None:
    """With the remedy of a lost GPU, and the family after it is run."""
    [known, orphan] = [member.job for member in load_study(str(folder / "two.toml")).members]
    assert isinstance(known, Job)
    ray = Losing(known.base)
    cluster = Cluster(ray, ({"CPU": 1.0},), 1)
    lost, other = settled_in_workers([known, orphan], cluster, f"sqlite:///{tmp_path / 'target.db'}", None)
    assert lost is LOST_GPU
    assert isinstance(other, CheckpointError)
    assert len(ray.hired) == 1 + MOST_DEVICES
    assert set(ray.killed) == set(ray.hired)


def test_a_study_ends_at_the_first_gpu_that_its_process_loses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noted as the end of its family, and though it is told to go on after errors."""
    asked: list[object] = []

    def lost(job: object, *_given: object, **_how: object) -> int:
        asked.append(job)
        raise LOST_GPU

    monkeypatch.setattr(study_command, "settle", lost)
    monkeypatch.chdir(folder)
    done = invoke("study", "two.toml", "--continue-on-error", "--no-figures", "-q")
    assert (done.exit_code, len(asked)) == (1, 1)
    assert "a GPU that keeps working" in done.stderr
    members = invoke(
        "query", "study", "--study", "two", "--db", f"sqlite:///{folder / 'provenance.db'}", "--format", "json"
    )
    pair = json.loads(members.stdout)[0]
    assert (pair["run"], "launch failure" in pair["reason"]) == (None, True)


class Families(StandIn):
    """Ray with workers of families. The one that has ended is sent; when only others are under way, Ctrl-C is hit."""

    def __init__(self, base: str, ended: Ended) -> None:
        super().__init__(lambda _chance: 99)
        self.base, self.ended = base, ended

    def value(self, *_args: object) -> Ended:
        return self.ended

    def wait(self, references: Sequence[object], **how: Any) -> tuple[list[object], list[object]]:
        self.still = [actor for actor, _, args in self.under_way.values() if args and args[0].base != self.base]
        found = super().wait(references, **how)
        if not found[0] and self.still:
            raise KeyboardInterrupt
        return found

    @property
    def freed(self) -> bool:
        return "free" in {method for _, method, _ in self.under_way.values()}


def test_a_family_that_has_finished_is_kept_whatever_ends_the_study(
    undisturbed: Finished, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merged, though the one before it stands still; where the disk is full, its worker is not told to delete it."""
    [known, orphan] = [member.job for member in load_study(str(folder / "two.toml")).members]
    with Store.open(f"sqlite:///{folder / 'provenance.db'}") as store:
        [key] = store.finished_keys()
    assert isinstance(known, Job)
    ended = Ended(key, None, database_bytes(folder / "provenance.db"))

    def settled(target: str, *jobs: Any) -> tuple[Families, Generator[int | ProvenanceError, None, None]]:
        ray = Families(known.base, ended)
        cluster = Cluster(ray, ({"CPU": 2.0},), 2)
        return ray, settled_in_workers(jobs, cluster, f"sqlite:///{tmp_path / target}", None)

    ray, found = settled("interrupted.db", orphan, known)
    with pytest.raises(KeyboardInterrupt):
        next(found)
    assert finished_run(f"sqlite:///{tmp_path / 'interrupted.db'}", key) == 1
    ray, found = settled("whole.db", known)
    assert next(found) == 1
    found.close()  # a study asks for no more than its members
    assert ray.freed

    def no_space(*_: object) -> None:
        raise StoreError("room on the disk", found="none", remedy="make some")

    monkeypatch.setattr(family_workers, "merge_bytes", no_space)
    ray, found = settled("full.db", known)
    with pytest.raises(StoreError, match="room on the disk"):
        list(found)
    assert not ray.freed


def test_options_of_a_cluster_are_refused_where_they_mean_nothing(tmp_path: Path) -> None:
    assert "--one-by-one alone" in " ".join(refused("study", "lab", "--one-by-one", code=2))
    for option in (
        ("--engine", "ray"), ("--base-url", "http://x/v1"), ("--ray-address", "h:1"), ("--ray-workers", 2),
        ("--dry-run",),
    ):  # fmt: skip
        assert f"--run and {option[0]}" in " ".join(refused("study", "mine", "--run", 1, *option, code=2))
    db = f"sqlite:///{tmp_path / 'new.db'}"
    for more in ((), ("--dry-run",)):
        for options in (("--ray-workers", 2), ("--engine", "ray", "--base-url", "http://x/v1"), ("--base-url", "x")):
            said = " ".join(refused("study", "lab", *options, "--db", db, *more, code=2))
            assert " ".join(map(str, options[-2:])) in said
    assert not (tmp_path / "new.db").exists()


@pytest.mark.costly
def test_runs_of_a_database_become_a_study_that_queries_figures_and_reports_take(folder: Path) -> None:
    db = f"sqlite:///{folder / 'provenance.db'}"
    shown = invoke("study", "mine", "--run", 1, "--db", db, "--no-figures")
    assert shown.exit_code == 0, shown.stderr
    rows = invoke("query", "transfer", "--study", "mine", "--db", db, "--format", "csv").stdout.splitlines()
    alone = invoke("query", "transfer", "--run", 1, "--db", db, "--format", "csv").stdout.splitlines()
    assert [row.split(",", 1)[1] for row in rows] == alone
    drawn = invoke("figures", "--study", "mine", "--db", db, "--out", folder / "drawn").stdout.split()
    assert all(Path(path).is_file() for path in drawn)
    page = invoke("report", "--study", "mine", "--db", db, "--out", folder / "drawn").stdout.strip()
    assert "mine" in Path(page).read_text("utf-8")


def test_what_a_study_cannot_do_is_refused_in_words(folder: Path) -> None:
    db = ("--db", f"sqlite:///{folder / 'provenance.db'}")
    for command, said in {
        ("study", "nothing"): "lab, olmo2-1b, paper, pythia-1b, small",
        ("study", "mine", "--run", 7): "run 7",
        ("study", "mine", "--run", 1, "--only", "pair"): "--run and --only",
        ("study", "lab", "--only", "nobody"): "'nobody'",
        ("query", "transfer", "--run", 1, "--study", "mine"): "both",
        ("query", "transfer", "--study", "nobody"): "'nobody'",
    }.items():
        assert said in "\n".join(refused(*command, *db, code=2)), command


def test_a_plan_of_a_study_has_a_row_for_every_family_and_runs_nothing(folder: Path) -> None:
    """The family without a base is in it, with what stands in its way, and exit code 2 says that one cannot run."""
    shown = invoke("study", folder / "two.toml", "--dry-run", "--db", f"sqlite:///{folder / 'none.db'}")
    assert shown.exit_code == 2
    assert invoke("study", "lab", "--dry-run").exit_code == 0
    assert not (folder / "none.db").exists()
    assert [word in shown.stdout for word in ("pair", "orphan", "together", "stops")] == [True] * 4
    elsewhere = shown.stdout[shown.stdout.index("on GPUs") :]
    assert ("pair" in elsewhere, "1 ×, 0.0 h" in elsewhere) == (True, True)
    assert "orphan" not in elsewhere[: elsewhere.index("together")]


def test_a_member_that_cannot_be_planned_is_named_and_the_others_are_planned(folder: Path) -> None:
    """Its question file is missing; exit 2 at the end, and as JSON an error in place of a plan."""
    file = folder / "three.toml"
    lost = '\n[[family]]\nname = "lost"\nbase = "lab/acquired/base"\ninstruct = "lab/acquired/instruct"\n'
    file.write_text((folder / "two.toml").read_text("utf-8") + lost + 'questions = ["gone.jsonl"]\n', "utf-8")
    shown = invoke("study", file, "--dry-run")
    assert shown.exit_code == 2
    rows = {name: line for line in shown.stdout.splitlines() for name in ("pair", "lost", "together") if name in line}
    assert "not planned" in next(line for line in shown.stdout.splitlines() if "lost" in line)
    assert " h " in next(line for line in shown.stdout.splitlines() if "pair" in line)
    assert set(rows) == {"pair", "lost", "together"}
    assert "lost cannot be planned" in shown.stdout
    assert "gone.jsonl" in shown.stdout
    members = json.loads(invoke("study", file, "--dry-run", "--json").stdout)["members"]
    assert [member["name"] for member in members if "error" in member] == ["lost"]
    assert "gone.jsonl" in members[2]["error"]["wanted"] + members[2]["error"]["found"]


def test_the_help_names_every_shipped_study() -> None:
    words = " ".join(invoke("study", "--help").stdout.split())
    assert all(name in words for name in shipped())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that nobody has put anything on."""
    with hub_and_client(monkeypatch, tmp_path) as server:
        yield server


def publish(hub: Hub, name: str, folder: Path, without: str = "") -> str:
    """Put every checkpoint of a shipped study on a hub, but one, whose reference is returned."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    refs = [CheckpointRef.parse(ref) for ref in load_study(name).members[0].refs]
    for repo in {ref.name for ref in refs}:
        branches = tuple(ref.revision or "main" for ref in refs if ref.name == repo and str(ref) != without)
        hub.repos[repo] = Repo(files, branches=branches)
    return without


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "gone"),
    [
        ("olmo2-1b", "allenai/OLMo-2-0425-1B@stage1-step480000-tokens1007B"),
        ("pythia-1b", "EleutherAI/pythia-1b@step512"),
    ],
)
def test_a_revision_that_the_hub_does_not_list_is_named_before_a_weight_is_fetched(
    hub: Hub, pair: Pair, tmp_path: Path, study: str, gone: str
) -> None:
    """By the plan and by the job alike; with all of them there is nothing to say."""
    planned = ("study", study, "--dry-run", "--json")
    publish(hub, study, pair.base)
    [whole] = json.loads(invoke(*planned).stdout)["members"]
    assert (whole["stops"], whole["problems"]) == (False, [])
    assert [side["ref"] for side in whole["sides"]] == list(load_study(study).members[0].refs)
    publish(hub, study, pair.base, without=gone)
    [plan] = json.loads(invoke(*planned).stdout)["members"]
    [problem] = plan["problems"]
    assert (plan["stops"], problem["ref"], problem["found"]) == (True, gone, "the repository, but no such revision")
    hub.sent.clear()  # of the plan, which reads headers
    found = "\n".join(refused("study", study, "--db", f"sqlite:///{tmp_path / 'none.db'}", code=2))
    assert gone in found
    assert not [name for name in hub.sent if name.endswith(".safetensors")]
