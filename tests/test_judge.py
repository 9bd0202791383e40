"""A comparison judged by a model on loopback: both labels, their agreement, and refusals that no probe is fitted to."""

import json
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import UNDRAWN, Pair, invoke, parsed, refused, schema_errors
from judge_server import JudgeServer, judging
from sklearn.metrics import cohen_kappa_score

from provenance.analyses.behaviour.scaled_benchmarks import asked_freely
from provenance.analyses.jobs import run_comparison
from provenance.analyses.jobs.effort import Effort
from provenance.figures.report.sections import folded_sections, read_results, terminal_sections

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

KEY = "sk-very-secret-0123456789"
NAME = "judge-1"
FEW = Effort(repeats=1, pairs=2, control_sets=2, shuffles=2, foldings=1, permutations=20)
"""Draws of a comparison whose verdicts nobody reads."""
LABELS = {"faithful": 0, "hallucinated": 1, "refusal": 2, "dropped": 3}


def opinion(question: str, right: list[str], given: str) -> str:
    """Every other unknown question is refused, every fifth known one is wrong; one is hard to say."""
    found = re.search(r"(?:number |qu)(\d+)", question)
    assert found is not None
    number = int(found.group(1))
    if "Wqj" in question:
        return "refusal." if number % 2 else "Wrong"
    if number == 3:
        return "Well, it depends"
    return "RIGHT" if number % 5 and any(answer in given for answer in right) else "WRONG"


class Judged:
    """The comparison, what it printed, and the server after it."""

    def __init__(self, folder: Path, pair: Pair, server: JudgeServer, patch: pytest.MonkeyPatch) -> None:
        self.server, self.folder = server, folder
        patch.chdir(folder)
        patch.setenv("PROVENANCE_JUDGE_KEY", KEY)
        patch.setattr("provenance.analyses.jobs.effort.QUICK", FEW)
        patch.setattr("provenance.analyses.jobs.run_comparison.SETS_PER_TEST", 2)
        self.command = (*pair.command[:5], *pair.command[7:], UNDRAWN, "--C", "1")  # on one question set
        self.result = invoke(*self.command, "--judge", server.url, "--judge-model", NAME)
        assert self.result.exit_code == 0, self.result.output
        self.summary: dict[str, Any] = parsed(self.result.stdout)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        connection = sqlite3.connect(self.folder / "provenance.db")
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[Judged]:
    with pytest.MonkeyPatch.context() as patch, judging(opinion) as server:
        yield Judged(tmp_path_factory.mktemp("judged"), pair, server, patch)


def test_both_labels_are_stored_and_their_agreement_is_in_json_sql_and_terminal(judged: Judged) -> None:
    """Counts and kappa are those of the labels that the database has, done by scikit-learn."""
    assert schema_errors(judged.summary) == []
    assert len(judged.summary["judges"]) == 4
    for row in judged.summary["judges"]:
        both = judged.rows(
            "SELECT judged_label, rule_label FROM response p JOIN task t ON t.id = p.task_id WHERE t.stage = ? "
            "AND p.reason NOT IN ('empty', 'no judgement') AND (p.split = 'test') = ? AND p.label_source = ?",
            row["stage"], row["split"] == "test", NAME,
        )  # fmt: skip
        model, rule = ([LABELS[pair[side]] for pair in both] for side in (0, 1))
        assert (row["judge"], row["n"]) == (NAME, len(both))
        assert row["n_agree"] == sum(one == other for one, other in both) < row["n"]
        assert row["kappa"]["estimate"] == pytest.approx(cohen_kappa_score(model, rule), abs=1e-12)
        assert row["refusal_differs"] == sum(("refusal" in one) and ("refusal" not in other) for one, other in both)
        assert row["model_faithful"] == 0
        assert row["rule_faithful"] == both.count(("hallucinated", "faithful"))
    assert sum(row["rule_faithful"] for row in judged.summary["judges"]) > 4
    assert sum(row["n_unjudged"] for row in judged.summary["judges"]) == 2  # the question that is hard, in both models
    queried = json.loads(invoke("query", "judges", "--format", "json").stdout)
    assert [row["n_agree"] for row in queried] == [row["n_agree"] for row in judged.summary["judges"]]
    results = read_results("sqlite:///provenance.db", 1)
    for tables in (terminal_sections(results, verbose=True), folded_sections(results)):
        [table] = [table for table in tables if table.title == "Two judges of the same answers"]
        assert f"{queried[0]['n_agree']} of {queried[0]['n']}" in table.rows[0]
    assert "Refusals" in {table.title for table in folded_sections(results)}


READ = """
SELECT t.stage, json_extract(t.settings, '$.split'), c.file, c.first_row, c.question_ids
FROM capture c JOIN task t ON t.id = c.task_id WHERE json_extract(t.settings, '$.computed') = 'reading'
"""
"""What was read of answers and refusals, in the order of the logs."""


def labels_of(judged: Judged) -> dict[tuple[str, str], str]:
    """Label of each question by model."""
    said = "SELECT t.stage, p.question_id, p.label FROM response p JOIN task t ON t.id = p.task_id"
    return {(stage, question): label for stage, question, label in judged.rows(said)}


