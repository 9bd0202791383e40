"""Named queries return what was stored, by index; reading can do no harm; results leave in every format."""

import csv
import io
import json
import re
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from sqlalchemy import text
from synthetic import (
    PER_LAYER,
    SETS,
    WIDE,
    begin,
    lineage_of,
    no_power_of,
    no_probe_report,
    pruned_weights_report,
    replicated_report_of,
    report_of,
    store_neuron_set,
    stored_compliance_run,
    stored_lineage_run,
    stored_run,
    stored_timeline_run,
    stored_weights_run,
    transfer_of,
    weights_report_of,
)
from synthetic_evidence import compliance_report_of, replicated_timeline_report_of, timeline_report_of

from provenance.analyses.results.drift import DRIFT_PLACES
from provenance.db.connection.connect import database_url, reading_engine
from provenance.db.reading.export import as_json, as_table, encoded, fitted
from provenance.db.reading.run_query import QUERIES, QueryResult, default_run, info, newest_run, reading, run_query
from provenance.db.schema.base import Base
from provenance.db.schema.tables import HEAD
from provenance.db.store import Store
from provenance.db.studies import study_of_runs
from provenance.errors import InputError, StoreError
from provenance.words import TRANSFER_NULLS

BULK = {"neuron", "activity", "response", "null_draw", "question"}
WRITES = [
    "DELETE FROM run",
    "UPDATE neuron SET drift_z = 0",
    "INSERT INTO dataset (digest) VALUES ('x')",
    "WITH x AS (SELECT 1) DELETE FROM run",
    "DROP TABLE run",
    "CREATE TABLE x (a)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "PRAGMA query_only = 0",
    "PRAGMA journal_mode = DELETE",
    "ATTACH DATABASE 'elsewhere.db' AS e",
    "VACUUM INTO 'elsewhere.db'",
    "SELECT 1; DROP TABLE run",
    "REINDEX neuron",
]


def test_every_named_query_runs_on_every_kind_of_run_and_returns_rows_on_one(url: str) -> None:
    with Store.open(url) as store:
        runs = [
            stored_run(store, report_of()),
            stored_run(store, no_probe_report(), "k2"),
            stored_run(store, replicated_report_of(slopes=(0.1, 0.1, 0.1)), "k3"),
            stored_weights_run(store, pruned_weights_report()),
            stored_weights_run(store, weights_report_of(k=0), "w2"),
            stored_lineage_run(store, lineage_of()),
            stored_timeline_run(store, replicated_timeline_report_of()),
            stored_compliance_run(store, compliance_report_of()),
        ]
        store_neuron_set(store)
        study_of_runs(store, "one", "One", runs[:1])
    for name, query in QUERIES.items():
        found = [run_query(url, name, {"run": run} if ":run" in query.sql else {}) for run in runs]
        assert len(set(found[0].columns)) == len(found[0].columns), name
        assert name in ("responses", "examples") or any(result.rows for result in found), name


def test_no_named_query_walks_a_bulk_table_of_all_runs(finished: str) -> None:
    for name, query in QUERIES.items():
        if ":run" not in query.sql:
            continue
        plan = run_query(finished, f"EXPLAIN QUERY PLAN {query.sql}", {**query.defaults, "run": 1})
        steps = [str(row[-1]) for row in plan.rows]
        walked = [step for step in steps if step.startswith("SCAN") and step.split()[1] in {*BULK, "n", "a", "p"}]
        assert walked == [], name
        if "FROM probe_neuron h" in query.sql:
            searched = next(step for step in steps if step.startswith(("SEARCH n ", "SEARCH a ")))
            assert "layer=? AND neuron_index=?" in searched, (name, steps)
        if name == "most-drifted":
            assert any("neuron_by_drift" in step for step in steps), (name, steps)
        if name == "rank-bins":
            assert any(step.startswith("SEARCH s ") for step in steps), (name, steps)
            assert not any(step.startswith(("SCAN n ", "SEARCH n ")) for step in steps), (name, steps)


def test_the_newest_finished_run_is_the_default(url: str) -> None:
    with Store.open(url) as store:
        stored_run(store, report_of())
        second = stored_run(store, report_of((no_power_of("other set"),)), "k2")
        begin(store, "k3")
    assert newest_run(url) == second
    assert [row["dataset"] for row in run_query(url, "transfer").records()] == ["other set"]
    assert [row["dataset"] for row in run_query(url, "transfer", {"run": "1"}).records()] == list(SETS)


