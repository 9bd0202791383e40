"""Answers from servers through the command line: the labels are those of the models here, and nothing is asked twice.

The test with a real server runs where PROVENANCE_VLLM_URL names one that serves `lab/inherited/base` or
`lab/inherited/instruct` (`vllm serve FOLDER --served-model-name lab/inherited/instruct`).
"""

import os
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkpoint_factory import load
from comparison import FAST, UNDRAWN, Pair, invoke, parsed, refused, schema_errors
from completion_server import CompletionServer, completing
from memory_logs import MemoryResponses

from provenance.analyses.asking import engines
from provenance.analyses.asking.both_models import question_pools
from provenance.analyses.asking.collection import protocol_of
from provenance.analyses.asking.opening import open_each
from provenance.analyses.jobs.compare_job import Job
from provenance.analyses.jobs.effort import Effort
from provenance.answers.collect_responses import collect
from provenance.answers.questions import load_questions
from provenance.answers.sampling import Decoding, Respondent
from provenance.checkpoints.names import CheckpointRef, checkpoint_at
from provenance.engines.served_model import find_served
from provenance.errors import CheckpointError
from provenance.hub.endpoint import RESPONDENT, Endpoint
from provenance.models.loading import LoadedModel, load_lexicon, load_model, load_tokenizer
from provenance.records import Stage

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

FEW = Effort(repeats=1, pairs=2, control_sets=2, shuffles=2, foldings=1, permutations=20)
"""Draws of a comparison whose verdicts nobody reads."""
GREEDY = partial(Decoding, top_k=1)
STAGES: tuple[Stage, ...] = ("base", "instruct")
Prompts = set[tuple[int, ...]]


def no_model(*_args: object, **_settings: object) -> LoadedModel:
    raise CheckpointError("a model", found="none today", remedy="come back tomorrow")


class Asked:
    """A greedy comparison that failed when it first needed a model, and the same command given again."""

    def __init__(self, folder: Path, pair: Pair, server: CompletionServer, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        patch.chdir(folder)
        patch.setattr("provenance.analyses.jobs.effort.QUICK", FEW)
        patch.setattr("provenance.analyses.jobs.run_comparison.SETS_PER_TEST", 2)
        patch.setattr("provenance.analyses.jobs.compare_job.Decoding", GREEDY)
        question_set = ("--questions", str(pair.cities))
        where = ("--engine", "openai", "--base-url", server.url)
        command = ("compare", str(pair.base), str(pair.instruct), *question_set, *FAST, "--json", "-q", UNDRAWN)
        self.command = (*command, "--C", "1", *where)
        with pytest.MonkeyPatch.context() as without:
            without.setattr("provenance.analyses.asking.subject.load_model", no_model)
            self.failed = invoke(*self.command)
        self.first = prompts_of(server)
        self.kept = self.rows("SELECT count(*) FROM response")[0][0]
        server.requests.clear()
        self.done = invoke(*self.command)
        assert self.done.exit_code == 0, self.done.output
        self.second = prompts_of(server)
        self.summary = parsed(self.done.stdout)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        connection = sqlite3.connect(self.folder / "provenance.db")
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


def prompts_of(server: CompletionServer) -> Prompts:
    """Prompts that a server was asked for more than the one token of the trial."""
    return {tuple(request["prompt"]) for request in server.requests if request["max_tokens"] > 1}


@pytest.fixture(scope="module")
def server(pair: Pair) -> Iterator[CompletionServer]:
    with completing({str(folder): load(folder) for folder in (pair.base, pair.instruct)}) as running:
        yield running


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, pair: Pair, server: CompletionServer) -> Iterator[Asked]:
    with pytest.MonkeyPatch.context() as patch:
        yield Asked(tmp_path_factory.mktemp("asked"), pair, server, patch)


def test_a_pool_is_asked_without_a_model_and_never_again(asked: Asked) -> None:
    assert asked.failed.exit_code == 2
    assert "none today" in asked.failed.stderr
    assert asked.kept == len(asked.first) > 30
    assert len(asked.second) > 30
    assert not asked.first & asked.second
    assert schema_errors(asked.summary) == []


def test_greedy_labels_and_texts_are_those_of_the_models_here(asked: Asked, pair: Pair) -> None:
    """Question by question, in both pools of both models; and both classes are there."""
    job = Job("b", "i", samples=2, max_new_tokens=4, batch_size=16)
    settings = job.settings()
    pools = question_pools([load_questions(str(pair.cities))], settings.shares, settings.seed)
    for stage, folder in zip(STAGES, (pair.base, pair.instruct), strict=True):
        here = Respondent.of(load(folder))
        for pool in pools:
            protocol = protocol_of(pool, settings.collection[stage])
            own = collect(lambda: here, pool.entries, protocol, MemoryResponses(), lambda *_: None)  # noqa: B023
            served = asked.rows(
                "SELECT p.question_id, p.label, p.reason, p.text, p.n_samples FROM response p JOIN task t "
                "ON t.id = p.task_id WHERE t.stage = ? AND json_extract(t.settings, '$.split') = ? ORDER BY p.position",
                stage, pool.split,
            )  # fmt: skip
            assert served == [(each.question_id, each.label, each.reason, each.text, each.n_samples) for each in own]
            assert {"faithful", "hallucinated"} <= {each.label for each in own}