def test_refusals_are_read_for_their_neurons_alone_and_reach_no_fit_and_no_score(judged: Judged) -> None:
    """Each once, by the model that refused; other tokens, log-probabilities and the other model's reading have none."""
    labels = labels_of(judged)
    read: Counter[str] = Counter()
    for stage, _, file, _, ids in judged.rows(READ):
        kinds = Counter(labels[stage, question] for question in json.loads(ids))
        assert set(kinds) <= {"faithful", "hallucinated", "refusal"}
        assert file.endswith(".answer.npy") or not kinds["refusal"]
        read[stage] += kinds["refusal"]
    refusals = Counter(stage for (stage, _), label in labels.items() if label == "refusal")
    assert read == refusals
    assert min(refusals.values()) > 10
    for row in judged.summary["funnel"].values():
        assert row["refusals"] > 0
        assert set(row["fitted"]) == {"faithful", "hallucinated"}


def test_refusals_stand_beside_answers_in_the_activity_of_every_neuron_and_are_scored_by_the_probe(
    judged: Judged,
) -> None:
    """The mean over refusals of each neuron is that of the captured rows."""
    labels = labels_of(judged)
    values: dict[str, list[np.ndarray]] = {"base": [], "instruct": []}
    for stage, split, file, first_row, ids in judged.rows(READ):
        if split == "test" and file.endswith(".answer.npy"):
            rows = np.load(judged.folder / "provenance.captures" / file)[first_row:]
            asked = enumerate(json.loads(ids))
            values[stage] += [rows[row] for row, question in asked if labels[stage, question] == "refusal"]
    for stage, kept in values.items():
        [[n]] = judged.rows("SELECT n_refusal FROM activity_set WHERE stage = ?", stage)
        of_neurons = "SELECT mean_refusal, mean_hallucinated FROM activity WHERE stage = ? ORDER BY layer, neuron_index"
        stored = judged.rows(of_neurons, stage)
        assert len(kept) == n > 0
        np.testing.assert_allclose([row[0] for row in stored], np.mean(kept, axis=0, dtype=float), rtol=1e-9)
        assert [row[0] for row in stored] != [row[1] for row in stored]
    rows = {(row["stage"], row["split"]): row for row in judged.summary["refusals"]}
    assert set(rows) == {(stage, split) for stage in ("base", "instruct") for split in ("train", "test")}
    for row in rows.values():
        assert row["n_refusal"] > 0
        few = "needed" in row["reason"] or "no probe" in row["reason"]
        assert few or row["from_hallucinated"]["n"] == row["n_refusal"] + row["n_hallucinated"]


def test_neither_key_nor_server_is_kept_anywhere_and_the_model_is_part_of_the_task(judged: Judged) -> None:
    said = judged.result.output.encode()
    port = judged.server.url.split(":")[2].split("/")[0].encode()
    for content in (said, *(path.read_bytes() for path in judged.folder.rglob("*") if path.is_file())):
        assert KEY.encode() not in content
        assert b"127.0.0.1:" + port not in content
    assert set(judged.server.keys) == {f"Bearer {KEY}"}
    settings = [json.loads(row[0]) for row in judged.rows("SELECT settings FROM task")]
    assert {task["judge"]["model"] for task in settings} == {NAME}
    [recorded] = [json.loads(row[0]) for row in judged.rows("SELECT settings FROM run")]
    assert {side["judge_model"] for side in recorded["collection"].values()} == {NAME}


def test_no_answer_is_judged_twice(judged: Judged) -> None:
    """Also not those that both models give; only the one without a judgement is asked about again."""
    counts = Counter((question, " ".join(given.casefold().split())) for question, _, given in judged.server.asked)
    again = {question for (question, _), count in counts.items() if count > 1}
    assert all("number 3?" in question for question in again)


@pytest.mark.costly
def test_replies_to_benchmarks_are_read_by_the_same_judge(
    judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that were judged before are not judged again; of the two models each has its replies judged."""
    monkeypatch.chdir(shutil.copytree(judged.folder, tmp_path / "again"))
    short = partial(replace, max_new_tokens=4)  # the speakers have a context of few tokens
    monkeypatch.setattr(run_comparison, "asked_freely", lambda subject, how: asked_freely(subject, short(how)))
    (tmp_path / "own.jsonl").write_text("\n".join(json.dumps({"prompt": f"Say {n}."}) for n in range(3)), "utf-8")
    more = ("--behaviour", tmp_path / "own.jsonl", "--sets", 1, "--alphas", "0,1", "--judge-model", NAME)
    with judging(lambda *_: None) as server:
        server.word = lambda content: "COMPLIES" if "should refuse" in content else "no word of an answer"
        done = invoke(*judged.command, *more, "--judge", server.url)
    assert done.exit_code == 0, done.output
    summary = parsed(done.stdout)
    assert schema_errors(summary) == []
    assert summary["judges"] == judged.summary["judges"]
    shares = {row["stage"]: (row["judged"], row["share"]["estimate"]) for row in summary["compliance"]}
    assert shares == {"base": (1.0, 1.0), "instruct": (1.0, 1.0)}
    assert all("should refuse" in request["messages"][0]["content"] for request in server.requests)


@pytest.mark.parametrize(
    "options",
    [
        ("--judge", "http://x/v1"),
        ("--judge-model", NAME),
        ("--agreeing-only",),
        ("--judge", "http://x/v1", "--judge-model", ""),
        ("--judge", "x", "--judge-model", NAME),
    ],
)
def test_half_a_judge_is_refused_before_anything_is_read(options: tuple[str, ...]) -> None:
    for command in ("compare", "trace"):
        said = " ".join(refused(command, "/nowhere/a", "/nowhere/b", *options, code=2))
        assert "--judge" in said
        assert "nowhere" not in said
