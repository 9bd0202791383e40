"""Queries about evidence list what was stored, and the run they take when none is named is a real comparison."""

import pytest
from synthetic import (
    begin,
    lineage_of,
    report_of,
    stored_lineage_run,
    stored_run,
    stored_timeline_run,
    stored_weights_run,
    weights_report_of,
)
from synthetic_evidence import CLAIMS, RUNGS, timeline_report_of

from provenance.db.reading.run_query import QUERIES, info, newest_run, run_query
from provenance.db.store import Store
from provenance.errors import InputError

CONTROL = "compare --control permuted-index"


def test_the_ladder_the_claims_and_their_reasons_come_in_the_order_of_the_report(finished: str) -> None:
    report = report_of()
    ladder = run_query(finished, "ladder").records()
    assert [(row["dataset"], row["kind"]) for row in ladder] == [
        (result.dataset, kind) for result in report.transfer for kind in RUNGS
    ]
    assert [row["claim"] for row in run_query(finished, "claims").records()] == list(CLAIMS)
    reasons = [(row["claim"], row["code"]) for row in run_query(finished, "reasons").records()]
    assert reasons == [(claim.name, reason.code) for claim in report.evidence.claims for reason in claim.reasons]
    assert reasons != sorted(reasons)


def test_a_negative_control_is_never_the_default_and_is_read_when_it_is_named(url: str) -> None:
    """It is a run that must find nothing: shown as the newest result it would be mistaken for one."""
    with Store.open(url) as store:
        real = stored_run(store, report_of())
        control = stored_run(store, report_of(seed=5, k=3), "c1", command=CONTROL)
    assert newest_run(url) == real
    for query in QUERIES.values():
        if ":run" in query.sql:
            assert run_query(url, query.name).rows == run_query(url, query.name, {"run": real}).rows, query.name
    assert run_query(url, "drift", {"run": control}).records()[0]["k"] == 3
    assert run_query(url, "run", {"run": control}).records()[0]["command"] == CONTROL


def test_the_newest_of_two_real_runs_is_the_default_so_that_the_test_above_can_fail(url: str) -> None:
    with Store.open(url) as store:
        stored_run(store, report_of())
        second = stored_run(store, report_of(seed=5, k=3), "c1")
    assert newest_run(url) == second
    assert run_query(url, "drift").records()[0]["k"] == 3


def test_a_database_of_controls_alone_has_no_default_run(url: str) -> None:
    with Store.open(url) as store:
        stored_run(store, report_of(), command=CONTROL)
        begin(store, "k2")
    for read in (lambda: newest_run(url), lambda: run_query(url, "transfer")):
        with pytest.raises(InputError, match="no negative control"):
            read()
    assert run_query(url, "transfer", {"run": 1}).rows


def test_runs_and_info_tell_controls_and_timelines_apart_by_their_command(url: str) -> None:
    with Store.open(url) as store:
        stored_run(store, report_of())
        stored_run(store, report_of(), "c1", command=CONTROL)
        stored_timeline_run(store, timeline_report_of())
    found = [(row["command"], row["h_neurons"]) for row in run_query(url, "runs").records()]
    assert found == [("compare", 6), (CONTROL, 6), ("trace", 4)]
    assert [(run["command"], run["intact"]) for run in info(url).runs] == [
        ("compare", True), (CONTROL, True), ("trace", True)
    ]  # fmt: skip


def test_a_later_timeline_hides_nothing_of_a_comparison(url: str) -> None:
    """It has a probe and question sets too; a comparison that comes later still is the newest."""
    with Store.open(url) as store:
        full = stored_run(store, report_of())
        trace = stored_timeline_run(store, timeline_report_of())
    for query in QUERIES.values():
        if query.subject and query.name != "trace":
            assert run_query(url, query.name).rows == run_query(url, query.name, {"run": full}).rows, query.name
    assert run_query(url, "trace").rows == run_query(url, "trace", {"run": trace}).rows
    with Store.open(url) as store:
        later = stored_run(store, report_of(k=4), "k2")
    assert run_query(url, "probes").rows == run_query(url, "probes", {"run": later}).rows


def test_where_there_is_a_timeline_alone_its_probe_is_read(url: str) -> None:
    with Store.open(url) as store:
        stored_timeline_run(store, timeline_report_of())
        stored_lineage_run(store, lineage_of())
    assert [row["stage"] for row in run_query(url, "probes").records()] == ["instruct"]


def test_the_floor_of_a_timeline_comes_first(url: str) -> None:
    with Store.open(url) as store:
        stored_timeline_run(store, timeline_report_of(3))
    found = run_query(url, "trace").records()
    assert [(row["position"], bool(row["is_floor"])) for row in found] == [
        (-1, True),
        (0, False),
        (1, False),
        (2, False),
    ]
    assert found[0]["own"] is None
    assert found[-1]["mean_stability_rank"] is None


def test_drift_tests_of_weights_alone_are_shown_where_no_comparison_is(url: str) -> None:
    with Store.open(url) as store:
        stored_weights_run(store, weights_report_of(k=4))
    assert {row["k"] for row in run_query(url, "drift-tests").records()} == {4, 3}
    with Store.open(url) as store:
        compared = stored_run(store, report_of())
        stored_weights_run(store, weights_report_of(k=4), "w2")
    assert run_query(url, "drift-tests").run == compared