def test_without_a_run_the_newest_comparison_is_shown_and_others_where_it_lacks_the_subject(url: str) -> None:
    """A later run of another kind hides no results; a named run, or the latest, is taken as it is."""
    with Store.open(url) as store:
        moved = stored_weights_run(store, replace(weights_report_of(k=0), lineage=None))
        full = stored_run(store, report_of())
        related = stored_lineage_run(store, lineage_of())
        listed = stored_weights_run(store, weights_report_of(), "w2")
        followed = stored_timeline_run(store, timeline_report_of())
    assert (newest_run(url), default_run(url)) == (followed, full)
    for name, expected in (("probes", full), ("drift", full), ("lineage", full), ("neuron-list", listed)):
        assert run_query(url, name).run == expected, name
    assert run_query(url, "run").records()[0]["run"] == full
    assert run_query(url, "run", {"run": "latest"}).records()[0]["run"] == followed
    assert run_query(url, "transfer", {"run": related}).rows == ()
    assert moved not in (newest_run(url), default_run(url))


def test_where_no_run_looked_into_it_a_query_is_empty_and_no_error(url: str) -> None:
    with Store.open(url) as store:
        stored_lineage_run(store, lineage_of())
    assert run_query(url, "transfer").rows == ()


def test_the_subject_of_a_query_is_a_table_of_runs() -> None:
    for query in QUERIES.values():
        assert not query.subject or "run_id" in Base.metadata.tables[query.subject].c
        assert not query.subject or ":run" in query.sql


@pytest.mark.parametrize("per_layer", [2, 19, 20, 21, 64])
def test_drift_by_layer_holds_numbers_of_the_sample_at_its_percentiles(url: str, per_layer: int) -> None:
    report = report_of(per_layer=per_layer, layers=6)
    with Store.open(url) as store:
        stored_run(store, report)
    found = run_query(url, "drift-by-layer").records()
    assert [(row["kind"], row["layer"]) for row in found] == [
        (kind, layer) for kind in ("gate", "up", "down") for layer in range(6)
    ]
    for row in found:
        deltas = getattr(report.neuron_drift, f"delta_{row['kind']}").reshape(6, per_layer)[row["layer"]]
        expected = np.quantile(deltas, [0.05, 0.5, 0.95], method="inverted_cdf").tolist()
        assert [row[f"cosine_distance_{part}"] for part in ("low", "median", "high")] == expected
        assert row["neurons"] == per_layer


def test_drift_by_layer_leaves_out_neurons_without_counterpart(url: str) -> None:
    report = pruned_weights_report()
    with Store.open(url) as store:
        stored_weights_run(store, report)
    compared = np.isfinite(report.neuron_drift.delta_up).reshape(-1, PER_LAYER).sum(axis=1)
    found = {row["layer"]: row["neurons"] for row in run_query(url, "drift-by-layer").records() if row["kind"] == "up"}
    assert found == {layer: n for layer, n in enumerate(compared.tolist()) if n}
    assert 1 not in found


def test_without_a_finished_run_there_is_nothing_to_default_to(url: str) -> None:
    with Store.open(url) as store:
        begin(store)
    with pytest.raises(InputError, match="finished run"):
        run_query(url, "transfer")
    assert run_query(url, "runs").records()[0]["status"] == "running"


def test_transfer_has_both_nulls_beside_each_set_and_none_where_there_is_no_power(url: str) -> None:
    rng = np.random.default_rng(1)
    report = report_of((transfer_of("a", 0.8, rng), transfer_of("b", 0.8, rng), no_power_of("c")))
    with Store.open(url) as store:
        stored_run(store, report)
    *read, last = run_query(url, "transfer").records()
    rungs = {(rung.dataset, rung.kind): rung for rung in report.evidence.ladder}
    assert [row["dataset"] for row in read] == ["a", "b"]
    for row in read:
        for prefix, kind in TRANSFER_NULLS.items():
            rung = rungs[row["dataset"], kind]
            numbers = (rung.auroc.estimate, rung.sets_low, rung.sets_high, rung.sets_p95, rung.draws)
            assert tuple(row[f"{prefix}_{part}"] for part in ("mean", "low", "high", "p95", "draws")) == numbers
    assert (last["auroc"], last["random_mean"], last["matched_p95"], last["verdict"]) == (None, None, None, "no power")


