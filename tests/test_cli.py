"""The command line: what it offers, what it prints where, and how it ends."""

import csv
import io
import json
import re
import shlex
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer.main
from comparison import Finished, ForkedCli, Harm, Pair, error_lines, invoke, refused, schema_errors

from provenance import __version__
from provenance.cli import app
from provenance.cli.options.folders import LABEL, own_folder, run_folder
from provenance.cli.options.help import EXAMPLES, GROUPS
from provenance.cli.options.run_options import template_variables
from provenance.db.connection.connect import database_url, sqlite_file
from provenance.db.reading.export import encoded
from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.run_query import run_query
from provenance.db.schema.tables import Base
from provenance.db.schema.views import VIEWS
from provenance.errors import InputError

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

COMMANDS = {
    (): {
        "compare", "study", "trace", "intervene", "lineage", "drift", "plan", "pull", "families", "neurons", "query",
        "figures", "report", "lab", "db",
    },
    ("compare",): {
        "--questions", "--db", "--captures", "--out", "--limit", "--samples", "--train-per-class", "--test-per-class",
        "--base-prompt", "--instruct-prompt", "--instruct-template", "--max-new-tokens", "--design",
        "--free-intercept", "--select", "--C", "--device", "--dtype", "--offload", "--attn-implementation",
        "--capture-dtype", "--other-tokens", "--template-arg",
        "--judge", "--judge-model", "--agreeing-only", "--engine", "--base-url", "--ray-address", "--ray-workers",
        "--batch-size", "--quick", "--seed",
        "--json", "--quiet", "--verbose", "--family", "--weights-only", "--neurons", "--causal", "--behaviour",
        "--alphas", "--sets", "--items", "--reply-tokens", "--neutral-text", "--control", "--other", "--stream",
        "--no-figures", "--dry-run", "--replicates", "--responses", "--positive", "--concept",
    },
    ("trace",): {
        "--responses", "--positive", "--concept",
        "--tuned", "--no-floor", "--replicates", "--questions", "--db", "--captures", "--out", "--limit", "--samples",
        "--train-per-class", "--test-per-class", "--base-prompt", "--instruct-prompt", "--instruct-template",
        "--max-new-tokens", "--design",
        "--free-intercept", "--select", "--C", "--device", "--dtype", "--offload", "--attn-implementation",
        "--capture-dtype", "--other-tokens", "--template-arg",
        "--judge", "--judge-model", "--agreeing-only", "--engine", "--base-url", "--ray-address", "--ray-workers",
        "--batch-size", "--quick", "--no-figures", "--dry-run", "--seed", "--json", "--quiet", "--verbose",
    },
    ("study",): {
        "--db", "--captures", "--out", "--only", "--run", "--continue-on-error", "--dry-run", "--no-figures", "--json",
        "--quiet", "--engine", "--base-url", "--ray-address", "--ray-workers", "--one-by-one",
    },
    ("intervene",): {
        "--neurons", "--benchmark", "--alphas", "--sets", "--questions", "--limit", "--prompt", "--max-new-tokens",
        "--judge", "--judge-model", "--batch-size", "--dtype", "--device", "--offload", "--db", "--out", "--no-figures",
        "--seed", "--json", "--quiet", "--verbose", "--neutral-text",
    },
    ("lineage",): {"--family", "--stream", "--db", "--seed", "--json", "--quiet", "--verbose"},
    ("drift",): {"--family", "--neurons", "--stream", "--db", "--seed", "--json", "--quiet", "--verbose"},
    ("plan",): {
        "--family", "--sets", "--train-per-class", "--test-per-class", "--device", "--dtype", "--json",
    },
    ("pull",): {"--family", "--dry-run", "--json"},
    ("families",): {"--json"},
    ("neurons",): {"import", "export", "show"},
    ("neurons", "import"): {"--for", "--allow-pickle", "--db", "--out", "--json"},
    ("neurons", "export"): {"--run", "--stage", "--set", "--format", "--db", "--out"},
    ("neurons", "show"): {"--run", "--db", "--json"},
    ("query",): {"--db", "--run", "--study", "--format", "--columns", "--records", "--timeout", "--max-rows"},
    ("figures",): {"--db", "--out", "--run", "--study", "--format", "--venue", "--page"},
    ("report",): {"--db", "--out", "--run", "--study", "--verify", "--weights"},
    ("lab",): {"build", "selftest"},
    ("lab", "build"): {"--family", "--quiet"},
    ("lab", "selftest"): {"--draws", "--db", "--out", "--seed", "--json", "--quiet"},
    ("db",): {"info", "schema", "upgrade", "merge", "serve"},
    ("db", "schema"): set(),
    ("db", "info"): {"--db"},
    ("db", "upgrade"): {"--db"},
    ("db", "merge"): {"--db"},
    ("db", "serve"): {"--db", "--port"},
}  # fmt: skip
"""Every command with all it offers: a new one has to be added here, and to be tried in this file."""


