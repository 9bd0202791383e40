"""The Python interface: frames and figures of a run that is in a database, and a comparison that is taken from it."""

import inspect
from pathlib import Path

import pandas as pd
import pytest
from comparison import Finished, Pair, invoke
from matplotlib.figure import Figure

import provenance
from provenance.analyses.jobs.compare_job import Job
from provenance.api.compare_settings import DEFAULTS, CompareSettings
from provenance.db.reading.run_query import QUERIES, run_query
from provenance.errors import InputError


@pytest.fixture
def db(undisturbed: Finished, tmp_path: Path) -> str:
    """URL of a copy of the database of a finished comparison."""
    return undisturbed.copied(tmp_path)


def test_a_run_has_its_claims_tables_and_sentence_as_queries_have_them(db: str, undisturbed: Finished) -> None:
    run = provenance.open(db).run("latest")
    assert run.id == undisturbed.summary["run"]
    assert run.verdict == undisturbed.summary["verdict"]["overall"]
    assert run.claims()["verdict"].tolist() == [c["verdict"] for c in undisturbed.summary["verdict"]["claims"]]
    for name in ("transfer", "ladder", "h-neurons"):
        result = run_query(db, name, {"run": run.id})
        frame = run.table(name)
        assert list(frame.columns) == list(result.columns)
        assert len(frame) == len(result.rows)
    assert "<table" in run._repr_html_()