def test_drift_has_the_test_that_decides_beside_it_and_none_where_there_is_no_test(url: str) -> None:
    report = report_of()
    with Store.open(url) as store:
        stored_run(store, report)
        nothing = stored_run(store, no_probe_report(), "k2")
    row = run_query(url, "drift", {"run": 1}).records()[0]
    own = [test for test in report.evidence.drift if (test.side, test.measure) == ("hallucinated", "delta")]
    test = max(own, key=lambda test: test.p_more_stable)
    assert test.matching == row["decided_by"] == "layer_norm_activity"
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (
        test.ratio.estimate, test.ratio.low, test.ratio.high
    )  # fmt: skip
    assert (row["p_decides"], row["smallest_detectable"]) == (test.p_more_stable, test.smallest_detectable)
    for name in ("mean_rank", "null_mean", "null_sd", "p_rank", "p_t", "p_t_similarity", "verdict"):
        assert row[name] == getattr(report.drift, name), name
    empty = run_query(url, "drift", {"run": nothing}).records()[0]
    assert (empty["k"], empty["mean_rank"], empty["null_mean"], empty["verdict"]) == (0, None, None, "no power")


def test_rank_bins_count_every_neuron_once(url: str) -> None:
    """By the definition in SQL; ranks lie on edges as well."""
    report = pruned_weights_report()
    ranks = report.neuron_drift.stability_rank.copy()
    known = np.flatnonzero(~np.isnan(ranks))
    edges = np.array([0, 1 / 50, 3 / 50, 299 / 600, 0.5, 7 / 600, 5 / 6, 1.0])
    ranks[known[: edges.size]], ranks[known[edges.size : 2 * edges.size]] = edges, np.nextafter(edges, 0)
    with Store.open(url) as store:
        stored_weights_run(store, replace(report, neuron_drift=replace(report.neuron_drift, stability_rank=ranks)))
    counted = "SELECT COUNT(*) FROM neuron WHERE stability_rank >= :low AND stability_rank < :high"
    with reading(url) as there:
        for bins in (1, 6, 50, 200, 600):
            found = run_query(there, "rank-bins", {"bins": bins}).records()
            for row in found:
                edges_of = {"low": row["low"], "high": 2.0 if row["bin"] == bins - 1 else row["high"]}
                assert run_query(there, counted, edges_of).rows == ((row["neurons"],),), (bins, row)
            assert sum(row["neurons"] for row in found) == known.size


@pytest.mark.parametrize(
    ("name", "number", "wanted"),
    [("bins", 7, "divide 600"), ("bins", 0, "divide 600"), ("bins", -3, "divide 600"), ("limit", -1, "0 rows or more")],
)
def test_numbers_that_mean_nothing_are_refused(finished: str, name: str, number: int, wanted: str) -> None:
    query = "rank-bins" if name == "bins" else "most-drifted"
    with pytest.raises(InputError, match=wanted):
        run_query(finished, query, {name: number})


def test_more_neurons_than_have_a_place_are_listed_by_their_rank(url: str) -> None:
    """The thousand first ones by place, and all by rank; in either way in the order of their ranks."""
    report = report_of(layers=3, per_layer=400)
    with Store.open(url) as store:
        stored_run(store, report)
    ranks = report.neuron_drift.stability_rank
    ids = np.argsort(ranks, kind="stable")
    for limit in (0, 1, DRIFT_PLACES - 1, DRIFT_PLACES, DRIFT_PLACES + 1, 5000):
        rows = run_query(url, "most-drifted", {"limit": limit}).records()
        assert [400 * row["layer"] + row["neuron_index"] for row in rows] == ids[:limit].tolist(), limit


