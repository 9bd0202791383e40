"""The database as pages on this machine: they hold its rows and what they mean, and nobody can write through them."""

import hashlib
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from browser_page import measured, needs_chromium
from synthetic import report_of

from provenance.db.browsing.serve import browser, serve
from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.run_query import run_query
from provenance.errors import InputError
from provenance.figures.report.html import report_html
from provenance.figures.report.on_demand import OnDemand

with_datasette = pytest.mark.skipif(find_spec("datasette") is None, reason="needs the extra `browse`")
WRITES = (
    "delete from run", "insert into run default values", "drop table run", "pragma journal_mode = delete",
    "attach database 'other.db' as other", "with gone as (select 1) delete from run", "select 1; delete from run",
)  # fmt: skip


def started(url: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "provenance", "db", "serve", "--db", url, "--port", "0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def address(finished_file: Path) -> Iterator[str]:
    """Of a server over a database with one finished run."""
    server = started(f"sqlite:///{finished_file}")
    assert server.stdout is not None
    said = server.stdout.readline()
    if not said:
        pytest.fail(server.communicate()[1])
    yield said.split()[0].rstrip("/")
    server.terminate()
    server.communicate(timeout=30)


def page(address: str, path: str, **headers: str) -> str:
    with urlopen(Request(address + path, headers=headers), timeout=30) as answer:  # noqa: S310 - of this machine
        return str(answer.read().decode())


def rows(address: str, path: str) -> list[dict[str, object]]:
    return list(json.loads(page(address, f"{path}{'&' if '?' in path else '?'}_shape=array")))


def refused(address: str, path: str, **headers: str) -> tuple[int, str]:
    with pytest.raises(HTTPError) as caught:
        page(address, path, **headers)
    return caught.value.code, caught.value.read().decode()


@with_datasette
def test_the_first_page_leads_to_what_people_ask_first_then_to_views_and_tables(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    text = page(address, "/")
    assert "<title>provenance" in text.replace("\n", "")
    assert text.index("/-/run/1") < text.index("query-claims")
    assert "Run 1: org/base" in text
    names = ("query-claims", "query-h-neurons-summary", "v_run", "v_claims", "query-funnel", "claim")
    places = [text.index(f'href="/provenance/{name}"') for name in names]
    assert places == sorted(places)
    assert "in which layers, how far they moved, how active they are in both models" in text
    assert "one claim of one run, with its verdict and what decided" in text


@with_datasette
def test_the_page_of_a_view_says_what_its_columns_mean_and_links_to_the_run(address: str) -> None:
    text = page(address, "/provenance/v_claims")
    assert "One row: one claim of one run" in text
    assert "How well the claim stands." in text
    assert '<a href="/-/run/1">1</a>' in text
    assert 'data-column="verdict"' in text
    assert 'id="facet-claim"' in text
    units = page(address, "/provenance/v_h_neurons")
    assert "Unit: log odds per CETT." in units
    for shown, name in ((text, "v_claims"), (units, "v_h_neurons"), (page(address, "/provenance/claim"), "claim")):
        assert shown.count("<summary>What the columns mean</summary>") == 1, name
        assert '<dl class="column-descriptions">' not in shown, name
        before = shown[: shown.index("What the columns mean")]
        assert before.rindex("<details") > before.rfind("</details>"), name
    assert 'data-column-description="How well the claim stands."' in text  # in the menu of the column


@with_datasette
@pytest.mark.parametrize("name", list(QUERIES))
def test_a_named_query_gives_the_rows_that_the_command_gives_by_default(
    address: str, finished_file: Path, name: str
) -> None:
    wanted = run_query(f"sqlite:///{finished_file}", name).records()
    assert rows(address, f"/provenance/query-{name}.json") == json.loads(json.dumps(wanted))


@with_datasette
def test_a_named_query_has_a_title_of_its_own_and_says_what_its_columns_mean(address: str) -> None:
    """Datasette would head it as it heads SQL of your own."""
    text = page(address, "/provenance/query-claims?run=1")
    assert "<h1>Query: claims</h1>" in text
    assert "<title>claims</title>" in text
    assert "Custom SQL query" not in text
    assert f"<h2>{len(report_of().evidence.claims)} rows</h2>" in text
    assert 'name="run" value="1"' in text
    assert "How well the claim stands." in text
    assert 'id="query-sql"' not in text
    assert "FROM claim" in page(address, "/provenance/query-claims?_show_sql=1")
    assert "Custom SQL query" in page(address, "/provenance?sql=select+1")


@with_datasette
def test_a_query_takes_a_run_and_a_limit(address: str) -> None:
    assert len(rows(address, "/provenance/query-claims.json?run=1")) == len(report_of().evidence.claims)
    assert rows(address, "/provenance/query-claims.json?run=2") == []
    assert len(rows(address, "/provenance/query-stable-h-neurons.json?limit=2")) == 2


@with_datasette
def test_a_run_and_a_neuron_have_pages_that_a_person_reads(address: str) -> None:
    text = page(address, "/-/run/1")
    layer, neuron = divmod(int(report_of().identification.h_neurons[0]), 16)
    assert "The H-Neurons are readable in the base model." in text
    condition = "probability that chance shares none</span>: 0.75 &lt; 0.5: does not hold"
    assert f'<strong>Decided:</strong> <span title="overlap.p_zero">{condition}' in text
    assert f'<a href="/-/neuron/1/{layer}/{neuron}">{neuron}</a>' in text
    card = page(address, f"/-/neuron/1/{layer}/{neuron}")
    assert "An H-Neuron of org/instruct@0123abc" in card
    assert "word0” 8" in card
    assert "&lt;b&gt;Paris&lt;/b&gt;" in card
    assert "answer 1" in card
    assert refused(address, "/-/run/7")[0] == 404
    assert refused(address, "/-/neuron/1/99/0")[0] == 404
    assert refused(address, f"/-/run/{'7' * 5000}")[0] == 404


@pytest.mark.costly
@with_datasette
def test_the_page_of_a_run_answers_the_basic_question_and_shows_its_figures(address: str, finished_file: Path) -> None:
    """Which layers, how far moved, how active in both: turned, so that all of it is seen; then the figures."""
    text = page(address, "/-/run/1")
    [own, others] = run_query(f"sqlite:///{finished_file}", "h-neurons-summary").records()
    for name in ("layers", "mean_stability_rank", "base_cett_hallucinated", "instruct_cett_faithful"):
        shown = [f'<td class="number">{value if isinstance(value, int) else f"{value:.3g}"}</td>'
                 for value in (own[name], others[name])]  # fmt: skip
        assert f"{name.replace('_', '_<wbr>')}</th>{''.join(shown)}" in text
    assert "Mean CETT over faithful responses" in text
    names = [part.split('"')[0] for part in text.split('<img src="')[1:]]
    assert names[0] == "/-/figure/1/figure_4a.svg"
    assert len(names) == OnDemand.main
    for place in names:
        assert page(address, place).startswith("<?xml")
    assert refused(address, "/-/figure/1/figure_9.svg")[0] == 404
    assert refused(address, "/-/figure/7/figure_4a.svg")[0] == 404


@pytest.mark.costly
@with_datasette
def test_the_report_of_a_run_is_drawn_when_it_is_asked_for(address: str, finished_file: Path) -> None:
    """The same page as the command writes; its own script may run, and nothing may be fetched."""
    assert page(address, "/-/report/1") == report_html(f"sqlite:///{finished_file}", 1)
    with urlopen(f"{address}/-/report/1", timeout=60) as answer:  # noqa: S310 - of this machine
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; img-src data:")
    assert refused(address, "/-/report/7")[0] == 404


@with_datasette
def test_numbers_have_three_digits_on_a_page_and_all_of_them_in_its_data(address: str) -> None:
    [first, *_] = rows(address, "/provenance/v_h_neurons.json")
    value = next(each for name, each in first.items() if isinstance(each, float) and len(repr(each)) > 6)
    assert f'<span title="{value!r}">{value:.3g}</span>' in page(address, "/provenance/v_h_neurons")


@pytest.mark.costly
@with_datasette
@needs_chromium
@pytest.mark.parametrize("path", ["/provenance", "/provenance/query-h-neurons", "/-/run/1", "/-/neuron/1/{}/{}"])
def test_pages_fit_a_phone_and_every_table_keeps_its_heads(address: str, path: str) -> None:
    """In a browser of 390 pixels: nothing but what scrolls by itself is wider, and no head is out of sight."""
    place = path.format(*divmod(int(report_of().identification.h_neurons[0]), 16))
    text = page(address, place)
    found = measured(text, 390, address)
    assert found["width"] <= 390
    assert found["hidden_heads"] == 0
    assert (found["heads"] > 5) == (path != "/provenance")
    assert (found["tables"] > 2) == path.startswith("/-/")
    assert measured(text, 1200, address)["width"] <= 1200


@with_datasette
def test_only_names_of_this_machine_are_answered(address: str) -> None:
    """A page from elsewhere whose name leads here would read the database in its visitor's browser."""
    port = address.rpartition(":")[2]
    for host in ("127.0.0.1", f"127.0.0.1:{port}", f"localhost:{port}", "LOCALHOST"):
        assert "org/instruct" in page(address, "/-/run/1", Host=host)
    for host in (f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", " "):  # noqa: S104
        code, said = refused(address, "/-/run/1", Host=host)
        assert (code, "org/instruct" in said) == (400, False)


@with_datasette
@pytest.mark.parametrize("name", ["a b?x.db", "50%25.db", "é#.db"])
def test_a_file_of_any_name_is_read_and_never_written(finished_file: Path, tmp_path: Path, name: str) -> None:
    from datasette.app import Datasette

    from provenance.db.browsing.guard import ReadOnlyFile

    database = ReadOnlyFile(Datasette([]), shutil.copyfile(finished_file, tmp_path / name))
    connection = database.connect()
    assert connection.execute("SELECT count(*) FROM run").fetchone() == (1,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM run")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.connect(write=True)
    database.close()
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(("-wal", "-shm"))] == [name]


@pytest.mark.costly
@with_datasette
def test_pages_name_the_concept_of_their_run(finished_file: Path, tmp_path: Path) -> None:
    file = shutil.copyfile(finished_file, tmp_path / "refusal.db")
    concept = {"name": "<refusal>", "positive": "refuses", "negative": "answers"}
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE run SET settings = json_set(settings, '$.concept', json(?))", [json.dumps(concept)])
    connection.close()
    server = started(f"sqlite:///{file}")
    assert server.stdout is not None
    place = server.stdout.readline().split()[0].rstrip("/")
    said = "About &lt;refusal&gt;: “H-Neuron” stands for one of its neurons, “hallucinated” for the label “refuses”"
    assert said in page(place, "/-/run/1")
    assert said in page(place, "/-/neuron/1/0/0")
    server.terminate()
    server.communicate(timeout=30)


@pytest.mark.costly
@with_datasette
@pytest.mark.parametrize("sql", WRITES)
def test_nothing_can_be_written(address: str, finished_file: Path, sql: str) -> None:
    before = hashlib.sha256(finished_file.read_bytes()).digest()
    code, said = refused(address, f"/provenance.json?sql={quote(sql)}")
    assert (code, json.loads(said)["ok"]) == (400, False)
    assert hashlib.sha256(finished_file.read_bytes()).digest() == before
    assert rows(address, "/provenance.json?sql=select+count(*)+as+n+from+run") == [{"n": 1}]
    assert not [path for path in finished_file.parent.iterdir() if not path.name.startswith(finished_file.name)]


@pytest.mark.slow
@with_datasette
def test_an_interrupt_ends_it_in_peace(finished: str) -> None:
    server = started(finished)
    assert server.stdout is not None
    said = server.stdout.readline()
    assert said.endswith("(Ctrl-C ends it)\n")
    page(said.split()[0].rstrip("/"), "/")  # from here on it handles signals, also where its parent ignores them
    server.send_signal(signal.SIGINT)
    try:
        out, errors = server.communicate(timeout=30)
    finally:
        server.kill()
    assert (server.returncode, out, errors) == (0, "", "")


@with_datasette
def test_a_port_that_is_taken_is_said_to_be(finished: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {number}"):
            serve(finished, number, lambda _: pytest.fail("it listens"), OnDemand(finished))


def test_only_a_sqlite_file_is_served() -> None:
    url = "postgresql+psycopg://me:secret@localhost/runs"
    with pytest.raises(InputError, match="a SQLite file") as caught:
        browser(url, OnDemand(url))
    assert "secret" not in str(caught.value)
    assert "provenance db merge" in caught.value.remedy


def test_a_database_that_is_not_there_is_bad_input(new_url: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        browser(new_url, OnDemand(new_url))


def test_without_the_extra_it_is_named(finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasette.app", None)
    monkeypatch.setitem(sys.modules, "datasette", None)
    with pytest.raises(InputError, match=r"pip install 'checkpoint-provenance\[browse\]'"):
        browser(finished, OnDemand(finished))
