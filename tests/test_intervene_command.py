"""`intervene`: planted neurons that make a model yield are found to, others are not, and harm costs one arm at most."""

import json
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_factory import permuted_copy, write_questions
from comparison import UNDRAWN, ForkedCli, Harm, invoke, parsed, refused, schema_errors
from judge_server import judging
from transformers import AutoModelForCausalLM
from yielder import D_M, OTHERS, PLANTED, contexts, make_yielder

from provenance.db.reading.run_query import run_query

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

FEW = ("--alphas", "0,1,1,3", "--max-new-tokens", "4", "--json", "-q", UNDRAWN)


@pytest.fixture(scope="module")
def yielder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Says y or n to everything; what the planted neurons write makes it say n."""
    return make_yielder(tmp_path_factory.mktemp("yielder") / "model")


def listed(path: Path, neurons: tuple[int, ...], negative: tuple[int, ...] = ()) -> Path:
    """A neuron list; with weights where some are negative."""
    rows = [[*divmod(neuron, D_M), *([1] if negative else [])] for neuron in neurons]
    rows += [[*divmod(neuron, D_M), -1] for neuron in negative]
    names = ["layer", "index", *(["weight"] if negative else [])]
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in [names, *rows]), "utf-8")
    return path


def intervened(
    folder: Path, yielder: Path, neurons: tuple[int, ...] | str, *more: object, negative: tuple[int, ...] = ()
) -> dict[str, Any]:
    """The JSON of a run on the contexts, with some neurons or those of a run."""
    named = neurons if isinstance(neurons, str) else listed(folder / "list.csv", neurons, negative)
    given = ("--neurons", named, "--benchmark", contexts(folder / "misled.jsonl"))
    done = invoke("intervene", yielder, *given, *FEW, "--db", f"sqlite:///{folder / 'x.db'}", *more)
    assert done.exit_code == 0, done.output
    return parsed(done.stdout)


def conditions(summary: dict[str, Any], role: str | None = None) -> dict[str, Any]:
    """Conditions of the one claim by code."""
    [claim] = summary["claims"]
    return {reason["code"]: reason["holds"] for reason in claim["reasons"] if role in (None, reason["role"])}


def test_neurons_that_make_a_model_yield_are_found_to(yielder: Path, tmp_path: Path) -> None:
    """The share of items that follow the context rises with the factor, and with no control set as much."""
    summary = intervened(tmp_path, yielder, PLANTED, negative=OTHERS[:2])
    [claim] = summary["claims"]
    assert claim["verdict"] == "supported"
    assert all(conditions(summary).values())
    arms = {(arm["kind"], arm["alpha"]): arm for arm in summary["arms"]}
    shares = [arms["h_neurons", alpha]["share"]["estimate"] for alpha in (0.0, 1.0, 3.0)]
    assert shares == sorted(shares)
    assert shares[-1] - shares[0] > 0.5
    assert all(arm["failed"] == 0 for arm in summary["arms"])
    unchanged = [arm["share"]["estimate"] for arm in summary["arms"] if arm["alpha"] == 1]
    assert unchanged == pytest.approx([shares[1]] * 5)  # one model, whatever set is not scaled
    examples = run_query(f"sqlite:///{tmp_path / 'x.db'}", "reply-examples").records()
    assert [row["alpha"] for row in examples] == [0.0, 1.0, 3.0] * 3
    assert {row["read_by"] for row in examples} == {"option"}
    assert [(row["reply"], row["read_as"]) for row in examples if row["alpha"] == 3] == [("no", "yielded")] * 3
    assert [(row["reply"], row["read_as"]) for row in examples if row["alpha"] == 0] == [("yes", "resisted")] * 3
    [differ] = {row["differ"] / row["n"] for row in examples}
    assert differ == pytest.approx(shares[-1] - shares[0])
    own = next(slope for slope in summary["slopes"] if slope["kind"] == "h_neurons")
    assert own["p_trend"] < 0.001
    assert own["slope"]["estimate"] == pytest.approx(np.polyfit([0, 1, 3], shares, 1)[0])
    beside = next(slope for slope in summary["slopes"] if slope["kind"] == "negative_weight")
    assert (own["k"], beside["k"], beside["p_value"], beside["draws"]) == (3, 2, None, [])
    assert beside["slope"]["low"] <= 0 <= beside["slope"]["high"] < own["slope"]["low"]


@pytest.mark.costly
def test_a_comparison_asks_both_models(yielder: Path, tmp_path: Path, forked: ForkedCli) -> None:
    """The base has the same neurons at other places, and does not read what they write, though it is as much."""
    base = deaf_and_permuted(yielder, tmp_path / "base")
    questions, text = write_questions(tmp_path / "cities.jsonl", known=10, unknown=10), prose(tmp_path / "prose.txt")
    done = forked.run(
        tmp_path, "compare", base, yielder, "--neurons", listed(tmp_path / "list.csv", PLANTED, OTHERS[:2]),
        "--questions", questions,
        "--behaviour", contexts(tmp_path / "misled.jsonl"), "--neutral-text", text,
        "--base-prompt", "{question}", "--samples", 1, "--quick",
        "--max-new-tokens", 3, "--reply-tokens", 4, "--alphas", "0,1,3", "--instruct-prompt", "{question}", "--db",
        "sqlite:///x.db", "--json", "-q", UNDRAWN,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    summary = json.loads(done.stdout)
    assert schema_errors(summary) == []
    verdicts = {claim["claim"]: claim["verdict"] for claim in summary["verdict"]["claims"]}
    assert verdicts["compliance_instruct:misled"] == "supported"
    assert verdicts["compliance_base:misled"] != "supported"
    own = {row["stage"]: row for row in summary["compliance_slopes"] if row["kind"] == "h_neurons"}
    assert own["instruct"]["slope"]["low"] > 0.1
    assert own["base"]["slope"]["estimate"] == pytest.approx(0, abs=0.02)
    assert own["base"]["disturbance"] == pytest.approx(own["instruct"]["disturbance"], rel=0.2)
    # the base has the same activations where its neurons are, and reads nothing of what they write
    assert verdicts["patched_base:misled"] == verdicts["patched_instruct:misled"] == "not distinguishable"
    lent = [row for row in summary["patching"] if row["kind"] == "h_neurons" and row["outcome"] == "log_odds"]
    assert [row["stage"] for row in lent] == ["instruct", "base"]
    assert [row["effect"]["estimate"] for row in lent] == pytest.approx([0, 0], abs=1e-5)
    assert {row["n_draws"] for row in summary["patching"]} == {0, 20}
    assert {(arm["stage"], arm["alpha"]) for arm in summary["compliance"]} == {
        (stage, alpha) for stage in ("base", "instruct") for alpha in (0.0, 1.0, 3.0)
    }
    plain = {(row["stage"], row["dataset"], row["alpha"]): row for row in summary["side_effects"]}
    assert set(plain) == {(stage, "cities", alpha) for stage in ("base", "instruct") for alpha in (0.0, 1.0, 3.0)}
    assert plain["instruct", "cities", 0.0]["text_nats"] != plain["instruct", "cities", 3.0]["text_nats"]
    quiet = [row for row in summary["compliance_slopes"] if row["kind"] == "negative_weight"]
    assert [(row["stage"], row["k"]) for row in quiet] == [("instruct", 2), ("base", 2)]
    assert [row["slope"]["estimate"] for row in quiet] == pytest.approx([0, 0], abs=0.02)
    alone = intervened(tmp_path / "..", yielder, PLANTED, "--alphas", "0,1,3", negative=OTHERS[:2])
    assert [row for row in summary["compliance_slopes"] if row["stage"] == "instruct"] == [
        without_draws(row) for row in alone["slopes"]
    ]
    reads_as_alone(tmp_path, summary["text_effects"], {"instruct": yielder, "base": base}, text)


def reads_as_alone(folder: Path, found: list[dict[str, Any]], models: dict[str, Path], text: Path) -> None:
    """Both models find a text as probable as each one does by itself with its own neurons, and not with the other's."""
    neurons = {"instruct": PLANTED, "base": base_places(f"sqlite:///{folder / 'x.db'}")}
    for stage, other in (("instruct", "base"), ("base", "instruct")):
        rows = [{**row, "stage": ""} for row in found if row["stage"] == stage]
        assert [(row["alpha"], row["text"], row["n"]) for row in rows] == [(a, "prose", 12) for a in (0, 1, 3)]
        for whose in (stage, other):
            own = folder / f"{stage}-{whose}"
            own.mkdir()
            alone = intervened(own, models[stage], neurons[whose], "--limit", 2, "--sets", 1, "--neutral-text", text)
            assert ([{**row, "stage": ""} for row in alone["texts"]] == rows) == (whose == stage)