def test_stored_means_of_the_h_neurons_and_all_others_are_those_of_their_rows(url: str) -> None:
    """By the definition in SQL, but for the order of the additions."""
    with Store.open(url) as store:
        stored_run(store, report_of())
    first, *_ = SETS
    active = ", ".join(
        f"(SELECT AVG(a.mean_{label}) FROM activity a JOIN neuron m USING (run_id, layer, neuron_index) "  # noqa: S608
        f"WHERE a.dataset = '{first}' AND a.stage = '{stage}' AND m.is_h_neuron = n.is_h_neuron)"
        for stage in ("base", "instruct")
        for label in ("faithful", "hallucinated")
    )
    by_rows = run_query(
        url,
        "SELECT COUNT(*), COUNT(DISTINCT layer), MIN(layer), MAX(layer), AVG(stability_rank), AVG(cosine_distance_up), "  # noqa: S608 - of our names
        f"AVG(cosine_distance_gate), AVG(cosine_distance_down), SUM(identical), {active} FROM neuron n "
        "GROUP BY is_h_neuron ORDER BY is_h_neuron DESC",
    ).rows
    found = run_query(url, "h-neurons-summary")
    kept = found.only([name for name in found.columns if name != "most_in_layers"])
    for (kind, *stored), counted in zip(kept.rows, by_rows, strict=True):
        assert stored == pytest.approx(list(counted), rel=1e-12), kind


@pytest.mark.parametrize(("k", "deep"), [(6, 4), (20, 12)])
def test_the_summary_names_the_layers_with_most_h_neurons(url: str, k: int, deep: int) -> None:
    """By a count of the rows; of two layers with as many the lower first."""
    with Store.open(url) as store:
        stored_weights_run(store, weights_report_of(k=k, layers=deep))
    counts = Counter(row["layer"] for row in run_query(url, "h-neurons").records())
    most = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    words = ", ".join(f"{layer} ({count})" for layer, count in most[:5])
    more = f" and {len(most) - 5} more" if len(most) > 5 else ""
    own, others = run_query(url, "h-neurons-summary").records()
    assert (own["most_in_layers"], others["most_in_layers"]) == (f"{words}{more}", None)
    assert bool(more) is (deep == 12)
    console = Console(file=io.StringIO(), width=80)
    console.print(fitted(run_query(url, "h-neurons-summary"), 80))
    assert "row 1 of 2" not in console.file.getvalue()  # side by side, the layers in two lines if need be


@pytest.mark.parametrize("width", [80, 120])
def test_layers_of_a_deep_model_are_lines_of_a_screen(url: str, width: int) -> None:
    with Store.open(url) as store:
        stored_run(store, report_of(k=20, layers=28, per_layer=16))
    query, found = QUERIES["layers"], run_query(url, "layers")
    console = Console(file=io.StringIO(), width=width)
    console.print(fitted(found, width, query.narrow))
    lines = console.file.getvalue().splitlines()
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows[:28]] == [str(layer) for layer in range(28)]
    assert {len(row) for row in rows[:28]} == {6}
    assert len(lines) <= 40
    assert max(map(len, lines)) <= width
    assert lines[-1] == f"6 of {len(found.columns)} columns; all of them: -x, or --format csv"
    whole = Console(file=io.StringIO(), width=1000)
    whole.print(fitted(found, 1000, query.narrow))
    assert "h_base_cett_faithful" in whole.file.getvalue()


@pytest.mark.parametrize("name", ["v_claims", "claim", "data_dictionary"])
def test_a_table_or_view_in_place_of_a_query_is_answered_with_its_sql(finished: str, name: str) -> None:
    with pytest.raises(InputError) as refused:
        run_query(finished, name)
    [sql] = re.findall('did you mean `provenance query "(.+)"`', refused.value.remedy)
    assert sql.endswith(f" from {name}")
    assert run_query(finished, sql).columns


def test_layers_agree_with_the_definition(url: str) -> None:
    report = report_of()
    with Store.open(url) as store:
        stored_run(store, report)
    ranks = report.neuron_drift.stability_rank.reshape(4, 16)
    found = run_query(url, "layers").records()
    assert [row["mean_stability_rank"] for row in found] == pytest.approx(ranks.mean(axis=1))
    assert sum(row["h_neurons"] for row in found) == 6
    assert sum(row["identical"] for row in found) == int(report.neuron_drift.identical.sum())


def test_mapping_lists_every_h_neuron_the_unmapped_first_then_the_least_certain(url: str) -> None:
    report = pruned_weights_report()
    with Store.open(url) as store:
        stored_weights_run(store, report)
    found = run_query(url, "mapping").records()
    assert {row["layer"] * PER_LAYER + row["neuron_index"] for row in found} == set(report.h_neurons.tolist())
    missing = int((report.mapped.base_ids < 0).sum())
    assert 0 < missing < len(found)
    assert {row[name] for row in found[:missing] for name in ("base_layer", "similarity", "margin")} == {None}
    margins = [row["margin"] for row in found[missing:]]
    assert margins == sorted(margins)
    base = {row["layer"] * PER_LAYER + row["neuron_index"]: row for row in found[missing:]}
    for flat, base_id in zip(report.mapped.ids.tolist(), report.mapped.base_ids.tolist(), strict=True):
        assert base_id < 0 or (base[flat]["base_layer"], base[flat]["base_index"]) == divmod(base_id, WIDE)