@pytest.mark.slow
def test_model_and_version_are_part_of_the_key_and_the_address_is_kept_nowhere(
    asked: Asked, server: CompletionServer, pair: Pair
) -> None:
    tasks = [parsed(row[0]) for row in asked.rows("SELECT settings FROM task")]
    assert {task["served"]["model"] for task in tasks} == {str(pair.base), str(pair.instruct)}
    assert {(task["served"]["version"], task["noise"]) for task in tasks} == {("0.1.0", "the server's")}
    [run] = [parsed(row[0]) for row in asked.rows("SELECT settings FROM run")]
    assert {each["version"] for each in run["served"].values()} == {"0.1.0"}
    port = server.url.split(":")[2].split("/")[0].encode()
    for path in asked.folder.rglob("*"):
        assert not path.is_file() or b"127.0.0.1:" + port not in path.read_bytes()
    server.requests.clear()
    again = invoke(*asked.command)
    assert (parsed(again.stdout)["run"], prompts_of(server)) == (1, set())
    server.version = "0.2.0"
    with pytest.MonkeyPatch.context() as without:
        without.setattr("provenance.analyses.asking.subject.load_model", no_model)
        assert invoke(*asked.command).exit_code == 2
    server.version = "0.1.0"
    assert prompts_of(server) == asked.first


@pytest.mark.slow
def test_a_timeline_asks_the_servers_too(asked: Asked, server: CompletionServer) -> None:
    """In a database of its own; in that of the comparison all is there. Its floor answers nothing."""
    command = ("trace", *asked.command[1:])
    for database, expected in {"provenance": set(), "other": asked.first | asked.second}.items():
        server.requests.clear()
        traced = invoke(*command, "--db", f"sqlite:///{database}.db")
        assert traced.exit_code == 0, traced.output
        assert prompts_of(server) <= expected
    assert len(prompts_of(server)) > 30


@pytest.mark.costly
def test_another_model_reads_what_the_server_said(asked: Asked, server: CompletionServer) -> None:
    """In the control, on the answers of the comparison: the server is asked for none."""
    server.requests.clear()
    control = invoke(*asked.command, "--control", "unrelated")
    assert control.exit_code == 0, control.output
    assert parsed(control.stdout)["control"] == "unrelated"
    assert prompts_of(server) == set()


@pytest.mark.parametrize(
    "options",
    [
        ("--engine", "openai"),
        ("--base-url", "http://x/v1"),
        ("--engine", "openai", "--base-url", "x"),
        ("--engine", "openai", "--base-url", "http://me:pass@x/v1"),
    ],
)
def test_half_an_engine_is_refused_before_anything_is_read(options: tuple[str, ...]) -> None:
    for command in ("compare", "trace"):
        said = " ".join(refused(command, "/nowhere/a", "/nowhere/b", *options, code=2))
        assert "--base-url" in said
        assert "nowhere" not in said


URL = os.environ.get("PROVENANCE_VLLM_URL", "")


@pytest.mark.vllm
@pytest.mark.skipif(not URL, reason="PROVENANCE_VLLM_URL is not set")
def test_greedy_answers_of_a_real_server_are_those_of_the_model_here() -> None:
    """64 questions of the lab, token for token, from whichever side the server has."""
    endpoint = Endpoint.at(URL, RESPONDENT)
    listed = {model["id"] for model in endpoint.look_up(f"{endpoint.url}/models")["data"]}
    stages = [stage for stage in STAGES if f"lab/inherited/{stage}" in listed]
    assert stages
    for stage in stages:
        [side] = open_each([(stage, f"lab/inherited/{stage}")])
        folder = side.checkpoint.folder
        prompt = Job("b", "i").settings().collection[stage].prompt.framed(load_tokenizer(folder))
        served = find_served([endpoint], [f"lab/inherited/{stage}"], load_lexicon(folder), 32)
        assert served.served.tokens == "as sampled"
        questions = load_questions("lab/inherited/in-domain").questions[:64]
        prompts = [prompt.render(served.lexicon.tokenizer, question.text) for question in questions]
        here = Respondent.of(load_model(folder, side.layout)).sampler
        found, own = (
            each.prompted(prompts, GREEDY(), served.lexicon.stop_ids)(range(64), range(1), 0) for each in (served, here)
        )
        assert found == own


def test_a_revision_is_not_answered_by_the_newest_of_its_repository(tiny_llama: Path) -> None:
    """A server that lists `org/x` serves no `org/x@step100`."""
    for text, bare in (("org/x@step100", False), ("org/x", True)):
        names = engines._names(checkpoint_at(CheckpointRef.parse(text), tiny_llama, "c0ffee"))
        assert names[:2] == (text, "org/x@c0ffee")
        assert ("org/x" in names) is bare