@pytest.fixture
def url(undisturbed: Finished, tmp_path: Path) -> str:
    """Of a database with one finished comparison."""
    return undisturbed.copied(tmp_path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_lists_what_it_offers_and_no_more(command: tuple[str, ...]) -> None:
    result = invoke(*command, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    listed = set(re.findall(r"^  (?:-\w, )?(--[A-Za-z-]+|(?!--)[a-z]+(?=  ))", result.stdout, flags=re.M))
    offered = COMMANDS[command] | (
        {"--debug", "--version", "--install-completion", "--show-completion"} if command == () else set()
    )
    assert listed - {"--help"} == offered
    texts = re.findall(r"^  (?: |-\w, |--).*", result.stdout.partition("\nCommands:")[0], flags=re.M)
    named = {option for text in texts for option in re.findall(r"(?<![\w-])--[A-Za-z]+(?:-[a-z]+)*", text)}
    assert named - {"--help"} <= offered  # their texts speak of no option of another command


def test_errors_have_no_colour_where_the_user_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31merror\x1b[0m" in invoke("query", "layerz", "--db", "sqlite:///none.db").stderr
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1merror\x1b[0m" in invoke("query", "layerz", "--db", "sqlite:///none.db").stderr


@pytest.mark.parametrize("group", [(), ("lab",), ("neurons",), ("db",)])
def test_a_list_of_commands_says_what_each_does_in_one_whole_line(group: tuple[str, ...]) -> None:
    """Of 80 columns; what is longer would end in dots."""
    listed = invoke(*group, "-h").stdout.partition("Commands:")[2].partition("Exit codes")[0]
    lines = listed.strip().splitlines()
    assert len(lines) >= 2
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_ends_with_exit_codes_and_examples_that_exist(command: tuple[str, ...]) -> None:
    said = invoke(*command, "-h")
    assert said.exit_code == 0
    assert said.stdout == invoke(*command, "--help").stdout
    if command in ((), ("lab",), ("neurons",), ("db",)):
        return
    assert "Exit codes: 0 done" in said.stdout
    for line in EXAMPLES.get(" ".join(command), ()):
        assert f"\n    {line}\n" in said.stdout
        words = shlex.split(line)
        assert words[1 : 1 + len(command)] == list(command)
        assert {word for word in words if word.startswith("--")} <= COMMANDS[command]


def test_options_of_long_commands_are_in_groups_that_name_options_that_exist() -> None:
    said = invoke("compare", "--help").stdout
    heads = re.findall(r"^(\w[\w -]+):$", said, flags=re.M)
    assert heads == ["Arguments", *GROUPS, "Options"]
    others = said.split("\nOptions:")[1]
    assert set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", others, flags=re.M)) == {"--family", "--help"}
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = {param.name for name in ("compare", "trace") for param in commands[name].params}
    assert {name for names in GROUPS.values() for name in names} <= known
    assert "Questions and answers" not in invoke("query", "--help").stdout


def test_the_table_of_commands_is_complete() -> None:
    """Read from the program itself, groups and their commands."""
    group = typer.main.get_command(app)
    found = {()} | {(name,) for name in group.commands}  # type: ignore[attr-defined]
    for name, inner in group.commands.items():  # type: ignore[attr-defined]
        found |= {(name, below) for below in getattr(inner, "commands", {})}
    assert found == set(COMMANDS)


def test_the_version_is_printed() -> None:
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"provenance {__version__}\n")


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "a", "b", "--no-such-option"),
        ("compare", "a", "b", "--samples", "0"),
        ("drift", "a", "b", "--seed", "-1"),
        ("trace", "a", "b", "--seed", "4294967296"),
        ("compare", "a", "b", "--dtype", "float8"),
        ("compare", "a", "b", "--design", "2-vs-1"),
        ("nothing",),
        ("query", "runs", "--format", "xml"),
        ("db", "downgrade"),
    ],
    ids=" ".join,
)
def test_bad_usage_ends_with_two_and_a_hint(command: tuple[str, ...]) -> None:
    result = invoke(*command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage" in result.stderr


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (("compare",), "neither"),
        (("drift", "org/only-one"), "org/only-one"),
        (("lineage", "a/b", "c/d", "--family", "gemma-3-4b"), "a/b c/d and --family gemma-3-4b"),
        (("compare", "--family", "gema-3-4b"), "gema-3-4b"),
        (("compare", "a/b", "c/d", "--weights-only"), "--weights-only alone"),
        (("compare", "a/b", "c/d", "--stream"), "--stream"),
        (("compare", "a/b", "c/d", "--other", "e/f"), "--other e/f alone"),
        (("compare", "a/b", "c/d", "--control", "permuted-index", "--other", "e/f"), "--control permuted-index"),
        (("compare", "a/b", "c/d", "--control", "unrelated", "--causal"), "--control and --causal"),
        (("compare", "a/b", "c/d", "--control", "permuted-labels", "--neurons", "x"), "--neurons"),
        (("compare", "a/b", "c/d", "--control", "unrelated", "--weights-only", "--neurons", "x"), "--weights-only"),
        (("compare", "a/b", "c/d", "--weights-only", "--neurons", "l.csv", "--limit", "20"), "--questions or --limit"),
        (("compare", "a/b", "c/d", "--positive", "refusal"), "--positive alone"),
        (("compare", "a/b", "c/d", "--responses", "x", "--questions", "y"), "--responses and --questions"),
        (("compare", "a/b", "c/d", "--responses", "x", "--select", "paper"), "--select paper"),
        (("compare", "a/b", "c/d", "--responses", "x", "--causal"), "--causal"),
        (("compare", "a/b", "c/d", "--responses", "x", "--replicates", "2"), "--replicates"),
        (("compare", "a/b", "c/d", "--sets", "3"), "--sets alone"),
        (("compare", "a/b", "c/d", "--items", "3"), "--items alone"),
        (("compare", "a/b", "c/d", "--reply-tokens", "3"), "--reply-tokens alone"),
        (
            ("compare", "a/b", "c/d", "--weights-only", "--neurons", "l.csv", "--sets", "3"),
            "--sets with --weights-only",
        ),
        (("compare", "a/b", "c/d", "--weights-only", "--neurons", "l.csv", "--causal"), "--causal with --weights-only"),
    ],
)
def test_a_pair_that_is_not_named_and_options_that_stand_alone_are_refused(
    command: tuple[str, ...], found: str
) -> None:
    assert found in refused(*command, code=2)[1]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--C", "0"), "0"),
        (("--C", "-1"), "-1"),
        (("--C", "nan"), "nan"),
        (("--C", "inf"), "inf"),
        (("--C", "1", "--neurons", "l.csv"), "--C and --neurons"),
        (("--C", "1", "--select", "paper"), "--C and --select paper"),
        (("--select", "paper", "--neurons", "l.csv"), "--select paper and --neurons"),
        (("--C", "1", "--neurons", "l.csv", "--weights-only"), "--C and --neurons"),
    ],
)
def test_a_choice_that_is_none_or_is_made_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], found: str
) -> None:
    """Before anything is opened: neither the checkpoints nor the list is there."""
    monkeypatch.chdir(tmp_path)
    assert refused("compare", "a/b", "c/d", *options, code=2)[1] == found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("options", "said"), [(("--C", "many"), "valid number"), (("--select", "best"), "one-se")])