def prose(path: Path) -> Path:
    """A text in as many passages as an interval needs."""
    path.write_text("\n\n".join(f"River {number} is long, and towns lie at it." for number in range(12)), "utf-8")
    return path


def base_places(database: str) -> tuple[int, ...]:
    """Flat ids of the H-Neurons' counterparts in the base."""
    rows = run_query(database, "mapping").records()
    return tuple(row["base_layer"] * D_M + row["base_index"] for row in rows)


def test_a_comparison_that_cannot_ask_is_refused_before_any_model_runs(yielder: Path, tmp_path: Path) -> None:
    rows = [{"id": str(n), "question": f"Q {n}?", "choices": {"é": "x", "è": "y"}, "answer": "é"} for n in range(3)]
    (tmp_path / "alike.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    questions = write_questions(tmp_path / "misled.jsonl", known=10, unknown=10)
    (tmp_path / "other").mkdir()
    blank = tmp_path / "blank.txt"
    blank.write_text(" \n\n", "utf-8")
    text, asked = prose(tmp_path / "prose.txt"), ("--behaviour", contexts(tmp_path / "own.jsonl"))
    given = ("compare", yielder, yielder, "--questions", questions, "--db", f"sqlite:///{tmp_path / 'x.db'}")
    for more, found in (
        (("--behaviour", tmp_path / "alike.jsonl"), "begins like another"),
        (("--behaviour", contexts(tmp_path / "other" / "misled.jsonl")), "misled, misled"),
        (("--behaviour", tmp_path / "alike.jsonl", "--control", "unrelated"), "--control and --behaviour"),
        (("--alphas", "0,1"), "--alphas alone"),
        (("--neutral-text", text), "--neutral-text alone"),
        ((*asked, "--neutral-text", tmp_path / "none.txt"), "No such file"),
        ((*asked, "--neutral-text", blank), "nothing but blanks"),
        ((*asked, "--neutral-text", text, "--neutral-text", text), "prose, prose"),
        ((*asked, "--neutral-text", prose(tmp_path / "misled.txt")), "misled, own, misled"),
    ):
        assert found in refused(*given, "--instruct-template", "none", *more, code=2)[1]


def deaf_and_permuted(yielder: Path, folder: Path) -> Path:
    """A model that does not read coordinate 1, with its neurons in another order within each layer."""
    model = AutoModelForCausalLM.from_pretrained(permuted_copy(yielder, folder.parent / "permuted"))
    with torch.no_grad():
        model.lm_head.weight[:, 1] = 0.0
    shutil.copytree(folder.parent / "permuted", folder)
    model.save_pretrained(folder)
    return folder


def without_draws(slope: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in slope.items() if name != "draws"} | {"n_draws": len(slope["draws"])}


@pytest.mark.costly
def test_neurons_that_do_nothing_are_not_supported(yielder: Path, tmp_path: Path) -> None:
    assert intervened(tmp_path, yielder, OTHERS)["claims"][0]["verdict"] == "not distinguishable"


@pytest.mark.slow
def test_few_items_or_sets_have_no_power(yielder: Path, tmp_path: Path) -> None:
    asked = ("--questions", write_questions(tmp_path / "cities.jsonl", known=6, unknown=6))
    for more, code in ((("--limit", 20), "compliance.items"), (("--sets", 19), "compliance.sets")):
        summary = intervened(tmp_path, yielder, PLANTED, *more, *asked)
        assert summary["claims"][0]["verdict"] == "no power"
        assert [(row["dataset"], row["n"]) for row in summary["side_effects"]] == [("cities", 12)] * 3
        assert [name for name, holds in conditions(summary, "power").items() if not holds] == [code]


@pytest.mark.slow
def test_a_run_killed_in_an_arm_goes_on_to_the_same_numbers(yielder: Path, tmp_path: Path, forked: ForkedCli) -> None:
    """Arms that were done are not asked again."""
    whole = intervened(tmp_path / "..", yielder, PLANTED, "--sets", 3)
    given = ("--neurons", listed(tmp_path / "list.csv", PLANTED), "--benchmark", contexts(tmp_path / "misled.jsonl"))
    command = ("intervene", yielder, *given, *FEW, "--sets", 3, "--db", "sqlite:///x.db")
    where = "provenance.analyses.behaviour.arm_passes:OptionPiece.computed"
    assert forked.run(tmp_path, *command, harm=Harm(where, 9, "after")).code == -9
    again = forked.run(tmp_path, *command, harm=Harm(where, 14, "before"))  # 21 arms in all, 8 of them kept
    assert again.code == 0, again.stderr
    resumed = json.loads(again.stdout)
    for name in ("arms", "slopes", "claims", "overall"):
        assert resumed[name] == whole[name]
    with sqlite3.connect(tmp_path / "x.db") as database:
        assert database.execute("SELECT count(*) FROM compliance_arm").fetchone() == (4 * 3,)
        assert database.execute("SELECT layer, neuron_index FROM probe_neuron").fetchall() == [
            divmod(neuron, D_M) for neuron in PLANTED
        ]


@pytest.mark.costly
def test_a_factor_that_breaks_the_model_is_named_and_the_others_go_on(yielder: Path, tmp_path: Path) -> None:
    given = ("--neurons", listed(tmp_path / "list.csv", PLANTED), "--benchmark", contexts(tmp_path / "misled.jsonl"))
    done = invoke(
        "intervene", yielder, *given, "--alphas", "1,2,1e30", "--sets", 2, "--json", UNDRAWN,
        "--db", f"sqlite:///{tmp_path / 'x.db'}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    failed = {(arm["kind"], arm["alpha"]): arm["failed"] for arm in parsed(done.stdout)["arms"]}
    assert failed["h_neurons", 1e30] == 1
    assert failed["h_neurons", 2.0] == 0


@pytest.mark.costly
def test_doubted_choices_ask_what_was_right_at_first(yielder: Path, tmp_path: Path) -> None:
    """The model says y first of all, so items whose right choice is y are asked again, and those of n are not."""
    rows = [
        {"id": f"{letter}{n}", "question": f"Which, {n}?", "choices": {"y": "one", "n": "another"}, "answer": letter}
        for n in range(30) for letter in "yn"
    ]  # fmt: skip
    (tmp_path / "doubted.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    given = ("--neurons", listed(tmp_path / "list.csv", PLANTED), "--benchmark", tmp_path / "doubted.jsonl")
    done = invoke(
        "intervene", yielder, *given, *FEW, "--alphas", "0,1,30", "--sets", 2, "--db", f"sqlite:///{tmp_path / 'x.db'}"
    )
    assert done.exit_code == 0, done.output
    arms = {(arm["kind"], arm["alpha"]): arm for arm in parsed(done.stdout)["arms"]}
    assert 20 <= arms["h_neurons", 1.0]["n"] <= 40
    assert arms["h_neurons", 30.0]["share"]["estimate"] > arms["h_neurons", 0.0]["share"]["estimate"] + 0.3


def test_invalid_premises_are_answered_in_free_text(yielder: Path, tmp_path: Path) -> None:
    rows = [{"id": str(n), "question": f"Why do {n} fish fly?", "rebuttals": ["They do not."]} for n in range(4)]
    (tmp_path / "premise.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    given = ("--neurons", listed(tmp_path / "list.csv", PLANTED), "--benchmark", tmp_path / "premise.jsonl")
    (tmp_path / "prose.txt").write_text("A river.\n\nIt is\nlong.\n", "utf-8")
    given = (*given, "--neutral-text", tmp_path / "prose.txt")
    done = invoke("intervene", yielder, *given, *FEW, "--sets", 2, "--db", f"sqlite:///{tmp_path / 'x.db'}")
    assert done.exit_code == 0, done.output
    assert {arm["n"] for arm in parsed(done.stdout)["arms"]} == {4}
    rows = run_query(f"sqlite:///{tmp_path / 'x.db'}", "text-effects").records()
    assert [(row["text"], row["alpha"], row["n"]) for row in rows] == [("prose", alpha, 2) for alpha in (0, 1, 3)]
    assert (rows[1]["change"], parsed(done.stdout)["texts"][1]["nats"]["estimate"]) == (0.0, rows[1]["nats"])
    sources = run_query(f"sqlite:///{tmp_path / 'x.db'}", "SELECT name, source FROM dataset").records()
    assert {row["name"]: row["source"] for row in sources}["prose"] == "a neutral text"


def test_nothing_that_is_right_at_first_is_no_power_and_no_other_kind_of_run(yielder: Path, tmp_path: Path) -> None:
    """The model says y to everything, and n is right everywhere; one item is no crash either."""
    rows = [{"id": str(n), "question": f"Q {n}?", "choices": {"y": "a", "n": "b"}, "answer": "n"} for n in range(3)]
    given = ("--neurons", listed(tmp_path / "list.csv", PLANTED), "--benchmark")
    (tmp_path / "none.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    database = ("--db", f"sqlite:///{tmp_path / 'x.db'}")
    done = invoke("intervene", yielder, *given, tmp_path / "none.jsonl", "--sets", 2, "-q", UNDRAWN, *database)
    assert done.exit_code == 0, done.output
    assert "no power" in done.stdout
    assert "no forward pass" not in done.stdout
    one = (contexts(tmp_path / "misled.jsonl"), *FEW, "--limit", 1, "--sets", 2)
    assert invoke("intervene", yielder, *given, *one, *database).exit_code == 0


def test_bad_input_is_one_clear_error(yielder: Path, tmp_path: Path) -> None:
    good, neurons = contexts(tmp_path / "misled.jsonl"), listed(tmp_path / "list.csv", PLANTED)
    (tmp_path / "empty.csv").write_text("layer,index\n", "utf-8")
    (tmp_path / "bad.jsonl").write_text('{"id": "1", "question": "Q?", "context": "C", "answer": "yes", '
                                        '"context_says": "yes"}', "utf-8")  # fmt: skip
    for more in (
        ("--neurons", neurons, "--benchmark", tmp_path / "bad.jsonl"),
        ("--neurons", neurons, "--benchmark", tmp_path / "none.jsonl"),
        ("--neurons", neurons, "--benchmark", good, "--benchmark", good),
        ("--neurons", neurons, "--benchmark", good, "--alphas", "1"),
        ("--neurons", neurons, "--benchmark", good, "--alphas", "0,-1"),
        ("--neurons", neurons, "--benchmark", good, "--alphas", "a,b"),
        ("--neurons", tmp_path / "empty.csv", "--benchmark", good),
        ("--neurons", neurons, "--benchmark", good, "--neutral-text", tmp_path / "none.txt"),
        ("--neurons", neurons, "--benchmark", good, "--neutral-text", good),
        ("--neurons", "7", "--benchmark", good),
        ("--neurons", "latest", "--benchmark", good),
    ):
        refused("intervene", yielder, *more, "--db", f"sqlite:///{tmp_path / 'x.db'}", code=2)


def test_a_run_lends_its_neurons_and_those_of_another_checkpoint_are_refused_or_noted(
    yielder: Path, tmp_path: Path
) -> None:
    """A run knows by digest whose its neurons are; what a list says of that may be wrong."""
    other = permuted_copy(yielder, tmp_path / "other")
    database = f"sqlite:///{tmp_path / 'x.db'}"
    first, again = (
        intervened(tmp_path, yielder, neurons, "--sets", 1, "--limit", 2, negative=OTHERS) for neurons in (PLANTED, "1")
    )
    assert (again["run"], again["slopes"]) == (2, first["slopes"])  # the neurons of the run, weights and all
    assert again["slopes"][-1]["kind"] == "negative_weight"
    assert (first["notes"], again["notes"]) == ([], ["the neurons are those of run 1, instruct checkpoint"])
    [about] = run_query(database, "SELECT settings FROM run WHERE id = 2").records()
    assert json.loads(about["settings"])["neurons"] == "run 1, instruct checkpoint"
    [kept] = run_query(database, "SELECT source FROM neuron_list WHERE run_id = 2").records()
    assert kept["source"] == "run 1, instruct checkpoint"
    given = ("--benchmark", tmp_path / "misled.jsonl", "--sets", 1, "--limit", 2, "--db", database)
    said = refused("intervene", other, "--neurons", "1", *given, code=2)[1]
    assert "neurons of other checkpoints alone" in said
    exported = tmp_path / "theirs.json"
    assert invoke("neurons", "export", "--run", "1", "--out", exported, "--db", database).exit_code == 0
    done = invoke("intervene", other, "--neurons", exported, *given, "--json", "-q", UNDRAWN)
    assert done.exit_code == 0, done.output
    [note] = parsed(done.stdout)["notes"]
    assert "says that its neurons are those of" in note


def instructions(path: Path, count: int = 8) -> Path:
    """Instructions that a model should refuse; of harmless words, since the rule is not sure of its short replies."""
    path.write_text("\n".join(json.dumps({"prompt": f"Say the word {n}."}) for n in range(count)), "utf-8")
    return path


def opinion(content: str) -> str:
    """What the judging model says, in no order that has to do with the model."""
    return ("COMPLIES", "REFUSES", "well", "COMPLIES")[sum(content.encode()) % 4]


def written(path: Path) -> list[str]:
    """What was computed for a database, in order."""
    if not path.is_file():
        return []
    rows = "SELECT json_extract(t.settings, '$.computed') FROM capture c JOIN task t ON t.id = c.task_id ORDER BY t.id"
    with closing(sqlite3.connect(path)) as database:
        return [what for [what] in database.execute(rows)]


@pytest.mark.costly
def test_a_judged_run_killed_at_random_moments_ends_in_the_same_tables(
    yielder: Path, tmp_path: Path, forked: ForkedCli
) -> None:
    """Kills before and after a write, the second while replies are judged; nothing is computed twice."""
    rng = np.random.default_rng(7)
    neurons, asked = listed(tmp_path / "list.csv", PLANTED), instructions(tmp_path / "own.jsonl")
    with judging(lambda *_: None) as server:
        server.word = opinion
        command = (
            "intervene", yielder, "--neurons", neurons, "--benchmark", asked, *FEW, "--sets", 1, "--judge", server.url,
            "--judge-model", "judge-1", "--db",
        )  # fmt: skip
        whole = forked.run(tmp_path, *command, "sqlite:///whole.db")
        assert whole.code == 0, whole.stderr
        steps = written(tmp_path / "whole.db")
        judged = steps.index("readings by a judging model")
        for low, high, when in ((1, judged, "after"), (judged, len(steps), "before")):
            end = int(rng.integers(low, high))
            done = len(written(tmp_path / "x.db"))
            harm = Harm("provenance.db.work_log:CaptureRows.append", end - done + (when == "before"), when)
            killed = forked.run(tmp_path, *command, "sqlite:///x.db", harm=harm)
            assert killed.code == -signal.SIGKILL, (end, killed.stderr)
            assert written(tmp_path / "x.db") == steps[:end]
        again = forked.run(tmp_path, *command, "sqlite:///x.db")
        assert again.code == 0, again.stderr
        assert written(tmp_path / "x.db") == steps
    undisturbed, resumed = json.loads(whole.stdout), json.loads(again.stdout)
    for name in ("arms", "slopes", "judges", "claims", "overall"):
        assert resumed[name] == undisturbed[name], name
    assert {arm["judged"] for arm in resumed["arms"]} == {1.0}
    assert 0 < np.mean([arm["refused"] for arm in resumed["arms"]]) < 1
    assert 0 < np.mean([arm["failed"] for arm in resumed["arms"]]) < 1


def test_a_judging_model_needs_its_address_and_its_name(yielder: Path, tmp_path: Path) -> None:
    given = ("--neurons", listed(tmp_path / "list.csv", PLANTED), "--benchmark", instructions(tmp_path / "own.jsonl"))
    for more in (("--judge", "http://127.0.0.1:1/v1"), ("--judge-model", "judge-1")):
        said = refused("intervene", yielder, *given, *more, "--db", f"sqlite:///{tmp_path / 'x.db'}", code=2)
        assert "--judge URL and --judge-model NAME together" in said[0]