def test_unmapped_lists_all_neurons_without_counterpart_h_neurons_first(url: str) -> None:
    report = pruned_weights_report()
    with Store.open(url) as store:
        stored_weights_run(store, report)
    found = run_query(url, "unmapped").records()
    assert {row["layer"] * PER_LAYER + row["neuron_index"] for row in found} == set(report.alignment.unmapped.tolist())
    flags = [bool(row["is_h_neuron"]) for row in found]
    assert flags == sorted(flags, reverse=True)
    assert flags[0]
    assert run_query(url, "alignment").records() == [
        {"method": "assignment", "n_neurons": 64, "n_mapped": 64 - len(found), "n_unmapped": len(found), "reason": ""}
    ]


def test_neurons_without_counterpart_are_in_no_ranking(url: str) -> None:
    report = pruned_weights_report()
    with Store.open(url) as store:
        stored_weights_run(store, report)
    compared = int(np.isfinite(report.neuron_drift.stability_rank).sum())
    assert compared < 64
    drifted = run_query(url, "most-drifted", {"limit": 100}).records()
    assert len(drifted) == compared
    assert sum(row["neurons"] for row in run_query(url, "rank-bins").records()) == compared
    assert [row["compared"] for row in run_query(url, "layers").records()][1] == 0
    assert None not in {row["stability_rank"] for row in run_query(url, "stable-h-neurons").records()}


def test_lineage_tensors_and_config_come_back_in_order(url: str) -> None:
    lineage = lineage_of()
    with Store.open(url) as store:
        stored_lineage_run(store, lineage)
    found = run_query(url, "lineage-tensors").records()
    assert [(row["kind"], row["layer"], row["n_rows"]) for row in found] == [
        (tensor.kind, tensor.layer, tensor.rows) for tensor in lineage.tensors
    ]
    assert [row["cosine_median"] for row in found[:-1]] == [tensor.cosine_median for tensor in lineage.tensors[:-1]]
    assert found[-1]["cosine_median"] is None
    assert run_query(url, "config-differences").rows == (
        ("eos_token_id", "1", "[1, 106]"), ("rope_scaling.factor", None, "8.0"), ("use_cache", "true", None)
    )  # fmt: skip


def test_a_search_that_was_not_made_is_not_reported_as_nothing_found(url: str) -> None:
    with Store.open(url) as store:
        full = stored_run(store, report_of())
        weights = stored_weights_run(store, weights_report_of())
    also = [
        {row["is_base_h_neuron"] for row in run_query(url, "h-neurons", {"run": r}).records()} for r in (full, weights)
    ]
    assert also == [{0, 1}, {None}]


def test_runs_tell_the_kinds_of_run_apart_and_count_their_h_neurons(url: str) -> None:
    with Store.open(url) as store:
        stored_run(store, report_of())
        stored_weights_run(store, weights_report_of(k=4))
        stored_weights_run(store, weights_report_of(k=0), "w2")
        stored_lineage_run(store, lineage_of())
    found = [(row["command"], row["h_neurons"]) for row in run_query(url, "runs").records()]
    assert found == [("compare", 6), ("compare --weights-only", 4), ("drift", 0), ("lineage", None)]


def test_most_drifted_and_stable_lists_are_sorted_in_the_stated_direction(url: str) -> None:
    report = report_of()
    with Store.open(url) as store:
        stored_run(store, report)
    drifted = run_query(url, "most-drifted", {"limit": 3}).records()
    assert [row["drift_z"] for row in drifted] == sorted(report.neuron_drift.delta, reverse=True)[:3]
    placed, every = (run_query(url, "most-drifted", {"limit": DRIFT_PLACES + more}).rows for more in (0, 1))
    assert placed == every, "by place, and by rank where more are wanted than have a place"
    stable = run_query(url, "stable-h-neurons").records()
    ranks = report.neuron_drift.stability_rank[report.identification.h_neurons]
    assert [row["stability_rank"] for row in stable] == sorted(ranks, reverse=True)