def test_a_choice_that_is_no_word_of_the_command_is_bad_usage(options: tuple[str, ...], said: str) -> None:
    result = invoke("compare", "a/b", "c/d", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_template_variables_are_json_or_text() -> None:
    written = ["b=true", "a=False", "n=3", "t=26 Jul 2024", "none=None", "eq=a=b"]
    assert template_variables(written) == (
        ("a", False), ("b", True), ("eq", "a=b"), ("n", 3), ("none", None), ("t", "26 Jul 2024")
    )  # fmt: skip
    for unclear in (["a"], ["=1"], ["a b=1"], ["a=1", "a=2"]):
        with pytest.raises(InputError, match="NAME=VALUE"):
            template_variables(unclear)


def test_json_is_one_object_with_the_keys_of_the_contract(undisturbed: Finished, pair: Pair) -> None:
    """Nothing else on stdout; nothing at all on stderr, since it was asked to be quiet."""
    assert undisturbed.done.stderr == ""
    summary = json.loads(undisturbed.done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert summary["schema"] == 1
    for side, folder in (("base", pair.base), ("instruct", pair.instruct)):
        assert summary[side]["ref"] == str(folder)
        assert re.fullmatch("[0-9a-f]{64}", summary[side]["digest"])
    assert summary["neurons"]["total"] == 48
    assert summary["neurons"]["per_mille"] == pytest.approx(1000 * summary["neurons"]["h"] / 48)
    assert summary["lineage"]["verdict"] == "descendant"
    assert {row["stage"] for row in summary["funnel"].values()} == {"base", "instruct"}
    verdicts = {"supported", "not distinguishable", "no power"}
    assert {summary["verdict"][claim] for claim in ("transfer", "drift", "overlap")} <= verdicts
    assert "readable" in summary["verdict"]["overall"] or "base" in summary["verdict"]["overall"]
    assert summary["database"] == "sqlite:///provenance.db"


def test_numbers_of_the_json_have_their_intervals_and_nulls(undisturbed: Finished) -> None:
    summary = undisturbed.summary
    for estimate in (*(summary["identification"][k] for k in ("accuracy", "auroc", "random_accuracy")),):
        assert set(estimate) == {"estimate", "low", "high", "n"}
        assert 0 <= estimate["low"] <= estimate["estimate"] <= estimate["high"] <= 1
    assert summary["identification"]["C"] > 0
    assert [row["dataset"] for row in summary["transfer"]] == ["cities", "towns"]
    for row in summary["transfer"]:
        assert {"dataset", "auroc", "n_faithful", "n_hallucinated", "ladder", "verdict"} <= set(row)
        for kind in ("random", "layer_matched"):
            null = row["ladder"][kind]
            assert null["draws"] > 0
            assert 0 <= null["sets_low"] <= null["sets_p95"] <= null["sets_high"] <= 1
    drift = summary["drift"]
    assert {"k", "p_t", "uniform_sd", "share_identical", "rounding_floor", "verdict", "reason"} <= set(drift)
    first = drift["tests"][0]
    assert (first["side"], first["measure"], first["matching"]) == ("hallucinated", "delta", "layer")
    assert {"mean_rank", "ratio", "sd", "p_more_stable", "smallest_detectable"} <= set(first)
    assert set(first["ratio"]) == {"estimate", "low", "high", "n"}
    assert summary["overlap"]


def test_the_files_that_the_json_names_are_there(undisturbed: Finished) -> None:
    summary = undisturbed.summary
    named = [undisturbed.folder / path for path in (*summary["figures"], summary["report"])]
    assert all(path.stat().st_size > 0 for path in named)
    names = {path.name for path in named}
    assert {f"figure_{n}.{form}" for n in ("4a", "4b") for form in ("pdf", "svg", "png", "csv", "tex")} <= names
    [own] = {path.parent for path in named}
    assert {*named, own / LABEL} == set(own.iterdir())
    assert own == undisturbed.folder / "provenance-out" / "0001-base--instruct"
    assert (undisturbed.folder / "provenance-out" / "latest").readlink() == Path(own.name)


def test_without_json_there_are_tables_on_stdout_and_progress_on_stderr(
    forked: ForkedCli, pair: Pair, undisturbed: Finished, tmp_path: Path
) -> None:
    """The same run once more, for people."""
    undisturbed.copied(tmp_path)
    command = [arg for arg in pair.command if arg not in ("-q", "--json")]
    done = forked.run(tmp_path, *command)
    assert done.code == 0
    shown = ("A quick look", "H-Neurons", "AUROC", "decided by", "Backward transfer", "report.html")
    for words in (*shown, undisturbed.summary["verdict"]["drift"]):
        assert words in done.stdout
    assert "Funnel" not in done.stdout
    assert "drift ..." in done.stderr
    assert "transfer ..." in done.stderr
    assert " ask " not in done.stderr
    assert "Loading weights" not in done.stderr


@pytest.mark.costly
def test_a_one_class_model_is_data_and_no_error(forked: ForkedCli, pair: Pair, tmp_path: Path) -> None:
    """All answers wrong, because there are no right ones: no probe, no power, exit code 0, figures all the same."""
    rows = [json.loads(line) | {"answers": []} for line in pair.cities.read_text().splitlines()]
    questions = tmp_path / "inventions.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ("compare", pair.base, pair.instruct, "--questions", questions, "--json", "-q")
    done = forked.run(tmp_path, *command, "--samples", "1", "--max-new-tokens", "3")
    assert (done.code, done.stderr) == (0, "")
    summary = json.loads(done.stdout)
    assert schema_errors(summary) == []
    assert summary["neurons"]["h"] == 0
    assert summary["verdict"]["transfer"] == "no power"
    assert summary["transfer"][0]["auroc"] is None
    assert summary["identification"]["reason"].startswith("0 faithful")
    assert (tmp_path / "provenance-out" / "latest" / "figure_4a.pdf").is_file()
    assert (tmp_path / "provenance-out" / "latest" / "report.html").is_file()


def test_query_lists_the_named_ones() -> None:
    result = invoke("query")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(QUERIES)


@pytest.mark.costly
def test_every_named_query_runs_and_prints_in_every_format(url: str) -> None:
    """Table, CSV, JSON and Parquet have the same rows; the command writes what the formats make of them."""
    for name in QUERIES:
        printed = invoke("query", name, "--db", url)
        assert printed.exit_code == 0, name
        assert printed.stdout.strip(), name
        found = run_query(url, name)
        made = {form: encoded(found, form) for form in ("csv", "json", "parquet")}
        records = json.loads(made["json"])
        rows = list(csv.DictReader(io.StringIO(made["csv"].decode())))
        parquet = pq.read_table(io.BytesIO(made["parquet"])).to_pylist()
        assert len(records) == len(rows) == len(parquet), name
        assert [set(row) for row in records] == [set(row) for row in rows] == [set(row) for row in parquet], name
        for form, content in made.items() if name == "transfer" else ():
            assert invoke("query", name, "--db", url, "--format", form).stdout_bytes == content, form


def test_sql_is_run_and_a_run_can_be_named(url: str, undisturbed: Finished) -> None:
    sql = "SELECT COUNT(*) AS n, SUM(is_h_neuron) AS h FROM neuron"
    result = invoke("query", sql, "--db", url, "--format", "json")
    assert json.loads(result.stdout) == [{"n": 48, "h": undisturbed.summary["neurons"]["h"]}]
    named = invoke("query", "transfer", "--db", url, "--run", "1", "--format", "json")
    assert [row["dataset"] for row in json.loads(named.stdout)] == ["cities", "towns"]


def test_a_query_shows_chosen_columns_and_rows_as_lines(url: str) -> None:
    chosen = invoke("query", "transfer", "--db", url, "--columns", "verdict, dataset", "--format", "csv").stdout
    assert chosen.splitlines()[0] == "verdict,dataset"
    lines = invoke("query", "transfer", "--db", url, "--columns", "dataset", "-x").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["row", "1", "of", "2"], ["dataset", "cities"], ["row", "2", "of", "2"], ["dataset", "towns"]
    ]  # fmt: skip
    assert "did you mean dataset" in refused("query", "transfer", "--db", url, "--columns", "datset", code=2)[2]
    assert "both" in refused("query", "transfer", "--db", url, "-x", "--format", "csv", code=2)[1]


def test_a_query_that_chooses_its_run_says_which(url: str) -> None:
    """Two queries may choose different runs. Beside the rows and not among them, so that formats stay as they are."""
    chosen = invoke("query", "transfer", "--db", url, "--format", "csv")
    assert re.fullmatch(r"run 1: compare, \S+ -> \S+; --run ID for another\n", chosen.stderr)
    assert "run 1" not in chosen.stdout
    for plain in (("transfer", "--run", "1"), ("runs",), ("SELECT COUNT(*) AS n FROM run",)):
        assert invoke("query", *plain, "--db", url).stderr == ""


KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("command", "base", "instruct", "folder"),
    [
        ("compare", "lab/inherited/base", "lab/inherited/instruct", "0004-base--instruct"),
        ("compare", "lab/inherited/base@step-0400", "lab/x/instruct", "0004-base@step-0400--instruct"),
        ("compare", "org/b-1.5@v2", "/home/me/models/tuned/", "0004-b-1.5--tuned"),
        ("compare", "../up/" + "x" * 300, "模型", "0004-" + "x" * 60 + "--instruct"),
        ("compare --control permuted-labels", "a/b", "a/c", "0004-b--c--control-permuted-labels"),
        ("compare --control unrelated --other s/m", "a/b", "a/c", "0004-b--c--control-unrelated"),
        ("compare --weights-only", "a/b", "a/c", "0004-b--c--weights-only"),
        ("trace", "a/..", "a/.", "0004-base--instruct--trace"),
    ],
)
def test_every_run_has_a_folder_of_its_own_with_the_names_that_were_given(
    command: str, base: str, instruct: str, folder: str
) -> None:
    about = {"run": 4, "run_key": KEY, "command": command, "base": base, "instruct": instruct}
    assert own_folder(about) == Path("provenance-out", folder)


