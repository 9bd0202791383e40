"""Views say of all runs what the reports say, under the names that were given, and are cheap for one run."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text
from synthetic import (
    BASE,
    INSTRUCT,
    PER_LAYER,
    SETS,
    begin,
    pruned_weights_report,
    report_of,
    stored_run,
    stored_timeline_run,
    stored_weights_run,
)
from synthetic_evidence import timeline_report_of

from provenance.analyses.results.reports import OriginReport
from provenance.db.connection import migrate
from provenance.db.reading.run_query import QUERIES, info, run_query
from provenance.db.schema.tables import HEAD
from provenance.db.schema.views import VIEWS
from provenance.db.store import Store
from provenance.errors import StoreError

REPORT = report_of()


@pytest.fixture
def two(url: str) -> str:
    """A database with a comparison and a weights-only run, of one content under two names."""
    with Store.open(url) as store:
        stored_run(store, REPORT)
        other = stored_weights_run(store, pruned_weights_report())
        begin(store, "w1", command="compare --weights-only", base=replace(BASE, ref="my/own-base"))
        store.finish_run(other, "done", {}, 1)
    return url


def columns(url: str, sql: str) -> dict[str, list[object]]:
    result = run_query(url, sql)
    return dict(zip(result.columns, map(list, zip(*result.rows, strict=True)), strict=True))


def test_every_view_names_the_run_and_the_pair_as_it_was_given(two: str) -> None:
    for view in VIEWS:
        assert [column.name for column in view.columns][:4] == ["run_id", "command", "base", "instruct"], view.name
        sql = f"SELECT DISTINCT run_id, base, instruct FROM {view.name} ORDER BY run_id"  # noqa: S608 - our names
        found = run_query(two, sql).rows
        assert found[0] == (1, BASE.ref, INSTRUCT.ref), view.name
    found = run_query(two, "SELECT run_id, base FROM v_h_neurons GROUP BY run_id, base ORDER BY run_id").rows
    assert found == ((1, BASE.ref), (2, "my/own-base"))


def test_h_neurons_have_weight_drift_and_both_activities_as_the_report_has_them(two: str) -> None:
    found = columns(two, "SELECT * FROM v_h_neurons WHERE run_id = 1 ORDER BY layer, neuron_index")
    h = REPORT.identification.h_neurons
    assert [layer * PER_LAYER + i for layer, i in zip(found["layer"], found["neuron_index"], strict=True)] == h.tolist()
    assert found["probe_weight"] == REPORT.identification.weights[h].tolist()
    assert found["drift_z"] == REPORT.neuron_drift.delta[h].tolist()
    assert found["cosine_distance_down"] == REPORT.neuron_drift.delta_down[h].tolist()
    assert found["selection_frequency"] == REPORT.identification.stability.frequency[h].tolist()
    tables = {table.stage: table for table in REPORT.activity if table.dataset == SETS[0]}
    for stage, table in tables.items():
        for label in ("faithful", "hallucinated"):
            assert found[f"{stage}_cett_{label}"] == getattr(table, f"mean_{label}")[h].tolist()
    unread = columns(two, "SELECT base_cett_faithful, is_base_h_neuron FROM v_h_neurons WHERE run_id = 2")
    assert set(unread["base_cett_faithful"]) == set(unread["is_base_h_neuron"]) == {None}


def test_activity_has_every_neuron_of_both_models_and_marks_the_h_neurons(two: str) -> None:
    found = columns(two, "SELECT * FROM v_neuron_activity ORDER BY stage, dataset, layer, neuron_index")
    size = REPORT.layers * REPORT.neurons_per_layer
    assert len(found["layer"]) == len(REPORT.activity) * size
    table = next(table for table in REPORT.activity if (table.stage, table.dataset) == ("base", SETS[0]))
    assert found["cett_hallucinated"][:size] == table.mean_hallucinated.tolist()
    assert np.flatnonzero(found["is_h_neuron"][:size]).tolist() == REPORT.identification.h_neurons.tolist()


def test_claims_and_transfer_are_those_of_the_queries(two: str) -> None:
    claims = columns(two, "SELECT * FROM v_claims ORDER BY run_id, position")
    assert claims["claim"][: len(REPORT.evidence.claims)] == [claim.name for claim in REPORT.evidence.claims]
    for place, claim in enumerate(REPORT.evidence.claims):
        [decided] = [each for each in claim.reasons if each.code == claim.decided_by] or [None]
        found = {name: claims[name][place] for name in ("decided_by", "value", "relation", "bar", "against")}
        assert found["decided_by"] == claim.decided_by
        value = None if decided is None or decided.value is None or np.isnan(decided.value) else decided.value
        assert found["value"] == value
        assert found["relation"] == (decided and decided.relation)
        assert (found["bar"], found["against"]) == (decided and decided.bar, decided and decided.against)
    rungs = {(rung.dataset, rung.kind): rung for rung in REPORT.evidence.ladder}
    for row in run_query(two, "SELECT * FROM v_transfer").records():
        assert row["random_mean"] == rungs[row["dataset"], "random"].auroc.estimate


def of_group(report: OriginReport, chosen: np.ndarray) -> dict[str, float]:
    """The summary of some neurons, from the report itself."""
    drift = report.neuron_drift
    active = {(table.stage, label): getattr(table, f"mean_{label}") for table in report.activity
              if table.dataset == SETS[0] for label in ("faithful", "hallucinated")}  # fmt: skip
    return {
        "neurons": chosen.size,
        "layers": np.unique(chosen // PER_LAYER).size,
        "mean_stability_rank": drift.stability_rank[chosen].mean(),
        "mean_cosine_distance_up": drift.delta_up[chosen].mean(),
        "identical": drift.identical[chosen].sum(),
        **{f"{stage}_cett_{label}": values[chosen].mean() for (stage, label), values in active.items()},
    }


def test_one_query_says_where_the_h_neurons_are_how_far_they_moved_and_how_active_they_are(two: str) -> None:
    h = REPORT.identification.h_neurons
    rows = run_query(two, "h-neurons-summary").records()
    others = np.setdiff1d(np.arange(REPORT.layers * PER_LAYER), h)
    assert [row["kind"] for row in rows] == ["H-Neurons", "all others"]
    for row, chosen in zip(rows, (h, others), strict=True):
        expected = of_group(REPORT, chosen)
        assert {name: row[name] for name in expected} == pytest.approx(expected)
    for row in run_query(two, "layers").records():
        chosen = h[h // PER_LAYER == row["layer"]]
        assert row["h_neurons"] == chosen.size
        if chosen.size:
            expected = of_group(REPORT, chosen)
            names = [name for name in expected if name.startswith(("mean_", "base_", "instruct_"))]
            assert {name: row[f"h_{name}"] for name in names} == pytest.approx({name: expected[name] for name in names})
    bare = run_query(two, "h-neurons-summary", {"run": 2}).records()
    assert [row["neurons"] for row in bare] == [6, 58]
    assert {row["base_cett_faithful"] for row in bare} == {None}


def test_one_run_of_a_view_is_found_by_keys_and_never_by_walking_a_table_of_millions(two: str) -> None:
    for view in VIEWS:
        plan = run_query(two, f"EXPLAIN QUERY PLAN SELECT * FROM {view.name} WHERE run_id = 1")  # noqa: S608 - our names
        steps = [str(row[-1]) for row in plan.rows]
        assert not [step for step in steps if step.startswith(("SCAN", "MATERIALIZE", "CO-ROUTINE"))], (
            view.name,
            steps,
        )
        assert "AUTOMATIC" not in " ".join(steps), view.name
    for name in ("h-neurons", "mapping", "stable-h-neurons", "h-neuron-ranks", "activity-of-h-neurons"):
        plan = run_query(two, f"EXPLAIN QUERY PLAN {QUERIES[name].sql}", {**QUERIES[name].defaults, "run": 1})
        steps = [str(row[-1]) for row in plan.rows]
        assert any("layer=? AND neuron_index=?" in step for step in steps if step.startswith(("SEARCH n", "SEARCH a")))


def test_the_file_opens_in_sqlite_and_pandas_as_it_is(two: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "provenance.db") as connection:
        frame = pd.read_sql("SELECT * FROM v_h_neurons", connection)
        activity = pd.read_sql("SELECT * FROM v_neuron_activity", connection)
        runs = pd.read_sql("SELECT * FROM v_run", connection)
    connection.close()
    assert len(frame) == 12
    assert frame["drift_z"].dtype == activity["cett_faithful"].dtype == "float64"
    assert frame["layer"].dtype == "int64"
    assert runs["base"].tolist() == [BASE.ref, "my/own-base"]
    assert list(tmp_path.glob("provenance.db-*")) == []


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("DROP VIEW v_run", "v_run: no such view"),
        ("DROP VIEW v_run; CREATE VIEW v_run AS SELECT 1 AS run_id", "v_run: another view"),
    ],
)
def test_a_view_that_is_not_ours_is_refused(two: str, tmp_path: Path, script: str, found: str) -> None:
    with sqlite3.connect(tmp_path / "provenance.db") as connection:
        connection.executescript(script)
    connection.close()
    uses: list[Callable[[], object]] = [
        lambda: info(two), lambda: run_query(two, "SELECT 1 AS one"), lambda: Store.open(two)
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(StoreError, match=found):
            use()


def test_an_upgrade_makes_the_views_anew(two: str) -> None:
    with Store.open(two) as store, store.transaction() as connection:
        connection.execute(text("DROP VIEW v_run"))
        connection.execute(text("CREATE VIEW v_run AS SELECT 1 AS run_id"))
        migrate.make_views(connection)
    assert run_query(two, "runs").rows
    assert info(two).schema == HEAD


def test_a_timeline_is_a_run_of_its_own(url: str) -> None:
    with Store.open(url) as store:
        stored_timeline_run(store, timeline_report_of())
    [row] = run_query(url, "SELECT command, h_neurons FROM v_run").records()
    assert (row["command"], row["h_neurons"]) == ("trace", len(timeline_report_of().identification.h_neurons))