@pytest.mark.parametrize("sql", WRITES)
def test_sql_that_writes_is_refused_and_changes_nothing(
    finished: str, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = info(finished)
    with pytest.raises(InputError):
        run_query(finished, sql)
    assert info(finished) == before
    assert before.runs[0]["intact"] is True
    assert not (tmp_path / "elsewhere.db").exists()


def test_the_database_itself_refuses_writes_on_a_reading_connection(url: str, tmp_path: Path) -> None:
    with Store.open(url) as store:
        begin(store)
    engine = reading_engine(database_url(url))
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        raw.set_authorizer(None)
        raw.execute("PRAGMA query_only = OFF")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            raw.execute("DELETE FROM run")
    engine.dispose()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("h-neuron", "did you mean h-neurons"),
        ("zzz", "provenance query"),
        ("SELECT stability_rnk FROM neuron", "did you mean stability_rank"),
        ("SELECT n.probe_wieght FROM neuron n", "did you mean probe_weight"),
        ("SELECT * FROM v_h_neuron", "did you mean v_h_neurons"),
        ("SELECT zzz FROM neuron", "db schema"),
    ],
)
def test_a_mistyped_name_of_a_query_table_or_column_is_answered_by_what_was_meant(
    url: str, written: str, meant: str
) -> None:
    Store.open(url).close()
    with pytest.raises(InputError) as caught:
        run_query(url, written)
    assert meant in caught.value.remedy
    assert len(caught.value.remedy) < 200


def test_some_columns_of_a_result_come_in_the_order_given(finished: str) -> None:
    whole = run_query(finished, "h-neurons")
    some = whole.only(["probe_weight", "layer"])
    assert some.columns == ("probe_weight", "layer")
    assert list(some.rows) == [(row["probe_weight"], row["layer"]) for row in whole.records()]
    assert some.run == whole.run == 1
    with pytest.raises(InputError, match="did you mean probe_weight"):
        whole.only(["layer", "weight_probe"])


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT missing FROM run", "no such column"),
        ("SELEC id FROM run", "syntax"),
        ("SELECT * FROM run WHERE id = :who", "who"),
    ],
)
def test_wrong_sql_is_bad_input(url: str, sql: str, says: str) -> None:
    Store.open(url).close()
    with pytest.raises(InputError, match=says):
        run_query(url, sql)


def test_parameters_that_the_query_does_not_have_are_refused(finished: str) -> None:
    with pytest.raises(InputError, match="leave these out"):
        run_query(finished, "drift", {"limit": 3})
    with pytest.raises(InputError, match="whole number"):
        run_query(finished, "drift", {"run": "newest"})


def test_free_sql_takes_parameters_and_the_default_run(finished: str) -> None:
    sql = "SELECT COUNT(*) AS n FROM neuron WHERE run_id = :run AND stability_rank > :least"
    assert run_query(finished, sql, {"least": 0.5}).records() == [{"n": 32}]


def test_a_missing_file_is_bad_input_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        run_query(f"sqlite:///{tmp_path / 'p.db'}", "runs")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_has_no_results(tmp_path: Path) -> None:
    (tmp_path / "p.db").touch()
    with pytest.raises(InputError, match="an empty one"):
        run_query(f"sqlite:///{tmp_path / 'p.db'}", "runs")


def test_a_newer_or_broken_database_is_one_clear_error(url: str, tmp_path: Path) -> None:
    with Store.open(url) as store, store.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer version"):
        run_query(url, "runs")
    (tmp_path / "text.db").write_text("not a database " * 100)
    with pytest.raises(StoreError, match="not a database"):
        run_query(f"sqlite:///{tmp_path / 'text.db'}", "runs")


def test_reading_works_while_the_store_is_open_and_writing(url: str) -> None:
    with Store.open(url) as store:
        stored_run(store, report_of())
        with store.transaction() as connection:
            connection.execute(text("DELETE FROM claim"))
            assert len(run_query(url, "claims").rows) == 6


def test_info_says_schema_size_rows_and_whether_runs_are_intact(url: str, tmp_path: Path) -> None:
    with Store.open(url) as store:
        stored_run(store, report_of())
        begin(store, "k2")
    found = info(url)
    assert (found.schema, found.rows["neuron"], found.rows["run"]) == (HEAD, 64, 2)
    assert found.file_bytes == (tmp_path / "provenance.db").stat().st_size
    assert [run["intact"] for run in found.runs] == [True, None]
    with Store.open(url) as store, store.transaction() as connection:
        connection.execute(text("UPDATE transfer SET auroc = 0.99 WHERE position = 1"))
    assert [run["intact"] for run in info(url).runs] == [False, None]