def test_folders_of_other_databases_and_of_the_user_are_left_alone(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    about = {"run": 1, "run_key": KEY, "command": "compare", "base": "a/b", "instruct": "a/c"}
    with run_folder(url, about, None) as first, run_folder(url, {**about, "run_key": "f" * 64}, None) as second:
        (first / "figure_4a.csv").touch()
    assert (first.name, second.name) == ("0001-b--c", "0001-b--c--ffffffff")
    with run_folder(url, about, None) as again, run_folder(url, about, Path("mine")) as named:
        assert (again, named) == (first, Path("mine"))
    (first / LABEL).write_text("of somebody else")
    assert own_folder(about).name == "0001-b--c--01234567"
    assert not Path("mine").exists()


def test_latest_leads_to_the_newest_run_and_is_left_alone_where_it_is_no_link(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    link = Path("provenance-out", "latest")
    about = {"run": 1, "run_key": KEY, "command": "compare", "base": "a/b", "instruct": "a/c"}
    with run_folder(url, {**about, "run": 2}, None):  # of a control, say: run 1 is the newest of this database
        assert not link.exists()
    assert not link.exists()
    for _ in range(2):
        with run_folder(url, about, None) as folder:
            pass
        assert link.resolve() == folder.resolve()
    link.unlink()
    link.mkdir()
    with run_folder(url, about, None):
        pass
    assert not link.is_symlink()


def test_latest_and_a_number_name_a_run_and_nothing_else_does(url: str) -> None:
    numbered = invoke("query", "transfer", "--db", url, "--run", "1", "--format", "csv")
    latest = invoke("query", "transfer", "--db", url, "--run", "latest", "--format", "csv")
    assert latest.stdout == numbered.stdout
    assert latest.stderr.startswith("run 1: compare, ")
    assert "'newest'" in refused("query", "transfer", "--db", url, "--run", "newest", code=2)[1]
    assert "'newest'" in refused("report", "--db", url, "--run", "newest", code=2)[1]
    exported = invoke("neurons", "export", "--db", url, "--run", "latest")
    assert exported.stdout == invoke("neurons", "export", "--db", url, "--run", "1").stdout
    assert "run 1, instruct checkpoint" in exported.stderr


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM run",
        "DROP TABLE neuron",
        "UPDATE run SET seed = 7",
        "PRAGMA user_version = 7",
        "ATTACH 'other.db' AS other",
        "INSERT INTO run_task VALUES (1, 1)",
        "VACUUM INTO 'copy.db'",
        "SELECT 1; DROP TABLE run",
    ],
)
def test_writing_is_refused_and_changes_nothing(url: str, sql: str, tmp_path: Path) -> None:
    file = sqlite_file(database_url(url))
    assert file
    before, names = file.read_bytes(), {path.name for path in tmp_path.iterdir()}
    refused("query", sql, "--db", url, code=2)
    assert file.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} - names <= {"provenance.db-wal", "provenance.db-shm"}


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (("query", "no-such-query"), "'no-such-query'"),
        (("query", "SELECT seed FROM nowhere"), "nowhere"),
        (("query", "SELEC 1"), "SELEC"),
        (("query", "runs", "--run", "1"), "run"),
        (("figures", "--run", "7"), "run 7; it has 1"),
        (("report", "--run", "7"), "run 7; it has 1"),
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_one_clear_error(url: str, command: tuple[str, ...], found: str) -> None:
    assert found in refused(*command, "--db", url, code=2)[1]