def test_a_database_shows_its_newest_runs_in_a_notebook(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = provenance.open(db)
    [row] = database.runs().to_dict("records")
    claims = database.run().claims()
    assert (row["supported"], row["claims"]) == ((claims["verdict"] == "supported").sum(), len(claims))
    html = database._repr_html_()
    assert all(f"<td>{row[name]}</td>" in html for name in QUERIES["runs"].narrow)
    assert row["overall"] not in html
    many = pd.concat([database.runs().assign(run=number) for number in range(30)])
    monkeypatch.setattr(provenance.Database, "runs", lambda _self: many)
    html = database._repr_html_()
    assert "30 runs, the newest 20 of them" in html
    assert "<td>29</td>" in html
    assert "<td>10</td>" in html
    assert "<td>9</td>" not in html


def test_neurons_answer_the_basic_question_in_one_call(db: str, undisturbed: Finished) -> None:
    """Which layers hold them, how far they moved, and whether they are active in the base."""
    run = provenance.open(db).run()
    neurons = run.neurons()
    listed = undisturbed.summary["neurons"]["list"]
    assert neurons[["layer", "neuron_index"]].to_numpy().tolist() == [[n["layer"], n["index"]] for n in listed]
    activity = run_query(db, "activity-of-h-neurons", {"run": run.id}).records()
    for row in neurons.to_dict("records"):
        own = next(
            a for a in activity
            if (a["layer"], a["neuron_index"], a["stage"]) == (row["layer"], row["neuron_index"], "base")
            and a["dataset"] == "cities"
        )  # fmt: skip
        assert row["base_cett_faithful"] == own["cett_faithful"]
        assert row["base_cett_hallucinated"] == own["cett_hallucinated"]
    assert {"stability_rank", "instruct_cett_faithful"} <= set(neurons.columns)


def test_a_finished_comparison_is_taken_and_not_run_again(
    db: str, pair: Pair, undisturbed: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same content and settings are the same run; no model is loaded."""
    monkeypatch.setattr("provenance.analyses.asking.subject.load_model", None)
    effort = {"samples": 2, "max_new_tokens": 4, "batch_size": 16}
    questions = (str(pair.cities), str(pair.towns))
    with monkeypatch.context() as few:
        few.setattr("provenance.analyses.jobs.effort.QUICK", few_draws())
        run = provenance.compare(
            str(pair.base), str(pair.instruct), db=db, questions=questions, quick=True, quiet=True, **effort
        )
    assert run.id == undisturbed.summary["run"]


def few_draws() -> object:
    """The effort of `--quick` in the forked commands."""
    from forked_cli import FEW_DRAWS

    from provenance.analyses.jobs.effort import Effort

    return Effort(**FEW_DRAWS)


@pytest.mark.costly
def test_figures_and_report_are_those_of_the_command_line(db: str, tmp_path: Path) -> None:
    run = provenance.open(db).run()
    assert isinstance(run.figure("4b"), Figure)
    assert run.report(tmp_path / "mine").read_bytes() == reported(db, tmp_path / "theirs")


def reported(db: str, out: Path) -> bytes:
    """The report that the command writes."""
    return Path(invoke("report", "--db", db, "--out", out).stdout.strip()).read_bytes()


def test_what_is_not_there_is_an_error_of_the_tree(db: str, tmp_path: Path) -> None:
    database = provenance.open(db)
    for wrong, said in (
        (lambda: database.run(99), "run 99"),
        (lambda: database.run("newest"), "'newest'"),
        (lambda: database.run().figure("9z"), "'9z'"),
        (lambda: database.query("nothing"), "'nothing'"),
        (lambda: provenance.open(tmp_path / "none.db"), "none.db"),
        (lambda: provenance.compare("a", "b", db=db, smples=3), "smples"),
    ):
        with pytest.raises(provenance.errors.ProvenanceError, match=said):
            wrong()
    with pytest.raises(AttributeError, match="nothing"):
        provenance.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [("smples", "did you mean samples"), ("quik", "did you mean quick"), ("zzzz", "mend the name.")],
)
def test_a_mistyped_setting_is_answered_with_the_names_like_it(typed: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        provenance.compare("a", "b", **{typed: 3})
    assert caught.value.found == typed
    assert caught.value.remedy.startswith(remedy)


def test_settings_have_names_types_and_defaults_in_the_signature() -> None:
    shown = inspect.signature(provenance.compare).parameters
    assert (shown["samples"].default, shown["samples"].annotation) == (DEFAULTS["samples"], int)
    assert {*DEFAULTS} < {*shown}
    assert provenance.CompareSettings is CompareSettings


@pytest.mark.slow
def test_a_type_checker_sees_names_and_types_of_settings(tmp_path: Path) -> None:
    checker = pytest.importorskip("mypy.api")
    file = tmp_path / "typed.py"
    calls = {
        'samples=3, neurons="h.json", behaviour=["items.jsonl"], alphas=[0, 1]': "",
        "smples=3": 'Unexpected keyword argument "smples"',
        'samples="3"': 'Argument "samples" to "compare" has incompatible type "str"',
        'select="best"': 'Argument "select" to "compare" has incompatible type',
    }
    file.write_text("import provenance\n" + "\n".join(f'provenance.compare("a", "b", {call})' for call in calls))
    output, _, _ = checker.run(["--follow-imports=silent", "--no-error-summary", str(file)])
    for number, said in enumerate(calls.values(), 2):
        assert [line for line in output.splitlines() if f":{number}:" in line and said in line] or not said
    assert ":2:" not in output


def test_settings_reach_the_job_as_tuples_and_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Job] = []
    monkeypatch.setattr("provenance.cli.run_job.settle", lambda job, *_args, **_how: taken.append(job) or 1)
    provenance.compare("a", "b", questions="q.jsonl", neurons="h.json", base_url="http://127.0.0.1:1", engine="openai")
    [job] = taken
    assert (job.questions, job.neurons, job.base_url) == (("q.jsonl",), Path("h.json"), ("http://127.0.0.1:1",))
    provenance.compare("a", "b", alphas=[0, 1], behaviour=["one", "two"], C=1, neutral_text=Path("prose.txt"))
    assert repr((taken[1].alphas, taken[1].behaviour, taken[1].C)) == "((0.0, 1.0), ('one', 'two'), 1.0)"
    assert taken[1].neutral_text == ("prose.txt",)


def test_importing_the_package_imports_no_torch_and_a_path_is_a_database(db: str) -> None:
    import subprocess
    import sys

    code = "import sys, provenance; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert len(provenance.open(db.removeprefix("sqlite:///")).runs()) == 1
    with pytest.raises(InputError):
        provenance.open(db).query("DROP TABLE run")