RESULT = QueryResult(
    ("name", "value", "count", "nothing"), (("Œuvre, “1”", 0.1 + 0.2, 3, None), ('a\n"b"', None, 4, None))
)


def test_csv_keeps_every_digit_and_comes_back() -> None:
    rows = list(csv.reader(io.StringIO(RESULT.as_csv())))
    assert rows[0] == list(RESULT.columns)
    assert float(rows[1][1]) == 0.1 + 0.2
    assert rows[2] == ['a\n"b"', "", "4", ""]


def test_json_is_strict_and_comes_back() -> None:
    assert json.loads(as_json(RESULT)) == RESULT.records()
    assert json.loads(as_json(QueryResult(("x",), ((float("inf"),),)))) == [{"x": None}]


def test_parquet_comes_back(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(encoded(RESULT, "parquet"))
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == RESULT.records()


def test_the_terminal_table_shows_every_row_and_marks_what_is_missing() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(as_table(RESULT))
    text_ = console.file.getvalue()
    assert "0.3" in text_
    assert "Œuvre" in text_
    assert text_.count("-") >= 3


@pytest.mark.parametrize("width", [50, 30])
def test_rows_too_wide_for_a_table_come_one_by_one_with_all_their_words(width: int) -> None:
    """A table that breaks words is no longer read; a wide enough terminal still gets one."""
    wide = QueryResult(
        ("first", "second", "third"), (("some [b]words[/b]", 0.123456, None), ("other", 2, "uninterrupted"))
    )
    console = Console(file=io.StringIO(), width=width)
    console.print(fitted(wide, console.width))
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    if width == 50:
        assert sum("uninterrupted" in line and "other" in line for line in lines) == 1
    else:
        words = " ".join(lines).split()
        assert {"[b]words[/b]", "0.1235", "-", "uninterrupted"} <= set(words)
        assert words.count("first") == words.count("third") == 2
        assert lines.index("row 1 of 2") < lines.index("row 2 of 2")


@pytest.mark.parametrize(("columns", "width", "lines"), [(3, 60, 4), (3, 30, 7), (9, 90, 7), (9, 60, 10), (9, 34, 20)])
def test_heads_wider_than_their_columns_are_broken_and_few_rows_turned_before_rows_come_one_by_one(
    columns: int, width: int, lines: int
) -> None:
    names = ("mean_cosine_distance_up", "h_mean_stability_rank", "layer")
    names = tuple(f"{name}{i or ''}" for i in range(columns // 3) for name in names)
    result = QueryResult(names, ((0.12345, 0.5, 1) * (columns // 3), (0.2, None, 2) * (columns // 3)))
    console = Console(file=io.StringIO(), width=width)
    console.print(fitted(result, width))
    said = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert len(said) == lines
    assert max(map(len, said)) <= width
    assert ("row 1 of 2" in said) == (width == 34)
    assert sum("0.1235" in line for line in said) == (columns // 3 if lines >= 10 else 1)
    if lines == 10:
        assert said[0].split() == ["mean_cosine_distance_up", "0.1235", "0.2"]
        assert said[2].split() == ["h_mean_stability_rank", "0.5", "-"]


def test_a_result_without_rows_says_so_and_names_its_columns() -> None:
    console = Console(file=io.StringIO(), width=20)
    console.print(fitted(QueryResult(("first", "[b]second[/b]"), ()), 20))
    assert " ".join(console.file.getvalue().split()) == "no rows of first, [b]second[/b]"


def test_a_run_that_was_never_begun_is_named(finished: str) -> None:
    with pytest.raises(InputError) as caught:
        run_query(finished, "transfer", {"run": 99})
    assert "99; it has 1" in caught.value.found


def test_markup_in_a_value_is_shown_and_not_obeyed() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(as_table(QueryResult(("name",), (("[bold]set[/bold]",),))))
    assert "[bold]set[/bold]" in console.file.getvalue()


def test_an_unknown_format_is_bad_input() -> None:
    with pytest.raises(InputError, match="parquet"):
        encoded(RESULT, "xlsx")