@pytest.mark.parametrize("command", [("query", "runs"), ("figures",), ("report",), ("db", "info")], ids=" ".join)
def test_reading_a_database_that_is_not_there_makes_none(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, found, remedy = refused(*command, code=2)
    assert found == "no such file"
    assert "--db" in remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.costly
def test_figures_and_report_are_drawn_again_from_the_database_alone(
    url: str, undisturbed: Finished, tmp_path: Path
) -> None:
    """The same bytes as `compare` wrote, without checkpoints and questions; it drew SVG alone (see `forked_cli`)."""
    out = tmp_path / "again"
    drawn = invoke("figures", "--db", url, "--out", out)
    written = invoke("report", "--db", url, "--out", out)
    assert (drawn.exit_code, written.exit_code) == (0, 0)
    assert drawn.stderr == written.stderr
    assert drawn.stderr.startswith("run 1: compare, ")
    said = [Path(line) for line in (*drawn.stdout.splitlines(), *written.stdout.splitlines())]
    assert set(said) == set(out.iterdir())
    for path in (each for each in said if each.suffix not in {".pdf", ".png"}):
        assert path.read_bytes() == (undisturbed.folder / "provenance-out" / "latest" / path.name).read_bytes()


def test_figures_come_in_the_widths_and_formats_asked_for(url: str, tmp_path: Path) -> None:
    out = tmp_path / "acl"
    made = invoke("figures", "--db", url, "--out", out, "--venue", "acl", "--format", "svg")
    assert made.exit_code == 0
    assert {path.suffix for path in out.iterdir()} == {".svg", ".csv", ".txt", ".tex"}
    points = re.search(r'width="([\d.]+)pt"', (out / "figure_4a.svg").read_text("utf-8"))
    assert points
    assert float(points[1]) / 72 == pytest.approx(3.03, abs=0.01)


def test_db_info_counts_rows_and_sees_altered_ones(url: str, undisturbed: Finished) -> None:
    told = invoke("db", "info", "--db", url)
    assert told.exit_code == 0
    assert re.search(r"^  neuron +48$", told.stdout, flags=re.M)
    assert re.search(r"^run 1: compare, .*done, rows intact$", told.stdout, flags=re.M)
    with sqlite3.connect(str(sqlite_file(database_url(url)))) as connection:
        connection.execute("UPDATE neuron SET stability_rank = 0.5 WHERE layer = 1")
    connection.close()
    assert "ROWS ALTERED" in invoke("db", "info", "--db", url).stdout


def test_db_schema_explains_tables_views_and_columns_without_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = invoke("db", "schema").stdout
    for name in (*Base.metadata.tables, *(view.name for view in VIEWS)):
        assert re.search(rf"^{name} +\S", listed, flags=re.M), name
    told = " ".join(invoke("db", "schema", "v_h_neurons").stdout.split())
    for words in ("drift_z", "z-score", "cosine_distance_up", "1 - cosine between base and instruct"):
        assert words in told
    assert "did you mean v_h_neurons" in refused("db", "schema", "v_h_neuron", code=2)[2]


def test_db_upgrade_makes_and_keeps_a_database(tmp_path: Path, url: str) -> None:
    fresh = f"sqlite:///{tmp_path / 'fresh.db'}"
    for target in (fresh, fresh, url):
        result = invoke("db", "upgrade", "--db", target)
        assert (result.exit_code, result.stdout) == (0, f"{target} is up to date\n")
    assert "schema 0.2.0_19" in invoke("db", "info", "--db", fresh).stdout
    assert "rows intact" in invoke("db", "info", "--db", url).stdout


def test_an_error_is_three_lines_and_a_traceback_only_with_debug(forked: ForkedCli, tmp_path: Path) -> None:
    plain = forked.run(tmp_path, "query", "runs")
    assert (plain.code, plain.stdout) == (2, "")
    assert len(error_lines(plain.stderr)) == 3
    assert plain.stderr.count("\n") == 4
    debug = forked.run(tmp_path, "--debug", "query", "runs")
    assert "Traceback" in debug.stderr
    assert "InputError" in debug.stderr
    assert debug.code != 0


def test_an_error_stays_three_lines_whatever_was_typed_or_a_library_says(pair: Pair, tmp_path: Path) -> None:
    """Line breaks of a library's message, which quotes the option here, become spaces."""
    command = ("compare", pair.base, pair.instruct, "--questions", pair.towns, "-q", "--out", tmp_path / "out")
    lines = refused(
        *command, "--attn-implementation", "tele\n\npathy", "--db", f"sqlite:///{tmp_path / 'p.db'}", code=2
    )
    assert "tele pathy" in lines[1]


def test_an_unknown_lab_family_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    lines = refused("lab", "build", tmp_path / "lab", "--family", "nowhere", code=2)
    assert "'nowhere'" in lines[1]
    assert not (tmp_path / "lab").exists()


def test_an_interrupt_says_that_the_same_command_goes_on(forked: ForkedCli, pair: Pair, tmp_path: Path) -> None:
    """Control-C is no error of the toolkit: 130, as shells have it, one line, and the run is marked."""
    harm = Harm("provenance.db.work_log:ResponseRows.put", 2, "after", "interrupt")
    done = forked.run(tmp_path, *pair.command, harm=harm)
    assert (done.code, done.stdout) == (130, "")
    assert done.stderr == "interrupted; the same command goes on where this one stopped\n"
    status = "SELECT status, COUNT(*) AS n FROM run, response"
    told = invoke("query", status, "--db", f"sqlite:///{tmp_path / 'provenance.db'}", "--format", "json")
    assert json.loads(told.stdout) == [{"status": "failed", "n": 32}]
